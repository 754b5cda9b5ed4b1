use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};

use super::permit::RemovalWords;
use super::{Broker, BrokerError, Permit, record};
use crate::audit::{self, Writing};
use crate::broker::confinement::Confinement;
use crate::model::agent::Agent;
use crate::model::grant::{Ending, Pin, WindowState};
use crate::model::operation::{FileIdentity, Operation};
use crate::model::protected::ProtectedPlace;
use crate::model::scope::PathScope;
use crate::model::time::Moment;
use crate::policy::evaluate::{Allowed, Candidate, Decision, Denial, Facts, evaluate};
use crate::sys::path::{self, PathError, Pinned, links};
use crate::sys::trust::TrustedProgram;
use crate::sys::{clock, mounts, trust};
use crate::vault::grants;

/// An operation that wants to happen, and everything that carrying it out needs.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) agent: Agent,
    pub(crate) operation: Operation,
    /// One for each target of the operation, in order.
    pub(crate) pins: Vec<Pinned>,
    pub(crate) program: TrustedProgram,
    /// What the real command is given, its own name first.
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: Vec<CString>,
    /// Whether the command removes empty directories that it does not walk.
    pub(crate) empty_directories: bool,
    pub(crate) words: RemovalWords,
}

impl Attempt {
    /// Says whether every operand that `root` covers is held below the directory that `pin`
    /// remembers.
    fn all_below(&self, root: &PathScope, pin: Pin) -> bool {
        self.pins
            .iter()
            .filter(|pinned| root.covers(&pinned.scope))
            .all(|pinned| pinned.has_root(root, pin))
    }
}

/// Why an operation was refused. It is recorded.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Denied(Denial),
    /// Something is mounted at or below an operand that would be walked.
    Mounted {
        scope: PathScope,
        point: PathBuf,
    },
    /// An operand was renamed while it was looked at.
    Moved {
        scope: PathScope,
    },
    /// A file whose directory the real command must not get a right to goes alone: it is a grant's
    /// whole scope, or something of pvm's own lies below that directory.
    Split {
        scope: PathScope,
        why: Alone,
    },
    /// Without Landlock, only GNU `rm` is known not to be led astray.
    NotGnu {
        program: PathBuf,
        why: String,
    },
    /// The kernel cannot confine the command as the configuration requires.
    NotConfined {
        why: String,
    },
}

/// Why pvm removes an entry itself, which it does for one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// It is the whole scope of its grant.
    WholeScope,
    /// Its directory also holds what belongs to pvm.
    BesideOwn,
    /// Something is mounted below its directory.
    BesideMount,
}

/// The answer to an attempt.
#[must_use]
#[derive(Debug)]
pub(crate) enum Ruling {
    Permitted(Box<Permit>),
    Refused {
        refusal: Box<Refusal>,
        operation: Box<Operation>,
    },
}

impl Broker {
    /// Decides one attempt, records the decision, and takes the uses that an allow costs: one
    /// transaction, durable before this returns.
    pub(crate) fn decide(&self, attempt: Attempt) -> Result<Ruling, BrokerError> {
        let mut writing = audit::begin(&self.vault)?;
        // Not before the turn has come: a grant may end while one waits for it (TIME-05).
        let now = clock::now()?;
        let (allowed, confinement) = match self.judge(&mut writing, &attempt, &now)? {
            Ok(allowed) => allowed,
            Err(refusal) => {
                let entry = writing.append(&record::denied(&attempt, &refusal), &now)?;
                writing.commit(entry, ())?;
                return Ok(Ruling::Refused {
                    refusal: Box::new(refusal),
                    operation: Box::new(attempt.operation),
                });
            }
        };
        for grant in allowed
            .grants()
            .iter()
            .filter(|grant| grant.uses_left.is_some())
        {
            if !grants::consume(writing.transaction(), &grant.id)? {
                return Err(BrokerError::Inconsistent(
                    "a grant lost a use while it was used",
                ));
            }
        }
        let entry = writing.append(&record::success(&attempt, &allowed, &confinement), &now)?;
        let recorded = writing.commit(entry, allowed)?;
        let Attempt {
            operation,
            pins,
            program,
            ..
        } = attempt;
        let permit = Permit::new(recorded, confinement.method, operation, pins, program);
        Ok(Ruling::Permitted(Box::new(permit)))
    }

    /// Says whether the attempt is allowed and how it will be confined, and records nothing of it.
    fn judge(
        &self,
        writing: &mut Writing<'_>,
        attempt: &Attempt,
        now: &Moment,
    ) -> Result<Result<(Allowed, Confinement), Refusal>, BrokerError> {
        let protected = self.protected_places()?;
        let candidates = candidates(writing, attempt, now)?;
        let facts = Facts {
            agent: &attempt.agent,
            now,
            protected: &protected,
            candidates: &candidates,
        };
        let allowed = match evaluate(&attempt.operation, &facts) {
            Decision::Allow(allowed) => allowed,
            Decision::Deny(denial) => return Ok(Err(Refusal::Denied(denial))),
        };
        let mounts = match mounts_for(attempt)? {
            Ok(mounts) => mounts,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let confinement = self.confine(attempt, &allowed, &protected, &mounts)?;
        Ok(confinement.map(|confinement| (allowed, confinement)))
    }

    /// Returns the places that no grant reaches.
    pub(super) fn protected_places(&self) -> Result<Vec<ProtectedPlace>, BrokerError> {
        let own = trust::own_program().map_err(BrokerError::Program)?;
        let mut places = vec![protect("pvm itself", &own)?];
        // Without one of the links that lead to it, pvm would look for a thing of its own in vain
        // and go on with weaker defaults.
        let vault = ("the vault", self.settings.vault.clone());
        for (what, path) in [&vault].into_iter().chain(&self.settings.protected) {
            for link in links::on_the_way(path).map_err(unseen(path))? {
                places.push(protect_link(what, &link)?);
            }
        }
        places.push(protect("the vault", self.vault.directory())?);
        for (what, path) in &self.settings.protected {
            places.push(protect(
                what,
                &path::canonical(path).map_err(unseen(path))?,
            )?);
        }
        let names = own
            .ancestors()
            .nth(2)
            .map(|prefix| prefix.join("libexec/pvm"));
        if let Some(names) = names.filter(|names| names.is_dir()) {
            places.push(protect(
                "pvm itself",
                &path::canonical(&names).map_err(unseen(&names))?,
            )?);
        }
        Ok(places)
    }
}

fn unseen(path: &Path) -> impl FnOnce(PathError) -> BrokerError {
    let path = path.to_owned();
    move |reason| BrokerError::Path { path, reason }
}

/// Returns a place of pvm's own, by a path without links.
fn protect(what: &'static str, path: &Path) -> Result<ProtectedPlace, BrokerError> {
    place(what, path, path::ancestry(path).map_err(unseen(path))?)
}

/// Returns a link that leads to a place of pvm's own, as itself.
fn protect_link(what: &'static str, link: &Path) -> Result<ProtectedPlace, BrokerError> {
    let directory = link.parent().unwrap_or(Path::new("/"));
    let mut ancestry = vec![path::identity_of_link(link).map_err(unseen(link))?];
    ancestry.extend(path::ancestry(directory).map_err(unseen(directory))?);
    place(what, link, ancestry)
}

fn place(
    what: &'static str,
    path: &Path,
    ancestry: Vec<FileIdentity>,
) -> Result<ProtectedPlace, BrokerError> {
    Ok(ProtectedPlace {
        what,
        path: PathScope::new(path).map_err(|error| unseen(path)(error.into()))?,
        ancestry,
    })
}

/// Returns the grants on every ancestor of every target. Those that expired unnoticed are
/// ended here, and stay ended whatever the clock does (TIME-02).
fn candidates(
    writing: &mut Writing<'_>,
    attempt: &Attempt,
    now: &Moment,
) -> Result<Vec<Candidate>, BrokerError> {
    let mut looked_at = BTreeSet::new();
    let mut candidates = Vec::new();
    for target in &attempt.operation.targets {
        for scope in target.scope.ancestors() {
            // The nearest come first: where one was looked at, so was everything above it.
            if !looked_at.insert(scope.clone()) {
                break;
            }
            for mut grant in grants::on_scope(writing.transaction(), &scope)? {
                if grant.window.state(now) == WindowState::Expired {
                    if grants::end(writing.transaction(), &grant.id, Ending::Expired, now.wall)? {
                        writing.append(&record::expiry(&attempt.agent, &grant), now)?;
                    }
                    grant.ended = Some((Ending::Expired, now.wall));
                }
                let root_unchanged = grant
                    .pin
                    .is_none_or(|pin| attempt.all_below(&grant.scope, pin));
                candidates.push(Candidate {
                    grant,
                    root_unchanged,
                });
            }
        }
    }
    Ok(candidates)
}

/// Returns where something is mounted, if the command walks directories at all; a mount at or below
/// one of those refuses it.
fn mounts_for(attempt: &Attempt) -> Result<Result<Vec<PathBuf>, Refusal>, BrokerError> {
    if !attempt.words.recursive {
        return Ok(Ok(Vec::new()));
    }
    let mounts = mounts::list().map_err(BrokerError::Mounts)?;
    // The table goes by names, so the directories must still have theirs.
    for (target, pinned) in attempt.operation.targets.iter().zip(&attempt.pins) {
        let moved =
            |directory| path::name_of(directory).ok().as_deref() != Some(target.scope.as_path());
        if pinned.directory.as_ref().is_some_and(moved) {
            return Ok(Err(Refusal::Moved {
                scope: target.scope.clone(),
            }));
        }
    }
    let points: Vec<PathBuf> = mounts.into_iter().map(|mount| mount.point).collect();
    Ok(match mounted(&attempt.operation, &points) {
        Some(refusal) => Err(refusal),
        None => Ok(points),
    })
}

/// Looks for mounts at or below a directory that would be walked: the rights to a directory reach
/// through them, and `rm --one-file-system` does not stop at a bind mount (PATH-13 to PATH-15).
fn mounted(operation: &Operation, mounts: &[PathBuf]) -> Option<Refusal> {
    let mut walked = operation.targets.iter().filter(|target| target.recursive);
    walked.find_map(|target| {
        let below = |point: &&PathBuf| point.starts_with(target.scope.as_path());
        Some(Refusal::Mounted {
            scope: target.scope.clone(),
            point: mounts.iter().find(below)?.clone(),
        })
    })
}
