//! The keys of `[permissions]` that say what is recorded and remembered.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::Config;
use super::file::{Complaint, PermissionsTable, absolute, complain};
use crate::model::recording::Recording;
use crate::sys::account::Account;

const RETENTION_DAYS: RangeInclusive<u16> = 1..=3650;
const DENIALS_PER_MINUTE: RangeInclusive<u32> = 1..=100_000;
const CACHE_TTL_SECONDS: RangeInclusive<u16> = 1..=3600;

/// Takes the keys over. Where none says so the JSON log lies beside the vault.
pub(super) fn apply(
    config: &mut Config,
    keys: &PermissionsTable,
    account: &Account,
) -> Result<(), Complaint> {
    config.recording = Recording::standard(super::log_directory(&config.vault));
    let Recording {
        log,
        denials_per_minute,
    } = &mut config.recording;
    set(&mut log.enabled, keys.audit_enabled);
    set(&mut log.allowed, keys.log_allowed_commands);
    set(&mut log.denied, keys.log_denied_commands);
    set(&mut config.cache.enabled, keys.cache_enabled);
    if let Some(directory) = &keys.audit_directory {
        log.directory = absolute(directory, account)?;
    }
    if let Some(days) = &keys.retention_days {
        log.retention_days = within("permissions.retention_days", days, RETENTION_DAYS)?;
    }
    if let Some(most) = &keys.denials_per_minute {
        *denials_per_minute = within("permissions.denials_per_minute", most, DENIALS_PER_MINUTE)?;
    }
    if let Some(seconds) = &keys.cache_ttl_seconds {
        let range = CACHE_TTL_SECONDS;
        config.cache.ttl_seconds = within("permissions.cache_ttl_seconds", seconds, range)?;
    }
    Ok(())
}

fn set<T>(setting: &mut T, key: Option<T>) {
    if let Some(value) = key {
        *setting = value;
    }
}

fn within<T>(key: &str, value: &Spanned<i64>, range: RangeInclusive<T>) -> Result<T, Complaint>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let number = T::try_from(*value.get_ref()).ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let message = format!("{key} is not between {least} and {most}");
            complain(value, message)
        })
}
