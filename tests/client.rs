//! The library: its public functions, on an installation of the test's own.

mod cache;
mod decision;
mod request;

use std::ffi::OsString;
use std::thread::sleep;
use std::time::Duration;

use pvm::{Client, Command};

use crate::support::Scene;

/// Opens the scene's installation, once its configuration is old enough to be remembered.
fn client(scene: &Scene) -> Client {
    sleep(Duration::from_millis(70));
    Client::of_installation(scene.path("bin/pvm")).unwrap()
}

/// Returns a command in the scene's working directory.
fn command<const N: usize>(scene: &Scene, words: [&str; N]) -> Command {
    let mut words = words.into_iter().map(OsString::from);
    let program = words.next().unwrap();
    Command::new(program, scene.work("")).args(words)
}
