use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::refusal;
use super::run::{Run, Stopped};
use crate::broker::{Attempt, RemovalWords, Work};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::sys::env;
use crate::sys::trust::{Program, TrustedProgram};
use crate::text::escape::{brief, quoted};
use crate::tool::rm::{self, Refused, Resolved};

const REAL_NAME: &str = "rm";

/// Runs `safe-rm`: becomes the real `rm` under a grant, or says why not.
///
/// `argv` is what was typed, the program's name first; `name` is that name.
pub(crate) fn run(name: &str, argv: &[OsString]) -> ExitStatus {
    match pipeline(argv) {
        Ok(status) => status,
        Err(stopped) => stopped.print(name),
    }
}

fn pipeline(argv: &[OsString]) -> Result<ExitStatus, Stopped> {
    let run = Run::begin(Action::Rm, argv)?;
    let words = argv.get(1..).unwrap_or_default();
    let command = rm::parse(words).map_err(|refused| run.recorded(usage(refused)))?;
    run.changed
        .make_room_for(command.operands.len())
        .map_err(Failure::internal)?;
    let cwd = run.working_directory()?;
    let resolved =
        rm::resolve(&command, argv, cwd).map_err(|refused| run.recorded(usage(refused)))?;
    let program = run.find_program(REAL_NAME)?;
    run.carry_out(attempt(&run, resolved, program), |refusal, _| {
        refusal::explain(refusal, Action::Rm, run.config.default_ttl)
    })
}

fn usage(refused: Refused) -> Failure {
    match refused {
        Refused::Usage(error) => {
            Failure::usage(error.to_string()).hint("pvm passes on only what it knows; see rm(1)")
        }
        Refused::NoPreserveRoot => Failure::new(
            ExitStatus::Denied,
            "permission denied: '--no-preserve-root' is never allowed",
        ),
        Refused::TooMany { .. } => {
            Failure::new(ExitStatus::Denied, format!("permission denied: {refused}"))
                .hint("split the command:  xargs -n 1000")
        }
        Refused::Operand { operand, reason } => {
            let operand = brief(operand.as_bytes());
            Failure::new(
                ExitStatus::Denied,
                format!("permission denied: '{operand}' cannot be removed: {reason}"),
            )
        }
    }
}

fn attempt(run: &Run<'_>, resolved: Resolved, program: TrustedProgram) -> Attempt {
    let Resolved {
        options,
        operation,
        pins,
    } = resolved;
    let words = RemovalWords {
        name: operation
            .targets()
            .first()
            .map(|target| quoted(target.operand.as_bytes(), env::speaks_utf8()))
            .unwrap_or_default(),
        prompt: options.prompt,
        recursive: options.recursive,
        verbose: options.verbose,
    };
    let mut argv = operation.argv.clone();
    if let Some(first) = argv.first_mut() {
        *first = OsString::from(REAL_NAME);
    }
    Attempt {
        agent: run.agent.clone(),
        operation,
        pins,
        program: Some(Program::Trusted(program)),
        argv,
        environment: env::rebuilt(&run.account),
        work: Work::Remove {
            empty_directories: options.directories,
            words,
        },
    }
}
