use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::mkfifo;

use crate::support::{Ran, Scene, is_root, root, tree};

/// Makes a chain of directories that is longer than any path may be.
fn dig(at: &Path, levels: usize) {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut directory = open(at, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        let name = "a-directory-with-a-name-of-forty-letters";
        mkdirat(&directory, name, Mode::S_IRWXU).unwrap();
        directory = openat(&directory, name, flags, Mode::empty()).unwrap();
    }
}

#[test]
fn path_23_a_tree_deeper_than_any_path_is_removed() {
    let scene = Scene::new();
    scene.files(["deep/", "f"]).grant(scene.work("deep"));
    dig(&scene.work("deep"), 300);
    scene.safe_rm(["-rf", "deep"]).succeeded();
    assert_eq!(tree(&scene.work("")), [PathBuf::from("f")].into());
}

#[test]
fn path_33_a_partial_failure_is_the_commands_own() {
    let scene = Scene::new();
    scene
        .files(["d/fixed/f", "d/a", "d/z"])
        .grant(scene.work("d"));
    let chattr = |flag: &str| {
        let mut command = Command::new("chattr");
        command.arg(flag).arg(scene.work("d/fixed"));
        is_root() && command.status().is_ok_and(|status| status.success())
    };
    if is_root() && !chattr("+i") {
        println!("skipped: no chattr, or a file system without the immutable flag");
        return;
    }
    fs::set_permissions(scene.work("d/fixed"), Permissions::from_mode(0o555)).ok();
    let ran = scene.safe_rm(["-rf", "d"]);
    chattr("-i");
    fs::set_permissions(scene.work("d/fixed"), Permissions::from_mode(0o755)).unwrap();
    ran.exited(1).says("cannot remove 'd/fixed");
    let left = tree(&scene.work("d"));
    assert_eq!(
        left,
        ["fixed", "fixed/f"].map(PathBuf::from).into(),
        "the rest is gone"
    );
    assert_eq!(
        scene.last_entry()["decision"],
        "SUCCESS",
        "authorised, and it ran"
    );
}

/// A user that is not root and is in every password database.
const NOBODY: u32 = 65534;

#[test]
fn path_33_what_the_sticky_bit_protects_stays() {
    if !root("two users") {
        return;
    }
    let scene = Scene::bare();
    scene.files(["d/own", "d/other"]);
    for place in ["", "work", "work/d/own", "etc/pvm/pvm.toml"] {
        chown(scene.path(place), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(scene.work("d"), Permissions::from_mode(0o1777)).unwrap();
    let as_nobody = |name: &str, words: &[&str]| {
        let mut command = scene.command(name);
        Ran::of(command.args(words).uid(NOBODY).gid(NOBODY))
    };
    let work = scene.work("").display().to_string();
    as_nobody(
        "pvm",
        &["grant", "--op", "rm", "--scope", &work, "--ttl", "5m"],
    )
    .exited(0);
    as_nobody("safe-rm", &["-rf", "d"])
        .exited(1)
        .says("cannot remove 'd/other'");
    assert_eq!(tree(&scene.work("d")), ["other"].map(PathBuf::from).into());

    fs::write(scene.work("d/own"), "").unwrap();
    let other = scene.work("d/other").display().to_string();
    as_nobody(
        "pvm",
        &["grant", "--op", "rm", "--scope", &other, "--ttl", "5m"],
    )
    .exited(0);
    as_nobody("pvm", &["revoke", "--scope", &work]).exited(0);
    as_nobody(
        "pvm",
        &["grant", "--op", "rm", "--scope", &other, "--ttl", "5m"],
    )
    .exited(0);
    let ran = as_nobody("safe-rm", &["-f", "d/other"]);
    ran.exited(1)
        .says("rm: cannot remove 'd/other': Operation not permitted");
    let status = as_nobody("pvm", &["audit", "--json", "--limit", "1"]).json()["status"].clone();
    assert_eq!(status, 1, "by pvm itself, and recorded as it came out");
}

#[test]
fn path_35_files_that_block_are_never_opened() {
    let scene = Scene::new();
    scene.files(["d/"]).grant(scene.work("d"));
    let make = || {
        for name in ["d/fifo", "d/lone"] {
            mkfifo(&scene.work(name), Mode::S_IRWXU).unwrap();
        }
        drop(UnixListener::bind(scene.work("d/socket")).unwrap());
    };
    make();
    scene.grant(scene.work("d/lone"));
    scene
        .safe_rm(["-f", "d/fifo", "d/socket", "d/lone"])
        .succeeded();
    make();
    scene.safe_rm(["-rf", "d"]).succeeded();
    assert_eq!(tree(&scene.work("")).len(), 0);
    mkfifo(&scene.work("alone"), Mode::S_IRWXU).unwrap();
    scene.grant(scene.work("alone"));
    scene.safe_rm(["-f", "alone"]).succeeded();
    assert_eq!(scene.last_entry()["by"], "self");
    assert_eq!(tree(&scene.work("")).len(), 0);
}

#[test]
fn path_31_a_directory_that_is_a_whole_scope_goes_with_its_root() {
    let scene = Scene::new();
    scene
        .files(["d/sub/f", "d/g", "neighbour/"])
        .grant(scene.work("d"));
    scene.safe_rm(["-r", "d"]).succeeded();
    assert_eq!(tree(&scene.work("")), [PathBuf::from("neighbour")].into());
    scene.files(["d/"]);
    scene.safe_rm(["-d", "d"]).succeeded();
    scene.safe_rm(["-d", "neighbour"]).denied();
    assert_eq!(tree(&scene.work("")), [PathBuf::from("neighbour")].into());
}
