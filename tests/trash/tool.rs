//! `trash.tool`: another program moves the files, after the same decision.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{House, names, trash_cli};
use crate::support::{Started, program, script, tree};

impl House {
    /// Configures these words as the tool, and trusts the stand-ins.
    fn with_tool(&self, words: &str) {
        let fakes = self.scene.path("fakes");
        self.scene.configure(&format!(
            "resolver.trusted_dirs = [\"{}\"]\ntrash.tool = {words}",
            fakes.display()
        ));
    }
}

#[test]
fn p_d32_the_tool_gets_its_words_and_the_operands_as_typed() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.scene.fake("fake-tool", "mover");
    house.with_tool("[\"mover\", \"to trash\", \"-x\"]");
    let words: [&[u8]; 6] = [
        b"it's \"quoted\"",
        b"two\nlines",
        b"\xff\xfe",
        b"-rf",
        b"./a//b",
        b"$(touch x)",
    ];
    let words = words.map(OsStr::from_bytes);
    for word in words {
        house.file(word);
    }
    for (options, force) in [("-rv", false), ("-rfv", true)] {
        let ran = house.run(&format!("exec safe-trash {options} -- \"$@\""), words);
        let started = Started::read(&ran);
        let mut expected = vec![
            OsStr::new("mover"),
            OsStr::new("to trash"),
            OsStr::new("-x"),
        ];
        expected.extend(force.then_some(OsStr::new("-f")));
        expected.push(OsStr::new("--"));
        expected.extend(words.map(|word| {
            if word == "-rf" {
                OsStr::new("./-rf")
            } else {
                word
            }
        }));
        assert_eq!(started.argv, expected);
        assert_eq!(
            *started.field("cwd"),
            house.home.join("work").to_str().unwrap()
        );
        let mut variables: Vec<_> = started.environment.keys().map(String::as_str).collect();
        variables.sort_unstable();
        assert_eq!(variables, ["HOME", "LANG", "LOGNAME", "PATH", "USER"]);
        let entry = house.scene.last_entry();
        assert_eq!(entry["decision"], "SUCCESS", "its end is the tool's own");
        assert_eq!(entry["confinement"], "none");
        assert_eq!(
            entry["resolved_path"],
            house.scene.path("fakes/mover").to_str().unwrap()
        );
        assert_eq!(entry["executed"].as_array().unwrap().len(), expected.len());
        assert_eq!(entry["argv"][0], "safe-trash");
    }
    assert!(
        names(&house.at("work")).len() > 5,
        "this tool moves nothing, and neither does pvm"
    );
}

#[test]
fn p_d33_its_exit_status_is_the_commands() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    house.with_tool("\"mover\"");
    for code in [0, 1, 7, 74, 126, 255] {
        let _none_before = fs::remove_file(house.scene.path("fakes/mover"));
        script(
            &format!("#!/bin/sh\nexit {code}\n"),
            &house.scene.path("fakes/mover"),
        );
        house.script("exec safe-trash f").exited(code);
        assert!(house.at("work/f").exists());
    }
}

#[test]
fn what_is_not_allowed_does_not_reach_the_tool() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let ran = house.scene.path("ran");
    let text = format!("#!/bin/sh\necho \"$@\" >>'{}'\n", ran.display());
    script(&text, &house.scene.path("fakes/mover"));
    house.with_tool("\"mover\"");
    house.file("d/f");
    fs::create_dir(house.at("work/d/point")).unwrap();
    fs::write(house.at("other"), "").unwrap();
    let before = house.scene.trail().len();
    let refused = [
        "safe-trash ../other",
        "safe-trash d/f ../other",
        "safe-trash \"$REAL_HOME/../state\"",
        "safe-trash .",
        "safe-trash -i d/f",
        "safe-trash --trash-dir=/tmp d/f",
        "mount -t tmpfs tmpfs d/point; safe-trash d",
    ];
    for line in refused {
        let (first, last) = line.rsplit_once("safe-trash").unwrap();
        house
            .script(&format!("{first} exec safe-trash {last}"))
            .denied();
    }
    house.script("exec safe-trash --unknown d/f").exited(2);
    assert!(!ran.exists(), "{:?}", fs::read_to_string(&ran));
    assert_eq!(house.scene.trail().len(), before + refused.len() + 1);
    house.script("safe-trash d/f").succeeded();
    assert_eq!(fs::read_to_string(&ran).unwrap(), "-- d/f\n");
}

#[test]
fn env_03_and_06_a_tool_that_is_not_trusted_is_a_hijack() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    let ran = house.scene.path("ran");
    let line = format!("touch '{}'\n", ran.display());
    let fakes = house.scene.path("fakes");
    let own = fakes.join("own-sh");
    for (what, first, owner, mode) in [
        ("anybody's", "#!/bin/sh".to_owned(), None, 0o777),
        ("another user's", "#!/bin/sh".to_owned(), Some(65534), 0o755),
        (
            "for no interpreter",
            "#!/no/such/sh".to_owned(),
            None,
            0o755,
        ),
        ("for nothing", String::new(), None, 0o755),
        (
            "for a changeable interpreter",
            format!("#!{}", own.display()),
            None,
            0o755,
        ),
        ("setuid", "#!/bin/sh".to_owned(), None, 0o4755),
    ] {
        let path = fakes.join("mover");
        let _none_before = fs::remove_file(&path);
        script(&format!("{first}\n{line}"), &path);
        crate::support::copy(Path::new("/bin/sh"), &own);
        std::os::unix::fs::chown(&own, Some(65534), None).unwrap();
        std::os::unix::fs::chown(&path, owner, None).unwrap();
        super::set_mode(&path, mode);
        house.scene.configure("trash.tool = \"mover\"");
        let ran_it = house.script("exec safe-trash f");
        ran_it
            .exited(126)
            .says("the trash.tool that PATH gives is not trusted");
        assert!(!ran.exists(), "{what}: {ran_it}");
        let entry = house.scene.last_entry();
        assert_eq!(entry["event_type"], "HIJACK", "{what}");
        assert_eq!(entry["op"], "trash", "{what}");
        assert!(house.at("work/f").exists(), "{what}");
    }
}

#[test]
fn arg_08_pvm_is_never_its_own_tool() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    house.file("g");
    let links = house.scene.path("links");
    fs::create_dir(&links).unwrap();
    for name in ["trash-put", "trash", "mover"] {
        symlink("../bin/pvm", links.join(name)).unwrap();
    }
    house.with_tool("\"mover\"");
    let path = format!("PATH={}:$PATH", links.display());
    house
        .script(&format!("{path}; exec safe-trash f"))
        .exited(127)
        .says("is not on PATH");
    assert_eq!(house.scene.last_entry()["decision"], "DENIED");
    house.with_tool("\"no-such-mover\"");
    house
        .script("exec safe-trash f")
        .exited(127)
        .says("no-such-mover");
    assert!(house.at("work/f").exists());
    if trash_cli() {
        house.with_tool("\"trash-put\"");
        house
            .script(&format!("{path}; exec trash-put f"))
            .succeeded();
        assert_eq!(names(&house.trash("files")), ["f"]);
        let entry = house.scene.last_entry();
        assert_eq!(entry["resolved_path"], "/usr/bin/trash-put");
    }
}

#[test]
fn trash_put_and_gio_move_what_was_allowed() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let mut tools = Vec::new();
    tools.extend(trash_cli().then_some("\"trash-put\""));
    tools.extend(program("/usr/bin/gio").then_some("[\"gio\", \"trash\"]"));
    for tool in tools {
        house.with_tool(tool);
        let words: [&[u8]; 4] = [b"plain", b"-rf", b"it's a \"quote\"", b"two\nlines"];
        let words = words.map(OsStr::from_bytes);
        for word in words {
            house.file(word);
        }
        let kept = house.file("--");
        house.run("exec safe-trash -- \"$@\"", words).exited(0);
        assert_eq!(names(&house.at("work")), ["--"], "{tool}");
        assert_eq!(names(&house.trash("files")).len(), 4, "{tool}");
        fs::remove_file(kept).unwrap();
        // Nothing that is missing: some trash-put then tries the trash of the real root directory.
        house.file("f");
        house.script("exec safe-trash -f f").exited(0);
        let executed = house.scene.last_entry()["executed"].clone();
        assert!(
            executed.as_array().unwrap().contains(&"-f".into()),
            "{executed}"
        );
        assert_eq!(names(&house.trash("files")).len(), 5, "{tool}");
        let before = tree(&house.at(""));
        house.script("exec safe-trash ../elsewhere").denied();
        let entry = house.last_success()["entry"].as_i64().unwrap();
        let ran = house.script(&format!("exec pvm undo {entry}"));
        ran.exited(1)
            .says("trash.tool moved the files")
            .says("trash-restore");
        assert_eq!(tree(&house.at("")), before, "{tool}");
        fs::remove_dir_all(house.trash("files")).unwrap();
        fs::remove_dir_all(house.trash("info")).unwrap();
    }
}
