use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::failure::Failure;
use crate::model::action::Action;
use crate::model::operation::TargetKind;
use crate::model::repository::{RefName, RepositoryScope};
use crate::model::scope::{InvalidScope, PathScope, Scope};
use crate::sys::account;
use crate::sys::path::{self, PathError, Pinned, Resolver};
use crate::text::escape::{shell_word, shown};
use crate::tool::git::url::local::{self, NoRepository};
use crate::tool::git::url::{self, PushUrl};

/// A scope that a person typed, as the kernel knows it.
#[derive(Debug)]
pub(crate) struct TypedScope {
    pub(crate) scope: Scope,
    /// Whether it is a path where something stands.
    pub(crate) exists: bool,
}

/// Resolves a scope from the command line for these operations, which are all on paths or all on
/// repositories.
pub(crate) fn resolve_for(text: &OsStr, actions: &[Action]) -> Result<TypedScope, Failure> {
    let mut kinds = actions.iter().map(|action| action.reaches_repositories());
    let on_repositories = kinds.next().unwrap_or(false);
    if kinds.any(|kind| kind != on_repositories) {
        let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
        return Err(Failure::usage(format!(
            "--op {}: some of these take a path for a scope and some a repository",
            names.join(",")
        ))
        .hint("ask for them one after the other"));
    }
    if on_repositories {
        return repository(text);
    }
    resolve(text).map_err(|failure| {
        let is_name = !text.is_empty() && !Path::new(text).is_absolute();
        if is_name && !actions.contains(&Action::Exec) {
            failure.hint("for a repository:  --op git-push-force")
        } else {
            failure
        }
    })
}

/// Returns everything that a scope can be the name of, for what is not about one operation.
pub(crate) fn resolve_any(text: &OsStr) -> Result<Vec<Scope>, Failure> {
    let named = RepositoryScope::parse(text.as_bytes()).map(Scope::Repository);
    if !Path::new(text).is_absolute() && !text.is_empty() {
        if !is_evident_repository(text) {
            let url = shell_word(&[b"ssh://", text.as_bytes()].concat());
            let failure = unclear(text);
            return Err(match named {
                Ok(_) => failure.hint(format!("for a repository:  --scope {url}")),
                Err(_) => failure,
            });
        }
        return repository(text).map(|typed| vec![typed.scope]);
    }
    let path = resolve(text)?.scope;
    Ok([path].into_iter().chain(named.ok()).collect())
}

/// Says whether a text without a root is meant as a repository: it looks like one, and nothing of
/// this name stands here.
pub(crate) fn is_evident_repository(text: &OsStr) -> bool {
    let bytes = text.as_bytes();
    let before = |sign: u8| bytes.split(|byte| *byte == sign).next().unwrap_or(bytes);
    let has_colon = before(b'/').contains(&b':');
    let is_named = || RepositoryScope::parse(bytes).is_ok_and(|named| named.is_evident());
    let stands = |name: &[u8]| {
        Path::new(OsStr::from_bytes(name))
            .symlink_metadata()
            .is_ok()
    };
    (has_colon || is_named()) && !stands(bytes) && !stands(before(b'#'))
}

/// Returns the refusal of a name that could be either.
pub(crate) fn unclear(text: &OsStr) -> Failure {
    let name = shown(&url::redacted(text.as_bytes()));
    let failure = Failure::usage(format!(
        "'{name}' cannot be a scope: it could be a path or a repository"
    ));
    let Ok(here) = std::env::current_dir() else {
        return failure.hint("for a path, write it from the root:  --scope /...");
    };
    let typed = here.join(text);
    let path = path::canonical(&typed).unwrap_or_else(|_| typed.components().collect());
    let path = shell_word(path.as_os_str().as_bytes());
    failure.hint(format!(
        "for a path, write it from the root:  --scope {path}"
    ))
}

/// Takes the canonical name of a repository, or any URL or path that git would push to, with `#`
/// and a full ref behind it where it is for one ref.
fn repository(text: &OsStr) -> Result<TypedScope, Failure> {
    let name = || shown(&url::redacted(text.as_bytes()));
    let refuse = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("'{}' cannot be a scope: {why}", name()))
            .hint("write it like github.com/owner/name, or github.com/owner/name#refs/heads/main")
    };
    let scope = match RepositoryScope::parse(text.as_bytes()) {
        Ok(scope) => existing(scope).map_err(|error| refuse(&error))?,
        Err(error) => {
            let bytes = text.as_bytes();
            let hash = bytes.iter().position(|byte| *byte == b'#');
            let (raw, reference) = match hash.and_then(|at| bytes.split_at_checked(at)) {
                Some((raw, reference)) => (raw, reference.get(1..)),
                None => (bytes, None),
            };
            let looks_like_one = raw.contains(&b'/') || raw.contains(&b':');
            let parsed = url::parse(raw, Path::new("/"));
            let repository = match parsed {
                Ok(PushUrl::Remote { repository, .. }) if looks_like_one => repository,
                Ok(PushUrl::Local { path })
                    if raw.starts_with(b"/") || raw.starts_with(b"file:") =>
                {
                    local_scope(&path).map_err(|error| refuse(&error))?
                }
                Err(reason) if raw.contains(&b':') => return Err(refuse(&reason)),
                _ => return Err(refuse(&error)),
            };
            match reference.map(RefName::new).transpose() {
                Ok(Some(reference)) => repository.with_ref(reference),
                Ok(None) => repository,
                Err(error) => return Err(refuse(&error)),
            }
        }
    };
    Ok(TypedScope {
        scope: Scope::Repository(scope),
        exists: false,
    })
}

/// A repository of this machine goes by the canonical path of its git directory.
fn existing(scope: RepositoryScope) -> Result<RepositoryScope, NoRepository> {
    let Some(path) = scope.local_path() else {
        return Ok(scope);
    };
    let there = local_scope(&path)?;
    Ok(match scope.reference() {
        Some(reference) => there.with_ref(reference.clone()),
        None => there,
    })
}

fn local_scope(path: &Path) -> Result<RepositoryScope, NoRepository> {
    let path = local::repository(path)?;
    RepositoryScope::new_local(path.as_os_str().as_bytes(), None).map_err(|_| NoRepository::Missing)
}

/// It must be absolute; what it stands for must be clear.
fn resolve(text: &OsStr) -> Result<TypedScope, Failure> {
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
        scope: pinned.scope.into(),
    })
}

fn leaves(path: &Path) -> bool {
    path.components()
        .any(|component| component == Component::ParentDir)
}

fn directory(path: &Path) -> Result<TypedScope, PathError> {
    let scope = PathScope::new(&path::canonical(path)?)?;
    Ok(TypedScope {
        scope: scope.into(),
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
pub(crate) fn is_broad(scope: &Scope) -> bool {
    scope.path().is_some_and(account::holds_a_home)
}
