//! `safe-rm` end to end: what is typed is what the real command gets, and what vanishes is what
//! plain `rm` would have removed.

mod grammar;
mod many;
mod operands;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the system's own `rm` as nobody guards it.
pub(crate) fn plain_rm<S: AsRef<OsStr>>(words: &[S], directory: &Path) -> Command {
    let mut command = Command::new("/usr/bin/rm");
    command
        .arg0("rm")
        .args(words)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null());
    command
}
