//! Taking things out of the trash again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Broker, BrokerError};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::sys::trash::{self, TrashError};

/// One thing in the trash, and where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) file: PathBuf,
    pub(crate) original: PathBuf,
}

impl Trashed {
    /// Returns the note that lies beside the file, as the Trash specification has it.
    fn note(&self) -> Option<PathBuf> {
        let trash = self.file.parent()?.parent()?;
        let mut name = self.file.file_name()?.to_owned();
        name.push(".trashinfo");
        Some(trash.join("info").join(name))
    }
}

/// What came of taking things out of the trash.
#[derive(Debug)]
pub(crate) struct Restored {
    /// One for each thing, in order.
    pub(crate) results: Vec<Result<(), TrashError>>,
    /// Why the trail has the start of it and not the end.
    pub(crate) unrecorded: Option<BrokerError>,
}

impl Broker {
    /// Moves things back from the trash to where the trail says that they were. Nothing that
    /// stands there is replaced, so no grant is needed; it is recorded before it is done.
    ///
    /// `argv` is the command that asks for it, and `entry` the one that is undone.
    pub(crate) fn restore(
        &self,
        argv: &[OsString],
        entry: i64,
        things: &[Trashed],
        by: &Agent,
    ) -> Result<Restored, BrokerError> {
        let originals = things.iter().map(|thing| thing.original.as_os_str());
        let event = Event::new(Kind::Execution, Outcome::Success, by)
            .action(Action::Trash)
            .words(Field::Argv, argv)
            .list(Field::Scope, originals.map(OsStrExt::as_bytes))
            .text(Field::By, "self")
            .text(Field::Note, format!("undo of entry {entry}"));
        let (mut writing, now) = self.begin()?;
        let start = writing.append(&event, &now)?;
        writing.commit(start, ())?;
        self.vault.give_up_turn();

        let results: Vec<_> = things.iter().map(restore_one).collect();
        let failed = results.iter().find_map(|result| result.as_ref().err());
        let mut event = Event::new(Kind::Execution, Outcome::Result, by)
            .action(Action::Trash)
            .text(Field::Of, start.seq)
            .text(Field::By, "self")
            .text(Field::Status, u8::from(failed.is_some()));
        if let Some(error) = failed {
            event = event.text(Field::Error, error);
        }
        Ok(Restored {
            unrecorded: self.record(&event).err(),
            results,
        })
    }
}

fn restore_one(thing: &Trashed) -> Result<(), TrashError> {
    match thing.note() {
        Some(note) => trash::restore(&thing.file, &note, &thing.original),
        None => Err(TrashError::Gone),
    }
}
