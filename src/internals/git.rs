//! `git push`, for the fuzz targets.

use std::ffi::OsString;
use std::path::Path;

use crate::model::repository::RepositoryScope;
use crate::tool::git::config::Config;
use crate::tool::git::url::{self, PushUrl};
use crate::tool::git::{globals, options};

/// Reads the words after `git`. Returns where the subcommand stands; nothing when there is none or
/// git would not take them.
pub fn subcommand(words: &[OsString]) -> Option<usize> {
    let read = globals::parse(words).ok()?;
    read.subcommand.map(|_| read.words.len())
}

/// What `git push` would make of its words.
#[derive(Debug)]
pub struct ParsedPush {
    pub informational: bool,
    /// Whether something is forced, deleted or leased, as far as the options say.
    pub forced: bool,
    pub operands: Vec<OsString>,
}

/// Reads the words after `git push`; nothing when they are refused.
pub fn parse_push(words: &[OsString]) -> Option<ParsedPush> {
    let push = options::parse(words).ok()?;
    Some(ParsedPush {
        informational: push.informational,
        forced: push.force || push.mirror || push.prune || push.delete || !push.leases.is_empty(),
        operands: push.repository.into_iter().chain(push.refspecs).collect(),
    })
}

/// Returns the canonical name of the repository behind a URL, and that name read again.
pub fn repository(raw: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    match url::parse(raw, Path::new("/")).ok()? {
        PushUrl::Remote { repository, .. } => {
            let name = repository.as_bytes().to_vec();
            let again = RepositoryScope::parse(&name).ok();
            Some((name, again.map(|scope| scope.as_bytes().to_vec())))
        }
        PushUrl::Local { .. } => None,
    }
}

/// Returns a word without the credentials in it.
pub fn redacted(word: &[u8]) -> Vec<u8> {
    url::redacted(word)
}

/// Reads a configuration file of git; says whether git would take it.
pub fn read_config(bytes: &[u8]) -> bool {
    Config::of_bytes(Path::new("config"), bytes).is_ok()
}
