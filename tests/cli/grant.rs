use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::support::{Ran, Scene, Terminal};

/// A scene in which grants are given from a terminal only.
fn attended() -> Scene {
    let scene = Scene::new();
    scene.configure_as(&format!("vault.path = \"{}\"\n", scene.vault().display()));
    scene
}

fn live(scene: &Scene) -> usize {
    let status = scene.pvm(["status", "--json"]).succeeded().json();
    status["grants"].as_array().unwrap().len()
}

/// A program that starts another one, with its own options, then the grant.
fn started_by(scene: &Scene, program: &str, options: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(options)
        .arg(scene.path("bin/pvm"))
        .args(["grant", "--scope", "/tmp/x"]);
    command
        .env_clear()
        .env("PATH", scene.search_path())
        .current_dir(scene.work(""));
    command
}

const MARKERS: [&str; 18] = [
    "PVM_AGENT_ID",
    "AGENT_ID",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CODEX_SANDBOX",
    "CODEX_HOME",
    "GEMINI_CLI",
    "CURSOR_AGENT",
    "COPILOT_AGENT",
    "OPENCODE",
    "AIDER_AGENT",
    "CLINE_ACTIVE",
    "ROO_ACTIVE",
    "AMP_AGENT",
    "GOOSE_TERMINAL",
    "QWEN_CODE",
    "KIMI_CLI",
    "AI_AGENT",
];

#[test]
fn every_marker_of_an_agent_is_seen_and_named() {
    let scene = attended();
    for marker in MARKERS {
        for value in ["1", ""] {
            let mut command = scene.command("pvm");
            let ran = Ran::of(
                command
                    .args(["grant", "--scope", "/tmp/x"])
                    .env(marker, value),
            );
            ran.denied().says(&format!(
                "only a person may give a grant, and {marker} in the env"
            ));
            ran.says("hint: run it yourself, in a terminal of your own");
            ran.says("approver.unattended = true in pvm.toml");
        }
    }
    assert_eq!(live(&scene), 0);
}

#[test]
fn a_marker_counts_on_a_terminal_too() {
    let scene = attended();
    let line = format!("{} grant --scope /tmp/x", scene.path("bin/pvm").display());
    let (status, shown) = Terminal::start(&scene, &line, [("GEMINI_CLI", "1")]).ends();
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("GEMINI_CLI"), "{shown}");
    assert_eq!(live(&scene), 0);
}

#[test]
fn a_sandbox_and_the_lack_of_a_terminal_are_seen_and_named() {
    let scene = attended();
    let ran = Ran::of(&mut started_by(
        &scene,
        "/usr/bin/setpriv",
        &["--no-new-privs"],
    ));
    ran.denied()
        .says("this process is in a sandbox (no_new_privs is set)");
    let ran = Ran::of(&mut started_by(&scene, "/usr/bin/setsid", &["-w"]));
    ran.denied().says("there is no controlling terminal");
    assert_eq!(live(&scene), 0);
}

#[test]
fn a_person_at_a_terminal_gives_a_grant() {
    let scene = attended();
    let line = format!(
        "{} grant --scope /tmp/x --ttl 10m",
        scene.path("bin/pvm").display()
    );
    let (status, shown) = Terminal::start(&scene, &line, []).ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(
        shown.contains("rm,trash on /tmp/x for any agent, ends in 10m"),
        "{shown}"
    );
    assert_eq!(live(&scene), 1);
}

#[test]
fn unattended_lifts_every_sign() {
    let scene = Scene::new();
    for marker in MARKERS {
        let mut command = scene.command("pvm");
        Ran::of(
            command
                .args(["grant", "--scope", "/tmp/x"])
                .env(marker, "1"),
        )
        .succeeded();
    }
    Ran::of(&mut started_by(
        &scene,
        "/usr/bin/setpriv",
        &["--no-new-privs"],
    ))
    .succeeded();
    Ran::of(&mut started_by(&scene, "/usr/bin/setsid", &["-w"])).succeeded();
    assert_eq!(live(&scene), MARKERS.len() + 2);
}

#[test]
fn what_may_be_asked_of_agents_stays_open_to_them() {
    let scene = attended();
    for words in [
        &["status"][..],
        &["check", "--scope", "/tmp/x"],
        &["revoke", "--all"],
    ] {
        let ran = Ran::of(scene.command("pvm").args(words).env("CLAUDECODE", "1"));
        assert_eq!(ran.stderr, b"", "{ran}");
    }
}

/// Asserts that a grant was refused as wrong usage, before anything was made or recorded.
#[track_caller]
fn wrong(scene: &Scene, words: &[&str], text: &str) {
    let before = scene.trail().len();
    let ran = scene.pvm([&["grant"], words].concat());
    ran.exited(2).says(text);
    assert_eq!(ran.stdout, b"", "{ran}");
    assert_eq!(live(scene), 0, "{words:?}");
    assert_eq!(scene.trail().len(), before, "{words:?}");
}

#[test]
fn p_d9_a_scope_that_is_empty_relative_or_everything_is_wrong() {
    let scene = Scene::new();
    scene.files(["file"]);
    let file = format!("{}/", scene.work("file").display());
    for (scope, text) in [
        ("", "is empty"),
        ("work", "not an absolute path"),
        ("./x", "write it from the root: --scope /..."),
        ("~/x", "not an absolute path"),
        ("/", "root of the file system"),
        ("///", "root of the file system"),
        ("/tmp/..", "'.' or '..'"),
        ("/tmp/../..", "'.' or '..'"),
        ("/.", "root of the file system"),
        ("/proc/self", "file system of the kernel"),
        ("/sys/kernel/debug", "file system of the kernel"),
        ("/dev/null", "of devices"),
        (file.as_str(), "it is not a directory"),
    ] {
        wrong(&scene, &["--scope", scope], text);
    }
    wrong(&scene, &[], "--scope <SCOPE>");
}

#[test]
fn a_link_is_no_clear_scope_and_both_meanings_are_offered() {
    let scene = Scene::new();
    scene.files(["real dir/"]);
    symlink("real dir", scene.work("link")).unwrap();
    symlink("nowhere", scene.work("dangling")).unwrap();
    let link = scene.work("link");
    let ran = scene.pvm(["grant", "--scope", link.to_str().unwrap()]);
    ran.exited(2)
        .says("is a symbolic link, which is not a clear scope");
    let target = scene.work("real dir");
    ran.says(&format!(
        "for what it points to:  --scope '{}'",
        target.display()
    ));
    let parent = scene.work("");
    let parent = parent.to_str().unwrap().trim_end_matches('/');
    ran.says(&format!(
        "for the link and its neighbours:  --scope {parent}"
    ));
    let dangling = scene.work("dangling");
    wrong(
        &scene,
        &["--scope", dangling.to_str().unwrap()],
        "is a symbolic link",
    );

    // A link on the way is followed, and the grant says where it led.
    let below = link.join("x");
    let grant = scene.pvm(["grant", "--json", "--scope", below.to_str().unwrap()]);
    assert_eq!(
        grant.succeeded().json()["scope"],
        target.join("x").to_str().unwrap()
    );
}

#[test]
fn time_08_a_duration_is_understood_or_refused() {
    let scene = Scene::new();
    for (ttl, text) in [
        ("0s", "the time to live is zero"),
        ("0m 0s", "zero"),
        ("-5m", "is not a duration"),
        ("", "is not a duration"),
        ("10", "is not a duration"),
        ("ten minutes", "is not a duration"),
        ("1.5s", "whole number of seconds"),
        ("500ms", "whole number of seconds"),
        ("1M", "m is a minute"),
        ("99999999999999999999s", "is not a duration"),
        ("18446744073709551615s", "too long"),
        ("11years", "too long"),
        ("8h 1s", "longer than the longest time to live, 8h"),
        ("3years", "longer than the longest time to live, 8h"),
    ] {
        wrong(
            &scene,
            &["--scope", "/tmp/x", &format!("--ttl={ttl}")],
            text,
        );
    }
    for ttl in ["1s", "8h", "7h 59m 60s", "1.5h"] {
        scene
            .pvm(["grant", "--scope", "/tmp/x", "--ttl", ttl])
            .succeeded();
    }
}

#[test]
fn the_default_and_the_maximum_are_those_of_the_configuration() {
    let scene = Scene::new();
    let span = |scene: &Scene| {
        let grant = scene
            .pvm(["grant", "--json", "--scope", "/tmp/x"])
            .succeeded()
            .json();
        let at = |key: &str| {
            let text = grant[key].as_str().unwrap();
            let format = &time::format_description::well_known::Rfc3339;
            time::OffsetDateTime::parse(text, format).unwrap()
        };
        (at("expires_at") - at("issued_at")).whole_seconds()
    };
    assert_eq!(span(&scene), 30 * 60);
    scene.configure("vault.default_ttl = '5m'\nvault.max_ttl = '10m'");
    assert_eq!(span(&scene), 5 * 60);
    scene
        .pvm(["grant", "--scope", "/tmp/x", "--ttl", "11m"])
        .exited(2)
        .says("10m");
    scene.configure("vault.max_ttl = '10m'");
    assert_eq!(span(&scene), 10 * 60);
}

#[test]
fn the_other_options_are_checked() {
    let scene = Scene::new();
    for (words, text) in [
        (&["--uses", "0"][..], "0 is not in 1.."),
        (&["--uses=-1"], "invalid value '-1'"),
        (&["--uses", "4294967296"], "is not in"),
        (&["--op", "delete"], "unknown operation 'delete'"),
        (&["--op", "RM"], "unknown operation 'RM'"),
        (&["--op", ""], "unknown operation ''"),
        (&["--op", "rm,"], "unknown operation ''"),
        (&["--agent", ""], "an agent's name is 1 to 64 characters"),
        (&["--agent", "a b"], "an agent's name is 1 to 64 characters"),
        (&["--not-before", "tomorrow"], "is not an instant like"),
        (
            &["--not-before", "2026-01-01T00:00:00Z"],
            "the window lies in the past",
        ),
    ] {
        wrong(&scene, &[&["--scope", "/tmp/x"], words].concat(), text);
    }
}

#[test]
fn a_home_directory_needs_a_word_of_its_own() {
    let scene = Scene::new();
    let home = User::from_uid(Uid::effective()).unwrap().unwrap().dir;
    let home = home.to_str().unwrap();
    wrong(&scene, &["--scope", home], "holds a whole home directory");
    let ran = scene.pvm(["grant", "--scope", home]);
    ran.says("say that you mean it:  --broad");
    scene
        .pvm(["grant", "--scope", &format!("{home}/no-such-thing")])
        .succeeded();
    scene.pvm(["grant", "--scope", home, "--broad"]).succeeded();
    assert_eq!(live(&scene), 2);
}

#[test]
fn a_pin_needs_something_to_hold_to() {
    let scene = Scene::new();
    scene.files(["d/"]);
    let missing = scene.work("missing");
    wrong(
        &scene,
        &["--pin", "--scope", missing.to_str().unwrap()],
        "does not exist",
    );
    let there = scene.work("d");
    let ran = scene.pvm([
        "grant",
        "--json",
        "--pin",
        "--scope",
        there.to_str().unwrap(),
    ]);
    assert_eq!(ran.succeeded().json()["pinned"], true);
}

#[test]
fn the_vault_is_made_by_the_first_grant() {
    let scene = Scene::bare();
    scene
        .pvm(["status"])
        .exited(125)
        .says("make one:  pvm init");
    scene.pvm(["grant", "--scope", "/tmp/x"]).succeeded();
    assert!(scene.vault().exists());
    scene.assert_trail_intact();
    fs::remove_file(scene.vault()).unwrap();
    scene
        .safe_rm(["/tmp/x"])
        .exited(125)
        .says("there is no vault");
}
