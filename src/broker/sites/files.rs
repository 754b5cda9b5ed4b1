use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{is_out_of_reach, target};
use crate::model::operation::{FileIdentity, Invocation, Objects, Operation};
use crate::model::rule::{Matter, Rule, WordPattern};
use crate::sys::path::{self, PathError};

/// Programs that are another for each name they are started under: being the same file says nothing.
const MANY_IN_ONE: [&str; 6] = [
    "busybox",
    "busybox.static",
    "coreutils",
    "rustup",
    "rustup-init",
    "toybox",
];

/// The files that the words of a command stand for; looked at once, and only where a rule names
/// a program that could be one of them.
#[derive(Debug, Default)]
pub(super) struct Files<'a> {
    /// Nothing for operations that run no command.
    command: Option<(&'a Invocation, &'a Path)>,
    /// The directories in which names are looked for, each once: `/bin` may be `/usr/bin`.
    search: Vec<PathBuf>,
    /// Of each command among the words, by its place.
    started: Option<Vec<(usize, FileIdentity)>>,
    /// What the names in rules came to.
    known: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(operation: &'a Operation) -> Self {
        let command = match &operation.objects {
            Objects::Command(command) => Some((command, operation.cwd.as_path())),
            _ => None,
        };
        Self {
            command,
            ..Self::default()
        }
    }

    /// Returns the places of the commands that start the file which a rule that forbids names. Only
    /// a name or path without wildcards names one.
    pub(super) fn named_by(&mut self, rule: &'a Rule) -> Result<Vec<usize>, (PathBuf, PathError)> {
        let Matter::Command { words, .. } = &rule.matter else {
            return Ok(Vec::new());
        };
        let (Some(WordPattern::Literal(name)), Some((command, cwd))) =
            (words.first(), self.command)
        else {
            return Ok(Vec::new());
        };
        if let Some(known) = self.known.get(name.as_str()) {
            return Ok(known.clone());
        }
        if self.started.is_none() {
            self.search = distinct(&command.search)?;
            self.started = Some(started(command, cwd, &self.search)?);
        }
        let mut places = Vec::new();
        for at in candidates(OsStr::new(name), cwd, &self.search) {
            let Some(file) = identity(&at)? else {
                continue;
            };
            let same = self.started.iter().flatten();
            let same = same.filter(|(_, started)| *started == file);
            let same: Vec<usize> = same.map(|(place, _)| *place).collect();
            if !same.is_empty() && !is_many_in_one(&at)? {
                places.extend(same);
            }
        }
        places.sort_unstable();
        places.dedup();
        self.known.insert(name, places.clone());
        Ok(places)
    }
}

/// Returns the files that the command itself and those in its words would start.
fn started(
    command: &Invocation,
    cwd: &Path,
    search: &[PathBuf],
) -> Result<Vec<(usize, FileIdentity)>, (PathBuf, PathError)> {
    let search = [search, &paths_in(command)].concat();
    let mut started = Vec::new();
    for (place, spoken) in command.commands().enumerate() {
        let name = match place {
            0 => command.program.as_os_str(),
            _ => spoken.name,
        };
        for at in candidates(name, cwd, &search) {
            started.extend(identity(&at)?.map(|file| (place, file)));
        }
    }
    Ok(started)
}

/// Returns the directories that are there, each under its first name only.
fn distinct(directories: &[PathBuf]) -> Result<Vec<PathBuf>, (PathBuf, PathError)> {
    let mut known = Vec::new();
    let mut distinct = Vec::new();
    for directory in directories {
        if let Some(place) = identity(directory)?.filter(|place| !known.contains(place)) {
            known.push(place);
            distinct.push(directory.clone());
        }
    }
    Ok(distinct)
}

/// Returns the directories of every PATH that is set among the words, as for `env`.
fn paths_in(command: &Invocation) -> Vec<PathBuf> {
    let words = command.words.iter().chain(&command.pieces);
    let values = words.filter_map(|word| word.as_bytes().strip_prefix(b"PATH="));
    values
        .flat_map(|value| std::env::split_paths(OsStr::from_bytes(value)).collect::<Vec<_>>())
        .collect()
}

/// Returns where a program of that name may be. Which of the directories comes first depends on who
/// looks, and what forbids must not miss it.
fn candidates<'a>(
    name: &'a OsStr,
    cwd: &'a Path,
    search: &'a [PathBuf],
) -> Box<dyn Iterator<Item = PathBuf> + 'a> {
    if name.is_empty() {
        Box::new(std::iter::empty())
    } else if name.as_bytes().contains(&b'/') {
        Box::new(std::iter::once(cwd.join(name)))
    } else {
        Box::new(
            search
                .iter()
                .map(move |directory| cwd.join(directory).join(name)),
        )
    }
}

/// Returns the file at a path, links followed, if there is any.
fn identity(at: &Path) -> Result<Option<FileIdentity>, (PathBuf, PathError)> {
    match path::identity_of(at) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_out_of_reach(error) => Ok(None),
        Err(error) => Err((at.to_owned(), error)),
    }
}

fn is_many_in_one(at: &Path) -> Result<bool, (PathBuf, PathError)> {
    let found = target(at).map_err(|error| (at.to_owned(), error))?;
    let name = found.as_deref().and_then(Path::file_name);
    Ok(name.is_some_and(|name| MANY_IN_ONE.iter().any(|known| name == *known)))
}
