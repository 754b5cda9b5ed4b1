//! What is run instead of what was typed: a remote under a random name, which only the child's
//! environment knows, with the URLs and refspecs that were looked at. Nothing that the
//! repository's configuration says, or is changed to say, is about a remote of that name; and the
//! URLs are rewritten from random strings of which no other rule has as long a prefix
//! (remote.c, `alias_url`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::push::Push;
use crate::sys::random::{self, RandomError};

/// What makes git see each commit's own parents and no others, because by them it tells a
/// fast-forward: refs/replace, info/grafts and a commit-graph file are the repository's to write
/// (GIT-55). The path can never be a file; an empty one would be complained about.
const OWN_PARENTS: [(&str, &[u8]); 2] = [
    ("GIT_NO_REPLACE_OBJECTS", b"1"),
    ("GIT_GRAFT_FILE", b"/dev/null/none"),
];

/// What is set after everything else. A commit-graph file and, before git 2.41, a setting that brings
/// refs/replace back would lie about parents (GIT-55); an empty push option empties the list, and
/// those that count are on the command line. Only version 2 of the protocol tells which refs are
/// symbolic.
const LAST: [(&[u8], &[u8]); 4] = [
    (b"protocol.version", b"2"),
    (b"core.commitGraph", b"false"),
    (b"core.useReplaceRefs", b"false"),
    (b"push.pushOption", b""),
];

/// The random names of one run.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    remote: String,
    urls: Vec<String>,
    settings: Vec<(Vec<u8>, Vec<u8>)>,
}

fn nonce() -> Result<String, RandomError> {
    let bytes: [u8; 16] = random::bytes()?;
    Ok(format!("pvm-{}", data_encoding::HEXLOWER.encode(&bytes)))
}

impl Pin {
    /// `more` are settings of the command line that go with it.
    pub(crate) fn new(push: &Push, more: &[(Vec<u8>, Vec<u8>)]) -> Result<Self, RandomError> {
        let mut pin = Self {
            remote: nonce()?,
            urls: Vec::new(),
            settings: more.to_vec(),
        };
        let remote = pin.remote.clone();
        let key = |name: &[u8]| [b"remote.", remote.as_bytes(), b".", name].concat();
        pin.settings.push((key(b"url"), push.fetch_url.clone()));
        for destination in &push.destinations {
            let alias = format!("{}:", nonce()?);
            pin.settings
                .push((key(b"pushurl"), alias.clone().into_bytes()));
            let rewrite = [b"url.", destination.url.as_slice(), b".insteadOf"].concat();
            pin.settings.push((rewrite, alias.clone().into_bytes()));
            pin.urls.push(alias);
        }
        for (name, value) in &push.carried {
            pin.settings.push((key(name), value.clone()));
        }
        let last = LAST
            .iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()));
        pin.settings.extend(last);
        Ok(pin)
    }

    /// Keeps git from running hooks, for commands of pvm's own: they would see these names.
    pub(crate) fn without_hooks(mut self) -> Self {
        self.settings
            .push((b"core.hooksPath".to_vec(), b"/dev/null".to_vec()));
        self
    }

    /// Returns the name that the push is given.
    pub(crate) fn remote(&self) -> OsString {
        OsString::from(&self.remote)
    }

    /// Returns what stands for each push URL, in order.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Returns the variables that make the names known (git-config(1), GIT_CONFIG_COUNT, since
    /// git 2.31; an older git does not find the remote and pushes nothing).
    pub(crate) fn variables(&self) -> Vec<(String, Vec<u8>)> {
        let count = self.settings.len().to_string().into_bytes();
        let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), count)];
        let own_parents = OWN_PARENTS.into_iter();
        variables.extend(own_parents.map(|(name, value)| (name.to_owned(), value.to_vec())));
        for (index, (key, value)) in self.settings.iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{index}"), key.clone()));
            variables.push((format!("GIT_CONFIG_VALUE_{index}"), value.clone()));
        }
        variables
    }
}

/// Returns bytes as a word of a command line.
pub(super) fn word(bytes: impl Into<Vec<u8>>) -> OsString {
    OsString::from_vec(bytes.into())
}
