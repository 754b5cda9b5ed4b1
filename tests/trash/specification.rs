//! `safe-trash` against the FreeDesktop Trash specification 1.0, and against trash-cli, which has to
//! find and restore what it put away.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use super::{House, mode, names, origin, set_mode, trash_cli, with_disk};
use crate::support::{Ran, tree};

#[test]
fn path_44_any_name_is_kept_in_a_note_of_three_lines() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let words: [&[u8]; 10] = [
        b"plain",
        b"it's a \"quote\"",
        b"two\nPath=x",
        b"100%41%",
        b"\xff\xfe",
        b"-rf",
        b".hidden",
        "\u{202e}\u{fc}".as_bytes(),
        b"$(touch x); `x`",
        &[b'n'; 255],
    ];
    let words = words.map(OsStr::from_bytes);
    for word in words {
        house.file(word);
    }
    house.run("safe-trash -- \"$@\"", words).succeeded();
    assert_eq!(names(&house.at("work")), [""; 0]);
    let notes = names(&house.trash("info"));
    let mut origins: Vec<_> = notes
        .iter()
        .map(|note| origin(&house.trash("info").join(note)))
        .collect();
    let mut expected = words.map(|word| house.home.join("work").join(word));
    origins.sort();
    expected.sort();
    assert_eq!(origins, expected);
    for note in notes {
        let path = origin(&house.trash("info").join(&note));
        let name = note.as_bytes().strip_suffix(b".trashinfo").unwrap();
        let contents = fs::read(house.trash("files").join(OsStr::from_bytes(name))).unwrap();
        assert!(contents.ends_with(path.file_name().unwrap().as_bytes()));
    }
}

#[test]
fn path_42_and_env_28_the_trash_is_for_its_owner_alone_whatever_the_umask() {
    for umask in ["0", "0777"] {
        let Some(house) = House::new("a home of one's own") else {
            return;
        };
        house.file("secret/f");
        let script = format!("umask {umask}; safe-trash secret");
        house.script(&script).succeeded();
        for directory in ["", "files", "info"] {
            assert_eq!(mode(&house.trash(directory)), 0o700, "{directory}");
        }
        assert_eq!(mode(&house.trash("info/secret.trashinfo")), 0o600);
        assert!(house.trash("files/secret/f").exists());
    }
}

#[test]
fn env_12_and_16_no_variable_chooses_the_trash_or_the_zone() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    let ran = house.script(
        "date +%Y-%m-%dT%H; \
         XDG_DATA_HOME=$PWD/x HOME=$PWD/y TZ=XYZ-5:30 safe-trash f; date +%Y-%m-%dT%H",
    );
    ran.succeeded();
    assert_eq!(names(&house.at("work")), [""; 0]);
    let text = fs::read_to_string(house.trash("info/f.trashinfo")).unwrap();
    // The hour may have changed in between.
    let hours = ran.stdout_text();
    let mut hours = hours.lines().map(|hour| format!("DeletionDate={hour}:"));
    assert!(hours.any(|hour| text.contains(&hour)), "{text}");
}

#[test]
fn path_41_the_same_name_is_kept_apart_one_after_the_other() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let script = "for n in 1 2 3 4 5; do echo $n >foo; safe-trash foo; done; \
                  rm \"$HOME/.local/share/Trash/info/foo.trashinfo\"; echo 6 >foo; safe-trash foo";
    house.script(script).succeeded();
    let contents = |name: &str| fs::read_to_string(house.trash("files").join(name)).unwrap();
    assert_eq!(contents("foo"), "1\n", "what lost its note is kept");
    for number in 1..=5 {
        let name = format!("foo_{number}");
        assert_eq!(contents(&name), format!("{}\n", number + 1));
        assert_eq!(house.origin(&name), house.home.join("work/foo"));
    }
}

#[test]
fn path_41_a_hundred_at_once_are_all_kept() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for number in 0..100 {
        house.file(format!("{number}/foo"));
    }
    let script = "n=0; while [ $n -lt 100 ]; do safe-trash $n/foo & n=$((n + 1)); done; wait";
    house.script(script).succeeded();
    let trashed = names(&house.trash("files"));
    assert_eq!(trashed.len(), 100);
    assert_eq!(names(&house.trash("info")).len(), 100);
    for name in trashed {
        let contents = fs::read(house.trash("files").join(&name)).unwrap();
        let path = house.origin(name.to_str().unwrap());
        let below = path.strip_prefix(&house.home).unwrap();
        assert_eq!(OsStr::from_bytes(&contents), house.at(below));
    }
}

#[test]
fn path_04_a_link_goes_and_its_target_stays() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("target/f");
    symlink("target", house.at("work/link")).unwrap();
    symlink("nowhere", house.at("work/dangling")).unwrap();
    house.script("safe-trash link dangling").succeeded();
    assert_eq!(names(&house.at("work")), ["target"]);
    let target = fs::read_link(house.trash("files/link")).unwrap();
    assert_eq!(target, Path::new("target"));
    assert!(house.at("work/target/f").exists());
}

#[test]
fn what_is_missing_fails_the_command_and_holds_up_nothing() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for (words, code) in [
        ("a none b", 1),
        ("-f a none b", 0),
        ("-f none", 0),
        ("none", 1),
    ] {
        house.file("a");
        house.file("b");
        let ran = house.script(&format!("exec safe-trash {words}"));
        ran.exited(code);
        assert_eq!(ran.stderr_text().contains("none"), code == 1, "{ran}");
        assert_eq!(house.at("work/b").exists(), !words.contains('b'), "{words}");
    }
}

#[test]
fn p_d29_nothing_goes_when_one_operand_is_not_covered() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    fs::write(house.at("other"), "").unwrap();
    let before = tree(&house.at(""));
    for words in ["f ../other", "f ../work-evil", "f .", "f /", "f ''"] {
        house.script(&format!("exec safe-trash {words}")).denied();
        assert_eq!(tree(&house.at("")), before, "{words}");
    }
}

#[test]
fn path_39_a_home_trash_that_is_a_link_is_not_followed() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    for directory in [".local", ".local/share", "elsewhere"] {
        fs::create_dir(house.at(directory)).unwrap();
        set_mode(&house.at(directory), 0o700);
    }
    symlink("../../elsewhere", house.at(".local/share/Trash")).unwrap();
    house.script("safe-trash f").succeeded();
    assert_eq!(names(&house.at("elsewhere")), [""; 0]);
    // The home is a mount point here, so the next place is in it.
    let uid = nix::unistd::Uid::effective();
    assert!(house.at(format!(".Trash-{uid}/files/f")).exists());
}

/// Trashes `d/f` on a disk that is a bind mount, where the test can look into it afterwards.
fn trash_on_disk(house: &House) -> Ran {
    house.script("mount --bind \"$DISK\" \"$DISK\"; cd \"$DISK\"; exec safe-trash d/f")
}

#[test]
fn path_39_on_another_mount_the_trash_is_at_its_top() {
    let Some((house, disk)) = with_disk() else {
        return;
    };
    trash_on_disk(&house).succeeded();
    let uid = nix::unistd::Uid::effective();
    let trash = disk.join(format!(".Trash-{uid}"));
    assert_eq!(mode(&trash), 0o700);
    assert!(trash.join("files/f").exists());
    assert_eq!(origin(&trash.join("info/f.trashinfo")), Path::new("d/f"));
    assert!(!house.at(".local").exists());
}

#[test]
fn path_40_on_another_file_system_nothing_is_copied() {
    let Some((house, _)) = with_disk() else {
        return;
    };
    let script = "mount -t tmpfs tmpfs \"$DISK\"; cd \"$DISK\"; mkdir -p d; echo 1 >d/f; ln d/f kept; \
        before=$(stat -c %i d/f); safe-trash d/f; cd .Trash-$(id -u); \
        [ $before = $(stat -c %i files/f) ]; cat info/f.trashinfo";
    let ran = house.script(script);
    ran.succeeded();
    assert!(ran.stdout_text().starts_with("[Trash Info]\nPath=d/f\nDel"));
    assert!(!house.at(".local").exists());
}

#[test]
fn path_39_the_shared_trash_is_used_only_if_it_is_a_sticky_directory_of_root() {
    for (what, used) in [
        ("sticky", true),
        ("not sticky", false),
        ("a link", false),
        ("a file", false),
        ("another's", false),
    ] {
        let Some((house, disk)) = with_disk() else {
            return;
        };
        let shared = disk.join(".Trash");
        match what {
            "a file" => fs::write(&shared, "").unwrap(),
            "a link" => {
                fs::create_dir(disk.join("real")).unwrap();
                set_mode(&disk.join("real"), 0o1777);
                symlink("real", &shared).unwrap();
            }
            _ => {
                fs::create_dir(&shared).unwrap();
                set_mode(&shared, if what == "not sticky" { 0o777 } else { 0o1777 });
            }
        }
        if what == "another's" {
            chown(&shared, Some(65534), None).unwrap();
        }
        trash_on_disk(&house).exited(0);
        let uid = nix::unistd::Uid::effective();
        let (within, own) = (
            shared.join(uid.to_string()),
            disk.join(format!(".Trash-{uid}")),
        );
        assert_eq!(within.join("files/f").exists(), used, "{what}");
        assert_eq!(own.join("files/f").exists(), !used, "{what}");
        let trash = if used { within } else { own };
        assert_eq!(mode(&trash), 0o700, "{what}");
        assert_eq!(origin(&trash.join("info/f.trashinfo")), Path::new("d/f"));
    }
}

#[test]
fn path_39_a_trash_that_another_could_write_or_made_refuses() {
    for what in ["another's", "open", "a link"] {
        let Some((house, disk)) = with_disk() else {
            return;
        };
        let own = disk.join(format!(".Trash-{}", nix::unistd::Uid::effective()));
        match what {
            "a link" => symlink("d", &own).unwrap(),
            _ => fs::create_dir(&own).unwrap(),
        }
        match what {
            "open" => set_mode(&own, 0o777),
            "another's" => chown(&own, Some(65534), None).unwrap(),
            _ => {}
        }
        let before = tree(&disk);
        let ran = trash_on_disk(&house);
        ran.exited(1).says(".Trash-");
        assert_eq!(tree(&disk), before, "{what}");
    }
}

#[test]
fn what_cannot_be_moved_stays_and_fails() {
    let Some((house, disk)) = with_disk() else {
        return;
    };
    let script = "mount --bind \"$DISK\" \"$DISK\"; mount -o remount,bind,ro \"$DISK\"; \
                  cd \"$DISK\"; exec safe-trash d/f";
    house.script(script).exited(1).says("Read-only");
    assert_eq!(tree(&disk).len(), 2);
}

/// Names that trash-cli of every version prints and takes on one line.
const SHOWN: [&str; 6] = [
    "plain",
    "a b",
    "it's",
    "100%41%",
    "\u{fc}\u{20ac}",
    ".hidden",
];

#[test]
fn path_44_trash_cli_lists_and_restores_what_was_put_away() {
    if !trash_cli() {
        return;
    }
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for name in SHOWN {
        let path = house.file(name);
        let before = fs::metadata(&path).unwrap().ino();
        house.run("safe-trash \"$1\"", [name]).succeeded();
        assert!(!path.exists());
        let listed = house.script("trash-list").stdout_text();
        let shown = house.home.join("work").join(name);
        let lines: Vec<&str> = listed.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].ends_with(shown.to_str().unwrap()),
            "{listed}"
        );
        house
            .run("echo 0 | trash-restore \"$PWD/$1\"", [name])
            .exited(0);
        assert_eq!(fs::metadata(&path).unwrap().ino(), before, "{name}");
        assert_eq!(names(&house.trash("info")), [""; 0], "{name}");
    }
}

#[test]
fn path_44_trash_cli_restores_a_directory_on_another_mount() {
    if !trash_cli() {
        return;
    }
    let Some((house, disk)) = with_disk() else {
        return;
    };
    let script = "mount --bind \"$DISK\" \"$DISK\"; cd \"$DISK\"; safe-trash d; [ ! -e d ]; \
                  trash-list; echo 0 | trash-restore \"$PWD/d\" >&2";
    let ran = house.script(script);
    ran.exited(0);
    let path = disk.join("d");
    assert!(
        ran.stdout_text()
            .trim_end()
            .ends_with(path.to_str().unwrap()),
        "{ran}"
    );
    assert!(path.join("f").exists());
}

#[test]
fn path_41_trash_put_and_safe_trash_keep_apart_what_the_other_put_away() {
    if !trash_cli() {
        return;
    }
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let script = "for n in 1 2 3; do echo $n >foo; /usr/bin/trash-put foo; \
                  echo $n >foo; safe-trash foo; done";
    house.script(script).succeeded();
    let mut contents: Vec<String> = names(&house.trash("files"))
        .iter()
        .map(|name| fs::read_to_string(house.trash("files").join(name)).unwrap())
        .collect();
    contents.sort();
    assert_eq!(contents, ["1\n", "1\n", "2\n", "2\n", "3\n", "3\n"]);
    assert_eq!(names(&house.trash("info")).len(), 6);
}
