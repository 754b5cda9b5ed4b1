use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat, lstat, stat};

use super::PathError;
use crate::model::grant::Pin;
use crate::model::operation::FileIdentity;

pub(super) fn file_type(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

/// Returns the device and inode number in `status`.
pub(crate) fn identity(status: &FileStat) -> FileIdentity {
    FileIdentity {
        device: status.st_dev,
        inode: status.st_ino,
    }
}

/// Returns the canonical path by which the kernel knows an open descriptor.
pub(crate) fn name_of(fd: &impl AsFd) -> Result<PathBuf, PathError> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let path = readlinkat(AT_FDCWD, link.as_str()).map_err(PathError::System)?;
    if path.as_bytes().starts_with(b"/") {
        Ok(PathBuf::from(OsString::from_vec(path.into_vec())))
    } else {
        Err(PathError::Deleted)
    }
}

/// How many levels are climbed by one path: `../` this often is shorter than PATH_MAX.
const STRIDE: usize = 1000;

/// Climbs from an open directory to the root, whatever its path stands for by now.
pub(super) fn lineage(fd: &OwnedFd, path: &Path) -> Result<Rc<[FileIdentity]>, PathError> {
    let levels = path.components().count();
    let mut identities = Vec::with_capacity(levels);
    let mut base: Option<OwnedFd> = None;
    for level in 0..levels {
        let steps = level % STRIDE;
        if steps == 0 && level > 0 {
            let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
            let above = "../".repeat(STRIDE);
            let higher = openat2(base.as_ref().unwrap_or(fd), above.as_str(), how);
            base = Some(higher.map_err(PathError::System)?);
        }
        let at = base.as_ref().unwrap_or(fd);
        let status = match steps {
            0 => fstat(at),
            _ => fstatat(at, "../".repeat(steps).as_str(), AtFlags::empty()),
        };
        identities.push(identity(&status.map_err(PathError::System)?));
    }
    Ok(identities.into())
}

/// Returns the path under which the kernel knows what stands at `path`, links followed.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf, PathError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    name_of(&openat2(AT_FDCWD, path, how).map_err(PathError::System)?)
}

/// Opens a directory only to know it again under whatever name.
pub(crate) fn hold(path: &Path) -> Result<OwnedFd, PathError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how).map_err(PathError::System)
}

/// Returns the identity of what stands at `path`, which may be a link.
pub(crate) fn identity_of_link(path: &Path) -> Result<FileIdentity, PathError> {
    lstat(path)
        .map(|status| identity(&status))
        .map_err(PathError::System)
}

/// Returns the identity of what `path` leads to, links followed.
pub(crate) fn identity_of(path: &Path) -> Result<FileIdentity, PathError> {
    stat(path)
        .map(|status| identity(&status))
        .map_err(PathError::System)
}

/// Returns the identities of `path` and of every directory above it, the root last.
pub(crate) fn ancestry(path: &Path) -> Result<Vec<FileIdentity>, PathError> {
    path.ancestors().map(identity_of).collect()
}

/// Returns what a pinned grant remembers of the directory at `path`, links not followed.
pub(crate) fn pin(path: &Path) -> Result<Pin, PathError> {
    pin_at(libc::AT_FDCWD, path.as_os_str())
}

/// Returns what a pinned grant would remember of an open directory.
pub(crate) fn pin_of(directory: &impl AsFd) -> Result<Pin, PathError> {
    pin_at(directory.as_fd().as_raw_fd(), OsStr::new(""))
}

#[expect(unsafe_code, reason = "nix has no statx")]
pub(super) fn pin_at(directory: i32, name: &OsStr) -> Result<Pin, PathError> {
    let name = CString::new(name.as_bytes()).map_err(|_| PathError::System(Errno::EINVAL))?;
    let mut status = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let wanted = libc::STATX_INO | libc::STATX_BTIME;
    // SAFETY: the name is a C string and the buffer is a whole statx structure.
    let result = unsafe {
        libc::statx(
            directory,
            name.as_ptr(),
            // An empty name is the directory itself.
            libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH,
            wanted,
            status.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(PathError::System(Errno::last()));
    }
    // SAFETY: the structure was zeroed, and the call that succeeded filled it.
    let status = unsafe { status.assume_init() };
    let born = status.stx_btime.tv_sec.saturating_mul(1_000_000_000);
    Ok(Pin {
        device: libc::makedev(status.stx_dev_major, status.stx_dev_minor),
        inode: status.stx_ino,
        born: born.saturating_add(i64::from(status.stx_btime.tv_nsec)),
    })
}
