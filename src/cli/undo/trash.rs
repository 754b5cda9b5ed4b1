//! What was moved to the trash goes back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{cannot, path};
use crate::audit::entry::Entry;
use crate::audit::event::{Field, Kind, Outcome};
use crate::audit::pages;
use crate::broker::{Broker, Trashed};
use crate::cli::context::Context;
use crate::cli::output::{self, Stop};
use crate::failure::{ExitStatus, Failure};
use crate::sys::trash::TrashError;
use crate::text::escape::{shell_word, shown};

/// What the trail says after the entry that is undone.
#[derive(Debug, Default)]
struct Aftermath {
    /// How what the entry began has ended.
    ended: Option<Entry>,
    /// The last later entry that put something under a name in the trash.
    taken: BTreeMap<PathBuf, i64>,
}

/// Moves back what `entry` trashed, and says what became of each.
pub(super) fn undo(
    broker: &Broker,
    entry: &Entry,
    context: &Context,
    as_json: bool,
) -> Result<ExitStatus, Stop> {
    check_own_work(entry)?;
    let Aftermath { ended, taken } = aftermath(broker, entry.seq)?;
    let ended = ended.ok_or_else(|| {
        cannot(entry, "the trail does not say what became of it")
            .hint("look for it in the trash:  trash-restore, or a file manager")
    })?;
    let things: Vec<Trashed> = entry
        .values(Field::Scope)
        .zip(ended.values(Field::Trashed))
        .filter(|(_, file)| !file.is_empty())
        .map(|(original, file)| Trashed {
            file: path(file),
            original: path(original),
        })
        .collect();
    if things.is_empty() {
        return Err(cannot(entry, "nothing was moved to the trash").into());
    }
    let (there, replaced): (Vec<_>, Vec<_>) = things
        .into_iter()
        .partition(|thing| !taken.contains_key(&thing.file));
    let mut report = Report {
        entry: entry.seq,
        as_json,
        status: ExitStatus::Success,
    };
    for thing in &replaced {
        let later = taken.get(&thing.file).copied().unwrap_or_default();
        let why = format!("it is not in the trash any more; entry {later} took its place there");
        report.failed(
            thing,
            &why,
            Some(format!("undo that one:  pvm undo {later}")),
        )?;
    }
    if !there.is_empty() {
        let words = ["pvm", "undo", &entry.seq.to_string()].map(OsString::from);
        let restored = broker.restore(&words, entry.seq, &there, &context.caller())?;
        for (thing, result) in there.iter().zip(restored.results) {
            match result {
                Ok(()) => report.restored(thing)?,
                Err(error) => report.failed(thing, &error.to_string(), hint(thing, &error))?,
            }
        }
        if let Some(error) = restored.unrecorded {
            let what = format!("the result could not be recorded: {error}");
            output::complain(&Failure::internal(what));
            report.status = ExitStatus::Failed;
        }
    }
    if is_cut(entry) || is_cut(&ended) {
        let what = format!("entry {} does not name all that was trashed", entry.seq);
        let failure = Failure::new(ExitStatus::Denied, what);
        output::complain(&failure.hint("restore the others:  trash-restore, or a file manager"));
        report.status = ExitStatus::Denied;
    }
    Ok(report.status)
}

/// What another tool moved, only that tool can find; and what was restored, is no move to the trash.
fn check_own_work(entry: &Entry) -> Result<(), Failure> {
    if entry.value(Field::Argv) == Some(b"pvm") {
        return Err(cannot(entry, "it is an undo itself")
            .hint("to trash the files again:  safe-trash, with the same operands"));
    }
    if entry.value(Field::By) == Some(b"self") {
        return Ok(());
    }
    let tool = entry.value(Field::Program).map(shown).unwrap_or_default();
    let why = format!("trash.tool moved the files, and only {tool} knows where to");
    Err(cannot(entry, &why)
        .hint("restore them by its own means:  trash-restore, gio trash --restore, a file manager"))
}

/// Reads everything after an entry.
fn aftermath(broker: &Broker, seq: i64) -> Result<Aftermath, Stop> {
    let number = seq.to_string();
    let mut found = Aftermath::default();
    let mut after = seq;
    loop {
        let page = pages::after(broker.vault(), Some(after))?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = last.seq;
        for other in page.into_iter().filter_map(|record| record.entry.ok()) {
            if other.kind != Kind::Execution || other.outcome != Outcome::Result {
                continue;
            }
            if other.value(Field::Of) == Some(number.as_bytes()) {
                found.ended.get_or_insert(other);
            } else if let Some(of) = of(&other) {
                let files = other.values(Field::Trashed);
                found.taken.extend(files.map(|file| (path(file), of)));
            }
        }
    }
}

/// Returns the number of the entry whose end this one is.
pub(super) fn of(entry: &Entry) -> Option<i64> {
    std::str::from_utf8(entry.value(Field::Of)?)
        .ok()?
        .parse()
        .ok()
}

/// Says whether the list of what was moved is longer than the entry holds.
fn is_cut(entry: &Entry) -> bool {
    let lists = [Field::Scope, Field::Trashed].map(Field::name);
    let about = |note: &[u8]| {
        let list = note.split(|byte| *byte == b' ').next();
        lists.iter().any(|name| list == Some(name.as_bytes()))
    };
    entry.values(Field::Truncated).any(about)
}

fn hint(thing: &Trashed, error: &TrashError) -> Option<String> {
    let word = |path: &Path| shell_word(path.as_os_str().as_bytes());
    match error {
        TrashError::Gone => Some("it was restored already, or the trash was emptied".to_owned()),
        TrashError::Occupied(path) => Some(format!(
            "move that away first:  mv -n -- {0} {0}.new",
            word(path)
        )),
        TrashError::NoParent(path) => Some(format!("make it first:  mkdir -p -- {}", word(path))),
        TrashError::NoNote(_) | TrashError::LinkInTheWay(_) | TrashError::NeedsCopy(_) => {
            Some(format!("it lies at {}", word(&thing.file)))
        }
        _ => None,
    }
}

/// Says what became of each thing, in words or as JSON.
struct Report {
    entry: i64,
    as_json: bool,
    status: ExitStatus,
}

impl Report {
    fn restored(&mut self, thing: &Trashed) -> Result<(), Stop> {
        if self.as_json {
            return self.object(thing, None);
        }
        let original = shown(thing.original.as_os_str().as_bytes());
        Ok(output::line(format!("restored {original}"))?)
    }

    fn failed(&mut self, thing: &Trashed, why: &str, hint: Option<String>) -> Result<(), Stop> {
        self.status = ExitStatus::Denied;
        if self.as_json {
            return self.object(thing, Some(why));
        }
        let original = shown(thing.original.as_os_str().as_bytes());
        let what = format!("cannot restore {original}: {}", shown(why.as_bytes()));
        let failure = Failure::new(ExitStatus::Denied, what);
        output::complain(&match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
        Ok(())
    }

    fn object(&self, thing: &Trashed, error: Option<&str>) -> Result<(), Stop> {
        Ok(output::json(&json!({
            "entry": self.entry,
            "original": output::bytes(thing.original.as_os_str().as_bytes()),
            "trashed": output::bytes(thing.file.as_os_str().as_bytes()),
            "restored": error.is_none(),
            "error": error,
        }))?)
    }
}
