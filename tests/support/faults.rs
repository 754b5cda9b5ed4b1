use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::scene::Ran;

/// One system call that goes wrong, by strace(1): which, at which of its occurrences, and how
/// (`error=EIO`, `signal=KILL`, `retval=0`).
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: String,
    pub(crate) at: usize,
    pub(crate) how: &'static str,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} number {}: {}", self.call, self.at, self.how)
    }
}

/// Says whether processes can be traced here; prints what is skipped when they cannot.
pub(crate) fn tracing(what: &str) -> bool {
    let ran = Command::new("/usr/bin/strace")
        .args(["-f", "-qq", "-o", "/dev/null", "/bin/true"])
        .stdin(Stdio::null())
        .output();
    let why = match ran {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    println!("skipped: {what} needs strace: {}", why.trim());
    false
}

/// Returns how often a command makes each system call, up to and without the one by which it
/// becomes another program.
pub(crate) fn count_calls(command: &Command, log: &Path) -> BTreeMap<String, usize> {
    let ran = Ran::of(&mut traced(command, &["-o", log.to_str().unwrap()]));
    ran.exited(0);
    let text = fs::read_to_string(log).unwrap();
    let mut calls = BTreeMap::new();
    let names = text.lines().filter_map(|line| {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        call.split_once('(').map(|(name, _)| name)
    });
    for name in names.filter(|name| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }) {
        if name == "execve" && calls.contains_key(name) {
            break;
        }
        *calls.entry(name.to_owned()).or_insert(0) += 1;
    }
    calls
}

/// Runs a command in which one system call goes wrong.
pub(crate) fn run_with(command: &Command, fault: &Fault) -> Ran {
    let Fault { call, at, how } = fault;
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:{how}:when={at}");
    Ran::of(&mut traced(
        command,
        &[
            "--seccomp-bpf",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ],
    ))
}

fn traced(command: &Command, options: &[&str]) -> Command {
    let mut strace = Command::new("/usr/bin/strace");
    strace
        .env_clear()
        .stdin(Stdio::null())
        .args(["-f", "-qq"])
        .args(options);
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap());
    }
    strace.current_dir(command.get_current_dir().unwrap());
    strace
}
