use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::caller::{self, Changed};
use super::refusal;
use crate::broker::exec::Ended;
use crate::broker::{Attempt, Broker, BrokerError, Ruling, Settings};
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::operation::Operation;
use crate::model::scope::PathScope;
use crate::sys::account::Account;
use crate::sys::trust::{
    self, Distrust, Examined, Found, Search, Searcher, Standing, TrustedProgram,
};
use crate::sys::{Errno, env};
use crate::text::escape::{shell_word, shown};

/// A failure, and the operation it befell if it came that far.
pub(super) struct Stopped {
    pub(super) failure: Failure,
    pub(super) operation: Option<Box<Operation>>,
}

impl Stopped {
    /// Writes the failure to standard error, and returns its exit status.
    pub(super) fn print(&self, name: &str) -> ExitStatus {
        refusal::print(&self.failure, name, self.operation.as_deref());
        self.failure.status
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            operation: None,
        }
    }
}

impl From<BrokerError> for Stopped {
    fn from(error: BrokerError) -> Self {
        failed(&error).into()
    }
}

fn failed(error: &BrokerError) -> Failure {
    let failure = Failure::internal(error);
    match error.advice() {
        Some(advice) => failure.hint(advice),
        None => failure,
    }
}

/// One run of a wrapper: who calls with which words, and where what becomes of it is recorded.
pub(super) struct Run<'a> {
    pub(super) action: Action,
    /// What the trail keeps of the words: what was typed, unless that holds credentials.
    pub(super) argv: Cow<'a, [OsString]>,
    pub(super) config: Config,
    pub(super) account: Account,
    pub(super) agent: Agent,
    pub(super) changed: Changed,
    broker: Broker,
}

impl<'a> Run<'a> {
    /// Reads the configuration, opens the vault and looks at who calls.
    pub(super) fn begin(action: Action, argv: &'a [OsString]) -> Result<Self, Stopped> {
        let changed = Changed::prepare().map_err(Failure::internal)?;
        let (config, account) = Config::load().map_err(|error| {
            Failure::internal(error).hint("see what is wrong with it:  pvm config check")
        })?;
        let settings = Settings::new(
            &config.vault,
            config.max_ttl,
            config.landlock,
            config.policy.clone(),
            config.recording.clone(),
            &config.places,
            &config.trusted_directories,
        );
        let broker = Broker::for_one_command(settings)?;
        let mut run = Self {
            action,
            argv: Cow::Borrowed(argv),
            config,
            account,
            agent: caller::nameless(),
            changed,
            broker,
        };
        match caller::agent() {
            Ok(agent) => run.agent = agent,
            Err(error) => return Err(run.recorded(Failure::usage(error.to_string())).into()),
        }
        Ok(run)
    }

    /// Records a refusal that came before there was an operation to decide; it stands even when it
    /// cannot be recorded, because nothing runs.
    pub(super) fn recorded(&self, failure: Failure) -> Failure {
        let recorded =
            self.broker
                .record_refusal(&self.agent, self.action, &self.argv, &failure.message);
        self.with_complaint(unless_unrecorded(failure, recorded))
    }

    /// Says whether commands could be confined to a directory.
    pub(super) fn is_fit_for_commands(&self, directory: &PathScope) -> bool {
        self.broker.is_fit_for_commands(directory)
    }

    /// Returns the working directory. One that cannot be named is refused (PATH-19).
    pub(super) fn working_directory(&self) -> Result<PathBuf, Stopped> {
        std::env::current_dir().map_err(|error| {
            let failure = Failure::new(
                ExitStatus::Denied,
                format!("permission denied: the working directory cannot be named: {error}"),
            );
            self.recorded(failure).into()
        })
    }

    /// Returns what searches for programs as the configuration trusts them.
    pub(super) fn searcher(&self) -> Result<Searcher, Stopped> {
        let own = trust::own_identity().map_err(Failure::internal)?;
        Ok(Searcher::new(own, &self.config.trusted_directories))
    }

    /// Finds the real command: the first of that name on PATH that is not pvm, and only if it is
    /// trusted.
    pub(super) fn find_program(&self, name: &str) -> Result<TrustedProgram, Stopped> {
        match self.searcher()?.search(name, env::bytes("PATH").as_deref()) {
            Search::Trusted(program) => Ok(program),
            Search::NotFound => {
                let failure = Failure::new(
                    ExitStatus::NotFound,
                    format!("there is no other {name} on PATH than pvm's own"),
                )
                .hint(format!("see what was looked at:  pvm resolve {name}"));
                Err(self.recorded(failure).into())
            }
            Search::Hijacked { found, instead } => {
                let what = format!("the {name} that PATH gives");
                Err(self.hijacked(&what, &found, instead.as_deref()))
            }
        }
    }

    /// Finds a program that the configuration names to do the work: the first of that name on PATH
    /// that is not pvm, and only if it is trusted. It may be a script where what reads it is
    /// trusted as well (ENV-06).
    pub(super) fn find_tool(&self, key: &str, name: &OsStr) -> Result<TrustedProgram, Stopped> {
        let searcher = self.searcher()?;
        let examined = searcher.examine_named(name, env::bytes("PATH").as_deref());
        match examined {
            Some(Examined {
                standing: Standing::Trusted(program),
                ..
            }) => Ok(program),
            Some(examined) => {
                let what = format!("the {key} that PATH gives");
                let instead = searcher.trusted_instead(name);
                Err(self.hijacked(&what, &examined.found, instead.as_deref()))
            }
            None => {
                let name = shown(name.as_bytes());
                let failure = Failure::new(
                    ExitStatus::NotFound,
                    format!("the {key} is not on PATH, except as pvm itself: {name}"),
                )
                .hint("a person can set another one, or none:  pvm config path");
                Err(self.recorded(failure).into())
            }
        }
    }

    /// Refuses a program that is not trusted, and records what was found.
    pub(super) fn hijacked(&self, what: &str, found: &Found, instead: Option<&Path>) -> Stopped {
        let hit = shown(found.hit.as_os_str().as_bytes());
        if let Some(Distrust::NotLookedAt { error }) = &found.distrust {
            let failure = Failure::internal(format!("cannot look at {hit}: {error}"));
            return self.recorded(failure).into();
        }
        let why = found
            .distrust
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let why = shown(why.as_bytes());
        let mut failure = Failure::new(
            ExitStatus::NotExecutable,
            format!("{what} is not trusted: {hit}: {why}"),
        );
        if let Some(instead) = instead {
            failure = failure.hint(format!("a trusted search gives {}", instead.display()));
        }
        // What else is wrong with a program, no configuration makes good.
        let by_owner = matches!(found.distrust, Some(Distrust::Owner { .. }));
        if by_owner || self.action != Action::Exec {
            failure = failure.hint(trust_hint(&found.hit));
        }
        let recorded =
            self.broker
                .record_hijack(&self.agent, self.action, &self.argv, found, instead);
        self.with_complaint(unless_unrecorded(failure, recorded))
            .into()
    }

    /// Decides an attempt, and carries it out when it is permitted. Returns only when the command
    /// did not start, or pvm did its work.
    ///
    /// `explain` says what a person reads of a refusal.
    pub(super) fn carry_out(
        &self,
        attempt: Attempt,
        explain: impl FnOnce(&crate::broker::Refusal, &Operation) -> Failure,
    ) -> Result<ExitStatus, Stopped> {
        let ruling = self
            .broker
            .decide(attempt)
            .map_err(|error| self.undecided(&error))?;
        let permit = match ruling {
            Ruling::Permitted(permit) => permit,
            Ruling::Refused { refusal, operation } => {
                let failure = self.with_complaint(explain(&refusal, &operation));
                return Err(Stopped {
                    failure,
                    operation: Some(operation),
                });
            }
        };
        match self.broker.execute(*permit, &self.agent, &self.changed)? {
            Ended::Status(code) => Ok(ExitStatus::Command(code)),
            Ended::Unrecorded { status, error } => {
                let what = format!("the result of the command could not be recorded: {error}");
                Err(Failure::new(ExitStatus::Command(status), what).into())
            }
            Ended::Changed { program } => {
                let program = shown(program.as_os_str().as_bytes());
                let what = format!("{program} was changed after it was permitted; it did not run");
                Err(Failure::new(ExitStatus::NotExecutable, what).into())
            }
            Ended::NotStarted { program, error } => {
                let status = match error {
                    Errno::ENOENT => ExitStatus::NotFound,
                    _ => ExitStatus::NotExecutable,
                };
                let program = shown(program.as_os_str().as_bytes());
                let what = format!("cannot execute {program}: {}", error.desc());
                Err(Failure::new(status, what).into())
            }
        }
    }

    /// Says whether an attempt would be permitted now. A refusal is recorded and explained as if
    /// the attempt had been made. Others may use the vault after it.
    pub(super) fn foresee(
        &self,
        attempt: &Attempt,
        explain: impl FnOnce(&crate::broker::Refusal, &Operation) -> Failure,
    ) -> Result<(), Stopped> {
        let refusal = self
            .broker
            .foresee(attempt)
            .map_err(|error| self.undecided(&error))?;
        match refusal {
            None => Ok(()),
            Some(refusal) => Err(Stopped {
                failure: self.with_complaint(explain(&refusal, &attempt.operation)),
                operation: Some(Box::new(attempt.operation.clone())),
            }),
        }
    }

    /// A refusal that the JSON log lacks says so.
    fn with_complaint(&self, failure: Failure) -> Failure {
        match self.broker.log_complaint() {
            Some(complaint) => failure.hint(format!("{complaint}; see:  pvm doctor")),
            None => failure,
        }
    }

    /// What could not be decided is refused, and recorded where the vault is not what failed.
    fn undecided(&self, error: &BrokerError) -> Failure {
        match error {
            BrokerError::Vault(_) | BrokerError::Clock(_) => failed(error),
            _ => self.recorded(failed(error)),
        }
    }
}

fn unless_unrecorded(failure: Failure, recorded: Result<(), BrokerError>) -> Failure {
    match recorded {
        Ok(()) => failure,
        Err(error) => failure.hint(format!("this refusal could not be recorded: {error}")),
    }
}

fn trust_hint(hit: &Path) -> String {
    let directory = hit.parent().unwrap_or(hit).as_os_str();
    format!(
        "to trust it, a person adds to resolver.trusted_dirs:  {}",
        shell_word(directory.as_bytes())
    )
}
