//! `url.BASE.insteadOf` and `url.BASE.pushInsteadOf` (git's remote.c, alias_url).

use crate::tool::git::config::{BadValue, Config};

/// Rules of one kind, the bases in the order in which they first appear.
#[derive(Debug)]
pub(super) struct Rewrites<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Rewrites<'a> {
    /// Reads the rules of `key`, which is `insteadof` or `pushinsteadof`.
    pub(super) fn read(config: &'a Config, key: &'a [u8]) -> Result<Self, BadValue> {
        let mut rules = Vec::new();
        for base in config.subsections(b"url") {
            for prefix in config.strings(b"url", Some(base), key) {
                rules.push((base, prefix?));
            }
        }
        Ok(Self(rules))
    }

    /// Returns the URL with its beginning replaced, if a rule fits: the longest one, and the
    /// first of those that are equally long. An empty prefix fits every URL.
    pub(super) fn apply(&self, url: &[u8]) -> Option<Vec<u8>> {
        let mut best: Option<(&[u8], &[u8])> = None;
        for (base, prefix) in &self.0 {
            let is_longer = best.is_none_or(|(_, other)| prefix.len() > other.len());
            if is_longer && url.starts_with(prefix) {
                best = Some((base, prefix));
            }
        }
        let (base, prefix) = best?;
        Some([base, url.strip_prefix(prefix)?].concat())
    }
}
