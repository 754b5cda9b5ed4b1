use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use super::{TrashError, look, note, system};
use crate::model::scope::PathScope;
use crate::sys::fs;

/// Moves a trashed entry back to `original` and removes the note about it.
///
/// All three paths are absolute and canonical, as they were when the entry was put there: a link on
/// the way is an error (PATH-43), as is a note that does not name `original`, a name that is taken
/// and a directory that is gone.
pub(crate) fn restore(trashed: &Path, info: &Path, original: &Path) -> Result<(), TrashError> {
    let other = || TrashError::OtherEntry(info.to_owned());
    let place = Place::of(trashed, info).ok_or_else(other)?;
    PathScope::new(original).map_err(|_| other())?;
    let files = open_half(place.trash, "files", OFlag::O_RDONLY)?;
    let notes = open_half(place.trash, "info", OFlag::O_PATH)?;
    let identity = match look(&files, place.name) {
        Ok(identity) => identity,
        Err(Errno::ENOENT) => return Err(TrashError::Gone),
        Err(error) => return Err(system(trashed, error)),
    };
    let said = match note::read(&notes, place.note) {
        Ok(said) => said.ok_or_else(other)?,
        Err(Errno::ENOENT) => return Err(TrashError::NoNote(info.to_owned())),
        Err(error) => return Err(system(info, error)),
    };
    // An absolute path takes the place of what it is joined to.
    if place.base.join(said).as_os_str() != original.as_os_str() {
        return Err(other());
    }
    let (Some(above), Some(name)) = (original.parent(), original.file_name()) else {
        return Err(other());
    };
    let parent = match open_exactly(above, OFlag::O_PATH) {
        Err(TrashError::System {
            path,
            error: Errno::ENOENT,
        }) => return Err(TrashError::NoParent(path)),
        parent => parent?,
    };
    match fs::rename_new(&files, place.name, &parent, name) {
        Ok(()) => {}
        Err(Errno::EEXIST) => return Err(TrashError::Occupied(original.to_owned())),
        Err(Errno::ENOENT) => return Err(TrashError::Gone),
        Err(Errno::EXDEV) => return Err(TrashError::NeedsCopy(original.to_owned())),
        Err(Errno::EINVAL) => return Err(TrashError::NoPromise(original.to_owned())),
        Err(error) => return Err(system(original, error)),
    }
    if look(&parent, name) != Ok(identity) {
        return match fs::rename_new(&parent, name, &files, place.name) {
            Ok(()) => Err(TrashError::Changed),
            Err(_) => Err(TrashError::Stranded(original.to_owned())),
        };
    }
    // The note goes last: a machine that stops in between must not have lost it alone.
    fsync(&files)
        .and_then(|()| unlinkat(&notes, place.note, UnlinkatFlags::NoRemoveDir))
        .map_err(|error| TrashError::NoteLeft {
            path: info.to_owned(),
            error,
        })
}

/// What the paths of a trashed entry and of its note say together.
struct Place<'a> {
    trash: &'a Path,
    name: &'a OsStr,
    note: &'a OsStr,
    /// What a relative path in a note starts from: the directory in which the trash resides, and
    /// for `.Trash/uid` the mount point.
    base: PathBuf,
}

impl<'a> Place<'a> {
    /// Returns nothing unless these are `TRASH/files/NAME` and `TRASH/info/NAME.trashinfo`.
    fn of(trashed: &'a Path, info: &'a Path) -> Option<Self> {
        let (files, infos) = (trashed.parent()?, info.parent()?);
        let trash = files.parent()?;
        let (name, note) = (trashed.file_name()?, info.file_name()?);
        let halves = files.ends_with("files") && infos.ends_with("info");
        if !halves || infos.parent()? != trash || note::file_name(name) != note {
            return None;
        }
        let resides = trash.parent()?;
        let base = if resides.ends_with(".Trash") {
            resides.parent()?
        } else {
            resides
        };
        Some(Self {
            trash,
            name,
            note,
            base: base.to_owned(),
        })
    }
}

fn open_half(trash: &Path, half: &str, flags: OFlag) -> Result<OwnedFd, TrashError> {
    open_exactly(&trash.join(half), flags).map_err(|error| match error {
        TrashError::System {
            error: Errno::ENOENT,
            ..
        } => TrashError::Gone,
        error => error,
    })
}

fn open_exactly(path: &Path, flags: OFlag) -> Result<OwnedFd, TrashError> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how).map_err(|error| match error {
        Errno::ELOOP => TrashError::LinkInTheWay(path.to_owned()),
        error => system(path, error),
    })
}
