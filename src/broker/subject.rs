use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{BrokerError, sites};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::operation::{Invocation, Objects, Operation, Target, TargetKind};
use crate::model::rule::Policy;
use crate::model::scope::{PathScope, Scope};
use crate::policy::evaluate::{Opinion, consult};
use crate::sys::path::{self, Resolver};

/// Asks the rules about an operation, grants aside. No vault is needed, and nothing is recorded.
pub(crate) fn opinion(
    policy: &Policy,
    operation: &Operation,
    agent: &Agent,
) -> Result<Opinion, BrokerError> {
    let sites = sites::look(policy, operation, agent)?;
    Ok(consult(operation, policy, &sites, agent))
}

/// Returns the operation that an action on all of a scope is: a directory with everything below,
/// a repository, or some command in a directory.
pub(crate) fn on_scope(scope: &Scope, action: Action) -> Operation {
    let objects = match scope {
        Scope::Repository(repository) => Objects::Repositories(vec![repository.clone()]),
        Scope::Path(path) if action == Action::Exec => Objects::Command(Invocation {
            directory: Some(path.clone()),
            lineage: path::ancestry(path.as_path()).unwrap_or_default(),
            ..Invocation::default()
        }),
        Scope::Path(path) => Objects::Paths(vec![target(path)]),
    };
    Operation {
        action,
        objects,
        argv: Vec::new(),
        cwd: PathBuf::from("/"),
    }
}

fn target(scope: &PathScope) -> Target {
    let path = scope.as_path();
    let target = |kind, identity, lineage| Target {
        operand: OsString::from(path),
        position: 1,
        scope: scope.clone(),
        kind,
        identity,
        lineage,
        recursive: kind == TargetKind::Directory,
    };
    if let Ok(pinned) = Resolver::default().resolve(path.as_os_str()) {
        return target(pinned.kind, pinned.identity, pinned.parent.lineage());
    }
    // What no wrapper would take, as a mount point, can still be covered or not.
    let above = path.parent().unwrap_or(Path::new("/"));
    let lineage = path::ancestry(above).unwrap_or_default();
    target(
        TargetKind::Directory,
        path::identity_of(path).ok(),
        lineage.into(),
    )
}
