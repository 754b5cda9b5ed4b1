//! `pvm demo`, as somebody runs it who has just built it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::support::{Launch, Ran, Scene, landlock, root};

/// Returns a scene without a vault, with an empty directory for temporary files, and the demo.
fn demo() -> (Scene, Command) {
    let scene = Scene::bare();
    let temporary = scene.work("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = scene.command("pvm");
    command.arg("demo").env("TMPDIR", temporary);
    (scene, command)
}

fn left_behind(scene: &Scene) -> BTreeSet<String> {
    let entries = fs::read_dir(scene.work("tmp")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_demo_turns_out_as_told_and_leaves_nothing() {
    let (scene, mut command) = demo();
    let started = Instant::now();
    let ran = Ran::of(&mut command);
    assert!(started.elapsed() < Duration::from_secs(10));
    let text = ran.succeeded().stdout_text();
    for part in [
        "permission denied",
        "build is gone",
        "granted ",
        "revoked ",
        "BROKEN at entry ",
        "git: permission denied",
        "theirs",
    ] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    let home = fs::metadata(std::env::home_dir().unwrap()).unwrap();
    if home.dev() == fs::metadata("/tmp").unwrap().dev() {
        assert!(text.contains("documents/thesis.txt is gone"), "{text}");
    }
    assert!(
        !text.contains('\u{1b}'),
        "colour without a terminal: {text}"
    );
    assert_eq!(left_behind(&scene), BTreeSet::new());
    assert!(
        !scene.vault().exists(),
        "the demo used the vault of the installation"
    );
}

#[test]
fn the_demo_works_where_an_agent_runs_it_in_a_sandbox() {
    if !landlock(1) {
        return;
    }
    let (_scene, mut command) = demo();
    command
        .env("CLAUDECODE", "1")
        .env("PVM_AGENT_ID", "some agent");
    Ran::of(command.with_landlock_layers(2)).succeeded();
}

#[test]
fn the_demo_works_without_landlock() {
    let (_scene, mut command) = demo();
    Ran::of(command.without_landlock(nix::errno::Errno::ENOSYS)).succeeded();
}

#[test]
fn the_demo_works_as_an_ordinary_user() {
    if !root("to become another user") {
        return;
    }
    let (scene, command) = demo();
    let mut as_nobody = Command::new("/usr/bin/setpriv");
    as_nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", scene.work("tmp"))
        .current_dir("/");
    Ran::of(&mut as_nobody).succeeded();
    assert_eq!(left_behind(&scene), BTreeSet::new());
}

#[test]
fn the_demo_keeps_its_directory_when_told_to() {
    let (scene, mut command) = demo();
    let text = Ran::of(command.arg("--keep")).succeeded().stdout_text();
    let left = left_behind(&scene);
    assert_eq!(left.len(), 1, "{left:?}");
    let kept = scene.work("tmp").join(left.first().unwrap());
    assert!(
        text.ends_with(&format!("kept: {}\n", kept.display())),
        "{text}"
    );
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert!(kept.join("pvm/bin/safe-rm").exists() && !kept.join("build").exists());
}

#[test]
fn a_demo_that_cannot_be_set_up_says_so_and_leaves_nothing() {
    let (scene, mut command) = demo();
    command
        .limited(Resource::RLIMIT_FSIZE, 4096)
        .with_signals(Signal::SIGXFSZ, Signal::SIGUSR1);
    Ran::of(&mut command)
        .exited(125)
        .says("cannot set up in ")
        .says("TMPDIR=");
    assert_eq!(left_behind(&scene), BTreeSet::new());
}

#[test]
fn the_demo_goes_where_programs_may_run() {
    let (scene, mut command) = demo();
    let open = scene.work("tmp/open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let text = Ran::of(command.env("TMPDIR", &open))
        .succeeded()
        .stdout_text();
    let first = text.lines().next().unwrap();
    assert!(
        first.contains(" in /tmp/pvm-demo-") || first.contains(" in /var/tmp/"),
        "{first}"
    );
    let place = first.rsplit(' ').next().unwrap();
    assert!(!Path::new(place).exists());
}

/// A configuration of the machine holds for every installation, the demo's as well.
#[test]
fn the_demo_stays_out_of_a_vault_that_the_machine_configures() {
    if !root("to mount another /etc") {
        return;
    }
    let (scene, command) = demo();
    let etc = scene.path("machine");
    fs::create_dir_all(etc.join("pvm")).unwrap();
    fs::write(etc.join("passwd"), "root:x:0:0:root:/nowhere:/bin/sh\n").unwrap();
    let vault = scene.path("machine-vault/vault.db");
    let text = format!("vault.path = \"{}\"\n", vault.display());
    fs::write(etc.join("pvm/pvm.toml"), text).unwrap();
    let mut elsewhere = Command::new("/usr/bin/unshare");
    elsewhere
        .args([
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$1\" /etc && exec \"$2\" demo",
            "sh",
        ])
        .arg(&etc)
        .arg(command.get_program());
    let ran = Ran::of(&mut elsewhere);
    ran.exited(125)
        .says("/etc/pvm/pvm.toml holds for every installation");
    assert!(!vault.exists());
}

#[test]
fn the_demo_leaves_out_what_it_has_no_means_for() {
    let (scene, command) = demo();
    if !root("to become another user") {
        return;
    }
    // This user has no home, and so no trash.
    let mut poor = Command::new("/usr/bin/unshare");
    poor.args(["-m", "/bin/sh", "-ec"])
        .arg("mount --bind /dev/null /usr/bin/git; exec setpriv --reuid=65534 --clear-groups -- \"$@\"")
        .arg("sh")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/bin")
        .env("TMPDIR", scene.work("tmp"))
        .current_dir("/");
    let ran = Ran::of(&mut poor);
    let text = ran.succeeded().stdout_text();
    for part in ["Left out: git is missing", "Left out: there is no home"] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert_eq!(left_behind(&scene), BTreeSet::new());
}
