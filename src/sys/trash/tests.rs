use std::fs as std_fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;

use super::*;
use crate::sys::path::Resolver;

const NOW: Timestamp = Timestamp(1_793_491_200_000);

/// A home and a directory with what is trashed, on one file system.
struct Place {
    _keep: tempfile::TempDir,
    base: PathBuf,
}

impl Place {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let base = path::canonical(keep.path()).unwrap();
        for name in ["home", "work"] {
            std_fs::create_dir(base.join(name)).unwrap();
            std_fs::set_permissions(base.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { _keep: keep, base }
    }

    fn home(&self) -> PathBuf {
        self.base.join("home")
    }

    fn work(&self, name: impl AsRef<Path>) -> PathBuf {
        self.base.join("work").join(name)
    }

    fn trash(&self, below: &str) -> PathBuf {
        self.home().join(".local/share/Trash").join(below)
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.work(name);
        std_fs::write(&path, path.as_os_str().as_bytes()).unwrap();
        path
    }

    fn pin(path: &Path) -> Pinned {
        Resolver::default().resolve(path.as_os_str()).unwrap()
    }

    fn can(&self, pinned: &Pinned) -> Can {
        let uid = crate::sys::process::uid();
        Can::for_entry(pinned, &self.home(), uid).unwrap()
    }

    fn put(&self, path: &Path) -> Result<Trashed, TrashError> {
        let pinned = Self::pin(path);
        self.can(&pinned).put(&pinned, NOW)
    }

    /// Returns the names in one half of the trash.
    fn names(&self, half: &str) -> Vec<OsString> {
        let entries = std_fs::read_dir(self.trash(half)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

fn inode(path: &Path) -> u64 {
    std_fs::symlink_metadata(path).unwrap().ino()
}

fn mode(path: &Path) -> u32 {
    std_fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn path_42_a_file_goes_to_a_home_trash_that_only_its_owner_can_enter() {
    let place = Place::new();
    let path = place.file("secret");
    let before = inode(&path);
    let trashed = place.put(&path).unwrap();
    assert_eq!(trashed.file, place.trash("files/secret"));
    assert_eq!(trashed.info, place.trash("info/secret.trashinfo"));
    assert_eq!(inode(&trashed.file), before);
    assert!(!path.exists());
    for directory in ["", "files", "info"] {
        assert_eq!(mode(&place.trash(directory)), 0o700, "{directory}");
    }
    assert_eq!(mode(&trashed.info), 0o600);
    let text = std_fs::read_to_string(&trashed.info).unwrap();
    let date = clock::local(NOW).unwrap();
    let expected = format!(
        "[Trash Info]\nPath={}\nDeletionDate={date}\n",
        path.display()
    );
    assert_eq!(text, expected);
}

#[test]
fn path_44_any_name_comes_back_as_it_was() {
    let place = Place::new();
    let names: [&[u8]; 9] = [
        b"it's \"q\"",
        b"a\nPath=x",
        b"%41%zz%",
        b"\xff\xfe",
        b"-rf",
        b".hidden",
        b"a b\t*?[",
        "\u{fc}\u{202e}".as_bytes(),
        &[b'n'; 255],
    ];
    for name in names {
        let path = place.file(OsStr::from_bytes(name));
        let before = inode(&path);
        let trashed = place.put(&path).unwrap();
        assert!(!path.exists());
        restore(&trashed.file, &trashed.info, &path).unwrap();
        assert_eq!(inode(&path), before, "{}", name.escape_ascii());
        assert!(place.names("files").is_empty() && place.names("info").is_empty());
    }
}

#[test]
fn a_directory_goes_with_what_is_in_it_and_a_link_without_its_target() {
    let place = Place::new();
    std_fs::create_dir_all(place.work("d/deep")).unwrap();
    place.file("d/deep/f");
    place.file("kept");
    symlink("kept", place.work("link")).unwrap();
    symlink("nowhere", place.work("dangling")).unwrap();
    for name in ["d", "link", "dangling"] {
        place.put(&place.work(name)).unwrap();
    }
    assert!(place.trash("files/d/deep/f").exists());
    let target = std_fs::read_link(place.trash("files/link")).unwrap();
    assert_eq!(target, Path::new("kept"));
    assert_eq!(std_fs::read_dir(place.work("")).unwrap().count(), 1);
    assert!(place.work("kept").exists());
}

#[test]
fn path_41_the_same_name_many_times_is_kept_apart() {
    let place = Place::new();
    for number in 0..105 {
        let path = place.work("foo");
        std_fs::write(&path, number.to_string()).unwrap();
        let trashed = place.put(&path).unwrap();
        let expected = match number {
            0 => "foo".to_owned(),
            1..100 => format!("foo_{number}"),
            _ => continue,
        };
        assert_eq!(trashed.file.file_name().unwrap(), expected.as_str());
        assert_eq!(
            std_fs::read_to_string(trashed.file).unwrap(),
            number.to_string()
        );
    }
    assert_eq!(place.names("files").len(), 105);
    assert_eq!(place.names("info").len(), 105);
}

#[test]
fn path_41_a_hundred_at_once_lose_nothing() {
    let place = Place::new();
    let uid = crate::sys::process::uid();
    let all = Barrier::new(100);
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (all, place) = (&all, &place);
            std_fs::create_dir(place.work(number.to_string())).unwrap();
            let path = place.file(format!("{number}/foo"));
            scope.spawn(move || {
                let pinned = Place::pin(&path);
                all.wait();
                let can = Can::for_entry(&pinned, &place.home(), uid).unwrap();
                let trashed = can.put(&pinned, NOW).unwrap();
                let contents = std_fs::read(&trashed.file).unwrap();
                assert_eq!(contents, path.as_os_str().as_bytes());
                let note = std_fs::read_to_string(&trashed.info).unwrap();
                assert!(note.contains(&format!("/{number}/foo\n")), "{note}");
            });
        }
    });
    assert_eq!(place.names("files").len(), 100);
    assert_eq!(place.names("info").len(), 100);
}

#[test]
fn path_41_a_file_that_lost_its_note_is_not_overwritten() {
    let place = Place::new();
    place.put(&place.file("f")).unwrap();
    std_fs::remove_file(place.trash("info/f.trashinfo")).unwrap();
    std_fs::write(place.trash("files/f"), "orphan").unwrap();
    // A directory in the way, and a note without a file.
    std_fs::create_dir(place.trash("files/f_1")).unwrap();
    std_fs::write(place.trash("info/f_2.trashinfo"), "reserved").unwrap();
    let trashed = place.put(&place.file("f")).unwrap();
    assert_eq!(trashed.file, place.trash("files/f_3"));
    assert_eq!(std_fs::read(place.trash("files/f")).unwrap(), b"orphan");
    assert_eq!(
        place.names("info"),
        ["f_2.trashinfo", "f_3.trashinfo"].map(OsString::from)
    );
}

#[test]
fn path_10_what_was_put_under_the_name_since_is_left() {
    let place = Place::new();
    let pinned = Place::pin(&place.file("f"));
    let can = place.can(&pinned);
    std_fs::rename(place.work("f"), place.work("elsewhere")).unwrap();
    assert!(matches!(can.put(&pinned, NOW), Err(TrashError::Missing)));
    place.file("f");
    assert!(matches!(can.put(&pinned, NOW), Err(TrashError::Changed)));
    assert!(place.work("f").exists());
    assert!(place.names("files").is_empty() && place.names("info").is_empty());
}

#[test]
fn path_10_another_entry_that_was_moved_is_moved_back() {
    let place = Place::new();
    let pinned = Place::pin(&place.file("f"));
    let can = place.can(&pinned);
    let identity = pinned.identity.unwrap();
    std_fs::rename(place.work("f"), place.work("elsewhere")).unwrap();
    let other = inode(&place.file("f"));
    // The look before the move came too early, as it can.
    let moved = can.put_as(&pinned, identity, OsStr::new("f"), "note");
    assert!(matches!(moved, Err(TrashError::Changed)), "{moved:?}");
    assert_eq!(inode(&place.work("f")), other);
    assert!(place.names("files").is_empty() && place.names("info").is_empty());
}

#[test]
fn path_10_an_entry_whose_directory_was_moved_is_left() {
    let place = Place::new();
    std_fs::create_dir(place.work("d")).unwrap();
    let pinned = Place::pin(&place.file("d/f"));
    let can = place.can(&pinned);
    std_fs::rename(place.work("d"), place.work("e")).unwrap();
    assert!(matches!(can.put(&pinned, NOW), Err(TrashError::Changed)));
    assert!(place.work("e/f").exists());
}

#[test]
fn the_trash_and_what_holds_it_or_lies_in_it_stay() {
    let place = Place::new();
    let trashed = place.put(&place.file("f")).unwrap();
    for path in [&trashed.file, &place.trash("info"), &place.trash("")] {
        let refused = place.put(path).unwrap_err();
        assert!(matches!(refused, TrashError::InTrash(_)), "{refused}");
    }
    for path in [place.home(), place.home().join(".local/share")] {
        let refused = place.put(&path).unwrap_err();
        assert!(matches!(refused, TrashError::HoldsTrash(_)), "{refused}");
    }
    assert_eq!(place.names("info").len(), 1);
}

#[test]
fn what_is_not_there_makes_no_trash() {
    let place = Place::new();
    for path in [place.work("none"), place.work("no/such")] {
        let pinned = Place::pin(&path);
        let can = Can::for_entry(&pinned, &place.home(), 0);
        assert!(matches!(can, Err(TrashError::Missing)));
    }
    assert_eq!(std_fs::read_dir(place.home()).unwrap().count(), 0);
}

#[test]
fn path_43_restoring_replaces_nothing() {
    let place = Place::new();
    let path = place.file("f");
    let Trashed { file, info } = place.put(&path).unwrap();
    for occupant in ["file", "directory", "link"] {
        match occupant {
            "file" => std_fs::write(&path, "new").unwrap(),
            "directory" => std_fs::create_dir(&path).unwrap(),
            _ => symlink("nowhere", &path).unwrap(),
        }
        let before = inode(&path);
        let refused = restore(&file, &info, &path).unwrap_err();
        assert!(matches!(refused, TrashError::Occupied(_)), "{refused}");
        assert_eq!(inode(&path), before);
        assert!(file.exists() && info.exists());
        std_fs::remove_dir(&path)
            .or_else(|_| std_fs::remove_file(&path))
            .unwrap();
    }
    restore(&file, &info, &path).unwrap();
    assert!(path.exists() && !info.exists());
}

#[test]
fn path_43_restoring_goes_through_no_link_and_needs_the_directory() {
    let place = Place::new();
    std_fs::create_dir_all(place.work("a/b")).unwrap();
    std_fs::create_dir(place.work("victim")).unwrap();
    let path = place.file("a/b/f");
    let Trashed { file, info } = place.put(&path).unwrap();
    std_fs::remove_dir(place.work("a/b")).unwrap();
    let refused = restore(&file, &info, &path).unwrap_err();
    let expected = format!("the directory {} is gone", place.work("a/b").display());
    assert_eq!(refused.to_string(), expected);
    symlink("../victim", place.work("a/b")).unwrap();
    let refused = restore(&file, &info, &path).unwrap_err();
    assert!(matches!(refused, TrashError::LinkInTheWay(_)), "{refused}");
    assert!(!place.work("victim/f").exists());
    std_fs::remove_file(place.work("a/b")).unwrap();
    std_fs::rename(place.work("a"), place.work("c")).unwrap();
    symlink("c", place.work("a")).unwrap();
    std_fs::create_dir(place.work("c/b")).unwrap();
    assert!(restore(&file, &info, &path).is_err());
    std_fs::remove_file(place.work("a")).unwrap();
    std_fs::rename(place.work("c"), place.work("a")).unwrap();
    restore(&file, &info, &path).unwrap();
}

#[test]
fn path_43_a_note_must_name_the_place() {
    let place = Place::new();
    let path = place.file("f");
    let Trashed { file, info } = place.put(&path).unwrap();
    let other = |what: Result<(), TrashError>| {
        assert!(matches!(what, Err(TrashError::OtherEntry(_))), "{what:?}");
    };
    other(restore(&file, &info, &place.work("g")));
    other(restore(&file, &place.trash("info/g.trashinfo"), &path));
    other(restore(&place.trash("info/f.trashinfo"), &info, &path));
    other(restore(&file, &info, Path::new("work/f")));
    let climbing = place.work("x/../f");
    other(restore(&file, &info, &climbing));
    let text = note::text(&climbing, "2026-11-01T00:00:00");
    std_fs::write(&info, text).unwrap();
    other(restore(&file, &info, &path));
    std_fs::remove_file(&info).unwrap();
    let refused = restore(&file, &info, &path).unwrap_err();
    assert!(matches!(refused, TrashError::NoNote(_)), "{refused}");
    assert!(file.exists() && !path.exists());
}

#[test]
fn a_note_whose_file_is_gone_restores_nothing() {
    let place = Place::new();
    let path = place.file("f");
    let Trashed { file, info } = place.put(&path).unwrap();
    let gone = || {
        let refused = restore(&file, &info, &path).unwrap_err();
        assert!(matches!(refused, TrashError::Gone), "{refused}");
    };
    std_fs::remove_file(&file).unwrap();
    gone();
    std_fs::remove_file(&info).unwrap();
    gone();
    std_fs::remove_dir_all(place.trash("")).unwrap();
    gone();
}
