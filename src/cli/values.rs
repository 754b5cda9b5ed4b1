//! Readers for the values of options.

use crate::audit::event::Outcome;
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::Effect;
use crate::model::time::{Timestamp, Ttl};
use crate::text::{duration, instant};

pub(crate) fn agent(text: &str) -> Result<AgentName, String> {
    AgentName::parse(text).map_err(|error| error.to_string())
}

pub(crate) fn action(text: &str) -> Result<Action, String> {
    text.parse()
        .map_err(|error: crate::model::action::UnknownAction| error.to_string())
}

pub(crate) fn effect(text: &str) -> Result<Effect, String> {
    text.parse()
        .map_err(|error: crate::model::rule::UnknownEffect| error.to_string())
}

pub(crate) fn ttl(text: &str) -> Result<Ttl, String> {
    let seconds = duration::parse(text).map_err(|error| error.to_string())?;
    Ttl::from_seconds(seconds).map_err(|error| error.to_string())
}

/// An instant as it is typed for looking back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    /// So many milliseconds before now.
    Ago(i64),
}

/// Reads an instant, a day, which begins at midnight UTC, or how long ago it was.
pub(crate) fn when(text: &str) -> Result<When, String> {
    let instant = instant::parse_rfc3339(text)
        .or_else(|| instant::parse_rfc3339(&format!("{text}T00:00:00Z")));
    let ago = || {
        let seconds = duration::parse(text).ok()?;
        i64::try_from(seconds).ok()?.checked_mul(1000)
    };
    instant.map(|at| When::At(Timestamp(at))).or_else(|| ago().map(When::Ago)).ok_or_else(|| {
        format!("'{text}' is neither like 90s, 30m or 2days (ago) nor like 2026-11-20 or 2026-11-20T15:00:00Z")
    })
}

pub(crate) fn outcome(text: &str) -> Result<Outcome, String> {
    let named = |outcome: &Outcome| outcome.name().eq_ignore_ascii_case(text);
    Outcome::ALL.into_iter().find(named).ok_or_else(|| {
        let known = Outcome::ALL
            .map(|outcome| outcome.name().to_lowercase())
            .join(", ");
        format!("'{text}' is no decision; known are {known}")
    })
}

/// Reads the start of an id.
pub(crate) fn id_prefix(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    if !text.is_empty() && text.bytes().all(known) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "'{text}' does not begin an id, which is made of a-z and 2-7"
        ))
    }
}

/// Reads an instant as RFC 3339 has it.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    instant::parse_rfc3339(text)
        .map(Timestamp)
        .ok_or_else(|| format!("'{text}' is not an instant like 2026-11-20T15:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_back_takes_instants_days_and_spans() {
        let at = |milliseconds| Ok(When::At(Timestamp(milliseconds)));
        assert_eq!(when("2026-11-01"), at(1_793_491_200_000));
        assert_eq!(when("2026-11-01T02:00:00+02:00"), at(1_793_491_200_000));
        assert_eq!(when("1h 30m"), Ok(When::Ago(5_400_000)));
        assert_eq!(when("0s"), Ok(When::Ago(0)));
        for text in ["", "now", "-1h", "2026-13-01", "1M", "300000000000y"] {
            assert!(when(text).is_err(), "{text:?}");
        }
    }
}
