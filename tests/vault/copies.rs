use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{beside, open, scene};
use crate::support::{Ran, Scene};

fn anchor(scene: &Scene) -> String {
    let head = scene.pvm(["audit", "head"]);
    let path = scene.path("anchors");
    fs::write(&path, head.succeeded().stdout_text()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn db_08_a_revocation_stands_when_the_log_is_taken_away() {
    let scene = scene();
    scene.pvm(["revoke", "--all"]).exited(0);
    fs::remove_file(beside(&scene, "-wal")).unwrap();
    scene.safe_rm(["file"]).denied();
    assert!(scene.work("file").exists());
}

#[test]
fn db_08_entries_that_go_with_the_log_show_against_an_anchor() {
    let scene = scene();
    scene.safe_rm(["file"]).succeeded();
    let anchor = anchor(&scene);
    let log = beside(&scene, "-wal");
    assert_ne!(
        fs::metadata(&log).unwrap().len(),
        0,
        "the last entry is in the log"
    );
    fs::write(log, "").unwrap();
    assert_cut_off(&scene, &anchor);
}

#[track_caller]
fn assert_cut_off(scene: &Scene, anchor: &str) {
    scene.pvm(["audit", "verify"]).exited(0);
    let ran = scene.pvm(["audit", "verify", "--anchor", anchor]);
    ran.exited(2);
    let said = format!("{}{}", ran.stdout_text(), ran.stderr_text());
    assert!(said.contains("the end was cut off"), "{ran}");
}

#[test]
fn db_09_an_older_copy_shows_against_an_anchor() {
    let scene = Scene::new();
    scene.files(["file"]);
    scene.grant_with(scene.work(""), ["--uses", "1"]);
    drop(open(&scene));
    let older = fs::read(scene.vault()).unwrap();
    scene.safe_rm(["file"]).succeeded();
    let anchor = anchor(&scene);
    scene
        .pvm(["audit", "verify", "--anchor", &anchor])
        .exited(0);
    fs::write(scene.vault(), older).unwrap();
    fs::write(beside(&scene, "-wal"), "").unwrap();
    assert_cut_off(&scene, &anchor);
}

#[test]
fn db_21_a_backup_is_a_whole_vault_and_never_overwrites() {
    let scene = scene();
    scene.safe_rm(["file"]).succeeded();
    fs::create_dir(scene.path("copies")).unwrap();
    fs::set_permissions(scene.path("copies"), fs::Permissions::from_mode(0o700)).unwrap();
    let copy = scene.path("copies/vault.db");
    Ran::of(scene.command("pvm").arg("backup").arg(&copy)).exited(0);
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let entries = scene.trail().len();
    let again = Ran::of(scene.command("pvm").arg("backup").arg(&copy));
    assert_ne!(again.code, Some(0), "{again}");

    let text = format!(
        "vault.path = \"{}\"\napprover.unattended = true\n",
        copy.display()
    );
    scene.configure_as(&text);
    scene.assert_trail_intact();
    assert_eq!(scene.trail().len(), entries);
    scene.safe_rm(["other"]).succeeded();
}
