use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::path::PathBuf;

use super::permit::RemovalWords;
use super::{Broker, BrokerError, Permit, record};
use crate::audit::{self, Writing};
use crate::broker::confinement::Confinement;
use crate::model::agent::Agent;
use crate::model::grant::{Ending, Pin, WindowState};
use crate::model::operation::Operation;
use crate::model::protected::ProtectedPlace;
use crate::model::scope::PathScope;
use crate::model::time::Moment;
use crate::policy::evaluate::{Allowed, Candidate, Decision, Denial, Facts, evaluate};
use crate::sys::path::{self, Pinned};
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
    /// A file whose directory the real command must not get a right to goes alone: it is a grant's
    /// whole scope, or something of pvm's own lies below that directory.
    Split {
        scope: PathScope,
        above_own: bool,
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
        if let Some(refusal) = mounted(&attempt.operation).map_err(BrokerError::Mounts)? {
            return Ok(Err(refusal));
        }
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
        let confinement = self.confine(attempt, &allowed, &protected)?;
        Ok(confinement.map(|confinement| (allowed, confinement)))
    }

    /// Returns the places that no grant reaches.
    pub(super) fn protected_places(&self) -> Result<Vec<ProtectedPlace>, BrokerError> {
        let own = trust::own_program().map_err(BrokerError::Program)?;
        let settings = self.settings.protected.iter().cloned();
        [("the vault", self.vault.directory().to_owned())]
            .into_iter()
            .chain([("pvm itself", own)])
            .chain(settings)
            .map(|(what, path)| {
                let broken = |reason| BrokerError::Path {
                    path: path.clone(),
                    reason,
                };
                let path = path::canonical(&path).map_err(broken)?;
                let ancestry = path::ancestry(&path).map_err(broken)?;
                let scope = PathScope::new(&path).map_err(|error| broken(error.into()))?;
                Ok(ProtectedPlace {
                    what,
                    path: scope,
                    ancestry,
                })
            })
            .collect()
    }
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
            if !looked_at.insert(scope.clone()) {
                continue;
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

/// Looks for mounts at or below a directory that would be walked: the rights to a directory reach
/// through them, and `rm --one-file-system` does not stop at a bind mount (PATH-13 to PATH-15).
fn mounted(operation: &Operation) -> std::io::Result<Option<Refusal>> {
    let mut walked = operation
        .targets
        .iter()
        .filter(|target| target.recursive)
        .peekable();
    if walked.peek().is_none() {
        return Ok(None);
    }
    let points: Vec<PathScope> = mounts::list()?
        .into_iter()
        .filter_map(|mount| PathScope::new(&mount.point).ok())
        .collect();
    Ok(walked.find_map(|target| {
        let point = points.iter().find(|point| target.scope.covers(point))?;
        Some(Refusal::Mounted {
            scope: target.scope.clone(),
            point: point.to_path_buf(),
        })
    }))
}
