mod files;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use self::files::Files;
use super::BrokerError;
use crate::model::agent::Agent;
use crate::model::operation::{FileIdentity, Operation};
use crate::model::rule::{Effect, Policy, Rule};
use crate::model::scope::{PathScope, Scope};
use crate::policy::evaluate::{Site, Sites};
use crate::sys::Errno;
use crate::sys::path::{self, PathError};

/// Looks where the scopes of the rules are that could forbid an operation, and which files their
/// programs are. An allow behind a link allows nothing, because operands are known by their canonical
/// names, so those are not looked at.
///
/// # Errors
///
/// What cannot be looked at for want of descriptors or memory could be anywhere.
pub(super) fn look(
    policy: &Policy,
    operation: &Operation,
    agent: &Agent,
) -> Result<Sites, BrokerError> {
    let whole_trees = operation.targets().iter().any(|target| target.recursive);
    let concerns = |rule: &Rule| {
        let named = rule.agent.as_ref();
        rule.effect != Effect::Allow
            && rule.actions.contains(operation.action)
            && named.is_none_or(|name| *name == agent.name)
    };
    let mut sites = Vec::new();
    let mut files = Files::new(operation);
    let rules = policy.rules.iter().enumerate();
    for (place, rule) in rules.filter(|(_, rule)| concerns(rule)) {
        let commands = files
            .named_by(rule)
            .map_err(|(path, reason)| BrokerError::Path { path, reason })?;
        let Some(scope) = rule.scope().and_then(Scope::path) else {
            sites.extend((!commands.is_empty()).then_some(Site {
                rule: place,
                names: Vec::new(),
                ancestry: Vec::new(),
                commands,
            }));
            continue;
        };
        let seen = |reason| BrokerError::Path {
            path: scope.as_path().to_owned(),
            reason,
        };
        let target = target(scope.as_path()).map_err(seen)?;
        let names = names(scope, target.as_deref()).map_err(seen)?;
        let ancestry = ancestry(target.as_deref(), whole_trees).map_err(seen)?;
        if !(names.is_empty() && ancestry.is_empty() && commands.is_empty()) {
            sites.push(Site {
                rule: place,
                names,
                ancestry,
                commands,
            });
        }
    }
    Ok(Sites::new(sites))
}

/// Returns the canonical name of what a path leads to, if it leads anywhere.
pub(super) fn target(path: &Path) -> Result<Option<PathBuf>, PathError> {
    match path::canonical(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_out_of_reach(error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the names under which the kernel knows what is written as `scope`, where they differ:
/// itself, which may be a link, and what it leads to.
fn names(scope: &PathScope, target: Option<&Path>) -> Result<Vec<PathScope>, PathError> {
    let path = scope.as_path();
    if target == Some(path) {
        return Ok(Vec::new());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let itself = nearest(directory)?.join(path.file_name().unwrap_or_default());
    let mut names = Vec::new();
    for path in [Some(itself.as_path()), target].into_iter().flatten() {
        let name = PathScope::new(path)?;
        if name != *scope && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Returns the canonical name of a path; where it ends before its end, of as much as is there, with
/// the rest behind.
fn nearest(path: &Path) -> Result<PathBuf, PathError> {
    let mut missing: Vec<&OsStr> = Vec::new();
    for level in path.ancestors() {
        if let Some(found) = target(level)? {
            return Ok(missing
                .iter()
                .rev()
                .fold(found, |path, name| path.join(name)));
        }
        missing.extend(level.file_name());
    }
    Ok(path.to_owned())
}

/// Says whether nobody of this user reaches anything by the path either.
fn is_out_of_reach(error: PathError) -> bool {
    matches!(
        error,
        PathError::System(
            Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP | Errno::ENAMETOOLONG
        )
    )
}

fn ancestry(target: Option<&Path>, whole_trees: bool) -> Result<Vec<FileIdentity>, PathError> {
    match target {
        None => Ok(Vec::new()),
        Some(path) if whole_trees => path::ancestry(path),
        Some(path) => Ok(vec![path::identity_of(path)?]),
    }
}
