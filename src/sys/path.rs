//! Resolution of operands by the kernel. The directory that holds the operand is opened and kept
//! open; the last component is looked at without following it, as `unlink` will treat it.

mod identity;
pub(crate) mod links;
mod pinned;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat, fstatat, stat};
use nix::sys::statfs::fstatfs;

use crate::model::operation::{FileIdentity, TargetKind};
use crate::model::scope::{InvalidScope, PathScope};
use identity::{file_type, lineage};

pub(crate) use identity::{
    ancestry, canonical, hold, identity, identity_of, identity_of_link, name_of, pin, pin_of,
};
pub(crate) use pinned::{Obstacle, Parent, Pinned};

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
    #[error("it is a name of pvm itself")]
    OwnName,
    #[error("it changed while it was looked at")]
    Changed,
    #[error("its canonical name cannot be a scope: {0}")]
    Scope(#[from] InvalidScope),
    #[error("{}", .0.desc())]
    System(Errno),
}

impl PathError {
    /// Says whether nothing stands at the path.
    pub(crate) fn is_missing(self) -> bool {
        self == Self::System(Errno::ENOENT)
    }
}

/// Resolves operands; directories that hold several of them are opened once.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    parents: BTreeMap<Vec<u8>, (Rc<Parent>, Vec<u8>)>,
    device_file_system: Option<u64>,
    /// Where relative operands are looked up; nothing: in the working directory.
    base: Option<OwnedFd>,
    /// The program whose names are no operands; nothing: this one.
    own: Option<FileIdentity>,
}

impl Resolver {
    /// Resolves operands as another process would that works in `directory`, and whose wrappers are
    /// the program `own`.
    pub(crate) fn on_behalf(directory: &Path, own: FileIdentity) -> Result<Self, PathError> {
        let base = open_directory(None, directory.as_os_str().as_bytes());
        Ok(Self {
            base: Some(base.map_err(PathError::System)?),
            own: Some(own),
            ..Self::default()
        })
    }

    /// Returns what `operand` names, seen from the working directory.
    pub(crate) fn resolve(&mut self, operand: &OsStr) -> Result<Pinned, PathError> {
        let (directory, name, slash) = split(operand.as_bytes())?;
        let (parent, missing) = self.parent(directory)?;
        if missing.is_empty() {
            return found(parent, name, slash, self.own);
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
            match open_directory(self.base.as_ref(), existing) {
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
        let lineage = lineage(&fd, &path)?;
        Ok(Parent { fd, path, lineage })
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

fn open_directory(base: Option<&OwnedFd>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(base.map_or(AT_FDCWD, AsFd::as_fd), path, how)
}

/// Opens a directory by its canonical path, or the working directory by `.`, through no link.
///
/// Returns it with the identities of it and of every directory above, the root last.
pub(crate) fn open_canonical(path: &Path) -> Result<(OwnedFd, Rc<[FileIdentity]>), PathError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let fd = openat2(AT_FDCWD, path, how).map_err(PathError::System)?;
    let name = name_of(&fd)?;
    if path.is_absolute() && name != path {
        return Err(PathError::Changed);
    }
    let lineage = lineage(&fd, &name)?;
    Ok((fd, lineage))
}

/// Opens a character device as itself; nothing when there is none of that name.
pub(crate) fn open_device(path: &Path) -> Option<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let fd = openat2(AT_FDCWD, path, how).ok()?;
    let status = fstat(&fd).ok()?;
    (file_type(&status) == SFlag::S_IFCHR).then_some(fd)
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

fn found(
    parent: Rc<Parent>,
    name: &[u8],
    slash: bool,
    own: Option<FileIdentity>,
) -> Result<Pinned, PathError> {
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
    if file_type(&status) == SFlag::S_IFLNK && leads_to_pvm(&pinned.parent, name, own) {
        return Err(PathError::OwnName);
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

/// Says whether a link is one of the names that pvm was installed under; `own` is it, unless this
/// program is.
fn leads_to_pvm(parent: &Parent, link: &OsStr, own: Option<FileIdentity>) -> bool {
    let target = fstatat(&parent.fd, link, AtFlags::empty());
    target.is_ok_and(|target| match own {
        Some(own) => own == identity(&target),
        None => stat("/proc/self/exe").is_ok_and(|own| identity(&own) == identity(&target)),
    })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

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
    fn path_23_a_directory_deeper_than_one_climb_reaches_has_its_whole_lineage() {
        let (_keep, base) = scratch();
        let deep = base.join("d/".repeat(1500));
        fs::create_dir_all(&deep).unwrap();
        let pinned = resolve(deep.join("f")).unwrap();
        let expected = ancestry(&deep.components().collect::<PathBuf>()).unwrap();
        assert_eq!(*pinned.parent.lineage(), *expected);
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
