use std::convert::Infallible;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use nix::errno::Errno;

use super::permit::{Method, RemovalWords};
use super::{Broker, BrokerError, Permit};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::audit::{self, Recorded};
use crate::confine::{ConfineError, Ruleset};
use crate::model::agent::Agent;
use crate::model::operation::Operation;
use crate::policy::evaluate::Allowed;
use crate::sys::path::{Obstacle, Pinned};
use crate::sys::{clock, exec as sys_exec, fs as sys_fs, process};
use crate::vault::grants;

/// How a permitted operation ended, if this process is still here to say.
#[derive(Debug)]
pub(crate) enum Ended {
    /// pvm did the work itself; this is the exit status of the command that it stood in for.
    Status(u8),
    /// The real command did not start.
    NotStarted { program: PathBuf, error: Errno },
}

/// What was changed in this process and has to be as the caller left it when the command starts.
pub(crate) trait Caller {
    fn restore(&self) -> io::Result<()>;
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{}", .0.desc())]
    Exec(Errno),
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("cannot prepare the process: {0}")]
    Prepare(#[from] io::Error),
}

impl Broker {
    /// Carries out a permitted operation, once.
    ///
    /// Returns only when pvm did the work itself or the command could not start.
    pub(crate) fn execute(
        &self,
        permit: Permit,
        agent: &Agent,
        caller: &dyn Caller,
    ) -> Result<Ended, BrokerError> {
        let Permit {
            recorded,
            method,
            operation,
            pins,
            program,
        } = permit;
        match method {
            Method::Unlink { words } => {
                let done = match pins.as_slice() {
                    [pinned] => unlink(pinned, &words),
                    _ => return Err(BrokerError::Inconsistent("one file was to be removed")),
                };
                let status = u8::from(done.is_err());
                let mut event = follow_up(&recorded, &operation, agent, Outcome::Result)
                    .text(Field::By, "self")
                    .text(Field::Status, status);
                if let Err(error) = done {
                    event = event.text(Field::Error, error);
                }
                self.record(&event)?;
                Ok(Ended::Status(status))
            }
            Method::Become {
                ruleset,
                argv,
                environment,
            } => {
                let start = || -> Result<Infallible, StartError> {
                    self.prepare(ruleset, &pins, caller)?;
                    sys_exec::become_program(program.path(), &argv, &environment)
                        .map_err(StartError::Exec)
                };
                let Err(error) = start();
                self.record_not_started(&recorded, &operation, agent, &error)?;
                match error {
                    StartError::Exec(error) => Ok(Ended::NotStarted {
                        program: program.path().to_owned(),
                        error,
                    }),
                    StartError::Confine(error) => Err(error.into()),
                    StartError::Prepare(error) => Err(BrokerError::Prepare(error)),
                }
            }
        }
    }

    /// Hands on nothing that the caller did not hand on, and restricts this process for good.
    fn prepare(
        &self,
        ruleset: Option<Ruleset>,
        pins: &[Pinned],
        caller: &dyn Caller,
    ) -> Result<(), StartError> {
        let canary = self.vault.canary().map_err(io::Error::other)?;
        caller.restore()?;
        process::close_all_on_exec()?;
        match ruleset {
            Some(ruleset) => ruleset.enforce(|| sys_fs::remove_file(&canary))?,
            // The operands may have been rewritten to these descriptors.
            None => {
                for pinned in pins {
                    process::keep_on_exec(&*pinned.parent)?;
                }
            }
        }
        Ok(())
    }

    /// The command did not start, so what it would have used up comes back.
    fn record_not_started(
        &self,
        recorded: &Recorded<Allowed>,
        operation: &Operation,
        agent: &Agent,
        error: &StartError,
    ) -> Result<(), BrokerError> {
        let now = clock::now()?;
        let mut writing = audit::begin(&self.vault)?;
        for grant in recorded.value().grants() {
            grants::refund(writing.transaction(), &grant.id)?;
        }
        let event = follow_up(recorded, operation, agent, Outcome::Failed);
        let entry = writing.append(&event.text(Field::Error, error), &now)?;
        writing.commit(entry, ())?;
        Ok(())
    }
}

fn follow_up(
    recorded: &Recorded<Allowed>,
    operation: &Operation,
    agent: &Agent,
    outcome: Outcome,
) -> Event {
    Event::new(Kind::Execution, outcome, agent)
        .action(operation.action)
        .text(Field::Of, recorded.entry().seq)
}

/// Removes one directory entry as `rm` would, with its prompts and messages.
fn unlink(pinned: &Pinned, words: &RemovalWords) -> Result<(), String> {
    let shown = words.operand.display().to_string();
    let outcome = remove(pinned, words, &shown);
    let line = match &outcome {
        Ok(true) if words.verbose => format!("removed '{shown}'\n"),
        Ok(_) => return Ok(()),
        Err(why) => {
            let line = format!("rm: cannot remove '{shown}': {why}\n");
            // Nobody may be listening; the entry has it.
            let _unheard = io::stderr().write_all(line.as_bytes());
            return Err(why.clone());
        }
    };
    io::stdout()
        .write_all(line.as_bytes())
        .map_err(|error| format!("write error: {error}"))
}

/// Returns whether the entry was removed, or left alone because the person said no.
fn remove(pinned: &Pinned, words: &RemovalWords, shown: &str) -> Result<bool, String> {
    let protected =
        words.prompt_if_protected && io::stdin().is_terminal() && pinned.is_write_protected();
    if words.prompt_always || protected {
        let kind = pinned.describe();
        let adverb = if protected { "write-protected " } else { "" };
        let question = format!("rm: remove {adverb}{kind} '{shown}'? ");
        io::stderr()
            .write_all(question.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| error.to_string())?;
        if !answer.starts_with(['y', 'Y']) {
            return Ok(false);
        }
    }
    match pinned.unlink() {
        Ok(()) => Ok(true),
        Err(Obstacle::Changed) => Err("it is not the file that was checked any more".to_owned()),
        Err(Obstacle::System(error)) => Err(error.desc().to_owned()),
    }
}
