use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::pages::append;
use super::{eventful, remove_as};
use crate::support::Scene;

fn summary<const N: usize>(scene: &Scene, words: [&str; N]) -> Value {
    let ran = scene.pvm(["audit", "summary", "--json"].into_iter().chain(words));
    ran.succeeded().json()
}

fn count(list: &Value) -> u64 {
    let rows = list.as_array().unwrap();
    rows.iter()
        .map(|row| row["entries"].as_u64().unwrap())
        .sum()
}

#[test]
fn a_summary_counts_what_the_trail_has() {
    let scene = eventful();
    let trail = scene.trail();
    let found = summary(&scene, []);
    let entries = u64::try_from(trail.len()).unwrap();
    assert_eq!(found["entries"], entries);
    assert_eq!(
        (count(&found["agents"]), count(&found["times"])),
        (entries, entries)
    );
    let about = trail.iter().filter(|entry| {
        let ran = entry["event_type"] == "EXECUTION" && entry["decision"] == "SUCCESS";
        ran || (entry["decision"] == "DENIED" && !entry["scopes"].is_null())
    });
    let scopes: BTreeSet<String> = about
        .flat_map(|entry| entry["scopes"].as_array().unwrap())
        .map(Value::to_string)
        .collect();
    assert!(scopes.len() > 100);
    assert_eq!(found["more_scopes"], scopes.len() - 10);
    assert_eq!(found["malformed"], 0);

    let mut decisions: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in &trail {
        *decisions
            .entry(entry["decision"].as_str().unwrap())
            .or_default() += 1;
    }
    assert_eq!(
        found["decisions"],
        serde_json::to_value(&decisions).unwrap()
    );
    let agents = found["agents"].as_array().unwrap();
    let claude = agents.iter().find(|row| row["agent"] == "claude").unwrap();
    assert_eq!(
        (&claude["allowed"], &claude["refused"]),
        (&2.into(), &0.into())
    );
    let codex = agents.iter().find(|row| row["agent"] == "codex").unwrap();
    assert_eq!(
        (&codex["allowed"], &codex["refused"]),
        (&0.into(), &5.into())
    );
}

#[test]
fn a_summary_of_a_part_of_the_trail_counts_that_part() {
    let scene = eventful();
    assert_eq!(summary(&scene, ["--day"]), summary(&scene, []));
    assert_eq!(summary(&scene, ["--week"]), summary(&scene, []));
    assert_eq!(
        summary(&scene, ["--agent", "claude", "--op", "rm"])["agents"][0]["allowed"],
        2
    );
    assert_eq!(summary(&scene, ["--until", "2026-01-01"])["entries"], 0);
    scene.edit_vault("UPDATE audit SET at = at - 2 * 86400000 WHERE seq = 1", []);
    let day = summary(&scene, ["--day"])["entries"].as_u64().unwrap();
    let week = summary(&scene, ["--week"])["entries"].as_u64().unwrap();
    assert_eq!(week, day + 1);
    for words in [
        ["--day", "--week"],
        ["--day", "--since=1h"],
        ["--week", "--since=1h"],
    ] {
        scene
            .pvm(["audit", "summary"].iter().chain(&words))
            .exited(2);
    }
}

#[test]
fn the_scopes_that_most_commands_were_about_come_first() {
    let scene = Scene::new();
    scene.configure("permissions.denials_per_minute = 1000");
    for (name, times) in [("often", 5), ("rarely", 1), ("now and then", 3)] {
        for _ in 0..times {
            scene.safe_rm([name, name]).denied();
        }
    }
    let found = summary(&scene, []);
    let rows = found["scopes"].as_array().unwrap();
    let rows: Vec<(&str, u64)> = rows
        .iter()
        .map(|row| {
            let scope = row["scope"].as_str().unwrap();
            let name = scope.rsplit('/').next().unwrap();
            (name, row["commands"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(rows, [("often", 5), ("now and then", 3), ("rarely", 1)]);
}

#[test]
fn refusals_that_were_only_counted_are_in_the_summary() {
    let scene = Scene::new();
    scene.configure("permissions.denials_per_minute = 2");
    for _ in 0..6 {
        scene.safe_rm(["f"]).denied();
    }
    let found = summary(&scene, []);
    assert_eq!(
        (&found["counted_refusals"], &found["agents"][0]["refused"]),
        (&4.into(), &6.into())
    );
    let text = scene.pvm(["audit", "summary"]).succeeded().stdout_text();
    assert!(
        text.contains("; 4 refusals without an entry of their own\n"),
        "{text}"
    );
}

#[test]
fn people_read_bars_that_keep_within_a_pipe_and_escaped_names() {
    let scene = eventful();
    remove_as(
        &scene,
        "codex",
        &[std::ffi::OsStr::from_bytes(b"a\n\x1b[31m\xff")],
    );
    let text = scene.pvm(["audit", "summary"]).succeeded().stdout_text();
    for part in ["\nDECISION ", "\nAGENT ", "\nCOMMANDS ", " ####"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    for line in text.lines().filter(|line| !line.contains('/')) {
        assert!(line.len() <= 80, "{line:?}");
    }
    let nothing = scene.pvm(["audit", "summary", "--until", "2026-01-01"]);
    assert_eq!(nothing.succeeded().stdout_text(), "no such entry\n");
}

#[test]
fn aud_16_a_summary_of_a_trail_that_pvm_never_wrote_ends() {
    let scene = Scene::new();
    append(&scene, 2500);
    scene.edit_vault("UPDATE audit SET kind = 'NEVER' WHERE seq = 2", []);
    scene.edit_vault(
        "UPDATE audit SET at = 9223372036854775807 WHERE seq = 3",
        [],
    );
    scene.edit_vault(
        "UPDATE audit SET at = -9223372036854775808 WHERE seq = 4",
        [],
    );
    scene.edit_vault("UPDATE audit SET at = -1 WHERE seq = 5", []);
    scene.edit_vault("UPDATE audit SET agent = char(27) || 'x' WHERE seq = 6", []);
    let found = summary(&scene, []);
    assert_eq!(
        (&found["entries"], &found["malformed"]),
        (&2501.into(), &1.into())
    );
    let text = scene.pvm(["audit", "summary"]).succeeded().stdout_text();
    assert!(
        text.contains("1 entry cannot be read:  pvm audit verify"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}
