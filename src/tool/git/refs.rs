//! Local refs: what HEAD is, and which ref a person's word means (git's refs.c,
//! refs/files-backend.c, and count_refspec_match of remote.c).

mod packed;

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::config::{self, CurrentBranch, is_space};
use super::refname::{Allow, is_well_formed};
use super::repository::Repository;
use crate::sys::fs::read_regular;
use packed::Packed;

/// The largest file of one ref, in bytes: an object id or a name.
const LARGEST_LOOSE: u64 = 1 << 16;
/// Where git is faster than reading it all.
const LARGEST_PACKED: u64 = 64 << 20;
/// How many symbolic refs are followed (git's refs.c, SYMREF_MAXDEPTH).
const MOST_LINKS: usize = 5;
pub(crate) const HEADS: &[u8] = b"refs/heads/";
pub(crate) const TAGS: &[u8] = b"refs/tags/";

/// Why a word does not say what is to be pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefError {
    #[error("only git can read the refs of this repository")]
    NeedsGit,
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("'{}' is more than one ref: {}", .word.escape_ascii(), listed(.refs))]
    Ambiguous { word: Vec<u8>, refs: Vec<Vec<u8>> },
    #[error("'{}' is not the name of a revision", .0.escape_ascii())]
    NotARevision(Vec<u8>),
    #[error("'{}' has no commit yet", .0.escape_ascii())]
    Unborn(Vec<u8>),
    #[error("HEAD is broken")]
    BrokenHead,
}

fn listed(refs: &[Vec<u8>]) -> String {
    let names: Vec<String> = refs
        .iter()
        .map(|name| name.escape_ascii().to_string())
        .collect();
    names.join(", ")
}

/// What HEAD is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A branch, by its full name.
    Branch(Vec<u8>),
    /// A branch that has no commit yet, by its full name.
    Unborn(Vec<u8>),
    /// An object id.
    Detached(Vec<u8>),
    /// A ref that is not a branch, by its full name.
    Elsewhere(Vec<u8>),
}

impl Head {
    /// Returns the full name of what git takes for the current branch, born or not.
    pub(crate) fn branch(&self) -> Option<&[u8]> {
        match self {
            Self::Branch(name) | Self::Unborn(name) => Some(name),
            Self::Detached(_) | Self::Elsewhere(_) => None,
        }
    }

    /// Returns the same for the conditions of includes.
    pub(crate) fn current_branch(&self) -> CurrentBranch<'_> {
        self.branch()
            .and_then(|name| name.strip_prefix(HEADS))
            .map_or(CurrentBranch::None, CurrentBranch::Named)
    }
}

/// What a word on the left of a refspec means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// HEAD, which is this branch.
    Head(Vec<u8>),
    /// The only ref that the word can mean.
    Ref {
        name: Vec<u8>,
        /// The ref at the end, when the ref is a symbolic one.
        leads_to: Option<Vec<u8>>,
    },
    /// No local ref: an object id, `HEAD~1`, a detached HEAD. Only its form was looked at.
    Revision(Vec<u8>),
}

impl Source {
    /// Returns what to write as the source of a full refspec, so that it means the same.
    pub(crate) fn pinned(&self) -> &[u8] {
        match self {
            Self::Head(name) | Self::Ref { name, .. } | Self::Revision(name) => name,
        }
    }

    /// Returns the full ref that git updates when no destination is given, or nothing where git
    /// refuses: a symbolic ref counts as what it leads to, which must be a branch (remote.c,
    /// match_explicit).
    pub(crate) fn own_destination(&self) -> Option<&[u8]> {
        match self {
            Self::Head(name)
            | Self::Ref {
                name,
                leads_to: None,
            } => Some(name),
            Self::Ref {
                leads_to: Some(end),
                ..
            } => end.starts_with(HEADS).then_some(end),
            Self::Revision(_) => None,
        }
    }

    /// Returns `refs/heads/` or `refs/tags/`, where git would make a short destination that the
    /// remote does not have (remote.c, guess_ref).
    pub(crate) fn namespace(&self) -> Option<&'static [u8]> {
        let name = match self {
            Self::Head(name) => name,
            Self::Ref { name, leads_to } => leads_to.as_ref().unwrap_or(name),
            Self::Revision(_) => return None,
        };
        [HEADS, TAGS]
            .into_iter()
            .find(|start| name.starts_with(start))
    }
}

/// What one ref holds.
enum Held {
    Nothing,
    Oid(Vec<u8>),
    /// The name of another ref.
    Link(Vec<u8>),
}

/// Where a chain of symbolic refs ends.
struct End {
    name: Vec<u8>,
    /// None where that ref does not exist.
    oid: Option<Vec<u8>>,
    is_symbolic: bool,
}

/// The refs of a repository.
#[derive(Debug)]
pub(crate) struct Refs<'a> {
    repository: &'a Repository,
    packed: OnceCell<Packed>,
}

impl<'a> Refs<'a> {
    /// Takes the refs of a repository, or says that only git can read them.
    pub(crate) fn new(repository: &'a Repository) -> Result<Self, RefError> {
        if repository.has_reftable {
            return Err(RefError::NeedsGit);
        }
        Ok(Self {
            repository,
            packed: OnceCell::new(),
        })
    }

    /// Returns what HEAD is.
    pub(crate) fn head(&self) -> Result<Head, RefError> {
        let end = self.follow(b"HEAD")?.ok_or(RefError::BrokenHead)?;
        Ok(match end.oid {
            Some(oid) if !end.is_symbolic => Head::Detached(oid),
            Some(_) if end.name.starts_with(HEADS) => Head::Branch(end.name),
            None if end.name.starts_with(HEADS) => Head::Unborn(end.name),
            _ if end.is_symbolic => Head::Elsewhere(end.name),
            _ => return Err(RefError::BrokenHead),
        })
    }

    /// Says whether a full ref exists, symbolic refs followed to the end.
    pub(crate) fn exists(&self, name: &[u8]) -> Result<bool, RefError> {
        Ok(self.follow(name)?.is_some_and(|end| end.oid.is_some()))
    }

    /// Returns the only local ref that git takes the word for, if there is one (remote.c,
    /// count_refspec_match). A ref outside branches and tags counts only where nothing else
    /// fits, unless it was named in full or from below `refs/`.
    pub(crate) fn only_match(&self, word: &[u8]) -> Result<Option<Vec<u8>>, RefError> {
        let (mut strong, mut weak) = (Vec::new(), Vec::new());
        for name in candidates(word) {
            if !is_listed(&name) || !self.exists(&name)? {
                continue;
            }
            let is_weak = name.len() != word.len()
                && name.len() != word.len() + b"refs/".len()
                && !name.starts_with(HEADS)
                && !name.starts_with(TAGS);
            if is_weak { &mut weak } else { &mut strong }.push(name);
        }
        let mut found = if strong.is_empty() { weak } else { strong };
        if found.len() > 1 {
            return Err(RefError::Ambiguous {
                word: word.to_vec(),
                refs: found,
            });
        }
        Ok(found.pop())
    }

    /// Returns what `word` means as the source of a push: the ref that fits it, HEAD for `HEAD`
    /// and `@`, or else a revision that git has to find.
    pub(crate) fn resolve_source(&self, word: &[u8]) -> Result<Source, RefError> {
        let word: &[u8] = if word == b"@" { b"HEAD" } else { word };
        if let Some(name) = self.only_match(word)? {
            return self.source_of(name);
        }
        if word == b"HEAD" {
            return match self.head()? {
                Head::Branch(name) => Ok(Source::Head(name)),
                Head::Unborn(name) => Err(RefError::Unborn(name)),
                Head::Detached(_) | Head::Elsewhere(_) => Ok(Source::Revision(word.to_vec())),
            };
        }
        // `refs/stash` is a ref, and yet not one of those that git lists for a push.
        if word.starts_with(b"refs/") && self.exists(word)? {
            return self.source_of(word.to_vec());
        }
        if is_revision(word) {
            Ok(Source::Revision(word.to_vec()))
        } else {
            Err(RefError::NotARevision(word.to_vec()))
        }
    }

    fn source_of(&self, name: Vec<u8>) -> Result<Source, RefError> {
        let end = self.follow(&name)?;
        let leads_to = end.filter(|end| end.is_symbolic).map(|end| end.name);
        Ok(Source::Ref { name, leads_to })
    }

    /// Follows symbolic refs (refs.c, refs_resolve_ref_unsafe). Nothing where the chain is broken
    /// by a bad name, a bad content or its length.
    fn follow(&self, name: &[u8]) -> Result<Option<End>, RefError> {
        let mut name = name.to_vec();
        let one_level = Allow {
            one_level: true,
            pattern: false,
        };
        for links in 0..MOST_LINKS {
            if !is_well_formed(&name, one_level) {
                return Ok(None);
            }
            let oid = match self.read(&name)? {
                None => return Ok(None),
                Some(Held::Link(next)) => {
                    name = next;
                    continue;
                }
                Some(Held::Oid(oid)) => Some(oid),
                Some(Held::Nothing) => None,
            };
            return Ok(Some(End {
                name,
                oid,
                is_symbolic: links > 0,
            }));
        }
        Ok(None)
    }

    /// Reads one ref, or returns nothing where its content is neither an object id nor a name.
    fn read(&self, name: &[u8]) -> Result<Option<Held>, RefError> {
        let path = self.path_of(name);
        let failed = |error| RefError::Read {
            path: path.clone(),
            error,
        };
        let status = match fs::symlink_metadata(&path) {
            Ok(status) => status,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.read_packed(name),
            // Something that is a file stands where a directory would have to be.
            Err(error) if config::is_missing(&error) => return Ok(Some(Held::Nothing)),
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                return Ok(Some(Held::Nothing));
            }
            Err(error) => return Err(failed(error)),
        };
        if status.is_dir() {
            return self.read_packed(name);
        }
        if status.is_symlink() {
            let target = fs::read_link(&path)
                .map_err(failed)?
                .into_os_string()
                .into_vec();
            if target.starts_with(b"refs/") && is_well_formed(&target, Allow::default()) {
                return Ok(Some(Held::Link(target)));
            }
        }
        match read_regular(&path, LARGEST_LOOSE) {
            Ok(bytes) => Ok(self.content(&bytes)),
            Err(error) if config::is_missing(&error) => Ok(Some(Held::Nothing)),
            Err(error) => Err(failed(error)),
        }
    }

    fn content(&self, bytes: &[u8]) -> Option<Held> {
        let end = bytes.iter().rposition(|byte| !is_space(*byte));
        let text = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
        if let Some(target) = text.strip_prefix(b"ref:") {
            let blanks = target.iter().take_while(|byte| is_space(**byte)).count();
            return target
                .get(blanks..)
                .map(|target| Held::Link(target.to_vec()));
        }
        let (oid, rest) = text.split_at_checked(self.repository.object_format.hex_len())?;
        let is_oid = oid.iter().all(u8::is_ascii_hexdigit);
        let has_ended = rest.first().is_none_or(|byte| is_space(*byte));
        (is_oid && has_ended).then(|| Held::Oid(oid.to_ascii_lowercase()))
    }

    fn read_packed(&self, name: &[u8]) -> Result<Option<Held>, RefError> {
        let oid = self.packed()?.find(name).map(<[u8]>::to_vec);
        Ok(Some(oid.map_or(Held::Nothing, Held::Oid)))
    }

    fn packed(&self) -> Result<&Packed, RefError> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let path = self.repository.common_dir.join("packed-refs");
        let bytes = match read_regular(&path, LARGEST_PACKED) {
            Ok(bytes) => bytes,
            Err(error) if config::is_missing(&error) => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(RefError::NeedsGit);
            }
            Err(error) => return Err(RefError::Read { path, error }),
        };
        let packed = Packed::new(bytes, self.repository.object_format.hex_len());
        Ok(self.packed.get_or_init(|| packed))
    }

    /// Returns the file of a loose ref: some belong to the worktree, all others are shared
    /// (refs.c, parse_worktree_ref).
    fn path_of(&self, name: &[u8]) -> PathBuf {
        let common = &self.repository.common_dir;
        if is_own(name) {
            return self.repository.git_dir.join(as_path(name));
        }
        let of_main = name.strip_prefix(b"main-worktree/".as_slice());
        match of_main.filter(|rest| is_own(rest)) {
            Some(rest) => common.join(as_path(rest)),
            None => common.join(as_path(name)),
        }
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name))
}

/// Says whether a ref belongs to one worktree only.
fn is_own(name: &[u8]) -> bool {
    let is_root = name
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || b"-_".contains(byte));
    let starts: [&[u8]; 3] = [b"refs/worktree/", b"refs/bisect/", b"refs/rewritten/"];
    is_root || starts.iter().any(|start| name.starts_with(start))
}

/// Returns the refs that a word can mean (refs.c, ref_rev_parse_rules).
fn candidates(word: &[u8]) -> [Vec<u8>; 6] {
    let with = |before: &[u8], after: &[u8]| [before, word, after].concat();
    [
        with(b"", b""),
        with(b"refs/", b""),
        with(TAGS, b""),
        with(HEADS, b""),
        with(b"refs/remotes/", b""),
        with(b"refs/remotes/", b"/HEAD"),
    ]
}

/// Says whether git lists a ref of this name for a push (remote.c, one_local_ref).
fn is_listed(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"refs/".as_slice());
    rest.is_some_and(|rest| is_well_formed(rest, Allow::default()))
}

/// Says whether a word can be the source of a refspec with a destination and stays what it is
/// there: a sign at its beginning would be read as one of the refspec.
fn is_revision(word: &[u8]) -> bool {
    let has_sign = matches!(word.first(), None | Some(b'-' | b'+' | b'^'));
    let is_odd = |byte: &u8| byte.is_ascii_control() || *byte == b'*';
    !has_sign && !word.iter().any(is_odd)
}

#[cfg(test)]
mod tests;
