use std::fmt;

use crate::broker::{BrokerError, RequestError};
use crate::config::ConfigError;
use crate::sys::clock::ClockError;
use crate::text::escape::shown;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No `pvm` was found where this library looks for one.
    NotInstalled,
    /// The configuration cannot be read, is not safe to use, or has a mistake.
    Configuration,
    /// The vault is missing, cannot be read or written, or is not safe to use.
    Vault,
    /// The machine's clock cannot be right.
    Clock,
    /// An argument of the call makes no sense; the message says which.
    Invalid,
    /// Nothing has to be requested: the command is allowed.
    AlreadyAllowed,
    /// Nothing can be requested: no grant could permit the command.
    Refused,
    /// Too many requests of this user wait for a person already.
    TooManyRequests,
    /// There is no such request.
    UnknownRequest,
    /// Something else that has to be looked at could not be looked at.
    System,
}

/// Why there is no answer. Nothing is allowed by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: shown(message.to_string().as_bytes()),
            hint: None,
        }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Returns what kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what a person can do about it, where there is something.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<BrokerError> for Error {
    fn from(error: BrokerError) -> Self {
        let kind = match &error {
            BrokerError::Vault(_) => ErrorKind::Vault,
            BrokerError::Clock(_) => ErrorKind::Clock,
            _ => ErrorKind::System,
        };
        let advice = error.advice();
        let error = Self::new(kind, error);
        match advice {
            Some(advice) => error.hint(advice),
            None => error,
        }
    }
}

impl From<ClockError> for Error {
    fn from(error: ClockError) -> Self {
        BrokerError::from(error).into()
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Configuration, error)
            .hint("see what is wrong with it:  pvm config check")
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        let kind = match &error {
            RequestError::Broker(_) => {
                return match error {
                    RequestError::Broker(error) => error.into(),
                    other => Self::new(ErrorKind::System, other),
                };
            }
            RequestError::Allowed => ErrorKind::AlreadyAllowed,
            RequestError::Refused(_) => ErrorKind::Refused,
            RequestError::TooLong { .. } | RequestError::NoScope => ErrorKind::Invalid,
            RequestError::TooMany => ErrorKind::TooManyRequests,
        };
        Self::new(kind, error)
    }
}
