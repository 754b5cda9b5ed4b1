use super::confinement::Unfit;
use super::{Broker, BrokerError, record};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::model::action::{Action, ActionSet};
use crate::model::agent::{Agent, AgentName};
use crate::model::grant::{Ending, Grant, Pin, WindowState};
use crate::model::id::Id;
use crate::model::operation::{Objects, Operation};
use crate::model::protected::ProtectedPlace;
use crate::model::request::{NotApproved, Principal, Request, RequestState, Verdict};
use crate::model::scope::Scope;
use crate::model::time::{Timestamp, Ttl};
use crate::sys::path;
use crate::sys::random;
use crate::vault::{VaultError, grants, requests};

/// What a grant is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Nobody named: any agent of the user.
    pub(crate) agent: Option<AgentName>,
    pub(crate) actions: ActionSet,
    pub(crate) scope: Scope,
    /// The one operation that it is for; nothing: any in the scope.
    pub(crate) operation: Option<Operation>,
    pub(crate) ttl: Ttl,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) uses: Option<u32>,
    pub(crate) pin: bool,
    pub(crate) reason: String,
}

/// Which grants to revoke.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// The one whose id begins like this.
    Id(String),
    Agent(AgentName),
    /// Those on one of these scopes or in it.
    Scopes(Vec<Scope>),
    All,
}

/// Why a grant was not given or not revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
    #[error("{asked} is longer than the longest time to live, {longest}")]
    TooLong { asked: Ttl, longest: Ttl },
    #[error("the scope is {0} or lies in it, which no grant reaches")]
    OwnPlace(&'static str),
    #[error("{}", unfit(*.0))]
    Unfit(Unfit),
    #[error("the window lies in the past")]
    Past,
    #[error("no grant has an id that begins with '{0}'")]
    Unknown(String),
    #[error("several grants have ids that begin with '{0}'")]
    Ambiguous(String),
}

fn unfit(why: Unfit) -> String {
    match why {
        Unfit::Missing => "the scope of exec does not exist, so no command runs in it".to_owned(),
        Unfit::NoDirectory => {
            "the scope of exec is not a directory, so no command runs in it".to_owned()
        }
        Unfit::HoldsOwn(what) => format!(
            "the scope of exec holds {what} or lies in it, so no command can be confined to it"
        ),
    }
}

impl From<VaultError> for GrantError {
    fn from(error: VaultError) -> Self {
        Self::Broker(error.into())
    }
}

impl Broker {
    /// Files a request for the grant and approves it, in one transaction, on the word of the
    /// person who calls.
    pub(crate) fn grant(&self, asked: Asked, person: &Agent) -> Result<Grant, GrantError> {
        let (mut writing, now) = self.begin()?;
        if asked.ttl > self.settings.max_ttl {
            return Err(GrantError::TooLong {
                asked: asked.ttl,
                longest: self.settings.max_ttl,
            });
        }
        if asked.not_before.is_some_and(|start| start < now.wall) {
            return Err(GrantError::Past);
        }
        // What only contains such a place may be granted; the place itself is left out on use.
        let own = self.protected_places()?;
        let is_own = |place: &&ProtectedPlace| {
            asked
                .scope
                .path()
                .is_some_and(|scope| place.path.covers(scope))
        };
        if let Some(place) = own.iter().find(is_own) {
            return Err(GrantError::OwnPlace(place.what));
        }
        if asked.actions.contains(Action::Exec)
            && asked.operation.is_none()
            && let Some(scope) = asked.scope.path()
            && let Some(why) = self.unfit(scope)?
        {
            return Err(GrantError::Unfit(why));
        }
        let request = Request {
            id: new_id()?,
            agent: asked.agent,
            uid: person.uid,
            actions: asked.actions,
            pin: pin(asked.pin, &asked.scope)?,
            scope: asked.scope,
            operation: asked.operation.as_ref().map(Operation::key),
            reason: asked.reason,
            ttl: asked.ttl,
            not_before: asked.not_before,
            uses: asked.uses,
            filed_at: now.wall,
            state: RequestState::Pending,
        };
        let verdict = Verdict {
            request: request.id.clone(),
            approved: true,
            approver: Principal::Person { uid: person.uid },
            through: "pvm grant",
            at: now.wall,
        };
        requests::insert(writing.transaction(), &request)?;
        let only = asked.operation.as_ref();
        writing.append(
            &describe(Kind::Request, Outcome::Pending, &request, only, person),
            &now,
        )?;
        let approved = request.approve(&verdict)?;
        if !requests::decide(writing.transaction(), &verdict, approved.approver())? {
            return Err(NotApproved::NotPending.into());
        }
        let event = describe(
            Kind::Approval,
            Outcome::Granted,
            approved.request(),
            only,
            person,
        )
        .text(Field::Approver, approved.approver());
        let grant = grants::insert(writing.transaction(), new_id()?, approved, &now)?;
        let entry = writing.append(&event.text(Field::Grant, &grant.id), &now)?;
        writing.commit(entry, ())?;
        Ok(grant)
    }

    /// Ends grants at once, and returns those that this ended. The next command sees it.
    pub(crate) fn revoke(
        &self,
        selection: &Selection,
        by: &Agent,
    ) -> Result<Vec<Grant>, GrantError> {
        let (mut writing, now) = self.begin()?;
        let selected = select(selection, writing.transaction())?;
        let mut revoked = Vec::new();
        for grant in selected {
            if grant.ended.is_some() || grant.window.state(&now) == WindowState::Expired {
                continue;
            }
            if !grants::end(writing.transaction(), &grant.id, Ending::Revoked, now.wall)? {
                continue;
            }
            let event = Event::new(Kind::Revocation, Outcome::Revoked, by)
                .text(Field::Grant, &grant.id)
                .bytes(Field::Scope, grant.scope.as_bytes());
            let entry = writing.append(&event, &now)?;
            revoked.push((grant, entry));
        }
        if let Some((_, entry)) = revoked.last() {
            let entry = *entry;
            writing.commit(entry, ())?;
        }
        Ok(revoked.into_iter().map(|(grant, _)| grant).collect())
    }
}

fn select(
    selection: &Selection,
    transaction: &crate::vault::Transaction<'_>,
) -> Result<Vec<Grant>, GrantError> {
    let unended = || grants::unended(transaction);
    Ok(match selection {
        Selection::All => unended()?,
        Selection::Agent(name) => unended()?
            .into_iter()
            .filter(|grant| grant.agent.as_ref() == Some(name))
            .collect(),
        Selection::Scopes(scopes) => unended()?
            .into_iter()
            .filter(|grant| scopes.iter().any(|scope| scope.covers(&grant.scope)))
            .collect(),
        Selection::Id(prefix) => {
            let found = grants::with_prefix(transaction, prefix)?;
            match found.len() {
                0 => return Err(GrantError::Unknown(prefix.clone())),
                1 => found,
                _ => return Err(GrantError::Ambiguous(prefix.clone())),
            }
        }
    })
}

pub(super) fn new_id() -> Result<Id, BrokerError> {
    Id::from_random(random::bytes()?).map_err(|_| BrokerError::Inconsistent("no id could be made"))
}

fn pin(wanted: bool, scope: &Scope) -> Result<Option<Pin>, BrokerError> {
    let Some(scope) = scope.path().filter(|_| wanted) else {
        return Ok(None);
    };
    let path = scope.as_path();
    path::pin(path)
        .map(Some)
        .map_err(|reason| BrokerError::Path {
            path: path.to_owned(),
            reason,
        })
}

pub(super) fn describe(
    kind: Kind,
    outcome: Outcome,
    request: &Request,
    only: Option<&Operation>,
    person: &Agent,
) -> Event {
    let mut event = Event::new(kind, outcome, person)
        .text(Field::Request, &request.id)
        .text(Field::For, request.requester())
        .text(Field::Actions, request.actions)
        .bytes(Field::Scope, request.scope.as_bytes())
        .text(Field::Ttl, request.ttl.seconds());
    if let Some(uses) = request.uses {
        event = event.text(Field::Uses, uses);
    }
    if let Some(start) = request.not_before {
        event = event.text(Field::NotBefore, start.0);
    }
    if let Some(operation) = only {
        event = event
            .text(Field::Note, "for one command only")
            .words(
                Field::Argv,
                &record::kept_words(operation.action, &operation.argv),
            )
            .path(Field::Cwd, &operation.cwd);
        if let Objects::Command(command) = &operation.objects {
            event = event.path(Field::Program, &command.program);
            if let Some(digest) = &command.digest {
                event = event.text(Field::Digest, data_encoding::HEXLOWER.encode(digest));
            }
        }
    }
    if request.pin.is_some() {
        event = event.text(Field::Note, "pinned to the directory's identity");
    }
    if request.reason.is_empty() {
        event
    } else {
        event.text(Field::Reason, &request.reason)
    }
}
