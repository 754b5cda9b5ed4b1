//! Where a push goes: git's reading of a URL (connect.c `parse_connect_url`, transport.c
//! `transport_get`, url.c; 2.30 to 2.55), brought to one form for one repository.
//!
//! Where git, ssh and curl could read a URL in different ways it is refused.

mod canonical;
pub(crate) mod local;
#[cfg(test)]
mod real;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::model::repository::{InvalidRepository, RepositoryScope};
use crate::text::redact::find;
use crate::tool::argv::spell;

pub(crate) use crate::text::redact::redacted;

/// Why a URL is not pushed to.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadUrl {
    #[error("the URL is empty")]
    Empty,
    #[error("the URL has a control character")]
    Control,
    #[error("the URL names a transport of its own, with '::'")]
    Helper,
    #[error("git does not push over '{0}://'")]
    Scheme(String),
    #[error("'://' stands behind something that is not a scheme")]
    NoScheme,
    #[error("the URL has no path")]
    NoPath,
    #[error("the host or the path begins with '-'")]
    Dash,
    #[error("the host is not a name or an address")]
    Host,
    #[error("the user part has more than one '@' or an odd character")]
    User,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("'%' stands before something that is not a character of a path")]
    Escape,
    #[error("the URL has a backslash, a space, '?' or '#'")]
    Character,
    #[error("git reads square brackets in this place as those of a host")]
    Brackets,
    #[error("the path has '.' or '..' in it, or ends with '.git' twice")]
    Path,
    #[error("'~' stands for a home directory that pvm does not look up")]
    Home,
}

impl From<InvalidRepository> for BadUrl {
    fn from(reason: InvalidRepository) -> Self {
        match reason {
            InvalidRepository::NoPath | InvalidRepository::Empty => Self::NoPath,
            InvalidRepository::Host => Self::Host,
            InvalidRepository::Port => Self::Port,
            InvalidRepository::Dash => Self::Dash,
            InvalidRepository::Character => Self::Character,
            InvalidRepository::Escape => Self::Escape,
            InvalidRepository::NotCanonical
            | InvalidRepository::Suffix
            | InvalidRepository::Local(_)
            | InvalidRepository::Ref(_) => Self::Path,
        }
    }
}

/// Where a push goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PushUrl {
    Remote {
        repository: RepositoryScope,
        /// What git is given, user and password included: never shown.
        raw: Vec<u8>,
    },
    /// The path that git will open, absolute and not yet looked at; `local::repository` does that.
    Local { path: PathBuf },
}

impl std::fmt::Debug for PushUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Remote { repository, raw } => f
                .debug_struct("Remote")
                .field("repository", repository)
                .field("raw", &String::from_utf8_lossy(&redacted(raw)))
                .finish(),
            Self::Local { path } => f.debug_struct("Local").field("path", path).finish(),
        }
    }
}

#[cfg(test)]
impl PushUrl {
    /// Returns the repository in canonical form; nothing for a path, which has to be looked at.
    pub(crate) fn canonical_scope(&self) -> Option<&RepositoryScope> {
        match self {
            Self::Remote { repository, .. } => Some(repository),
            Self::Local { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Ssh,
    Git,
    Http,
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Ssh => 22,
            Self::Git => 9418,
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A URL taken apart as git does, not yet canonical.
enum Apart {
    Remote(Place),
    Local(Vec<u8>),
}

struct Place {
    scheme: Scheme,
    /// What stands before the host; for HTTP it says nothing about the path and is left out.
    user: Option<Vec<u8>>,
    /// With the port, and brackets.
    host: Vec<u8>,
    path: Vec<u8>,
}

/// Reads a URL as git does when it pushes, seen from `top`: the top of the work tree, or the git
/// directory where there is none, which is where git goes first.
pub(crate) fn parse(raw: &[u8], top: &Path) -> Result<PushUrl, BadUrl> {
    match taken_apart(raw)? {
        Apart::Remote(place) => Ok(PushUrl::Remote {
            repository: canonical::repository(&place)?,
            raw: raw.to_vec(),
        }),
        Apart::Local(path) => Ok(PushUrl::Local {
            path: top.join(OsStr::from_bytes(&path)),
        }),
    }
}

fn taken_apart(raw: &[u8]) -> Result<Apart, BadUrl> {
    if raw.is_empty() {
        return Err(BadUrl::Empty);
    }
    if raw.iter().any(u8::is_ascii_control) {
        return Err(BadUrl::Control);
    }
    let scheme_end = raw.iter().position(|byte| !is_scheme_character(*byte));
    let (scheme, rest) = raw
        .split_at_checked(scheme_end.unwrap_or(raw.len()))
        .unwrap_or((raw, b""));
    if rest.starts_with(b"::") {
        return Err(BadUrl::Helper);
    }
    let is_url = scheme.first().is_some_and(u8::is_ascii_alphanumeric);
    if let Some(rest) = rest.strip_prefix(b"://").filter(|_| is_url) {
        return with_scheme(scheme, rest);
    }
    if find(raw, b"://").is_some() {
        return Err(BadUrl::NoScheme);
    }
    if raw.starts_with(b"rsync:") {
        return Err(BadUrl::Scheme("rsync".into()));
    }
    if is_path(raw) {
        return local_path(raw);
    }
    let (authority, path) = split_behind_brackets(raw, b':')?;
    let path = path.strip_prefix(b":").unwrap_or(path);
    place(Scheme::Ssh, authority, path)
}

/// The characters of a scheme (url.c, `is_urlschemechar`); a digit may be the first.
fn is_scheme_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// No colon, or a slash before it (url.c, `url_is_local_not_ssh`).
fn is_path(raw: &[u8]) -> bool {
    raw.iter()
        .find(|byte| matches!(byte, b':' | b'/'))
        .is_none_or(|byte| *byte == b'/')
}

fn with_scheme(scheme: &[u8], rest: &[u8]) -> Result<Apart, BadUrl> {
    let scheme = match scheme {
        b"ssh" | b"git+ssh" | b"ssh+git" => Scheme::Ssh,
        b"git" => Scheme::Git,
        b"http" => return http(Scheme::Http, rest),
        b"https" => return http(Scheme::Https, rest),
        b"file" => return file(rest),
        other => return Err(BadUrl::Scheme(spell(other))),
    };
    // git decodes first and then looks for the parts.
    let decoded = decoded(rest)?;
    let (authority, path) = split_behind_brackets(&decoded, b'/')?;
    place(scheme, authority, path)
}

/// curl looks for the parts first and then decodes.
fn http(scheme: Scheme, rest: &[u8]) -> Result<Apart, BadUrl> {
    if rest.iter().any(|byte| b"?# \\".contains(byte)) {
        return Err(BadUrl::Character);
    }
    let slash = rest.iter().position(|byte| *byte == b'/');
    let (authority, path) = slash
        .and_then(|slash| rest.split_at_checked(slash))
        .ok_or(BadUrl::NoPath)?;
    let (user, host) = split_user(authority)?;
    let user = user.unwrap_or_default();
    decoded(user)?;
    if user.iter().any(|byte| b"[]".contains(byte)) {
        return Err(BadUrl::User);
    }
    Ok(Apart::Remote(Place {
        scheme,
        user: None,
        host: decoded(host)?,
        path: decoded(path)?,
    }))
}

/// git ignores the host.
fn file(rest: &[u8]) -> Result<Apart, BadUrl> {
    let decoded = decoded(rest)?;
    if bracket_end(&decoded) != 0 {
        return Err(BadUrl::Brackets);
    }
    let (_, path) = split_behind_brackets(&decoded, b'/')?;
    Ok(Apart::Local(path.to_vec()))
}

fn local_path(raw: &[u8]) -> Result<Apart, BadUrl> {
    if bracket_end(raw) != 0 {
        return Err(BadUrl::Brackets);
    }
    match raw.first() {
        Some(b'-') => Err(BadUrl::Dash),
        // git-receive-pack takes it for somebody's home (path.c, `enter_repo`).
        Some(b'~') => Err(BadUrl::Home),
        _ => Ok(Apart::Local(raw.to_vec())),
    }
}

fn place(scheme: Scheme, authority: &[u8], path: &[u8]) -> Result<Apart, BadUrl> {
    let path = past_slash_before_tilde(path);
    if authority.starts_with(b"-") || path.starts_with(b"-") {
        return Err(BadUrl::Dash);
    }
    let (user, host) = split_user(authority)?;
    Ok(Apart::Remote(Place {
        scheme,
        user: user.map(<[u8]>::to_vec),
        host: host.to_vec(),
        path: path.to_vec(),
    }))
}

/// Returns where git goes on after square brackets at the start or behind the first `@[`, wherever
/// that is; zero where there are none (connect.c, `host_end`).
fn bracket_end(bytes: &[u8]) -> usize {
    let start = find(bytes, b"@[").map_or(0, |at| at + 1);
    let inside = bytes.get(start..).unwrap_or_default();
    if !inside.starts_with(b"[") {
        return 0;
    }
    let end = inside.iter().position(|byte| *byte == b']');
    end.map_or(0, |end| start + end)
}

/// Splits before the separator between host and path.
fn split_behind_brackets(bytes: &[u8], separator: u8) -> Result<(&[u8], &[u8]), BadUrl> {
    let start = bracket_end(bytes);
    let after = bytes.get(start..).unwrap_or_default();
    let found = after.iter().position(|byte| *byte == separator);
    found
        .and_then(|at| bytes.split_at_checked(start + at))
        .ok_or(BadUrl::NoPath)
}

/// `/~user` becomes `~user`. git looks only at the second character, so `x~user` does too.
fn past_slash_before_tilde(path: &[u8]) -> &[u8] {
    match path {
        [_, rest @ ..] if rest.starts_with(b"~") => rest,
        _ => path,
    }
}

/// Decodes every escape, once. What git, curl or a server could see differently is refused: an
/// escape that is none, a slash, a NUL byte or another control character (GIT-42).
fn decoded(bytes: &[u8]) -> Result<Vec<u8>, BadUrl> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut left = bytes;
    while let [byte, after @ ..] = left {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => (escaped(*high, *low)?, after),
            (b'%', _) => return Err(BadUrl::Escape),
            _ => (*byte, after),
        };
        out.push(byte);
        left = after;
    }
    Ok(out)
}

fn escaped(high: u8, low: u8) -> Result<u8, BadUrl> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (high, low) = digit(high).zip(digit(low)).ok_or(BadUrl::Escape)?;
    match u8::try_from(high * 16 + low) {
        Ok(byte) if byte.is_ascii_control() => Err(BadUrl::Control),
        Ok(b'/') | Err(_) => Err(BadUrl::Escape),
        Ok(byte) => Ok(byte),
    }
}

fn split_user(authority: &[u8]) -> Result<(Option<&[u8]>, &[u8]), BadUrl> {
    let mut parts = authority.split(|byte| *byte == b'@');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(host), None, None) => Ok((None, host)),
        (Some(user), Some(host), None) => Ok((Some(user), host)),
        _ => Err(BadUrl::User),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<PushUrl, BadUrl> {
        parse(raw.as_bytes(), Path::new("/work tree"))
    }

    fn scope(raw: &str) -> String {
        let url = read(raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
        let scope = url.canonical_scope().expect(raw);
        String::from_utf8(scope.as_bytes().to_vec()).unwrap()
    }

    fn bad(cases: &[(&str, BadUrl)]) {
        for (raw, error) in cases {
            assert_eq!(read(raw), Err(error.clone()), "{raw:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_repository_has_one_scope() {
        for raw in [
            "https://github.com/a/b",
            "http://github.com/a/b",
            "https://github.com/a/b.git",
            "https://github.com/a/b.git/",
            "https://github.com/a/b/.git",
            "https://github.com//a///b//",
            "https://GitHub.COM/a/b",
            "https://github.com:443/a/b",
            "https://github.com:/a/b",
            "https://user@github.com/a/b",
            "https://user:pass%40word@github.com/a/b",
            "https://x-access-token:t@github.com/a/b",
            "https://github.com/%61/%62",
            "https://%67ithub.com/a/b",
            "http://github.com:80/a/b",
            "git@github.com:a/b.git",
            "git@github.com:/a/b",
            "github.com:a/b",
            "[github.com]:a/b",
            "git@[github.com:22]:a/b",
            "ssh://git@github.com/a/b",
            "ssh://github.com:22/a/b.git",
            "ssh://alice@github.com/a/b",
            "ssh://git@github.com/~/a/b",
            "git@github.com:~/a/b",
            "git+ssh://git@github.com/a/b",
            "ssh+git://git@github.com/a/b",
            "ssh://g%69t@github.com/%61/b",
            "git://github.com/a/b",
            "git://github.com:9418/a/b",
        ] {
            assert_eq!(scope(raw), "github.com/a/b", "{raw}");
        }
    }

    #[test]
    fn what_is_another_repository_has_another_scope() {
        let cases = [
            ("https://github.com:8443/a/b", "github.com:8443/a/b"),
            ("http://h:443/a", "h:443/a"),
            ("ssh://h:2222/a", "h:2222/a"),
            ("[h:2222]:a", "h:2222/a"),
            ("[h:1]:2/a:b", "h:1/2/a:b"),
            ("https://h/A", "h/A"),
            ("https://h/a.gi", "h/a.gi"),
            ("https://h./a", "h/a"),
            ("h:a%20b", "h/a%2520b"),
            ("ssh://h/a%20b", "h/a b"),
            ("ssh://h/a%23b", "h/a%23b"),
            ("h:a#b?c", "h/a%23b?c"),
            ("ssh://[::1]/a", "[::1]/a"),
            ("ssh://[0:0::0001]:2222/a", "[::1]:2222/a"),
            ("https://[::1]:443/a", "[::1]/a"),
            ("alice@[fe80::1]:/a", "[fe80::1]/a"),
            ("[::1]:a", "[::1]/a"),
        ];
        for (raw, expected) in cases {
            assert_eq!(scope(raw), expected, "{raw}");
        }
    }

    #[test]
    fn the_user_counts_where_the_path_is_relative_to_a_home() {
        let cases = [
            ("alice@h:repo", "h/~alice/repo"),
            ("alice@h:~/repo.git", "h/~alice/repo"),
            ("alice@h:/~/repo", "h/~alice/repo"),
            ("ssh://alice@h/~/repo", "h/~alice/repo"),
            ("alice@h:/srv/repo", "h/srv/repo"),
            ("ssh://alice@h/srv/repo", "h/srv/repo"),
            ("alice@h:~bob/x", "h/~bob/x"),
            ("ssh://h/~bob/x", "h/~bob/x"),
            ("git@h:/~bob/x", "h/~bob/x"),
            ("git://h/~bob/x", "h/~bob/x"),
            ("Git@h:x", "h/~Git/x"),
            // git drops whatever one character stands before the tilde.
            ("h:x~bob/y", "h/~bob/y"),
            ("h:xx~bob/y", "h/xx~bob/y"),
        ];
        for (raw, expected) in cases {
            assert_eq!(scope(raw), expected, "{raw}");
        }
        bad(&[
            ("al%20ice@h:x", BadUrl::User),
            ("ssh://al%2520ice@h/x", BadUrl::User),
            ("ssh://u:p@h/x", BadUrl::User),
            ("@h:x", BadUrl::User),
            ("git://u@h/x", BadUrl::User),
            ("git://h/~/x", BadUrl::Home),
            ("alice@h:~", BadUrl::Home),
            ("ssh://alice@h/~", BadUrl::Home),
        ]);
    }

    #[test]
    fn git_27_paths_are_local_and_relative_to_the_top() {
        let cases = [
            ("/srv/r.git", "/srv/r.git"),
            ("../r", "/work tree/../r"),
            ("r.git", "/work tree/r.git"),
            ("./a:b", "/work tree/./a:b"),
            ("/a%20b", "/a%20b"),
            ("/a\\b?#", "/a\\b?#"),
            ("file:///srv/r", "/srv/r"),
            ("file://localhost/srv/a%20b", "/srv/a b"),
            ("file://host/~alice", "/~alice"),
        ];
        for (raw, path) in cases {
            assert_eq!(read(raw), Ok(PushUrl::Local { path: path.into() }), "{raw}");
            assert!(read(raw).unwrap().canonical_scope().is_none());
        }
        bad(&[
            ("", BadUrl::Empty),
            ("~/r", BadUrl::Home),
            ("~alice/r", BadUrl::Home),
            ("[a]/r", BadUrl::Brackets),
            ("/x@[a]/r", BadUrl::Brackets),
            ("file:///a@[b/c]/d", BadUrl::Brackets),
            ("file://host", BadUrl::NoPath),
            ("file:///a%2fb", BadUrl::Escape),
        ]);
    }

    #[test]
    fn git_41_nothing_begins_with_a_dash() {
        for raw in [
            "-x:y",
            "-x/y",
            "-",
            "ssh://-oProxyCommand=x/y",
            "ssh://-oProxyCommand=x@h/y",
            "ssh://%2doProxyCommand=x/y",
            "[-oProxyCommand=x]:y",
            "h:-y",
            "ssh://h/-y",
            "https://-h/y",
            "https://h/-y",
            "git@-h:y",
        ] {
            let refused = read(raw);
            let expected = [BadUrl::Dash, BadUrl::Host].map(Err);
            assert!(expected.contains(&refused), "{raw}: {refused:?}");
        }
    }

    #[test]
    fn git_42_control_characters_and_empty_hosts_are_refused() {
        bad(&[
            ("https://h/a\nb", BadUrl::Control),
            ("h:a\rb", BadUrl::Control),
            ("/a\x7f", BadUrl::Control),
            ("https://h/a%0ab", BadUrl::Control),
            ("https://u%0d@h/a", BadUrl::Control),
            ("https://h%00/a", BadUrl::Control),
            ("ssh://h/a%7F", BadUrl::Control),
            ("file:///a%0a", BadUrl::Control),
            ("https:///a", BadUrl::Host),
            ("ssh:///a", BadUrl::Host),
            (":a", BadUrl::Host),
            ("https://u@/a", BadUrl::Host),
            ("ssh://:22/a", BadUrl::Host),
        ]);
    }

    #[test]
    fn git_39_and_40_only_the_known_transports_count() {
        let scheme = |name: &str| BadUrl::Scheme(name.into());
        bad(&[
            ("ext::sh -c x", BadUrl::Helper),
            ("https::https://h/a", BadUrl::Helper),
            ("::a", BadUrl::Helper),
            ("ftp://h/a", scheme("ftp")),
            ("ftps://h/a", scheme("ftps")),
            ("HTTPS://h/a", scheme("HTTPS")),
            ("foo://h/a", scheme("foo")),
            ("1+2://h/a", scheme("1+2")),
            ("rsync:h", scheme("rsync")),
            ("./a://b", BadUrl::NoScheme),
            ("+a://b", BadUrl::NoScheme),
            ("://b", BadUrl::NoScheme),
            ("a_b://h/x", BadUrl::NoScheme),
        ]);
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        bad(&[
            ("https://a@b@h/x", BadUrl::User),
            ("https://[::1]@h/x", BadUrl::User),
            ("a@b@h:x", BadUrl::User),
            ("ssh://a%40b@h/x", BadUrl::User),
            ("https://good%2fx@evil/x", BadUrl::Escape),
            ("https://good%40evil/x", BadUrl::Host),
            ("https://h\\@evil/x", BadUrl::Character),
            ("https://h/a\\b", BadUrl::Character),
            ("h:a\\b", BadUrl::Character),
            ("ssh://h/a%5cb", BadUrl::Character),
            ("https://h?x/a", BadUrl::Character),
            ("https://h/a?service=x", BadUrl::Character),
            ("https://h/a#b", BadUrl::Character),
            ("https://h/a b", BadUrl::Character),
            ("https://h/a/../b", BadUrl::Path),
            ("https://h/a/%2e%2e/b", BadUrl::Path),
            ("h:../b", BadUrl::Path),
            ("ssh://h/./b", BadUrl::Path),
            ("https://h/a%2fb", BadUrl::Escape),
            ("https://h/a%zz", BadUrl::Escape),
            ("https://h/a%2", BadUrl::Escape),
            ("https://h/a.git.git", BadUrl::Path),
            ("https://h/a/.git/.git", BadUrl::Path),
            ("https://h/", BadUrl::NoPath),
            ("https://h", BadUrl::NoPath),
            ("https://h/.git", BadUrl::NoPath),
            ("h:", BadUrl::NoPath),
            ("h:/", BadUrl::NoPath),
            ("ssh://h:99999/a", BadUrl::Port),
            ("ssh://h:0/a", BadUrl::Port),
            ("ssh://h:+22/a", BadUrl::Port),
            ("https://h:4 43/a", BadUrl::Character),
            ("https://h:443:443/a", BadUrl::Port),
            ("https://[h]/a", BadUrl::Host),
            ("https://[::1/a", BadUrl::Host),
            ("https://[::1]x/a", BadUrl::Host),
            ("ssh://[h:1]:2/a", BadUrl::Host),
            ("h:a@[b]:c", BadUrl::User),
            ("https://b\u{fc}cher/a", BadUrl::Host),
            ("https://[::1%25eth0]/a", BadUrl::Port),
        ]);
    }

    #[test]
    fn the_raw_url_is_kept_and_not_shown() {
        let raw = "https://u:secret@h/a";
        let Ok(PushUrl::Remote { raw: kept, .. }) = read(raw) else {
            panic!("{raw}");
        };
        assert_eq!(kept, raw.as_bytes());
        assert!(!format!("{:?}", read(raw)).contains("secret"));
    }
}
