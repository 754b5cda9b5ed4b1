//! Trails of several pages.

use std::process::Command;

use rusqlite::Connection;

use super::format::{Row, rows, write};
use crate::support::{Ran, Scene};

/// Appends so many entries that fit.
pub(crate) fn append(scene: &Scene, count: i64) {
    let last = rows(scene).pop().unwrap();
    let vault = Connection::open(scene.vault()).unwrap();
    vault.execute_batch("BEGIN").unwrap();
    let mut before = last.hash.clone();
    for step in 1..=count {
        let agent = format!("agent-{step}");
        before = write(
            &vault,
            &before,
            Row {
                seq: last.seq + step,
                agent,
                ..last.clone()
            },
        )
        .hash;
    }
    vault.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_long_trail_is_listed_exported_and_verified_whole() {
    let scene = Scene::new();
    append(&scene, 2500);
    let verified = scene.pvm(["audit", "verify", "--json"]);
    assert_eq!(verified.succeeded().json()["entries"], 2501);
    let numbers: Vec<i64> = scene
        .trail()
        .iter()
        .map(|entry| entry["entry"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=2501).collect::<Vec<_>>());
    let newest = scene
        .pvm(["audit", "--limit", "1200", "--json"])
        .succeeded()
        .stdout_text();
    assert_eq!(newest.lines().count(), 1200);
    assert!(newest.starts_with("{\"entry\":1302,"), "{newest:.80}");
    for (format, lines) in [("jsonl", 2501), ("csv", 2502)] {
        let ran = scene.pvm(["audit", "export", "--format", format]);
        assert_eq!(ran.succeeded().stdout_text().lines().count(), lines);
    }
    let far = scene
        .pvm(["audit", "--agent", "agent-7", "--json"])
        .succeeded()
        .json();
    assert_eq!(far["entry"], 8);
}

#[test]
fn aud_03_a_change_at_the_edge_of_a_page_is_found() {
    let scene = Scene::new();
    append(&scene, 2100);
    for edge in [1000, 1001, 2000, 2001] {
        scene.edit_vault(
            "UPDATE audit SET uptime = uptime + 1 WHERE seq = ?1",
            [edge],
        );
        let verdict = scene.pvm(["audit", "verify", "--json"]).exited(2).json();
        assert_eq!(
            (&verdict["entry"], &verdict["fault"]),
            (&edge.into(), &"broken_link".into())
        );
        scene.edit_vault(
            "UPDATE audit SET uptime = uptime - 1 WHERE seq = ?1",
            [edge],
        );
    }
    scene.assert_trail_intact();
}

#[test]
fn proc_02_a_reader_that_goes_away_is_no_error() {
    let scene = Scene::new();
    append(&scene, 5000);
    for words in [
        "audit --limit 0",
        "audit --limit 0 --json",
        "audit export --format jsonl",
        "audit export --format csv",
    ] {
        let script = format!("pvm {words} | head -n 1; echo ${{PIPESTATUS[0]}}");
        let ran = Ran::of(
            Command::new("/bin/bash")
                .arg("-c")
                .arg(script)
                .env_clear()
                .env("PATH", scene.search_path()),
        );
        let text = ran.succeeded().stdout_text();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with("\n0\n"), "{text}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let scene = Scene::new();
    for words in [
        "audit",
        "audit --json",
        "audit head",
        "audit verify",
        "audit export --format csv",
    ] {
        let script = format!("pvm {words} > /dev/full");
        let ran = Ran::of(
            Command::new("/bin/bash")
                .arg("-c")
                .arg(script)
                .env_clear()
                .env("PATH", scene.search_path()),
        );
        ran.exited(125).says("cannot write the output");
    }
}
