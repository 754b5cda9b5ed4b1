use std::fmt;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    /// Returns the instant `ttl` later, or nothing when it cannot be represented (TIME-08).
    pub(crate) fn checked_add(self, ttl: Ttl) -> Option<Self> {
        self.0.checked_add(ttl.milliseconds()).map(Self)
    }

    /// Returns how long after `earlier` this instant is, in milliseconds; negative when before.
    pub(crate) const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Why a duration cannot be a time to live.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidTtl {
    #[error("the time to live is zero")]
    Zero,
    #[error("the time to live is too long")]
    TooLong,
}

/// How long something lasts: whole seconds, never zero, at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ttl(u32);

impl Ttl {
    const LONGEST_SECONDS: u64 = 10 * 366 * 24 * 3600;

    pub(crate) fn from_seconds(seconds: u64) -> Result<Self, InvalidTtl> {
        match u32::try_from(seconds) {
            Ok(0) => Err(InvalidTtl::Zero),
            Ok(short) if seconds <= Self::LONGEST_SECONDS => Ok(Self(short)),
            _ => Err(InvalidTtl::TooLong),
        }
    }

    /// Returns `minutes` as a time to live; meant for constants.
    pub(crate) const fn minutes(minutes: u16) -> Self {
        Self(if minutes == 0 {
            60
        } else {
            minutes as u32 * 60
        })
    }

    pub(crate) const fn seconds(self) -> u32 {
        self.0
    }

    pub(crate) const fn milliseconds(self) -> i64 {
        self.0 as i64 * 1000
    }
}

/// A running kernel, and how long it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uptime {
    /// The kernel's `boot_id`: another one means that the machine was started again.
    pub(crate) boot: [u8; 16],
    /// Milliseconds since the start, time asleep included (`CLOCK_BOOTTIME`).
    pub(crate) milliseconds: i64,
}

/// The one instant at which an operation is decided, on both clocks (TIME-01, TIME-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) uptime: Uptime,
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        let mut gap = "";
        for (count, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s")] {
            if count > 0 {
                write!(f, "{gap}{count}{unit}")?;
                gap = " ";
            }
        }
        Ok(())
    }
}

/// A stretch of time on both clocks, in one boot: from the first bound on, and before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    boot: [u8; 16],
    wall: (i64, i64),
    uptime: (i64, i64),
}

impl Span {
    /// Returns all of the boot that `now` is in.
    pub(crate) const fn of_boot(now: &Moment) -> Self {
        Self {
            boot: now.uptime.boot,
            wall: (i64::MIN, i64::MAX),
            uptime: (i64::MIN, i64::MAX),
        }
    }

    /// Keeps the side of an instant of the wall clock on which `now` is.
    #[must_use]
    pub(crate) fn cut_at(mut self, instant: Timestamp, now: &Moment) -> Self {
        cut(&mut self.wall, instant.0, now.wall.0);
        self
    }

    /// Keeps the side of so many milliseconds since the boot on which `now` is.
    #[must_use]
    pub(crate) fn cut_at_uptime(mut self, milliseconds: i64, now: &Moment) -> Self {
        cut(&mut self.uptime, milliseconds, now.uptime.milliseconds);
        self
    }

    pub(crate) fn includes(&self, now: &Moment) -> bool {
        let within = |(from, to): (i64, i64), at: i64| from <= at && at < to;
        now.uptime.boot == self.boot
            && within(self.wall, now.wall.0)
            && within(self.uptime, now.uptime.milliseconds)
    }
}

fn cut((from, to): &mut (i64, i64), at: i64, now: i64) {
    if at <= now {
        *from = at.max(*from);
    } else {
        *to = at.min(*to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_07_zero_is_an_error_and_not_unlimited() {
        assert_eq!(Ttl::from_seconds(0), Err(InvalidTtl::Zero));
    }

    #[test]
    fn time_08_what_cannot_be_represented_is_an_error() {
        assert_eq!(Ttl::from_seconds(u64::MAX), Err(InvalidTtl::TooLong));
        assert_eq!(
            Ttl::from_seconds(u64::from(u32::MAX)),
            Err(InvalidTtl::TooLong)
        );
        assert_eq!(Timestamp(i64::MAX).checked_add(Ttl::minutes(1)), None);
    }

    #[test]
    fn a_ttl_is_shown_in_the_units_it_is_typed_in() {
        for (seconds, text) in [(30, "30s"), (600, "10m"), (5400, "1h 30m"), (86_400, "24h")] {
            assert_eq!(Ttl::from_seconds(seconds).unwrap().to_string(), text);
        }
    }
}
