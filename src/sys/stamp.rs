//! What shows that a file is not as it was when it was last looked at.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat, stat};
use nix::time::{ClockId, clock_gettime};

/// The kernel stamps files with a clock that stands still for up to 10 ms (CONFIG_HZ=100), so two
/// changes can bear one time.
const STANDSTILL_NS: i128 = 50_000_000;

/// The state of what stands at a path; nothing is a state too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Option<Status>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    device: u64,
    inode: u64,
    size: i64,
    mode: u32,
    uid: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at what a path leads to.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        match stat(path) {
            Ok(status) => Ok(Self(Some(Status::from(&status)))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(Self(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Says whether the last change is so long ago that another one would bear another time.
    pub(crate) fn is_settled(&self) -> io::Result<bool> {
        let Some(status) = self.0 else {
            return Ok(true);
        };
        let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
        let nanoseconds = |(s, ns): (i64, i64)| i128::from(s) * 1_000_000_000 + i128::from(ns);
        let age = nanoseconds((now.tv_sec(), now.tv_nsec())) - nanoseconds(status.changed);
        Ok(age > STANDSTILL_NS)
    }
}

/// A file that is held without being opened, so that letting go of it gives up no lock.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

/// How the content of a file is, as far as size and time tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    size: i64,
    modified: (i64, i64),
}

impl Held {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Looks at the file, whatever it is called by now. When anything but its content changed is left
    /// out: SQLite, run by root, sets the owner of its log whenever it opens it.
    pub(crate) fn content(&self) -> io::Result<Content> {
        let status = fstat(&self.0)?;
        Ok(Content {
            size: status.st_size,
            modified: (status.st_mtime, status.st_mtime_nsec),
        })
    }
}

impl From<&FileStat> for Status {
    fn from(status: &FileStat) -> Self {
        Self {
            device: status.st_dev,
            inode: status.st_ino,
            size: status.st_size,
            mode: status.st_mode,
            uid: status.st_uid,
            modified: (status.st_mtime, status.st_mtime_nsec),
            changed: (status.st_ctime, status.st_ctime_nsec),
        }
    }
}

/// Returns the number at the beginning of a file; zero where it is too short to hold one.
pub(crate) fn number(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_be_bytes(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

/// Raises the number at the beginning of a file. Whoever calls is the only one to do so now.
pub(crate) fn raise_number(file: &File) -> io::Result<()> {
    let next = number(file)?.wrapping_add(1);
    file.write_all_at(&next.to_be_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_starts_at_zero_and_only_grows() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(number(&file).unwrap(), 0);
        for expected in 1..300 {
            raise_number(&file).unwrap();
            assert_eq!(number(&file).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_just_written_is_not_settled_and_what_is_missing_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let missing = Stamp::of(&path).unwrap();
        assert!(missing.is_settled().unwrap());
        std::fs::write(&path, "a").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        assert_ne!(stamp, missing);
        assert!(!stamp.is_settled().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(70));
        assert!(Stamp::of(&path).unwrap().is_settled().unwrap());
        let held = Held::new(&path).unwrap();
        let content = held.content().unwrap();
        std::fs::rename(&path, directory.path().join("g")).unwrap();
        assert_eq!(held.content().unwrap(), content);
    }
}
