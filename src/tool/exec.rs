//! `pvm exec`: any other command, by its words and the file that they start.

pub(crate) mod runs;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::argv::spell;
use crate::model::action::Action;
use crate::model::operation::{Invocation, Objects, Operation};
use crate::model::scope::{InvalidScope, PathScope};
use crate::sys::env::SAFE_PATH;
use crate::sys::path::{self, PathError};
use crate::sys::trust::{BoundProgram, Examined, Program, Searcher, Standing, is_executable};

/// What has a wrapper of its own, and which: `pvm exec` is no way around it.
const GUARDED: [(&str, &str); 8] = [
    ("rm", "safe-rm"),
    ("safe-rm", "safe-rm"),
    ("git", "safe-git-push"),
    ("safe-git-push", "safe-git-push"),
    ("trash", "safe-trash"),
    ("trash-put", "safe-trash"),
    ("safe-trash", "safe-trash"),
    ("pvm", "pvm"),
];

/// Why a command is refused before any rule or grant is looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no command")]
    NoCommand,
    #[error("'{name}' has a wrapper of its own")]
    Guarded { name: String, wrapper: &'static str },
    #[error("'{}' is not on PATH", spell(.0.as_bytes()))]
    NotOnPath(OsString),
    #[error("{}: {error}", spell(.path.as_os_str().as_bytes()))]
    NotThere { path: PathBuf, error: io::Error },
    #[error("'{}' cannot be executed", spell(.0.as_os_str().as_bytes()))]
    NotExecutable(PathBuf),
    #[error("the program is not trusted")]
    Distrusted {
        examined: Box<Examined>,
        instead: Option<PathBuf>,
    },
    #[error("cannot read {}: {error}", spell(.path.as_os_str().as_bytes()))]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("the working directory cannot be a scope: {0}")]
    Directory(InvalidScope),
    #[error("cannot look at the working directory: {0}")]
    Unseen(PathError),
}

/// A command and the file that it would start.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) operation: Operation,
    pub(crate) program: Program,
    pub(crate) examined: Examined,
}

/// Finds the file that `words` would start in `cwd`, and says what would be run.
///
/// A first word without a slash is searched for in the absolute directories of `search_path`; one
/// with a slash is that file.
pub(crate) fn resolve(
    words: &[OsString],
    searcher: &Searcher,
    search_path: Option<&OsStr>,
    cwd: PathBuf,
) -> Result<Resolved, Refused> {
    let typed = words.first().filter(|word| !word.is_empty());
    let typed = typed.ok_or(Refused::NoCommand)?;
    let directory = match PathScope::new(&cwd) {
        Ok(scope) => Some(scope),
        Err(InvalidScope::Root) => None,
        Err(error) => return Err(Refused::Directory(error)),
    };
    let lineage = path::ancestry(&cwd).map_err(Refused::Unseen)?;
    guarded(typed)?;
    let examined = if typed.as_bytes().contains(&b'/') {
        let path = cwd.join(typed);
        std::fs::metadata(&path).map_err(|error| Refused::NotThere {
            path: path.clone(),
            error,
        })?;
        if searcher.is_own(&path) {
            return Err(not_itself());
        }
        if !is_executable(&path) {
            return Err(Refused::NotExecutable(path));
        }
        searcher.examine(path)
    } else {
        let found = searcher.examine_named(typed, search_path);
        found.ok_or_else(|| Refused::NotOnPath(typed.clone()))?
    };
    if let Some(name) = examined.found.program.file_name() {
        guarded(name)?;
    }
    let program = program(&examined, searcher, typed)?;
    let operation = Operation {
        action: Action::Exec,
        objects: Objects::Command(Invocation {
            words: words.to_vec(),
            program: program.path().to_owned(),
            digest: match &program {
                Program::Trusted(_) => None,
                Program::Bound(bound) => Some(bound.digest()),
            },
            directory,
            lineage,
            inner: runs::inner(words, program.path()),
            pieces: runs::pieces(words, program.path()),
            search: searched(search_path, searcher),
        }),
        argv: words.to_vec(),
        cwd,
    };
    Ok(Resolved {
        operation,
        program,
        examined,
    })
}

/// Returns the directories in which the caller would look for a program, and those in which the
/// command itself will.
fn searched(search_path: Option<&OsStr>, searcher: &Searcher) -> Vec<PathBuf> {
    let of_caller = std::env::split_paths(search_path.unwrap_or_default());
    let usual = std::env::split_paths(SAFE_PATH);
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in of_caller
        .chain(usual)
        .chain(searcher.trusted_directories.iter().cloned())
    {
        if directory.is_absolute() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

fn program(examined: &Examined, searcher: &Searcher, typed: &OsStr) -> Result<Program, Refused> {
    match &examined.standing {
        Standing::Trusted(program) => Ok(Program::Trusted(program.clone())),
        Standing::Changeable => {
            let path = &examined.found.program;
            let bound = BoundProgram::read(path).map_err(|error| Refused::Unreadable {
                path: path.clone(),
                error,
            })?;
            Ok(Program::Bound(bound))
        }
        Standing::Refused => Err(Refused::Distrusted {
            examined: Box::new(examined.clone()),
            instead: Path::new(typed)
                .file_name()
                .and_then(|name| searcher.trusted_instead(name)),
        }),
    }
}

fn guarded(word: &OsStr) -> Result<(), Refused> {
    let base = Path::new(word).file_name().unwrap_or(word);
    match GUARDED.iter().find(|(name, _)| base == OsStr::new(name)) {
        Some((name, wrapper)) => Err(Refused::Guarded {
            name: (*name).to_owned(),
            wrapper,
        }),
        None => Ok(()),
    }
}

fn not_itself() -> Refused {
    Refused::Guarded {
        name: "pvm".to_owned(),
        wrapper: "pvm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::trust::own_identity;

    fn read(words: &[&str]) -> Result<Resolved, Refused> {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        let searcher = Searcher::new(own_identity().unwrap(), &[]);
        resolve(
            &words,
            &searcher,
            Some(OsStr::new("/usr/bin")),
            PathBuf::from("/usr"),
        )
    }

    #[test]
    fn v_d2_the_file_that_is_found_is_part_of_the_key() {
        let by_name = read(&["true"]).unwrap();
        assert_eq!(by_name.program.path(), Path::new("/usr/bin/true"));
        let by_path = read(&["bin/true"]).unwrap();
        assert_eq!(by_path.program.path(), Path::new("/usr/bin/true"));
        assert_ne!(by_name.operation.key(), by_path.operation.key());
        let Objects::Command(command) = by_path.operation.objects else {
            panic!("a command")
        };
        assert_eq!((command.digest, command.inner), (None, Vec::new()));
    }

    #[test]
    fn what_has_a_wrapper_is_not_run_under_any_spelling() {
        for word in [
            "rm",
            "/bin/rm",
            "bin/rm",
            "git",
            "trash-put",
            "pvm",
            "safe-rm",
            "/no/such/rm",
        ] {
            assert!(
                matches!(read(&[word, "x"]), Err(Refused::Guarded { .. })),
                "{word}"
            );
        }
    }

    #[test]
    fn env_05_what_cannot_be_executed_is_said() {
        assert!(matches!(read(&[]), Err(Refused::NoCommand)));
        assert!(matches!(read(&[""]), Err(Refused::NoCommand)));
        assert!(matches!(
            read(&["no-such-program"]),
            Err(Refused::NotOnPath(_))
        ));
        assert!(matches!(
            read(&["./no-such"]),
            Err(Refused::NotThere { .. })
        ));
        assert!(matches!(read(&["./bin"]), Err(Refused::NotExecutable(_))));
        assert!(matches!(
            read(&["/etc/passwd"]),
            Err(Refused::NotExecutable(_))
        ));
        assert!(matches!(read(&["."]), Err(Refused::NotOnPath(_))));
    }
}
