//! The `.trashinfo` file: where an entry came from, and when.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

pub(super) const ENDING: &str = ".trashinfo";
const FIRST_LINE: &[u8] = b"[Trash Info]";

/// A path of `PATH_MAX` bytes, each escaped, and the lines around it are shorter.
const LONGEST_TEXT: u64 = 16 * 1024;

/// Returns the whole text of a note. `date` is local time.
pub(super) fn text(path: &Path, date: &str) -> String {
    let path = escaped(path.as_os_str().as_bytes());
    format!("[Trash Info]\nPath={path}\nDeletionDate={date}\n")
}

/// Escapes all but the unreserved characters of URLs and the slash (RFC 2396), so that a newline
/// or a percent sign in a name stays what it is (PATH-44).
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let pair = data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?;
            pair.first().copied()?
        } else {
            byte
        };
        out.push(byte);
    }
    Some(out)
}

/// Returns the path in a note, or nothing when it is no note. Of several the first counts.
fn path_in(text: &[u8]) -> Option<PathBuf> {
    let mut lines = text.split(|byte| *byte == b'\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let path = unescaped(lines.find_map(|line| line.strip_prefix(b"Path="))?)?;
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// Returns a name for a trashed entry: its own, then `name_1` and so on, as trash-cli does. It is
/// cut so that no more than `longest` bytes are left for it, between characters where it has any.
pub(super) fn candidate(name: &OsStr, number: u32, longest: usize) -> OsString {
    let suffix = match number {
        0 => String::new(),
        number => format!("_{number}"),
    };
    let room = longest.saturating_sub(suffix.len()).min(name.len());
    let room = match name.to_str() {
        Some(text) => text.floor_char_boundary(room),
        None => room,
    };
    let mut bytes = name.as_bytes().get(..room).unwrap_or_default().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    OsString::from_vec(bytes)
}

/// Returns the name of the note about a trashed entry.
pub(super) fn file_name(trashed: &OsStr) -> OsString {
    let mut name = trashed.to_owned();
    name.push(ENDING);
    name
}

/// Writes a note under a name that is free, for this user alone, and makes it durable. `EEXIST`
/// says that the name is taken; after an error there is no note.
pub(super) fn write(directory: &File, name: &OsStr, text: &str) -> Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let fd = openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let mut file = File::from(fd);
    let written = (|| {
        // Neither the caller's umask nor a default ACL has a say in the mode (ENV-28).
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        directory.sync_all()
    })();
    written.map_err(|error: io::Error| {
        remove(directory, name);
        errno(&error)
    })
}

/// Removes a note about an entry that did not come or has gone, where that is possible: one that is
/// left names a file that is not there, which the specification allows.
pub(super) fn remove(directory: impl AsFd, name: &OsStr) {
    let _left = unlinkat(directory, name, UnlinkatFlags::NoRemoveDir);
}

/// Reads the path in the note of this name; nothing when it is no note.
pub(super) fn read(directory: impl AsFd, name: &OsStr) -> Result<Option<PathBuf>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    let regular = file.metadata().map_err(|error| errno(&error))?.is_file();
    if !regular {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = file.take(LONGEST_TEXT + 1).read_to_end(&mut text);
    let length = read.map_err(|error| errno(&error))?;
    let whole = u64::try_from(length).is_ok_and(|length| length <= LONGEST_TEXT);
    Ok(if whole { path_in(&text) } else { None })
}

pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(path: &[u8]) -> Option<Vec<u8>> {
        let text = text(Path::new(OsStr::from_bytes(path)), "2026-11-01T00:00:00");
        path_in(text.as_bytes()).map(|path| path.into_os_string().into_vec())
    }

    #[test]
    fn path_44_a_note_is_three_lines_whatever_the_name_is() {
        let path = OsStr::from_bytes(b"/w/a b\nPath=/etc\n%41\"'\xff\xc3\xa9");
        let text = text(Path::new(path), "2026-11-01T12:34:56");
        assert_eq!(
            text,
            "[Trash Info]\nPath=/w/a%20b%0APath%3D/etc%0A%2541%22%27%FF%C3%A9\n\
             DeletionDate=2026-11-01T12:34:56\n"
        );
        assert_eq!(path_in(text.as_bytes()).unwrap(), Path::new(path));
    }

    #[test]
    fn the_first_path_counts_and_other_lines_do_not() {
        let path = |text: &str| path_in(text.as_bytes());
        let two = "[Trash Info]\nX-More=1\nDeletionDate=no\nPath=/a\nPath=/b\n";
        assert_eq!(path(two), Some("/a".into()));
        assert_eq!(path("[Trash Info]\nPath=%2fa%2Fb"), Some("/a/b".into()));
        for broken in [
            "",
            "Path=/a\n",
            "[Trash Info]\n",
            " [Trash Info]\nPath=/a\n",
            "[Trash Info]\npath=/a\n",
            "[Trash Info]\nPath=%4\n",
            "[Trash Info]\nPath=%zz\n",
        ] {
            assert_eq!(path(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_leaves_room_for_the_ending() {
        let longest = 255 - ENDING.len();
        let name = |name: &[u8], number| {
            let name = candidate(OsStr::from_bytes(name), number, longest);
            name.into_vec()
        };
        assert_eq!(name(b"f", 0), b"f");
        assert_eq!(name(b"f.txt", 12), b"f.txt_12");
        assert_eq!(name(&[b'n'; 255], 0), [b'n'; 245]);
        assert!(name(&[b'n'; 255], u32::MAX).ends_with(b"n_4294967295"));
        assert_eq!(name(&[b'n'; 255], u32::MAX).len(), longest);
        assert_eq!(name("\u{e9}".repeat(127).as_bytes(), 0).len(), 244);
        assert_eq!(name(&[0xff; 255], 1), [&[0xff; 243][..], b"_1"].concat());
    }

    #[test]
    fn a_note_is_for_its_owner_alone_and_replaces_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = File::open(scratch.path()).unwrap();
        let name = OsStr::new("f.trashinfo");
        write(&directory, name, "one").unwrap();
        assert_eq!(write(&directory, name, "two"), Err(Errno::EEXIST));
        let path = scratch.path().join(name);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn what_is_no_regular_file_or_too_long_is_no_note() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = File::open(scratch.path()).unwrap();
        let path = scratch.path().join("long");
        let text = format!("[Trash Info]\nPath=/a\n{}", "x".repeat(17_000));
        std::fs::write(path, text).unwrap();
        std::fs::create_dir(scratch.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("long", scratch.path().join("link")).unwrap();
        assert_eq!(read(&directory, OsStr::new("long")), Ok(None));
        assert_eq!(read(&directory, OsStr::new("folder")), Ok(None));
        assert_eq!(read(&directory, OsStr::new("link")), Err(Errno::ELOOP));
        assert_eq!(read(&directory, OsStr::new("none")), Err(Errno::ENOENT));
    }

    proptest! {
        #[test]
        fn path_44_every_path_comes_back(path in prop::collection::vec(1..=255_u8, 1..80)) {
            prop_assert_eq!(back(&path), Some(path));
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any = path_in(&text);
            let _any = path_in(&[b"[Trash Info]\nPath=", text.as_slice()].concat());
        }
    }
}
