use std::path::Path;
use std::process::{Command, Stdio};

use super::machine::root;
use super::scene::{Ran, Scene};

/// Says whether this process may make mount namespaces; where it may not, what is skipped is printed.
pub(crate) fn mount_namespace(what: &str) -> bool {
    if !root(what) {
        return false;
    }
    let status = Command::new("unshare")
        .args(["-m", "true"])
        .stderr(Stdio::null())
        .status();
    let possible = status.is_ok_and(|status| status.success());
    if !possible {
        println!("skipped: {what} needs a mount namespace");
    }
    possible
}

/// Runs a shell script in a mount namespace of its own, with `BIN`, `STATE` and `WORK` set to the
/// scene's places. Nothing comes back where there can be no such namespace; what is skipped is
/// printed then. A user namespace would not do: files of root have no owner in it that pvm trusts.
pub(crate) fn in_namespace(scene: &Scene, what: &str, script: &str) -> Option<Ran> {
    if !root(what) {
        return None;
    }
    let probe = Ran::of(&mut unshared(
        scene,
        "mount -t tmpfs -o size=1m tmpfs \"$STATE\"",
    ));
    if probe.code != Some(0) {
        println!(
            "skipped: {what} needs a mount namespace: {}",
            probe.stderr_text().trim()
        );
        return None;
    }
    Some(Ran::of(&mut unshared(scene, script)))
}

fn unshared(scene: &Scene, script: &str) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    let state = scene.vault();
    command
        .args(["--mount", "/bin/sh", "-c", script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("BIN", scene.path("bin"))
        .env("STATE", state.parent().unwrap_or(Path::new("/")))
        .env("WORK", scene.work(""))
        .current_dir(scene.work(""))
        .stdin(Stdio::null());
    command
}
