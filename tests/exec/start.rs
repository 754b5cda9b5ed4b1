use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::sys::signal::Signal;

use super::{exec, grant, grant_below};
use crate::support::{Launch, Ran, Scene, Started, landlock};

/// A scene with the recording stand-in as a trusted program, and a grant for any command.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.fake("fake-tool", "tool");
    let fakes = scene.path("fakes");
    scene.configure(&format!(
        "resolver.trusted_dirs = [\"{}\"]",
        fakes.display()
    ));
    grant_below(&scene, "exec", &scene.work(""));
    scene
}

#[test]
fn v_d35_and_p_d5_the_words_arrive_as_they_were_typed() {
    if !landlock(3) {
        return;
    }
    let scene = scene();
    let words: [&[u8]; 9] = [
        b"tool",
        b"--",
        b"a b",
        b"",
        b"*",
        b"$HOME",
        b"\xff\xfe",
        b"--help",
        b"a\nb",
    ];
    let words = words.map(OsStr::from_bytes);
    let started = Started::read(&exec(&scene, words));
    assert_eq!(started.argv, words);
    assert_eq!(
        started.field("cwd").as_str().unwrap(),
        scene.work("").to_str().unwrap().trim_end_matches('/')
    );
    let mut command = scene.command("pvm");
    command.args(["exec", "--", "printf", "%s\n", "a b"]);
    assert_eq!(Ran::of(&mut command).succeeded().stdout, b"a b\n");
}

#[test]
fn env_10_the_environment_is_made_anew() {
    if !landlock(3) {
        return;
    }
    let scene = scene();
    let mut command = scene.command("pvm");
    command.args(["exec", "--", "tool"]).envs([
        ("LD_PRELOAD", "/tmp/x.so"),
        ("LD_LIBRARY_PATH", "/tmp"),
        ("BASH_ENV", "/tmp/x"),
        ("ENV", "/tmp/x"),
        ("PYTHONPATH", "/tmp"),
        ("NODE_OPTIONS", "--require /tmp/x"),
        ("PERL5LIB", "/tmp"),
        ("GIT_DIR", "/tmp"),
        ("HOME", "/tmp/agent"),
        ("TMPDIR", "/tmp/agent"),
        ("IFS", "x"),
        ("PVM_AGENT_ID", "a"),
        ("TERM", "xterm"),
        ("LANG", "de_DE.UTF-8"),
        ("SSH_AUTH_SOCK", "/tmp/agent.sock"),
        ("https_proxy", "http://proxy:3128"),
    ]);
    let environment = Started::read(&Ran::of(&mut command)).environment;
    let mut names: Vec<&str> = environment.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SSH_AUTH_SOCK",
        "TERM",
        "TMPDIR",
        "USER",
        "https_proxy",
    ];
    assert_eq!(names, expected);
    assert_ne!(environment["HOME"], "/tmp/agent");
    let path = environment["PATH"].to_str().unwrap();
    assert!(path.starts_with("/usr/local/sbin:"), "{path}");
    assert!(
        path.ends_with(scene.path("fakes").to_str().unwrap()),
        "{path}"
    );
    assert!(
        environment["TMPDIR"]
            .to_str()
            .unwrap()
            .starts_with("/tmp/pvm-exec-")
    );
}

#[test]
fn proc_03_to_05_signals_umask_and_descriptors_are_as_they_came() {
    if !landlock(3) {
        return;
    }
    let scene = scene();
    let bit = |signal: Signal| 1_u64 << (signal as u32 - 1);
    let mask = |started: &Started, name: &str| {
        u64::from_str_radix(started.field(name).as_str().unwrap(), 16).unwrap() & 0x7fff_ffff
    };
    let plain = Started::read(&exec(&scene, ["tool"]));
    let before = mask(&plain, "sig_ignored");
    assert_eq!(before & (bit(Signal::SIGPIPE) | bit(Signal::SIGXFSZ)), 0);
    assert_eq!(*plain.field("descriptors"), serde_json::json!([0, 1, 2]));
    for (ignored, blocked) in [
        (Signal::SIGPIPE, Signal::SIGTERM),
        (Signal::SIGXFSZ, Signal::SIGCHLD),
    ] {
        let mut command = scene.command("pvm");
        command
            .args(["exec", "--", "tool"])
            .with_signals(ignored, blocked)
            .with_umask(0o741)
            .with_leaked(57);
        let started = Started::read(&Ran::of(&mut command));
        assert_eq!(mask(&started, "sig_ignored"), before | bit(ignored));
        assert_eq!(mask(&started, "sig_blocked"), bit(blocked));
        assert_eq!(*started.field("umask"), "0741");
        assert_eq!(*started.field("descriptors"), serde_json::json!([0, 1, 2]));
    }
}

#[test]
fn standard_input_is_the_commands() {
    let scene = Scene::new();
    grant(&scene, ["cat"]);
    let mut command = scene.command("pvm");
    let ran = Ran::with_input(command.args(["exec", "--", "cat"]), b"a\0b\xff");
    assert_eq!(ran.succeeded().stdout, b"a\0b\xff");
}
