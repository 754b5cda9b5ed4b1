use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::broker::permit::TrashWords;
use crate::model::operation::{Operation, Target, TargetKind};
use crate::sys::path::Pinned;
use crate::sys::trash::{Can, TrashError, Trashed};
use crate::sys::{clock, fs};
use crate::text::escape::shown;

/// What became of the operands.
pub(super) struct Moved {
    pub(super) status: u8,
    /// Where each operand lies in the trash; empty for one that was not moved.
    pub(super) places: Vec<PathBuf>,
    /// Why the first of those that were not moved was not.
    pub(super) error: Option<String>,
}

/// Moves every operand to the trash; one that cannot be moved does not keep the others.
pub(super) fn put(operation: &Operation, pins: &[Pinned], words: &TrashWords) -> Moved {
    // No command follows that should have the mask as the caller left it.
    fs::keep_new_files_private();
    let mut moved = Moved {
        status: 0,
        places: Vec::new(),
        error: None,
    };
    for (target, pinned) in operation.targets().iter().zip(pins) {
        let operand = shown(target.operand.as_bytes());
        let place = match put_one(target, pinned, words) {
            Ok(None) => PathBuf::new(),
            Ok(Some(trashed)) => {
                if words.verbose {
                    say(&format!("{}: trashed '{operand}'\n", words.program));
                }
                trashed.file
            }
            Err(error) => {
                let error = shown(error.to_string().as_bytes());
                let line = format!("{}: cannot trash '{operand}': {error}\n", words.program);
                // Nobody may be listening; the entry has it.
                let _unheard = io::stderr().write_all(line.as_bytes());
                moved.status = 1;
                moved.error.get_or_insert(error);
                PathBuf::new()
            }
        };
        moved.places.push(place);
    }
    moved
}

fn put_one(
    target: &Target,
    pinned: &Pinned,
    words: &TrashWords,
) -> Result<Option<Trashed>, TrashError> {
    if target.kind == TargetKind::Missing && words.force {
        return Ok(None);
    }
    let can = Can::for_entry(pinned, &words.home, words.uid)?;
    if words.verbose {
        for place in &can.passed_over {
            let place = shown(place.to_string().as_bytes());
            say(&format!("{}: passed over {place}\n", words.program));
        }
    }
    can.put(pinned, clock::now()?.wall).map(Some)
}

fn say(line: &str) {
    let _unheard = io::stdout().write_all(line.as_bytes());
}
