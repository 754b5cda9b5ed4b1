//! Requests that agents file: the wish for a grant for exactly one operation, which a person decides.

use super::decide::{Attempt, Refusal};
use super::grant::{describe, new_id};
use super::{Broker, BrokerError};
use crate::audit::Writing;
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::model::action::ActionSet;
use crate::model::agent::Agent;
use crate::model::grant::{Window, WindowState};
use crate::model::id::Id;
use crate::model::request::{Request, RequestState};
use crate::model::scope::Scope;
use crate::model::time::{Moment, Ttl, Uptime};
use crate::policy::evaluate::Denial;
use crate::vault::VaultError;
use crate::vault::requests::{self, Waiting};

/// How long a person has to decide (P-D57).
const TIME_TO_DECIDE: Ttl = Ttl::minutes(60);
/// How many requests of one user can wait at a time.
const MOST_PENDING: usize = 20;

/// What an agent asks for besides the operation.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) reason: String,
    /// How long the grant is to hold.
    pub(crate) ttl: Ttl,
}

/// A request that waits for a person.
#[derive(Clone, Debug)]
pub(crate) struct Filed {
    pub(crate) id: Id,
}

/// Why no request was filed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the command is allowed already")]
    Allowed,
    #[error("no grant could permit the command")]
    Refused(Box<Refusal>),
    #[error("{asked} is longer than the longest time to live, {longest}")]
    TooLong { asked: Ttl, longest: Ttl },
    #[error("what the command touches has no scope in common")]
    NoScope,
    #[error("{MOST_PENDING} requests of this user wait already")]
    TooMany,
}

impl From<VaultError> for RequestError {
    fn from(error: VaultError) -> Self {
        Self::Broker(error.into())
    }
}

impl Broker {
    /// Files a request for a grant for exactly this attempt, unless one is pending, which is joined.
    /// Only what a grant can permit is asked for.
    pub(crate) fn file(&self, attempt: &Attempt, wish: Wish) -> Result<Filed, RequestError> {
        let longest = self.settings.max_ttl;
        if wish.ttl > longest {
            return Err(RequestError::TooLong {
                asked: wish.ttl,
                longest,
            });
        }
        let (mut writing, now) = self.begin()?;
        match self.judge_lastingly(&mut writing, attempt, &now)?.outcome {
            Ok(_) => return Err(RequestError::Allowed),
            Err(Refusal::Denied(Denial::Uncovered { .. })) => {}
            Err(refusal) => return Err(RequestError::Refused(Box::new(refusal))),
        }
        let filed = file_or_join(&mut writing, attempt, wish, &now)?;
        if let Some(entry) = writing.appended() {
            writing.commit(entry, ())?;
        }
        Ok(filed)
    }

    /// Returns where a request is now; nothing when there is none with this id. One that is over and
    /// undecided ends here.
    pub(crate) fn request_state(
        &self,
        id: &Id,
        agent: &Agent,
    ) -> Result<Option<(RequestState, Window)>, BrokerError> {
        let (mut writing, now) = self.begin()?;
        let Some(waiting) = requests::waiting(writing.transaction(), id)? else {
            return Ok(None);
        };
        let ended = end_if_over(&mut writing, &waiting, agent, &now)?;
        if let Some(entry) = writing.appended() {
            writing.commit(entry, ())?;
        }
        let state = if ended {
            RequestState::Expired
        } else {
            waiting.state
        };
        Ok(Some((state, waiting.window)))
    }
}

fn file_or_join(
    writing: &mut Writing<'_>,
    attempt: &Attempt,
    wish: Wish,
    now: &Moment,
) -> Result<Filed, RequestError> {
    let (operation, agent) = (&attempt.operation, &attempt.agent);
    let key = operation.key();
    for waiting in requests::pending_of(writing.transaction(), agent.uid)? {
        end_if_over(writing, &waiting, agent, now)?;
    }
    let pending = requests::pending_for(writing.transaction(), &key, &agent.name, agent.uid)?;
    if let Some(waiting) = pending.into_iter().next() {
        return Ok(Filed { id: waiting.id });
    }
    if requests::pending_of(writing.transaction(), agent.uid)?.len() >= MOST_PENDING {
        return Err(RequestError::TooMany);
    }
    let nothing = || BrokerError::Inconsistent("an operation without an action");
    let request = Request {
        id: new_id()?,
        agent: Some(agent.name.clone()),
        uid: agent.uid,
        actions: ActionSet::of(&[operation.action]).ok_or_else(nothing)?,
        scope: common(&operation.scopes()).ok_or(RequestError::NoScope)?,
        pin: None,
        operation: Some(key),
        reason: wish.reason,
        ttl: wish.ttl,
        not_before: None,
        uses: None,
        filed_at: now.wall,
        state: RequestState::Pending,
    };
    let window = window(now).ok_or(BrokerError::Inconsistent("no end of a request"))?;
    requests::insert(writing.transaction(), &request)?;
    requests::bind(writing.transaction(), &request.id, &key, &window)?;
    let event = describe(
        Kind::Request,
        Outcome::Pending,
        &request,
        Some(operation),
        agent,
    );
    writing.append(&event, now)?;
    Ok(Filed { id: request.id })
}

/// Returns in which window a request that is filed now can be decided.
fn window(now: &Moment) -> Option<Window> {
    let milliseconds = TIME_TO_DECIDE.milliseconds();
    Some(Window {
        issued_at: now.wall,
        not_before: now.wall,
        expires_at: now.wall.checked_add(TIME_TO_DECIDE)?,
        deadline: Uptime {
            boot: now.uptime.boot,
            milliseconds: now.uptime.milliseconds.checked_add(milliseconds)?,
        },
    })
}

/// Ends a request whose time is over, and says whether it did. It stays ended whatever the clock
/// does.
fn end_if_over(
    writing: &mut Writing<'_>,
    waiting: &Waiting,
    agent: &Agent,
    now: &Moment,
) -> Result<bool, BrokerError> {
    let is_over =
        waiting.state == RequestState::Pending && waiting.window.state(now) == WindowState::Expired;
    if !is_over || !requests::expire(writing.transaction(), &waiting.id)? {
        return Ok(false);
    }
    let event = Event::new(Kind::Expiry, Outcome::Expired, agent)
        .text(Field::Request, &waiting.id)
        .bytes(Field::Scope, waiting.scope.as_bytes())
        .text(Field::Note, "nobody decided the request");
    writing.append(&event, now)?;
    Ok(true)
}

/// Returns the nearest scope that covers all of these.
fn common(scopes: &[Scope]) -> Option<Scope> {
    let covers_all = |scope: &Scope| scopes.iter().all(|other| scope.covers(other));
    scopes.first()?.ancestors().into_iter().find(covers_all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::scope::PathScope;

    fn scope(path: &str) -> Scope {
        PathScope::new(Path::new(path)).unwrap().into()
    }

    #[test]
    fn the_scope_of_several_operands_is_the_nearest_that_covers_them() {
        let of = |paths: &[&str]| {
            let scopes: Vec<_> = paths.iter().map(|path| scope(path)).collect();
            common(&scopes)
        };
        assert_eq!(of(&["/a/b"]), Some(scope("/a/b")));
        assert_eq!(of(&["/a/b/c", "/a/b/d/e"]), Some(scope("/a/b")));
        assert_eq!(of(&["/a/bc", "/a/b"]), Some(scope("/a")));
        assert_eq!(of(&["/a", "/b"]), None);
        assert_eq!(of(&[]), None);
    }
}
