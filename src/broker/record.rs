//! What the broker writes into the trail about operations.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::confinement::Confinement;
use super::decide::{Alone, Attempt, Refusal};
use super::foretell::Judged;
use super::permit::{Method, Work};
use super::{Broker, BrokerError};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::Grant;
use crate::model::operation::{Invocation, Objects};
use crate::model::scope::Scope;
use crate::policy::evaluate::{Allowed, Denial};
use crate::sys::trust::Found;
use crate::text::redact;

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
            .words(Field::Argv, &kept_words(action, argv))
            .text(Field::Reason, kept_reason(action, reason));
        self.record_refused(&with_cwd(event))
    }

    /// Records that a command in `cwd` would be refused before there is an operation to decide.
    pub(crate) fn record_foretold_refusal(
        &self,
        agent: &Agent,
        action: Action,
        (argv, cwd): (&[OsString], &Path),
        reason: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::GrantCheck, Outcome::Denied, agent)
            .action(action)
            .words(Field::Argv, &kept_words(action, argv))
            .path(Field::Cwd, cwd)
            .text(Field::Reason, kept_reason(action, reason))
            .text(Field::Note, ONLY_ASKED);
        self.record_refused(&event)
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
            .words(Field::Argv, &kept_words(action, argv))
            .path(Field::Program, &found.hit);
        if let Some(distrust) = &found.distrust {
            event = event.text(Field::Reason, distrust);
        }
        if let Some(instead) = instead {
            event = event.path(Field::Instead, instead);
        }
        self.record_refused(&with_cwd(event))
    }

    fn record_refused(&self, event: &Event) -> Result<(), BrokerError> {
        let (writing, now) = self.begin()?;
        self.refuse(writing, event, &now).map(|_| ())
    }

    pub(super) fn record(&self, event: &Event) -> Result<(), BrokerError> {
        let (mut writing, now) = self.begin()?;
        let entry = writing.append(event, &now)?;
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
    let event = describe(event, attempt).text(Field::Reason, reason(refusal));
    match refusal {
        Refusal::Denied(Denial::Rule { origin, .. }) | Refusal::Keeps { origin, .. } => {
            event.text(Field::Rule, origin)
        }
        _ => event,
    }
}

/// Returns the reason as the trail keeps it: without names, which have fields of their own.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Denied(Denial::Protected { what, .. }) => format!("{what} is never removed"),
        Refusal::Denied(Denial::Rule { reason, .. }) if reason.is_empty() => {
            "a rule denies it".to_owned()
        }
        Refusal::Denied(Denial::Rule { reason, .. }) => format!("a rule denies it: {reason}"),
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
        Refusal::TooMany { instead, .. } => reason(instead),
        Refusal::NotGnu { why, .. } => format!("not GNU rm, and no Landlock: {why}"),
        Refusal::NotConfined { why } => format!("the command cannot be confined: {why}"),
        Refusal::HoldsOwn { what, .. } => format!("the command would reach {what}"),
        Refusal::Keeps { action, effect, .. } => {
            format!("the command could remove what a rule with {effect} {action} is for")
        }
    }
}

pub(super) fn success(attempt: &Attempt, allowed: &Allowed, confinement: &Confinement) -> Event {
    let mut event = describe(
        Event::new(Kind::Execution, Outcome::Success, &attempt.agent),
        attempt,
    )
    .text(Field::Confinement, confinement.level);
    if matches!(confinement.method, Method::Unlink { .. } | Method::Trash(_)) {
        event = event.text(Field::By, "self");
    }
    if let Some(note) = &confinement.note {
        event = event.text(Field::Note, note);
    }
    if matches!(attempt.work, Work::Run) && attempt.argv != attempt.operation.argv {
        event = event.words(
            Field::Executed,
            &kept_words(attempt.operation.action, &attempt.argv),
        );
    }
    if let Work::Push {
        executed,
        remote,
        repository,
        kept,
        ..
    } = &attempt.work
    {
        event = event
            .words(Field::Executed, executed)
            .bytes(Field::Remote, remote)
            .path(Field::Repository, repository)
            .list(Field::Kept, kept.iter().map(Vec::as_slice));
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
        .list(
            Field::Rule,
            allowed.rules().iter().map(|rule| rule.origin.as_bytes()),
        )
}

/// What says of an entry that nothing was to run.
const ONLY_ASKED: &str = "only asked about";

/// Somebody asked whether an attempt would be permitted, and heard this.
pub(super) fn foretold(attempt: &Attempt, judged: &Judged, cached: bool) -> Event {
    let event = match &judged.outcome {
        Err(refusal) => denied(attempt, refusal),
        Ok(allowance) => {
            let event = Event::new(Kind::GrantCheck, Outcome::Granted, &attempt.agent);
            let grants = allowance.grants.iter().map(|grant| &grant.id);
            describe(event, attempt)
                .list(Field::Grant, grants.map(|id| id.as_str().as_bytes()))
                .list(Field::Rule, allowance.rules.iter().map(String::as_bytes))
        }
    };
    let event = event.text(Field::Note, ONLY_ASKED);
    if cached {
        event.text(Field::Cached, "yes")
    } else {
        event
    }
}

fn describe(event: Event, attempt: &Attempt) -> Event {
    let operation = &attempt.operation;
    let scopes = operation.scopes();
    let event = event
        .action(operation.action)
        .words(Field::Argv, &kept_words(operation.action, &operation.argv))
        .path(Field::Cwd, &operation.cwd)
        .list(
            Field::Operand,
            operation
                .targets()
                .iter()
                .map(|target| target.operand.as_bytes()),
        )
        .list(Field::Scope, scopes.iter().map(Scope::as_bytes));
    let event = match &operation.objects {
        Objects::Command(Invocation {
            digest: Some(digest),
            ..
        }) => event.text(Field::Digest, data_encoding::HEXLOWER.encode(digest)),
        _ => event,
    };
    match &attempt.program {
        Some(program) => event.path(Field::Program, program.path()),
        None => event,
    }
}

/// Returns words as the trail keeps them. A command of any kind may have a URL with a password in it
/// (AUD-14); `rm` has names only, and those of pushes come without credentials.
pub(super) fn kept_words(action: Action, words: &[OsString]) -> Cow<'_, [OsString]> {
    if action != Action::Exec {
        return Cow::Borrowed(words);
    }
    Cow::Owned(redact::words(words))
}

fn kept_reason(action: Action, reason: &str) -> Cow<'_, str> {
    if action != Action::Exec {
        return Cow::Borrowed(reason);
    }
    let kept = redact::redacted(reason.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&kept).into_owned())
}

fn with_cwd(event: Event) -> Event {
    match std::env::current_dir() {
        Ok(cwd) => event.path(Field::Cwd, cwd),
        Err(error) => event.text(Field::Note, format!("no working directory: {error}")),
    }
}
