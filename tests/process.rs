//! What surrounds a process: standard streams, signals, descriptors, and commands that do not start.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support::{Held, Launch, Ran, Scene, Started, copy, script, until};

#[test]
fn proc_01_closed_streams_never_become_the_vault() {
    let closed: [&'static [i32]; 5] = [&[0], &[1], &[2], &[1, 2], &[0, 1, 2]];
    for descriptors in closed {
        let scene = Scene::new();
        scene.files(["f", "d/g", "h"]).grant(scene.work("h"));
        scene.grant(scene.work("d"));
        let run = |words: &[&str]| {
            let mut command = scene.command("safe-rm");
            Ran::of(command.args(words).with_closed(descriptors)).code
        };
        assert_eq!(run(&["f"]), Some(1), "refused, with {descriptors:?} closed");
        assert_eq!(
            run(&["-v", "h"]),
            Some(0),
            "by itself, with {descriptors:?} closed"
        );
        assert_eq!(run(&["-rv", "d"]), Some(0), "with {descriptors:?} closed");
        assert!(scene.work("f").exists() && !scene.work("d").exists() && !scene.work("h").exists());
        scene.assert_trail_intact();
        assert_eq!(
            scene
                .trail()
                .iter()
                .filter(|entry| entry["decision"] == "DENIED")
                .count(),
            1
        );
    }
    let scene = Scene::new();
    scene.stand_in("fake-tool", "");
    scene.files(["d/x"]).grant(scene.work(""));
    let ran = Ran::of(scene.command("safe-rm").arg("d/x").with_closed(&[0, 2]));
    assert_eq!(
        *Started::read(&ran).field("descriptors"),
        serde_json::json!([0, 1, 2])
    );
}

#[test]
fn proc_02_nobody_who_listens_changes_nothing() {
    let scene = Scene::new();
    scene.files(["f", "g", "h"]).grant(scene.work("f"));
    let deaf = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut command = scene.command("safe-rm");
    let status = command
        .arg("g")
        .stderr(deaf())
        .stdout(deaf())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(scene.work("g").exists());
    assert_eq!(scene.last_entry()["decision"], "DENIED");

    let mut command = scene.command("safe-rm");
    let status = command
        .args(["-v", "f"])
        .stderr(deaf())
        .stdout(deaf())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1), "as rm, whose output nobody took");
    assert!(!scene.work("f").exists());
    let entry = scene.last_entry();
    assert_eq!(
        (&entry["decision"], &entry["status"]),
        (&"RESULT".into(), &1.into()),
        "{entry}"
    );

    scene.grant(scene.work("h"));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = scene.command("safe-rm");
    let output = command.args(["-v", "h"]).stdout(full).output().unwrap();
    assert_eq!(output.stderr, b"rm: write error: No space left on device\n");
    assert_eq!(output.status.code(), Some(1), "as rm, on a full disk");
    assert!(!scene.work("h").exists());

    let status = scene
        .command("pvm")
        .arg("status")
        .stdout(deaf())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn proc_03_and_05_signals_and_umask_are_passed_on_as_they_came() {
    let scene = Scene::new();
    scene.stand_in("fake-tool", "");
    scene.files(["f"]).grant(scene.work(""));
    let bit = |signal: Signal| 1_u64 << (signal as u32 - 1);
    // Signals 32 and 33 are the C library's own, and posix_spawn leaves them ignored.
    let mask = |started: &Started, name: &str| {
        u64::from_str_radix(started.field(name).as_str().unwrap(), 16).unwrap() & 0x7fff_ffff
    };
    let plain = Started::read(&scene.safe_rm(["f"]));
    // Whoever runs the tests may ignore signals of its own.
    let before = mask(&plain, "sig_ignored");
    assert_eq!(before & (bit(Signal::SIGPIPE) | bit(Signal::SIGXFSZ)), 0);
    assert_eq!(mask(&plain, "sig_blocked"), 0);
    for (ignored, blocked) in [
        (Signal::SIGPIPE, Signal::SIGTERM),
        (Signal::SIGXFSZ, Signal::SIGCHLD),
        (Signal::SIGCHLD, Signal::SIGPIPE),
        (Signal::SIGHUP, Signal::SIGXFSZ),
    ] {
        let mut command = scene.command("safe-rm");
        command
            .arg("f")
            .with_signals(ignored, blocked)
            .with_umask(0o741);
        let started = Started::read(&Ran::of(&mut command));
        assert_eq!(mask(&started, "sig_ignored"), before | bit(ignored));
        assert_eq!(mask(&started, "sig_blocked"), bit(blocked));
        assert_eq!(*started.field("umask"), "0741");
    }
}

#[test]
fn proc_04_leaked_descriptors_are_not_handed_on() {
    let scene = Scene::new();
    scene.files(["f", "d/x"]).grant(scene.work(""));
    for more in ["", "exec.landlock = \"off\""] {
        scene.stand_in("fake-tool", more);
        let mut command = scene.command("safe-rm");
        command
            .args(["-r", "f", "d"])
            .with_leaked(3)
            .with_leaked(57)
            .with_leaked(200);
        let started = Started::read(&Ran::of(&mut command));
        assert_eq!(
            *started.field("descriptors"),
            serde_json::json!([0, 1, 2]),
            "{more}"
        );
        fs::remove_file(scene.path("fakes/rm")).unwrap();
    }
}

/// What happens to the real command after the decision: what the name of the error is, what the
/// exit status.
type Mishap = (&'static str, i32, fn(&Path));

const MISHAPS: [Mishap; 6] = [
    ("No such file or directory", 127, |at| {
        fs::remove_file(at).unwrap();
    }),
    ("Permission denied", 126, |at| {
        fs::set_permissions(at, Permissions::from_mode(0o644)).unwrap();
    }),
    ("Exec format error", 126, |at| {
        script("rm -rf /no/such/place\n", at);
    }),
    ("Exec format error", 126, |at| {
        script("", at);
    }),
    ("Permission denied", 126, |at| {
        fs::remove_file(at).unwrap();
        fs::create_dir(at).unwrap();
    }),
    ("Too many symbolic links encountered", 126, |at| {
        fs::remove_file(at).unwrap();
        symlink("rm", at).unwrap();
    }),
];

/// A scene whose `rm` is a copy that a test may spoil, and a grant that counts.
fn with_a_copy() -> (Scene, String) {
    let scene = Scene::new();
    let real = scene.stand_in("fake-tool", "");
    fs::remove_file(&real).unwrap();
    copy(Path::new("/usr/bin/rm"), &real);
    let grant = scene
        .files(["f"])
        .grant_with(scene.work(""), ["--uses", "2"]);
    (scene, grant)
}

fn assert_not_started(scene: &Scene, grant: &str, ran: &Ran, code: i32, error: &str) {
    ran.exited(code).says(error);
    assert!(scene.work("f").exists());
    let failed = scene.not_started();
    assert_eq!(failed["error"], error);
    assert_eq!(scene.uses_left(grant), Some(2), "the use comes back");
    scene.assert_trail_intact();
}

#[test]
fn proc_08_a_command_that_does_not_start_is_recorded_and_costs_no_use() {
    for (error, code, mishap) in MISHAPS {
        let (scene, grant) = with_a_copy();
        let held = Held::take(&scene);
        let waiting = held.start(scene.command("safe-rm").arg("f"));
        mishap(&scene.path("fakes/rm"));
        drop(held);
        assert_not_started(&scene, &grant, &waiting.finish(), code, error);
    }
}

#[test]
fn proc_08_a_command_that_is_being_written_does_not_start() {
    let (scene, grant) = with_a_copy();
    let writer = OpenOptions::new()
        .append(true)
        .open(scene.path("fakes/rm"))
        .unwrap();
    let ran = scene.safe_rm(["f"]);
    assert_not_started(&scene, &grant, &ran, 126, "Text file busy");
    drop(writer);
    // A child that another test forked may hold it a little longer.
    until("the end of the writing", || {
        scene.safe_rm(["f"]).code == Some(0)
    });
    assert!(!scene.work("f").exists());
    assert_eq!(scene.uses_left(&grant), Some(1));
}

#[test]
fn proc_15_no_words_make_it_panic() {
    let scene = Scene::new();
    scene.files(["f"]);
    let odd: [&[u8]; 12] = [
        b"-",
        b"--=",
        b"--=x",
        b"-\xff",
        b"--\xff",
        b"--force=\xff",
        b"-\n",
        b"--interactive=\xff",
        b"/\xff/..",
        b"\xff/",
        b"--preserve-root=",
        b"\x01",
    ];
    for word in odd {
        use std::os::unix::ffi::OsStrExt;
        let word = std::ffi::OsStr::from_bytes(word);
        for words in [[word, "f".as_ref()], ["f".as_ref(), word]] {
            let mut command = scene.command("safe-rm");
            let ran = Ran::of(command.args(words).stdin(Stdio::null()));
            assert!(matches!(ran.code, Some(1 | 2)), "{ran}");
            assert!(!ran.stderr_text().contains("panicked"), "{ran}");
            assert_eq!(scene.last_entry()["decision"], "DENIED");
        }
    }
    assert!(scene.work("f").exists());
}
