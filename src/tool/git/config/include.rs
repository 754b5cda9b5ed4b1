//! What an include names, and whether its condition holds (git's config.c, handle_path_include
//! and include_condition_is_true). What cannot be worked out exactly is an error.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::wildmatch;
use crate::sys::path::canonical;

/// What conditions and `~/` are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) home: &'a Path,
    /// The git directory without links, and as git names it when links stay.
    pub(crate) git_dir: Option<(&'a Path, &'a Path)>,
    pub(crate) branch: CurrentBranch<'a>,
}

/// The branch that HEAD stands for, without `refs/heads/`, born or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CurrentBranch<'a> {
    None,
    Named(&'a [u8]),
}

/// Why an include cannot be followed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadInclude {
    #[error("it is relative, and the command line has no directory")]
    Relative,
    #[error("pvm does not know what '~user/' or '%(prefix)/' stands for")]
    Expansion,
    #[error("pvm does not know this condition")]
    UnknownCondition,
    #[error("the condition cannot be evaluated")]
    Unevaluated,
}

/// A condition of `includeIf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Holds(bool),
    /// It depends on the URLs of all remotes.
    RemoteUrl,
}

/// Returns the file that `path` names in the file `from`.
pub(super) fn target(
    path: &[u8],
    from: Option<&Path>,
    facts: &Facts,
) -> Result<PathBuf, BadInclude> {
    let path = match expansion(path)? {
        Some(rest) => [facts.home.as_os_str().as_bytes(), rest].concat(),
        None => path.to_vec(),
    };
    if path.starts_with(b"/") {
        return Ok(path_of(path));
    }
    let directory = directory_of(from.ok_or(BadInclude::Relative)?.as_os_str().as_bytes());
    Ok(path_of([directory, path.as_slice()].concat()))
}

/// Returns what follows a `~` that stands for the home directory.
fn expansion(path: &[u8]) -> Result<Option<&[u8]>, BadInclude> {
    if path.starts_with(b"%(prefix)/") {
        return Err(BadInclude::Expansion);
    }
    match path.strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => Ok(Some(rest)),
        Some(_) => Err(BadInclude::Expansion),
        None => Ok(None),
    }
}

/// Returns everything up to the last slash, which stays.
fn directory_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash.and_then(|at| path.get(..=at)).unwrap_or_default()
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Judges the condition `text` of an `includeIf` in the file `from`.
pub(super) fn condition(
    text: &[u8],
    from: Option<&Path>,
    facts: &Facts,
) -> Result<Condition, BadInclude> {
    let holds = if let Some(pattern) = text.strip_prefix(b"gitdir:") {
        is_in_git_dir(pattern, from, facts, false)?
    } else if let Some(pattern) = text.strip_prefix(b"gitdir/i:") {
        is_in_git_dir(pattern, from, facts, true)?
    } else if let Some(pattern) = text.strip_prefix(b"onbranch:") {
        is_on_branch(pattern, facts)?
    } else if text.starts_with(REMOTE_URL) {
        return Ok(Condition::RemoteUrl);
    } else {
        // git takes an unknown condition for false, and a newer git may know this one.
        return Err(BadInclude::UnknownCondition);
    };
    Ok(Condition::Holds(holds))
}

const REMOTE_URL: &[u8] = b"hasconfig:remote.*.url:";

/// Says whether one of the URLs matches the pattern in a [`Condition::RemoteUrl`].
pub(super) fn has_remote_url(text: &[u8], urls: &[Vec<u8>]) -> Result<bool, BadInclude> {
    let pattern = text.strip_prefix(REMOTE_URL).unwrap_or_default();
    for url in urls {
        if fits(pattern, url, false)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn fits(pattern: &[u8], text: &[u8], fold: bool) -> Result<bool, BadInclude> {
    wildmatch::is_match(pattern, text, fold).ok_or(BadInclude::Unevaluated)
}

fn is_on_branch(pattern: &[u8], facts: &Facts) -> Result<bool, BadInclude> {
    match facts.branch {
        CurrentBranch::None => Ok(false),
        CurrentBranch::Named(branch) => fits(&with_everything_below(pattern), branch, false),
    }
}

fn with_everything_below(pattern: &[u8]) -> Vec<u8> {
    let below: &[u8] = if pattern.ends_with(b"/") { b"**" } else { b"" };
    [pattern, below].concat()
}

fn is_in_git_dir(
    pattern: &[u8],
    from: Option<&Path>,
    facts: &Facts,
    fold: bool,
) -> Result<bool, BadInclude> {
    let (literal, pattern) = git_dir_pattern(pattern, from, facts)?;
    let Some((real, named)) = facts.git_dir else {
        return Ok(false);
    };
    for path in [real, named] {
        let path = path.as_os_str().as_bytes();
        let Some((start, rest)) = path.split_at_checked(literal.len()) else {
            return Ok(false);
        };
        let begins = if fold {
            start.eq_ignore_ascii_case(&literal)
        } else {
            start == literal
        };
        // git looks at the second name only where the pattern itself did not match the first.
        if !begins {
            return Ok(false);
        }
        if fits(&pattern, rest, fold)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns what the path must begin with literally, and the pattern for what follows.
fn git_dir_pattern(
    pattern: &[u8],
    from: Option<&Path>,
    facts: &Facts,
) -> Result<(Vec<u8>, Vec<u8>), BadInclude> {
    let real = |path: &Path| canonical(path).map_err(|_| BadInclude::Unevaluated);
    let expanded = match expansion(pattern)? {
        Some(rest) => [real(facts.home)?.as_os_str().as_bytes(), rest].concat(),
        None => pattern.to_vec(),
    };
    if expanded.starts_with(b"./") {
        let file = real(from.ok_or(BadInclude::Relative)?)?;
        let directory = directory_of(file.as_os_str().as_bytes()).to_vec();
        let pattern = with_everything_below(&expanded);
        return Ok((directory, pattern.get(2..).unwrap_or_default().to_vec()));
    }
    let anywhere: &[u8] = if expanded.starts_with(b"/") {
        b""
    } else {
        b"**/"
    };
    let pattern = with_everything_below(&[anywhere, expanded.as_slice()].concat());
    Ok((Vec::new(), pattern))
}
