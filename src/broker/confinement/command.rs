use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Confinement, by_command};
use crate::broker::decide::{Attempt, Refusal};
use crate::broker::permit::Method;
use crate::broker::{Broker, BrokerError};
use crate::confine::{Right, Rule, Ruleset};
use crate::model::action::Action;
use crate::model::confinement::{Level, Mode};
use crate::model::operation::Objects;
use crate::model::protected::ProtectedPlace;
use crate::model::scope::{PathScope, Scope};
use crate::policy::evaluate::{Allowed, Basis};
use crate::sys::path::PathError;
use crate::sys::{mounts, path, scratch};

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
        let directory = match reach(&bounds, protected, here)? {
            Ok(directory) => directory,
            Err(refusal) => return Ok(Err(refusal)),
        };
        confined(attempt, &bounds, &directory, self.foretells.is_none())
    }
}

/// Opens the directory that the command may change, if nothing lies below it that the command must
/// not: a right to a directory reaches everything below, and no rule can take that back.
fn reach(
    bounds: &Bounds<'_>,
    protected: &[ProtectedPlace],
    here: &Path,
) -> Result<Result<OwnedFd, Refusal>, BrokerError> {
    let scope = bounds.scope;
    let unseen = |reason: PathError| BrokerError::Path {
        path: scope.as_path().to_owned(),
        reason,
    };
    let (directory, lineage) = path::open_canonical(scope.as_path()).map_err(unseen)?;
    let (_here, above) = path::open_canonical(here).map_err(unseen)?;
    let Some(own) = lineage.first().filter(|own| above.contains(own)) else {
        return Ok(Err(Refusal::Moved {
            scope: scope.clone(),
        }));
    };
    let is_reached = |place: &&ProtectedPlace| {
        let inside = place
            .ancestry
            .first()
            .is_some_and(|place| lineage.contains(place));
        place.lies_below(*own) || inside || scope.covers(&place.path) || place.path.covers(scope)
    };
    if let Some(place) = protected.iter().find(is_reached) {
        return Ok(Err(Refusal::HoldsOwn {
            scope: scope.clone(),
            what: place.what,
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
    will_run: bool,
) -> Result<Result<Confinement, Refusal>, BrokerError> {
    let scratch = if will_run {
        Some(scratch::make().map_err(BrokerError::Prepare)?)
    } else {
        None
    };
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
    if let (Method::Become { environment, .. }, Some(scratch)) = (&mut confinement.method, &scratch)
    {
        let word = [b"TMPDIR=", scratch.path.as_os_str().as_bytes()].concat();
        let word = CString::new(word);
        environment.push(word.map_err(|_| BrokerError::Inconsistent("a NUL byte in a path"))?);
    }
    Ok(Ok(confinement))
}
