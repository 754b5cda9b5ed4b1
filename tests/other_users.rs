//! What belongs to another user, or can be written by others, is not believed (DB-12, P-D60,
//! S-D13, V-D1). Most of it needs root, to be two users.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{self, Ran, Scene, copy, tree};

const OTHER: u32 = 65534;

/// Makes a command run as the other user.
fn as_other(command: &mut Command) -> &mut Command {
    command.uid(OTHER).gid(OTHER)
}

fn give(path: &Path) {
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
}

fn give_tree(directory: &Path) {
    give(directory);
    for name in tree(directory) {
        give(&directory.join(name));
    }
}

/// A scene with a vault and a file that may be removed.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.files(["file"]);
    scene.grant(scene.work(""));
    scene
}

#[track_caller]
fn refused(scene: &Scene, what: &str, says: &str) {
    for ran in [
        scene.safe_rm(["file"]),
        scene.pvm(["status"]),
        scene.pvm(["audit", "verify"]),
    ] {
        assert_eq!(ran.code, Some(125), "{what}: {ran}");
        assert!(
            ran.stderr_text().contains(says),
            "{what}: no {says:?} in: {ran}"
        );
    }
    assert!(scene.work("file").exists(), "{what}");
}

#[test]
fn db_12_what_belongs_to_another_user_is_refused_by_its_name() {
    if !support::root("giving files to another user") {
        return;
    }
    for name in [
        "state/vault.db",
        "state/vault.db-wal",
        "state/vault.db.lock",
        "state",
        "etc/pvm/pvm.toml",
        "etc/pvm",
        "etc",
    ] {
        let scene = scene();
        let path = scene.path(name);
        give(&path);
        let says = format!("{} belongs to uid {OTHER}, not to uid 0", path.display());
        refused(&scene, name, &says);
    }
}

#[test]
fn p_d60_a_configuration_that_others_can_write_is_refused() {
    for (name, mode) in [
        ("etc/pvm/pvm.toml", 0o620),
        ("etc/pvm/pvm.toml", 0o606),
        ("etc/pvm", 0o775),
        ("etc/pvm", 0o757),
        ("etc", 0o777),
    ] {
        let scene = scene();
        let path = scene.path(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let says = format!(
            "{} can be written by others (mode {mode:04o})",
            path.display()
        );
        refused(&scene, name, &says);
    }
}

/// A directory like `/tmp`, where the sticky bit keeps what one user owns from the others.
#[test]
fn a_shared_directory_with_the_sticky_bit_is_believed() {
    let scene = scene();
    fs::set_permissions(scene.path("etc"), Permissions::from_mode(0o1777)).unwrap();
    scene.safe_rm(["file"]).succeeded();
}

#[test]
fn another_user_cannot_use_this_users_vault() {
    if !support::root("being another user") {
        return;
    }
    let scene = scene();
    fs::set_permissions(scene.work(""), Permissions::from_mode(0o777)).unwrap();
    // The configuration can be read by all, as one of the whole machine is.
    fs::set_permissions(scene.configuration(), Permissions::from_mode(0o644)).unwrap();
    for mode in [0o700, 0o755] {
        fs::set_permissions(scene.path("state"), Permissions::from_mode(mode)).unwrap();
        let before = fs::read(scene.vault()).unwrap();
        for command in [
            scene.command("safe-rm").arg("file"),
            scene.command("pvm").args(["revoke", "--all"]),
            scene
                .command("pvm")
                .args(["grant", "--ttl", "1m", "--scope", "/tmp/x"]),
        ] {
            let ran = Ran::of(as_other(command));
            assert_eq!(ran.code, Some(125), "{ran}");
        }
        assert!(scene.work("file").exists());
        assert_eq!(fs::read(scene.vault()).unwrap(), before);
    }
    fs::set_permissions(scene.path("state"), Permissions::from_mode(0o700)).unwrap();
    scene.safe_rm(["file"]).succeeded();
}

/// A vault that somebody copied over: its grants were given for another uid.
#[test]
fn a_grant_is_for_the_uid_it_was_given_for() {
    if !support::root("being another user") {
        return;
    }
    let scene = scene();
    fs::set_permissions(scene.work(""), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(scene.configuration(), Permissions::from_mode(0o644)).unwrap();
    give_tree(&scene.path("state"));
    let ran = Ran::of(as_other(scene.command("safe-rm").arg("file")));
    ran.denied().says("covers it, for another agent");
    assert!(scene.work("file").exists());
}

#[test]
fn v_d1_a_program_of_another_user_on_the_path_is_a_hijack() {
    if !support::root("giving files to another user") {
        return;
    }
    for (given, says) in [("directory", "directory"), ("directory/rm", "rm")] {
        let scene = scene();
        // Nobody but root can write above it; /tmp would be the reason otherwise.
        let above = tempfile::tempdir_in("/run").unwrap();
        let directory = above.path().join("directory");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        copy(Path::new("/usr/bin/rm"), &directory.join("rm"));
        give(&above.path().join(given));
        let mut path = directory.into_os_string();
        path.push(":/usr/bin:/bin");
        let ran = Ran::of(scene.command("safe-rm").arg("file").env("PATH", path));
        ran.exited(126)
            .says("the rm that PATH gives is not trusted");
        ran.says(&format!("{says} belongs to uid {OTHER}"))
            .says("a trusted search gives /usr/bin/rm");
        assert!(scene.work("file").exists());
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["event_type"], &entry["decision"]),
            (&"HIJACK".into(), &"DENIED".into())
        );
        assert_eq!(entry["instead"], "/usr/bin/rm");
    }
}

#[test]
fn another_user_has_an_installation_of_its_own() {
    if !support::root("being another user") {
        return;
    }
    let scene = Scene::bare();
    scene.files(["file", "kept"]);
    for directory in ["etc", "work"] {
        give_tree(&scene.path(directory));
    }
    give(&scene.path(""));
    let run = |name: &str, args: &[&str]| Ran::of(as_other(scene.command(name).args(args)));
    run("pvm", &["init", "--yes"]).succeeded();
    run("safe-rm", &["file"]).denied();
    let file = scene.work("file");
    run(
        "pvm",
        &["grant", "--ttl", "10m", "--scope", file.to_str().unwrap()],
    )
    .succeeded();
    run("safe-rm", &["kept"]).denied();
    run("safe-rm", &["file"]).succeeded();
    assert!(!file.exists() && scene.work("kept").exists());
    run("pvm", &["audit", "verify"]).exited(0);
    let entries = run("pvm", &["audit", "--json"]).stdout_text();
    assert!(
        entries.lines().all(|line| line.contains("\"uid\":65534")),
        "{entries}"
    );
}
