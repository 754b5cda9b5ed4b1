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
    #[error("{0} ms since 1970 has no local time")]
    NoLocalTime(i64),
}

/// Returns this instant on both clocks, or an error when the wall clock cannot be right (TIME-11).
pub(crate) fn now() -> Result<Moment, ClockError> {
    let wall = read(ClockId::CLOCK_REALTIME)?;
    if !plausible(wall) {
        return Err(ClockError::Implausible(wall));
    }
    Ok(Moment {
        wall: Timestamp(wall),
        uptime: Uptime {
            boot: boot_id()?,
            milliseconds: read(ClockId::CLOCK_BOOTTIME)?,
        },
    })
}

/// Returns this instant as [`now`] does, for a process that has asked before: nothing outlives the
/// boot in which it runs.
pub(crate) fn again(before: &Moment) -> Result<Moment, ClockError> {
    let wall = read(ClockId::CLOCK_REALTIME)?;
    if !plausible(wall) {
        return Err(ClockError::Implausible(wall));
    }
    Ok(Moment {
        wall: Timestamp(wall),
        uptime: Uptime {
            boot: before.uptime.boot,
            milliseconds: read(ClockId::CLOCK_BOOTTIME)?,
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

/// Returns an instant as the machine's clocks show it, `YYYY-MM-DDThh:mm:ss`.
///
/// The zone is that of /etc/localtime, or UTC. `TZ` has no say, and no file it names is opened
/// (ENV-16): it is taken out of this process's environment.
#[expect(unsafe_code, reason = "nix has no localtime_r")]
pub(crate) fn local(instant: Timestamp) -> Result<String, ClockError> {
    if super::env::bytes("TZ").is_some() {
        // SAFETY: pvm has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var("TZ") };
    }
    let seconds = instant.0.div_euclid(1000);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid through the call, and the second to a whole tm structure.
    let filled = unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    if filled.is_null() {
        return Err(ClockError::NoLocalTime(instant.0));
    }
    // SAFETY: the structure was zeroed, and the call that succeeded filled it.
    let parts = unsafe { parts.assume_init() };
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        i64::from(parts.tm_year) + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    ))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const INSTANT: Timestamp = Timestamp(1_793_491_200_999);

    const THIS_TEST: &str = "sys::clock::tests::env_16_the_callers_zone_has_no_say_in_local_time";

    /// Runs this test again in a process of its own, which answers with what it takes for the
    /// local time.
    fn told(zone: Option<&str>) -> String {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", THIS_TEST, "--nocapture"])
            .env("PVM_TEST_INNER", "1")
            .env_remove("TZ")
            .envs(zone.map(|zone| ("TZ", zone)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let answer = text.lines().find_map(|line| line.split_once("local: "));
        answer.unwrap().1.to_owned()
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the answer of the inner process")]
    fn env_16_the_callers_zone_has_no_say_in_local_time() {
        if crate::sys::env::bytes("PVM_TEST_INNER").is_some() {
            println!("local: {}", local(INSTANT).unwrap());
            return;
        }
        let plain = told(None);
        for zone in ["Asia/Tokyo", "XYZ-14", ":/etc/shadow", ":../x", ""] {
            assert_eq!(told(Some(zone)), plain, "{zone:?}");
        }
        let date = Command::new("/bin/date")
            .env_remove("TZ")
            .args(["-d", "@1793491200", "+%Y-%m-%dT%H:%M:%S"])
            .output();
        assert_eq!(
            String::from_utf8(date.unwrap().stdout).unwrap().trim(),
            plain
        );
    }

    #[test]
    fn an_instant_before_1970_has_a_local_time_too() {
        assert!(local(Timestamp(-1)).unwrap().starts_with("19"));
        assert!(local(Timestamp(i64::MAX)).unwrap().len() > 19);
    }

    #[test]
    fn time_11_1970_and_2200_are_implausible() {
        assert!(!plausible(0));
        assert!(!plausible(7_258_118_400_000));
        assert!(plausible(now().unwrap().wall.0));
    }
}
