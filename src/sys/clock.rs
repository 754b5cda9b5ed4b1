use std::fs;

use nix::time::{ClockId, clock_gettime};

use crate::model::time::{Moment, Timestamp, Uptime};

/// 2026-11-01, when this version was written. A clock before it is not set.
const EARLIEST_MS: i64 = 1_793_491_200_000;
const TEN_YEARS_MS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// Why there is no instant to decide at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    #[error("cannot read the clock: {0}")]
    Unreadable(nix::Error),
    #[error("cannot read the boot id of the kernel")]
    NoBootId,
    #[error("the clock is implausible: it says {0} ms since 1970")]
    Implausible(i64),
}

/// Returns this instant on both clocks, or an error when the wall clock cannot be right (TIME-11).
pub(crate) fn now() -> Result<Moment, ClockError> {
    let wall = read(ClockId::CLOCK_REALTIME)?;
    if !plausible(wall) {
        return Err(ClockError::Implausible(wall));
    }
    let milliseconds = read(ClockId::CLOCK_BOOTTIME)?;
    Ok(Moment {
        wall: Timestamp(wall),
        uptime: Uptime {
            boot: boot_id()?,
            milliseconds,
        },
    })
}

fn plausible(wall: i64) -> bool {
    (EARLIEST_MS..EARLIEST_MS + TEN_YEARS_MS).contains(&wall)
}

fn read(clock: ClockId) -> Result<i64, ClockError> {
    let time = clock_gettime(clock).map_err(ClockError::Unreadable)?;
    Ok(time
        .tv_sec()
        .saturating_mul(1000)
        .saturating_add(time.tv_nsec() / 1_000_000))
}

fn boot_id() -> Result<[u8; 16], ClockError> {
    let text = fs::read("/proc/sys/kernel/random/boot_id").map_err(|_| ClockError::NoBootId)?;
    let digits: Vec<u8> = text.into_iter().filter(u8::is_ascii_hexdigit).collect();
    let bytes = data_encoding::HEXLOWER
        .decode(&digits)
        .map_err(|_| ClockError::NoBootId)?;
    bytes.try_into().map_err(|_| ClockError::NoBootId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_11_1970_and_2200_are_implausible() {
        assert!(!plausible(0));
        assert!(!plausible(7_258_118_400_000));
        assert!(plausible(now().unwrap().wall.0));
    }
}
