//! The trash of the FreeDesktop Trash specification 1.0: an entry is moved on descriptors, by one
//! rename that replaces nothing. What cannot be renamed is refused and never copied.

mod can;
mod note;
mod restore;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

use super::clock::{self, ClockError};
use super::path::{self, Pinned};
use super::{fs, random};
use crate::model::operation::FileIdentity;
use crate::model::time::Timestamp;

pub(crate) use can::{Can, Unusable};
pub(crate) use restore::restore;

/// Names that are tried for one entry before it is refused. From the hundredth on they are random.
const MOST_NAMES: u32 = 1000;

/// Where an entry is now, by canonical paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) file: PathBuf,
    pub(crate) info: PathBuf,
}

/// Why nothing was moved, unless a case says otherwise. Paths are as they are, not escaped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrashError {
    #[error("there is no such file or directory")]
    Missing,
    #[error("no trash can take it: {}", list(.0))]
    NoCan(Vec<Unusable>),
    #[error("it changed while it was looked at")]
    Changed,
    /// Something was moved that had not been looked at, and could not be moved back.
    #[error("it changed while it was moved; what was moved is now {path}", path = .0.display())]
    Stranded(PathBuf),
    #[error("it is in the trash already, or is part of it: {path}", path = .0.display())]
    InTrash(PathBuf),
    #[error("the trash {path} lies in it", path = .0.display())]
    HoldsTrash(PathBuf),
    #[error("the file system can only copy it to {path}, and nothing is copied", path = .0.display())]
    NeedsCopy(PathBuf),
    #[error("the file system of {path} cannot promise that a move replaces nothing", path = .0.display())]
    NoPromise(PathBuf),
    #[error("no free name was found in {path}", path = .0.display())]
    NoName(PathBuf),
    #[error("it is not in the trash any more")]
    Gone,
    #[error("the note {path} about where it came from is gone", path = .0.display())]
    NoNote(PathBuf),
    #[error("{path} says where something else came from", path = .0.display())]
    OtherEntry(PathBuf),
    #[error("something stands at {path}", path = .0.display())]
    Occupied(PathBuf),
    #[error("the directory {path} is gone", path = .0.display())]
    NoParent(PathBuf),
    #[error("a link is in the way to {path}", path = .0.display())]
    LinkInTheWay(PathBuf),
    /// The entry is back at its place; only the note about it is left.
    #[error("it was restored, but {path} could not be removed: {error}", path = .path.display())]
    NoteLeft { path: PathBuf, error: Errno },
    #[error("{path}: {error}", path = .path.display())]
    System { path: PathBuf, error: Errno },
    #[error(transparent)]
    Clock(#[from] ClockError),
}

fn list(reasons: &[Unusable]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

fn system(path: &Path, error: Errno) -> TrashError {
    let path = path.to_owned();
    TrashError::System { path, error }
}

/// Returns the identity of an entry, links not followed.
fn look(directory: impl AsFd, name: &OsStr) -> Result<FileIdentity, Errno> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|status| path::identity(&status))
}

impl Can {
    /// Moves an entry here, the note about it first. What goes is what was resolved: another entry
    /// under its name is left, or moved back (PATH-10).
    pub(crate) fn put(&self, pinned: &Pinned, now: Timestamp) -> Result<Trashed, TrashError> {
        let (Some(name), Some(identity)) = (pinned.name.as_deref(), pinned.identity) else {
            return Err(TrashError::Missing);
        };
        let original = pinned.scope.as_path();
        self.check_outside(pinned, identity)?;
        match look(&*pinned.parent, name) {
            Ok(there) if there == identity => {}
            Ok(_) => return Err(TrashError::Changed),
            Err(Errno::ENOENT) => return Err(TrashError::Missing),
            Err(error) => return Err(system(original, error)),
        }
        if path::name_of(&*pinned.parent).ok().as_deref() != Some(pinned.parent.path()) {
            return Err(TrashError::Changed);
        }
        let text = note::text(self.recorded_path(original)?, &clock::local(now)?);
        for number in 0..MOST_NAMES {
            let unique = self.free_name(name, number)?;
            if let Some(trashed) = self.put_as(pinned, identity, &unique, &text)? {
                return Ok(trashed);
            }
        }
        Err(TrashError::NoName(self.path.clone()))
    }

    /// Refuses what this trash lies in, and what lies in this trash.
    fn check_outside(&self, pinned: &Pinned, identity: FileIdentity) -> Result<(), TrashError> {
        let above = path::ancestry(&self.path).map_err(|_| TrashError::Changed)?;
        if above.first() == Some(&identity) || pinned.parent.lineage().contains(&self.identity) {
            return Err(TrashError::InTrash(self.path.clone()));
        }
        if above.contains(&identity) {
            return Err(TrashError::HoldsTrash(self.path.clone()));
        }
        Ok(())
    }

    /// Returns what the note says: absolute in the home trash, else seen from the mount point.
    fn recorded_path<'a>(&self, original: &'a Path) -> Result<&'a Path, TrashError> {
        match &self.top {
            None => Ok(original),
            Some(top) => original.strip_prefix(top).map_err(|_| TrashError::Changed),
        }
    }

    fn free_name(&self, name: &OsStr, number: u32) -> Result<OsString, TrashError> {
        let number = if number < 100 {
            number
        } else {
            let error = |_| system(&self.path, Errno::EIO);
            u32::from_ne_bytes(random::bytes().map_err(error)?)
        };
        Ok(note::candidate(name, number, self.longest_name))
    }

    /// Moves the entry to this name, or returns nothing when it is taken: by a note, or by a file
    /// that lost its note and is kept all the same (PATH-41).
    fn put_as(
        &self,
        pinned: &Pinned,
        identity: FileIdentity,
        unique: &OsStr,
        text: &str,
    ) -> Result<Option<Trashed>, TrashError> {
        let name = pinned.name.as_deref().ok_or(TrashError::Missing)?;
        let info = note::file_name(unique);
        let trashed = Trashed {
            file: self.path.join("files").join(unique),
            info: self.path.join("info").join(&info),
        };
        match note::write(&self.info, &info, text) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Ok(None),
            Err(error) => return Err(system(&trashed.info, error)),
        }
        if let Err(error) = fs::rename_new(&*pinned.parent, name, &self.files, unique) {
            note::remove(&self.info, &info);
            return match error {
                Errno::EEXIST => Ok(None),
                Errno::ENOENT => Err(TrashError::Missing),
                Errno::EXDEV => Err(TrashError::NeedsCopy(self.path.clone())),
                Errno::EINVAL => Err(TrashError::NoPromise(self.path.clone())),
                error => Err(system(pinned.scope.as_path(), error)),
            };
        }
        if look(&self.files, unique) == Ok(identity) {
            return Ok(Some(trashed));
        }
        if fs::rename_new(&self.files, unique, &*pinned.parent, name).is_err() {
            return Err(TrashError::Stranded(trashed.file));
        }
        note::remove(&self.info, &info);
        Err(TrashError::Changed)
    }
}

#[cfg(test)]
mod tests;
