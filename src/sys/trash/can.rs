//! Which trash directory an entry goes to, and whether it is fit to be used.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{PathconfVar, fpathconf};

use super::{TrashError, note};
use crate::model::operation::FileIdentity;
use crate::sys::mounts;
use crate::sys::path::{self, Pinned};

/// Linux's `NAME_MAX`, for a file system that does not say.
const USUAL_NAME_MAX: usize = 255;

/// A trash directory that is fit to take one entry, open.
#[derive(Debug)]
pub(crate) struct Can {
    pub(super) path: PathBuf,
    pub(super) identity: FileIdentity,
    pub(super) files: OwnedFd,
    pub(super) info: File,
    /// The mount point that notes are relative to; nothing in the home trash.
    pub(super) top: Option<PathBuf>,
    /// The most bytes that the name of a trashed entry may have.
    pub(super) longest_name: usize,
    /// Places that come before this one and are not fit, though they are there.
    pub(crate) passed_over: Vec<Unusable>,
}

/// A place for a trash that cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: {why}", path = .path.display())]
pub(crate) struct Unusable {
    pub(crate) path: PathBuf,
    pub(crate) why: Fault,
}

/// What is wrong with a directory on the way to a trash.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Fault {
    #[error("it is on another file system or mount")]
    Elsewhere,
    #[error("it is a link")]
    Link,
    #[error("it is not a directory")]
    NotADirectory,
    #[error("it belongs to uid {0}")]
    Owner(u32),
    #[error("it has no sticky bit (mode {0:04o})")]
    NotSticky(u32),
    #[error("others can write it (mode {0:04o})")]
    WritableByOthers(u32),
    #[error("others can look into it (mode {0:04o})")]
    NotPrivate(u32),
    #[error("{}", .0.desc())]
    System(Errno),
}

/// How closed a directory on the way must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// This user's or root's, and nobody else writes it.
    Trusted,
    /// This user's, and nobody else writes it.
    Mine,
    /// This user's, and nobody else looks into it.
    Private,
    /// One that an administrator made for all users (PATH-39).
    Shared,
}

/// Where a rename can reach: EXDEV is the answer between two mounts of one file system too, and
/// between subvolumes of one mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    mount: u64,
    device: u64,
}

impl Reach {
    fn of(directory: impl AsFd) -> Result<Self, Errno> {
        let device = fstat(&directory)?.st_dev;
        let mount = mounts::id_of(directory).map_err(|error| note::errno(&error))?;
        Ok(Self { mount, device })
    }
}

impl Can {
    /// Returns the first place of the specification that is fit for an entry, made where it is
    /// missing: the trash in `home`, `.Trash/uid` at the mount point, `.Trash-uid` there.
    ///
    /// `home` is from the password database; no variable has a say. The specification lets no link
    /// stand for `.Trash`, and is silent on others; here none is followed below `home` or the mount
    /// point, so a home trash that is a link is passed over (PATH-39).
    pub(crate) fn for_entry(pinned: &Pinned, home: &Path, uid: u32) -> Result<Self, TrashError> {
        if pinned.identity.is_none() {
            return Err(TrashError::Missing);
        }
        let reach = Reach::of(&*pinned.parent)
            .map_err(|error| super::system(pinned.parent.path(), error))?;
        let chooser = Chooser { reach, uid };
        let mut unusable = Vec::new();
        for choice in [Chooser::at_home, Chooser::shared, Chooser::own] {
            match choice(&chooser, home) {
                Ok(Some(can)) => {
                    let passed_over = unusable.into_iter().filter(Unusable::is_remarkable);
                    let passed_over = passed_over.collect();
                    return Ok(Self { passed_over, ..can });
                }
                Ok(None) => {}
                Err(reason) if unusable.contains(&reason) => {}
                Err(reason) => unusable.push(reason),
            }
        }
        Err(TrashError::NoCan(unusable))
    }
}

impl Unusable {
    /// Says whether somebody should look at it: a home on another file system is as it should be.
    fn is_remarkable(&self) -> bool {
        self.why != Fault::Elsewhere
    }
}

/// Tries the places for one entry.
struct Chooser {
    reach: Reach,
    uid: u32,
}

type Choice = Result<Option<Can>, Unusable>;

impl Chooser {
    fn at_home(&self, home: &Path) -> Choice {
        let place = self.home(home)?;
        let place = self.below(&place, ".local", Demand::Trusted)?;
        let place = self.below(&place, "share", Demand::Trusted)?;
        let place = self.below(&place, "Trash", Demand::Mine)?;
        self.fit(place, None).map(Some)
    }

    fn shared(&self, _home: &Path) -> Choice {
        let top = self.top()?;
        let place = match Place::in_directory(&top, ".Trash") {
            Err(Unusable {
                why: Fault::System(Errno::ENOENT),
                ..
            }) => return Ok(None),
            place => place?,
        };
        place.check(Demand::Shared, self.uid)?;
        let place = self.below(&place, &self.uid.to_string(), Demand::Mine)?;
        self.fit(place, Some(top.path)).map(Some)
    }

    fn own(&self, _home: &Path) -> Choice {
        let top = self.top()?;
        let place = self.below(&top, &format!(".Trash-{}", self.uid), Demand::Mine)?;
        self.fit(place, Some(top.path)).map(Some)
    }

    /// Opens the home directory itself, wherever a link may lead to it.
    fn home(&self, home: &Path) -> Result<Place, Unusable> {
        let mut place = Place::open(home)?;
        place.path = path::name_of(&place.fd).map_err(|_| place.fault(Fault::NotADirectory))?;
        place.check(Demand::Trusted, self.uid)?;
        Ok(place)
    }

    /// Opens the mount point under which the entry lies.
    fn top(&self) -> Result<Place, Unusable> {
        let elsewhere = |point: &Path| Unusable {
            path: point.to_owned(),
            why: Fault::Elsewhere,
        };
        let table = mounts::list().map_err(|_| elsewhere(Path::new("/proc/self/mountinfo")))?;
        let mount = table.into_iter().find(|mount| mount.id == self.reach.mount);
        let point = mount.ok_or_else(|| elsewhere(Path::new("/")))?.point;
        let place = Place::open(&point)?;
        // Something else may be mounted over it.
        if place.reach()?.mount == self.reach.mount {
            Ok(place)
        } else {
            Err(elsewhere(&point))
        }
    }

    /// Opens a directory of `above`, and makes it where it is missing.
    fn below(&self, above: &Place, name: &str, demand: Demand) -> Result<Place, Unusable> {
        let place = match Place::in_directory(above, name) {
            Err(Unusable {
                path,
                why: Fault::System(Errno::ENOENT),
            }) => {
                if above.reach()? != self.reach {
                    let why = Fault::Elsewhere;
                    return Err(Unusable { path, why });
                }
                above.make(name)?
            }
            opened => opened?,
        };
        place.check(demand, self.uid)?;
        Ok(place)
    }

    /// Opens the two halves of a trash, which must be within the entry's reach. What had lain in a
    /// closed directory is not shown to others: the trash or its halves must be closed (PATH-42).
    /// trash-cli closes the halves only.
    fn fit(&self, place: Place, top: Option<PathBuf>) -> Result<Can, Unusable> {
        let demand = match place.check(Demand::Private, self.uid) {
            Ok(()) => Demand::Mine,
            Err(_) => Demand::Private,
        };
        let files = self.below(&place, "files", demand)?;
        let info = self.below(&place, "info", demand)?;
        for half in [&files, &info] {
            if half.reach()? != self.reach {
                return Err(half.fault(Fault::Elsewhere));
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let readable = openat(&info.fd, ".", flags, Mode::empty());
        let readable = readable.map_err(|error| info.fault(Fault::System(error)))?;
        let longest = fpathconf(&files.fd, PathconfVar::NAME_MAX).ok().flatten();
        let longest = longest.and_then(|longest| usize::try_from(longest).ok());
        let longest = longest.unwrap_or(USUAL_NAME_MAX);
        Ok(Can {
            identity: path::identity(&place.status()?),
            path: place.path,
            files: files.fd,
            info: File::from(readable),
            top,
            longest_name: longest.saturating_sub(note::ENDING.len()),
            passed_over: Vec::new(),
        })
    }
}

/// A directory on the way to a trash, open.
#[derive(Debug)]
struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

impl Place {
    fn open(path: &Path) -> Result<Self, Unusable> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = path.to_owned();
        match openat(AT_FDCWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(error) => Err(Unusable {
                path,
                why: Fault::System(error),
            }),
        }
    }

    fn in_directory(above: &Self, name: &str) -> Result<Self, Unusable> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = above.path.join(name);
        let why = match openat(&above.fd, name, flags, Mode::empty()) {
            Ok(fd) => return Ok(Self { fd, path }),
            Err(Errno::ENOTDIR | Errno::ELOOP) if is_link(&above.fd, name) => Fault::Link,
            Err(Errno::ENOTDIR) => Fault::NotADirectory,
            Err(error) => Fault::System(error),
        };
        Err(Unusable { path, why })
    }

    /// Makes a directory for this user alone. Another process that makes it first does the same.
    fn make(&self, name: &str) -> Result<Self, Unusable> {
        let made = match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(error) => {
                return Err(Unusable {
                    path: self.path.join(name),
                    why: Fault::System(error),
                });
            }
        };
        let place = Self::in_directory(self, name)?;
        if made && place.status()?.st_mode & 0o777 != 0o700 {
            // The umask, a default ACL or the file system took bits away or added some (ENV-28).
            let own_name = format!("/proc/self/fd/{}", place.fd.as_raw_fd());
            let _checked_next = std::fs::set_permissions(own_name, Permissions::from_mode(0o700));
        }
        Ok(place)
    }

    fn check(&self, demand: Demand, uid: u32) -> Result<(), Unusable> {
        check(&self.status()?, demand, uid).map_err(|why| self.fault(why))
    }

    fn status(&self) -> Result<FileStat, Unusable> {
        fstat(&self.fd).map_err(|error| self.fault(Fault::System(error)))
    }

    fn reach(&self) -> Result<Reach, Unusable> {
        Reach::of(&self.fd).map_err(|error| self.fault(Fault::System(error)))
    }

    fn fault(&self, why: Fault) -> Unusable {
        let path = self.path.clone();
        Unusable { path, why }
    }
}

fn is_link(directory: impl AsFd, name: impl AsRef<OsStr>) -> bool {
    let status = fstatat(directory, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW);
    status.is_ok_and(|status| status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits())
}

fn check(status: &FileStat, demand: Demand, uid: u32) -> Result<(), Fault> {
    let mode = status.st_mode & 0o7777;
    let owner = status.st_uid;
    let roots_will_do = matches!(demand, Demand::Trusted | Demand::Shared);
    if owner != uid && !(roots_will_do && owner == 0) {
        return Err(Fault::Owner(owner));
    }
    match demand {
        Demand::Shared if mode & 0o1000 == 0 => Err(Fault::NotSticky(mode)),
        Demand::Shared => Ok(()),
        _ if mode & 0o022 != 0 => Err(Fault::WritableByOthers(mode)),
        Demand::Private if mode & 0o077 != 0 => Err(Fault::NotPrivate(mode)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
