use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::plain_rm;
use crate::support::{Ran, Scene, Started, tree};

fn plant(scene: &Scene, below: &str) {
    for name in [
        "f", "g", "d/x", "d/y/z", "e/", "-r", "-rf", "*", "~", "$HOME", "approve",
    ] {
        scene.files([format!("{below}/{name}").as_str()]);
    }
    symlink("d", scene.work(below).join("ld")).unwrap();
    symlink("nowhere", scene.work(below).join("dangling")).unwrap();
}

/// A granted command: what is typed, what is answered, and what is gone afterwards.
const GRANTED: [(&[&str], &[u8], &[&str]); 40] = [
    (&["--", "-r"], b"", &["-r"]),
    (&["--", "-rf", "f"], b"", &["-rf", "f"]),
    (&["f", "--", "-r", "d"], b"", &["f", "-r"]),
    (&["d", "-r"], b"", &["d", "d/x", "d/y", "d/y/z"]),
    (
        &["f", "d", "-v", "-r", "g"],
        b"",
        &["f", "d", "d/x", "d/y", "d/y/z", "g"],
    ),
    (&["-rfv", "e"], b"", &["e"]),
    (&["-vRf", "e"], b"", &["e"]),
    (&["-rf", "-f", "e", "f"], b"", &["e", "f"]),
    (&["-r", "d/"], b"", &["d", "d/x", "d/y", "d/y/z"]),
    (&["-r", "d//y//"], b"", &["d/y", "d/y/z"]),
    (&["./f", "d/../g"], b"", &["f", "g"]),
    (&["--r", "e"], b"", &["e"]),
    (&["--re", "e"], b"", &["e"]),
    (&["--recurs", "e"], b"", &["e"]),
    (&["--recursive", "e"], b"", &["e"]),
    (&["--fo", "f", "missing"], b"", &["f"]),
    (&["--verb", "f"], b"", &["f"]),
    (&["--one", "-r", "e"], b"", &["e"]),
    (&["--pres", "f"], b"", &["f"]),
    (&["--preserve-root=all", "f"], b"", &["f"]),
    (&["-d", "e"], b"", &["e"]),
    (&["--di", "e", "d"], b"", &["e"]),
    (&["d"], b"", &[]),
    (&["missing"], b"", &[]),
    (&["missing/below/it"], b"", &[]),
    (&["-f", "missing", "missing/below/it"], b"", &[]),
    (&["--interactive=no", "f"], b"", &["f"]),
    (&["--interactive=n", "f"], b"", &["f"]),
    (&["--int=never", "f"], b"", &["f"]),
    (&["-i", "f"], b"y\n", &["f"]),
    (&["-i", "f", "g"], b"n\ny\n", &["g"]),
    (&["--interactive", "f"], b"n\n", &[]),
    (&["-fi", "f"], b"\n", &[]),
    (&["-if", "f"], b"", &["f"]),
    (&["-I", "-r", "d"], b"n\n", &[]),
    (
        &["-Iv", "f", "g", "-r", "approve", "dangling"],
        b"y\n",
        &["f", "g", "approve", "dangling"],
    ),
    (&["ld", "dangling"], b"", &["ld", "dangling"]),
    (&["*", "~", "$HOME"], b"", &["*", "~", "$HOME"]),
    (&["approve"], b"", &["approve"]),
    (&["-r", "d", "d/y", "d"], b"", &["d", "d/x", "d/y", "d/y/z"]),
];

#[test]
fn arg_09_to_41_a_granted_command_does_what_plain_rm_does() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    for (number, (words, input, gone)) in GRANTED.into_iter().enumerate() {
        let (ours, plain) = (format!("{number}/a"), format!("{number}/b"));
        plant(&scene, &ours);
        plant(&scene, &plain);
        let mut before = tree(&scene.work(&ours));
        let mut command = scene.command("safe-rm");
        let ran = Ran::with_input(command.args(words).current_dir(scene.work(&ours)), input);
        let expected = Ran::with_input(&mut plain_rm(words, &scene.work(&plain)), input);
        assert_eq!(ran.to_string(), expected.to_string(), "{words:?}");
        assert_eq!(
            tree(&scene.work(&ours)),
            tree(&scene.work(&plain)),
            "{words:?}"
        );
        before.retain(|name| !gone.iter().any(|gone| name.as_os_str() == *gone));
        assert_eq!(tree(&scene.work(&ours)), before, "{words:?}");
        let entry = scene.last_entry();
        assert_eq!(entry["decision"], "SUCCESS", "{words:?}");
        let typed = entry["argv"].as_array().unwrap()[1..].to_vec();
        assert_eq!(typed, words, "the trail has what was typed");
    }
    scene.assert_trail_intact();
}

#[test]
fn arg_12_posixly_correct_has_no_say() {
    let scene = Scene::new();
    scene.files(["a/d/x", "b/d/x"]).grant(scene.work(""));
    let mut command = scene.command("safe-rm");
    command.args(["d", "-r"]).current_dir(scene.work("a"));
    Ran::of(command.env("POSIXLY_CORRECT", "1")).succeeded();
    assert!(!scene.work("a/d").exists());

    let mut command = plain_rm(&["d", "-r"], &scene.work("b"));
    Ran::of(command.env("POSIXLY_CORRECT", "1")).exited(1);
    assert!(
        scene.work("b/d/x").exists(),
        "for plain rm, -r was an operand"
    );
}

#[test]
fn arg_07_and_14_the_real_command_gets_the_callers_bytes() {
    let scene = Scene::new();
    scene.stand_in("fake-tool", "");
    scene.files(["f", "d/x"]).grant(scene.work(""));
    let commands: [&[&[u8]]; 6] = [
        &[b"--recurs", b"d", b"--", b"-f"],
        &[b"d", b"-r", b"f"],
        &[b"-rfv", b"-f", b"--interactive=n", b"./d/../f"],
        &[b"--preserve-root=all", b"a\xff", b"a b", b"a\nb"],
        &[b"-f", b"--", b"\x1b[2J", b"\xe2\x80\xae"],
        &[b"--force", b"d/", b"d//"],
    ];
    symlink("../bin/pvm", scene.path("fakes/safe-rm")).unwrap();
    for words in commands {
        let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
        for name in ["safe-rm", "../fakes/safe-rm", "../bin/../bin/safe-rm"] {
            let ran = scene.run(name, &words);
            let started = Started::read(&ran);
            assert_eq!(started.argv[0], "rm");
            assert_eq!(&started.argv[1..], words);
            assert_eq!(
                scene.last_entry()["argv"].as_array().unwrap().len(),
                words.len() + 1
            );
        }
    }
}

/// Never passed on: what is typed, the exit status, and what the first line says.
const REFUSED: [(&[&str], i32, &str); 18] = [
    (&["-z", "f"], 2, "unknown option '-z'"),
    (&["-rfz", "f"], 2, "unknown option '-z'"),
    (&["--frobnicate", "f"], 2, "unknown option '--frobnicate'"),
    (&["f", "--frobnicate"], 2, "unknown option"),
    (
        &["---presume-input-tty", "f"],
        2,
        "unknown option '---presume-input-tty'",
    ),
    (&["-i=never", "f"], 2, "unknown option '-='"),
    (&["--ver", "f"], 2, "ambiguous"),
    (&["--interactive=maybe", "f"], 2, "'maybe' is not a value"),
    (&["--recursive=yes", "f"], 2, "takes no value"),
    (&["--no-preserve-root", "f"], 1, "never allowed"),
    (&["f", "--no-preserve-root"], 1, "never allowed"),
    (
        &["--no-preserve-root", "--preserve-root", "f"],
        1,
        "never allowed",
    ),
    (&["--no-preserve", "f"], 1, "never allowed"),
    (&["--no", "f"], 1, "never allowed"),
    (&[], 2, "no operand"),
    (&["-f"], 2, "no operand"),
    (&["-rf", "--"], 2, "no operand"),
    (&["--frobnicate", "--help"], 2, "unknown option"),
];

#[test]
fn arg_13_to_21_what_is_not_known_is_never_passed_on() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    for (words, code, text) in REFUSED {
        let ran = scene.safe_rm(words);
        ran.exited(code).says(text);
        assert_eq!(ran.stdout, b"", "{words:?}");
        assert!(scene.work("f").exists(), "{words:?}");
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["event_type"], &entry["decision"]),
            (&"GRANT_CHECK".into(), &"DENIED".into())
        );
        assert_eq!(entry["argv"].as_array().unwrap()[1..].to_vec(), words);
    }
    for hidden in ["---presume-input-tty", "--no-preserve-root"] {
        scene.files(["f"]);
        Ran::of(&mut plain_rm(&[hidden, "f"], &scene.work(""))).exited(0);
        assert!(!scene.work("f").exists(), "plain rm knows {hidden}");
    }
}

#[test]
fn arg_20_help_and_version_need_no_grant_and_touch_nothing() {
    let scene = Scene::new();
    scene.files(["f"]);
    let grant = scene.grant_with(scene.work("f"), ["--uses", "1"]);
    for words in [
        &["--help"][..],
        &["--version"],
        &["f", "--he"],
        &["-rf", "--vers", "f"],
    ] {
        let ran = scene.safe_rm(words);
        ran.succeeded();
        let expected = Ran::of(&mut plain_rm(words, &scene.work("")));
        assert_eq!(ran.stdout_text(), expected.stdout_text(), "{words:?}");
        assert!(scene.work("f").exists(), "{words:?}");
        let entry = scene.last_entry();
        assert_eq!(entry["decision"], "SUCCESS");
        assert!(
            entry["grant_ids"].is_null() && entry["operands"].is_null(),
            "{entry}"
        );
    }
    assert_eq!(scene.uses_left(&grant), Some(1));
}

#[test]
fn arg_22_and_23_one_operand_out_of_scope_refuses_all() {
    let scene = Scene::new();
    let grant = scene
        .files(["a/f", "b/f"])
        .grant_with(scene.work("a"), ["--uses", "3"]);
    let both = scene.work("b/f");
    for words in [["a/f", "b/f"], ["b/f", "a/f"]] {
        let ran = scene.safe_rm(words);
        ran.denied()
            .says(&format!("no active grant covers {}", both.display()));
        ran.says(&format!(
            "pvm grant --op rm --scope {} --ttl 30m",
            both.display()
        ));
        assert!(scene.work("a/f").exists() && both.exists());
        let entry = scene.last_entry();
        assert_eq!(entry["decision"], "DENIED");
        assert_eq!(entry["operands"].as_array().unwrap().len(), 2);
    }
    let vault = scene.vault();
    scene
        .safe_rm([OsStr::new("a/f"), vault.as_os_str()])
        .denied()
        .says("is the vault");
    assert!(scene.work("a/f").exists() && vault.exists());
    assert_eq!(scene.uses_left(&grant), Some(3));

    scene.safe_rm(["a/f"]).succeeded();
    assert!(!scene.work("a/f").exists());
    assert_eq!(scene.uses_left(&grant), Some(2));
}

#[test]
fn arg_24_an_empty_operand_refuses_the_whole_command() {
    let scene = Scene::new();
    scene.files(["f", "plain/f"]).grant(scene.work(""));
    for words in [&[""][..], &["-rf", ""], &["", "f"], &["-f", "f", ""]] {
        scene.safe_rm(words).denied().says("an empty operand");
        assert!(scene.work("f").exists(), "{words:?}");
        assert_eq!(scene.last_entry()["decision"], "DENIED");
    }
    Ran::of(&mut plain_rm(&["-f", "", "f"], &scene.work("plain")));
    assert!(
        !scene.work("plain/f").exists(),
        "plain rm goes on behind an empty operand"
    );
}

#[test]
fn arg_26_names_that_are_no_text_are_not_mixed_up() {
    let scene = Scene::new();
    let names = [b"a\xff".as_slice(), b"a\xfe", "a\u{fffd}".as_bytes()].map(OsStr::from_bytes);
    for name in names {
        std::fs::File::create(scene.work(name)).unwrap();
    }
    scene.grant(scene.work(names[0]));
    scene.safe_rm([names[1]]).denied().says("a\\xfe");
    scene.safe_rm([names[2]]).denied();
    scene.safe_rm([names[0]]).succeeded();
    let left: Vec<_> = tree(&scene.work(""))
        .into_iter()
        .map(OsString::from)
        .collect();
    assert_eq!(left, [names[2], names[1]]);
}

#[test]
fn arg_27_a_file_that_looks_like_an_option_grants_nothing() {
    let scene = Scene::new();
    scene.files(["-rf", "d/x", "f"]).grant(scene.work("f"));
    scene.safe_rm(["-rf", "d", "f"]).denied();
    assert_eq!(tree(&scene.work("")).len(), 4);
    Ran::of(&mut plain_rm(&["-rf", "d", "f"], &scene.work(""))).exited(0);
    assert_eq!(
        tree(&scene.work("")).len(),
        1,
        "plain rm removed what the glob gave it"
    );
}
