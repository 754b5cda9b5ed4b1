//! Readers for the values of options.

use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::time::{Timestamp, Ttl};
use crate::text::{duration, instant};

pub(crate) fn agent(text: &str) -> Result<AgentName, String> {
    AgentName::parse(text).map_err(|error| error.to_string())
}

pub(crate) fn action(text: &str) -> Result<Action, String> {
    text.parse()
        .map_err(|error: crate::model::action::UnknownAction| error.to_string())
}

pub(crate) fn ttl(text: &str) -> Result<Ttl, String> {
    let seconds = duration::parse(text).map_err(|error| error.to_string())?;
    Ttl::from_seconds(seconds).map_err(|error| error.to_string())
}

/// Reads an instant as RFC 3339 has it.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    instant::parse_rfc3339(text)
        .map(Timestamp)
        .ok_or_else(|| format!("'{text}' is not an instant like 2026-11-20T15:00:00Z"))
}
