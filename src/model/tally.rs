use super::agent::AgentName;
use super::time::{Moment, Uptime};

const WINDOW_MS: i64 = 60_000;

/// How many refusals there were within one minute, and how many of them the trail has.
///
/// The minute begins with its first refusal and goes by the time since the machine was started,
/// which nobody sets back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) start: Uptime,
    /// Those with an entry of their own.
    pub(crate) recorded: u32,
    /// Those beyond.
    pub(crate) counted: u64,
    /// How many of these the entries stand for that give a number.
    pub(crate) noted: u64,
    /// Who was refused last.
    pub(crate) agent: AgentName,
}

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// It gets an entry of its own.
    Own,
    /// An entry is due that stands for this one and others before it: so many.
    Sum(u64),
    /// It is counted.
    Counted,
}

impl Tally {
    /// Returns a tally that begins now, without a refusal.
    pub(crate) fn begin(now: &Moment, agent: AgentName) -> Self {
        Self {
            start: now.uptime,
            recorded: 0,
            counted: 0,
            noted: 0,
            agent,
        }
    }

    /// Says whether its minute is over, or cannot be told not to be.
    pub(crate) fn is_over(&self, now: &Moment) -> bool {
        let age = now
            .uptime
            .milliseconds
            .saturating_sub(self.start.milliseconds);
        self.start.boot != now.uptime.boot || !(0..WINDOW_MS).contains(&age)
    }

    /// Returns how many refusals no entry stands for.
    pub(crate) const fn open(&self) -> u64 {
        self.counted.saturating_sub(self.noted)
    }

    /// Counts one more refusal of a minute that is not over. Beyond `most` an entry is due whenever
    /// their number has doubled, so that a flood shows while it lasts and takes little room.
    pub(crate) fn count(&mut self, agent: &AgentName, most: u32) -> Share {
        self.agent.clone_from(agent);
        if self.recorded < most {
            self.recorded += 1;
            return Share::Own;
        }
        self.counted = self.counted.saturating_add(1);
        if self.counted.is_power_of_two() {
            let sum = self.open();
            self.noted = self.counted;
            Share::Sum(sum)
        } else {
            Share::Counted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::Timestamp;
    use super::*;

    fn at(milliseconds: i64) -> Moment {
        Moment {
            wall: Timestamp(0),
            uptime: Uptime {
                boot: [1; 16],
                milliseconds,
            },
        }
    }

    #[test]
    fn db_18_beyond_the_limit_only_doublings_are_due_and_none_is_lost() {
        let mut tally = Tally::begin(&at(0), AgentName::default());
        let shares: Vec<Share> = (0..1003)
            .map(|_| tally.count(&AgentName::default(), 3))
            .collect();
        assert_eq!(
            shares.iter().filter(|share| **share == Share::Own).count(),
            3
        );
        let sums: Vec<u64> = shares
            .iter()
            .filter_map(|share| match share {
                Share::Sum(sum) => Some(*sum),
                _ => None,
            })
            .collect();
        assert_eq!(sums, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert_eq!(sums.iter().sum::<u64>() + tally.open(), 1000);
    }

    #[test]
    fn a_minute_goes_by_the_time_since_the_start_of_the_machine() {
        let tally = Tally::begin(&at(5_000), AgentName::default());
        assert!(!tally.is_over(&at(5_000)));
        assert!(!tally.is_over(&at(64_999)));
        assert!(tally.is_over(&at(65_000)));
        assert!(tally.is_over(&at(4_999)), "another clock");
        let mut other = at(5_001);
        other.uptime.boot = [2; 16];
        assert!(tally.is_over(&other), "another start");
        let mut set_back = at(10_000);
        set_back.wall = Timestamp(-1_000_000);
        assert!(!tally.is_over(&set_back));
    }
}
