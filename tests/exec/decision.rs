use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::{assert_nothing_ran, exec, grant, grant_below};
use crate::support::{Ran, Scene};

#[test]
fn nothing_runs_without_a_rule_or_a_grant() {
    let scene = Scene::new();
    let before = scene.trail().len();
    let ran = exec(&scene, ["touch", "made"]);
    let work = scene.work("");
    let work = work.to_str().unwrap().trim_end_matches('/');
    ran.denied()
        .says(&format!("no active grant covers this command in {work}"))
        .says(&format!(
            "a person can allow exactly this:  cd {work} && pvm grant -- touch made"
        ))
        .says(&format!("pvm grant --op exec --scope {work} --ttl 30m"));
    assert_nothing_ran(&scene, before, "DENIED");
    let entry = scene.last_entry();
    assert_eq!(entry["argv"], serde_json::json!(["touch", "made"]));
    assert_eq!(entry["resolved_path"], "/usr/bin/touch");
}

/// Runs the line that a refusal offers, as a person would who pastes it into a shell elsewhere.
fn paste(scene: &Scene, ran: &Ran) -> Ran {
    let text = ran.stderr_text();
    let line = text
        .lines()
        .find_map(|line| line.split_once("exactly this:  "))
        .unwrap()
        .1;
    let mut shell = Command::new("/bin/bash");
    shell
        .args(["-c", line])
        .env_clear()
        .env("PATH", scene.search_path())
        .current_dir("/");
    Ran::of(&mut shell)
}

#[test]
fn the_line_that_a_refusal_offers_permits_exactly_that_command() {
    let odd: [&[&[u8]]; 5] = [
        &[b"touch", b"made"],
        &[b"printf", b"%s\\n", b"a b", b"", b"it's", b"$(id)"],
        &[b"printf", b"%s", b"a\nb\x1b[2K", b"\xff\xfe"],
        &[b"printf", b"%s", b"--", b"-n", b"--scope"],
        &[b"/usr/bin/printf", b"%s", b"x"],
    ];
    for words in odd {
        let scene = Scene::new();
        let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
        let refused = exec(&scene, &words);
        refused.denied();
        let pasted = paste(&scene, &refused);
        pasted.succeeded();
        assert!(
            pasted.stdout_text().contains("exec of one command in"),
            "{pasted}"
        );
        let ran = exec(&scene, &words);
        ran.succeeded();
        let plain = Command::new(words[0])
            .args(&words[1..])
            .current_dir(scene.work(""))
            .output();
        assert_eq!(ran.stdout, plain.unwrap().stdout);
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["decision"], &entry["confinement"]),
            (&"SUCCESS".into(), &"none".into())
        );
    }
}

#[test]
fn v_d10_and_s_d8_a_grant_for_one_command_is_for_no_other() {
    let scene = Scene::new();
    scene.files(["d/x"]);
    grant(&scene, ["touch", "a b"]);
    for words in [
        &["touch", "a", "b"][..],
        &["touch", "a b", "made"],
        &["/usr/bin/touch", "a b"],
        &["touch"],
    ] {
        let before = scene.trail().len();
        exec(&scene, words)
            .denied()
            .says("covers this directory, for another command");
        assert_nothing_ran(&scene, before, "DENIED");
    }
    let mut elsewhere = scene.command("pvm");
    elsewhere
        .args(["exec", "--", "touch", "a b"])
        .current_dir(scene.work("d"));
    Ran::of(&mut elsewhere).denied();
    assert!(!scene.work("d/a b").exists());
    exec(&scene, ["touch", "a b"]).succeeded();
    assert!(scene.work("a b").exists());
}

#[test]
fn p_d14_a_grant_for_once_is_for_once() {
    let scene = Scene::new();
    let mut command = scene.command("pvm");
    Ran::of(command.args(["grant", "--uses", "1", "--", "mkdir", "made"])).succeeded();
    exec(&scene, ["mkdir", "made"]).succeeded();
    fs::remove_dir(scene.work("made")).unwrap();
    exec(&scene, ["mkdir", "made"])
        .denied()
        .says("has no use left");
    assert!(!scene.work("made").exists());
}

#[test]
fn p_d13_a_grant_for_removal_runs_no_command() {
    let scene = Scene::new();
    grant_below(&scene, "rm,trash", &scene.work(""));
    let before = scene.trail().len();
    exec(&scene, ["touch", "made"])
        .denied()
        .says("for another operation");
    assert_nothing_ran(&scene, before, "DENIED");
    grant(&scene, ["touch", "made"]);
    scene.files(["f"]);
    scene
        .pvm(["revoke", "--scope", scene.work("").to_str().unwrap()])
        .succeeded();
    grant(&scene, ["touch", "made"]);
    scene.safe_rm(["f"]).denied();
}

#[test]
fn what_has_a_wrapper_of_its_own_does_not_run() {
    let scene = Scene::new();
    scene.files(["f"]);
    for (words, hint) in [
        (["rm", "f"], "safe-rm ..."),
        (["/bin/rm", "f"], "safe-rm ..."),
        (["safe-rm", "f"], "safe-rm ..."),
        (["git", "push"], "safe-git-push ..."),
        (["trash-put", "f"], "safe-trash ..."),
        (["pvm", "status"], "pvm runs by itself"),
    ] {
        let before = scene.trail().len();
        exec(&scene, words)
            .denied()
            .says("has a wrapper of its own")
            .says(hint);
        assert_nothing_ran(&scene, before, "DENIED");
        Ran::of(scene.command("pvm").args(["grant", "--"]).args(words)).exited(1);
    }
    let own = scene.path("bin/pvm");
    exec(&scene, [own.as_os_str(), OsStr::new("status")]).denied();
    assert!(scene.work("f").exists());
}

#[test]
fn the_command_stands_behind_two_dashes_and_nothing_widens() {
    let scene = Scene::new();
    for words in [
        &["exec"][..],
        &["exec", "--"],
        &["exec", "touch", "made"],
        &["exec", "--scope", "/tmp", "--", "touch", "made"],
        &["exec", "--json", "--", "touch", "made"],
        &["exec", "-x"],
    ] {
        scene.pvm(words).exited(2);
    }
    exec(&scene, [""]).exited(2);
    assert!(!scene.work("made").exists());
}

#[test]
fn without_a_vault_nothing_runs() {
    let scene = Scene::bare();
    exec(&scene, ["touch", "made"]).exited(125).says("pvm init");
    assert!(!scene.work("made").exists());
}

#[test]
fn exit_statuses_are_the_commands_or_say_why_it_did_not_run() {
    let scene = Scene::new();
    scene.files(["plain"]);
    grant(&scene, ["sh", "-c", "exit 77"]);
    exec(&scene, ["sh", "-c", "exit 77"]).exited(77);
    for (word, status) in [
        ("no-such-program", 127),
        ("./no-such", 127),
        ("./plain", 126),
        ("/usr/bin", 126),
        ("./plain/x", 126),
    ] {
        let before = scene.trail().len();
        exec(&scene, [word]).exited(status);
        assert_nothing_ran(&scene, before, "DENIED");
    }
}

#[test]
fn no_grant_is_for_the_root_directory() {
    let scene = Scene::new();
    let run = |words: &[&str]| {
        let mut command = scene.command("pvm");
        Ran::of(command.args(words).current_dir("/"))
    };
    run(&["exec", "--", "true"])
        .denied()
        .says("change to another one first");
    run(&["grant", "--", "true"]).exited(2);
}

#[test]
fn a_grant_for_a_command_is_for_exec_alone_and_says_what_it_is() {
    let scene = Scene::new();
    for words in [
        &["grant", "--op", "rm", "--", "true"][..],
        &["grant", "--op", "exec,rm", "--", "true"],
        &["grant", "--scope", "/tmp/x", "--", "true"],
        &["grant"],
    ] {
        scene.pvm(words).exited(2);
    }
    let ran = scene.pvm(["grant", "--", "bash", "-c", "echo $HOME"]);
    let text = ran.succeeded().stdout_text();
    for part in [
        "command:  bash -c 'echo $HOME'",
        "program:  /usr/bin/bash, trusted",
        "bash is a shell: it runs the text behind -c, which no rule looks into",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let grant = scene
        .pvm(["grant", "--json", "--", "env", "A=b", "true"])
        .succeeded()
        .json();
    assert_eq!(grant["one_command"], true);
    assert_eq!(grant["ops"], serde_json::json!(["exec"]));
    assert_eq!(grant["command"]["program"], "/usr/bin/env");
    assert_eq!(grant["command"]["verdict"], "trusted");
    assert_eq!(
        grant["command"]["means"][0],
        "env runs another command: true"
    );
    let status = scene.pvm(["status"]).succeeded().stdout_text();
    assert!(status.contains("exec (one command)"), "{status}");
    let entry = scene.last_entry();
    assert_eq!(entry["argv"], serde_json::json!(["env", "A=b", "true"]));
    assert_eq!(entry["resolved_path"], "/usr/bin/env");
}

#[test]
fn brk_15_a_refusal_calls_interpreters_what_they_are() {
    let scene = Scene::new();
    scene.files(["x.sh"]);
    let text = exec(&scene, ["sh", "x.sh"]).denied().stderr_text();
    assert!(
        text.contains("sh is a shell: it runs x.sh, which can be changed after"),
        "{text}"
    );
    let text = exec(&scene, ["env", "curl"]).denied().stderr_text();
    assert!(text.contains("env runs another command: curl"), "{text}");
    assert!(!Path::new("/usr/bin/curl-was-here").exists());
}

#[test]
fn a_refusal_as_json_is_one_object() {
    let scene = Scene::new();
    let mut command = scene.command("pvm");
    let ran = Ran::of(
        command
            .env("PVM_JSON", "1")
            .args(["exec", "--", "touch", "made"]),
    );
    let object: serde_json::Value = serde_json::from_slice(&ran.exited(1).stderr).unwrap();
    assert_eq!(object["decision"], "denied");
    assert!(
        object["hint"]
            .as_str()
            .unwrap()
            .contains("pvm grant -- touch made")
    );
}

#[test]
fn arg_25_no_name_becomes_a_command_in_a_line_to_paste() {
    let scene = Scene::new();
    let ran = exec(&scene, ["x; touch made"]);
    ran.exited(127).says("pvm resolve -- 'x; touch made'");
    let ran = exec(
        &scene,
        ["printf", "$(touch made)", "`touch made`", "a\x1b[2Kb"],
    );
    assert!(!ran.denied().stderr_text().contains('\x1b'));
    paste(&scene, &ran).succeeded();
    assert!(!scene.work("made").exists());
}
