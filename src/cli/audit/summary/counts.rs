use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::fields;
use crate::audit::entry::{Entry, Record};
use crate::audit::event::{Field, Kind, Outcome};
use crate::text::instant;

/// How many different scopes are told apart; memory is for no more.
const MOST_SCOPES: usize = 200_000;
const TOP_SCOPES: usize = 10;
/// How many bars a course of time has.
const MOST_TIMES: i64 = 31;
const HOUR_MS: i64 = 3600 * 1000;
/// How long one bar may last: an hour, a day, a week, four weeks, a year.
const UNITS_IN_HOURS: [i64; 5] = [1, 24, 7 * 24, 28 * 24, 364 * 24];

/// What is known of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OfAgent {
    pub(super) entries: u64,
    /// Commands that ran.
    pub(super) allowed: u64,
    pub(super) refused: u64,
}

/// Counts over entries, in memory that has a bound.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) entries: u64,
    pub(super) malformed: u64,
    /// Refusals that have no entry of their own.
    pub(super) only_counted: u64,
    /// The earliest and the latest time, in milliseconds since 1970.
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    decisions: BTreeMap<&'static str, u64>,
    agents: BTreeMap<String, OfAgent>,
    scopes: HashMap<Vec<u8>, u64>,
    scopes_left_out: bool,
    hours: BTreeMap<i64, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, record: &Record) {
        self.entries += 1;
        match &record.entry {
            Ok(entry) => self.add_entry(entry),
            Err(_) => self.malformed += 1,
        }
    }

    fn add_entry(&mut self, entry: &Entry) {
        *self.decisions.entry(entry.outcome.name()).or_default() += 1;
        // What no calendar has was written by somebody else.
        if instant::day(entry.at).is_some() {
            self.first = Some(self.first.map_or(entry.at, |first| first.min(entry.at)));
            self.last = Some(self.last.map_or(entry.at, |last| last.max(entry.at)));
            *self.hours.entry(entry.at.div_euclid(HOUR_MS)).or_default() += 1;
        }
        let only_counted = entry.value(Field::Refusals).and_then(fields::number);
        let only_counted = only_counted.and_then(|count| u64::try_from(count).ok());
        let refused = entry.outcome == Outcome::Denied
            && matches!(entry.kind, Kind::GrantCheck | Kind::Hijack);
        let ran = entry.kind == Kind::Execution && entry.outcome == Outcome::Success;
        let agent = self.agents.entry(entry.agent.clone()).or_default();
        agent.entries += 1;
        agent.allowed += u64::from(ran);
        if refused {
            agent.refused = agent.refused.saturating_add(only_counted.unwrap_or(1));
        }
        self.only_counted = self.only_counted.saturating_add(only_counted.unwrap_or(0));
        if refused || ran {
            // Two operands may be the same file.
            let scopes: BTreeSet<&[u8]> = entry.values(Field::Scope).collect();
            for scope in scopes {
                self.add_scope(scope);
            }
        }
    }

    fn add_scope(&mut self, scope: &[u8]) {
        if let Some(count) = self.scopes.get_mut(scope) {
            *count += 1;
        } else if self.scopes.len() < MOST_SCOPES {
            self.scopes.insert(scope.to_vec(), 1);
        } else {
            self.scopes_left_out = true;
        }
    }

    /// Returns the decisions, the most frequent first.
    pub(super) fn decisions(&self) -> Vec<(&'static str, u64)> {
        let mut all: Vec<_> = self.decisions.iter().map(|(name, n)| (*name, *n)).collect();
        all.sort_by_key(|(_, count)| Reverse(*count));
        all
    }

    /// Returns the agents, those with the most entries first.
    pub(super) fn agents(&self) -> Vec<(&str, OfAgent)> {
        let mut all: Vec<_> = self
            .agents
            .iter()
            .map(|(name, of)| (&**name, *of))
            .collect();
        all.sort_by_key(|(_, of)| Reverse(of.entries));
        all
    }

    /// Returns the scopes that most commands were about, and of how many.
    pub(super) fn scopes(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<_> = self
            .scopes
            .iter()
            .map(|(scope, n)| (&**scope, *n))
            .collect();
        all.sort_unstable_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
        all.truncate(TOP_SCOPES);
        all
    }

    /// Returns how many scopes there are besides those, and at least so many where there are too
    /// many to be told apart.
    pub(super) fn more_scopes(&self) -> usize {
        self.scopes.len().saturating_sub(TOP_SCOPES) + usize::from(self.scopes_left_out)
    }

    /// Returns how many entries there were in each span of time from the first to the last, and how
    /// long a span is in milliseconds: the shortest of which there are not too many.
    pub(super) fn times(&self) -> (i64, Vec<(i64, u64)>) {
        let (Some((first, _)), Some((last, _))) =
            (self.hours.first_key_value(), self.hours.last_key_value())
        else {
            return (HOUR_MS, Vec::new());
        };
        let spans = |unit: i64| last.div_euclid(unit) - first.div_euclid(unit) + 1;
        let fits = |unit: &i64| spans(*unit) <= MOST_TIMES;
        let [.., longest] = UNITS_IN_HOURS;
        let unit = UNITS_IN_HOURS.into_iter().find(fits).unwrap_or(longest);
        let mut times: BTreeMap<i64, u64> = BTreeMap::new();
        if spans(unit) <= MOST_TIMES {
            let all = first.div_euclid(unit)..=last.div_euclid(unit);
            times.extend(all.map(|span| (span, 0)));
        }
        for (hour, count) in &self.hours {
            *times.entry(hour.div_euclid(unit)).or_default() += count;
        }
        let start = |(span, count): (i64, u64)| (span * unit * HOUR_MS, count);
        (unit * HOUR_MS, times.into_iter().map(start).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_hours(hours: &[i64]) -> Counts {
        Counts {
            hours: hours.iter().map(|hour| (*hour, 2)).collect(),
            ..Counts::default()
        }
    }

    #[test]
    fn a_course_of_time_has_every_span_and_not_too_many() {
        for (hours, unit, spans) in [
            (vec![5], 1, 1),
            (vec![0, 30], 1, 31),
            (vec![0, 31], 24, 2),
            (vec![-1, 24 * 29], 24, 31),
            (vec![0, 24 * 365], 28 * 24, 14),
        ] {
            let (length, times) = with_hours(&hours).times();
            assert_eq!((length, times.len()), (unit * HOUR_MS, spans), "{hours:?}");
            let sum: u64 = times.iter().map(|(_, count)| count).sum();
            assert_eq!(sum, 2 * u64::try_from(hours.len()).unwrap());
            assert!(times.iter().all(|(at, _)| at % length == 0));
        }
        assert_eq!(with_hours(&[]).times().1, []);
        let ages = with_hours(&[0, 24 * 365 * 8000]).times().1;
        assert_eq!(ages.len(), 2, "what is empty is left out");
    }
}
