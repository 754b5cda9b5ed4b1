//! Measures how long the rules take for one operation: `bench-rules [RULES]`, 1,000 if not said.

use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pvm::internals::RuleBench;

const ROUNDS: usize = 20_000;

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program of its own, started by std"
)]
fn main() -> ExitCode {
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(1000), |word| word.parse());
    let Ok(count) = count else {
        let _unheard = writeln!(std::io::stderr(), "usage: bench-rules [RULES]");
        return ExitCode::FAILURE;
    };
    let bench = match RuleBench::new(count) {
        Ok(bench) => bench,
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "bench-rules: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = std::io::stdout().lock();
    for (name, run) in [
        (
            "path, no rule matches",
            RuleBench::path as fn(&RuleBench) -> bool,
        ),
        ("command, no rule matches", RuleBench::command),
        (
            "command behind env, no rule matches",
            RuleBench::command_behind_env,
        ),
    ] {
        let (median, slow) = measure(|| run(&bench));
        let _unheard = writeln!(
            out,
            "{count} rules, {name}: median {:.1} us, p99 {:.1} us",
            median.as_secs_f64() * 1e6,
            slow.as_secs_f64() * 1e6
        );
    }
    ExitCode::SUCCESS
}

/// Returns the median and the 99th percentile.
fn measure(run: impl Fn() -> bool) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get(ROUNDS * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    (at(50), at(99))
}
