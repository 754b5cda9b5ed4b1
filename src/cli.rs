//! What runs as `pvm`: one file a subcommand, with its arguments, its help text and its function.

mod audit;
mod backup;
mod check;
mod completions;
mod config;
mod context;
mod demo;
mod doctor;
mod exec;
mod grant;
mod init;
mod man;
mod output;
mod person;
mod resolve;
mod revoke;
mod rules;
mod scope;
mod status;
mod undo;
mod values;

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

use crate::failure::{ExitStatus, Failure};
use crate::sys::{fs, process};
use crate::text::escape::shown;
use context::Context;
use output::Stop;

/// Permission vending machine: sudo for AI agents
///
/// A command that can destroy something runs only under a grant that a person gave: for an agent,
/// an operation, a path and a time. Every decision is an entry in a hash-chained
/// trail.
#[derive(Debug, Parser)]
#[command(
    name = "pvm",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Grant(grant::Grant),
    Exec(exec::Exec),
    Check(check::Check),
    Status(status::Status),
    Revoke(revoke::Revoke),
    Rules(rules::Rules),
    Resolve(resolve::Resolve),
    Config(config::Config),
    Doctor(doctor::Doctor),
    Backup(backup::Backup),
    Undo(undo::Undo),
    Audit(audit::Audit),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs `pvm`, and returns its exit status.
pub(crate) fn run(argv: &[OsString]) -> ExitStatus {
    // What becomes another command leaves signals and umask as they came.
    if argv.get(1).is_some_and(|verb| verb == "exec")
        && let Ok(Cli {
            verb: Verb::Exec(exec),
        }) = Cli::try_parse_from(argv)
    {
        return exec.run();
    }
    fs::keep_new_files_private();
    if let Err(error) = process::open_closed_standard_streams()
        .and_then(|()| process::ignore_broken_pipes())
        .and_then(|_| process::ignore_file_size_signal())
    {
        return report(&Failure::internal(error));
    }
    if let Some(status) = completions::answer(argv) {
        return status;
    }
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(cli.verb) {
        Ok(status) => status,
        Err(Stop::NobodyReads) => ExitStatus::Success,
        Err(Stop::Failure(failure)) => report(&failure),
    }
}

fn dispatch(verb: Verb) -> Result<ExitStatus, Stop> {
    match verb {
        Verb::Init(verb) => verb.run(&Context::load()?),
        Verb::Grant(verb) => verb.run(&Context::load()?),
        Verb::Exec(verb) => Ok(verb.run()),
        Verb::Check(verb) => verb.run(&Context::load()?),
        Verb::Status(verb) => verb.run(&Context::load()?),
        Verb::Revoke(verb) => verb.run(&Context::load()?),
        Verb::Rules(verb) => verb.run(&Context::load()?),
        Verb::Resolve(verb) => verb.run(&Context::load()?),
        Verb::Config(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::Undo(verb) => verb.run(&Context::load()?),
        Verb::Backup(verb) => verb.run(&Context::load()?),
        Verb::Audit(verb) => verb.run(&Context::load()?),
        Verb::Demo(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    }
}

/// Help and version go to standard output and are no error; clap decides which is which.
fn usage(error: &clap::Error) -> ExitStatus {
    if error.use_stderr() {
        // It repeats what was typed, which need not be fit for a terminal.
        let text: String = error.to_string().split_inclusive('\n').map(fit).collect();
        let _unheard = std::io::stderr().write_all(text.as_bytes());
        ExitStatus::Usage
    } else {
        let _unheard = error.print();
        ExitStatus::Success
    }
}

fn fit(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => shown(line.as_bytes()) + "\n",
        None => shown(line.as_bytes()),
    }
}

fn report(failure: &Failure) -> ExitStatus {
    let _unheard = std::io::stderr().write_all(failure.lines("pvm").as_bytes());
    failure.status
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
