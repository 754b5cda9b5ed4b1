use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{After, Ground, overwrote, plain_git};
use crate::support::{C, D, Plot, Ran, Running, append, real_git, tracing, until};

/// What an agent writes into the configuration when pvm has looked at it. With plain git each of
/// these lets `git push origin new behind main` overwrite or delete something, or go elsewhere.
const CHANGES: &[(&str, &str)] = &[
    (
        "GIT-21",
        "[remote \"origin\"]\n\tpush = +refs/heads/*:refs/heads/*\n",
    ),
    (
        "GIT-21",
        "[remote \"origin\"]\n\tpush = +refs/heads/new:refs/heads/topic\n",
    ),
    ("GIT-29", "[remote \"origin\"]\n\tpushurl = ../other.git\n"),
    ("GIT-29", "[remote \"origin\"]\n\turl = ../other.git\n"),
    ("GIT-28", "[url \"../other\"]\n\tinsteadOf = ../origin\n"),
    (
        "GIT-28",
        "[url \"../other\"]\n\tpushInsteadOf = ../origin\n",
    ),
    (
        "GIT-38",
        "[remote \"origin\"]\n\treceivepack = sh -c 'touch ../ran; git-receive-pack ../other.git' -- \n",
    ),
];

/// `main` is not a fast-forward: git refuses it and pushes the others.
const WORDS: [&str; 5] = ["origin", "new", "behind", "reinforce", "main"];

/// Says whether a push did anything but move `behind` forward and make `new` and `reinforce`.
fn went_wrong(plot: &Plot, before: &crate::support::Refs) -> bool {
    let mut expected = before.clone();
    for name in ["behind", "new", "reinforce"] {
        expected.insert(format!("origin refs/heads/{name}"), C.to_owned());
    }
    plot.remote_refs() != expected || plot.path("ran").exists()
}

/// Waits at a gate, then becomes plain git: what the configuration says then is what counts.
fn plain_through_a_delay(plot: &Plot, change: &str) -> Ran {
    let gate = plot.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let git = plain_git(&plot.tree(), ["push"]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "read -r _ <\"$0\"; exec \"$@\""])
        .arg(&gate)
        .arg(git.get_program())
        .args(git.get_args())
        .args(WORDS)
        .env_clear()
        .current_dir(plot.tree());
    for (name, value) in git.get_envs() {
        command.env(name, value.unwrap());
    }
    let running = Running::start(&mut command);
    plot.configure(change);
    fs::write(gate, "\n").unwrap();
    running.finish()
}

#[test]
fn git_20_to_29_what_changes_while_pvm_decides_changes_nothing() {
    let ground = Ground::new();
    for (number, (name, change)) in CHANGES.iter().enumerate() {
        println!("{name} {change:?}");
        let control = ground.plot(&format!("control{number}"), "");
        let before = control.remote_refs();
        let ran = plain_through_a_delay(&control, change);
        assert!(went_wrong(&control, &before), "plain git heeds it: {ran}");

        let plot = ground.plot(&format!("case{number}"), "");
        let held = ground.hold();
        let running = held.start(&mut ground.push_command(&plot.tree(), WORDS));
        plot.configure(change);
        drop(held);
        let ran = running.finish();
        ran.exited(1);
        assert!(!went_wrong(&plot, &before), "{change}: {ran}");
        assert_eq!(
            ground.ran("git-push")["scopes"].as_array().unwrap().len(),
            4
        );
    }
}

/// The same, between the record of the decision and the first thing that git does.
#[test]
fn git_20_to_29_what_changes_after_the_decision_changes_nothing() {
    if !tracing("a change between the decision and the start of git") {
        return;
    }
    let ground = Ground::new();
    for (number, (name, change)) in CHANGES.iter().enumerate() {
        println!("{name} {change:?}");
        let plot = ground.plot(&format!("case{number}"), "");
        let before = plot.remote_refs();
        let entries = ground.scene.trail().len();
        let waiting = Waiting::start(&ground.push_command(&plot.tree(), WORDS));
        assert_eq!(ground.scene.trail().len(), entries + 1, "it has decided");
        plot.configure(change);
        let ran = waiting.finish();
        ran.exited(1);
        assert!(!went_wrong(&plot, &before), "{change}: {ran}");
    }
}

/// A command that has just become git: strace(1) sends it the signal to stop with the call that
/// made it so, and nothing of the new program has run.
pub(super) struct Waiting {
    running: Running,
    pid: Pid,
}

impl Waiting {
    pub(super) fn start(command: &Command) -> Self {
        let mut strace = Command::new("/usr/bin/strace");
        strace
            .env_clear()
            .args(["-qq", "-o", "/dev/null", "-e", "trace=execve"])
            .args(["-e", "inject=execve:signal=STOP:when=1"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap())
            .stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            strace.env(name, value.unwrap());
        }
        let running = Running::start(&mut strace);
        let tracer = running.0.id();
        let children = format!("/proc/{tracer}/task/{tracer}/children");
        let mut pid = 0;
        until("the start of git", || {
            let child = fs::read_to_string(&children).unwrap_or_default();
            pid = child.trim().parse().unwrap_or(pid);
            let program = fs::read_link(format!("/proc/{pid}/exe"));
            program.is_ok_and(|program| program == fs::canonicalize(real_git()).unwrap())
        });
        Self {
            running,
            pid: Pid::from_raw(pid),
        }
    }

    /// Lets git begin.
    pub(super) fn finish(self) -> Ran {
        kill(self.pid, Signal::SIGCONT).unwrap();
        self.running.finish()
    }
}

#[test]
fn git_22_a_default_that_changes_while_pvm_decides_changes_nothing() {
    let ground = Ground::new();
    for (number, change) in [
        "[remote \"origin\"]\n\tmirror = true\n",
        "[remote \"origin\"]\n\tpush = +main\n\tpush = :old\n",
        "[push]\n\tdefault = matching\n",
        "[remote]\n\tpushDefault = ../other.git\n",
        "[branch \"behind\"]\n\tpushRemote = ../other.git\n",
        "[push]\n\tfollowTags = true\n",
    ]
    .into_iter()
    .enumerate()
    {
        let plot = ground.plot(&number.to_string(), "");
        fs::write(plot.tree().join(".git/HEAD"), "ref: refs/heads/behind\n").unwrap();
        let mut expected = plot.remote_refs();
        let held = ground.hold();
        let running = held.start(&mut ground.push_command(&plot.tree(), [""; 0]));
        plot.configure(change);
        drop(held);
        running.finish().exited(0);
        expected.insert("origin refs/heads/behind".to_owned(), C.to_owned());
        assert_eq!(plot.remote_refs(), expected, "{change}");
    }
}

/// A branch can be moved, but what it is moved to is pushed as plain git would.
#[test]
fn git_54_a_branch_that_moves_while_pvm_decides_is_still_pushed_plainly() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let before = plot.remote_refs();
    let held = ground.hold();
    let running = held.start(&mut ground.push_command(&plot.tree(), ["origin", "behind"]));
    append(&plot.tree().join(".git/HEAD"), "");
    fs::write(plot.tree().join(".git/refs/heads/behind"), format!("{D}\n")).unwrap();
    drop(held);
    let ran = running.finish();
    assert!(!overwrote(&plot, &before), "{ran}");
    let after = After::of(&ran, &plot);
    assert_eq!(after.remotes["origin refs/heads/behind"], D);
}

/// A forced push under a grant on one ref cannot be turned against another one either.
#[test]
fn git_20_to_29_what_a_grant_allows_cannot_be_turned_elsewhere() {
    let ground = Ground::new();
    for (number, (name, change)) in CHANGES.iter().enumerate() {
        println!("{name} {change:?}");
        let plot = ground.plot(&number.to_string(), "");
        let origin = plot.origin().display().to_string();
        ground.grant_force(&format!("{origin}#refs/heads/main"));
        let mut expected = plot.remote_refs();
        let held = ground.hold();
        let words = ["--force", "origin", "main"];
        let running = held.start(&mut ground.push_command(&plot.tree(), words));
        plot.configure(change);
        drop(held);
        let ran = running.finish();
        // It may notice the change and refuse; what it may not do is reach anything else.
        if ran.code == Some(0) {
            expected.insert("origin refs/heads/main".to_owned(), C.to_owned());
        }
        assert_eq!(plot.remote_refs(), expected, "{change}: {ran}");
        assert!(!plot.path("ran").exists(), "{change}");
    }
}
