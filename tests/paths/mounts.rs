use std::process::Command;

use crate::support::{Ran, Scene, root, tree};

/// Runs a shell script in a mount namespace of its own, in the scene's working directory. What it
/// mounts vanishes with it.
fn in_private(scene: &Scene, script: &str) -> Ran {
    let mut command = Command::new("/usr/bin/unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-ec",
        script,
    ]);
    command
        .env_clear()
        .env("PATH", scene.search_path())
        .current_dir(scene.work(""));
    Ran::of(&mut command)
}

/// What is mounted, what is refused, and what the refusal says.
const REFUSED: [(&str, &str, &str); 8] = [
    (
        "mount --bind outside d/point",
        "d",
        "is mounted at or below",
    ),
    (
        "mount --bind outside d/point",
        "d/./point/..//../d/",
        "is mounted at or below",
    ),
    ("mount --bind outside d/point", "d/point", "mount point"),
    ("mount --bind outside d/point", "d/point/", "mount point"),
    ("mount --bind d d", "d", "mount point"),
    ("mount -t tmpfs none d/point", "d", "is mounted at or below"),
    ("mount -t tmpfs none d/point", "d/point", "mount point"),
    (
        "mkdir 'd/a b' && mount --bind outside 'd/a b'",
        "d",
        "is mounted at or below",
    ),
];

#[test]
fn path_13_to_15_what_has_a_mount_at_or_below_is_refused() {
    if !root("a mount namespace") {
        return;
    }
    for (mount, word, text) in REFUSED {
        let scene = Scene::new();
        scene
            .files(["outside/victim", "d/point/", "d/f"])
            .grant(scene.work(""));
        let ran = in_private(&scene, &format!("{mount}; exec safe-rm -rf {word}"));
        ran.denied().says(text);
        assert!(
            scene.work("outside/victim").exists() && scene.work("d/f").exists(),
            "{mount}"
        );
        assert_eq!(scene.last_entry()["decision"], "DENIED", "{mount}");
    }
    let scene = Scene::new();
    scene.files(["outside/victim", "d/point/", "d/f"]);
    let script = "mount --bind outside d/point; exec rm -rf --one-file-system d";
    let path = scene.path("bin");
    std::fs::remove_dir_all(path).unwrap();
    in_private(&scene, script).exited(1);
    assert!(
        !scene.work("outside/victim").exists(),
        "plain rm reaches through the bind mount"
    );
}

#[test]
fn path_14_a_mount_elsewhere_or_a_file_beside_it_is_no_hindrance() {
    if !root("a mount namespace") {
        return;
    }
    let scene = Scene::new();
    scene
        .files(["outside/victim", "d/point/", "d/f", "e/x"])
        .grant(scene.work(""));
    let script = "mount --bind outside d/point; safe-rm -f d/f; safe-rm -rf e";
    in_private(&scene, script).succeeded();
    assert!(!scene.work("d/f").exists() && !scene.work("e").exists());
}

#[test]
fn path_20_a_scope_under_a_second_name_is_not_granted_with_the_first() {
    if !root("a mount namespace") {
        return;
    }
    let scene = Scene::new();
    scene.files(["d/f", "alias/"]).grant(scene.work("d"));
    in_private(&scene, "mount --bind d alias; exec safe-rm -f alias/f").denied();
    assert!(scene.work("d/f").exists());
}

/// What is refused although it has another name and that name is granted; `state` is the vault's.
const ALIASES: [(&str, &str); 8] = [
    ("alias/state", "the vault"),
    ("alias/state/vault.db", "the vault"),
    ("alias/state/vault.db-wal", "the vault"),
    ("alias/etc/pvm/pvm.toml", "the configuration"),
    ("alias/etc/pvm", "the configuration"),
    ("alias/etc", "the configuration"),
    ("alias/bin/pvm", "pvm itself"),
    ("alias/bin", "pvm itself"),
];

#[test]
fn path_28_no_second_name_reaches_what_belongs_to_pvm() {
    if !root("a mount namespace") {
        return;
    }
    let scene = Scene::new();
    std::fs::create_dir(scene.path("alias")).unwrap();
    scene.grant(scene.path(""));
    // The first refusal makes the file in which they are counted.
    scene.safe_rm(["/no/such"]).denied();
    let before = tree(&scene.path(""));
    for (word, what) in ALIASES {
        let script = format!("cd ..; mount --bind . alias; exec safe-rm -rf {word}");
        in_private(&scene, &script).denied().says(what);
        assert_eq!(tree(&scene.path("")), before, "{word}");
        assert_eq!(scene.last_entry()["decision"], "DENIED", "{word}");
    }
    let script = "cd ../state; mkdir ../work/v; mount --bind . ../work/v; \
                  cd ../work; exec safe-rm -f v/vault.db v/vault.db.lock";
    in_private(&scene, script).denied().says("the vault");
    assert!(scene.vault().exists());
}
