//! `pvm exec`: which command may run, which file that is, and how it runs.

mod confinement;
mod decision;
mod programs;
mod reach;
mod rules;
mod start;

use std::ffi::OsStr;
use std::path::Path;

use crate::support::{Ran, Scene};

/// Runs a command by `pvm exec`.
fn exec<S: AsRef<OsStr>>(scene: &Scene, words: impl IntoIterator<Item = S>) -> Ran {
    Ran::of(scene.command("pvm").args(["exec", "--"]).args(words))
}

/// Grants exactly this command, and returns the grant's id.
fn grant<S: AsRef<OsStr>>(scene: &Scene, words: impl IntoIterator<Item = S>) -> String {
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["grant", "--json", "--"]).args(words));
    ran.succeeded().json()["id"].as_str().unwrap().to_owned()
}

/// Grants these operations below a directory.
fn grant_below(scene: &Scene, operations: &str, directory: &Path) {
    let mut command = scene.command("pvm");
    let words = ["grant", "--op", operations, "--scope"];
    Ran::of(command.args(words).arg(directory)).succeeded();
}

/// Asserts that a command was refused without an allow before it: one entry, and nothing made.
#[track_caller]
fn assert_nothing_ran(scene: &Scene, before: usize, decision: &str) {
    let trail = scene.trail();
    assert_eq!(trail.len(), before + 1, "one entry: {trail:#?}");
    assert_eq!(trail[before]["decision"], decision, "{}", trail[before]);
    assert_eq!(trail[before]["op"], "exec");
    assert!(!scene.work("made").exists());
}
