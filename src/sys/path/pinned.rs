use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use super::PathError;
use super::identity::{file_type, identity, pin_at};
use crate::model::grant::Pin;
use crate::model::operation::{FileIdentity, TargetKind};
use crate::model::scope::PathScope;

/// A directory that holds operands, open for as long as this lives.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) lineage: Rc<[FileIdentity]>,
}

impl Parent {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the identities of this directory and of every one above it, the root last.
    pub(crate) fn lineage(&self) -> Rc<[FileIdentity]> {
        Rc::clone(&self.lineage)
    }

    /// Looks at the directory as many levels above this one as `root` has fewer components.
    fn pin_above(&self, root: &PathScope) -> Result<Pin, PathError> {
        let depth = |path: &Path| path.components().count();
        let levels = depth(&self.path)
            .checked_sub(depth(root.as_path()))
            .ok_or(PathError::Changed)?;
        pin_at(self.fd.as_raw_fd(), OsStr::new(&"../".repeat(levels)))
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An operand that the kernel resolved, with the descriptors that hold it in place.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) parent: Rc<Parent>,
    /// The operand's own name in its parent; nothing when the parent itself is missing.
    pub(crate) name: Option<OsString>,
    pub(crate) scope: PathScope,
    pub(crate) kind: TargetKind,
    pub(crate) identity: Option<FileIdentity>,
    /// The directory itself, when the operand is one.
    pub(crate) directory: Option<OwnedFd>,
}

/// Why a pinned entry was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Something else stands there now.
    Changed,
    System(Errno),
}

impl Pinned {
    /// Removes the entry, which must not be a directory, if it is still the one that was checked.
    pub(crate) fn unlink(&self) -> Result<(), Obstacle> {
        let name = self.name.as_deref().ok_or(Obstacle::Changed)?;
        let status = self.status().map_err(Obstacle::System)?;
        if Some(identity(&status)) != self.identity {
            return Err(Obstacle::Changed);
        }
        unlinkat(&self.parent.fd, name, UnlinkatFlags::NoRemoveDir).map_err(Obstacle::System)
    }

    /// Says whether `root`, which is this operand or lies above it, is what `pin` remembers. The
    /// answer comes from the descriptors that are held: a name that is asked a second time can
    /// stand for something else by then (PATH-10).
    pub(crate) fn has_root(&self, root: &PathScope, pin: Pin) -> bool {
        let there = match (&self.directory, self.name.as_deref()) {
            _ if self.scope != *root => self.parent.pin_above(root),
            (Some(directory), _) => pin_at(directory.as_raw_fd(), OsStr::new("")),
            (None, Some(name)) => pin_at(self.parent.fd.as_raw_fd(), name)
                .and_then(|there| self.is_it(there).then_some(there).ok_or(PathError::Changed)),
            (None, None) => return false,
        };
        there.is_ok_and(|there| there == pin)
    }

    fn is_it(&self, there: Pin) -> bool {
        let Pin { device, inode, .. } = there;
        self.identity == Some(FileIdentity { device, inode })
    }

    fn status(&self) -> Result<FileStat, Errno> {
        let name = self.name.as_deref().ok_or(Errno::ENOENT)?;
        fstatat(&self.parent.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Says whether the mode forbids this user to write the file, which `rm` asks about.
    pub(crate) fn is_write_protected(&self) -> bool {
        let link = self
            .status()
            .is_ok_and(|status| file_type(&status) == SFlag::S_IFLNK);
        let writable = self.name.as_deref().is_some_and(|name| {
            faccessat(
                &self.parent.fd,
                name,
                AccessFlags::W_OK,
                AtFlags::AT_EACCESS,
            )
            .is_ok()
        });
        !link && !writable
    }

    /// Returns what the entry is, in the words of `rm`'s questions.
    pub(crate) fn describe(&self) -> &'static str {
        match self
            .status()
            .map(|status| (file_type(&status), status.st_size))
        {
            Ok((SFlag::S_IFREG, 0)) => "regular empty file",
            Ok((SFlag::S_IFREG, _)) => "regular file",
            Ok((SFlag::S_IFLNK, _)) => "symbolic link",
            Ok((SFlag::S_IFIFO, _)) => "fifo",
            Ok((SFlag::S_IFSOCK, _)) => "socket",
            _ => "file",
        }
    }
}
