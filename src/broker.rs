//! The only code that changes state: it turns operations into decisions and verdicts into grants,
//! and records both.

mod cache;
mod confinement;
mod decide;
pub(crate) mod exec;
mod foretell;
mod grant;
mod permit;
mod protected;
mod record;
mod refusals;
mod report;
mod request;
mod sites;
mod subject;
mod undo;
mod watch;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::audit;
use crate::audit::daily::DailyLog;
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::confine::ConfineError;
use crate::model::agent::Agent;
use crate::model::confinement::Mode;
use crate::model::recording::Recording;
use crate::model::rule::Policy;
use crate::model::time::Ttl;
use crate::sys::clock::{self, ClockError};
use crate::sys::path::PathError;
use crate::sys::random::RandomError;
use crate::vault::{Use, Vault, VaultError};

pub(crate) use crate::policy::evaluate::{Denial, Opinion};
pub(crate) use cache::{Cache, Key};
pub(crate) use decide::{Alone, Attempt, Refusal, Ruling};
pub(crate) use foretell::Judged;
pub(crate) use grant::{Asked, GrantError, Selection};
pub(crate) use permit::{Afterwards, Permit, RemovalWords, TrashWords, Work};
pub(crate) use report::{Coverage, Snapshot};
pub(crate) use request::{RequestError, Wish};
pub(crate) use subject::{on_scope, opinion};
pub(crate) use undo::Trashed;
pub(crate) use watch::{Seen, Watch};

/// What the broker has to know of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) vault: PathBuf,
    pub(crate) max_ttl: Ttl,
    pub(crate) landlock: Mode,
    pub(crate) policy: Policy,
    pub(crate) recording: Recording,
    /// Where the configuration is looked for, whether it is there or not: no grant reaches it.
    pub(crate) configuration: Vec<PathBuf>,
    /// Directories whose programs are trusted: no confined command writes there.
    pub(crate) trusted: Vec<PathBuf>,
}

impl Settings {
    /// `configuration` has every place where a file would be in force, `trusted` the directories of
    /// `resolver.trusted_dirs`.
    pub(crate) fn new(
        vault: &Path,
        max_ttl: Ttl,
        landlock: Mode,
        policy: Policy,
        recording: Recording,
        configuration: &[PathBuf],
        trusted: &[PathBuf],
    ) -> Self {
        Self {
            vault: vault.to_owned(),
            max_ttl,
            landlock,
            policy,
            recording,
            configuration: configuration.to_vec(),
            trusted: trusted.to_vec(),
        }
    }
}

/// Why the broker could not do what it was asked, and so nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Clock(#[from] ClockError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error("the command cannot be confined: {0}")]
    Confine(#[from] ConfineError),
    #[error("cannot look at {}: {reason}", .path.display())]
    Path { path: PathBuf, reason: PathError },
    #[error("cannot tell which program this is: {0}")]
    Program(std::io::Error),
    #[error("cannot read the mount table: {0}")]
    Mounts(std::io::Error),
    #[error("cannot prepare the process: {0}")]
    Prepare(std::io::Error),
    #[error("{0}")]
    Inconsistent(&'static str),
}

impl BrokerError {
    /// Returns what to do about it, where there is something.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Vault(VaultError::Missing(_)) => Some("make one:  pvm init"),
            Self::Vault(VaultError::Unsafe(_) | VaultError::StrangeSchema(_)) => {
                Some("see what is wrong:  pvm doctor")
            }
            Self::Vault(VaultError::NewerSchema { .. }) => Some("install a newer pvm"),
            Self::Vault(VaultError::Busy(_)) => Some("try again; if it stays so:  pvm doctor"),
            Self::Vault(VaultError::EmptyTrail) => {
                Some("restore a backup, or move the vault away and make a new one:  pvm init")
            }
            Self::Vault(VaultError::StrangeValue(_)) => {
                Some("see where the trail was changed:  pvm audit verify")
            }
            Self::Clock(_) => Some("set the clock of this machine"),
            Self::Confine(_) => Some("see what the kernel has:  pvm doctor"),
            _ => None,
        }
    }
}

/// An open vault and the rules for using it.
#[derive(Debug)]
pub(crate) struct Broker {
    vault: Vault,
    settings: Settings,
    log: DailyLog,
    /// The refusals of this minute as they were when the last transaction began.
    tallies: RefCell<refusals::Tallies>,
    /// The pvm whose decisions are foretold, where this process is another program. It will never
    /// carry out what it asks about.
    foretells: Option<PathBuf>,
}

impl Broker {
    /// Opens the vault for one decision, after which this process becomes another program.
    pub(crate) fn for_one_command(settings: Settings) -> Result<Self, BrokerError> {
        let vault = Vault::open(&settings.vault, Use::Once)?;
        Ok(Self::with(vault, settings))
    }

    /// Opens the vault for the command line; a missing vault is an error.
    pub(crate) fn open(settings: Settings) -> Result<Self, BrokerError> {
        let vault = Vault::open(&settings.vault, Use::Repeated)?;
        Ok(Self::with(vault, settings))
    }

    /// Opens the vault, and makes one when there is none.
    ///
    /// Returns whether it was made.
    pub(crate) fn open_or_create(
        settings: Settings,
        by: &Agent,
    ) -> Result<(Self, bool), BrokerError> {
        let event = Event::new(Kind::Config, Outcome::Granted, by)
            .text(Field::Note, "the vault was made")
            .path(Field::File, &settings.vault);
        let first = audit::first(&event, &clock::now()?);
        let (vault, made) = Vault::open_or_create(&settings.vault, &first)?;
        let broker = Self::with(vault, settings);
        if made {
            broker.log.write(vec![first]);
        }
        Ok((broker, made))
    }

    fn with(vault: Vault, settings: Settings) -> Self {
        Self {
            log: DailyLog::new(&settings.recording.log),
            tallies: RefCell::default(),
            foretells: None,
            vault,
            settings,
        }
    }

    /// Opens the vault for a process that foretells what the pvm at `program` would decide.
    pub(crate) fn for_onlooker(settings: Settings, program: &Path) -> Result<Self, BrokerError> {
        let broker = Self::open(settings)?;
        Ok(Self {
            foretells: Some(program.to_owned()),
            ..broker
        })
    }

    /// Returns what went wrong with the JSON log since this was last asked, if something did.
    pub(crate) fn log_complaint(&self) -> Option<String> {
        self.log.take_complaint()
    }

    /// Records that a person changes the configuration.
    pub(crate) fn record_configuration(
        &self,
        by: &Agent,
        file: &Path,
        change: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::Config, Outcome::Granted, by)
            .text(Field::Note, change)
            .path(Field::File, file);
        self.record(&event)
    }

    /// Records that a person changes the standing rules, with the rule's own text.
    pub(crate) fn record_rule(
        &self,
        by: &Agent,
        file: &Path,
        change: &str,
        rule: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::Config, Outcome::Granted, by)
            .text(Field::Note, change)
            .text(Field::Rule, rule)
            .path(Field::File, file);
        self.record(&event)
    }

    /// Records that a change to the configuration that was recorded was not made.
    pub(crate) fn record_unchanged(
        &self,
        by: &Agent,
        file: &Path,
        error: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::Config, Outcome::Failed, by)
            .text(Field::Error, error)
            .path(Field::File, file);
        self.record(&event)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Writes a consistent copy of the vault to a file that does not exist yet.
    pub(crate) fn backup(&self, to: &Path) -> Result<(), BrokerError> {
        Ok(self.vault.backup(to)?)
    }
}
