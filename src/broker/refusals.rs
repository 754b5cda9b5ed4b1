//! Refusals beyond so many in a minute get no entry each, but one for many: an agent that is refused
//! in a loop shall neither fill the disk nor bury what else happened.
//!
//! They are counted in a small file beside the vault, which is read and written in one's turn at
//! the vault and never synced: after a power failure a number may be too small.

use std::fmt::Write;
use std::io;

use super::{Broker, BrokerError};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::audit::{self, Writing};
use crate::model::agent::{Agent, AgentName};
use crate::model::tally::{Share, Tally};
use crate::model::time::{Moment, Uptime};
use crate::sys::{clock, fs, process};

/// What is counted, each by itself, so that a flood of the one does not hide the other.
const COUNTED: [Kind; 2] = [Kind::GrantCheck, Kind::Hijack];
const LARGEST_FILE: usize = 1024;

/// The tallies of the kinds in [`COUNTED`].
pub(super) type Tallies = [Option<Tally>; 2];

/// What became of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Recorded,
    /// There were too many; this one has no entry of its own.
    Counted,
}

impl Broker {
    /// Begins a transaction, and says when that is. Refusals of a minute that is over and for which
    /// no entry stands are recorded first.
    pub(super) fn begin(&self) -> Result<(Writing<'_>, Moment), BrokerError> {
        let writing = audit::begin(&self.vault, &self.log)?;
        // Not before the turn has come: a grant may end while one waits for it (TIME-05).
        let now = clock::now()?;
        let mut tallies = self.read_tallies();
        let before = tallies.clone();
        let sums = close(&mut tallies, &now);
        // A number that stays where it is would be recorded again and again.
        if sums.is_empty() || self.write_tallies(&tallies).is_err() {
            *self.tallies.borrow_mut() = before;
            return Ok((writing, now));
        }
        record_all(writing, &sums, &now).inspect_err(|_| {
            let _counted_again = self.write_tallies(&before);
        })?;
        *self.tallies.borrow_mut() = tallies;
        Ok((audit::begin(&self.vault, &self.log)?, clock::now()?))
    }

    /// Records a refusal, or counts it where there were too many. What the transaction has appended
    /// before is recorded in any case.
    pub(super) fn refuse(
        &self,
        writing: Writing<'_>,
        event: &Event,
        now: &Moment,
    ) -> Result<Kept, BrokerError> {
        let agent = &event.agent;
        let before = self.tallies.borrow().clone();
        let share = self.count(event.kind, &agent.name, now);
        let due = match share {
            Share::Own => Some(event.clone()),
            Share::Sum(count) => Some(sum(event.kind, count, agent)),
            Share::Counted => None,
        };
        let recorded = record_all(writing, due.as_slice(), now);
        // What no entry stands for is not to be taken for noted.
        recorded.inspect_err(|_| {
            let _at_most_too_few = self.write_tallies(&before);
        })?;
        Ok(match share {
            Share::Own => Kept::Recorded,
            Share::Sum(_) | Share::Counted => Kept::Counted,
        })
    }

    /// Counts a refusal. One that cannot be counted gets an entry of its own.
    fn count(&self, kind: Kind, agent: &AgentName, now: &Moment) -> Share {
        let mut tallies = self.tallies.borrow_mut();
        let place = COUNTED.iter().position(|counted| *counted == kind);
        let Some(slot) = place.and_then(|place| tallies.get_mut(place)) else {
            return Share::Own;
        };
        let running = slot.take().filter(|tally| !tally.is_over(now));
        let tally = slot.insert(running.unwrap_or_else(|| Tally::begin(now, agent.clone())));
        let share = tally.count(agent, self.settings.recording.denials_per_minute);
        match self.write_tallies(&tallies) {
            Ok(()) => share,
            Err(_) => Share::Own,
        }
    }

    /// A file that is not there, or that pvm did not write, counts nothing.
    fn read_tallies(&self) -> Tallies {
        let text = fs::read_private_file(&self.vault.refusals_file(), LARGEST_FILE);
        text.ok().as_deref().map(parse).unwrap_or_default()
    }

    fn write_tallies(&self, tallies: &Tallies) -> io::Result<()> {
        let path = self.vault.refusals_file();
        fs::overwrite_private_file(&path, text(tallies).as_bytes())
    }
}

fn record_all(mut writing: Writing<'_>, events: &[Event], now: &Moment) -> Result<(), BrokerError> {
    for event in events {
        writing.append(event, now)?;
    }
    if let Some(entry) = writing.appended() {
        writing.commit(entry, ())?;
    }
    Ok(())
}

/// Ends the minutes that are over, and returns the entries that are due for them.
fn close(tallies: &mut Tallies, now: &Moment) -> Vec<Event> {
    let mut due = Vec::new();
    for (kind, slot) in COUNTED.into_iter().zip(tallies) {
        let Some(tally) = slot.take_if(|tally| tally.is_over(now)) else {
            continue;
        };
        if tally.open() > 0 {
            let agent = Agent {
                name: tally.agent.clone(),
                uid: process::uid(),
                pid: process::pid(),
            };
            due.push(sum(kind, tally.open(), &agent));
        }
    }
    due
}

/// Returns the entry that stands for so many refusals, the last of them one of `agent`'s.
fn sum(kind: Kind, count: u64, agent: &Agent) -> Event {
    let were = if count == 1 {
        "refusal was"
    } else {
        "refusals were"
    };
    let reason = format!("{count} more {were} not recorded one by one: too many in one minute");
    Event::new(kind, Outcome::Denied, agent)
        .text(Field::Reason, reason)
        .text(Field::Refusals, count)
}

/// Returns a line a tally, each of the same length whatever the numbers are, so that one text covers
/// the one before.
fn text(tallies: &Tallies) -> String {
    let mut text = String::new();
    for (kind, tally) in COUNTED.into_iter().zip(tallies) {
        let (boot, start, recorded, counted, noted, agent) = match tally {
            Some(tally) => (
                data_encoding::HEXLOWER.encode(&tally.start.boot),
                tally.start.milliseconds,
                tally.recorded,
                tally.counted,
                tally.noted,
                tally.agent.as_str(),
            ),
            None => ("-".to_owned(), 0, 0, 0, 0, "-"),
        };
        let name = kind.name();
        // Writing into a string cannot fail.
        let _written = writeln!(
            text,
            "{name:<11} {boot:<32} {start:>20} {recorded:>10} {counted:>20} {noted:>20} {agent:<64}"
        );
    }
    text
}

fn parse(bytes: &[u8]) -> Tallies {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    COUNTED.map(|kind| text.lines().find_map(|line| parse_line(kind, line)))
}

fn parse_line(kind: Kind, line: &str) -> Option<Tally> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != kind.name() {
        return None;
    }
    let boot = data_encoding::HEXLOWER
        .decode(words.next()?.as_bytes())
        .ok()?;
    let tally = Tally {
        start: Uptime {
            boot: boot.try_into().ok()?,
            milliseconds: words.next()?.parse().ok()?,
        },
        recorded: words.next()?.parse().ok()?,
        counted: words.next()?.parse().ok()?,
        noted: words.next()?.parse().ok()?,
        agent: AgentName::parse(words.next()?).ok()?,
    };
    words.next().is_none().then_some(tally)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tallies_read_back_and_always_have_the_same_length() {
        let full = Tally {
            start: Uptime {
                boot: [255; 16],
                milliseconds: i64::MAX,
            },
            recorded: u32::MAX,
            counted: u64::MAX,
            noted: u64::MAX,
            agent: AgentName::parse(&"x".repeat(64)).unwrap(),
        };
        let empty = text(&[None, None]);
        for tallies in [[None, None], [Some(full.clone()), None], [None, Some(full)]] {
            let text = text(&tallies);
            assert_eq!(text.len(), empty.len());
            assert!(text.len() < LARGEST_FILE);
            assert_eq!(parse(text.as_bytes()), tallies);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_of_tallies_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _any_answer = parse(&bytes);
        }
    }
}
