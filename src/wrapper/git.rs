//! What runs as `git`: `push` is guarded, everything else becomes the real git as it is.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::git_push;
use super::run::{Run, Stopped};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::sys::trust::{self, Search, Searcher};
use crate::sys::{Errno, env, exec};
use crate::text::escape::shown;
use crate::tool::git::globals::{self, Globals, UsageError};
use crate::tool::git::{alias, commands};

/// Runs `git`. `argv` is what was typed, the program's name first.
pub(crate) fn run(argv: &[OsString]) -> ExitStatus {
    match guard(argv) {
        Ok(status) => status,
        Err(stopped) => stopped.print(git_push::REAL_NAME),
    }
}

fn guard(argv: &[OsString]) -> Result<ExitStatus, Stopped> {
    let words = argv.get(1..).unwrap_or_default();
    let read = match globals::parse(words) {
        Ok(read) => read,
        Err(UsageError::Unknown {
            word,
            push_follows: true,
        }) => {
            let what = format!("unknown option '{word}' before 'push'");
            let failure = Failure::usage(what)
                .hint("where the command begins is not clear, and it may be a push");
            return Err(recorded(argv, failure));
        }
        // git says what is wrong.
        Err(_) => return pass_on(argv),
    };
    let Some(subcommand) = read.subcommand else {
        return pass_on(argv);
    };
    if subcommand == "push" {
        return Ok(git_push::run_as_git(argv, &read));
    }
    if commands::is_builtin(subcommand) {
        return pass_on(argv);
    }
    let program = program(argv)?;
    match expand(&program, &read, subcommand).map_err(|failure| recorded(argv, failure))? {
        None => pass_on(argv),
        Some(words) => {
            let mut expanded = vec![OsString::from(git_push::REAL_NAME)];
            expanded.extend(words);
            let words = expanded.get(1..).unwrap_or_default();
            let read = globals::parse(words).map_err(|error| Failure::usage(error.to_string()))?;
            Ok(git_push::run_as_git(argv, &read))
        }
    }
}

/// Records a refusal of what may be a push.
fn recorded(argv: &[OsString], failure: Failure) -> Stopped {
    match Run::begin(Action::GitPush, argv) {
        Ok(mut run) => {
            run.argv = Cow::Owned(git_push::redacted(argv));
            run.recorded(failure).into()
        }
        Err(stopped) => stopped,
    }
}

/// Follows aliases. Returns the words of a push when they lead to one (GIT-24).
fn expand(
    program: &Path,
    read: &Globals<'_>,
    subcommand: &OsStr,
) -> Result<Option<Vec<OsString>>, Failure> {
    let ask = |name: &OsStr| -> Result<Option<Vec<u8>>, Failure> {
        let mut arguments = read.words.to_vec();
        let mut key = OsString::from("alias.");
        key.push(name);
        arguments.extend(["config", "--null", "--get"].map(OsString::from));
        arguments.push(key);
        // With the caller's whole environment: it is what git would go by.
        match exec::output(program, &arguments, &env::whole(), b"") {
            Ok(Ok(answer)) => Ok(Some(answer.strip_suffix(b"\0").unwrap_or(&answer).to_vec())),
            Ok(Err(_)) => Ok(None),
            Err(error) => Err(Failure::internal(format!("cannot ask git: {error}"))),
        }
    };
    let expansion = alias::expand(read.words, subcommand, read.rest, ask)?;
    match expansion {
        alias::Expansion::Push(words) => Ok(Some(words)),
        alias::Expansion::Other => Ok(None),
        alias::Expansion::Unclear(text) => Err(Failure::new(
            ExitStatus::Denied,
            format!(
                "permission denied: the alias '{}' runs a shell that may push",
                shown(subcommand.as_bytes())
            ),
        )
        .hint(format!("run what it says yourself:  {}", shown(&text)))),
    }
}

/// Finds the real git. Neither the configuration nor the vault is looked at unless it has to be.
fn program(argv: &[OsString]) -> Result<PathBuf, Stopped> {
    let own = trust::own_identity().map_err(Failure::internal)?;
    let search_path = env::bytes("PATH");
    let search = Searcher::new(own, &[]).search(git_push::REAL_NAME, search_path.as_deref());
    if let Search::Trusted(program) = search {
        return Ok(program.path().to_owned());
    }
    let run = Run::begin(Action::GitPush, argv)?;
    let program = run.find_program(git_push::REAL_NAME)?;
    Ok(program.path().to_owned())
}

/// Becomes the real git with the caller's words and environment, untouched.
fn pass_on(argv: &[OsString]) -> Result<ExitStatus, Stopped> {
    let program = program(argv)?;
    let mut argv = argv.to_vec();
    if let Some(first) = argv.first_mut() {
        *first = OsString::from(git_push::REAL_NAME);
    }
    let words =
        exec::c_words(&argv).ok_or_else(|| Failure::internal("an argument holds a NUL byte"))?;
    let Err(error) = exec::become_program(&program, &words, &env::whole());
    let status = match error {
        Errno::ENOENT => ExitStatus::NotFound,
        _ => ExitStatus::NotExecutable,
    };
    let what = format!("cannot execute {}: {}", program.display(), error.desc());
    Err(Failure::new(status, what).into())
}
