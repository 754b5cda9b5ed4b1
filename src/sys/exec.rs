use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::execve;

use super::process;

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

/// Runs a program to its end and returns what it wrote to standard output, or its exit status when
/// it failed. Its standard error is the caller's, so that it can say why.
///
/// `environment` is the whole of it, in words of the form `NAME=VALUE`.
pub(crate) fn output(
    program: &Path,
    arguments: &[OsString],
    environment: &[CString],
    input: &[u8],
) -> std::io::Result<Result<Vec<u8>, i32>> {
    run(&mut command(program, arguments, environment), input)
}

/// Runs a program as [`output`] does, without input, and nobody hears what it has to say besides.
pub(crate) fn answer(
    program: &Path,
    arguments: &[OsString],
    environment: &[CString],
) -> std::io::Result<Result<Vec<u8>, i32>> {
    let mut command = command(program, arguments, environment);
    run(command.stderr(Stdio::null()), b"")
}

fn command(program: &Path, arguments: &[OsString], environment: &[CString]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for word in environment {
        let word = word.as_bytes();
        let sign = word.iter().position(|byte| *byte == b'=');
        if let Some((name, value)) = sign.and_then(|sign| word.split_at_checked(sign)) {
            let value = value.get(1..).unwrap_or_default();
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    command
}

fn run(command: &mut Command, input: &[u8]) -> std::io::Result<Result<Vec<u8>, i32>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // The child is started, and has the disposition that it is to have.
    let pipe = process::ignore_broken_pipes()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says more by its status.
        let _unread = stdin.write_all(input);
    }
    pipe.restore()?;
    let output = child.wait_with_output()?;
    Ok(if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(output.status.code().unwrap_or(128))
    })
}

/// Says whether a program calls itself GNU, by running it with `--version`.
pub(crate) fn is_gnu(program: &Path) -> std::io::Result<bool> {
    let output = Command::new(program)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
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
