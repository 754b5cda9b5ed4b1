//! The trail as people and scripts see it, and what happens to somebody who edits it.

mod daily;
mod export;
mod flood;
mod follow;
mod format;
mod listing;
mod pages;
mod summary;
mod tampering;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Ran, Scene};

/// Runs `safe-rm` as an agent of this name.
pub(crate) fn remove_as(scene: &Scene, agent: &str, words: &[&OsStr]) -> Ran {
    Ran::of(
        scene
            .command("safe-rm")
            .env("PVM_AGENT_ID", agent)
            .args(words),
    )
}

/// A scene in which most of what an entry can be about has happened.
pub(crate) fn eventful() -> Scene {
    let scene = Scene::bare();
    scene.files(["dir/f", "dir/g", "single", "other/x"]);
    scene.grant_with(
        scene.work("dir"),
        ["--reason", "old build", "--uses", "5", "--pin"],
    );
    scene.grant_with(
        scene.work("other"),
        ["--not-before", "2035-01-01T00:00:00Z"],
    );
    scene.grant_with(scene.work("single"), ["--agent", "claude"]);
    remove_as(&scene, "claude", &["-rf".as_ref(), "dir/f".as_ref()]).succeeded();
    remove_as(&scene, "claude", &["single".as_ref()]).succeeded();
    remove_as(&scene, "codex", &["other/x".as_ref()]).denied();
    remove_as(&scene, "codex", &[OsStr::from_bytes(b"\xff\xfe\n\x1b[31m")]).denied();
    remove_as(&scene, "codex", &["--bogus".as_ref()]).exited(2);
    let many: Vec<String> = (0..3000).map(|number| format!("{number:050}")).collect();
    remove_as(
        &scene,
        "codex",
        &many.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
    )
    .denied();
    scene.pvm(["revoke", "--all"]).succeeded();
    scene.fake("fake-tool", "rm");
    remove_as(&scene, "codex", &["dir/g".as_ref()]).exited(126);
    scene
}
