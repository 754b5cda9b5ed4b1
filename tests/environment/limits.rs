use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::resource::Resource;

use crate::support::{Launch, Ran, Scene};

#[test]
fn env_28_no_umask_opens_the_vault_or_locks_its_owner_out() {
    for mask in [0, 0o777, 0o277] {
        let scene = Scene::bare();
        scene.files(["f", "g"]);
        let run = |name: &str, words: &[&str]| {
            Ran::of(scene.command(name).args(words).with_umask(mask)).succeeded();
        };
        let work = scene.work("").display().to_string();
        run(
            "pvm",
            &["grant", "--scope", &work, "--ttl", "10m", "--op", "rm"],
        );
        run("safe-rm", &["f"]);
        let vault = scene.vault().display().to_string();
        for companion in [".lock", ".canary"] {
            fs::remove_file(format!("{vault}{companion}")).ok();
        }
        run("safe-rm", &["g"]);
        assert!(!scene.work("f").exists() && !scene.work("g").exists());
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(scene.path("state")), 0o700, "umask {mask:o}");
        for file in fs::read_dir(scene.path("state"))
            .unwrap()
            .map(Result::unwrap)
        {
            let right = if file.path().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(
                mode(file.path()),
                right,
                "{} with umask {mask:o}",
                file.path().display()
            );
        }
        scene.assert_trail_intact();
    }
}

/// Runs under a limit, and asserts that the file is gone exactly when the command says so. Returns
/// whether it is gone.
fn removes_under(scene: &Scene, resource: Resource, limit: u64) -> bool {
    scene.files(["d/f"]);
    let mut command = scene.command("safe-rm");
    command.args(["-f", "d/f"]).limited(resource, limit);
    // Where not even the program can be loaded, nothing is started.
    let succeeded = command.output().is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!text.contains("panicked"), "{resource:?} {limit}: {text}");
        output.status.success()
    });
    let gone = !scene.work("d/f").exists();
    assert_eq!(gone, succeeded, "{resource:?} {limit}");
    if gone {
        assert_eq!(
            scene.last_entry()["decision"],
            "SUCCESS",
            "{resource:?} {limit}"
        );
    }
    gone
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

#[test]
fn env_29_starved_of_anything_it_refuses_or_dies_with_nothing_removed() {
    let scene = Scene::new();
    scene.grant(scene.work("d"));
    for limit in [0, 1, 512, 4096] {
        assert!(
            !removes_under(&scene, Resource::RLIMIT_FSIZE, limit),
            "no record, no run"
        );
        scene.assert_trail_intact();
    }
    for limit in 0..6 {
        assert!(
            !removes_under(&scene, Resource::RLIMIT_NOFILE, limit),
            "{limit} descriptors"
        );
    }
    for limit in [64 * KIB, MIB, 2 * MIB] {
        assert!(
            !removes_under(&scene, Resource::RLIMIT_AS, limit),
            "{limit} bytes of memory"
        );
    }
    assert!(removes_under(&scene, Resource::RLIMIT_FSIZE, 16 * MIB));
    assert!(removes_under(&scene, Resource::RLIMIT_NOFILE, 64));
    assert!(removes_under(&scene, Resource::RLIMIT_AS, 256 * MIB));
    scene.assert_trail_intact();
}

#[test]
fn env_29_between_too_little_and_enough_there_is_no_false_success() {
    let scene = Scene::new();
    scene.grant(scene.work("d"));
    for limit in 6..20 {
        removes_under(&scene, Resource::RLIMIT_NOFILE, limit);
    }
    for step in 1..24 {
        removes_under(&scene, Resource::RLIMIT_AS, step * 2 * MIB);
    }
    for limit in (8..80).step_by(6) {
        removes_under(&scene, Resource::RLIMIT_FSIZE, limit * KIB);
    }
    for limit in [16, 64, 128, 256] {
        removes_under(&scene, Resource::RLIMIT_STACK, limit * KIB);
    }
    removes_under(&scene, Resource::RLIMIT_NPROC, 0);
    scene.assert_trail_intact();
}

#[test]
fn env_29_the_refusal_for_a_trail_that_cannot_be_written_is_plain() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let mut command = scene.command("safe-rm");
    let ran = Ran::of(command.arg("f").limited(Resource::RLIMIT_FSIZE, 0));
    ran.exited(125).says("safe-rm: ");
    assert_eq!(ran.signal, None, "no death by SIGXFSZ");
    assert!(scene.work("f").exists());
}
