mod trash;
mod unlink;

use std::convert::Infallible;
use std::ffi::CString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::permit::{Afterwards, Method, RemovalWords, TrashWords};
use super::{Broker, BrokerError, Permit};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::audit::{Recorded, daily};
use crate::confine::{ConfineError, Ruleset};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::{Grant, WindowState};
use crate::model::operation::Operation;
use crate::policy::evaluate::Allowed;
use crate::sys::path::Pinned;
use crate::sys::trust::Program;
use crate::sys::{Errno, clock, exec as sys_exec, fs as sys_fs, process, scratch};
use crate::vault::grants;

/// How a permitted operation ended, if this process is still here to say.
#[derive(Debug)]
pub(crate) enum Ended {
    /// pvm did the work itself; this is the exit status of the command that it stood in for.
    Status(u8),
    /// pvm did the work itself, and the trail has its start but not its end.
    Unrecorded { status: u8, error: BrokerError },
    /// The command is not the one any more that was permitted, and did not start.
    Changed { program: PathBuf },
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
    #[error("the program was changed after it was permitted")]
    Changed,
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
        if let Some(complaint) = self.log_complaint() {
            daily::note("pvm", &complaint);
        }
        let Permit {
            recorded,
            method,
            operation,
            pins,
            program,
        } = permit;
        if operation.action == Action::Exec {
            self.sweep();
        }
        let begun = Begun {
            recorded: &recorded,
            operation: &operation,
            agent,
        };
        let real = || {
            program
                .as_ref()
                .ok_or(BrokerError::Inconsistent("there is no command to run"))
        };
        match method {
            Method::Attend {
                argv,
                environment,
                afterwards,
            } => self.attend(&begun, &argv, &afterwards, |argv| {
                start(real()?, argv, &environment, caller)
            }),
            Method::Trash(words) => Ok(self.put(&begun, &pins, &words)),
            Method::Unlink { words } => self.unlink(&begun, &pins, &words),
            Method::Become {
                ruleset,
                argv,
                environment,
                names_pins,
                scratch,
            } => {
                let handed_on = if names_pins { pins.as_slice() } else { &[] };
                let program = real()?;
                let start = || -> Result<Infallible, StartError> {
                    self.prepare(ruleset.zip(Some(scratch)), handed_on, caller)?;
                    if !program.is_unchanged() {
                        return Err(StartError::Changed);
                    }
                    sys_exec::become_program(program.path(), &argv, &environment)
                        .map_err(StartError::Exec)
                };
                let Err(error) = start();
                self.not_started(&begun, program, error)
            }
        }
    }

    /// Removes what confined commands have left behind. Nobody waits for it.
    fn sweep(&self) {
        self.vault.give_up_turn();
        if let Ok(now) = clock::now() {
            scratch::sweep(&self.vault.scratch_notes(), now.uptime.boot);
        }
    }

    /// Runs the command to its end, and what comes after it once it succeeded.
    fn attend(
        &self,
        begun: &Begun<'_>,
        argv: &[CString],
        afterwards: &Afterwards,
        run: impl Fn(&[CString]) -> Result<u8, BrokerError>,
    ) -> Result<Ended, BrokerError> {
        self.vault.give_up_turn();
        let mut status = run(argv)?;
        let mut commands = afterwards.commands.iter();
        while status == 0
            && let Some(next) = commands.next()
        {
            status = run(next)?;
        }
        let _unchanged = process::ignore_broken_pipes();
        if status == 0 {
            let _unheard = io::stdout().write_all(afterwards.lines.as_bytes());
        }
        let event = begun.event(Outcome::Result).text(Field::Status, status);
        Ok(self.own_work_done(status, &event))
    }

    fn put(&self, begun: &Begun<'_>, pins: &[Pinned], words: &TrashWords) -> Ended {
        self.vault.give_up_turn();
        let _unchanged = process::ignore_broken_pipes();
        let moved = trash::put(begun.operation, pins, words);
        let places = moved
            .places
            .iter()
            .map(|place| place.as_os_str().as_bytes());
        let mut event = begun
            .event(Outcome::Result)
            .text(Field::By, "self")
            .text(Field::Status, moved.status)
            .list(Field::Trashed, places);
        if let Some(error) = moved.error {
            event = event.text(Field::Error, error);
        }
        self.own_work_done(moved.status, &event)
    }

    fn unlink(
        &self,
        begun: &Begun<'_>,
        pins: &[Pinned],
        words: &RemovalWords,
    ) -> Result<Ended, BrokerError> {
        // A person may be asked, and nobody shall wait for the answer.
        self.vault.give_up_turn();
        // No command follows, so a closed pipe is an error to record and not a death.
        let _unchanged = process::ignore_broken_pipes();
        let [pinned] = pins else {
            return Err(BrokerError::Inconsistent("one file was to be removed"));
        };
        let done = unlink::unlink(pinned, words, &|| self.still_holds(begun.recorded.value()));
        let status = u8::from(done.is_err());
        let mut event = begun
            .event(Outcome::Result)
            .text(Field::By, "self")
            .text(Field::Status, status);
        if let Err(error) = done {
            event = event.text(Field::Error, error);
        }
        Ok(self.own_work_done(status, &event))
    }

    /// Records how what was done here ended. It stays done, so the status holds in any case.
    fn own_work_done(&self, status: u8, event: &Event) -> Ended {
        match self.record(event) {
            Ok(()) => Ended::Status(status),
            Err(error) => Ended::Unrecorded { status, error },
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

    /// Hands on nothing that the caller did not hand on, and restricts this process for good. Where the
    /// ruleset comes with a directory in which removals are permitted, one has to succeed there: who
    /// answers for the kernel does not know which is which.
    fn prepare(
        &self,
        ruleset: Option<(Ruleset, Option<PathBuf>)>,
        handed_on: &[Pinned],
        caller: &dyn Caller,
    ) -> Result<(), StartError> {
        let canary = self.vault.canary().map_err(io::Error::other)?;
        let scratch = ruleset.as_ref().and_then(|(_, scratch)| scratch.as_ref());
        let permitted = scratch.map(|scratch| scratch.join("pvm-control"));
        if let Some(permitted) = &permitted {
            sys_fs::create_private_file(permitted)?;
        }
        caller.restore()?;
        process::close_all_on_exec()?;
        for pinned in handed_on {
            process::keep_on_exec(&*pinned.parent)?;
        }
        if let Some((ruleset, _)) = ruleset {
            ruleset.enforce(|| sys_fs::remove_file(&canary))?;
        }
        if let Some(permitted) = &permitted {
            sys_fs::remove_file(permitted).map_err(ConfineError::CanaryUnclear)?;
        }
        Ok(())
    }

    /// Gives back what a command that did not start would have used up.
    fn not_started(
        &self,
        begun: &Begun<'_>,
        program: &Program,
        error: StartError,
    ) -> Result<Ended, BrokerError> {
        let (mut writing, now) = self.begin()?;
        for grant in begun.recorded.value().grants() {
            grants::refund(writing.transaction(), &grant.id)?;
        }
        let event = begun.event(Outcome::Failed).text(Field::Error, &error);
        let entry = writing.append(&event, &now)?;
        writing.commit(entry, ())?;
        let program = program.path().to_owned();
        match error {
            StartError::Exec(error) => Ok(Ended::NotStarted { program, error }),
            StartError::Changed => Ok(Ended::Changed { program }),
            StartError::Confine(error) => Err(error.into()),
            StartError::Prepare(error) => Err(BrokerError::Prepare(error)),
        }
    }
}

/// What was recorded before anything was done.
struct Begun<'a> {
    recorded: &'a Recorded<Allowed>,
    operation: &'a Operation,
    agent: &'a Agent,
}

impl Begun<'_> {
    /// Returns the beginning of an entry about how it ended.
    fn event(&self, outcome: Outcome) -> Event {
        Event::new(Kind::Execution, outcome, self.agent)
            .action(self.operation.action)
            .text(Field::Of, self.recorded.entry().seq)
    }
}

/// Runs a command as a child, and returns its exit status, or what a shell has for one that could
/// not be run.
fn start(
    program: &Program,
    argv: &[CString],
    environment: &[CString],
    caller: &dyn Caller,
) -> Result<u8, BrokerError> {
    process::run_child(|| {
        let ready = caller.restore().and_then(|()| process::close_all_on_exec());
        if ready.is_err() {
            return 125;
        }
        let Err(error) = sys_exec::become_program(program.path(), argv, environment);
        if error == Errno::ENOENT { 127 } else { 126 }
    })
    .map_err(BrokerError::Prepare)
}
