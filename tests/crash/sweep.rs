use std::fs::{self, File};
use std::process::Command;

use super::{Ground, USES};
use crate::support::{Fault, Mirror, Ran, Scene, count_calls, run_with, tracing};

/// How a call fails that has no row in [`FAILURES`].
const DEFAULT: &[&str] = &["error=EIO"];

/// What the calls fail with, besides dying there.
const FAILURES: [(&str, &[&str]); 19] = [
    ("fdatasync", &["error=EIO", "error=ENOSPC"]),
    ("fsync", &["error=EIO", "error=ENOSPC"]),
    ("pwrite64", &["error=EIO", "error=ENOSPC"]),
    ("write", &["error=EIO", "error=ENOSPC"]),
    ("ftruncate", &["error=EIO", "error=ENOSPC"]),
    ("openat", &["error=EMFILE", "error=ENOMEM"]),
    ("openat2", &["error=EMFILE", "error=ENOMEM"]),
    ("landlock_create_ruleset", &["error=EACCES", "error=EPERM"]),
    ("landlock_add_rule", &["error=EACCES", "error=EPERM"]),
    ("landlock_restrict_self", &["error=EACCES", "error=E2BIG"]),
    ("prctl", &["error=EACCES", "error=EPERM"]),
    ("unlink", &["error=EIO", "retval=0"]),
    ("flock", &["error=ENOLCK", "error=EINTR"]),
    ("fcntl", &["error=ENOLCK", "error=EINTR"]),
    ("mmap", &["error=ENOMEM"]),
    ("brk", &["error=ENOMEM"]),
    // These cannot fail, and a program may rely on that.
    ("geteuid", &[]),
    ("getpid", &[]),
    ("umask", &[]),
];

/// The calls by which files come about and change.
const STORAGE: [&str; 14] = [
    "fdatasync",
    "fsync",
    "pwrite64",
    "write",
    "ftruncate",
    "pread64",
    "openat",
    "openat2",
    "flock",
    "fcntl",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    All,
    Storage,
}

/// The calls of `command`, going wrong in every way, at each of their occurrences.
fn faults(command: &Command, scene: &Scene, calls: Calls) -> Vec<Fault> {
    let wanted = |call: &str| calls == Calls::All || STORAGE.contains(&call);
    let mut calls = count_calls(command, &scene.path("calls"));
    calls.retain(|call, _| wanted(call));
    let mut faults = Vec::new();
    for (call, count) in calls
        .into_iter()
        .filter(|(call, _)| call != "execve" && call != "exit_group")
    {
        let row = FAILURES.iter().find(|(name, _)| *name == call);
        let ways = row.map_or(DEFAULT, |(_, ways)| ways);
        for how in ways.iter().chain(&["signal=KILL"]) {
            faults.extend((1..=count).map(|at| Fault {
                call: call.clone(),
                at,
                how,
            }));
        }
    }
    // strace does not count the one by which it starts pvm.
    faults.push(Fault {
        call: "execve".to_owned(),
        at: 1,
        how: "signal=KILL",
    });
    faults
}

/// What a fault came to that it must not come to.
#[derive(Default)]
struct Unsound(Vec<String>);

impl Unsound {
    fn unless(&mut self, sound: bool, what: &str, fault: &Fault, ran: &Ran) {
        if !sound {
            self.0.push(format!("{what}: {fault}: {ran}"));
        }
    }

    /// A refusal, an error or a death is all that a fault may come to.
    fn unless_ended_soundly(&mut self, fault: &Fault, ran: &Ran) {
        let killed = fault.how == "signal=KILL" || ["mmap", "brk"].contains(&fault.call.as_str());
        let sound = match ran.code {
            Some(code) => [0, 1, 2, 125, 126, 127].contains(&code),
            None => killed,
        };
        let calm = !ran.stderr_text().contains("panicked");
        self.unless(sound && calm, "the way it ended", fault, ran);
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// Fails every call on the way to removing a file that may be removed.
fn sweep_removal(which: usize, calls: Calls) {
    let ground = Ground::new();
    let mirror = Mirror::new();
    let file = &ground.files[which];
    let mut command = ground.scene.command("safe-rm");
    command.arg("-f").arg(file);
    File::create(file).unwrap();
    let faults = faults(&command, &ground.scene, calls);
    let mut unsound = Unsound::default();
    let (mut refused, mut removed) = (0, 0);
    let mut head = mirror.look(&ground.scene).head();
    for fault in &faults {
        File::create(file).unwrap();
        let ran = run_with(&command, fault);
        unsound.unless_ended_soundly(fault, &ran);
        let store = mirror.look(&ground.scene);
        store.assert_consistent(2 * USES);
        let entries = store.after(head);
        head = store.head();
        let decided = |decision| entries.iter().any(|entry| entry.decision == decision);
        let gone = !file.exists();
        let recorded = decided("SUCCESS") && !decided("FAILED");
        unsound.unless(
            !gone || recorded,
            "I2, removed without an entry",
            fault,
            &ran,
        );
        unsound.unless(
            gone || ran.code != Some(0),
            "left and called removed",
            fault,
            &ran,
        );
        unsound.unless(
            !gone || matches!(ran.code, Some(0) | None),
            "I5, removed and refused",
            fault,
            &ran,
        );
        unsound.unless(
            ground.scene.work("outside/kept").exists(),
            "I1",
            fault,
            &ran,
        );
        removed += u32::from(gone);
        refused += u32::from(!gone);
    }
    println!(
        "{} faults: {refused} left the file, {removed} were survived",
        faults.len()
    );
    unsound.assert_none();
    assert!(refused > 0 && removed > 0);
    File::create(file).unwrap();
    ground.scene.safe_rm([file]).succeeded();
    ground.scene.assert_trail_intact();
}

#[test]
fn db_06_and_i1_to_i6_hold_when_any_call_before_the_exec_goes_wrong() {
    if tracing("failing every system call") {
        sweep_removal(0, Calls::All);
    }
}

#[test]
fn db_06_and_i1_to_i6_hold_when_any_call_of_pvms_own_removal_goes_wrong() {
    if tracing("failing every system call") {
        sweep_removal(1, Calls::Storage);
    }
}

#[test]
fn i5_what_is_refused_is_not_removed_whatever_goes_wrong() {
    if !tracing("failing every system call") {
        return;
    }
    let ground = Ground::new();
    let mirror = Mirror::new();
    let mut command = ground.scene.command("safe-rm");
    command.args(["-rf", "outside"]);
    let mut allowed = ground.scene.command("safe-rm");
    allowed.args(["-rf", "granted"]);
    let mut unsound = Unsound::default();
    for fault in faults(&allowed, &ground.scene, Calls::Storage) {
        let ran = run_with(&command, &fault);
        unsound.unless_ended_soundly(&fault, &ran);
        unsound.unless(ran.code != Some(0), "called removed", &fault, &ran);
        assert!(ground.scene.work("outside/kept").exists(), "{fault}");
    }
    unsound.assert_none();
    mirror.look(&ground.scene).assert_consistent(2 * USES);
}

#[test]
fn proc_08_an_exec_that_fails_gives_the_use_back() {
    if !tracing("failing the exec") {
        return;
    }
    let ground = Ground::new();
    let mirror = Mirror::new();
    let file = &ground.files[0];
    let mut command = ground.scene.command("safe-rm");
    command.arg(file);
    let mut head = mirror.look(&ground.scene).head();
    for (how, code) in [
        ("error=ENOENT", 127),
        ("error=EACCES", 126),
        ("error=ENOEXEC", 126),
        ("error=ETXTBSY", 126),
        ("error=E2BIG", 126),
        ("error=ELOOP", 126),
        ("error=EMFILE", 126),
        ("error=ENOMEM", 126),
    ] {
        let ran = run_with(
            &command,
            &Fault {
                call: "execve".to_owned(),
                at: 1,
                how,
            },
        );
        ran.exited(code).says("cannot execute");
        let store = mirror.look(&ground.scene);
        store.assert_consistent(2 * USES);
        let decisions: Vec<_> = store
            .after(head)
            .into_iter()
            .map(|entry| entry.decision)
            .collect();
        assert_eq!(decisions, ["SUCCESS", "FAILED"], "{how}");
        head = store.head();
        assert!(file.exists(), "{how}");
    }
}

/// Fails every call of something a person does. `undo` makes it possible again.
fn sweep_change(args: &[&str], undo: impl Fn(&Scene)) {
    let scene = Scene::new();
    let mirror = Mirror::new();
    let mut command = scene.command("pvm");
    command.args(args);
    undo(&scene);
    let mut unsound = Unsound::default();
    for fault in faults(&command, &scene, Calls::Storage) {
        undo(&scene);
        let ran = run_with(&command, &fault);
        unsound.unless_ended_soundly(&fault, &ran);
        mirror.look(&scene).assert_consistent(0);
    }
    unsound.assert_none();
    scene.assert_trail_intact();
}

#[test]
fn a_grant_and_its_entries_come_about_together_or_not_at_all() {
    if tracing("failing every system call") {
        sweep_change(
            &["grant", "--ttl", "10m", "--scope", "/tmp/pvm-nothing"],
            |_| (),
        );
    }
}

#[test]
fn a_revocation_and_its_entry_come_about_together_or_not_at_all() {
    if tracing("failing every system call") {
        sweep_change(&["revoke", "--all"], |scene| {
            scene.grant("/tmp/pvm-nothing");
        });
    }
}

#[test]
fn db_14_a_vault_is_made_whole_or_not_at_all() {
    if !tracing("failing every system call") {
        return;
    }
    let init = |scene: &Scene| {
        let mut command = scene.command("pvm");
        command.args(["init", "--yes"]);
        command
    };
    let scene = Scene::bare();
    let mut unsound = Unsound::default();
    let mut made = 0;
    let faults = faults(&init(&scene), &scene, Calls::Storage);
    for fault in &faults {
        fs::remove_dir_all(scene.path("state")).unwrap_or_default();
        let ran = run_with(&init(&scene), fault);
        unsound.unless_ended_soundly(fault, &ran);
        made += u32::from(scene.vault().exists());
        let again = Ran::of(&mut init(&scene));
        unsound.unless(again.code == Some(0), "another try fails", fault, &again);
        let verified = scene.pvm(["audit", "verify"]);
        unsound.unless(verified.code == Some(0), "I6", fault, &verified);
    }
    println!(
        "{} faults, and the vault was made in spite of {made}",
        faults.len()
    );
    unsound.assert_none();
}
