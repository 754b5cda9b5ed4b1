//! A push as it would really happen: where to, which refs, and whether git itself would refuse
//! anything but creations and fast-forwards.

use std::collections::BTreeSet;

use super::options::{RecurseSubmodules, Signed};
use super::refspec;
use crate::model::repository::{RefName, RepositoryScope};

/// One refspec with both sides written out, so that no configuration maps it (builtin/push.c,
/// `refspec_append_mapped`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Every branch that both sides have; which, only the remote knows.
    Matching {
        force: bool,
    },
    Pattern {
        src: Vec<u8>,
        dst: Vec<u8>,
        force: bool,
    },
    /// Takes sources away from what patterns match.
    Except(Vec<u8>),
    Single {
        /// A full ref name, or another name of an object.
        src: Vec<u8>,
        dst: RefName,
        force: bool,
    },
    Delete(RefName),
}

impl Update {
    /// Returns the refspec; `force` is left to leases where there are any.
    pub(crate) fn refspec(&self, leased: bool) -> Vec<u8> {
        let plus = |force: bool| if force && !leased { "+" } else { "" }.as_bytes();
        match self {
            Self::Matching { force } => [plus(*force), b":"].concat(),
            Self::Pattern { src, dst, force } => [plus(*force), src, b":", dst].concat(),
            Self::Except(src) => [b"^", src.as_slice()].concat(),
            Self::Single { src, dst, force } => [plus(*force), src, b":", dst.as_bytes()].concat(),
            Self::Delete(dst) => [b":", dst.as_bytes()].concat(),
        }
    }

    /// Returns the one ref that it would change, where that is known.
    pub(crate) fn destination(&self) -> Option<&RefName> {
        match self {
            Self::Single { dst, .. } | Self::Delete(dst) => Some(dst),
            _ => None,
        }
    }

    /// Says whether it overwrites or deletes.
    pub(crate) const fn is_forced(&self) -> bool {
        match self {
            Self::Matching { force } | Self::Pattern { force, .. } | Self::Single { force, .. } => {
                *force
            }
            Self::Delete(_) => true,
            Self::Except(_) => false,
        }
    }

    /// Says whether it is `refs/heads/*:refs/heads/*`.
    pub(crate) fn is_all_branches(&self) -> bool {
        let all = b"refs/heads/*";
        matches!(self, Self::Pattern { src, dst, .. } if src == all && dst == all)
    }

    /// Says whether it may change more than one ref.
    pub(crate) const fn is_wide(&self) -> bool {
        matches!(self, Self::Matching { .. } | Self::Pattern { .. })
    }

    /// Says whether it may change the ref `name` of the remote.
    pub(crate) fn reaches(&self, name: &[u8]) -> bool {
        match self {
            Self::Matching { .. } => name.starts_with(b"refs/heads/"),
            Self::Pattern { dst, .. } => {
                let mut parts = dst.splitn(2, |byte| *byte == b'*');
                let (before, after) = (
                    parts.next().unwrap_or_default(),
                    parts.next().unwrap_or_default(),
                );
                name.len() >= before.len() + after.len()
                    && name.starts_with(before)
                    && name.ends_with(after)
            }
            Self::Except(_) => false,
            Self::Single { dst, .. } | Self::Delete(dst) => dst.as_bytes() == name,
        }
    }
}

/// A repository that a push would reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) repository: RepositoryScope,
    /// What git is given, which may hold credentials; a local repository by its canonical path.
    pub(crate) url: Vec<u8>,
}

/// What remains to be written into the configuration once a push with `-u` succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The local branch, without `refs/heads/`.
    pub(crate) branch: Vec<u8>,
    pub(crate) merge: RefName,
}

/// A push, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are git's own flags")]
pub(crate) struct Push {
    /// The remote's name, where it has one; otherwise its URL without credentials.
    pub(crate) remote: Vec<u8>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) updates: Vec<Update>,
    /// Whether it could overwrite or delete what the remote has, or cannot be told.
    pub(crate) force: bool,
    /// Whether remote refs without a counterpart here go.
    pub(crate) prune: bool,
    pub(crate) follow_tags: bool,
    /// `No` or `Check`.
    pub(crate) submodules: RecurseSubmodules,
    /// What goes to the server besides.
    pub(crate) server_options: Vec<Vec<u8>>,
    pub(crate) signed: Signed,
    pub(crate) upstreams: Vec<Upstream>,
    /// Whether every local branch gets an upstream of its name.
    pub(crate) upstream_of_all: bool,
    /// Where the user's remote is fetched from.
    pub(crate) fetch_url: Vec<u8>,
    /// The keys of the user's remote that the one with the random name has as well.
    pub(crate) carried: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Push {
    /// Returns the local ref that follows a ref of the remote, by the `fetch` refspecs.
    pub(crate) fn tracking(&self, name: &[u8]) -> Option<Vec<u8>> {
        let fetches = self.carried.iter().filter(|(key, _)| key == b"fetch");
        let specs = fetches.map(|(_, spec)| spec.strip_prefix(b"+").unwrap_or(spec));
        specs
            .filter_map(|spec| {
                let colon = spec.iter().position(|byte| *byte == b':')?;
                Some((spec.get(..colon)?, spec.get(colon + 1..)?))
            })
            .find_map(|(src, dst)| {
                if src == name {
                    return Some(dst.to_vec());
                }
                refspec::substitute(src, name, dst)
            })
    }

    /// Says whether a ref of the remote that the push reaches has something here that it is pushed
    /// from, or is left alone (remote.c, match_push_refs).
    pub(crate) fn has_source_of(&self, name: &[u8], local: &BTreeSet<&[u8]>) -> bool {
        self.updates.iter().any(|update| match update {
            Update::Matching { .. } => local.contains(name),
            Update::Pattern { src, dst, .. } => {
                let source = refspec::substitute(dst, name, src);
                source.is_some_and(|source| {
                    local.contains(source.as_slice()) || self.is_excepted(&source)
                })
            }
            Update::Single { dst, .. } | Update::Delete(dst) => dst.as_bytes() == name,
            Update::Except(_) => false,
        })
    }

    fn is_excepted(&self, source: &[u8]) -> bool {
        self.updates.iter().any(|update| match update {
            Update::Except(pattern) => {
                pattern == source || refspec::substitute(pattern, source, b"*").is_some()
            }
            _ => false,
        })
    }

    /// Returns everything that would be reached: each repository, with each ref where the refs
    /// are known, and otherwise as a whole.
    pub(crate) fn scopes(&self) -> Vec<RepositoryScope> {
        // Which tags follow is not known either.
        let wide = self.prune || self.follow_tags || self.updates.iter().any(Update::is_wide);
        let refs: Vec<&RefName> = self
            .updates
            .iter()
            .filter_map(Update::destination)
            .collect();
        let of = |destination: &Destination| -> Vec<RepositoryScope> {
            let repository = &destination.repository;
            if wide || refs.is_empty() {
                return vec![repository.clone()];
            }
            refs.iter()
                .map(|name| repository.with_ref((*name).clone()))
                .collect()
        };
        let mut scopes: Vec<RepositoryScope> = self.destinations.iter().flat_map(of).collect();
        scopes.dedup();
        scopes
    }
}
