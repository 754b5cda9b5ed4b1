//! Files of pvm's own: made with an explicit mode, and believed only when nobody else could have
//! written them.

use std::ffi::{CString, OsStr};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;
use nix::unistd::AccessFlags;

use super::{process, random, stamp};

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Suspicion {
    #[error("{path} belongs to uid {owner}, not to uid {expected}", path = .path.display())]
    Owner {
        path: PathBuf,
        owner: u32,
        expected: u32,
    },
    #[error("{path} can be written by others (mode {mode:04o})", path = .path.display())]
    WritableByOthers { path: PathBuf, mode: u32 },
    #[error("{path} can be read by others (mode {mode:04o})", path = .path.display())]
    ReadableByOthers { path: PathBuf, mode: u32 },
    #[error("{path} is not a regular file", path = .0.display())]
    NotAFile(PathBuf),
    #[error("{path} is not a directory", path = .0.display())]
    NotADirectory(PathBuf),
    #[error("{path} has {links} hard links", path = .path.display())]
    HardLinked { path: PathBuf, links: u64 },
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Suspicion {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Says whether the file is simply not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Checks that nobody but root and this user can change what stands at `path`, by looking at
/// every directory above. A directory with the sticky bit protects what others own in it.
pub(crate) fn check_directories_above(path: &Path) -> Result<(), Suspicion> {
    for directory in path
        .ancestors()
        .skip(1)
        .filter(|level| !level.as_os_str().is_empty())
    {
        let status = fs::metadata(directory).map_err(Suspicion::io(directory))?;
        let mode = status.mode() & 0o7777;
        let owned = status.uid() == 0 || status.uid() == process::uid();
        if !owned {
            return Err(wrong_owner(directory, status.uid()));
        }
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(Suspicion::WritableByOthers {
                path: directory.to_owned(),
                mode,
            });
        }
    }
    Ok(())
}

fn wrong_owner(path: &Path, owner: u32) -> Suspicion {
    Suspicion::Owner {
        path: path.to_owned(),
        owner,
        expected: process::uid(),
    }
}

pub(super) fn check_owner(path: &Path, status: &fs::Metadata) -> Result<(), Suspicion> {
    if status.uid() == process::uid() {
        Ok(())
    } else {
        Err(wrong_owner(path, status.uid()))
    }
}

/// Checks a directory that is for this user alone.
pub(crate) fn check_private_directory(path: &Path) -> Result<(), Suspicion> {
    let status = fs::symlink_metadata(path).map_err(Suspicion::io(path))?;
    if !status.is_dir() {
        return Err(Suspicion::NotADirectory(path.to_owned()));
    }
    check_owner(path, &status)?;
    check_not_writable(path, status.mode())
}

/// Checks a file that is for this user alone: regular, with one name, closed to everybody else
/// (DB-10, DB-11, DB-12).
pub(crate) fn check_private_file(path: &Path) -> Result<(), Suspicion> {
    check_private(
        path,
        &fs::symlink_metadata(path).map_err(Suspicion::io(path))?,
    )
}

/// Checks what is known of such a file.
pub(super) fn check_private(path: &Path, status: &fs::Metadata) -> Result<(), Suspicion> {
    if !status.is_file() {
        return Err(Suspicion::NotAFile(path.to_owned()));
    }
    check_owner(path, status)?;
    if status.nlink() != 1 {
        return Err(Suspicion::HardLinked {
            path: path.to_owned(),
            links: status.nlink(),
        });
    }
    check_not_writable(path, status.mode())?;
    let mode = status.mode() & 0o7777;
    if mode & 0o044 != 0 {
        return Err(Suspicion::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

pub(super) fn check_not_writable(path: &Path, mode: u32) -> Result<(), Suspicion> {
    let mode = mode & 0o7777;
    if mode & 0o022 == 0 {
        Ok(())
    } else {
        Err(Suspicion::WritableByOthers {
            path: path.to_owned(),
            mode,
        })
    }
}

/// Opens a file that root or this user wrote and nobody else can write, for reading. The owner
/// must be one of `owners`.
pub(crate) fn open_trusted(path: &Path, owners: &[u32]) -> Result<File, Suspicion> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(Suspicion::io(path))?;
    let status = file.metadata().map_err(Suspicion::io(path))?;
    if !status.is_file() {
        return Err(Suspicion::NotAFile(path.to_owned()));
    }
    if !owners.contains(&status.uid()) {
        return Err(wrong_owner(path, status.uid()));
    }
    check_not_writable(path, status.mode())?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes, whoever wrote it. What is not a regular file is
/// an error and never waited for.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let status = file.metadata()?;
    if status.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !status.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let expected = usize::try_from(status.len().min(limit)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(expected.saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Says whether this user may look names up in a directory, or execute a file: access(2) with
/// X_OK.
pub(crate) fn is_searchable(path: &Path) -> bool {
    nix::unistd::access(path, AccessFlags::X_OK).is_ok()
}

/// Makes a directory for this user alone, with what is missing above it.
pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // A default ACL or a strange file system may have changed the mode (ENV-28).
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
    }
}

/// Makes an empty file for this user alone, or an error when something stands there already.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Opens a file for this user alone, and makes it when there is none. A link is an error.
pub(crate) fn open_or_create_private_file(path: &Path) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
    };
    match open() {
        // The caller's umask has no say in the mode of the new file (ENV-28).
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create_private_file(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(),
            made => made,
        },
        opened => opened,
    }
}

/// Returns the beginning of a file for this user alone, up to `most` bytes.
pub(crate) fn read_private_file(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    check_private(path, &file.metadata()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; most];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes over the beginning of a file for this user alone, which is made when there is none.
/// Durable only by chance.
pub(crate) fn overwrite_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = open_or_create_private_file(path)?;
    check_private(path, &file.metadata()?).map_err(io::Error::other)?;
    file.write_all_at(bytes, 0)
}

/// Writes a file that is complete or absent: a temporary name, fsync, rename, fsync of the
/// directory. An existing file is replaced only when `replace` says so.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let suffix = random::bytes::<8>().map_err(io::Error::other)?;
    let name = format!(".pvm-{}.tmp", data_encoding::HEXLOWER.encode(&suffix));
    let temporary = directory.join(name);
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        if replace {
            fs::rename(&temporary, path)?;
            return sync_directory(directory);
        }
        if move_new(&temporary, path)? {
            Ok(())
        } else {
            Err(io::ErrorKind::AlreadyExists.into())
        }
    })();
    if result.is_err() {
        let _already_failing = fs::remove_file(&temporary);
    }
    result
}

/// Gives a file its final name unless something stands there already, and makes that durable.
///
/// Returns whether the name was free.
pub(crate) fn move_new(from: &Path, to: &Path) -> io::Result<bool> {
    match rename_new(AT_FDCWD, from.as_os_str(), AT_FDCWD, to.as_os_str()) {
        Ok(()) => sync_directory(to.parent().unwrap_or(Path::new("."))).map(|()| true),
        Err(Errno::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves an entry of one directory to a name in another, never onto something that is there.
///
/// The error is the kernel's own: `EEXIST` for a name that is taken, `EXDEV` for another file
/// system or mount, `EINVAL` where the file system cannot promise to replace nothing (rename(2)).
#[expect(unsafe_code, reason = "nix has renameat2 for glibc only")]
pub(crate) fn rename_new(
    from: impl AsFd,
    old: &OsStr,
    to: impl AsFd,
    new: &OsStr,
) -> Result<(), Errno> {
    let old = CString::new(old.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let new = CString::new(new.as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both names are C strings that live through the call, as the descriptors do.
    let status = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from.as_fd().as_raw_fd(),
            old.as_ptr(),
            to.as_fd().as_raw_fd(),
            new.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    Errno::result(status).map(drop)
}

/// Gives a file this instant as the time of its last change.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    use nix::sys::stat::{UtimensatFlags, utimensat};
    let now = TimeSpec::UTIME_NOW;
    let flag = UtimensatFlags::NoFollowSymlink;
    Ok(utimensat(AT_FDCWD, path, &now, &now, flag)?)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The queue of those who use the vault. Held until it is dropped, or the process becomes another.
#[derive(Debug)]
pub(crate) struct QueueTicket(File);

impl QueueTicket {
    /// Raises the number in the lock file, by which those who do not stand in the queue see that
    /// something is about to change.
    pub(crate) fn announce_change(&self) -> io::Result<()> {
        stamp::raise_number(&self.0)
    }
}

/// Nobody finished for this long while one waited: whoever holds the lock hangs (DB-02).
pub(crate) const LONGEST_STANDSTILL: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Waits for one's turn at the lock file. `watched` changes whenever a writer finishes; as long
/// as it changes, the queue moves and waiting is worth it.
pub(crate) fn queue(lock: File, watched: &Path) -> io::Result<QueueTicket> {
    let mut pause = Duration::from_micros(200);
    let mut since: Option<(Instant, Instant)> = None;
    let mut seen = None;
    loop {
        // Closing the file gives the lock back. nix's guard asks for that, and panics where it is
        // told no.
        match lock.try_lock() {
            Ok(()) => return Ok(QueueTicket(lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (start, moved) = since.get_or_insert_with(|| (Instant::now(), Instant::now()));
        let stamp = fs::metadata(watched)
            .ok()
            .map(|s| (s.mtime(), s.mtime_nsec()));
        if stamp != seen {
            seen = stamp;
            *moved = Instant::now();
        }
        if moved.elapsed() > LONGEST_STANDSTILL || start.elapsed() > LONGEST_WAIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "another process holds the vault and does not finish",
            ));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(4));
    }
}

/// Sets the mask so that nothing this process makes is open to others.
pub(crate) fn keep_new_files_private() {
    nix::sys::stat::umask(Mode::S_IRWXG | Mode::S_IRWXO);
}

/// Removes a file by its path, with the kernel's own answer.
pub(crate) fn remove_file(path: &Path) -> Result<(), Errno> {
    nix::unistd::unlink(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn db_10_11_and_12_links_and_open_modes_are_suspicious() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.db");
        drop(create_private_file(&path).unwrap());
        check_private_file(&path).unwrap();

        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        let suspicion = check_private_file(&path).unwrap_err();
        assert!(matches!(
            suspicion,
            Suspicion::WritableByOthers { mode: 0o660, .. }
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(
            check_private_file(&link).unwrap_err(),
            Suspicion::NotAFile(_)
        ));

        fs::hard_link(&path, directory.path().join("second")).unwrap();
        let suspicion = check_private_file(&path).unwrap_err();
        assert!(matches!(suspicion, Suspicion::HardLinked { links: 2, .. }));
    }

    #[test]
    fn db_02_a_holder_that_never_finishes_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = queue(create_private_file(&path).unwrap(), &path).unwrap();
        let started = Instant::now();
        let refused = queue(File::open(&path).unwrap(), &path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= LONGEST_STANDSTILL);
        drop(held);
        queue(File::open(&path).unwrap(), &path).unwrap();
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        write_whole(&path, b"one", 0o600, false).unwrap();
        assert!(write_whole(&path, b"two", 0o600, false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_whole(&path, b"two", 0o600, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
