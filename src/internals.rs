//! What the fuzz targets and the programs in bench/ call. Not part of the library: built only with
//! the feature `internals`, and free to change.

pub mod git;
mod rules;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit;
use crate::audit::daily::DailyLog;
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::broker::BrokerError;
use crate::client::{Client, Command};
use crate::model::action::{Action, ActionSet};
use crate::model::agent::{Agent, AgentName};
use crate::model::id::Id;
use crate::model::request::{Principal, Request, RequestState, Verdict};
use crate::model::scope::PathScope;
use crate::model::time::{Moment, Ttl};
use crate::sys::path::Resolver;
use crate::sys::{clock, process, random};
use crate::tool::rm;
use crate::vault::{Transaction, Use, Vault, grants, requests};

pub use rules::RuleBench;

/// A command line of `rm` that pvm would look at further.
#[derive(Debug)]
pub struct ParsedRm {
    pub informational: bool,
    pub recursive: bool,
    /// Each operand and its place among the words.
    pub operands: Vec<(usize, OsString)>,
}

/// Reads the words after `rm`; nothing when they are refused.
pub fn parse_rm(words: &[OsString]) -> Option<ParsedRm> {
    let command = rm::parse(words).ok()?;
    Some(ParsedRm {
        informational: command.options.informational,
        recursive: command.options.recursive,
        operands: command
            .operands
            .into_iter()
            .map(|operand| (operand.position, operand.word))
            .collect(),
    })
}

/// Returns the scope of an operand, or why it has none.
pub fn resolve(operand: &OsStr) -> Result<PathBuf, String> {
    Resolver::default()
        .resolve(operand)
        .map(|pinned| pinned.scope.as_path().to_owned())
        .map_err(|reason| reason.to_string())
}

/// How much one transaction writes; between two of them others get their turn.
const BATCH: u64 = 20_000;

/// Fills an existing vault with live grants on scopes of their own, and then with entries.
pub fn fill_vault(path: &Path, grants: u64, entries: u64) -> Result<(), String> {
    fill(path, grants, entries).map_err(|error| error.to_string())
}

/// Returns how long each of so many decisions about a command takes once it is resolved, the look
/// at what may have changed included.
pub fn time_decisions(
    client: &Client,
    command: &Command,
    rounds: usize,
) -> Result<Vec<Duration>, String> {
    let times = client.time_decisions(command, rounds);
    times.map_err(|error| error.to_string())
}

fn fill(path: &Path, grants: u64, entries: u64) -> Result<(), BrokerError> {
    let vault = Vault::open(path, Use::Repeated)?;
    let agent = Agent {
        name: AgentName::default(),
        uid: process::uid(),
        pid: process::pid(),
    };
    batches(grants, |batch| {
        let now = clock::now()?;
        let transaction = vault.begin()?;
        for number in batch {
            insert_grant(&transaction, number, &agent, &now)?;
        }
        Ok(transaction.commit()?)
    })?;
    let log = DailyLog::none();
    batches(entries, |batch| {
        let now = clock::now()?;
        let mut writing = audit::begin(&vault, &log)?;
        let mut last = None;
        for number in batch {
            last = Some(writing.append(&event(number, &agent), &now)?);
        }
        if let Some(entry) = last {
            writing.commit(entry, ())?;
        }
        Ok(())
    })
}

fn batches(
    count: u64,
    mut each: impl FnMut(std::ops::Range<u64>) -> Result<(), BrokerError>,
) -> Result<(), BrokerError> {
    let mut start = 0;
    while start < count {
        let end = count.min(start.saturating_add(BATCH));
        each(start..end)?;
        start = end;
    }
    Ok(())
}

/// Every tenth scope lies deep, so that a path has many ancestors to look up.
fn scope(number: u64) -> PathBuf {
    let below = if number.is_multiple_of(10) {
        "/some/way/down/in/a/deep/tree"
    } else {
        ""
    };
    PathBuf::from(format!("/srv/fill/{number}{below}"))
}

fn insert_grant(
    transaction: &Transaction<'_>,
    number: u64,
    agent: &Agent,
    now: &Moment,
) -> Result<(), BrokerError> {
    let only_rm = ActionSet::of(&[Action::Rm]);
    let request = Request {
        id: new_id()?,
        agent: None,
        uid: agent.uid,
        actions: only_rm.ok_or(BrokerError::Inconsistent("no action"))?,
        scope: PathScope::new(&scope(number))
            .map_err(|_| BrokerError::Inconsistent("a scope to fill with is none"))?
            .into(),
        operation: None,
        pin: None,
        reason: format!("filling, number {number}"),
        ttl: Ttl::minutes(480),
        not_before: None,
        uses: None,
        filed_at: now.wall,
        state: RequestState::Pending,
    };
    let verdict = Verdict {
        request: request.id.clone(),
        approved: true,
        approver: Principal::Person { uid: agent.uid },
        through: "fill-vault",
        at: now.wall,
    };
    requests::insert(transaction, &request)?;
    let approved = request
        .approve(&verdict)
        .map_err(|_| BrokerError::Inconsistent("a person's verdict was refused"))?;
    requests::decide(transaction, &verdict, approved.approver())?;
    grants::insert(transaction, new_id()?, approved, now)?;
    Ok(())
}

fn new_id() -> Result<Id, BrokerError> {
    Id::from_random(random::bytes()?).map_err(|_| BrokerError::Inconsistent("no id could be made"))
}

fn event(number: u64, agent: &Agent) -> Event {
    let path = scope(number).join("file");
    let words = ["safe-rm".into(), "-f".into(), path.clone().into_os_string()];
    Event::new(Kind::Execution, Outcome::Success, agent)
        .action(Action::Rm)
        .words(Field::Argv, &words)
        .path(Field::Cwd, "/srv/fill")
        .path(Field::Operand, &path)
        .path(Field::Scope, &path)
        .path(Field::Program, "/usr/bin/rm")
        .text(Field::Confinement, "full landlock-abi=9")
        .text(Field::Note, "filled in, nothing was executed")
}
