//! Files to which several processes append lines, in a directory for this user alone.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::fs::{
    Suspicion, check_not_writable, check_owner, check_private, make_private_directory,
};

/// A directory that belongs to this user, that nobody else can write, and that was reached by
/// no link in its last component. Held open, so that it stays the one that was checked.
#[derive(Debug)]
pub(crate) struct LineDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// A file that only ever grows by whole lines.
#[derive(Debug)]
pub(crate) struct LineFile(File);

/// Whether a file was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    There,
    /// This call made it.
    Made,
}

fn suspicion(path: &Path) -> impl Fn(io::Error) -> Suspicion {
    let path = path.to_owned();
    move |source| Suspicion::Io {
        path: path.clone(),
        source,
    }
}

impl LineDirectory {
    /// Opens a directory; a missing one is an error.
    pub(crate) fn open(path: &Path) -> Result<Self, Suspicion> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let opened = openat(nix::fcntl::AT_FDCWD, path, flags, Mode::empty());
        let descriptor = opened.map_err(|error| match error {
            // What a link in the last component comes to.
            Errno::ENOTDIR | Errno::ELOOP => Suspicion::NotADirectory(path.to_owned()),
            other => suspicion(path)(other.into()),
        })?;
        let file = File::from(descriptor);
        let status = file.metadata().map_err(suspicion(path))?;
        check_owner(path, &status)?;
        check_not_writable(path, status.mode())?;
        Ok(Self {
            descriptor: file.into(),
            path: path.to_owned(),
        })
    }

    /// Opens a directory, and makes it when there is none.
    pub(crate) fn open_or_make(path: &Path) -> Result<Self, Suspicion> {
        match Self::open(path) {
            Err(missing) if missing.is_missing() => {
                make_private_directory(path).map_err(suspicion(path))?;
                Self::open(path)
            }
            other => other,
        }
    }

    /// Opens a file in it, and makes it when there is none. A link, a file with a second name and
    /// one that others can read or write are refused.
    pub(crate) fn file(&self, name: &str) -> Result<(LineFile, Found), Suspicion> {
        match self.existing(name) {
            Err(missing) if missing.is_missing() => match self.new_file(name) {
                Err(Suspicion::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists =>
                {
                    Ok((self.existing(name)?, Found::There))
                }
                made => Ok((made?, Found::Made)),
            },
            there => Ok((there?, Found::There)),
        }
    }

    /// Opens a file in it that is there.
    pub(crate) fn existing(&self, name: &str) -> Result<LineFile, Suspicion> {
        self.open_file(name, OFlag::empty())
    }

    fn new_file(&self, name: &str) -> Result<LineFile, Suspicion> {
        let made = self.open_file(name, OFlag::O_CREAT | OFlag::O_EXCL)?;
        // The caller's umask and a default ACL have no say (ENV-28).
        let private = Permissions::from_mode(0o600);
        let changed = made.0.set_permissions(private);
        changed.map_err(suspicion(&self.path.join(name)))?;
        Ok(made)
    }

    fn open_file(&self, name: &str, more: OFlag) -> Result<LineFile, Suspicion> {
        let path = self.path.join(name);
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        let opened = openat(
            &self.descriptor,
            name,
            flags | OFlag::O_CLOEXEC | more,
            private,
        );
        let file = File::from(opened.map_err(|error| match error {
            Errno::ELOOP => Suspicion::NotAFile(path.clone()),
            other => suspicion(&path)(other.into()),
        })?);
        check_private(&path, &file.metadata().map_err(suspicion(&path))?)?;
        Ok(LineFile(file))
    }

    /// Returns the names in it.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(&self.path)?;
        entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    /// Removes a file from it.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        let descriptor = self.descriptor.as_fd();
        Ok(unlinkat(descriptor, name, UnlinkatFlags::NoRemoveDir)?)
    }
}

impl LineFile {
    /// Appends a line, its end included, by one call of `write`: the kernel keeps what several
    /// processes append apart (O_APPEND, open(2)).
    ///
    /// What a full disk cut off before gets its end first, and stays a line of its own.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let whole = self.ends_with_a_line()?;
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if !whole {
            bytes.push(b'\n');
        }
        bytes.extend(line);
        bytes.push(b'\n');
        let written = loop {
            match self.0.write(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if written == bytes.len() {
            Ok(())
        } else {
            Err(io::Error::other("only a part of a line fitted"))
        }
    }

    /// Returns how many bytes it has.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Returns what stands from a place on, up to `most` bytes.
    pub(crate) fn read_from(&self, start: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let mut filled = 0;
        while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
            let at = start.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.0.read_at(room, at)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn ends_with_a_line(&self) -> io::Result<bool> {
        let Some(last) = self.length()?.checked_sub(1) else {
            return Ok(true);
        };
        let mut byte = [0_u8];
        let read = self.0.read_at(&mut byte, last)?;
        Ok(read == 0 || byte == *b"\n")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/log");
        (scratch, path)
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_for_this_user_alone() {
        let (_scratch, path) = directory();
        let directory = LineDirectory::open_or_make(&path).unwrap();
        let (mut file, found) = directory.file("f").unwrap();
        assert_eq!(found, Found::Made);
        file.append(b"one").unwrap();
        let (mut file, found) = directory.file("f").unwrap();
        assert_eq!(found, Found::There);
        file.append(b"two").unwrap();
        assert_eq!(fs::read(path.join("f")).unwrap(), b"one\ntwo\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&path.join("f"))), (0o700, 0o600));
    }

    #[test]
    fn aud_13_links_second_names_and_open_modes_are_refused() {
        let (scratch, path) = directory();
        let directory = LineDirectory::open_or_make(&path).unwrap();
        drop(directory.file("f").unwrap());
        let target = scratch.path().join("target");
        fs::write(&target, "").unwrap();
        symlink(&target, path.join("link")).unwrap();
        symlink("nowhere", path.join("dangling")).unwrap();
        fs::create_dir(path.join("directory")).unwrap();
        fs::hard_link(path.join("f"), path.join("second")).unwrap();
        nix::unistd::mkfifo(&path.join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        for name in ["link", "dangling", "directory", "second", "fifo"] {
            assert!(directory.file(name).is_err(), "{name}");
        }
        assert_eq!(fs::read(&target).unwrap(), b"");
        fs::remove_file(path.join("second")).unwrap();
        for mode in [0o620, 0o602, 0o640] {
            chmod(&path.join("f"), mode);
            assert!(directory.file("f").is_err(), "{mode:o}");
        }
        symlink(&path, scratch.path().join("way")).unwrap();
        let refused = LineDirectory::open(&scratch.path().join("way")).unwrap_err();
        assert!(matches!(refused, Suspicion::NotADirectory(_)), "{refused}");
        chmod(&path, 0o770);
        let refused = LineDirectory::open(&path).unwrap_err();
        assert!(
            matches!(refused, Suspicion::WritableByOthers { .. }),
            "{refused}"
        );
    }

    #[test]
    fn aud_12_what_was_cut_off_stays_a_line_of_its_own() {
        let (_scratch, path) = directory();
        let directory = LineDirectory::open_or_make(&path).unwrap();
        fs::write(path.join("f"), "{\"cut").unwrap();
        chmod(&path.join("f"), 0o600);
        let (mut file, _) = directory.file("f").unwrap();
        file.append(b"{}").unwrap();
        assert_eq!(fs::read(path.join("f")).unwrap(), b"{\"cut\n{}\n");
        assert_eq!(file.read_from(6, 100).unwrap(), b"{}\n");
    }
}
