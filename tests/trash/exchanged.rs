//! An operand that somebody exchanges while `safe-trash` looks at it, and before it moves it. The
//! control arm is trash-cli, which takes what stands under the name.

use std::fs;
use std::path::Path;

use super::{House, names, trash_cli};
use crate::support::{Held, Ran, Running, tracing, until};

/// How long the call that moves waits, in microseconds.
const DELAY: &str = "delay_enter=3000000";

impl House {
    /// Exchanges two names below `work`.
    fn exchange(&self, one: &str, other: &str) {
        let path = |name: &str| self.at("work").join(name);
        fs::rename(path(one), path("between")).unwrap();
        fs::rename(path(other), path(one)).unwrap();
        fs::rename(path("between"), path(other)).unwrap();
    }

    fn content(&self, name: impl AsRef<Path>) -> String {
        fs::read_to_string(self.at("work").join(name)).unwrap()
    }

    /// Runs a command with every call of these names delayed, and `meanwhile` once its note about
    /// what it will move is there.
    fn delayed(&self, calls: &str, words: &str, meanwhile: impl FnOnce()) -> Ran {
        let line = format!(
            "exec strace -f -qq -o /dev/null -e trace={calls} -e inject={calls}:{DELAY} {words}"
        );
        let running = Running::start(&mut self.command(&line, [""; 0]));
        until("the note", || {
            fs::read_dir(self.trash("info")).is_ok_and(|mut notes| notes.next().is_some())
        });
        meanwhile();
        running.finish()
    }
}

/// A house with `scope`, where everything may be trashed, and `victim` beside it.
fn house() -> Option<House> {
    let house = House::new("a home of one's own")?;
    house.scene.pvm(["revoke", "--all"]).exited(0);
    for (name, text) in [("scope/d/f", "mine"), ("victim/f", "theirs")] {
        fs::write(house.file(name), text).unwrap();
    }
    house.grant(&house.home.join("work/scope"));
    Some(house)
}

#[test]
fn path_10_what_was_exchanged_before_the_decision_is_not_moved() {
    for (one, other) in [("scope/d/f", "victim/f"), ("scope/d", "victim")] {
        let Some(house) = house() else {
            return;
        };
        let held = Held::take(&house.scene);
        let running = held.start(&mut house.command("exec safe-trash scope/d/f", [""; 0]));
        house.exchange(one, other);
        drop(held);
        let ran = running.finish();
        ran.exited(1).says("it changed while it was looked at");
        assert!(names(&house.trash("files")).is_empty(), "{ran}");
        assert_eq!(house.content("scope/d/f"), "theirs");
        assert_eq!(house.scene.last_entry()["status"], 1);
    }
}

#[test]
fn path_10_what_was_exchanged_before_the_move_goes_back() {
    if !tracing("an exchange between two system calls") {
        return;
    }
    let Some(house) = house() else {
        return;
    };
    let swap = || house.exchange("scope/d/f", "victim/f");
    let ran = house.delayed("renameat2", "safe-trash scope/d/f", swap);
    ran.exited(1).says("it changed while it was looked at");
    assert!(names(&house.trash("files")).is_empty() && names(&house.trash("info")).is_empty());
    assert_eq!(
        house.content("scope/d/f"),
        "theirs",
        "it is where it was put"
    );
    assert_eq!(house.content("victim/f"), "mine");
}

#[test]
fn path_07_a_directory_exchanged_before_the_move_leads_nowhere() {
    if !tracing("an exchange between two system calls") {
        return;
    }
    let Some(house) = house() else {
        return;
    };
    let swap = || {
        let at = |name: &str| house.at("work").join(name);
        fs::rename(at("scope/d"), at("scope/moved")).unwrap();
        std::os::unix::fs::symlink("../victim", at("scope/d")).unwrap();
    };
    house
        .delayed("renameat2", "safe-trash scope/d/f", swap)
        .exited(0);
    assert_eq!(house.content("victim/f"), "theirs");
    let trashed = fs::read_to_string(house.trash("files/f")).unwrap();
    assert_eq!(
        trashed, "mine",
        "what was looked at, in the directory that was looked at"
    );
}

#[test]
fn path_10_without_pvm_the_same_exchange_moves_another_file() {
    if !tracing("an exchange between two system calls") || !trash_cli() {
        return;
    }
    let Some(house) = house() else {
        return;
    };
    let swap = || house.exchange("scope/d/f", "victim/f");
    let calls = "rename,renameat,renameat2";
    house
        .delayed(calls, "/usr/bin/trash-put scope/d/f", swap)
        .exited(0);
    let trashed = fs::read_to_string(house.trash("files/f")).unwrap();
    assert_eq!(trashed, "theirs", "the exchange comes in time");
}
