//! Times the decisions of the library: `time-client [ROUNDS]`, in a release build.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pvm::{Client, Command};

/// The limits, for decisions that are not recorded.
const CACHED: Duration = Duration::from_micros(10);
const UNCACHED: Duration = Duration::from_millis(1);

const GRANTS: u64 = 1000;

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program of its own, started by std"
)]
fn main() -> ExitCode {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let directory = std::env::temp_dir().join(format!("pvm-time-client-{}", std::process::id()));
    let outcome = run(&directory, rounds.unwrap_or(2000));
    let _left = std::fs::remove_dir_all(&directory);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "time-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let work = directory.join("work/some/way/down");
    std::fs::create_dir_all(&work)?;
    std::fs::write(work.join("file"), "")?;
    let client = Client::for_tests(directory.join("pvm"), "")?;
    pvm::internals::fill_vault(&directory.join("pvm/state/vault.db"), GRANTS, 0)?;
    std::thread::sleep(Duration::from_millis(100));
    let remove = Command::new("rm", &work).arg("file");
    let run = Command::new("true", &work);
    for (name, command) in [("rm FILE", &remove), ("exec true", &run)] {
        let timed = pvm::internals::time_decisions(&client, command, rounds)?;
        report(&format!("{name}: decided, cached"), timed, Some(CACHED))?;
        let mut times = Vec::new();
        for _ in 0..rounds.min(500) {
            client.clear_cache();
            times.extend(pvm::internals::time_decisions(&client, command, 1)?);
        }
        report(
            &format!("{name}: decided, not cached"),
            times,
            Some(UNCACHED),
        )?;
        let asked = each(rounds, || client.evaluate(command).map(drop))?;
        report(&format!("{name}: evaluate, cached"), asked, None)?;
        let asked = each(rounds.min(200), || client.check(command).map(drop))?;
        report(&format!("{name}: check, cached and recorded"), asked, None)?;
    }
    Ok(())
}

fn each(
    rounds: usize,
    mut ask: impl FnMut() -> Result<(), pvm::Error>,
) -> Result<Vec<Duration>, pvm::Error> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        ask()?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn report(name: &str, mut times: Vec<Duration>, limit: Option<Duration>) -> std::io::Result<()> {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = times.len().saturating_sub(1) * percent / 100;
        times.get(place).copied().unwrap_or_default()
    };
    let (least, median, most) = (at(0), at(50), at(99));
    let verdict = match limit {
        None => String::new(),
        Some(limit) if median <= limit => format!("  within {limit:?}"),
        Some(limit) => format!("  OVER {limit:?}"),
    };
    writeln!(
        std::io::stdout(),
        "{name:<40} least {least:>10.2?}  median {median:>10.2?}  p99 {most:>10.2?}{verdict}"
    )
}
