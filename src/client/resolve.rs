//! From a command to what it would do, as the wrapper of its name works it out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::answer::Decision;
use super::command::Command;
use super::error::{Error, ErrorKind};
use crate::broker::{Attempt, RemovalWords, TrashWords, Work};
use crate::config::Config;
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::operation::{FileIdentity, Objects, Operation};
use crate::sys::account::Account;
use crate::sys::env::SAFE_PATH;
use crate::sys::path::{self, Resolver};
use crate::sys::process;
use crate::sys::trust::{Found, Program, Search, Searcher, TrustedProgram};
use crate::text::escape::{brief, shown};
use crate::text::redact;
use crate::tool::git::globals::{self, Globals};
use crate::tool::git::{commands, open, options, plan};
use crate::tool::{exec, rm, trash};

/// What a command is resolved with.
pub(super) struct Installation<'a> {
    pub(super) program: &'a Path,
    pub(super) config: &'a Config,
    pub(super) account: &'a Account,
}

/// What came of resolving a command.
pub(super) enum Prepared {
    Attempt(Box<Attempt>),
    Stopped(Box<Stopped>),
    /// The wrapper would pass it on.
    Unguarded,
}

/// A refusal that comes before there is an operation to decide.
pub(super) struct Stopped {
    pub(super) agent: Agent,
    pub(super) action: Action,
    pub(super) argv: Vec<OsString>,
    pub(super) cwd: PathBuf,
    pub(super) decision: Decision,
}

/// Works out what `command` would do.
///
/// # Errors
///
/// When the command makes no sense, or its directory or pvm cannot be looked at.
pub(super) fn prepare(
    command: &Command,
    installation: &Installation<'_>,
) -> Result<Prepared, Error> {
    let resolving = Resolving::begin(command, installation)?;
    let name = command.words.first().and_then(|word| word.to_str());
    match name.unwrap_or_default() {
        "rm" | "safe-rm" => resolving.rm(),
        "trash" | "trash-put" | "safe-trash" => resolving.trash(),
        "safe-git-push" => {
            let rest = resolving.arguments();
            let nothing = Globals {
                options: Vec::new(),
                words: &[],
                subcommand: None,
                rest,
            };
            Ok(resolving.push(&nothing))
        }
        "git" => Ok(resolving.git()),
        _ => Ok(resolving.exec()),
    }
}

struct Resolving<'a> {
    command: &'a Command,
    installation: &'a Installation<'a>,
    agent: Agent,
    cwd: PathBuf,
    own: FileIdentity,
}

impl<'a> Resolving<'a> {
    fn begin(command: &'a Command, installation: &'a Installation<'a>) -> Result<Self, Error> {
        let invalid = |what: &str| Error::new(ErrorKind::Invalid, what);
        let name = command.agent_name();
        let name = name.ok_or_else(|| invalid("the agent's name is none"))?;
        let holds_nul = |word: &OsString| word.as_bytes().contains(&0);
        if command.words.iter().any(holds_nul) {
            return Err(invalid("a word of the command holds a NUL byte"));
        }
        if !command.directory.is_absolute() {
            return Err(invalid(
                "the directory of the command is not an absolute path",
            ));
        }
        let unseen = |what: &Path, error: path::PathError| {
            Error::new(
                ErrorKind::System,
                format!("cannot look at {}: {error}", what.display()),
            )
        };
        let cwd = path::canonical(&command.directory)
            .map_err(|error| unseen(&command.directory, error))?;
        let own = path::identity_of(installation.program)
            .map_err(|error| unseen(installation.program, error))?;
        let agent = Agent {
            name,
            uid: process::uid(),
            pid: process::pid(),
        };
        Ok(Self {
            command,
            installation,
            agent,
            cwd,
            own,
        })
    }

    fn arguments(&self) -> &'a [OsString] {
        self.command.words.get(1..).unwrap_or_default()
    }

    fn resolver(&self) -> Result<Resolver, Error> {
        Resolver::on_behalf(&self.cwd, self.own).map_err(|error| {
            let cwd = self.cwd.display();
            Error::new(ErrorKind::System, format!("cannot look at {cwd}: {error}"))
        })
    }

    fn searcher(&self) -> Searcher {
        Searcher::new(self.own, &self.installation.config.trusted_directories)
    }

    fn search_path(&self) -> &OsStr {
        self.command
            .search_path
            .as_deref()
            .unwrap_or(OsStr::new(SAFE_PATH))
    }

    fn find(&self, name: &str, action: Action) -> Result<TrustedProgram, Prepared> {
        match self.searcher().search(name, Some(self.search_path())) {
            Search::Trusted(program) => Ok(program),
            Search::NotFound => {
                let what = format!("there is no other {name} on the search path than pvm's own");
                Err(self.stop(action, what))
            }
            Search::Hijacked { found, .. } => {
                Err(self.stop(action, distrusted(&format!("the {name} found"), &found)))
            }
        }
    }

    fn stop(&self, action: Action, reason: impl std::fmt::Display) -> Prepared {
        self.stop_with_hint(action, reason, None)
    }

    fn stop_with_hint(
        &self,
        action: Action,
        reason: impl std::fmt::Display,
        hint: Option<&str>,
    ) -> Prepared {
        Prepared::Stopped(Box::new(Stopped {
            agent: self.agent.clone(),
            action,
            argv: redacted(action, &self.command.words),
            cwd: self.cwd.clone(),
            decision: Decision::denied(reason, hint.map(str::to_owned)),
        }))
    }

    fn attempt(&self, operation: Operation, program: Option<Program>, work: Work) -> Attempt {
        Attempt {
            agent: self.agent.clone(),
            argv: operation.argv.clone(),
            operation,
            pins: Vec::new(),
            program,
            // Nothing will run.
            environment: Vec::new(),
            work,
        }
    }

    fn rm(&self) -> Result<Prepared, Error> {
        let stop = |refused: &rm::Refused| match refused {
            rm::Refused::Operand { operand, reason } => {
                let operand = brief(operand.as_bytes());
                self.stop(
                    Action::Rm,
                    format!("'{operand}' cannot be removed: {reason}"),
                )
            }
            other => self.stop(Action::Rm, other),
        };
        let words = &self.command.words;
        let resolver = self.resolver()?;
        let resolved = rm::parse(self.arguments())
            .and_then(|read| rm::resolve_with(resolver, &read, words, self.cwd.clone()));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(refused) => return Ok(stop(&refused)),
        };
        let program = match self.find("rm", Action::Rm) {
            Ok(program) => program,
            Err(stopped) => return Ok(stopped),
        };
        let rm::Resolved {
            options,
            operation,
            pins,
        } = resolved;
        let work = Work::Remove {
            empty_directories: options.directories,
            words: RemovalWords {
                name: String::new(),
                prompt: options.prompt,
                recursive: options.recursive,
                verbose: options.verbose,
            },
        };
        let attempt = self.attempt(operation, Some(Program::Trusted(program)), work);
        Ok(Prepared::Attempt(Box::new(Attempt { pins, ..attempt })))
    }

    fn trash(&self) -> Result<Prepared, Error> {
        let resolver = self.resolver()?;
        let read = match trash::parse(self.arguments()) {
            Ok(read) if read.options.informational => return Ok(Prepared::Unguarded),
            Ok(read) => read,
            Err(refused) => return Ok(self.stop(Action::Trash, refused)),
        };
        let words = &self.command.words;
        let resolved = match trash::resolve_with(resolver, &read, words, self.cwd.clone()) {
            Ok(resolved) => resolved,
            Err(refused) => return Ok(self.stop(Action::Trash, refused)),
        };
        let trash::Resolved {
            options,
            operation,
            pins,
        } = resolved;
        let account = self.installation.account;
        let work = Work::Trash(TrashWords {
            program: "safe-trash".to_owned(),
            home: account.home.clone(),
            uid: account.uid,
            force: options.force,
            verbose: options.verbose,
        });
        let attempt = self.attempt(operation, None, work);
        Ok(Prepared::Attempt(Box::new(Attempt { pins, ..attempt })))
    }

    fn git(&self) -> Prepared {
        let read = match globals::parse(self.arguments()) {
            Ok(read) => read,
            Err(error) => return self.stop(Action::GitPush, error),
        };
        match read.subcommand {
            Some(subcommand) if subcommand == "push" => self.push(&read),
            Some(subcommand) if !commands::is_builtin(subcommand) => self.stop_with_hint(
                Action::GitPush,
                format!(
                    "'git {}' may be an alias of a push",
                    shown(subcommand.as_bytes())
                ),
                Some("name the command that it stands for"),
            ),
            _ => Prepared::Unguarded,
        }
    }

    fn push(&self, read: &Globals<'_>) -> Prepared {
        let stopped = |refused: plan::Refused| self.stop(Action::GitPush, refused);
        let asked = match options::parse(read.rest) {
            Ok(asked) if asked.informational => return Prepared::Unguarded,
            Ok(asked) => asked,
            Err(error) => return stopped(error.into()),
        };
        let program = match self.find("git", Action::GitPush) {
            Ok(program) => program,
            Err(stopped) => return stopped,
        };
        let home = &self.installation.account.home;
        let push = open::open(&read.options, &self.cwd, home, program.path())
            .and_then(|opened| plan::plan(&asked, &opened).map(|push| (opened, push)));
        let (opened, push) = match push {
            Ok(both) => both,
            Err(refused) => return stopped(refused),
        };
        let action = if push.force {
            Action::GitPushForce
        } else {
            Action::GitPush
        };
        let operation = Operation {
            action,
            objects: Objects::Repositories(push.scopes()),
            argv: redacted(action, &self.command.words),
            cwd: self.cwd.clone(),
        };
        let work = Work::Push {
            executed: Vec::new(),
            remote: push.remote.clone(),
            repository: opened.repository.top.clone(),
            kept: Vec::new(),
            afterwards: None,
        };
        let program = Some(Program::Trusted(program));
        Prepared::Attempt(Box::new(self.attempt(operation, program, work)))
    }

    fn exec(&self) -> Prepared {
        let words = &self.command.words;
        let path = Some(self.search_path());
        let resolved = exec::resolve(words, &self.searcher(), path, self.cwd.clone());
        let exec::Resolved {
            operation, program, ..
        } = match resolved {
            Ok(resolved) => resolved,
            Err(exec::Refused::Distrusted { examined, .. }) => {
                let what = distrusted("the program", &examined.found);
                return self.stop(Action::Exec, what);
            }
            Err(refused) => return self.stop(Action::Exec, refused),
        };
        let program = Some(program);
        Prepared::Attempt(Box::new(self.attempt(operation, program, Work::Run)))
    }
}

fn distrusted(what: &str, found: &Found) -> String {
    let why = found.distrust.as_ref().map(ToString::to_string);
    format!(
        "{what} is not trusted: {}: {}",
        found.hit.display(),
        why.unwrap_or_default()
    )
}

/// Returns the words as the trail keeps them: without credentials.
fn redacted(action: Action, words: &[OsString]) -> Vec<OsString> {
    match action {
        Action::GitPush | Action::GitPushForce => redact::words(words),
        _ => words.to_vec(),
    }
}
