use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

/// Returns the words as C strings, or nothing when one holds a NUL byte.
pub(crate) fn c_words(words: &[OsString]) -> Option<Vec<CString>> {
    words
        .iter()
        .map(|word| CString::new(word.clone().into_vec()).ok())
        .collect()
}

/// Becomes `program`. Returns only when that failed.
pub(crate) fn become_program(
    program: &Path,
    argv: &[CString],
    environment: &[CString],
) -> Result<Infallible, Errno> {
    let path = CString::new(program.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    execve(&path, argv, environment)
}

/// Says whether a program calls itself GNU, by running it with `--version`.
pub(crate) fn is_gnu(program: &Path) -> std::io::Result<bool> {
    let output = std::process::Command::new(program)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::null())
        .output()?;
    let first_line = output
        .stdout
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    Ok(output.status.success() && contains(first_line, b"(GNU coreutils)"))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
