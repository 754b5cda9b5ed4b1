//! What a grant permits: to whom, how often, for what, and until when it is taken back.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::support::{Ran, Running, Scene, tree};

#[test]
fn p_d12_a_grant_is_for_its_agent_and_without_a_name_for_any() {
    let scene = Scene::new();
    scene.files(["named/f", "any/f"]).grant(scene.work("any"));
    scene.grant_with(scene.work("named"), ["--agent", "claude"]);
    let run = |label: Option<&str>, variable: &str, word: &str| {
        scene.files(["named/f", "any/f"]);
        let mut command = scene.command("safe-rm");
        if let Some(label) = label {
            command.env(variable, label);
        }
        Ran::of(command.arg(word))
    };
    for label in [
        None,
        Some("other"),
        Some(""),
        Some("claude2"),
        Some("Claude"),
        Some("claud"),
    ] {
        run(label, "PVM_AGENT_ID", "named/f")
            .denied()
            .says("covers it, for another agent");
        run(label, "PVM_AGENT_ID", "any/f").succeeded();
        let name = label.filter(|label| !label.is_empty()).unwrap_or("default");
        assert_eq!(scene.last_entry()["agent"], name);
    }
    for variable in ["PVM_AGENT_ID", "AGENT_ID"] {
        run(Some("claude"), variable, "named/f").succeeded();
        assert_eq!(scene.last_entry()["agent"], "claude");
    }
    let mut command = scene.command("safe-rm");
    command
        .env("AGENT_ID", "claude")
        .env("PVM_AGENT_ID", "other")
        .arg("named/f");
    scene.files(["named/f"]);
    Ran::of(&mut command).denied();
}

#[test]
fn uses_are_counted_down_by_commands_that_run_and_by_nothing_else() {
    let scene = Scene::new();
    let grant = scene.grant_with(scene.work(""), ["--uses", "3"]);
    for left in [2, 1, 0] {
        scene.files(["a", "b"]);
        scene.safe_rm(["--frobnicate", "a"]).exited(2);
        scene.safe_rm(["a", "../a"]).denied();
        scene.safe_rm(["a/"]).denied();
        scene.safe_rm(["--help"]).exited(0);
        scene
            .pvm(["check", "--scope", scene.work("a").to_str().unwrap()])
            .succeeded();
        assert_eq!(scene.uses_left(&grant), Some(left + 1));
        scene.safe_rm(["a", "b"]).succeeded();
        assert_eq!(
            scene.uses_left(&grant),
            Some(left),
            "one command is one use"
        );
        assert_eq!(scene.last_entry()["grant_ids"][0], grant);
    }
    scene.files(["a"]);
    scene
        .safe_rm(["a"])
        .denied()
        .says("covered it and has no use left");
    assert!(scene.work("a").exists());
    assert_eq!(scene.uses_left(&grant), Some(0));
    scene
        .pvm(["grant", "--scope", "/tmp/x", "--ttl", "1m", "--uses", "0"])
        .exited(2);
}

#[test]
fn a_failed_removal_costs_its_use() {
    let scene = Scene::new();
    let grant = scene.grant_with(scene.work(""), ["--uses", "2"]);
    scene.safe_rm(["missing"]).exited(1);
    assert_eq!(scene.uses_left(&grant), Some(1), "the command ran");
}

#[test]
fn p_d13_a_grant_is_for_its_operations() {
    let scene = Scene::new();
    scene.files(["f"]);
    let work = scene.work("").display().to_string();
    scene
        .pvm(["grant", "--op", "trash", "--scope", &work, "--ttl", "5m"])
        .exited(0);
    scene
        .safe_rm(["f"])
        .denied()
        .says("covers it, for another operation");
    assert!(scene.work("f").exists());
    scene
        .pvm(["grant", "--op", "trash,rm", "--scope", &work, "--ttl", "5m"])
        .exited(0);
    scene.safe_rm(["f"]).succeeded();
    scene
        .pvm(["grant", "--op", "sudo", "--scope", &work, "--ttl", "5m"])
        .exited(2);
}

#[test]
fn v_d9_a_revocation_holds_for_the_next_command() {
    let scene = Scene::new();
    let work = scene.work("").display().to_string();
    let ways: [fn(&str) -> Vec<String>; 5] = [
        |id| vec![id.to_owned()],
        |id| vec![id[..8].to_owned()],
        |_| vec!["--all".to_owned()],
        |_| vec!["--agent".to_owned(), "claude".to_owned()],
        |_| Vec::new(),
    ];
    for way in ways {
        scene.files(["f"]);
        let grant = scene.grant_with(scene.work(""), ["--agent", "claude"]);
        let mut words = way(&grant);
        if words.is_empty() {
            words = vec!["--scope".to_owned(), work.clone()];
        }
        let run = || {
            Ran::of(
                scene
                    .command("safe-rm")
                    .arg("f")
                    .env("PVM_AGENT_ID", "claude"),
            )
        };
        run().succeeded();
        scene.files(["f"]);
        scene
            .run("pvm", ["revoke".to_owned()].into_iter().chain(words))
            .succeeded();
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["event_type"], &entry["decision"]),
            (&"REVOCATION".into(), &"REVOKED".into())
        );
        assert_eq!(entry["grant_ids"][0], grant);
        run().denied();
        assert!(scene.work("f").exists());
    }
    scene.assert_trail_intact();
}

#[test]
fn grant_ids_are_distinct_and_a_prefix_must_be_clear() {
    let scene = Scene::new();
    let ids: Vec<String> = (0..20).map(|_| scene.grant(scene.work(""))).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    for wrong in ["zzzz", "abc", "", "%", "____", "'; DROP TABLE grants; --"] {
        scene.pvm(["revoke", wrong]).exited(2);
    }
    let scope = scene.work("f").display().to_string();
    scene.pvm(["check", "--scope", &scope]).succeeded();
    for id in &ids {
        scene.pvm(["revoke", id]).succeeded();
    }
    scene.pvm(["check", "--scope", &scope]).exited(1);
}

#[test]
fn path_10_and_27_a_pinned_grant_is_for_the_directory_that_was_there() {
    let swap = |scene: &Scene| {
        fs::rename(scene.work("d"), scene.work("moved")).unwrap();
        scene.files(["d/f"]);
    };
    let scene = Scene::new();
    scene
        .files(["d/f", "d/g"])
        .grant_with(scene.work("d"), ["--pin"]);
    scene.safe_rm(["d/g"]).succeeded();
    swap(&scene);
    for words in [&["-rf", "d"][..], &["d/f"], &["moved/f"]] {
        scene.safe_rm(words).denied();
        assert!(
            scene.work("d/f").exists() && scene.work("moved/f").exists(),
            "{words:?}"
        );
    }
    scene
        .safe_rm(["d/f"])
        .denied()
        .says("the directory it was pinned to was replaced");
    fs::remove_dir_all(scene.work("d")).unwrap();
    fs::rename(scene.work("moved"), scene.work("d")).unwrap();
    scene.safe_rm(["-r", "d"]).succeeded();
    scene.files(["d/f"]);
    scene.safe_rm(["-r", "d"]).denied();

    let plain = Scene::new();
    plain.files(["d/f"]).grant(plain.work("d"));
    swap(&plain);
    plain.safe_rm(["-r", "d"]).succeeded();
    assert!(
        !plain.work("d").exists(),
        "without --pin the name is what was granted"
    );
    let missing = plain.work("missing").display().to_string();
    plain
        .pvm(["grant", "--scope", &missing, "--ttl", "1m", "--pin"])
        .exited(2);
}

#[test]
fn several_grants_together_cover_one_command() {
    let scene = Scene::new();
    scene.files(["a/f", "b/f", "c/f"]);
    let first = scene.grant_with(scene.work("a"), ["--uses", "2"]);
    let second = scene.grant_with(scene.work("b"), ["--uses", "2"]);
    scene.safe_rm(["-r", "a", "b", "c"]).denied();
    scene.safe_rm(["-r", "a", "b"]).succeeded();
    assert_eq!(tree(&scene.work("")).len(), 2);
    let entry = scene.last_entry();
    assert_eq!(entry["grant_ids"].as_array().unwrap().len(), 2);
    assert_eq!(entry["approved_by"].as_array().unwrap().len(), 2);
    assert_eq!(
        (scene.uses_left(&first), scene.uses_left(&second)),
        (Some(1), Some(1))
    );

    let wide = scene.grant(scene.work(""));
    scene.files(["a/f"]);
    scene.safe_rm(["a/f"]).succeeded();
    assert_eq!(
        scene.last_entry()["grant_ids"],
        serde_json::json!([wide]),
        "the one that costs nothing"
    );
    assert_eq!(scene.uses_left(&first), Some(1));
}

#[test]
fn p_d14_a_grant_for_one_use_is_used_once_however_many_ask() {
    let scene = Scene::new();
    let grant = scene.grant_with(scene.work(""), ["--uses", "1"]);
    let names: Vec<String> = (0..8).map(|number| format!("f{number}")).collect();
    for name in &names {
        scene.files([name.as_str()]);
    }
    let running: Vec<Running> = names
        .iter()
        .map(|name| Running::start(scene.command("safe-rm").arg(name)))
        .collect();
    let codes: Vec<_> = running
        .into_iter()
        .map(|running| running.finish().code)
        .collect();
    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    assert_eq!(
        codes.iter().filter(|code| **code == Some(1)).count(),
        7,
        "{codes:?}"
    );
    assert_eq!(tree(&scene.work("")).len(), 7);
    assert_eq!(scene.uses_left(&grant), Some(0));
    scene.assert_trail_intact();
}

#[test]
fn a_question_keeps_nobody_else_waiting() {
    let scene = Scene::new();
    scene.files(["f", "g"]).grant(scene.work("f"));
    scene.grant(scene.work("g"));
    let mut command = scene.command("safe-rm");
    let mut asking = Running::start(command.args(["-i", "f"]).stdin(Stdio::piped()));
    crate::support::until("the question", || scene.last_entry()["by"] == "self");
    scene.safe_rm(["g"]).succeeded();
    scene.pvm(["revoke", "--all"]).succeeded();
    let mut stdin = asking.0.stdin.take().unwrap();
    stdin.write_all(b"n\n").unwrap();
    drop(stdin);
    asking.finish().exited(0);
    assert!(scene.work("f").exists() && !scene.work("g").exists());
    assert_eq!(scene.last_entry()["decision"], "RESULT");
    scene.assert_trail_intact();
}

#[test]
fn v_d9_an_answer_that_comes_after_the_revocation_removes_nothing() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work("f"));
    let mut child = scene
        .command("safe-rm")
        .args(["-i", "f"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut question = [0; 4];
    child
        .stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut question)
        .unwrap();
    assert_eq!(&question, b"rm: ");
    scene.pvm(["revoke", "--all"]).succeeded();
    child.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the grant ended before the answer"), "{said}");
    assert!(scene.work("f").exists());
    assert_eq!(scene.last_entry()["status"], 1);
}

#[test]
fn path_28_no_grant_is_given_for_a_place_of_pvms_own() {
    let scene = Scene::new();
    for own in [
        scene.vault(),
        scene.path("state"),
        scene.configuration(),
        scene.path("bin/pvm"),
    ] {
        let ran = Ran::of(scene.command("pvm").args(["grant", "--scope"]).arg(&own));
        ran.exited(2).says("which no grant reaches");
    }
    let ran = scene.pvm(["status", "--json"]);
    assert_eq!(ran.json()["grants"], serde_json::json!([]));
    scene.grant(scene.path(""));
}
