//! Names and words that were chosen to deceive: shown, they are harmless; recorded, they are whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::support::{Ran, Scene};

const NAMES: [&[u8]; 16] = [
    b"a\nsafe-rm: removed everything",
    b"\x1b[2J\x1b[H",
    b"\x1b]0;owned\x07",
    b"\x1b]8;;mailto:x\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]52;c;cm0gLXJm\x07",
    b"\x1bP+q544e\x1b\\",
    b"\xc2\x9b31mred",
    "\u{202e}fdp.exe".as_bytes(),
    "a\u{200b}b\u{2066}c\u{2069}".as_bytes(),
    "tag\u{e0041}".as_bytes(),
    b"<img src=x onerror=alert(1)>",
    b"' \"; rm -rf $HOME `id` $(id) \\",
    b"a\xff\xfe",
    b"\r\x08\x08\x7f\t\x00".split_at(5).0,
    b"{\"decision\":\"SUCCESS\"}",
    b"%s%n%d{0}{hit}",
];

/// Returns a name as the trail shows it in JSON.
fn whole(name: &[u8]) -> Value {
    match std::str::from_utf8(name) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": data_encoding::BASE64.encode(name) }),
    }
}

/// Asserts that nothing in an output steers a terminal, hides, or turns text around.
#[track_caller]
fn assert_harmless(output: &[u8]) {
    let text = std::str::from_utf8(output).expect("what people read is text");
    let hidden = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{e0000}'..='\u{e0fff}' | '\u{feff}')
    };
    assert!(!text.contains(hidden), "{}", output.escape_ascii());
}

#[test]
fn arg_25_hostile_operands_are_shown_escaped_and_recorded_whole() {
    let scene = Scene::new();
    for name in NAMES {
        let ran = scene.safe_rm(["-f".as_ref(), "--".as_ref(), OsStr::from_bytes(name)]);
        ran.denied();
        assert_harmless(&ran.stderr);
        // The first line, and the hint with the command that would permit it.
        assert_eq!(
            ran.stderr_text().lines().count(),
            2,
            "{}",
            name.escape_ascii()
        );
        let entry = scene.last_entry();
        assert_eq!(entry["argv"][3], whole(name), "{entry}");
        assert_eq!(entry["operands"][0], whole(name), "{entry}");
        let path = scene.work(OsStr::from_bytes(name));
        assert_eq!(
            entry["scopes"][0],
            whole(path.as_os_str().as_bytes()),
            "{entry}"
        );
    }
    for words in [&["status"][..], &["audit"], &["audit", "--limit", "0"]] {
        assert_harmless(&scene.pvm(words).succeeded().stdout);
    }
    scene.assert_trail_intact();
}

#[test]
fn arg_25_the_command_in_a_hint_means_the_very_same_name() {
    let scene = Scene::new();
    for name in NAMES {
        let name = OsStr::from_bytes(name);
        let ran = scene.safe_rm([OsStr::new("--"), name]);
        let text = ran.denied().stderr_text();
        let (_, typed) = text
            .trim_end()
            .split_once("a person can allow it:  ")
            .unwrap();
        File::create(scene.work(name)).unwrap();
        let mut shell = std::process::Command::new("/bin/bash");
        shell
            .args(["-c", typed])
            .env_clear()
            .env("PATH", scene.search_path());
        assert_harmless(&Ran::of(&mut shell).exited(0).stdout);
        scene.safe_rm([OsStr::new("--"), name]).succeeded();
        assert!(!scene.work(name).exists());
    }
}

#[test]
fn arg_25_what_pvm_removes_itself_is_named_harmlessly() {
    let scene = Scene::new();
    for name in NAMES {
        let name = OsStr::from_bytes(name);
        File::create(scene.work(name)).unwrap();
        scene.grant(scene.work(name));
        let asked = Ran::with_input(
            scene.command("safe-rm").args(["-iv", "--"]).arg(name),
            b"n\n",
        );
        assert_harmless(&asked.exited(0).stderr);
        let ran = scene.safe_rm([OsStr::new("-v"), OsStr::new("--"), name]);
        assert_harmless(&ran.succeeded().stdout);
        assert!(ran.stdout_text().starts_with("removed "));
        assert!(!scene.work(name).exists());
    }
}

#[test]
fn a_refusal_in_json_has_the_whole_names() {
    let scene = Scene::new();
    for name in NAMES {
        let mut command = scene.command("safe-rm");
        let ran = Ran::of(
            command
                .args(["-f", "--"])
                .arg(OsStr::from_bytes(name))
                .env("PVM_JSON", "1"),
        );
        ran.exited(1);
        let text = ran.stderr_text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let refusal: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(refusal["decision"], "denied");
        let path = scene.work(OsStr::from_bytes(name));
        assert_eq!(
            refusal["scopes"],
            json!([whole(path.as_os_str().as_bytes())])
        );
        assert!(refusal["request_id"].is_null());
        assert_harmless(refusal["reason"].as_str().unwrap().as_bytes());
        assert_harmless(refusal["hint"].as_str().unwrap().as_bytes());
        let mut keys: Vec<_> = refusal.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["decision", "hint", "reason", "request_id", "scopes"]);
    }
}

#[test]
fn every_refusal_is_one_object_in_json() {
    let scene = Scene::new();
    scene.files(["f"]);
    scene.fake("fake-tool", "rm");
    let refusals: [(&[&str], &str, i32, &str); 5] = [
        (&["f"], "/usr/bin", 1, "denied"),
        (&["--frobnicate"], "/usr/bin", 2, "denied"),
        (&["--no-preserve-root", "f"], "/usr/bin", 1, "denied"),
        (&["f"], "/no/such/place", 127, "error"),
        (&["f"], "", 126, "error"),
    ];
    for (words, path, code, decision) in refusals {
        let fakes = scene.path("fakes").display().to_string();
        let path = if path.is_empty() { &fakes } else { path };
        let mut command = scene.command("safe-rm");
        let ran = Ran::of(command.args(words).env("PVM_JSON", "1").env("PATH", path));
        let refusal: Value = serde_json::from_str(&ran.exited(code).stderr_text()).unwrap();
        assert_eq!(refusal["decision"], decision, "{words:?}");
        assert!(
            refusal["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
    }
    for value in ["0", "", "true", "yes"] {
        let mut command = scene.command("safe-rm");
        Ran::of(
            command
                .arg("f")
                .env("PVM_JSON", value)
                .env("PATH", "/usr/bin"),
        )
        .denied();
    }
}

#[test]
fn arg_25_a_hostile_directory_and_path_are_shown_escaped_and_recorded_whole() {
    let scene = Scene::new();
    for name in NAMES {
        let plain = |byte: &u8| if b"/:".contains(byte) { b'_' } else { *byte };
        let place: Vec<u8> = name.iter().map(plain).collect();
        let place = scene.work(OsStr::from_bytes(&place));
        fs::create_dir_all(&place).unwrap();
        let refused = Ran::of(scene.command("safe-rm").arg("f").current_dir(&place));
        assert_harmless(&refused.denied().stderr);
        assert_eq!(
            scene.last_entry()["cwd"],
            whole(place.as_os_str().as_bytes())
        );

        fs::write(place.join("rm"), "#!/bin/sh\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.join("rm"), executable).unwrap();
        let mut command = scene.command("safe-rm");
        let hijacked = Ran::of(command.arg("f").env("PATH", &place));
        hijacked.exited(126);
        assert_harmless(&hijacked.stderr);
        assert_eq!(hijacked.stderr_text().lines().count(), 3, "{hijacked}");
        let found = place.join("rm");
        assert_eq!(
            scene.last_entry()["resolved_path"],
            whole(found.as_os_str().as_bytes())
        );
    }
    assert_harmless(&scene.pvm(["audit"]).succeeded().stdout);
    assert_harmless(&scene.pvm(["status"]).succeeded().stdout);
}

#[test]
fn a_label_that_is_no_name_refuses_the_command() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let long = "x".repeat(65);
    let labels = [
        "a b",
        "a\nb",
        "\u{1b}[2J",
        "\u{202e}",
        "a'b",
        "\u{e9}",
        &long,
        "a\\b",
        "<b>",
    ];
    for variable in ["PVM_AGENT_ID", "AGENT_ID"] {
        for label in labels {
            let mut command = scene.command("safe-rm");
            let ran = Ran::of(command.arg("f").env(variable, label));
            ran.exited(2).says(&format!("{variable} is not a name"));
            assert_harmless(&ran.stderr);
            assert!(scene.work("f").exists());
            let entry = scene.last_entry();
            assert_eq!(
                (&entry["decision"], &entry["agent"]),
                (&"DENIED".into(), &"default".into())
            );
            assert_ne!(entry["pid"], 0);
        }
        let mut command = scene.command("safe-rm");
        let label = OsStr::from_bytes(b"a\xff");
        Ran::of(command.arg("f").env(variable, label)).exited(2);
    }
    let mut command = scene.command("safe-rm");
    Ran::of(command.arg("f").env("PVM_AGENT_ID", &long[1..])).succeeded();
}

#[test]
fn arg_25_a_hostile_reason_is_shown_escaped_and_recorded_whole() {
    let scene = Scene::new();
    let work = scene.work("").display().to_string();
    for name in NAMES {
        let Ok(reason) = std::str::from_utf8(name) else {
            continue;
        };
        let words = [
            "grant", "--scope", &work, "--op", "rm", "--ttl", "1m", "--reason", reason,
        ];
        assert_harmless(&scene.pvm(words).exited(0).stdout);
        assert_eq!(scene.last_entry()["reason"], reason);
        scene.files(["f"]);
        scene.safe_rm(["f"]).succeeded();
    }
    for words in [&["status"][..], &["audit", "--limit", "0"]] {
        assert_harmless(&scene.pvm(words).succeeded().stdout);
    }
    for line in scene.pvm(["audit", "--json"]).stdout_text().lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn arg_25_the_longest_names_are_names_like_any_other() {
    let scene = Scene::new();
    let names = [
        "n".repeat(255),
        "\u{1f4a9}".repeat(63),
        "\n".repeat(255),
        "'".repeat(255),
    ];
    for name in &names {
        scene.files([name.as_str()]);
        scene.safe_rm([name]).denied();
        scene.grant(scene.work(name));
        scene.safe_rm(["-v", name]).succeeded();
        assert!(!scene.work(name).exists());
    }
    scene.assert_trail_intact();
}
