//! What runs as `git`: `push` is guarded, everything else becomes the real git as it is.

use std::borrow::Cow;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::git_push;
use super::run::{Run, Stopped};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::sys::trust::{self, Search, Searcher};
use crate::sys::{Errno, env, exec};
use crate::text::escape::shown;
use crate::text::redact;
use crate::tool::git::alias::{self, Aliases, Expansion};
use crate::tool::git::globals::{self, UsageError};
use crate::tool::git::{commands, url};

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
    // git has this one built in, and runs others by it.
    if commands::is_builtin(subcommand) && subcommand != "for-each-repo" {
        return pass_on(argv);
    }
    let aliases =
        aliases(&program(argv)?, read.words).map_err(|failure| recorded(argv, failure))?;
    match alias::expand(read.words, subcommand, read.rest, &aliases) {
        Expansion::Push(words) => {
            let read = globals::parse(&words).map_err(|error| Failure::usage(error.to_string()))?;
            Ok(git_push::run_as_git(argv, &read))
        }
        Expansion::Unclear(text) => {
            let what = format!("'git {}' may push", shown(subcommand.as_bytes()));
            let failure = denied(&what).hint(format!(
                "run what it says yourself:  {}",
                shown(&url::redacted(&text))
            ));
            Err(recorded(argv, failure))
        }
        // git would run what it takes the word for.
        Expansion::Unknown if aliases.corrects() => {
            let mut argv = argv.to_vec();
            let at = read.words.len().saturating_add(1);
            argv.splice(at..at, ["-c", "help.autocorrect=0"].map(OsString::from));
            pass_on(&argv)
        }
        Expansion::Other | Expansion::Unknown => pass_on(argv),
    }
}

fn denied(what: &str) -> Failure {
    Failure::new(ExitStatus::Denied, format!("permission denied: {what}"))
}

/// Records a refusal of what may be a push.
fn recorded(argv: &[OsString], failure: Failure) -> Stopped {
    match Run::begin(Action::GitPush, argv) {
        Ok(mut run) => {
            run.argv = Cow::Owned(redact::words(argv));
            run.recorded(failure).into()
        }
        Err(stopped) => stopped,
    }
}

/// Asks git for the aliases that it would go by (GIT-24), with the caller's environment.
fn aliases(program: &Path, globals: &[OsString]) -> Result<Aliases, Failure> {
    if env::has_duplicates() {
        return Err(
            denied("a variable stands in the environment more than once")
                .hint("git and the programs that it runs would not agree on its value"),
        );
    }
    // The first has a say in `git config` only, and the others would be told of a question that
    // nobody asked.
    let is_of_question = |word: &CString| {
        let word = word.as_bytes();
        !word.starts_with(b"GIT_CONFIG=") && !word.starts_with(b"GIT_TRACE")
    };
    let environment: Vec<CString> = env::whole().into_iter().filter(is_of_question).collect();
    let mut arguments = globals.to_vec();
    let question = ["config", "--null", "--get-regexp", alias::WANTED];
    arguments.extend(question.map(OsString::from));
    match exec::answer(program, &arguments, &environment) {
        Ok(Ok(listed)) => Ok(Aliases::parse(&listed)),
        // Nothing is set.
        Ok(Err(1)) => Ok(Aliases::default()),
        Ok(Err(status)) => Err(denied(&format!(
            "git does not say what its aliases are (exit status {status})"
        ))
        .hint("see what is wrong:  git config --list")),
        Err(error) => Err(Failure::internal(format!("cannot ask git: {error}"))),
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
