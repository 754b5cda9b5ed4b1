//! What runs as `pvm`: one file a subcommand, with its arguments, its help text and its function.

mod check;
mod context;
mod grant;
mod output;
mod person;
mod revoke;
mod scope;
mod status;
mod values;

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

use crate::failure::{ExitStatus, Failure};
use crate::sys::{fs, process};
use context::Context;
use output::Stop;

/// Permission vending machine: sudo for AI agents
///
/// A command that can destroy something runs only under a grant that a person gave: for an agent,
/// an operation, a path and a time. Every decision is recorded in a trail that cannot be quietly
/// edited.
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
    Grant(grant::Grant),
    Check(check::Check),
    Status(status::Status),
    Revoke(revoke::Revoke),
}

/// Runs `pvm`, and returns its exit status.
pub(crate) fn run(argv: &[OsString]) -> ExitStatus {
    fs::keep_new_files_private();
    if let Err(error) = process::open_closed_standard_streams()
        .and_then(|()| process::ignore_broken_pipes().map(|_| ()))
    {
        return report(&Failure::internal(error));
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
        Verb::Grant(verb) => verb.run(&Context::load()?),
        Verb::Check(verb) => verb.run(&Context::load()?),
        Verb::Status(verb) => verb.run(&Context::load()?),
        Verb::Revoke(verb) => verb.run(&Context::load()?),
    }
}

/// Help and version go to standard output and are no error; clap decides which is which.
fn usage(error: &clap::Error) -> ExitStatus {
    let _unheard = error.print();
    if error.use_stderr() {
        ExitStatus::Usage
    } else {
        ExitStatus::Success
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
