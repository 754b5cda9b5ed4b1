//! Fills an existing vault for measurements: `fill-vault VAULT grants=100000 entries=1000000`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: fill-vault VAULT grants=NUMBER entries=NUMBER";

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program of its own, started by std"
)]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(done) => {
            let _unheard = writeln!(std::io::stdout(), "{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "fill-vault: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<String, String> {
    let [vault, grants, entries] = words else {
        return Err(USAGE.to_owned());
    };
    let grants = number(grants, "grants=")?;
    let entries = number(entries, "entries=")?;
    pvm::internals::fill_vault(Path::new(vault), grants, entries)?;
    Ok(format!(
        "{vault}: {grants} grants and {entries} entries more"
    ))
}

fn number(word: &str, name: &str) -> Result<u64, String> {
    word.strip_prefix(name)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("'{word}' is not {name}NUMBER; {USAGE}"))
}
