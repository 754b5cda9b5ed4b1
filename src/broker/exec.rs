use std::convert::Infallible;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use super::permit::{Method, RemovalWords};
use super::{Broker, BrokerError, Permit};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::audit::{self, Recorded};
use crate::confine::{ConfineError, Ruleset};
use crate::model::agent::Agent;
use crate::model::grant::{Grant, WindowState};
use crate::model::operation::{Operation, Prompt};
use crate::policy::evaluate::Allowed;
use crate::sys::path::{Obstacle, Pinned};
use crate::sys::{Errno, clock, exec as sys_exec, fs as sys_fs, process};
use crate::vault::grants;

/// How a permitted operation ended, if this process is still here to say.
#[derive(Debug)]
pub(crate) enum Ended {
    /// pvm did the work itself; this is the exit status of the command that it stood in for.
    Status(u8),
    /// pvm did the work itself, and the trail has its start but not its end.
    Unrecorded { status: u8, error: BrokerError },
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
                // A person may be asked, and nobody shall wait for the answer.
                self.vault.give_up_turn();
                // No command follows, so a closed pipe is an error to record and not a death.
                let _unchanged = process::ignore_broken_pipes();
                let done = match pins.as_slice() {
                    [pinned] => unlink(pinned, &words, &|| self.still_holds(recorded.value())),
                    _ => return Err(BrokerError::Inconsistent("one file was to be removed")),
                };
                let status = u8::from(done.is_err());
                let mut event = follow_up(&recorded, &operation, agent, Outcome::Result)
                    .text(Field::By, "self")
                    .text(Field::Status, status);
                if let Err(error) = done {
                    event = event.text(Field::Error, error);
                }
                // What is removed stays removed, so the status is the removal's in any case.
                Ok(match self.record(&event) {
                    Ok(()) => Ended::Status(status),
                    Err(error) => Ended::Unrecorded { status, error },
                })
            }
            Method::Become {
                ruleset,
                argv,
                environment,
                names_pins,
            } => {
                let handed_on = if names_pins { pins.as_slice() } else { &[] };
                let start = || -> Result<Infallible, StartError> {
                    self.prepare(ruleset, handed_on, caller)?;
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

    /// Says whether no grant of an allowed operation has ended since.
    fn still_holds(&self, allowed: &Allowed) -> Result<bool, BrokerError> {
        let reading = self.vault.read()?;
        let now = clock::now()?;
        for used in allowed.grants() {
            let there = grants::with_prefix(&reading, used.id.as_str())?;
            let open = |grant: &Grant| {
                grant.ended.is_none() && grant.window.state(&now) == WindowState::Open
            };
            if !there.iter().any(open) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands on nothing that the caller did not hand on, and restricts this process for good.
    fn prepare(
        &self,
        ruleset: Option<Ruleset>,
        handed_on: &[Pinned],
        caller: &dyn Caller,
    ) -> Result<(), StartError> {
        let canary = self.vault.canary().map_err(io::Error::other)?;
        caller.restore()?;
        process::close_all_on_exec()?;
        for pinned in handed_on {
            process::keep_on_exec(&*pinned.parent)?;
        }
        if let Some(ruleset) = ruleset {
            ruleset.enforce(|| sys_fs::remove_file(&canary))?;
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
        let mut writing = audit::begin(&self.vault)?;
        let now = clock::now()?;
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
fn unlink(
    pinned: &Pinned,
    words: &RemovalWords,
    still_holds: &dyn Fn() -> Result<bool, BrokerError>,
) -> Result<(), String> {
    let name = &words.name;
    let (line, why) = match remove(pinned, words, still_holds) {
        Ok(true) if words.verbose => match print(&format!("removed {name}\n")) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let why = format!("write error: {}", error.desc());
                (format!("rm: {why}\n"), why)
            }
        },
        Ok(_) => return Ok(()),
        Err(why) => (format!("rm: cannot remove {name}: {why}\n"), why),
    };
    // Nobody may be listening; the entry has it.
    let _unheard = io::stderr().write_all(line.as_bytes());
    Err(why)
}

fn print(line: &str) -> Result<(), Errno> {
    let code = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    io::stdout().write_all(line.as_bytes()).map_err(code)
}

fn confirmed(question: &str) -> Result<bool, String> {
    let mut answer = Vec::new();
    io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().lock().read_until(b'\n', &mut answer))
        .map_err(|error| error.to_string())?;
    Ok(matches!(answer.first(), Some(b'y' | b'Y')))
}

/// Returns whether the entry was removed, or left alone because the person said no.
fn remove(
    pinned: &Pinned,
    words: &RemovalWords,
    still_holds: &dyn Fn() -> Result<bool, BrokerError>,
) -> Result<bool, String> {
    let mut asked = words.prompt == Prompt::Once && words.recursive;
    if asked && !confirmed("rm: remove 1 argument recursively? ")? {
        return Ok(false);
    }
    let protected =
        words.prompt != Prompt::Never && io::stdin().is_terminal() && pinned.is_write_protected();
    if words.prompt == Prompt::Always || protected {
        let kind = pinned.describe();
        let adverb = if protected { "write-protected " } else { "" };
        if !confirmed(&format!("rm: remove {adverb}{kind} {}? ", words.name))? {
            return Ok(false);
        }
        asked = true;
    }
    // The answer may have taken longer than the grant lasted.
    if asked && !still_holds().map_err(|error| error.to_string())? {
        return Err("Permission denied: the grant ended before the answer".to_owned());
    }
    match pinned.unlink() {
        Ok(()) => Ok(true),
        Err(Obstacle::Changed) => Err("it is not the file that was checked any more".to_owned()),
        Err(Obstacle::System(error)) => Err(error.desc().to_owned()),
    }
}
