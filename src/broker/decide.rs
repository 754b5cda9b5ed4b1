use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};

use super::permit::Work;
use super::refusals::Kept;
use super::{Broker, BrokerError, Permit, record, sites};
use crate::audit::Writing;
use crate::broker::confinement::Confinement;
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::{Ending, Pin, WindowState};
use crate::model::operation::{Objects, Operation};
use crate::model::rule::Effect;
use crate::model::scope::{PathScope, Scope};
use crate::model::time::Moment;
use crate::policy::evaluate::{Allowed, Candidate, Decision, Denial, Facts, evaluate};
use crate::sys::mounts;
use crate::sys::path::{self, Pinned};
use crate::sys::trust::Program;
use crate::vault::grants;

/// An operation that wants to happen, and everything that carrying it out needs.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) agent: Agent,
    pub(crate) operation: Operation,
    /// One for each target of the operation, in order.
    pub(crate) pins: Vec<Pinned>,
    /// The real command; nothing where pvm does the work itself.
    pub(crate) program: Option<Program>,
    /// What the real command is given, its own name first.
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) work: Work,
}

impl Attempt {
    /// Says whether whole directories go.
    pub(super) fn walks(&self) -> bool {
        match &self.work {
            Work::Remove { words, .. } => words.recursive,
            _ => self
                .operation
                .targets()
                .iter()
                .any(|target| target.recursive),
        }
    }

    pub(super) fn program_path(&self) -> &Path {
        self.program.as_ref().map_or(Path::new(""), Program::path)
    }

    /// Says whether every operand that `root` covers is held below the directory that `pin`
    /// remembers.
    fn is_pinned_below(&self, root: &Scope, pin: Pin) -> bool {
        let Some(root) = root.path() else {
            return false;
        };
        if let Objects::Command(_) = self.operation.objects {
            return path::pin(root.as_path()).is_ok_and(|there| there == pin);
        }
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
    /// There were more than so many refusals in this minute; this one was only counted.
    TooMany {
        most: u32,
        instead: Box<Refusal>,
    },
    /// The kernel cannot confine the command as the configuration requires.
    NotConfined {
        why: String,
    },
    /// A command cannot be confined to what allows it, because that holds what belongs to pvm or
    /// lies in it.
    HoldsOwn {
        scope: PathScope,
        what: &'static str,
    },
    /// A command would get a right to remove that a rule over what lies there takes back: no ruleset
    /// leaves a part of a directory out.
    Keeps {
        scope: PathScope,
        action: Action,
        effect: Effect,
        /// Where the rule stands.
        origin: String,
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
        let (mut writing, now) = self.begin()?;
        let (allowed, confinement) = match self.judge(&mut writing, &attempt, &now)? {
            Ok(allowed) => allowed,
            Err(refusal) => {
                let refusal = self.record_denial(writing, &attempt, refusal, &now)?;
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

    /// Says why the attempt would be refused now, and records that refusal. Nothing is used up, and
    /// nothing recorded of an allow: it is decided again when it is made.
    pub(crate) fn foresee(&self, attempt: &Attempt) -> Result<Option<Refusal>, BrokerError> {
        let (mut writing, now) = self.begin()?;
        let judged = self.judge(&mut writing, attempt, &now)?;
        let refusal = if let Err(refusal) = judged {
            Some(self.record_denial(writing, attempt, refusal, &now)?)
        } else {
            drop(writing);
            None
        };
        self.vault.give_up_turn();
        Ok(refusal)
    }

    /// Records a refusal, and returns it as the caller shall hear it.
    fn record_denial(
        &self,
        writing: Writing<'_>,
        attempt: &Attempt,
        refusal: Refusal,
        now: &Moment,
    ) -> Result<Refusal, BrokerError> {
        let event = record::denied(attempt, &refusal);
        Ok(match self.refuse(writing, &event, now)? {
            Kept::Recorded => refusal,
            Kept::Counted => Refusal::TooMany {
                most: self.settings.recording.denials_per_minute,
                instead: Box::new(refusal),
            },
        })
    }

    /// Says whether the attempt is allowed and how it will be confined, and records nothing of it.
    fn judge(
        &self,
        writing: &mut Writing<'_>,
        attempt: &Attempt,
        now: &Moment,
    ) -> Result<Result<(Allowed, Confinement), Refusal>, BrokerError> {
        let candidates = candidates(writing, attempt, now)?;
        self.judge_by(&candidates, attempt, now)
    }

    /// Judges by grants that were looked up.
    pub(super) fn judge_by(
        &self,
        candidates: &[Candidate],
        attempt: &Attempt,
        now: &Moment,
    ) -> Result<Result<(Allowed, Confinement), Refusal>, BrokerError> {
        // A push reaches no file of pvm's.
        let protected = match &attempt.operation.objects {
            Objects::Repositories(_) => Vec::new(),
            _ => self.protected_places()?,
        };
        let sites = sites::look(&self.settings.policy, &attempt.operation, &attempt.agent)?;
        let facts = Facts {
            agent: &attempt.agent,
            now,
            protected: &protected,
            policy: &self.settings.policy,
            sites: &sites,
            candidates,
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
}

/// Returns the grants on every ancestor of every target. Those that expired unnoticed are
/// ended here, and stay ended whatever the clock does (TIME-02).
pub(super) fn candidates(
    writing: &mut Writing<'_>,
    attempt: &Attempt,
    now: &Moment,
) -> Result<Vec<Candidate>, BrokerError> {
    let mut looked_at = BTreeSet::new();
    let mut candidates = Vec::new();
    for touched in attempt.operation.scopes() {
        for scope in touched.ancestors() {
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
                    .is_none_or(|pin| attempt.is_pinned_below(&grant.scope, pin));
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
    if !attempt.walks() {
        return Ok(Ok(Vec::new()));
    }
    let mounts = mounts::list().map_err(BrokerError::Mounts)?;
    // The table goes by names, so the directories must still have theirs.
    for (target, pinned) in attempt.operation.targets().iter().zip(&attempt.pins) {
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
    let mut walked = operation.targets().iter().filter(|target| target.recursive);
    walked.find_map(|target| {
        let below = |point: &&PathBuf| point.starts_with(target.scope.as_path());
        Some(Refusal::Mounted {
            scope: target.scope.clone(),
            point: mounts.iter().find(below)?.clone(),
        })
    })
}
