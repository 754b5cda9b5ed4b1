//! A directory for the temporary files of one command that is confined, and for nobody else.
//!
//! Anybody can give a directory the name of such a one. So each is noted in a place that belongs to
//! pvm, with what the kernel knows it by, and nothing that is not noted is ever removed.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fs as own_fs;
use super::{path, process, random};
use crate::model::grant::Pin;

const BASE: &str = "/tmp";
const LARGEST_NOTE: usize = 256;

/// The kernel's id of one boot of this machine.
pub(crate) type Boot = [u8; 16];

/// A directory that was made for one command. It outlives this process, which becomes that command;
/// a later one removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
}

/// Which directory was made for which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    boot: Boot,
    pid: u32,
    /// When the process started, in clock ticks since the boot.
    start: u64,
    pin: Pin,
}

fn prefix() -> String {
    format!("pvm-exec-{}-", process::uid())
}

/// Makes a directory that only this user can enter, and notes in `notes` that it is for this process.
pub(crate) fn make(notes: &Path, boot: Boot) -> io::Result<Scratch> {
    let pid = process::pid();
    let start = started_at(pid).ok_or_else(|| io::Error::other("this process is not in /proc"))?;
    let chance: [u8; 8] = random::bytes().map_err(io::Error::other)?;
    let name = format!("{}{}", prefix(), data_encoding::HEXLOWER.encode(&chance));
    let path = Path::new(BASE).join(&name);
    DirBuilder::new().mode(0o700).create(&path)?;
    // The caller's umask may have taken the owner's rights away, and a default ACL may have given
    // others some (ENV-28). In /tmp nobody else can take the name.
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    let file = open(&path)?;
    let status = file.metadata()?;
    // Another program of this user's could have put a directory of its own there.
    let is_empty = fs::read_dir(by_descriptor(&file))?.next().is_none();
    if status.uid() != process::uid() || status.mode() & 0o7777 != 0o700 || !is_empty {
        return Err(io::Error::other(
            "the directory for temporary files is not as it was made",
        ));
    }
    let pin = path::pin_of(&file).map_err(io::Error::other)?;
    let note = Note {
        boot,
        pid,
        start,
        pin,
    };
    own_fs::make_private_directory(notes)?;
    own_fs::create_private_file(&notes.join(&name))?.write_all(note.text().as_bytes())?;
    Ok(Scratch {
        path,
        directory: file.into(),
    })
}

/// Removes what commands that have ended left behind, as far as it is noted. What cannot be removed
/// stays.
pub(crate) fn sweep(notes: &Path, boot: Boot) {
    if own_fs::check_private_directory(notes).is_err() {
        return;
    }
    let Ok(entries) = fs::read_dir(notes) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if !name
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix()))
        {
            continue;
        }
        let text = own_fs::read_private_file(&entry.path(), LARGEST_NOTE);
        let note = text.ok().as_deref().and_then(Note::parse);
        let is_over = match note {
            // One that was cut off says nothing of any directory.
            None => true,
            // By now the numbers may be those of another directory.
            Some(note) if note.boot != boot => true,
            Some(note) if started_at(note.pid) == Some(note.start) => false,
            Some(note) => remove(&Path::new(BASE).join(&name), note.pin),
        };
        if is_over {
            let _left = fs::remove_file(entry.path());
        }
    }
}

/// Removes the directory at `path` if it is the one of that `pin`. Returns whether there is nothing
/// left to remove.
fn remove(path: &Path, pin: Pin) -> bool {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    if path::pin_of(&file).ok() != Some(pin) {
        return true;
    }
    // By the descriptor, so that nothing that takes the name meanwhile is emptied instead.
    let Ok(entries) = fs::read_dir(by_descriptor(&file)) else {
        return false;
    };
    for entry in entries.filter_map(Result::ok) {
        let _left = match entry.file_type() {
            // It walks by descriptors and follows no link.
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
    fs::remove_dir(path).is_ok()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)
}

fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

impl Note {
    fn text(&self) -> String {
        let boot = data_encoding::HEXLOWER.encode(&self.boot);
        let Pin {
            device,
            inode,
            born,
        } = self.pin;
        let (pid, start) = (self.pid, self.start);
        format!("{boot} {pid} {start} {device} {inode} {born}\n")
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut words = text.split(' ');
        let boot = data_encoding::HEXLOWER
            .decode(words.next()?.as_bytes())
            .ok()?;
        let note = Self {
            boot: boot.try_into().ok()?,
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            pin: Pin {
                device: words.next()?.parse().ok()?,
                inode: words.next()?.parse().ok()?,
                born: words.next()?.parse().ok()?,
            },
        };
        words.next().is_none().then_some(note)
    }
}

/// Returns when a process started, in clock ticks since the boot (proc_pid_stat(5)).
fn started_at(pid: u32) -> Option<u64> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in brackets and may hold anything, brackets too.
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Boot = [7; 16];

    /// Makes the note say that the directory was for a process that has ended.
    fn end_its_process(notes: &Path, scratch: &Scratch) -> PathBuf {
        let path = notes.join(scratch.path.file_name().unwrap());
        let mut note = Note::parse(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(note.pid, process::pid());
        note.start += 1;
        fs::write(&path, note.text()).unwrap();
        path
    }

    #[test]
    fn env_28_the_directory_is_private_and_goes_with_its_process() {
        let place = tempfile::tempdir().unwrap();
        let notes = place.path().join("notes");
        let scratch = make(&notes, BOOT).unwrap();
        fs::create_dir(scratch.path.join("d")).unwrap();
        fs::write(scratch.path.join("d/x"), "").unwrap();
        std::os::unix::fs::symlink(place.path(), scratch.path.join("link")).unwrap();
        sweep(&notes, BOOT);
        assert!(scratch.path.is_dir(), "its process lives");
        let note = end_its_process(&notes, &scratch);
        sweep(&notes, BOOT);
        assert!(!scratch.path.exists() && !note.exists());
        assert!(notes.is_dir(), "no link is followed");
    }

    #[test]
    fn what_only_has_the_name_of_such_a_directory_stays() {
        let place = tempfile::tempdir().unwrap();
        let notes = place.path().join("notes");
        let scratch = make(&notes, BOOT).unwrap();
        let note = end_its_process(&notes, &scratch);
        let moved = place.path().join("moved");
        let copied = fs::read(&note).unwrap();
        fs::create_dir(&moved).unwrap();
        fs::remove_dir(&scratch.path).unwrap();
        fs::write(moved.join("precious"), "").unwrap();
        let renamed = fs::rename(&moved, &scratch.path);
        if renamed.is_err() {
            // On two file systems there is no renaming.
            fs::create_dir(&scratch.path).unwrap();
            fs::write(scratch.path.join("precious"), "").unwrap();
        }
        sweep(&notes, BOOT);
        assert!(scratch.path.join("precious").exists());
        assert!(!note.exists(), "and there is nothing left to look for");
        fs::write(&note, copied).unwrap();
        fs::set_permissions(&note, Permissions::from_mode(0o600)).unwrap();
        fs::remove_dir_all(&scratch.path).unwrap();
        sweep(&notes, BOOT);
        assert!(!note.exists());
    }

    #[test]
    fn what_is_from_another_boot_stays() {
        let place = tempfile::tempdir().unwrap();
        let notes = place.path().join("notes");
        let scratch = make(&notes, BOOT).unwrap();
        let note = end_its_process(&notes, &scratch);
        sweep(&notes, [8; 16]);
        assert!(scratch.path.is_dir() && !note.exists());
        fs::remove_dir(&scratch.path).unwrap();
    }

    #[test]
    fn no_cut_off_note_is_believed() {
        let note = Note {
            boot: BOOT,
            pid: 1,
            start: 2,
            pin: Pin {
                device: 3,
                inode: 4,
                born: 5,
            },
        };
        let text = note.text();
        assert_eq!(Note::parse(text.as_bytes()), Some(note));
        for end in 0..text.len() {
            assert_eq!(Note::parse(&text.as_bytes()[..end]), None);
        }
    }
}
