use core::net::Ipv6Addr;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::scope::{InvalidScope, PathScope};

/// Why a name cannot be a ref (refs.c, `check_refname_format`).
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidRef {
    #[error("the ref is not a full name: it does not begin with 'refs/'")]
    NotFull,
    #[error("the ref has an empty component, or one that begins with '.' or ends with '.lock'")]
    Component,
    #[error("the ref has a control character, a space or one of '~^:?*[\\'")]
    Character,
    #[error("the ref has '..' or '@{{', or ends with '.'")]
    Sequence,
}

/// The full name of a ref: `refs/heads/main`. Case and bytes count (GIT-48).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RefName(Vec<u8>);

impl RefName {
    pub(crate) fn new(name: &[u8]) -> Result<Self, InvalidRef> {
        let short = name.strip_prefix(b"refs/").ok_or(InvalidRef::NotFull)?;
        let forbidden = |byte: &u8| *byte <= b' ' || b"~^:?*[\\\x7f".contains(byte);
        if short.iter().any(forbidden) {
            return Err(InvalidRef::Character);
        }
        let odd = |component: &[u8]| {
            component.is_empty() || component.starts_with(b".") || component.ends_with(b".lock")
        };
        if short.split(|byte| *byte == b'/').any(odd) {
            return Err(InvalidRef::Component);
        }
        let mut pairs = short.iter().zip(short.iter().skip(1));
        if pairs.any(|pair| matches!(pair, (b'.', b'.') | (b'@', b'{'))) || short.ends_with(b".") {
            return Err(InvalidRef::Sequence);
        }
        Ok(Self(name.to_vec()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why something cannot be the scope of a push.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidRepository {
    #[error("the scope is empty")]
    Empty,
    #[error("the scope has no path behind the host")]
    NoPath,
    #[error("the host is not a name in lower case or an address in its shortest form")]
    Host,
    #[error("the port is not a number from 1 to 65535 without leading zeros")]
    Port,
    #[error("the path has a '.', '..' or empty component")]
    NotCanonical,
    #[error("the path ends with '.git'")]
    Suffix,
    #[error("the path begins with '-'")]
    Dash,
    #[error("the path has a control character or a backslash")]
    Character,
    #[error("in a path '%' stands only in '%25' and '%23'")]
    Escape,
    #[error(transparent)]
    Local(#[from] InvalidScope),
    #[error(transparent)]
    Ref(#[from] InvalidRef),
}

/// A repository in canonical form, and one ref of it or all: what a push changes, or what a grant
/// is for.
///
/// The text is `HOST[:PORT]/PATH`, or an absolute path for a repository of this machine, and then
/// `#` and the full ref if there is one. In the path `#` is written `%23` and `%` is `%25`, so the
/// first `#` is the separator; there is one text for one value. A path need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RepositoryScope {
    repository: Vec<u8>,
    reference: Option<RefName>,
    /// Both in one, which is what is stored.
    text: Vec<u8>,
}

impl RepositoryScope {
    /// Takes parts that are canonical already: `host` in lower case or an IPv6 address in brackets,
    /// `port` only where it is not the default, `path` decoded and without slashes at its ends.
    pub(crate) fn new_remote(
        host: &str,
        port: Option<u16>,
        path: &[u8],
        reference: Option<RefName>,
    ) -> Result<Self, InvalidRepository> {
        check_host(host)?;
        check_path(path)?;
        let mut repository = host.as_bytes().to_vec();
        match port {
            Some(0) => return Err(InvalidRepository::Port),
            Some(port) => repository.extend(format!(":{port}").into_bytes()),
            None => {}
        }
        repository.push(b'/');
        push_escaped(&mut repository, path);
        Ok(Self::from_parts(repository, reference))
    }

    /// Takes the canonical path of a repository's directory.
    pub(crate) fn new_local(
        path: &[u8],
        reference: Option<RefName>,
    ) -> Result<Self, InvalidRepository> {
        PathScope::new(Path::new(OsStr::from_bytes(path)))?;
        let mut repository = Vec::with_capacity(path.len());
        push_escaped(&mut repository, path);
        Ok(Self::from_parts(repository, reference))
    }

    /// Reads a scope from its text; anything but the canonical form is an error, not a guess.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidRepository> {
        if text.is_empty() {
            return Err(InvalidRepository::Empty);
        }
        let mut parts = text.splitn(2, |byte| *byte == b'#');
        let repository = parts.next().unwrap_or_default();
        let reference = parts.next().map(RefName::new).transpose()?;
        if repository.starts_with(b"/") {
            return Self::new_local(&unescaped(repository)?, reference);
        }
        let slash = repository.iter().position(|byte| *byte == b'/');
        let (authority, path) = slash
            .and_then(|slash| repository.split_at_checked(slash))
            .ok_or(InvalidRepository::NoPath)?;
        let authority = std::str::from_utf8(authority).map_err(|_| InvalidRepository::Host)?;
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let (host, port) = split_port(authority)?;
        Self::new_remote(host, port, &unescaped(path)?, reference)
    }

    fn from_parts(repository: Vec<u8>, reference: Option<RefName>) -> Self {
        let mut text = repository.clone();
        if let Some(reference) = &reference {
            text.push(b'#');
            text.extend_from_slice(reference.as_bytes());
        }
        Self {
            repository,
            reference,
            text,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn reference(&self) -> Option<&RefName> {
        self.reference.as_ref()
    }

    /// Returns the directory of a repository of this machine.
    pub(crate) fn local_path(&self) -> Option<PathBuf> {
        let path = self
            .repository
            .starts_with(b"/")
            .then_some(&self.repository)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(path).ok()?)))
    }

    /// Says whether the text can hardly be meant as a path that is not written from the root: it has
    /// a ref, or its host has a dot or a port, is an address, or is this machine.
    pub(crate) fn is_evident(&self) -> bool {
        let end = self.repository.iter().position(|byte| *byte == b'/');
        let host = end.and_then(|end| self.repository.get(..end));
        let is_one = host.is_some_and(|host| {
            host.is_empty() || host == b"localhost" || host.iter().any(|byte| b".:[".contains(byte))
        });
        is_one || self.reference.is_some()
    }

    /// Says whether `other` is the same repository and, where this scope has a ref, the same ref.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.repository == other.repository
            && (self.reference.is_none() || self.reference == other.reference)
    }

    pub(crate) fn with_ref(&self, reference: RefName) -> Self {
        Self::from_parts(self.repository.clone(), Some(reference))
    }

    pub(crate) fn without_ref(&self) -> Self {
        Self::from_parts(self.repository.clone(), None)
    }

    /// Returns every scope that covers this one, the nearest first: itself, and the repository if
    /// this is a ref of it. This is what grants are looked up by.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let repository = self.reference.is_some().then(|| self.without_ref());
        std::iter::once(self.clone()).chain(repository)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidRepository> {
    let Some((host, port)) = authority.rsplit_once(':') else {
        return Ok((authority, None));
    };
    // The colon stands inside the brackets of an address.
    if authority.ends_with(']') {
        return Ok((authority, None));
    }
    let number: u16 = port.parse().map_err(|_| InvalidRepository::Port)?;
    if number.to_string() != port {
        return Err(InvalidRepository::Port);
    }
    Ok((host, Some(number)))
}

fn check_host(host: &str) -> Result<(), InvalidRepository> {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| InvalidRepository::Host)?;
        let is_shortest = address.to_string() == inner;
        return is_shortest.then_some(()).ok_or(InvalidRepository::Host);
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if host.is_empty() || host.starts_with(['-', '.']) || !host.bytes().all(allowed) {
        return Err(InvalidRepository::Host);
    }
    Ok(())
}

fn check_path(path: &[u8]) -> Result<(), InvalidRepository> {
    if path.is_empty() {
        return Err(InvalidRepository::NoPath);
    }
    let odd = |component: &[u8]| matches!(component, b"" | b"." | b"..");
    if path.split(|byte| *byte == b'/').any(odd) {
        return Err(InvalidRepository::NotCanonical);
    }
    if path
        .iter()
        .any(|byte| byte.is_ascii_control() || *byte == b'\\')
    {
        return Err(InvalidRepository::Character);
    }
    if path.starts_with(b"-") {
        return Err(InvalidRepository::Dash);
    }
    if path.ends_with(b".git") {
        return Err(InvalidRepository::Suffix);
    }
    Ok(())
}

fn push_escaped(text: &mut Vec<u8>, path: &[u8]) {
    for byte in path {
        match byte {
            b'#' => text.extend_from_slice(b"%23"),
            b'%' => text.extend_from_slice(b"%25"),
            _ => text.push(*byte),
        }
    }
}

fn unescaped(text: &[u8]) -> Result<Vec<u8>, InvalidRepository> {
    let mut path = Vec::with_capacity(text.len());
    let mut left = text;
    while let [byte, after @ ..] = left {
        let (byte, after) = match left {
            [b'%', b'2', b'3', after @ ..] => (b'#', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            [b'%', ..] => return Err(InvalidRepository::Escape),
            _ => (*byte, after),
        };
        path.push(byte);
        left = after;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> RepositoryScope {
        RepositoryScope::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn name(text: &str) -> RefName {
        RefName::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_scope_without_a_ref_covers_every_ref_of_the_one_repository() {
        let whole = scope("github.com/a/b");
        let main = scope("github.com/a/b#refs/heads/main");
        assert!(whole.covers(&whole) && whole.covers(&main) && main.covers(&main));
        assert!(!main.covers(&whole));
        assert!(!main.covers(&scope("github.com/a/b#refs/heads/mai")));
        assert!(!main.covers(&scope("github.com/a/b#refs/heads/main/x")));
        // A path is not a prefix here.
        assert!(!whole.covers(&scope("github.com/a/b/c")));
        assert!(!whole.covers(&scope("github.com:8443/a/b")));
        assert!(!scope("/srv/git").covers(&scope("/srv/git/r.git")));
    }

    #[test]
    fn git_48_the_case_of_a_ref_counts() {
        let main = scope("h/r#refs/heads/main");
        assert!(!main.covers(&scope("h/r#refs/heads/MAIN")));
        assert!(!scope("h/r").covers(&scope("h/R")));
    }

    #[test]
    fn ancestors_are_the_scope_and_its_repository() {
        let texts = |text: &str| -> Vec<String> {
            let scope = scope(text);
            scope
                .ancestors()
                .map(|scope| String::from_utf8(scope.as_bytes().to_vec()).unwrap())
                .collect()
        };
        assert_eq!(texts("h/r#refs/tags/v1"), ["h/r#refs/tags/v1", "h/r"]);
        assert_eq!(texts("/srv/r.git"), ["/srv/r.git"]);
    }

    #[test]
    fn the_first_number_sign_separates_the_ref() {
        let odd = RepositoryScope::new_remote("h", None, b"a#b%c", Some(name("refs/heads/x#y%")));
        let odd = odd.unwrap();
        assert_eq!(odd.as_bytes(), b"h/a%23b%25c#refs/heads/x#y%");
        assert_eq!(RepositoryScope::parse(odd.as_bytes()), Ok(odd.clone()));
        // Without the escape a path could pass for a ref of another repository.
        let other = scope("h/a#refs/heads/b");
        let evil = RepositoryScope::new_remote("h", None, b"a#refs/heads/b", None).unwrap();
        assert_ne!(evil, other);
        assert!(!scope("h/a").covers(&evil));
        let local = RepositoryScope::new_local(b"/srv/a#b", None).unwrap();
        assert_eq!(local.as_bytes(), b"/srv/a%23b");
        assert_eq!(local.local_path(), Some("/srv/a#b".into()));
        assert_eq!(odd.local_path(), None);
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        use InvalidRepository as Bad;
        let cases = [
            ("", Bad::Empty),
            ("github.com", Bad::NoPath),
            ("github.com/", Bad::NoPath),
            ("GitHub.com/a", Bad::Host),
            ("git@github.com/a", Bad::Host),
            ("-x/a", Bad::Host),
            (".x/a", Bad::Host),
            ("../a", Bad::Host),
            ("b\u{fc}cher/a", Bad::Host),
            ("[::0001]/a", Bad::Host),
            ("[::1/a", Bad::Host),
            ("h:/a", Bad::Port),
            ("h:0/a", Bad::Port),
            ("h:022/a", Bad::Port),
            ("h:+22/a", Bad::Port),
            ("h:65536/a", Bad::Port),
            ("h:1:2/a", Bad::Host),
            ("h//a", Bad::NotCanonical),
            ("h/a/", Bad::NotCanonical),
            ("h/a/../b", Bad::NotCanonical),
            ("h/./b", Bad::NotCanonical),
            ("h/a.git", Bad::Suffix),
            ("h/.git", Bad::Suffix),
            ("h/-a", Bad::Dash),
            ("h/a\\b", Bad::Character),
            ("h/a\nb", Bad::Character),
            ("h/a%20b", Bad::Escape),
            ("h/a%2", Bad::Escape),
            ("https://h/a", Bad::Port),
            ("/", Bad::Local(InvalidScope::Root)),
            ("/a/", Bad::Local(InvalidScope::NotCanonical)),
            ("/a/../b", Bad::Local(InvalidScope::NotCanonical)),
            ("h/a#", Bad::Ref(InvalidRef::NotFull)),
            ("h/a#main", Bad::Ref(InvalidRef::NotFull)),
            ("h/a#refs/heads/*", Bad::Ref(InvalidRef::Character)),
        ];
        for (text, error) in cases {
            let read = RepositoryScope::parse(text.as_bytes());
            assert_eq!(read, Err(error), "{text:?}");
        }
        for text in [
            "github.com/a/b",
            "h_1.x-y:8443/~alice/r#refs/heads/main",
            "[::1]:22/a",
            "[fe80::1]/a b",
            "/srv/r.git#refs/x",
            "/srv/a\\b",
        ] {
            assert_eq!(scope(text).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn git_46_names_of_refs_are_what_git_takes() {
        for text in [
            "refs/x",
            "refs/heads/-f",
            "refs/heads/$(id)",
            "refs/heads/a@b.c",
            "refs/@",
        ] {
            assert_eq!(
                RefName::new(text.as_bytes()).unwrap().as_bytes(),
                text.as_bytes()
            );
        }
        assert!(RefName::new(b"refs/heads/\xff").is_ok());
        for text in [
            "",
            "main",
            "heads/main",
            "refs",
            "refs/",
            "REFS/heads/x",
            "refs//x",
            "refs/x/",
            "refs/.x",
            "refs/x/.y",
            "refs/x.lock",
            "refs/x.lock/y",
            "refs/a..b",
            "refs/x.",
            "refs/a@{b",
            "refs/a b",
            "refs/a~b",
            "refs/a^",
            "refs/a:b",
            "refs/a?",
            "refs/*",
            "refs/a[",
            "refs/a\\b",
            "refs/a\x7f",
            "refs/a\tb",
            "refs/a\0",
        ] {
            assert!(RefName::new(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    /// git itself is asked, where there is one.
    #[test]
    fn names_of_refs_agree_with_git() {
        use std::process::Command;
        let parts = [
            "a", ".", "..", "/", "@", "@{", "{", "}", ".lock", "-", "~", "\u{e9}", "refs/",
        ];
        let mut names: Vec<String> = Vec::new();
        for first in parts {
            for second in parts {
                names.push(format!("refs/{first}{second}"));
                names.push(format!("refs/x{first}{second}y"));
            }
        }
        for name in names {
            let status = Command::new("git")
                .args(["check-ref-format", &name])
                .status();
            let Ok(status) = status else { return };
            let ours = RefName::new(name.as_bytes()).is_ok();
            assert_eq!(ours, status.success(), "{name}");
        }
    }

    fn any_scope() -> impl Strategy<Value = RepositoryScope> {
        let path = prop::collection::vec("[a#%~. \u{e9}]{0,3}x", 1..4);
        let reference =
            prop::option::of(prop::sample::select(vec!["refs/a", "refs/a#b", "refs/%"]));
        (any::<bool>(), path, reference).prop_map(|(local, path, reference)| {
            let path = path.join("/");
            let reference = reference.map(name);
            if local {
                RepositoryScope::new_local(format!("/{path}").as_bytes(), reference)
            } else {
                RepositoryScope::new_remote("h", Some(1), path.as_bytes(), reference)
            }
            .unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(scope in any_scope()) {
            prop_assert_eq!(RepositoryScope::parse(scope.as_bytes()), Ok(scope));
        }

        #[test]
        fn the_ancestors_are_exactly_what_covers(a in any_scope(), b in any_scope()) {
            for a in [a.without_ref(), b.without_ref(), b.clone(), a] {
                prop_assert_eq!(b.ancestors().any(|s| s == a), a.covers(&b));
            }
        }

        #[test]
        fn what_is_read_is_what_was_there(text in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(scope) = RepositoryScope::parse(&text) {
                prop_assert_eq!(scope.as_bytes(), text.as_slice());
            }
        }
    }
}
