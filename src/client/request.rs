use std::fmt;

use super::Command;
use crate::model::id::Id;

/// A request that was filed: what to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    pub(super) id: Id,
    /// What it was filed for, to see whether it is allowed meanwhile.
    pub(super) command: Command,
}

impl RequestId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        self.id.as_str()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// What came of waiting for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// The request was approved, or a grant or rule allows the command by now.
    Granted,
    /// A person denied the request.
    Denied,
    /// Nobody decided the request in time.
    Expired,
    /// The request was withdrawn.
    Cancelled,
    /// The request is still pending; this call did not wait any longer.
    TimedOut,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed out",
        })
    }
}
