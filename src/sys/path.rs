//! Resolution of operands by the kernel. The directory that holds the operand is opened and kept
//! open; the last component is looked at without following it, as `unlink` will treat it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat, stat};
use nix::sys::statfs::fstatfs;
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use crate::model::grant::Pin;
use crate::model::operation::{FileIdentity, TargetKind};
use crate::model::scope::{InvalidScope, PathScope};

/// File systems that show the kernel and hold no files of anybody's: proc, sysfs, cgroup2,
/// cgroup, devpts, securityfs, debugfs, tracefs, bpf, efivarfs, selinuxfs, configfs (statfs(2)).
const KERNEL_FILE_SYSTEMS: [u64; 12] = [
    0x9fa0,
    0x6265_6572,
    0x6367_7270,
    0x0027_e0eb,
    0x1cd1,
    0x7363_6673,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
    0xde5e_81e4,
    0xf97c_ff8c,
    0x6265_6570,
];

/// Why an operand has no scope.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PathError {
    #[error("an empty operand names nothing")]
    Empty,
    #[error("it is the root of the file system")]
    Root,
    #[error("its last component is '.' or '..'")]
    Dot,
    #[error("it has a trailing slash and is not a directory")]
    TrailingSlash,
    #[error("the directory that holds it was deleted")]
    Deleted,
    #[error("it is on a file system of the kernel or of devices")]
    KernelFileSystem,
    #[error("it is a mount point")]
    MountPoint,
    #[error("it changed while it was looked at")]
    Changed,
    #[error("its canonical name cannot be a scope: {0}")]
    Scope(#[from] InvalidScope),
    #[error("{}", .0.desc())]
    System(Errno),
}

impl PathError {
    /// Says whether nothing stands at the path.
    pub(crate) fn is_missing(&self) -> bool {
        *self == Self::System(Errno::ENOENT)
    }
}

/// A directory that holds operands, open for as long as this lives.
#[derive(Debug)]
pub(crate) struct Parent {
    fd: OwnedFd,
    path: PathBuf,
}

impl Parent {
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

/// Resolves operands; directories that hold several of them are opened once.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    parents: HashMap<Vec<u8>, (Rc<Parent>, Vec<u8>)>,
    device_file_system: Option<u64>,
}

impl Resolver {
    /// Returns what `operand` names, seen from the working directory.
    pub(crate) fn resolve(&mut self, operand: &OsStr) -> Result<Pinned, PathError> {
        let (directory, name, slash) = split(operand.as_bytes())?;
        let (parent, missing) = self.parent(directory)?;
        if missing.is_empty() {
            return found(parent, name, slash);
        }
        let rest = [missing.as_slice(), b"/", name].concat();
        let path = parent.path.join(OsStr::from_bytes(&rest));
        Ok(Pinned {
            parent,
            name: None,
            scope: PathScope::new(&path)?,
            kind: TargetKind::Missing,
            identity: None,
            directory: None,
        })
    }

    /// Opens the directory, or the nearest one above it that exists and what is missing below.
    fn parent(&mut self, directory: &[u8]) -> Result<(Rc<Parent>, Vec<u8>), PathError> {
        if let Some((parent, missing)) = self.parents.get(directory) {
            return Ok((Rc::clone(parent), missing.clone()));
        }
        let mut existing = directory;
        let (fd, missing) = loop {
            match open_directory(existing) {
                Ok(fd) => break (fd, missing_below(directory, existing)?),
                Err(Errno::ENOENT) => existing = above(existing).ok_or(PathError::Deleted)?,
                Err(error) => return Err(PathError::System(error)),
            }
        };
        let parent = Rc::new(self.checked_parent(fd)?);
        self.parents
            .insert(directory.to_vec(), (Rc::clone(&parent), missing.clone()));
        Ok((parent, missing))
    }

    fn checked_parent(&mut self, fd: OwnedFd) -> Result<Parent, PathError> {
        let status = fstat(&fd).map_err(PathError::System)?;
        if status.st_nlink == 0 {
            return Err(PathError::Deleted);
        }
        let kind = fstatfs(&fd).map_err(PathError::System)?.filesystem_type().0;
        #[expect(clippy::cast_sign_loss, reason = "magic numbers are bit patterns")]
        let magic = kind as u64 & 0xffff_ffff;
        let path = name_of(&fd)?;
        if KERNEL_FILE_SYSTEMS.contains(&magic)
            || self.devices()? == status.st_dev
            || path.starts_with("/run/user")
        {
            return Err(PathError::KernelFileSystem);
        }
        Ok(Parent { fd, path })
    }

    /// The device number of the file system on `/dev`, or one that no file has when `/dev` is a
    /// plain directory. devtmpfs has the magic number of tmpfs, so that does not tell.
    fn devices(&mut self) -> Result<u64, PathError> {
        if let Some(device) = self.device_file_system {
            return Ok(device);
        }
        let root = stat("/").map_err(PathError::System)?.st_dev;
        let device = match stat("/dev") {
            Ok(status) if status.st_dev != root => status.st_dev,
            Ok(_) | Err(Errno::ENOENT) => u64::MAX,
            Err(error) => return Err(PathError::System(error)),
        };
        self.device_file_system = Some(device);
        Ok(device)
    }
}

/// Splits an operand into its directory, its own name, and whether a slash followed.
fn split(operand: &[u8]) -> Result<(&[u8], &[u8], bool), PathError> {
    if operand.is_empty() {
        return Err(PathError::Empty);
    }
    let end = operand
        .iter()
        .rposition(|byte| *byte != b'/')
        .ok_or(PathError::Root)?;
    let (body, slashes) = operand.split_at_checked(end + 1).ok_or(PathError::Root)?;
    let start = body
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (directory, name) = body.split_at_checked(start).ok_or(PathError::Root)?;
    if matches!(name, b"." | b"..") {
        return Err(PathError::Dot);
    }
    let directory = if directory.is_empty() {
        b"."
    } else {
        directory
    };
    Ok((directory, name, !slashes.is_empty()))
}

fn open_directory(path: &[u8]) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how)
}

/// Returns the spelling of the directory above, or nothing when there is none to try.
fn above(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let body = path.get(..=end)?;
    match body.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => body.get(..=slash),
        None if body == b"." => None,
        None => Some(b"."),
    }
}

/// Returns the components of `directory` that do not exist below `existing`. A `..` among them
/// has no meaning that the kernel could give, so it is an error.
fn missing_below(directory: &[u8], existing: &[u8]) -> Result<Vec<u8>, PathError> {
    // The working directory stands for a relative spelling that has nothing of its own above it.
    let rest = if existing == b"." {
        directory
    } else {
        directory.strip_prefix(existing).ok_or(PathError::Changed)?
    };
    let names: Vec<&[u8]> = rest
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .collect();
    if names.contains(&&b".."[..]) {
        return Err(PathError::System(Errno::ENOENT));
    }
    Ok(names.join(&b'/'))
}

fn found(parent: Rc<Parent>, name: &[u8], slash: bool) -> Result<Pinned, PathError> {
    let name = OsStr::from_bytes(name);
    let scope = PathScope::new(&parent.path.join(name))?;
    let mut pinned = Pinned {
        parent,
        name: Some(name.to_owned()),
        scope,
        kind: TargetKind::Missing,
        identity: None,
        directory: None,
    };
    let status = match fstatat(&pinned.parent.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(status) => status,
        Err(Errno::ENOENT) => return Ok(pinned),
        Err(error) => return Err(PathError::System(error)),
    };
    pinned.identity = Some(identity(&status));
    let directory = file_type(&status) == SFlag::S_IFDIR;
    if !directory && slash {
        return Err(PathError::TrailingSlash);
    }
    if matches!(file_type(&status), SFlag::S_IFCHR | SFlag::S_IFBLK) {
        return Err(PathError::KernelFileSystem);
    }
    pinned.kind = if directory {
        TargetKind::Directory
    } else {
        TargetKind::Entry
    };
    if directory {
        let fd = open_below(&pinned.parent.fd, name)?;
        if fstat(&fd).map(|status| identity(&status)) != Ok(identity(&status)) {
            return Err(PathError::Changed);
        }
        pinned.directory = Some(fd);
    }
    Ok(pinned)
}

/// Opens a directory of `parent` by its name, and nothing that is mounted or linked there.
fn open_below(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, PathError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
    // RESOLVE_BENEATH answers EAGAIN while somebody renames directories (openat2(2)).
    for _ in 0..16 {
        match openat2(parent, name, how) {
            Ok(fd) => return Ok(fd),
            Err(Errno::EAGAIN) => {}
            Err(Errno::EXDEV) => return Err(PathError::MountPoint),
            Err(Errno::ELOOP | Errno::ENOTDIR | Errno::ENOENT) => return Err(PathError::Changed),
            Err(error) => return Err(PathError::System(error)),
        }
    }
    Err(PathError::Changed)
}

fn file_type(status: &FileStat) -> SFlag {
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

/// Returns the path under which the kernel knows what stands at `path`, links followed.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf, PathError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    name_of(&openat2(AT_FDCWD, path, how).map_err(PathError::System)?)
}

/// Returns the identities of `path` and of every directory above it, the root last.
pub(crate) fn ancestry(path: &Path) -> Result<Vec<FileIdentity>, PathError> {
    path.ancestors()
        .map(|level| {
            stat(level)
                .map(|status| identity(&status))
                .map_err(PathError::System)
        })
        .collect()
}

/// Returns what a pinned grant remembers of the directory at `path`, links not followed.
#[expect(unsafe_code, reason = "nix has no statx")]
pub(crate) fn pin(path: &Path) -> Result<Pin, PathError> {
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| PathError::System(Errno::EINVAL))?;
    let mut status = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let wanted = libc::STATX_INO | libc::STATX_BTIME;
    // SAFETY: the name is a C string and the buffer is a whole statx structure.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the expected value, made another way"
        )]
        let path = fs::canonicalize(directory.path()).unwrap();
        (directory, path)
    }

    fn resolve(path: impl AsRef<OsStr>) -> Result<Pinned, PathError> {
        Resolver::default().resolve(path.as_ref())
    }

    #[test]
    fn path_02_and_03_dot_dot_is_resolved_by_the_kernel() {
        let (_keep, base) = scratch();
        fs::create_dir_all(base.join("outside/deep")).unwrap();
        fs::write(base.join("outside/victim"), "").unwrap();
        fs::create_dir(base.join("x")).unwrap();
        symlink(base.join("outside/deep"), base.join("x/link")).unwrap();
        let pinned = resolve(base.join("x/link/../victim")).unwrap();
        assert_eq!(pinned.scope.as_path(), base.join("outside/victim"));
        assert_eq!(pinned.kind, TargetKind::Entry);
    }

    #[test]
    fn path_04_and_05_the_last_component_is_the_link_itself() {
        let (_keep, base) = scratch();
        symlink("/etc/passwd", base.join("link")).unwrap();
        symlink("nowhere", base.join("dangling")).unwrap();
        for name in ["link", "dangling"] {
            let pinned = resolve(base.join(name)).unwrap();
            assert_eq!(pinned.scope.as_path(), base.join(name));
            assert_eq!(pinned.kind, TargetKind::Entry);
        }
    }

    #[test]
    fn arg_28_a_link_with_a_trailing_slash_is_refused() {
        let (_keep, base) = scratch();
        fs::create_dir(base.join("d")).unwrap();
        symlink("d", base.join("ld")).unwrap();
        fs::write(base.join("f"), "").unwrap();
        let text = base.display();
        assert_eq!(
            resolve(format!("{text}/ld/")).unwrap_err(),
            PathError::TrailingSlash
        );
        assert_eq!(
            resolve(format!("{text}/f/")).unwrap_err(),
            PathError::TrailingSlash
        );
        assert_eq!(
            resolve(format!("{text}/d//")).unwrap().kind,
            TargetKind::Directory
        );
    }

    #[test]
    fn arg_29_and_30_dots_and_every_spelling_of_the_root_are_refused() {
        for text in [
            ".", "..", "d/.", "d/..", "./", ".///", "/tmp/..", "/../", "ld/./",
        ] {
            assert_eq!(resolve(text).unwrap_err(), PathError::Dot, "{text}");
        }
        for text in ["/", "//", "///"] {
            assert_eq!(resolve(text).unwrap_err(), PathError::Root, "{text}");
        }
        assert_eq!(resolve("").unwrap_err(), PathError::Empty);
    }

    #[test]
    fn path_17_and_18_magic_links_and_kernel_file_systems_are_refused() {
        let refused = resolve("/proc/self/root/tmp/x").unwrap_err();
        assert_eq!(refused, PathError::System(Errno::ELOOP));
        assert_eq!(
            resolve("/proc/1/status").unwrap_err(),
            PathError::KernelFileSystem
        );
        assert_eq!(
            resolve("/sys/kernel").unwrap_err(),
            PathError::KernelFileSystem
        );
        assert_eq!(
            resolve("/dev/null").unwrap_err(),
            PathError::KernelFileSystem
        );
    }

    #[test]
    fn path_22_a_name_that_is_too_long_is_refused() {
        let long = "n".repeat(256);
        let refused = resolve(format!("/tmp/{long}")).unwrap_err();
        assert_eq!(refused, PathError::System(Errno::ENAMETOOLONG));
        let deep = format!("/tmp/{}", "d/".repeat(2100));
        let refused = resolve(format!("{deep}x")).unwrap_err();
        assert_eq!(refused, PathError::System(Errno::ENAMETOOLONG));
    }

    #[test]
    fn a_missing_directory_leaves_a_scope_below_what_exists() {
        let (_keep, base) = scratch();
        let pinned = resolve(base.join("no/such/file")).unwrap();
        assert_eq!(pinned.scope.as_path(), base.join("no/such/file"));
        assert_eq!((pinned.kind, pinned.name), (TargetKind::Missing, None));
        assert!(resolve(base.join("no/../x/f")).is_err());
    }

    #[test]
    fn a_missing_hidden_directory_keeps_its_dot() {
        let pinned = resolve(".no-such-directory/f").unwrap();
        assert!(pinned.scope.as_path().ends_with(".no-such-directory/f"));
    }

    #[test]
    fn arg_31_two_slashes_are_one() {
        let (_keep, base) = scratch();
        let pinned = resolve(format!("/{}//f", base.display())).unwrap();
        assert_eq!(pinned.scope.as_path(), base.join("f"));
    }

    #[test]
    fn path_27_a_directory_made_again_is_another_one() {
        let (_keep, base) = scratch();
        let path = base.join("d");
        fs::create_dir(&path).unwrap();
        let before = pin(&path).unwrap();
        assert_eq!(pin(&path).unwrap(), before);
        fs::remove_dir(&path).unwrap();
        // Birth times have the resolution of the kernel's tick.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::create_dir(&path).unwrap();
        assert_ne!(pin(&path).unwrap(), before);
    }
}
