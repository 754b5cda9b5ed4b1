use std::fmt;

use super::action::ActionSet;
use super::agent::AgentName;
use super::grant::Pin;
use super::id::Id;
use super::scope::Scope;
use super::time::{Timestamp, Ttl};

/// Who acts: an agent that asks, or a person that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// An agent of this user; nobody named means any.
    Agent {
        name: Option<AgentName>,
        uid: u32,
    },
    Person {
        uid: u32,
    },
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent {
                name: Some(name),
                uid,
            } => write!(f, "{name} of uid {uid}"),
            Self::Agent { name: None, uid } => write!(f, "any agent of uid {uid}"),
            Self::Person { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// Where a request is in its life. All states but pending are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestState {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

impl RequestState {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Reads a state back from its stored name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An agent's wish for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) agent: Option<AgentName>,
    pub(crate) uid: u32,
    pub(crate) actions: ActionSet,
    pub(crate) scope: Scope,
    pub(crate) pin: Option<Pin>,
    /// The key of the one operation that is asked for; nothing: any in the scope.
    pub(crate) operation: Option<[u8; 32]>,
    pub(crate) reason: String,
    pub(crate) ttl: Ttl,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) uses: Option<u32>,
    pub(crate) filed_at: Timestamp,
    pub(crate) state: RequestState,
}

/// A person's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) request: Id,
    pub(crate) approved: bool,
    pub(crate) approver: Principal,
    /// The channel it came through.
    pub(crate) through: &'static str,
    pub(crate) at: Timestamp,
}

/// Why a verdict makes no grant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotApproved {
    #[error("the verdict is for another request")]
    OtherRequest,
    #[error("the verdict is a denial")]
    Denied,
    #[error("the request is not pending any more")]
    NotPending,
    #[error("the requester cannot be the approver")]
    SelfApproval,
}

/// Proof that a pending request was approved by somebody else; inserting a grant consumes it.
#[derive(Debug)]
pub(crate) struct Approved {
    request: Request,
    approver: String,
}

impl Request {
    /// Returns the agent, or any agent of the user, that the grant would be for.
    pub(crate) fn requester(&self) -> Principal {
        Principal::Agent {
            name: self.agent.clone(),
            uid: self.uid,
        }
    }

    /// Turns a pending request into the right to one grant.
    pub(crate) fn approve(self, verdict: &Verdict) -> Result<Approved, NotApproved> {
        if verdict.request != self.id {
            return Err(NotApproved::OtherRequest);
        }
        if !verdict.approved {
            return Err(NotApproved::Denied);
        }
        if self.state != RequestState::Pending {
            return Err(NotApproved::NotPending);
        }
        // An agent is never an approver, whatever it is called (A-D2).
        let agent = matches!(verdict.approver, Principal::Agent { .. });
        if agent || verdict.approver == self.requester() {
            return Err(NotApproved::SelfApproval);
        }
        Ok(Approved {
            request: self,
            approver: format!("{} ({})", verdict.approver, verdict.through),
        })
    }
}

impl Approved {
    /// Returns the request and who approved it, for the grant that is made of them.
    pub(super) fn into_parts(self) -> (Request, String) {
        (self.request, self.approver)
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Returns who approved, and through what.
    pub(crate) fn approver(&self) -> &str {
        &self.approver
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::action::Action;
    use super::super::scope::PathScope;
    use super::*;

    fn request(state: RequestState) -> Request {
        Request {
            id: Id::from_random([1; 16]).unwrap(),
            agent: None,
            uid: 1000,
            actions: ActionSet::of(&[Action::Rm]).unwrap(),
            scope: PathScope::new(Path::new("/tmp/x")).unwrap().into(),
            pin: None,
            operation: None,
            reason: String::new(),
            ttl: Ttl::minutes(10),
            not_before: None,
            uses: None,
            filed_at: Timestamp(0),
            state,
        }
    }

    fn verdict(approver: Principal) -> Verdict {
        Verdict {
            request: Id::from_random([1; 16]).unwrap(),
            approved: true,
            approver,
            through: "terminal",
            at: Timestamp(0),
        }
    }

    #[test]
    fn a_person_approves_a_pending_request() {
        let approved =
            request(RequestState::Pending).approve(&verdict(Principal::Person { uid: 1000 }));
        assert_eq!(approved.unwrap().approver(), "uid 1000 (terminal)");
    }

    #[test]
    fn a_d2_an_agent_approves_nothing_whatever_its_name() {
        for name in [None, Some(AgentName::default())] {
            let approver = Principal::Agent { name, uid: 1000 };
            let refused = request(RequestState::Pending)
                .approve(&verdict(approver))
                .unwrap_err();
            assert_eq!(refused, NotApproved::SelfApproval);
        }
    }

    #[test]
    fn s_d4_a_decided_request_is_not_decided_again() {
        for state in RequestState::ALL
            .into_iter()
            .filter(|state| *state != RequestState::Pending)
        {
            let person = Principal::Person { uid: 1000 };
            let refused = request(state).approve(&verdict(person)).unwrap_err();
            assert_eq!(refused, NotApproved::NotPending, "{}", state.name());
        }
    }

    #[test]
    fn p_d45_a_verdict_counts_for_the_request_it_names_only() {
        let mut other = verdict(Principal::Person { uid: 1000 });
        other.request = Id::from_random([2; 16]).unwrap();
        let refused = request(RequestState::Pending).approve(&other).unwrap_err();
        assert_eq!(refused, NotApproved::OtherRequest);
        let denied = Verdict {
            approved: false,
            ..verdict(Principal::Person { uid: 1000 })
        };
        let refused = request(RequestState::Pending).approve(&denied).unwrap_err();
        assert_eq!(refused, NotApproved::Denied);
    }
}
