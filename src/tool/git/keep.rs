//! What a forced push would overwrite: it is fetched first, kept reachable under
//! `refs/pvm/backup/`, and leased, so that the push overwrites what was kept or nothing (GIT-53,
//! GIT-54).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::Lease;
use super::pin::{Pin, word};
use super::push::{Push, Update};
use crate::model::id::Id;
use crate::model::repository::RefName;
use crate::sys::exec;

/// The most refs that one forced push may be about: each is a word of the command line.
const MOST_REFS: usize = 8192;

/// Why what would be overwritten could not be kept; nothing was pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("cannot run git: {0}")]
    Run(#[from] std::io::Error),
    #[error("cannot see what {place} has (git {what}: exit status {status})")]
    Failed {
        what: &'static str,
        place: String,
        status: i32,
    },
    #[error("git {0} said what pvm does not understand")]
    Strange(&'static str),
    #[error("the push URLs have different values for {0}")]
    Differ(String),
    #[error("{0} refs could be overwritten, and the most is {MOST_REFS}")]
    TooMany(usize),
    #[error("the remote has {0}, which git could take for what is pushed to")]
    Elsewhere(String),
    #[error("{0} is not what '--force-with-lease' expects (stale info)")]
    Stale(String),
    #[error("{0} stands for another ref on the remote")]
    Symbolic(String),
    #[error("{0} was not kept: it changed meanwhile")]
    NotKept(String),
}

/// A git that asks the same remotes as the push will.
#[derive(Debug)]
pub(crate) struct Git<'a> {
    pub(crate) program: &'a Path,
    /// The words before the subcommand.
    pub(crate) globals: &'a [OsString],
    pub(crate) environment: &'a [CString],
}

impl Git<'_> {
    pub(crate) fn run(
        &self,
        words: &[&str],
        more: &[OsString],
        input: &[u8],
    ) -> Result<Result<Vec<u8>, i32>, std::io::Error> {
        let mut arguments = self.globals.to_vec();
        arguments.extend(words.iter().map(OsString::from));
        arguments.extend_from_slice(more);
        exec::output(self.program, &arguments, self.environment, input)
    }
}

/// What the remote has, and where it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// By the ref of the remote: its value, and the local ref that keeps it.
    refs: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

impl Kept {
    /// Returns `REF OLD BACKUP` for each, as the trail has it.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        let line = |(name, (old, backup)): (&Vec<u8>, &(Vec<u8>, Vec<u8>))| {
            [name.as_slice(), old, backup].join(&b' ')
        };
        self.refs.iter().map(line).collect()
    }

    /// Returns what `--prune` would delete: the refs without a counterpart here. Each is then
    /// deleted by its name and under a lease, so that one which appears meanwhile stays.
    pub(crate) fn orphans(&self, git: &Git<'_>, push: &Push) -> Result<Vec<Update>, KeepError> {
        let listed = git
            .run(&["for-each-ref", "--format=%(refname)"], &[], b"")?
            .map_err(|_| KeepError::Strange("for-each-ref"))?;
        let local: BTreeSet<&[u8]> = listed.split(|byte| *byte == b'\n').collect();
        let orphans = self
            .refs
            .keys()
            .filter(|name| !push.has_source_of(name, &local));
        orphans
            .map(|name| {
                RefName::new(name)
                    .map(Update::Delete)
                    .map_err(|_| KeepError::Strange("ls-remote"))
            })
            .collect()
    }

    /// Checks that what the user's leases expect is what was kept: then they overwrite that and
    /// nothing else, a ref that the remote does not show included.
    pub(crate) fn check_leases(
        &self,
        git: &Git<'_>,
        push: &Push,
        own: &[Lease],
    ) -> Result<(), KeepError> {
        let destinations = push.updates.iter().filter_map(Update::destination);
        let names: BTreeSet<&[u8]> = destinations
            .map(RefName::as_bytes)
            .chain(self.refs.keys().map(Vec::as_slice))
            .collect();
        for lease in own {
            for name in names.iter().copied().filter(|name| is_leased(lease, name)) {
                let expected = match lease {
                    Lease::Ref {
                        expected: Some(expected),
                        ..
                    } => resolve(git, expected.as_bytes())?,
                    _ => match push.tracking(name) {
                        Some(tracking) => resolve(git, &tracking)?,
                        None => None,
                    },
                };
                let there = self.refs.get(name).map(|(old, _)| old.as_slice());
                if there != expected.as_deref() {
                    return Err(KeepError::Stale(String::from_utf8_lossy(name).into_owned()));
                }
            }
        }
        Ok(())
    }

    /// Returns the options under which the push overwrites exactly what was kept. A lease also
    /// lets git overwrite, so only what is forced gets one. `own` are the user's, which come first
    /// and count for the refs that they name.
    pub(crate) fn leases(&self, push: &Push, own: &[Lease]) -> Vec<OsString> {
        let mut words: Vec<OsString> = own.iter().map(lease).collect();
        // Then git goes by the remote-tracking refs, and one of ours would stand before them.
        if own.contains(&Lease::Everything) {
            return words;
        }
        // Of several refspecs for one ref git goes by the one that names it, else by the first.
        let of = |name: &[u8]| {
            let names =
                |update: &&Update| update.destination().is_some_and(|d| d.as_bytes() == name);
            let named = push.updates.iter().find(names);
            named.or_else(|| push.updates.iter().find(|update| update.reaches(name)))
        };
        let existing = self.refs.keys().map(Vec::as_slice);
        let existing = existing.filter(|name| of(name).is_some_and(Update::is_forced));
        let missing = push
            .updates
            .iter()
            .filter(|update| update.is_forced())
            .filter_map(|update| update.destination())
            .map(RefName::as_bytes)
            .filter(|name| !self.refs.contains_key(*name));
        for name in existing.chain(missing) {
            let old = self.refs.get(name).map_or(&b""[..], |(old, _)| old);
            words.push(word([b"--force-with-lease=", name, b":", old].concat()));
        }
        words
    }
}

/// Says whether a lease is about a ref (refs.c, refname_match).
fn is_leased(lease: &Lease, name: &[u8]) -> bool {
    match lease {
        Lease::Everything => true,
        Lease::Ref { name: leased, .. } => {
            let leased = leased.as_bytes();
            name == leased || is_below(name, leased)
        }
    }
}

/// Returns the object that a word stands for here; nothing for one that stands for none.
fn resolve(git: &Git<'_>, word: &[u8]) -> Result<Option<Vec<u8>>, KeepError> {
    if word.is_empty() {
        return Ok(None);
    }
    let words = ["rev-parse", "--quiet", "--verify", "--end-of-options"];
    let answer = git.run(&words, &[self::word(word)], b"")?;
    Ok(answer.ok().map(|oid| oid.trim_ascii().to_vec()))
}

fn lease(own: &Lease) -> OsString {
    let mut option = OsString::from("--force-with-lease");
    if let Lease::Ref { name, expected } = own {
        option.push("=");
        option.push(name);
        if let Some(expected) = expected {
            option.push(":");
            option.push(expected);
        }
    }
    option
}

/// Fetches what the push could overwrite to `refs/pvm/backup/ID/`, and returns what that was.
pub(crate) fn keep(git: &Git<'_>, push: &Push, pin: &Pin, id: &Id) -> Result<Kept, KeepError> {
    let mut there: Option<BTreeMap<Vec<u8>, Vec<u8>>> = None;
    for (url, destination) in pin.urls().iter().zip(&push.destinations) {
        let place = || String::from_utf8_lossy(destination.repository.as_bytes()).into_owned();
        let found = overwritten(git, push, url, place)?;
        if let Some(earlier) = &there
            && let Some(name) = difference(earlier, &found)
        {
            return Err(KeepError::Differ(
                String::from_utf8_lossy(&name).into_owned(),
            ));
        }
        there = Some(found);
    }
    let there = there.unwrap_or_default();
    if there.len() > MOST_REFS {
        return Err(KeepError::TooMany(there.len()));
    }
    let Some(url) = pin.urls().first().filter(|_| !there.is_empty()) else {
        return Ok(Kept::default());
    };
    let prefix = format!("refs/pvm/backup/{id}/").into_bytes();
    fetch(git, url, &there, &prefix)?;
    kept(git, &there, &prefix)
}

fn difference(
    one: &BTreeMap<Vec<u8>, Vec<u8>>,
    other: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Option<Vec<u8>> {
    one.keys()
        .chain(other.keys())
        .find(|name| one.get(*name) != other.get(*name))
        .cloned()
}

/// Returns the refs of the remote that the push could change, with their values.
fn overwritten(
    git: &Git<'_>,
    push: &Push,
    url: &str,
    place: impl Fn() -> String,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, KeepError> {
    let listed = git
        .run(&["ls-remote", "--quiet", "--symref", "--", url], &[], b"")?
        .map_err(|status| KeepError::Failed {
            what: "ls-remote",
            place: place(),
            status,
        })?;
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let reached = |name: &[u8]| push.updates.iter().any(|update| update.reaches(name));
    let destinations = || push.updates.iter().filter_map(Update::destination);
    let mut refs = BTreeMap::new();
    for line in listed
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let (value, name) = two_words(line, b'\t').ok_or(KeepError::Strange("ls-remote"))?;
        // What is pushed to it would change the ref that it stands for.
        if value.starts_with(b"ref: ") && reached(name) {
            return Err(KeepError::Symbolic(text(name)));
        }
        if destinations().any(|dst| is_below(name, dst.as_bytes())) {
            return Err(KeepError::Elsewhere(text(name)));
        }
        // The values that tags point to are listed as well; they are no refs. git leaves those alone
        // that lie directly in refs/.
        let slashes = name.iter().filter(|byte| **byte == b'/').count();
        if reached(name) && !name.ends_with(b"^{}") && slashes > 1 {
            refs.insert(name.to_vec(), value.to_vec());
        }
    }
    Ok(refs)
}

/// Says whether git takes `wanted` for an abbreviation of `name` (refs.c, refname_match).
fn is_below(name: &[u8], wanted: &[u8]) -> bool {
    let before = name.strip_suffix(wanted);
    before.is_some_and(|before| !before.is_empty() && before.ends_with(b"/"))
}

fn two_words(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == separator)?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// Returns the local ref that keeps `name`.
fn backup_of(name: &[u8], prefix: &[u8]) -> Vec<u8> {
    let short = name.strip_prefix(b"refs/").unwrap_or(name);
    [prefix, short].concat()
}

fn fetch(
    git: &Git<'_>,
    url: &str,
    there: &BTreeMap<Vec<u8>, Vec<u8>>,
    prefix: &[u8],
) -> Result<(), KeepError> {
    let mut refspecs = Vec::new();
    for name in there.keys() {
        refspecs.extend([b"+", name.as_slice(), b":"].concat());
        refspecs.extend(backup_of(name, prefix));
        refspecs.push(b'\n');
    }
    let words = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
        "--refmap=",
        "--stdin",
        "--",
        url,
    ];
    git.run(&words, &[], &refspecs)?
        .map(|_| ())
        .map_err(|status| KeepError::Failed {
            what: "fetch",
            place: "it".to_owned(),
            status,
        })
}

/// Reads back what was kept: between the listing and the fetch the remote may have changed.
fn kept(
    git: &Git<'_>,
    there: &BTreeMap<Vec<u8>, Vec<u8>>,
    prefix: &[u8],
) -> Result<Kept, KeepError> {
    let listed = git
        .run(
            &["for-each-ref", "--format=%(objectname) %(refname)"],
            &[word(prefix)],
            b"",
        )?
        .map_err(|_| KeepError::Strange("for-each-ref"))?;
    let mut local = BTreeMap::new();
    for line in listed
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let (oid, name) = two_words(line, b' ').ok_or(KeepError::Strange("for-each-ref"))?;
        local.insert(name.to_vec(), oid.to_vec());
    }
    let mut refs = BTreeMap::new();
    for name in there.keys() {
        let backup = backup_of(name, prefix);
        let old = local
            .get(&backup)
            .ok_or_else(|| KeepError::NotKept(String::from_utf8_lossy(name).into_owned()))?;
        refs.insert(name.clone(), (old.clone(), backup));
    }
    Ok(Kept { refs })
}
