//! An agent that is refused in a loop.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Ran, Running, Scene};

const MANY: &str = "permission denied: too many refusals; ";

fn limited(most: u32) -> Scene {
    let scene = Scene::new();
    scene.configure(&format!("permissions.denials_per_minute = {most}"));
    scene
}

fn refusals_file(scene: &Scene) -> PathBuf {
    scene.path("state/vault.db.refusals")
}

/// Lets the minute end: for all that the numbers say, the machine was started again.
fn end_minute(scene: &Scene) {
    let text = fs::read_to_string(refusals_file(scene)).unwrap();
    let other = text.lines().map(|line| {
        let (kind, rest) = line.split_at(12);
        match rest.strip_prefix('-') {
            Some(_) => format!("{line}\n"),
            None => format!("{kind}{}{}\n", "0".repeat(32), &rest[32..]),
        }
    });
    let other: String = other.collect();
    assert_eq!(other.len(), text.len());
    fs::write(refusals_file(scene), other).unwrap();
}

/// Returns how many refusals have an entry of their own, and the numbers of the other entries.
fn shares(trail: &[Value], kind: &str) -> (usize, Vec<u64>) {
    let refused = trail
        .iter()
        .filter(|entry| entry["event_type"] == kind && entry["decision"] == "DENIED");
    let (sums, own): (Vec<_>, Vec<_>) = refused.partition(|entry| !entry["refusals"].is_null());
    let sums = sums.iter().map(|entry| entry["refusals"].as_u64().unwrap());
    (own.len(), sums.collect())
}

#[test]
fn db_18_a_flood_of_refusals_has_few_entries_and_none_is_lost() {
    let scene = limited(5);
    scene.files(["f"]);
    for number in 0..5 {
        let ran = scene.safe_rm(["f"]);
        ran.denied();
        assert!(!ran.stderr_text().contains(MANY), "{number}: {ran}");
    }
    for _ in 0..20 {
        let ran = scene.safe_rm(["f"]);
        ran.denied()
            .says("hint: no active grant covers ")
            .says("pvm grant --op rm");
        assert!(
            ran.stderr_text().starts_with(&format!("safe-rm: {MANY}")),
            "{ran}"
        );
    }
    let trail = scene.trail();
    assert_eq!(shares(&trail, "GRANT_CHECK"), (5, vec![1, 1, 2, 4, 8]));
    let sum = trail.last().unwrap();
    assert_eq!(
        sum["reason"],
        "8 more refusals were not recorded one by one: too many in one minute"
    );
    assert_eq!(
        (&sum["agent"], &sum["argv"]),
        (&"default".into(), &Value::Null)
    );
    end_minute(&scene);
    scene
        .pvm(["grant", "--op", "rm", "--scope", "/srv/x"])
        .succeeded();
    let trail = scene.trail();
    assert_eq!(shares(&trail, "GRANT_CHECK"), (5, vec![1, 1, 2, 4, 8, 4]));
    assert_eq!(
        trail[trail.len() - 3]["refusals"],
        4,
        "before what comes after it"
    );
    scene.safe_rm(["f"]).denied();
    assert_eq!(shares(&scene.trail(), "GRANT_CHECK").0, 6, "another minute");
    scene.assert_trail_intact();
}

#[test]
fn db_18_a_flood_hides_no_hijack_and_stops_no_allowed_command() {
    let scene = limited(1);
    scene.files(["f", "g"]).grant(scene.work("f"));
    for _ in 0..4 {
        scene.safe_rm(["g"]).denied();
    }
    scene.safe_rm(["f"]).succeeded();
    scene.fake("fake-tool", "rm");
    for _ in 0..3 {
        scene.safe_rm(["g"]).exited(126).says("is not trusted");
    }
    let trail = scene.trail();
    assert_eq!(shares(&trail, "GRANT_CHECK"), (1, vec![1, 1]));
    assert_eq!(shares(&trail, "HIJACK"), (1, vec![1, 1]));
    assert!(trail.iter().any(|entry| entry["decision"] == "SUCCESS"));
}

#[test]
fn db_18_labels_do_not_count_apart_and_wrong_usage_counts_too() {
    let scene = limited(3);
    for agent in ["a", "b", "c", "d", "e"] {
        Ran::of(scene.command("safe-rm").arg("f").env("PVM_AGENT_ID", agent)).denied();
    }
    scene.safe_rm(["--bogus"]).exited(2).says("bogus");
    let trail = scene.trail();
    assert_eq!(shares(&trail, "GRANT_CHECK"), (3, vec![1, 1]));
    assert_eq!(
        trail.last().unwrap()["agent"],
        "e",
        "the last one of those that it stands for"
    );
}

#[test]
fn db_18_a_hundred_at_once_are_all_counted() {
    let scene = limited(10);
    let running: Vec<Running> = (0..100)
        .map(|_| Running::start(scene.command("safe-rm").arg("f")))
        .collect();
    for run in running {
        run.finish().denied();
    }
    end_minute(&scene);
    scene.safe_rm(["f"]).denied();
    let (own, sums) = shares(&scene.trail(), "GRANT_CHECK");
    assert_eq!((own, sums.iter().sum::<u64>()), (11, 90));
}

#[test]
fn db_18_what_cannot_be_counted_has_an_entry_of_its_own() {
    let scene = limited(1);
    scene.safe_rm(["f"]).denied();
    let file = refusals_file(&scene);
    fs::write(&file, vec![0xff; 300]).unwrap();
    scene.safe_rm(["f"]).denied();
    let elsewhere = scene.path("elsewhere");
    fs::write(&elsewhere, "kept").unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    for _ in 0..3 {
        scene.safe_rm(["f"]).denied();
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"kept");
    assert_eq!(shares(&scene.trail(), "GRANT_CHECK"), (5, Vec::new()));
}

#[test]
fn time_02_what_expires_during_a_flood_is_ended_all_the_same() {
    let scene = limited(1);
    scene.files(["f"]);
    let grant = scene.grant(scene.work("f"));
    for _ in 0..3 {
        scene.safe_rm(["g"]).denied();
    }
    scene.edit_vault(
        "UPDATE grants SET issued_at = 1, not_before = 1, expires_at = 2 WHERE id = ?1",
        [&grant],
    );
    scene.safe_rm(["f"]).denied();
    let last = scene.last_entry();
    assert_eq!(
        (&last["event_type"], &last["grant_ids"][0]),
        (&"EXPIRY".into(), &grant.into())
    );
}
