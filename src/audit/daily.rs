//! The JSON log: what the trail has, for programs that follow files. One file a day, one object a
//! line, written after the commit. The trail is the record; this is a copy that may have gaps.

mod line;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use time::Date;

use super::entry::Entry;
use super::event::{Kind, Outcome};
use crate::model::recording::LogSettings;
use crate::sys::fs::Suspicion;
use crate::sys::lines::{Found, LineDirectory, LineFile};
use crate::sys::process;
use crate::text::escape::shown;
use crate::text::instant;
use crate::vault::entries::StoredEntry;

const PREFIX: &str = "permissions-";
const SUFFIX: &str = ".log";

/// Why an entry is in the trail and not in the JSON log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error(transparent)]
    Unsafe(#[from] Suspicion),
    #[error("{}: {error}", .name)]
    Write { name: String, error: io::Error },
    #[error("entry {0} is of a day that no calendar has")]
    NoDay(i64),
}

/// The JSON log of one process. What goes wrong with it stops nothing and is said once: whoever
/// took no complaint hears it on standard error when this is dropped.
#[derive(Debug)]
pub(crate) struct DailyLog {
    settings: Option<LogSettings>,
    /// The last file that was written to: a confined process cannot open it again.
    kept: RefCell<Option<(Date, LineFile)>>,
    complaint: RefCell<Option<LogError>>,
}

/// The state of the log as far as it can be seen without an entry to write.
#[derive(Debug)]
pub(crate) enum Health {
    SwitchedOff,
    /// The first entry makes the directory.
    NotThereYet,
    /// Today's file, or the lack of one, is as it should be.
    Sound,
}

impl DailyLog {
    pub(crate) fn new(settings: &LogSettings) -> Self {
        Self {
            settings: settings.enabled.then(|| settings.clone()),
            kept: RefCell::new(None),
            complaint: RefCell::new(None),
        }
    }

    /// Returns a log into which nothing goes.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn none() -> Self {
        Self {
            settings: None,
            kept: RefCell::new(None),
            complaint: RefCell::new(None),
        }
    }

    /// Writes entries that are in the trail, each as one line of the file of its day.
    pub(crate) fn write(&self, entries: Vec<StoredEntry>) {
        let Some(settings) = &self.settings else {
            return;
        };
        // What this process made it can read.
        let entries = entries
            .into_iter()
            .filter_map(|stored| Entry::try_from(stored).ok());
        let mut opened = None;
        for entry in entries.filter(|entry| wanted(entry, settings)) {
            if let Err(error) = self.append(&entry, settings, &mut opened) {
                *self.complaint.borrow_mut() = Some(error);
                return;
            }
        }
    }

    /// `opened` is the day whose file was opened for the same entries.
    fn append(
        &self,
        entry: &Entry,
        settings: &LogSettings,
        opened: &mut Option<Date>,
    ) -> Result<(), LogError> {
        let day = instant::day(entry.at).ok_or(LogError::NoDay(entry.seq))?;
        let mut kept = self.kept.borrow_mut();
        if *opened != Some(day) {
            match open(settings, day) {
                Ok(file) => *kept = Some((day, file)),
                Err(error) if kept.is_none() => return Err(error),
                Err(_) => {}
            }
            *opened = Some(day);
        }
        let Some((day, file)) = kept.as_mut() else {
            return Ok(());
        };
        let written = file.append(&line::bytes(entry));
        written.map_err(|error| LogError::Write {
            name: file_name(*day),
            error,
        })
    }

    /// Returns what went wrong since this was last asked, if something did.
    pub(crate) fn take_complaint(&self) -> Option<String> {
        let error = self.complaint.take()?.to_string();
        Some(format!(
            "the JSON log lacks an entry that the trail has: {}",
            shown(error.as_bytes())
        ))
    }

    /// Looks at the directory and the file of a day as a process does that has something to write.
    pub(crate) fn examine(settings: &LogSettings, at: i64) -> Result<Health, LogError> {
        if !settings.enabled {
            return Ok(Health::SwitchedOff);
        }
        let directory = match LineDirectory::open(&settings.directory) {
            Err(missing) if missing.is_missing() => return Ok(Health::NotThereYet),
            other => other?,
        };
        let day = instant::day(at).ok_or(LogError::NoDay(0))?;
        match directory.existing(&file_name(day)) {
            Err(missing) if missing.is_missing() => Ok(Health::Sound),
            other => Ok(other.map(|_| Health::Sound)?),
        }
    }
}

impl Drop for DailyLog {
    fn drop(&mut self) {
        if let Some(complaint) = self.take_complaint() {
            note("pvm", &complaint);
        }
    }
}

/// Says something on standard error that changes nothing, not even when nobody listens.
pub(crate) fn note(name: &str, complaint: &str) {
    let unchanged = process::ignore_broken_pipes();
    let text = format!("{name}: note: {complaint}\n  hint: see what is wrong:  pvm doctor\n");
    let _unheard = io::stderr().write_all(text.as_bytes());
    let _as_it_was = unchanged.and_then(|signal| signal.restore());
}

/// Says whether the settings want an entry in the log; they thin out commands and nothing else.
fn wanted(entry: &Entry, settings: &LogSettings) -> bool {
    match (entry.kind, entry.outcome) {
        (Kind::Execution, _) | (Kind::GrantCheck, Outcome::Granted) => settings.allowed,
        (Kind::GrantCheck, Outcome::Denied) => settings.denied,
        _ => true,
    }
}

/// Opens the file of a day. Whoever makes it removes those that are too old.
fn open(settings: &LogSettings, day: Date) -> Result<LineFile, LogError> {
    let directory = LineDirectory::open_or_make(&settings.directory)?;
    let (file, found) = directory.file(&file_name(day))?;
    if found == Found::Made {
        prune(&directory, day, settings.retention_days);
    }
    Ok(file)
}

/// Returns the name of the file of a day, like `permissions-2026-11-20.log`.
pub(crate) fn file_name(day: Date) -> String {
    format!("{PREFIX}{}{SUFFIX}", instant::calendar(day))
}

/// Removes the files whose name says that they are older than so many days; when one was changed
/// says nothing (V-D30). What is left is looked at again tomorrow.
fn prune(directory: &LineDirectory, today: Date, retention_days: u16) {
    let names = directory.names().unwrap_or_default();
    for name in outdated(&names, today, retention_days) {
        let _tomorrow = directory.remove(name);
    }
}

fn outdated(names: &[OsString], today: Date, retention_days: u16) -> impl Iterator<Item = &OsStr> {
    names.iter().map(OsString::as_os_str).filter(move |name| {
        let day = day_of(name);
        day.is_some_and(|day| (today - day).whole_days() > i64::from(retention_days))
    })
}

/// Returns the day in a name that is exactly one of the log's.
fn day_of(name: &OsStr) -> Option<Date> {
    let text = name.to_str()?;
    let day = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    instant::parse_calendar(day).filter(|day| file_name(*day) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        instant::parse_calendar(text).unwrap()
    }

    #[test]
    fn v_d30_the_day_is_that_of_the_entry_in_utc() {
        let midnight = instant::parse_rfc3339("2026-11-21T00:00:00Z").unwrap();
        let name = |at| file_name(instant::day(at).unwrap());
        assert_eq!(name(midnight - 1), "permissions-2026-11-20.log");
        assert_eq!(name(midnight), "permissions-2026-11-21.log");
        assert_eq!(name(0), "permissions-1970-01-01.log");
        assert_eq!(instant::day(i64::MAX), None);
    }

    #[test]
    fn v_d30_only_the_day_in_an_exact_name_makes_a_file_old() {
        let names: Vec<OsString> = [
            "permissions-2026-11-19.log",
            "permissions-2026-11-18.log",
            "permissions-2026-11-17.log",
            "permissions-2025-11-20.log",
            "permissions-2026-12-01.log",
            "permissions-2025-02-30.log",
            "permissions-2025-2-3.log",
            "permissions-+2025-02-03.log",
            "permissions-2025-02-03.log.gz",
            "permissions-2025-02-03.log~",
            "Permissions-2025-02-03.log",
            "xpermissions-2025-02-03.log",
            "vault.db",
        ]
        .map(OsString::from)
        .into();
        let old: Vec<&OsStr> = outdated(&names, day("2026-11-20"), 2).collect();
        assert_eq!(
            old,
            ["permissions-2026-11-17.log", "permissions-2025-11-20.log"]
        );
    }
}
