use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::refusal;
use super::run::{Run, Stopped};
use crate::broker::{Attempt, Denial, Refusal, Work};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::grant::Shortfall;
use crate::model::operation::{Objects, Operation};
use crate::sys::{account, env};
use crate::text::escape::{shell_line, shell_word, shown};
use crate::tool::exec::{self, Refused, Resolved, runs};

/// Beyond so many bytes nobody pastes a line.
const LONGEST_HINT: usize = 1000;

/// Runs `pvm exec`: becomes the command under a rule or a grant, or says why not.
///
/// `words` are the command's own, its name first.
pub(crate) fn run(words: &[OsString]) -> ExitStatus {
    pipeline(words).unwrap_or_else(|stopped| stopped.print("pvm exec"))
}

fn pipeline(words: &[OsString]) -> Result<ExitStatus, Stopped> {
    let run = Run::begin(Action::Exec, words)?;
    let cwd = run.working_directory()?;
    let searcher = run.searcher()?;
    let search_path = env::bytes("PATH");
    let resolved = exec::resolve(words, &searcher, search_path.as_deref(), cwd)
        .map_err(|refused| stop(&run, refused))?;
    let Resolved {
        operation, program, ..
    } = resolved;
    let attempt = Attempt {
        agent: run.agent.clone(),
        operation,
        pins: Vec::new(),
        program: Some(program),
        argv: words.to_vec(),
        environment: env::for_command(&run.account, &run.config.trusted_directories),
        work: Work::Run,
    };
    run.carry_out(attempt, |refusal, operation| {
        explain(refusal, operation, &run)
    })
}

fn stop(run: &Run<'_>, refused: Refused) -> Stopped {
    match refused {
        Refused::Distrusted { examined, instead } => {
            run.hijacked("the program", &examined.found, instead.as_deref())
        }
        other => run.recorded(failure(&other, &run.argv)).into(),
    }
}

/// Returns what a person reads of a command of these words that is refused before it is decided.
pub(crate) fn failure(refused: &Refused, words: &[OsString]) -> Failure {
    match refused {
        Refused::NoCommand => {
            Failure::usage(refused.to_string()).hint("name one:  pvm exec -- COMMAND ARG...")
        }
        Refused::Guarded { name, wrapper } => {
            let pushes = words.iter().any(|word| word == "push");
            let wrapper = if name == "git" && !pushes {
                name
            } else {
                *wrapper
            };
            Failure::new(ExitStatus::Denied, format!("permission denied: {refused}"))
                .hint(instead_of_exec(wrapper))
        }
        Refused::NotOnPath(name) => {
            Failure::new(ExitStatus::NotFound, format!("{refused}")).hint(format!(
                "see what was looked at:  pvm resolve -- {}",
                shell_word(name.as_bytes())
            ))
        }
        Refused::NotThere { error, .. } => {
            let status = match error.kind() {
                std::io::ErrorKind::NotFound => ExitStatus::NotFound,
                _ => ExitStatus::NotExecutable,
            };
            Failure::new(status, refused.to_string())
        }
        Refused::NotExecutable(_) | Refused::Unreadable { .. } => {
            Failure::new(ExitStatus::NotExecutable, refused.to_string())
        }
        Refused::Distrusted { examined, instead } => {
            let found = &examined.found;
            let why = found
                .distrust
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let hit = shown(found.hit.as_os_str().as_bytes());
            let failure = Failure::new(
                ExitStatus::NotExecutable,
                format!("{refused}: {hit}: {}", shown(why.as_bytes())),
            );
            match instead {
                Some(instead) => failure.hint(format!(
                    "a trusted search gives {}",
                    shown(instead.as_os_str().as_bytes())
                )),
                None => failure,
            }
        }
        Refused::Directory(_) | Refused::Unseen(_) => {
            Failure::new(ExitStatus::Denied, format!("permission denied: {refused}"))
        }
    }
}

fn instead_of_exec(wrapper: &str) -> &'static str {
    match wrapper {
        "safe-rm" => "run it so:  safe-rm ...",
        "safe-trash" => "run it so:  safe-trash ...",
        "git" => "git is run as it is:  git ...",
        "safe-git-push" => "a push goes so:  safe-git-push ...",
        _ => "pvm runs by itself, and its wrappers do too",
    }
}

/// Returns what an agent reads when a command was refused: what the command is, and the exact line
/// with which a person can permit it.
fn explain(refusal: &Refusal, operation: &Operation, run: &Run<'_>) -> Failure {
    let ttl = run.config.default_ttl;
    let failure = match refusal {
        Refusal::Mounted { scope, point } => Failure::new(
            ExitStatus::Denied,
            format!(
                "permission denied: {} is mounted below {}, and a right to a directory reaches into it",
                shown(point.as_os_str().as_bytes()),
                shown(scope.as_bytes())
            ),
        ),
        other => refusal::explain(other, Action::Exec, ttl),
    };
    let Objects::Command(command) = &operation.objects else {
        return failure;
    };
    // What helps is the same whether it was recorded or only counted.
    let refusal = match refusal {
        Refusal::TooMany { instead, .. } => instead.as_ref(),
        other => other,
    };
    if let Refusal::Denied(Denial::Rule { .. } | Denial::Protected { .. }) = refusal {
        return failure;
    }
    let described = runs::describe(command, &operation.cwd);
    let failure = described.into_iter().fold(failure, Failure::hint);
    let other =
        |nearest: &Option<(_, Shortfall)>| matches!(nearest, Some((_, Shortfall::OtherCommand)));
    let failure = match refusal {
        Refusal::Denied(Denial::Uncovered { nearest, .. }) if other(nearest) => {
            failure.hint(format!(
                "the program is {} here; a grant is for the one that the PATH of pvm grant gave",
                shown(command.program.as_os_str().as_bytes())
            ))
        }
        _ => failure,
    };
    let failure = match command.digest {
        Some(_) => failure.hint(format!(
            "{} can be changed by its owner, so only a grant for exactly this file permits it",
            shown(command.program.as_os_str().as_bytes())
        )),
        None => failure,
    };
    let Some(scope) = &command.directory else {
        return failure.hint("no grant is for the root directory: change to another one first");
    };
    let line = grant_line(&operation.cwd, &command.words);
    let failure = failure.hint(if line.len() <= LONGEST_HINT {
        format!("a person can allow exactly this:  {line}")
    } else {
        let count = command.words.len();
        format!(
            "a person can allow exactly this with pvm grant -- and its {count} words, which are in \
             the entry:  pvm audit --json"
        )
    });
    let uncovered = matches!(refusal, Refusal::Denied(Denial::Uncovered { nearest, .. })
        if !matches!(nearest, Some((_, Shortfall::Changeable))));
    let is_of_use = || !account::holds_a_home(scope) && run.is_fit_for_commands(scope);
    if !uncovered || command.digest.is_some() || !is_of_use() {
        return failure;
    }
    let directory = shell_word(operation.cwd.as_os_str().as_bytes());
    let ttl = ttl.to_string().replace(' ', "");
    failure.hint(format!(
        "or whatever changes files below one directory only:  pvm grant --op exec --scope {directory} --ttl {ttl}"
    ))
}

/// Returns the line that grants exactly this command, as a shell reads it.
fn grant_line(cwd: &Path, words: &[OsString]) -> String {
    let cwd = shell_word(cwd.as_os_str().as_bytes());
    let words = shell_line(words.iter().map(|word| word.as_bytes()));
    format!("cd {cwd} && pvm grant -- {words}")
}
