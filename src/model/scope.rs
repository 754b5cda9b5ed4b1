use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::repository::RepositoryScope;

/// A resolved set of things that a grant or a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scope {
    Path(PathScope),
    Repository(RepositoryScope),
}

impl Scope {
    /// Returns the stored name of the type.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Repository(_) => "repository",
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Path(path) => path.as_bytes(),
            Self::Repository(repository) => repository.as_bytes(),
        }
    }

    /// Reads a scope back from its stored type and bytes.
    pub(crate) fn from_stored(kind: &str, bytes: Vec<u8>) -> Option<Self> {
        match kind {
            "path" => PathScope::from_bytes(bytes).ok().map(Self::Path),
            "repository" => RepositoryScope::parse(&bytes).ok().map(Self::Repository),
            _ => None,
        }
    }

    /// Says whether `other` is of the same type and lies in this scope (P-D12).
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(own), Self::Path(other)) => own.covers(other),
            (Self::Repository(own), Self::Repository(other)) => own.covers(other),
            _ => false,
        }
    }

    /// Returns every scope that covers this one, the nearest first.
    pub(crate) fn ancestors(&self) -> Vec<Self> {
        match self {
            Self::Path(path) => path.ancestors().map(Self::Path).collect(),
            Self::Repository(repository) => repository.ancestors().map(Self::Repository).collect(),
        }
    }

    pub(crate) const fn path(&self) -> Option<&PathScope> {
        match self {
            Self::Path(path) => Some(path),
            Self::Repository(_) => None,
        }
    }
}

impl From<PathScope> for Scope {
    fn from(path: PathScope) -> Self {
        Self::Path(path)
    }
}

/// Why a path cannot be a scope.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidScope {
    #[error("the scope is empty")]
    Empty,
    #[error("the scope is not an absolute path")]
    Relative,
    #[error("the scope is the root of the file system")]
    Root,
    #[error("the scope has a '.', '..' or empty component")]
    NotCanonical,
    #[error("the scope has a NUL byte")]
    Nul,
}

/// A path prefix by component: absolute, canonical, never `/`.
///
/// Kept as bytes, because names need not be UTF-8 (ARG-26).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PathScope(Vec<u8>);

impl PathScope {
    /// Takes a path that is already canonical; anything else is an error, not a guess.
    pub(crate) fn new(path: &Path) -> Result<Self, InvalidScope> {
        let bytes = path.as_os_str().as_bytes();
        let Some(relative) = bytes.strip_prefix(b"/") else {
            return Err(if bytes.is_empty() {
                InvalidScope::Empty
            } else {
                InvalidScope::Relative
            });
        };
        if relative.is_empty() {
            return Err(InvalidScope::Root);
        }
        if bytes.contains(&0) {
            return Err(InvalidScope::Nul);
        }
        let odd = |component: &[u8]| matches!(component, b"" | b"." | b"..");
        if relative.split(|byte| *byte == b'/').any(odd) {
            return Err(InvalidScope::NotCanonical);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Reads a scope back from its stored bytes.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidScope> {
        Self::new(Path::new(&std::ffi::OsString::from_vec(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Says whether `other` is this path or lies below it: `/tmp/x` covers `/tmp/x/y`, never
    /// `/tmp/xy` (PATH-01).
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match other.0.strip_prefix(self.0.as_slice()) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// Says whether `other` lies below this path and is not the path itself.
    pub(crate) fn covers_strictly(&self, other: &Self) -> bool {
        self != other && self.covers(other)
    }

    /// Returns every scope that covers this one, the nearest first: the path, its parent, and so
    /// on up to the first component. This is what grants are looked up by.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let ends = self
            .0
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| **byte == b'/');
        let mut cuts: Vec<usize> = ends.map(|(index, _)| index).collect();
        cuts.push(self.0.len());
        cuts.into_iter()
            .rev()
            .filter_map(|cut| self.0.get(..cut))
            .map(|bytes| Self(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> PathScope {
        PathScope::new(Path::new(text)).unwrap()
    }

    #[test]
    fn path_01_a_sibling_with_the_same_prefix_is_not_covered() {
        assert!(scope("/tmp/x").covers(&scope("/tmp/x")));
        assert!(scope("/tmp/x").covers(&scope("/tmp/x/y")));
        assert!(!scope("/tmp/x").covers(&scope("/tmp/xy")));
        assert!(!scope("/tmp/x").covers(&scope("/TMP/x")));
        assert!(!scope("/tmp/x").covers(&scope("/tmp")));
    }

    #[test]
    fn p_d9_empty_relative_and_root_scopes_are_errors() {
        let cases = [
            ("", InvalidScope::Empty),
            ("tmp", InvalidScope::Relative),
            ("/", InvalidScope::Root),
            ("//", InvalidScope::NotCanonical),
            ("/tmp/../etc", InvalidScope::NotCanonical),
            ("/tmp/", InvalidScope::NotCanonical),
            ("/tmp/./x", InvalidScope::NotCanonical),
            ("/tmp/\0", InvalidScope::Nul),
        ];
        for (text, error) in cases {
            assert_eq!(PathScope::new(Path::new(text)), Err(error), "{text:?}");
        }
    }

    #[test]
    fn ancestors_go_from_the_path_to_its_first_component() {
        let names: Vec<_> = scope("/a/b/c")
            .ancestors()
            .map(|a| a.as_path().display().to_string())
            .collect();
        assert_eq!(names, ["/a/b/c", "/a/b", "/a"]);
    }

    fn path() -> impl Strategy<Value = PathScope> {
        prop::collection::vec(
            prop::sample::select(vec!["a", "b", "ab", "a.", "\u{e9}", "..a"]),
            1..5,
        )
        .prop_map(|names| scope(&format!("/{}", names.join("/"))))
    }

    proptest! {
        #[test]
        fn cover_is_reflexive(a in path()) {
            prop_assert!(a.covers(&a));
        }

        #[test]
        fn cover_is_transitive(a in path(), b in path(), c in path()) {
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        }

        #[test]
        fn cover_is_antisymmetric(a in path(), b in path()) {
            prop_assert!(!(a.covers(&b) && b.covers(&a)) || a == b);
        }

        #[test]
        fn cover_never_crosses_a_sibling_prefix(a in path(), tail in "[a-z]{1,3}") {
            let sibling = scope(&format!("{}{tail}", a.as_path().display()));
            prop_assert!(!a.covers(&sibling));
        }

        #[test]
        fn the_ancestors_are_exactly_the_scopes_that_cover(a in path(), b in path()) {
            prop_assert_eq!(b.ancestors().any(|s| s == a), a.covers(&b));
        }
    }
}
