use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::account::Account;
use crate::model::agent::{AgentName, InvalidAgentName};

/// Where the real command looks for programs of its own.
pub(crate) const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the real command may know of the caller's environment. Everything else is dropped: an
/// allow-list cannot miss a variable that is invented later (ENV-10).
const KEPT: [&str; 13] = [
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "COLUMNS",
    "LINES",
];

/// What `git push` and the commands of `pvm exec` may know besides: how to reach the network, and
/// the agent that holds the keys.
const KEPT_FOR_NETWORK: [&str; 9] = [
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "HTTP_PROXY",
];

/// What the credential helpers of `git push` and its TLS library go by.
const KEPT_FOR_CREDENTIALS: [&str; 8] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "KRB5CCNAME",
    "GPG_TTY",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Returns a variable of the caller's environment as bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn bytes(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns a variable of the caller's environment when it is set, not empty and UTF-8.
pub(crate) fn text(name: &str) -> Option<String> {
    bytes(name)
        .and_then(|value| value.into_string().ok())
        .filter(|value| !value.is_empty())
}

/// The label that the caller chose is not a name.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not a name: {reason}")]
pub(crate) struct InvalidLabel {
    variable: &'static str,
    reason: InvalidAgentName,
}

/// Returns what the caller says to be called as an agent, if it says so. It proves nothing.
pub(crate) fn agent_name() -> Result<Option<AgentName>, InvalidLabel> {
    let label = ["PVM_AGENT_ID", "AGENT_ID"]
        .into_iter()
        .find_map(|variable| bytes(variable).map(|label| (variable, label)));
    let Some((variable, label)) = label.filter(|(_, label)| !label.is_empty()) else {
        return Ok(None);
    };
    label
        .to_str()
        .ok_or(InvalidAgentName)
        .and_then(AgentName::parse)
        .map(Some)
        .map_err(|reason| InvalidLabel { variable, reason })
}

/// Says whether the caller's locale has letters beyond ASCII, by its name.
pub(crate) fn speaks_utf8() -> bool {
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text);
    name.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

/// Returns the names of all variables that are set.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn names() -> Vec<OsString> {
    std::env::vars_os().map(|(name, _)| name).collect()
}

/// Returns the caller's whole environment as it came, for a command that is only passed on: entries
/// without `=` and those that stand twice included.
#[expect(unsafe_code, reason = "std leaves out what has no '='")]
pub(crate) fn whole() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let mut words = Vec::new();
    // SAFETY: environ is the array that the program was started with, ended by a null pointer; pvm
    // has one thread, and nobody changes it meanwhile.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            words.push(std::ffi::CStr::from_ptr(*entry).to_owned());
            entry = entry.add(1);
        }
    }
    words
}

/// Says whether a variable stands in the caller's environment more than once (ENV-17).
pub(crate) fn has_duplicates() -> bool {
    let words = whole();
    let mut seen = std::collections::BTreeSet::new();
    let name = |word: &CString| {
        let word = word.as_bytes();
        word.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec)
    };
    !words.iter().filter_map(name).all(|name| seen.insert(name))
}

/// Returns the environment for the real command: each name once, values that cannot name a file.
pub(crate) fn rebuilt(account: &Account) -> Vec<CString> {
    let mut fixed = vec![("PATH", OsStr::new(SAFE_PATH))];
    fixed.push(("HOME", account.home.as_os_str()));
    fixed.push(("USER", OsStr::new(&account.name)));
    fixed.push(("LOGNAME", OsStr::new(&account.name)));
    let kept: Vec<(&str, OsString)> = KEPT
        .into_iter()
        .filter_map(|name| bytes(name).map(|value| (name, value)))
        .filter(|(_, value)| names_no_file(value.as_bytes()))
        .collect();
    fixed
        .into_iter()
        .chain(kept.iter().map(|(name, value)| (*name, value.as_os_str())))
        .filter_map(|(name, value)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        })
        .collect()
}

/// Returns the environment for `git push`: that of every command, what reaches the network and the
/// credentials, and `pinned`.
///
/// None of the caller's `GIT_*` is in it (ENV-19 to ENV-26).
pub(crate) fn for_git(account: &Account, pinned: &[(String, Vec<u8>)]) -> Vec<CString> {
    let names = KEPT_FOR_NETWORK.into_iter().chain(KEPT_FOR_CREDENTIALS);
    let kept = names.filter_map(|name| {
        let value = bytes(name)?;
        Some((name.to_owned(), value.as_bytes().to_vec()))
    });
    rebuilt(account)
        .into_iter()
        .chain(
            kept.chain(pinned.iter().cloned())
                .filter_map(|(name, value)| {
                    CString::new([name.as_bytes(), b"=", &value].concat()).ok()
                }),
        )
        .collect()
}

/// Returns the environment for a command of `pvm exec`: that of every command and the network's, with
/// the directories that the configuration trusts behind the usual ones.
pub(crate) fn for_command(account: &Account, trusted: &[PathBuf]) -> Vec<CString> {
    let mut path = OsString::from(SAFE_PATH);
    // A colon in a name would make two entries of it.
    for directory in trusted
        .iter()
        .filter(|path| !path.as_os_str().as_bytes().contains(&b':'))
    {
        path.push(":");
        path.push(directory);
    }
    let path = [b"PATH=", path.as_bytes()].concat();
    let usual = rebuilt(account)
        .into_iter()
        .filter(|word| !word.as_bytes().starts_with(b"PATH="));
    let network = KEPT_FOR_NETWORK
        .into_iter()
        .filter_map(|name| Some([name.as_bytes(), b"=", bytes(name)?.as_bytes()].concat()));
    let added = [path].into_iter().chain(network);
    usual
        .chain(added.filter_map(|word| CString::new(word).ok()))
        .collect()
}

/// A locale with a slash is a path to load (ENV-15), and `%` is for NLSPATH.
fn names_no_file(value: &[u8]) -> bool {
    let locale_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+@,:=".contains(byte);
    value.len() <= 256 && value.iter().all(locale_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_15_a_value_that_names_a_file_is_dropped() {
        assert!(names_no_file(b"de_DE.UTF-8"));
        for value in [
            &b"/tmp/locale"[..],
            b"../x",
            b":/etc/shadow",
            b"%s",
            b"a\nb",
        ] {
            assert!(!names_no_file(value));
        }
    }
}
