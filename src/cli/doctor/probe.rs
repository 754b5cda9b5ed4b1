use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::place::Scratch;
use crate::confine::{ConfineError, Ruleset};
use crate::sys::{fs, process};
use crate::text::escape::shown;

/// Under which label the probes run, so that the trail tells them apart.
pub(super) const AGENT: &str = "pvm-doctor";

/// Confines a child process, which then has to fail to remove a file.
pub(super) fn landlock(scratch: &Scratch) -> io::Result<()> {
    let file = scratch.file()?;
    let status = process::in_child(|| {
        let enforced =
            Ruleset::build([]).and_then(|ruleset| ruleset.enforce(|| fs::remove_file(&file)));
        match enforced {
            Ok(()) => 0,
            Err(ConfineError::CanaryDied) => 1,
            Err(ConfineError::NotEnforced) => 2,
            Err(_) => 3,
        }
    })?;
    match (status, file.exists()) {
        (0, true) => Ok(()),
        (0 | 1, _) => Err(io::Error::other(
            "a removal went through that a ruleset forbids",
        )),
        (2, _) => Err(io::Error::other("the kernel did not enforce a ruleset")),
        _ => Err(io::Error::other("a process could not be confined")),
    }
}

/// What a wrapper made of a file that no grant covers.
#[derive(Debug)]
pub(super) enum Answer {
    Refused {
        /// There were too many refusals, so it has no entry of its own.
        counted: bool,
    },
    /// It removed the file.
    Removed,
    /// It refused, but not for the want of a grant.
    Other { status: Option<i32>, said: String },
}

/// Runs a wrapper on a file, which it has to refuse.
pub(super) fn wrapper(program: &Path, scratch: &Scratch) -> io::Result<Answer> {
    let file = scratch.file()?;
    let output = Command::new(program)
        .arg("--")
        .arg(&file)
        .env("PVM_AGENT_ID", AGENT)
        .env_remove("PVM_JSON")
        .stdin(Stdio::null())
        .output()?;
    let mut lines = output.stderr.split(|byte| *byte == b'\n');
    let said = shown(lines.next().unwrap_or_default());
    let then = shown(lines.next().unwrap_or_default());
    let status = output.status.code();
    let counted = said.contains("permission denied: too many refusals");
    let why = if counted {
        "hint: no active grant covers"
    } else {
        "permission denied: no active grant covers"
    };
    Ok(if !file.exists() {
        Answer::Removed
    } else if status == Some(1) && [said.as_str(), &then].iter().any(|line| line.contains(why)) {
        Answer::Refused { counted }
    } else {
        Answer::Other { status, said }
    })
}
