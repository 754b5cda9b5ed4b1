use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use super::machine::until;
use super::scene::{Running, Scene};

/// The turn at a vault, taken: whoever wants it waits at the lock file, after it looked for the
/// real command and before it decides.
pub(crate) struct Held {
    _turn: Flock<fs::File>,
    path: PathBuf,
}

impl Held {
    pub(crate) fn take(scene: &Scene) -> Self {
        let mut path = scene.vault().into_os_string();
        path.push(".lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let turn = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
        Self {
            _turn: turn.unwrap(),
            path: path.into(),
        }
    }

    /// Starts a command and returns when it waits.
    pub(crate) fn start(&self, command: &mut Command) -> Running {
        let running = Running::start(command);
        let descriptors = format!("/proc/{}/fd", running.0.id());
        until("the wait at the lock file", || {
            let Ok(entries) = fs::read_dir(&descriptors) else {
                return false;
            };
            entries
                .flatten()
                .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == self.path))
        });
        running
    }
}
