use std::collections::{BTreeMap, HashSet};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::permit::{Method, RemovalWords};
use super::{Broker, BrokerError, Permit};
use crate::audit::event::{Event, Field, Kind, Outcome};
use crate::audit::{self, Writing};
use crate::confine::plan::{Place, Removal, Shape, removal};
use crate::confine::{ConfineError, Right, Rule, Ruleset};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::confinement::{Level, Mode};
use crate::model::grant::{Ending, Grant, WindowState};
use crate::model::operation::{Operation, TargetKind};
use crate::model::protected::ProtectedPlace;
use crate::model::scope::PathScope;
use crate::model::time::Moment;
use crate::policy::evaluate::{Allowed, Candidate, Decision, Denial, Facts, evaluate};
use crate::sys::path::{self, Pinned};
use crate::sys::trust::{Found, TrustedProgram};
use crate::sys::{clock, exec as sys_exec, mounts, trust};
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

/// Why an operation was refused. It is recorded.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Denied(Denial),
    /// Something is mounted at or below an operand that would be walked.
    Mounted {
        scope: PathScope,
        point: PathBuf,
    },
    /// A file that is a grant's whole scope goes alone.
    Split {
        scope: PathScope,
    },
    /// A use was gone in the very transaction that should have taken it.
    UsedUp {
        grant: Grant,
    },
    /// Without Landlock, only GNU `rm` is known not to be led astray.
    NotGnu {
        program: PathBuf,
        why: String,
    },
}

/// The answer to an attempt.
#[must_use]
#[derive(Debug)]
pub(crate) enum Ruling {
    Permitted(Box<Permit>),
    Refused(Refusal),
}

/// How an allowed operation will be confined.
struct Confinement {
    method: Method,
    level: Level,
    note: Option<String>,
}

impl Broker {
    /// Decides one attempt, records the decision, and takes the uses that an allow costs: one
    /// transaction, durable before this returns.
    pub(crate) fn decide(&self, attempt: Attempt) -> Result<Ruling, BrokerError> {
        let now = clock::now()?;
        let protected = self.protected_places(&attempt.operation)?;
        if let Some(refusal) = mounted(&attempt.operation).map_err(BrokerError::Mounts)? {
            return self.refuse(&attempt, refusal, &now);
        }
        let mut writing = audit::begin(&self.vault)?;
        let candidates = self.candidates(&mut writing, &attempt, &now)?;
        let facts = Facts {
            agent: &attempt.agent,
            now: &now,
            protected: &protected,
            candidates: &candidates,
        };
        let allowed = match evaluate(&attempt.operation, &facts) {
            Decision::Allow(allowed) => allowed,
            Decision::Deny(denial) => {
                return refuse_in(writing, &attempt, Refusal::Denied(denial), &now);
            }
        };
        let confinement = match self.confine(&attempt, &allowed)? {
            Ok(confinement) => confinement,
            Err(refusal) => return refuse_in(writing, &attempt, refusal, &now),
        };
        for grant in allowed.grants() {
            if grant.uses_left.is_some() && !grants::consume(writing.transaction(), &grant.id)? {
                let refusal = Refusal::UsedUp {
                    grant: grant.clone(),
                };
                return refuse_in(writing, &attempt, refusal, &now);
            }
        }
        let entry = writing.append(&success(&attempt, &allowed, &confinement), &now)?;
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

    fn refuse(
        &self,
        attempt: &Attempt,
        refusal: Refusal,
        now: &Moment,
    ) -> Result<Ruling, BrokerError> {
        refuse_in(audit::begin(&self.vault)?, attempt, refusal, now)
    }

    /// Records that a command line was refused before there was an operation to decide.
    pub(crate) fn record_refusal(
        &self,
        agent: &Agent,
        action: Action,
        argv: &[OsString],
        reason: &str,
    ) -> Result<(), BrokerError> {
        let event = Event::new(Kind::GrantCheck, Outcome::Denied, agent)
            .action(action)
            .words(Field::Argv, argv)
            .text(Field::Reason, reason);
        self.record(&with_cwd(event))
    }

    /// Records that the search for the real command found something that is not trusted.
    pub(crate) fn record_hijack(
        &self,
        agent: &Agent,
        action: Action,
        argv: &[OsString],
        found: &Found,
        instead: Option<&std::path::Path>,
    ) -> Result<(), BrokerError> {
        let mut event = Event::new(Kind::Hijack, Outcome::Denied, agent)
            .action(action)
            .words(Field::Argv, argv)
            .path(Field::Program, &found.hit);
        if let Some(distrust) = &found.distrust {
            event = event.text(Field::Reason, distrust);
        }
        if let Some(instead) = instead {
            event = event.path(Field::Instead, instead);
        }
        self.record(&with_cwd(event))
    }

    pub(super) fn record(&self, event: &Event) -> Result<(), BrokerError> {
        let now = clock::now()?;
        let mut writing = audit::begin(&self.vault)?;
        let entry = writing.append(event, &now)?;
        writing.commit(entry, ())?;
        Ok(())
    }

    /// Returns the grants on every ancestor of every target. Those that expired unnoticed are
    /// ended here, and stay ended whatever the clock does (TIME-02).
    fn candidates(
        &self,
        writing: &mut Writing<'_>,
        attempt: &Attempt,
        now: &Moment,
    ) -> Result<Vec<Candidate>, BrokerError> {
        let mut looked_at = HashSet::new();
        let mut candidates = Vec::new();
        for target in &attempt.operation.targets {
            for scope in target.scope.ancestors() {
                if !looked_at.insert(scope.clone()) {
                    continue;
                }
                for mut grant in grants::on_scope(writing.transaction(), &scope)? {
                    if grant.window.state(now) == WindowState::Expired {
                        end_expired(writing, &attempt.agent, &grant, now)?;
                        grant.ended = Some((Ending::Expired, now.wall));
                    }
                    let root_unchanged = grant.pin.is_none_or(|pin| {
                        path::pin(grant.scope.as_path()).is_ok_and(|there| there == pin)
                    });
                    candidates.push(Candidate {
                        grant,
                        root_unchanged,
                    });
                }
            }
        }
        Ok(candidates)
    }

    /// Returns the places that no grant reaches. What contains them is found by identity too, but
    /// only a directory can contain anything.
    fn protected_places(&self, operation: &Operation) -> Result<Vec<ProtectedPlace>, BrokerError> {
        let walks = |kind| kind == TargetKind::Directory;
        let deep = operation.targets.iter().any(|target| walks(target.kind));
        let own = trust::own_program().ok();
        let settings = self.settings.protected.iter().cloned();
        [("the vault", self.vault.directory().to_owned())]
            .into_iter()
            .chain(own.map(|path| ("pvm itself", path)))
            .chain(settings)
            .map(|(what, path)| {
                let broken = |reason| BrokerError::Path {
                    path: path.clone(),
                    reason,
                };
                let path = path::canonical(&path).map_err(broken)?;
                let ancestry = if deep {
                    path::ancestry(&path).map_err(broken)?
                } else {
                    Vec::new()
                };
                let scope = PathScope::new(&path).map_err(|error| broken(error.into()))?;
                Ok(ProtectedPlace {
                    what,
                    path: scope,
                    ancestry,
                })
            })
            .collect()
    }

    fn confine(
        &self,
        attempt: &Attempt,
        allowed: &Allowed,
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        let mut rules: BTreeMap<(i32, Right), Rule<'_>> = BTreeMap::new();
        for (index, (target, pinned)) in attempt
            .operation
            .targets
            .iter()
            .zip(&attempt.pins)
            .enumerate()
        {
            let scope = allowed
                .scope_for(index)
                .ok_or(BrokerError::Inconsistent("an allowed target has no grant"))?;
            let shape = Shape {
                kind: target.kind,
                recursive: target.recursive,
                empty_directories: attempt.empty_directories,
                parent_in_scope: scope.covers_strictly(&target.scope),
            };
            match removal(shape) {
                Removal::ByPvm if attempt.operation.targets.len() == 1 => {
                    return Ok(Ok(Confinement {
                        method: Method::Unlink {
                            words: attempt.words.clone(),
                        },
                        level: Level::Own,
                        note: None,
                    }));
                }
                Removal::ByPvm => {
                    return Ok(Err(Refusal::Split {
                        scope: target.scope.clone(),
                    }));
                }
                Removal::ByCommand(needed) => {
                    for (place, right) in needed {
                        let directory = match (place, &pinned.directory) {
                            (Place::Parent, _) => pinned.parent.as_fd(),
                            (Place::Itself, Some(directory)) => directory.as_fd(),
                            (Place::Itself, None) => {
                                return Err(BrokerError::Inconsistent("a directory is not pinned"));
                            }
                        };
                        rules.insert((directory.as_raw_fd(), right), Rule { directory, right });
                    }
                }
            }
        }
        self.confine_command(attempt, rules.into_values().collect())
    }

    fn confine_command(
        &self,
        attempt: &Attempt,
        rules: Vec<Rule<'_>>,
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        let with = |ruleset, argv: &[OsString], level, note| -> Result<_, BrokerError> {
            let argv = sys_exec::c_words(argv)
                .ok_or(BrokerError::Inconsistent("an argument holds a NUL byte"))?;
            let environment = attempt.environment.clone();
            let method = Method::Become {
                ruleset,
                argv,
                environment,
            };
            Ok(Ok(Confinement {
                method,
                level,
                note,
            }))
        };
        if self.settings.landlock == Mode::Off {
            return with(None, &attempt.argv, Level::Off, None);
        }
        match Ruleset::build(rules) {
            Ok(ruleset) => {
                let level = ruleset.level();
                with(Some(ruleset), &attempt.argv, level, None)
            }
            Err(ConfineError::Unavailable(why)) if self.settings.landlock == Mode::Auto => {
                match sys_exec::is_gnu(attempt.program.path()) {
                    Ok(true) => {
                        let argv = pinned_argv(attempt);
                        with(
                            None,
                            &argv,
                            Level::Pinned,
                            Some(format!("no Landlock: {why}")),
                        )
                    }
                    _ => Ok(Err(Refusal::NotGnu {
                        program: attempt.program.path().to_owned(),
                        why: why.to_owned(),
                    })),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Rewrites every operand to the descriptor of the directory that was checked, so that no link
/// exchanged since leads elsewhere. An operand whose directory is missing names nothing.
fn pinned_argv(attempt: &Attempt) -> Vec<OsString> {
    let mut argv = attempt.argv.clone();
    for (target, pinned) in attempt.operation.targets.iter().zip(&attempt.pins) {
        let directory = pinned.parent.as_fd().as_raw_fd();
        let mut word = format!("/proc/self/fd/{directory}/").into_bytes();
        match &pinned.name {
            Some(name) => word.extend(name.as_bytes()),
            None => word.extend(b".pvm-missing/missing"),
        }
        if let Some(slot) = argv.get_mut(target.position) {
            *slot = OsString::from_vec(word);
        }
    }
    argv
}

fn end_expired(
    writing: &mut Writing<'_>,
    agent: &Agent,
    grant: &Grant,
    now: &Moment,
) -> Result<(), BrokerError> {
    if grants::end(writing.transaction(), &grant.id, Ending::Expired, now.wall)? {
        let event = Event::new(Kind::Expiry, Outcome::Expired, agent)
            .text(Field::Grant, &grant.id)
            .bytes(Field::Scope, grant.scope.as_bytes());
        writing.append(&event, now)?;
    }
    Ok(())
}

fn refuse_in(
    mut writing: Writing<'_>,
    attempt: &Attempt,
    refusal: Refusal,
    now: &Moment,
) -> Result<Ruling, BrokerError> {
    let event = describe(
        Event::new(Kind::GrantCheck, Outcome::Denied, &attempt.agent),
        attempt,
    )
    .text(Field::Reason, reason(&refusal));
    let entry = writing.append(&event, now)?;
    writing.commit(entry, ())?;
    Ok(Ruling::Refused(refusal))
}

/// Returns the reason as the trail keeps it: without names, which have fields of their own.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Denied(Denial::Protected { what, .. }) => format!("{what} is never removed"),
        Refusal::Denied(Denial::Uncovered { nearest: None, .. }) => {
            "no active grant covers it".to_owned()
        }
        Refusal::Denied(Denial::Uncovered {
            nearest: Some((id, why)),
            ..
        }) => {
            format!("no active grant covers it; grant {id}: {why:?}")
        }
        Refusal::Mounted { .. } => "something is mounted at or below an operand".to_owned(),
        Refusal::Split { .. } => "a file that is a whole scope goes alone".to_owned(),
        Refusal::UsedUp { grant } => format!("grant {} has no use left", grant.id),
        Refusal::NotGnu { why, .. } => format!("not GNU rm, and no Landlock: {why}"),
    }
}

fn success(attempt: &Attempt, allowed: &Allowed, confinement: &Confinement) -> Event {
    let mut event = describe(
        Event::new(Kind::Execution, Outcome::Success, &attempt.agent),
        attempt,
    )
    .text(Field::Confinement, confinement.level);
    if matches!(confinement.method, Method::Unlink { .. }) {
        event = event.text(Field::By, "self");
    }
    if let Some(note) = &confinement.note {
        event = event.text(Field::Note, note);
    }
    for grant in allowed.grants() {
        event = event
            .text(Field::Grant, &grant.id)
            .text(Field::Approver, &grant.approved_by);
        if !grant.reason.is_empty() {
            event = event.text(Field::Reason, &grant.reason);
        }
    }
    event
}

fn describe(event: Event, attempt: &Attempt) -> Event {
    let operation = &attempt.operation;
    event
        .action(operation.action)
        .words(Field::Argv, &operation.argv)
        .path(Field::Cwd, &operation.cwd)
        .list(
            Field::Operand,
            operation
                .targets
                .iter()
                .map(|target| target.operand.as_bytes()),
        )
        .list(
            Field::Scope,
            operation
                .targets
                .iter()
                .map(|target| target.scope.as_bytes()),
        )
        .path(Field::Program, attempt.program.path())
}

fn with_cwd(event: Event) -> Event {
    match std::env::current_dir() {
        Ok(cwd) => event.path(Field::Cwd, cwd),
        Err(error) => event.text(Field::Note, format!("no working directory: {error}")),
    }
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
