use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use serde_json::Value;

use super::{House, names, trash_cli};
use crate::support::{Ran, tree};

impl House {
    /// Trashes files and returns the number of the entry that undoing takes.
    #[track_caller]
    fn trashed<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> i64 {
        self.run("safe-trash -- \"$@\"", words).succeeded();
        self.last_success()["entry"].as_i64().unwrap()
    }

    fn undo(&self, entry: i64) -> Ran {
        self.script(&format!("exec pvm undo {entry}"))
    }

    fn undo_as_json(&self, entry: i64) -> Vec<Value> {
        let ran = self.script(&format!("pvm undo --json {entry} || true"));
        ran.succeeded();
        let lines = ran.stdout_text();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn what_was_trashed_comes_back_once_and_the_trail_says_so() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for by_its_end in [false, true] {
        let path = house.file("d/f");
        let inode = fs::metadata(&path).unwrap().ino();
        let entry = house.trashed(["d"]);
        let number = entry + i64::from(by_its_end);
        let ran = house.undo(number);
        let original = house.home.join("work/d");
        ran.succeeded();
        assert_eq!(
            ran.stdout_text(),
            format!("restored {}\n", original.display())
        );
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(names(&house.trash("info")), [""; 0]);
        let trail = house.scene.trail();
        let [.., success, result] = trail.as_slice() else {
            panic!("two entries")
        };
        let words = ["pvm".to_owned(), "undo".to_owned(), entry.to_string()];
        assert_eq!(success["argv"], serde_json::json!(words));
        assert_eq!(success["op"], "trash");
        assert_eq!(success["decision"], "SUCCESS");
        assert_eq!(
            success["scopes"],
            serde_json::json!([original.to_str().unwrap()])
        );
        assert_eq!(result["decision"], "RESULT");
        assert_eq!(result["of_entry"], success["entry"]);
        assert_eq!(result["status"], 0);
        let listed = house.script("pvm audit --limit 2").stdout_text();
        assert!(listed.contains(&format!("pvm undo {entry}")), "{listed}");

        let ran = house.undo(number);
        ran.exited(1)
            .says("is not in the trash any more")
            .says("restored already");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
    house.scene.assert_trail_intact();
}

#[test]
fn path_43_nothing_is_replaced_made_or_reached_through_a_link() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("d/f");
    let entry = house.trashed(["d/f"]);
    let (d, f) = (house.at("work/d"), house.at("work/d/f"));
    let refused = |says: &str, hint: &str| {
        let before = tree(&house.at(""));
        let ran = house.undo(entry);
        ran.exited(1).says(says).says(hint);
        assert_eq!(tree(&house.at("")), before, "{ran}");
    };
    for dangling in [false, true] {
        if dangling {
            symlink("nowhere", &f).unwrap();
        } else {
            fs::write(&f, "another").unwrap();
        }
        refused("something stands at", "mv -n -- ");
        fs::remove_file(&f).unwrap();
    }
    fs::create_dir(&f).unwrap();
    refused("something stands at", "mv -n -- ");
    fs::remove_dir(&f).unwrap();
    fs::remove_dir(&d).unwrap();
    refused("is gone", "mkdir -p -- ");
    fs::create_dir(house.at("elsewhere")).unwrap();
    symlink("../elsewhere", &d).unwrap();
    refused("a link is in the way", ".local/share/Trash/files/f");
    fs::remove_file(&d).unwrap();
    fs::create_dir(&d).unwrap();
    house.undo(entry).succeeded();
    assert!(f.exists());
}

#[test]
fn one_that_cannot_come_back_does_not_keep_the_others() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for name in ["a", "b", "c"] {
        house.file(name);
    }
    let entry = house.trashed(["a", "b", "c"]);
    fs::write(house.at("work/b"), "new").unwrap();
    let ran = house.undo(entry);
    ran.exited(1).says("work/b: something stands at");
    assert_eq!(ran.stdout_text().lines().count(), 2, "{ran}");
    assert_eq!(fs::read(house.at("work/b")).unwrap(), b"new");
    assert!(house.at("work/a").exists() && house.at("work/c").exists());
    assert_eq!(names(&house.trash("files")), ["b"]);
    let result = house.scene.last_entry();
    assert_eq!(result["status"], 1);
    assert!(
        result["error"]
            .as_str()
            .unwrap()
            .contains("something stands at")
    );

    fs::remove_file(house.at("work/b")).unwrap();
    let told = house.undo_as_json(entry);
    let restored: Vec<_> = told
        .iter()
        .map(|one| one["restored"].as_bool().unwrap())
        .collect();
    assert_eq!(restored, [false, true, false]);
    assert_eq!(told[0]["error"], "it is not in the trash any more");
    assert_eq!(told[1]["error"], Value::Null);
    assert_eq!(told[1]["entry"], entry);
    assert_eq!(
        told[1]["original"],
        house.home.join("work/b").to_str().unwrap()
    );
    assert!(
        told[1]["trashed"]
            .as_str()
            .unwrap()
            .ends_with("Trash/files/b")
    );
}

#[test]
fn path_44_and_p_d32_any_name_comes_back() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let words: [&[u8]; 8] = [
        b"it's a \"quote\"",
        b"two\nPath=x",
        b"100%41%",
        b"\xff\xfe",
        b"-rf",
        b"\x1b[2J",
        b"$(touch x); `x`",
        &[b'n'; 255],
    ];
    let words = words.map(OsStr::from_bytes);
    for word in words {
        house.file(word);
    }
    let before = tree(&house.at("work"));
    let entry = house.trashed(words);
    let ran = house.undo(entry);
    ran.succeeded();
    assert_eq!(tree(&house.at("work")), before);
    assert_eq!(ran.stdout_text().lines().count(), words.len(), "{ran}");
    assert!(!ran.stdout.contains(&0x1b), "{ran}");
    let told = house.undo_as_json(house.trashed([words[3]]));
    let path = told[0]["original"]["base64"].as_str().unwrap();
    let path = data_encoding::BASE64.decode(path.as_bytes()).unwrap();
    let original = house.home.join("work").join(words[3]);
    assert_eq!(path, original.as_os_str().as_bytes());
    assert!(house.at("work").join(words[3]).exists(), "{told:?}");
}

#[test]
fn what_is_no_move_to_the_trash_is_said_to_be_none() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let number = || house.scene.last_entry()["entry"].as_i64().unwrap();
    let refused = |entry: i64, says: &str| {
        let before = number();
        house.undo(entry).exited(1).says(says);
        assert_eq!(number(), before, "a refusal leaves nothing");
    };
    house
        .undo(4711)
        .exited(2)
        .says("there is no entry 4711")
        .says("pvm audit");
    for word in ["0", "-1", "x", "99999999999999999999"] {
        house.script(&format!("exec pvm undo -- {word}")).exited(2);
    }
    refused(1, "neither a forced push nor a move");
    house.file("../other");
    house.script("exec safe-trash ../other").denied();
    refused(number(), "it was refused");
    house.script("safe-trash none || true").exited(0);
    refused(number(), "nothing was moved");
    house.file("f");
    house
        .script("pvm grant --op rm --ttl 1m --scope \"$PWD\" >&2; safe-rm f")
        .exited(0);
    refused(number(), "gone");
    house.file("f");
    house.undo(house.trashed(["f"])).succeeded();
    for entry in [number(), number() - 1] {
        refused(entry, "it is an undo itself");
    }
}

#[test]
fn what_came_under_the_same_name_since_is_not_taken_for_it() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    fs::write(house.file("f"), "first").unwrap();
    let first = house.trashed(["f"]);
    house.undo(first).succeeded();
    fs::write(house.file("f"), "second").unwrap();
    let second = house.trashed(["f"]);
    let before = tree(&house.at(""));
    house
        .undo(first)
        .exited(1)
        .says("it is not in the trash any more")
        .says(&format!("pvm undo {second}"));
    assert_eq!(tree(&house.at("")), before);
    house.undo(second).succeeded();
    assert_eq!(fs::read(house.at("work/f")).unwrap(), b"second");
}

#[test]
fn a_note_that_is_gone_or_says_something_else_restores_nothing() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    let entry = house.trashed(["f"]);
    let note = house.trash("info/f.trashinfo");
    let text = fs::read_to_string(&note).unwrap();
    for (other, says) in [
        (
            Some(text.replace("work/f", "work/g")),
            "says where something else came from",
        ),
        (
            Some(text.replace("[Trash Info]", "[Other]")),
            "says where something else came from",
        ),
        (Some(String::new()), "says where something else came from"),
        (None, "about where it came from is gone"),
    ] {
        match other {
            Some(text) => fs::write(&note, text).unwrap(),
            None => fs::remove_file(&note).unwrap(),
        }
        house.undo(entry).exited(1).says(says);
        assert!(house.trash("files/f").exists() && names(&house.at("work")).is_empty());
    }
    fs::write(&note, text).unwrap();
    house.undo(entry).succeeded();
}

#[test]
fn an_entry_without_its_end_or_with_a_cut_list_says_what_it_lacks() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    let entry = house.trashed(["f"]);
    let last = "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)";
    house.scene.edit_vault(last, []);
    house
        .undo(entry)
        .exited(1)
        .says("does not say what became of it")
        .says("trash-restore");
    assert!(house.trash("files/f").exists());

    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let words: Vec<String> = (0..500).map(|number| format!("{number:0>200}")).collect();
    for word in &words {
        house.file(word);
    }
    let entry = house.trashed(&words);
    let ran = house.undo(entry);
    ran.exited(1)
        .says("does not name all that was trashed")
        .says("trash-restore");
    let back = names(&house.at("work"));
    assert!(back.len() > 100 && back.len() < 500, "{}", back.len());
    assert_eq!(ran.stdout_text().lines().count(), back.len());
    let first = words.iter().map(OsStr::new).take(back.len());
    assert!(back.iter().eq(first), "the first ones, each in its place");
    assert_eq!(names(&house.trash("files")).len(), 500 - back.len());
}

#[test]
fn what_trash_cli_took_out_is_not_in_the_trash_any_more() {
    if !trash_cli() {
        return;
    }
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for line in [
        "echo 0 | trash-restore \"$PWD/f\" >/dev/null; rm -f f",
        "trash-empty </dev/null >/dev/null",
        "rm -rf \"$HOME/.local/share/Trash\"",
    ] {
        house.file("f");
        let entry = house.trashed(["f"]);
        let line = line.replace("rm -", "/usr/bin/rm -");
        house.script(&line).exited(0);
        assert!(!house.trash("files/f").exists(), "{line}");
        house
            .undo(entry)
            .exited(1)
            .says("is not in the trash any more")
            .says("emptied");
        assert!(!house.at("work/f").exists(), "{line}");
    }
}
