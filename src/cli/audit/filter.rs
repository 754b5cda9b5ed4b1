use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output::Stop;
use super::super::values::{self, When};
use super::fields;
use crate::audit::entry::{Entry, Record};
use crate::audit::event::{Field, Outcome};
use crate::audit::pages;
use crate::broker::BrokerError;
use crate::failure::Failure;
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::scope::{InvalidScope, PathScope};
use crate::sys::{clock, path};
use crate::text::escape::shown;
use crate::vault::{Vault, VaultError};

/// Which entries are wanted. One that cannot be read is always shown.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// From when, like 1h (ago), 2026-11-20 (midnight UTC) or 2026-11-20T15:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    since: Option<When>,
    /// Until when
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    until: Option<When>,
    /// By the agent of this name, or for it
    #[arg(long, value_name = "NAME", value_parser = values::agent)]
    agent: Option<AgentName>,
    /// About these operations
    #[arg(long = "op", value_name = "OP", value_delimiter = ',', value_parser = values::action)]
    ops: Vec<Action>,
    /// With these decisions: pending, granted, denied, expired, revoked, success, failed, result
    #[arg(long = "decision", value_name = "DECISION", value_delimiter = ',',
          value_parser = values::outcome)]
    outcomes: Vec<Outcome>,
    /// About this path or something below it
    #[arg(long, value_name = "PATH")]
    scope: Option<OsString>,
    /// About the grant whose id begins like this
    #[arg(long, value_name = "ID", value_parser = values::id_prefix)]
    grant: Option<String>,
}

/// What a filter means now and here.
#[derive(Debug)]
pub(super) struct Criteria {
    since: Option<i64>,
    until: Option<i64>,
    agent: Option<AgentName>,
    ops: Vec<Action>,
    outcomes: Vec<Outcome>,
    scope: Option<Within>,
    grant: Option<String>,
}

#[derive(Debug)]
enum Within {
    Anything,
    /// Every name that the path has.
    Any(Vec<PathScope>),
}

impl Filter {
    pub(super) fn resolve(&self) -> Result<Criteria, Stop> {
        Ok(Criteria {
            since: instant(self.since)?,
            until: instant(self.until)?,
            agent: self.agent.clone(),
            ops: self.ops.clone(),
            outcomes: self.outcomes.clone(),
            scope: self.scope.as_deref().map(within).transpose()?,
            grant: self.grant.clone(),
        })
    }
}

fn instant(when: Option<When>) -> Result<Option<i64>, Stop> {
    Ok(match when {
        None => None,
        Some(When::At(at)) => Some(at.0),
        Some(When::Ago(milliseconds)) => {
            let now = clock::now().map_err(BrokerError::from)?;
            Some(now.wall.0.saturating_sub(milliseconds))
        }
    })
}

/// Returns the names by which the trail may know a path: as it is typed, and as the kernel has it
/// now. What the trail is about is often gone, so nothing needs to exist.
fn within(typed: &OsStr) -> Result<Within, Failure> {
    let refuse = |why: &dyn std::fmt::Display| {
        let name = shown(typed.as_encoded_bytes());
        Failure::usage(format!("'{name}' cannot be a scope: {why}"))
    };
    if typed.is_empty() {
        return Err(refuse(&InvalidScope::Empty));
    }
    let path: PathBuf = std::path::absolute(typed)
        .map_err(|error| refuse(&error))?
        .components()
        .collect();
    if path == Path::new("/") {
        return Ok(Within::Anything);
    }
    let parent = path
        .parent()
        .and_then(|parent| path::canonical(parent).ok());
    let names = [
        Some(path.clone()),
        path::canonical(&path).ok(),
        parent
            .zip(path.file_name())
            .map(|(parent, name)| parent.join(name)),
    ];
    let scopes: Vec<_> = names
        .into_iter()
        .flatten()
        .filter_map(|name| PathScope::new(&name).ok())
        .collect();
    if scopes.is_empty() {
        return Err(refuse(&"it has a '..' and does not exist").hint("write it without '..'"));
    }
    Ok(Within::Any(scopes))
}

impl Criteria {
    /// Wants nothing from before an instant.
    pub(super) fn since(self, since: Option<i64>) -> Self {
        Self {
            since: since.or(self.since),
            ..self
        }
    }

    /// Says whether an entry is wanted. A result is about what the entry is about that it follows.
    pub(super) fn want(&self, record: &Record, vault: &Vault) -> Result<bool, VaultError> {
        let Ok(entry) = &record.entry else {
            return Ok(true);
        };
        if !self.want_entry(entry) {
            return Ok(false);
        }
        if self.want_subject(entry) {
            return Ok(true);
        }
        let first = match entry.value(Field::Of).and_then(fields::number) {
            Some(seq) => pages::one(vault, seq)?,
            None => None,
        };
        Ok(first.is_some_and(|first| first.entry.is_ok_and(|first| self.want_subject(&first))))
    }

    fn want_entry(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
            && self
                .agent
                .as_ref()
                .is_none_or(|agent| concerns(entry, agent.as_str()))
            && (self.ops.is_empty() || self.ops.iter().any(|op| is_about(entry, *op)))
            && (self.outcomes.is_empty() || self.outcomes.contains(&entry.outcome))
    }

    fn want_subject(&self, entry: &Entry) -> bool {
        let grant = |prefix: &String| {
            entry
                .values(Field::Grant)
                .any(|grant| grant.starts_with(prefix.as_bytes()))
        };
        self.scope
            .as_ref()
            .is_none_or(|within| within.reaches(entry))
            && self.grant.as_ref().is_none_or(grant)
    }
}

impl Within {
    fn reaches(&self, entry: &Entry) -> bool {
        entry.values(Field::Scope).any(|scope| match self {
            Self::Anything => true,
            Self::Any(names) => PathScope::from_bytes(scope.to_vec())
                .is_ok_and(|scope| names.iter().any(|name| name.covers(&scope))),
        })
    }
}

fn concerns(entry: &Entry, agent: &str) -> bool {
    let named = |whom: &[u8]| {
        whom.strip_prefix(agent.as_bytes())
            .is_some_and(|rest| rest.starts_with(b" of uid "))
    };
    entry.agent == agent || entry.values(Field::For).any(named)
}

fn is_about(entry: &Entry, op: Action) -> bool {
    let named = |ops: &[u8]| {
        ops.split(|byte| *byte == b',')
            .any(|name| name == op.name().as_bytes())
    };
    entry.action.as_deref() == Some(op.name()) || entry.values(Field::Actions).any(named)
}
