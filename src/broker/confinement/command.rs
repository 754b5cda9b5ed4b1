use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Confinement, by_command};
use crate::broker::decide::{Attempt, Refusal};
use crate::broker::permit::Method;
use crate::broker::protected::OffLimits;
use crate::broker::{Broker, BrokerError, subject};
use crate::confine::{Right, Rule, Ruleset};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::confinement::{Level, Mode};
use crate::model::operation::{FileIdentity, Objects};
use crate::model::protected::ProtectedPlace;
use crate::model::rule::Effect;
use crate::model::scope::{PathScope, Scope};
use crate::policy::evaluate::{Allowed, Basis};
use crate::sys::path::PathError;
use crate::sys::scratch::Scratch;
use crate::sys::{Errno, clock, mounts, path, scratch};

/// What any command may write to.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"];

/// What allowed a command, as far as it says where that command may change files.
struct Bounds<'a> {
    scope: &'a PathScope,
    removes: bool,
}

/// Returns where the command may change files; nothing where it was looked at as it is, by a grant for
/// exactly this command or a rule over its words.
fn bounds(allowed: &Allowed) -> Result<Option<Bounds<'_>>, BrokerError> {
    let basis = allowed
        .basis(0)
        .ok_or(BrokerError::Inconsistent("nothing allowed the command"))?;
    let (scope, actions) = match basis {
        Basis::Grant(place) => {
            let grant = allowed
                .grants()
                .get(*place)
                .ok_or(BrokerError::Inconsistent(
                    "the grant that allowed it is not there",
                ))?;
            if grant.operation.is_some() {
                return Ok(None);
            }
            (Some(&grant.scope), grant.actions)
        }
        Basis::Rule(rule) => (rule.scope(), rule.actions),
        Basis::Default => {
            return Err(BrokerError::Inconsistent(
                "a command was allowed by nothing",
            ));
        }
    };
    match scope {
        None => Ok(None),
        Some(Scope::Path(scope)) => Ok(Some(Bounds {
            scope,
            removes: actions.contains(Action::Rm),
        })),
        Some(Scope::Repository(_)) => Err(BrokerError::Inconsistent(
            "a command was allowed by a repository",
        )),
    }
}

impl Broker {
    /// Confines a command to the scope that allowed it, where it was allowed by one.
    pub(super) fn confine_any(
        &self,
        attempt: &Attempt,
        allowed: &Allowed,
        protected: &[ProtectedPlace],
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        let unconfined =
            |level| by_command(attempt, &attempt.argv, None, level).map(Ok::<_, Refusal>);
        if !matches!(attempt.operation.objects, Objects::Command(_)) {
            return unconfined(Level::Unconfined);
        }
        let Some(bounds) = bounds(allowed)? else {
            return unconfined(Level::Unconfined);
        };
        if self.settings.landlock == Mode::Off {
            return unconfined(Level::Off);
        }
        // Whoever only asks need not be where the command would run.
        let here = match self.foretells {
            Some(_) => attempt.operation.cwd.as_path(),
            None => Path::new("."),
        };
        if bounds.removes
            && let Some(refusal) = self.keeps(bounds.scope, &attempt.agent)?
        {
            return Ok(Err(refusal));
        }
        let directory = match reach(&bounds, (protected, &self.off_limits()?), here)? {
            Ok(directory) => directory,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let scratch = if self.foretells.is_none() {
            let boot = clock::now()?.uptime.boot;
            let made = scratch::make(&self.vault.scratch_notes(), boot);
            Some(made.map_err(BrokerError::Prepare)?)
        } else {
            None
        };
        confined(attempt, &bounds, &directory, scratch.as_ref())
    }

    /// Returns the refusal for a command that may remove whatever lies in a scope, where a rule forbids
    /// or asks about the removal of all of it, or of a part.
    fn keeps(&self, scope: &PathScope, agent: &Agent) -> Result<Option<Refusal>, BrokerError> {
        for action in [Action::Rm, Action::Trash] {
            let all = subject::on_scope(&Scope::Path(scope.clone()), action);
            let opinion = subject::opinion(&self.settings.policy, &all, agent)?;
            if let Some(rule) = opinion.by.filter(|rule| rule.effect != Effect::Allow) {
                return Ok(Some(Refusal::Keeps {
                    scope: scope.clone(),
                    action,
                    effect: rule.effect,
                    origin: rule.origin,
                }));
            }
        }
        Ok(None)
    }

    /// Says whether commands could be confined to a directory as it is.
    pub(crate) fn is_fit_for_commands(&self, scope: &PathScope) -> bool {
        self.unfit(scope).is_ok_and(|why| why.is_none())
    }

    /// Says why no command could ever be confined to a scope as it is, if that is so.
    pub(in crate::broker) fn unfit(&self, scope: &PathScope) -> Result<Option<Unfit>, BrokerError> {
        let path = scope.as_path();
        let lineage = match path::open_canonical(path) {
            Ok((_, lineage)) => lineage,
            Err(reason) if path::identity_of_link(path).is_ok_and(|_| !path.is_dir()) => {
                return match reason {
                    PathError::System(Errno::ENOTDIR | Errno::ELOOP) => {
                        Ok(Some(Unfit::NoDirectory))
                    }
                    reason => Err(unseen(scope)(reason)),
                };
            }
            Err(reason) if reason.is_missing() => return Ok(Some(Unfit::Missing)),
            Err(reason) => return Err(unseen(scope)(reason)),
        };
        let (protected, off) = (self.protected_places()?, self.off_limits()?);
        Ok(own_within(scope, &lineage, &protected, &off).map(Unfit::HoldsOwn))
    }
}

/// Why a scope is of no use to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Missing,
    NoDirectory,
    HoldsOwn(&'static str),
}

fn unseen(scope: &PathScope) -> impl Fn(PathError) -> BrokerError {
    let path = scope.as_path().to_owned();
    move |reason| BrokerError::Path {
        path: path.clone(),
        reason,
    }
}

/// Returns what a directory holds that a command must not reach, or what it lies in. `lineage` has
/// the directory itself first.
fn own_within(
    scope: &PathScope,
    lineage: &[FileIdentity],
    protected: &[ProtectedPlace],
    off: &OffLimits,
) -> Option<&'static str> {
    let by_name = |place: &ProtectedPlace| scope.covers(&place.path) || place.path.covers(scope);
    let holds = |place: &ProtectedPlace| {
        by_name(place) || lineage.first().is_some_and(|own| place.lies_below(*own))
    };
    let lies_in = |place: &ProtectedPlace| {
        let own = place.ancestry.first();
        own.is_some_and(|own| lineage.contains(own))
    };
    let there = protected.iter().chain(&off.trusted);
    let to_come = off.to_come.iter().find(|place| holds(place));
    there
        .into_iter()
        .find(|place| holds(place) || lies_in(place))
        .or(to_come)
        .map(|place| place.what)
}

/// Opens the directory that the command may change, if nothing lies below it that the command must
/// not: a right to a directory reaches everything below, and no rule can take that back.
fn reach(
    bounds: &Bounds<'_>,
    (protected, off): (&[ProtectedPlace], &OffLimits),
    here: &Path,
) -> Result<Result<OwnedFd, Refusal>, BrokerError> {
    let scope = bounds.scope;
    let (directory, lineage) = path::open_canonical(scope.as_path()).map_err(unseen(scope))?;
    let (_here, above) = path::open_canonical(here).map_err(unseen(scope))?;
    if !lineage.first().is_some_and(|own| above.contains(own)) {
        return Ok(Err(Refusal::Moved {
            scope: scope.clone(),
        }));
    }
    if let Some(what) = own_within(scope, &lineage, protected, off) {
        return Ok(Err(Refusal::HoldsOwn {
            scope: scope.clone(),
            what,
        }));
    }
    let mounts = mounts::list().map_err(BrokerError::Mounts)?;
    let below = |point: &PathBuf| point != scope.as_path() && point.starts_with(scope.as_path());
    match mounts.into_iter().map(|mount| mount.point).find(below) {
        Some(point) => Ok(Err(Refusal::Mounted {
            scope: scope.clone(),
            point,
        })),
        None => Ok(Ok(directory)),
    }
}

fn confined(
    attempt: &Attempt,
    bounds: &Bounds<'_>,
    directory: &OwnedFd,
    scratch: Option<&Scratch>,
) -> Result<Result<Confinement, Refusal>, BrokerError> {
    let devices: Vec<OwnedFd> = DEVICES
        .iter()
        .filter_map(|path| path::open_device(Path::new(path)))
        .collect();
    let right = if bounds.removes {
        Right::Change
    } else {
        Right::Write
    };
    let rule = |directory, right| Rule { directory, right };
    let own = scratch
        .iter()
        .map(|scratch| rule(scratch.directory.as_fd(), Right::Change));
    let rules = [rule(directory.as_fd(), right)].into_iter().chain(own);
    let devices = devices
        .iter()
        .map(|device| rule(device.as_fd(), Right::Device));
    let ruleset = match Ruleset::for_command(rules.chain(devices)) {
        Ok(ruleset) => ruleset,
        // There is no fallback: nothing else keeps a command of any kind in its scope.
        Err(error) => {
            return Ok(Err(Refusal::NotConfined {
                why: error.to_string(),
            }));
        }
    };
    let level = ruleset.level();
    let mut confinement = by_command(attempt, &attempt.argv, Some(ruleset), level)?;
    if let (
        Method::Become {
            environment,
            scratch: own,
            ..
        },
        Some(scratch),
    ) = (&mut confinement.method, scratch)
    {
        *own = Some(scratch.path.clone());
        let word = [b"TMPDIR=", scratch.path.as_os_str().as_bytes()].concat();
        let word = CString::new(word);
        environment.push(word.map_err(|_| BrokerError::Inconsistent("a NUL byte in a path"))?);
    }
    Ok(Ok(confinement))
}
