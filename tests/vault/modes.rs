use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{beside, open, refused, scene};
use crate::support::{Launch, Ran, Scene, in_namespace, is_root, tree};

/// Asserts that everything in the vault's directory is for its owner alone.
#[track_caller]
pub(super) fn assert_private(scene: &Scene) {
    let state = scene.path("state");
    let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(state.clone()), 0o700);
    for name in tree(&state) {
        let path = state.join(&name);
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), right, "{}", name.display());
    }
}

#[test]
fn env_28_everything_is_private_whatever_the_umask() {
    for mask in [0, 0o077, 0o177, 0o777] {
        let scene = Scene::bare();
        scene.files(["file", "other"]);
        Ran::of(
            scene
                .command("pvm")
                .args(["init", "--yes"])
                .with_umask(mask),
        )
        .succeeded();
        assert_private(&scene);
        let mut grant = scene.command("pvm");
        grant
            .args(["grant", "--ttl", "10m", "--scope"])
            .arg(scene.work(""));
        Ran::of(grant.with_umask(mask)).succeeded();
        for (file, suffix) in [("file", ".lock"), ("other", "-wal")] {
            drop(open(&scene));
            fs::remove_file(beside(&scene, suffix)).unwrap_or_default();
            Ran::of(scene.command("safe-rm").arg(file).with_umask(mask)).succeeded();
            assert_private(&scene);
        }
        let copy = scene.path("copy.db");
        Ran::of(
            scene
                .command("pvm")
                .arg("backup")
                .arg(&copy)
                .with_umask(mask),
        )
        .exited(0);
        assert_eq!(
            fs::metadata(copy).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }
}

#[test]
fn db_12_a_vault_that_others_can_write_is_refused() {
    for (name, mode, says) in [
        (
            "state/vault.db",
            0o660,
            "can be written by others (mode 0660)",
        ),
        (
            "state/vault.db",
            0o602,
            "can be written by others (mode 0602)",
        ),
        ("state/vault.db", 0o640, "can be read by others (mode 0640)"),
        ("state/vault.db", 0o604, "can be read by others (mode 0604)"),
        ("state", 0o770, "can be written by others (mode 0770)"),
        ("state", 0o703, "can be written by others (mode 0703)"),
        ("", 0o777, "can be written by others (mode 0777)"),
        (
            "state/vault.db-wal",
            0o666,
            "can be written by others (mode 0666)",
        ),
        (
            "state/vault.db.lock",
            0o620,
            "can be written by others (mode 0620)",
        ),
    ] {
        let scene = scene();
        let path = scene.path(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        // The configuration lies below the scene's root as well, and is looked at first.
        let says = format!(
            "{} {says}",
            path.display().to_string().trim_end_matches('/')
        );
        refused(&scene, name, &says);
    }
}

#[test]
fn db_10_and_11_a_vault_that_is_a_link_or_has_two_names_is_refused() {
    for name in ["vault.db", "vault.db-wal", "vault.db.lock"] {
        let linked = scene();
        let path = linked.path("state").join(name);
        fs::rename(&path, linked.path("elsewhere")).unwrap();
        symlink("../elsewhere", &path).unwrap();
        refused(&linked, name, "is not a regular file");

        let named_twice = scene();
        let path = named_twice.path("state").join(name);
        fs::hard_link(path, named_twice.path("second name")).unwrap();
        refused(&named_twice, name, "has 2 hard links");
    }
}

#[test]
fn aud_13_a_vault_that_is_a_directory_or_a_fifo_is_refused() {
    for name in ["vault.db", "vault.db-wal", "vault.db.lock"] {
        for fifo in [false, true] {
            let scene = scene();
            let path = scene.path("state").join(name);
            fs::remove_file(&path).unwrap();
            if fifo {
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            } else {
                fs::create_dir(&path).unwrap();
            }
            let ran = scene.safe_rm(["file"]);
            ran.exited(125).says("is not a regular file");
            assert!(scene.work("file").exists());
        }
    }
}

#[test]
fn db_05_a_vault_that_cannot_be_written_is_refused() {
    if is_root() {
        println!("skipped: a file's mode does not stop root");
        return;
    }
    let scene = scene();
    fs::set_permissions(scene.vault(), Permissions::from_mode(0o400)).unwrap();
    refused(&scene, "a read-only file", "the vault");
}

#[test]
fn db_05_a_vault_on_a_file_system_that_is_read_only_is_refused() {
    let scene = scene();
    let script = "mount --bind \"$STATE\" \"$STATE\" && mount -o remount,bind,ro \"$STATE\" && \
        exec \"$BIN/safe-rm\" file";
    if let Some(ran) = in_namespace(&scene, "a read-only file system", script) {
        ran.exited(125).says("the vault");
        assert!(scene.work("file").exists());
        scene.safe_rm(["file"]).succeeded();
    }
}
