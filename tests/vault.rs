//! A vault that is missing, damaged, open to others, full, or not the one that pvm made
//! (DB-01 to DB-22; DB-02 and DB-03 are in `concurrency`, the faults of single system calls in
//! `crash`).

mod contents;
mod copies;
mod damage;
mod modes;
mod space;

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::support::{Ran, Scene};

/// A scene with a file that may be removed, and a few entries.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.files(["file", "other"]);
    scene.grant(scene.work(""));
    scene
}

/// Asserts that pvm refuses to work with the vault as it is: the wrapper says so and removes
/// nothing, and no subcommand takes it for a vault or makes another one of it.
#[track_caller]
fn refused(scene: &Scene, what: &str, says: &str) {
    let before = fs::read(scene.vault()).ok();
    let ran = scene.safe_rm(["file"]);
    let says_so = |ran: &Ran| {
        assert_eq!(
            (ran.code, ran.stdout.len()),
            (Some(125), 0),
            "{what}: {ran}"
        );
        assert!(
            ran.stderr_text().contains(says),
            "{what}: no {says:?} in: {ran}"
        );
        assert!(!ran.stderr_text().contains("panicked"), "{what}: {ran}");
    };
    says_so(&ran);
    assert!(scene.work("file").exists(), "{what}");
    for verb in [&["status"][..], &["revoke", "--all"], &["audit", "verify"]] {
        says_so(&scene.pvm(verb));
    }
    assert_eq!(
        fs::read(scene.vault()).ok(),
        before,
        "{what}: the vault was changed"
    );
}

/// Opens the vault as any program can, with everything in it that pvm wrote.
fn open(scene: &Scene) -> Connection {
    Connection::open(scene.vault()).unwrap()
}

fn beside(scene: &Scene, suffix: &str) -> PathBuf {
    let mut path = scene.vault().into_os_string();
    path.push(suffix);
    path.into()
}

#[test]
fn db_01_a_missing_vault_is_refused_and_not_made() {
    for missing in ["vault.db", ""] {
        let scene = scene();
        let path = scene.path("state").join(missing);
        if missing.is_empty() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        refused(&scene, "a missing vault", "there is no vault at");
        scene.safe_rm(["file"]).says("pvm init");
        assert!(!scene.vault().exists());
    }
}

#[test]
fn what_stands_beside_the_vault_is_made_again_and_private() {
    for suffix in ["-wal", ".lock", ".canary"] {
        let scene = scene();
        // All is in the vault itself, so that the log can be spared.
        drop(open(&scene));
        let path = beside(&scene, suffix);
        fs::remove_file(&path).unwrap_or_default();
        scene.safe_rm(["file"]).succeeded();
        modes::assert_private(&scene);
        assert!(path.exists(), "{suffix}");
        scene.assert_trail_intact();
    }
}
