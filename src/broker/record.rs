//! What the broker writes into the trail about operations.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::confinement::Confinement;
use super::decide::{Alone, Attempt, Refusal};
use super::permit::Method;
use super::{Broker, BrokerError};
use crate::audit;
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::Grant;
use crate::policy::evaluate::{Allowed, Denial};
use crate::sys::clock;
use crate::sys::trust::Found;

impl Broker {
    /// Records that a command line was refused before there was an operation to decide.
    pub(crate) fn record_refusal(
        &self,
        agent: &Agent,
        action: Action,
        argv: &[OsString],
        reason: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::GrantCheck, Outcome::Denied, agent)
            .action(action)
            .words(Field::Argv, argv)
            .text(Field::Reason, reason);
        self.record(&with_cwd(event))
    }

    /// Records that the search for the real command found something that is not trusted.
    pub(crate) fn record_hijack(
        &self,
        agent: &Agent,
        action: Action,
        argv: &[OsString],
        found: &Found,
        instead: Option<&Path>,
    ) -> Result<(), BrokerError> {
        let mut event = Event::new(Kind::Hijack, Outcome::Denied, agent)
            .action(action)
            .words(Field::Argv, argv)
            .path(Field::Program, &found.hit);
        if let Some(distrust) = &found.distrust {
            event = event.text(Field::Reason, distrust);
        }
        if let Some(instead) = instead {
            event = event.path(Field::Instead, instead);
        }
        self.record(&with_cwd(event))
    }

    pub(super) fn record(&self, event: &Event) -> Result<(), BrokerError> {
        let mut writing = audit::begin(&self.vault)?;
        let entry = writing.append(event, &clock::now()?)?;
        writing.commit(entry, ())?;
        Ok(())
    }
}

/// A grant is over, and somebody noticed.
pub(super) fn expiry(agent: &Agent, grant: &Grant) -> Event {
    Event::new(Kind::Expiry, Outcome::Expired, agent)
        .text(Field::Grant, &grant.id)
        .bytes(Field::Scope, grant.scope.as_bytes())
}

pub(super) fn denied(attempt: &Attempt, refusal: &Refusal) -> Event {
    let event = Event::new(Kind::GrantCheck, Outcome::Denied, &attempt.agent);
    describe(event, attempt).text(Field::Reason, reason(refusal))
}

/// Returns the reason as the trail keeps it: without names, which have fields of their own.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Denied(Denial::Protected { what, .. }) => format!("{what} is never removed"),
        Refusal::Denied(Denial::Uncovered { nearest: None, .. }) => {
            "no active grant covers it".to_owned()
        }
        Refusal::Denied(Denial::Uncovered {
            nearest: Some((id, why)),
            ..
        }) => {
            format!("no active grant covers it; grant {id}: {why}")
        }
        Refusal::Mounted { .. } => "something is mounted at or below an operand".to_owned(),
        Refusal::Moved { .. } => "an operand was renamed while it was looked at".to_owned(),
        Refusal::Split { why, .. } => match why {
            Alone::WholeScope => "a file that is a whole scope goes alone".to_owned(),
            Alone::BesideOwn => "a file beside what belongs to pvm goes alone".to_owned(),
            Alone::BesideMount => "a file beside something mounted goes alone".to_owned(),
        },
        Refusal::NotGnu { why, .. } => format!("not GNU rm, and no Landlock: {why}"),
        Refusal::NotConfined { why } => format!("the command cannot be confined: {why}"),
    }
}

pub(super) fn success(attempt: &Attempt, allowed: &Allowed, confinement: &Confinement) -> Event {
    let mut event = describe(
        Event::new(Kind::Execution, Outcome::Success, &attempt.agent),
        attempt,
    )
    .text(Field::Confinement, confinement.level);
    if matches!(confinement.method, Method::Unlink { .. }) {
        event = event.text(Field::By, "self");
    }
    if let Some(note) = &confinement.note {
        event = event.text(Field::Note, note);
    }
    let grants = allowed.grants();
    let reasons = grants.iter().map(|grant| grant.reason.as_bytes());
    event
        .list(
            Field::Grant,
            grants.iter().map(|grant| grant.id.as_str().as_bytes()),
        )
        .list(
            Field::Approver,
            grants.iter().map(|grant| grant.approved_by.as_bytes()),
        )
        .list(
            Field::GrantReason,
            reasons.filter(|reason| !reason.is_empty()),
        )
}

fn describe(event: Event, attempt: &Attempt) -> Event {
    let operation = &attempt.operation;
    event
        .action(operation.action)
        .words(Field::Argv, &operation.argv)
        .path(Field::Cwd, &operation.cwd)
        .list(
            Field::Operand,
            operation
                .targets
                .iter()
                .map(|target| target.operand.as_bytes()),
        )
        .list(
            Field::Scope,
            operation
                .targets
                .iter()
                .map(|target| target.scope.as_bytes()),
        )
        .path(Field::Program, attempt.program.path())
}

fn with_cwd(event: Event) -> Event {
    match std::env::current_dir() {
        Ok(cwd) => event.path(Field::Cwd, cwd),
        Err(error) => event.text(Field::Note, format!("no working directory: {error}")),
    }
}
