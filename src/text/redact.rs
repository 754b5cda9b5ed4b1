//! Secrets in words of command lines.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const REDACTED: &[u8] = b"<redacted>";

/// Returns a word of a command line, or a URL, without the secrets that such words carry: users and
/// passwords of URLs wherever they stand, and the values of keys that are known to hold one.
///
/// A user stays only for ssh, where it is a name and not a token.
pub(crate) fn redacted(word: &[u8]) -> Vec<u8> {
    let Some(value) = secret_value(word) else {
        return without_users(word);
    };
    let mut out = without_users(word.get(..value).unwrap_or(word));
    out.extend_from_slice(REDACTED);
    out
}

/// Does what [`redacted`] does with each word of a command line.
pub(crate) fn words(words: &[OsString]) -> Vec<OsString> {
    words
        .iter()
        .map(|word| OsString::from_vec(redacted(word.as_bytes())))
        .collect()
}

/// Returns where the value begins that stands behind the name of a secret. `http.<url>.extraHeader`
/// has a whole header as its value, mostly `Authorization`.
fn secret_value(word: &[u8]) -> Option<usize> {
    const NAMES: [&[u8]; 6] = [
        b"password",
        b"passwd",
        b"smtppass",
        b"token",
        b"secret",
        b"extraheader",
    ];
    let lower = word.to_ascii_lowercase();
    let name = NAMES.iter().filter_map(|name| find(&lower, name)).min()?;
    let sign = word.get(name..)?.iter().position(|byte| *byte == b'=')?;
    Some(name + sign + 1)
}

fn without_users(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut left = word;
    while let Some(start) = find(left, b"://") {
        let (before, after) = left.split_at_checked(start + 3).unwrap_or((left, b""));
        out.extend_from_slice(before);
        let user_end = user_end(after);
        let user = after.get(..user_end).unwrap_or_default();
        if is_ssh(before) && user_end > 0 {
            let name = user.split(|byte| matches!(byte, b':' | b'@')).next();
            out.extend_from_slice(name.unwrap_or_default());
            out.push(b'@');
        }
        left = after.get(user_end..).unwrap_or_default();
    }
    match scp_password(left).filter(|_| left.len() == word.len()) {
        Some((before, after)) => [before, REDACTED, after].concat(),
        None => [&out, left].concat(),
    }
}

fn is_ssh(before: &[u8]) -> bool {
    let name_start = before
        .iter()
        .rposition(|byte| matches!(byte, b'=' | b'.'))
        .map_or(0, |at| at + 1);
    let scheme = before.get(name_start..).unwrap_or(before);
    matches!(scheme, b"ssh://" | b"git+ssh://" | b"ssh+git://")
}

/// Returns how long the user part is, `@` included, or zero.
///
/// The authority ends at the first slash. If it has a colon and no port behind it, a password with
/// a slash in it was meant, and everything up to the next `@` goes.
fn user_end(after: &[u8]) -> usize {
    let slash = after.iter().position(|byte| b"/?# \"'".contains(byte));
    let authority = after.get(..slash.unwrap_or(after.len())).unwrap_or(after);
    let last_at = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'@');
    if let Some(at) = last_at(authority) {
        return at + 1;
    }
    let port = authority.iter().rposition(|byte| *byte == b':');
    let port = port.and_then(|colon| authority.get(colon + 1..));
    let is_password = port.is_some_and(|port| !port.iter().all(u8::is_ascii_digit));
    if authority.starts_with(b"[") || !is_password {
        return 0;
    }
    let next_at = after.iter().position(|byte| *byte == b'@');
    next_at.map_or(0, |at| at + 1)
}

/// Finds `user:password@host:path`, which is no URL to git but is written all the same. Returns what
/// stands before and behind the password.
fn scp_password(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let (before, after) = word.split_at_checked(colon + 1)?;
    let at = after.iter().position(|byte| matches!(byte, b'@' | b'/'))?;
    let (_, host) = after.split_at_checked(at)?;
    let is_address = host.starts_with(b"@") && host.contains(&b':');
    is_address.then_some((before, host))
}

/// Returns where `wanted` begins.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(cases: &[(&str, &str)]) {
        for (word, expected) in cases {
            let shown = String::from_utf8(redacted(word.as_bytes())).unwrap();
            assert_eq!(shown, *expected, "{word}");
        }
    }

    #[test]
    fn a_url_loses_its_user_and_password() {
        shows(&[
            ("https://u:p@h/a@b", "https://h/a@b"),
            ("https://ghp_token@h/a", "https://h/a"),
            ("https://u:p@x@h:1/a", "https://h:1/a"),
            ("http://u:pa/ss@h/a", "http://h/a"),
            ("https://u:p@h", "https://h"),
            ("https://@h/a", "https://h/a"),
            ("foo://u:p@h/a", "foo://h/a"),
            ("ssh://alice:p@h/a", "ssh://alice@h/a"),
            ("git+ssh://alice@h/a", "git+ssh://alice@h/a"),
            ("ssh+git://a:b@h/a", "ssh+git://a@h/a"),
            ("u:p@h:a", "u:<redacted>@h:a"),
        ]);
    }

    #[test]
    fn what_has_no_secret_stays() {
        for word in [
            "https://h/a",
            "https://h:8443/@scope/a",
            "https://[::1]/a@b",
            "git@h:a/b",
            "alice@h:x",
            "HEAD:refs/heads/a@b",
            "main:feature@2",
            "refs/heads/*:refs/heads/*",
            "--force-with-lease=main:abc",
            "core.editor=vi",
            "",
        ] {
            shows(&[(word, word)]);
        }
        assert_eq!(redacted(b"h:\xff"), b"h:\xff");
    }

    #[test]
    fn configuration_on_the_command_line_loses_it_too() {
        shows(&[
            (
                "url.https://u:p@h/.insteadOf=x",
                "url.https://h/.insteadOf=x",
            ),
            (
                "url.https://h/.insteadOf=https://u:p@h/",
                "url.https://h/.insteadOf=https://h/",
            ),
            ("remote.x.url=https://u:p@h", "remote.x.url=https://h"),
            ("remote.x.url=ssh://u:p@h/a", "remote.x.url=ssh://u@h/a"),
            (
                "http.https://u:p@h/.extraHeader=Authorization: Basic eDp5",
                "http.https://h/.extraHeader=<redacted>",
            ),
            ("http.extraheader=X: y", "http.extraheader=<redacted>"),
            (
                "http.https://h/?a=b.EXTRAHEADER=x",
                "http.https://h/?a=b.EXTRAHEADER=<redacted>",
            ),
            ("user.Password=x=y", "user.Password=<redacted>"),
            (
                "--push-option=deploy_token=abc",
                "--push-option=deploy_token=<redacted>",
            ),
            (
                "credential.helper=!f() { echo password=x; }; f",
                "credential.helper=!f() { echo password=<redacted>",
            ),
            (
                "https://h/a?access_token=x",
                "https://h/a?access_token=<redacted>",
            ),
        ]);
    }
}
