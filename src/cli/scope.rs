use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::failure::Failure;
use crate::model::operation::TargetKind;
use crate::model::scope::{InvalidScope, PathScope};
use crate::sys::account;
use crate::sys::path::{self, PathError, Pinned, Resolver};
use crate::text::escape::{shell_word, shown};

/// A scope that a person typed, as the kernel knows it.
#[derive(Debug)]
pub(crate) struct TypedScope {
    pub(crate) scope: PathScope,
    pub(crate) exists: bool,
}

/// Resolves a scope from the command line. It must be absolute; what it stands for must be clear.
pub(crate) fn resolve(text: &OsStr) -> Result<TypedScope, Failure> {
    let name = shown(text.as_bytes());
    let refuse =
        |why: &dyn std::fmt::Display| Failure::usage(format!("'{name}' cannot be a scope: {why}"));
    if text.is_empty() {
        return Err(refuse(&InvalidScope::Empty));
    }
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(refuse(&InvalidScope::Relative).hint("write it from the root: --scope /..."));
    }
    let pinned = match Resolver::default().resolve(text) {
        Ok(pinned) => pinned,
        Err(PathError::Root) => return Err(refuse(&InvalidScope::Root)),
        // A mount point is a scope like any other; what is mounted below an operand is the
        // wrapper's to refuse.
        Err(PathError::MountPoint) => return directory(path).map_err(|error| refuse(&error)),
        Err(PathError::Dot) if !leaves(path) => {
            return directory(path).map_err(|error| refuse(&error));
        }
        Err(PathError::TrailingSlash) => {
            return Err(refuse(&"it is not a directory").hint("leave the slash at its end away"));
        }
        Err(error) => return Err(refuse(&error)),
    };
    if is_link(&pinned) {
        return Err(ambiguous(path, &pinned, &name));
    }
    Ok(TypedScope {
        exists: pinned.kind != TargetKind::Missing,
        scope: pinned.scope,
    })
}

fn leaves(path: &Path) -> bool {
    path.components()
        .any(|component| component == Component::ParentDir)
}

fn directory(path: &Path) -> Result<TypedScope, PathError> {
    let scope = PathScope::new(&path::canonical(path)?)?;
    Ok(TypedScope {
        scope,
        exists: true,
    })
}

fn is_link(pinned: &Pinned) -> bool {
    pinned.kind == TargetKind::Entry && pinned.describe() == "symbolic link"
}

/// A link has two meanings as a scope, and the person has to choose one.
fn ambiguous(path: &Path, pinned: &Pinned, name: &str) -> Failure {
    let failure = Failure::usage(format!(
        "'{name}' is a symbolic link, which is not a clear scope"
    ));
    let failure = match path::canonical(path) {
        Ok(target) => failure.hint(format!(
            "for what it points to:  --scope {}",
            shell_word(target.as_os_str().as_bytes())
        )),
        Err(_) => failure,
    };
    let parent = pinned.parent.path().as_os_str().as_bytes();
    failure.hint(format!(
        "for the link and its neighbours:  --scope {}",
        shell_word(parent)
    ))
}

/// Says whether a scope holds a person's whole home directory.
pub(crate) fn is_broad(scope: &PathScope) -> bool {
    account::homes()
        .iter()
        .filter_map(|home| path::canonical(home).ok())
        .filter_map(|home| PathScope::new(&home).ok())
        .any(|home| scope.covers(&home))
}
