//! Where a push goes: which remote, its URLs after all rewriting, and what the configuration
//! makes of it (git's remote.c).

pub(crate) mod default;
mod legacy;
mod rewrite;

use std::io;
use std::path::{Path, PathBuf};

use super::config::{BadValue, Config};
use super::refname::{Allow, is_well_formed};
use super::refs::{HEADS, Head};
use super::refspec::{self, Mapped, Refspec};
use legacy::Legacy;
use rewrite::Rewrites;

/// Why there is nowhere to push to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("no remote is configured that a push could go to")]
    None,
    #[error("'{}' is a group of remotes", .0.escape_ascii())]
    Group(Vec<u8>),
    #[error("remote '{}' is reached by a program of its own (remote.*.vcs)", .0.escape_ascii())]
    Vcs(Vec<u8>),
    #[error("'{refspec}', configured for remote '{remote}', is not a refspec")]
    BadRefspec { remote: String, refspec: String },
    #[error("branches/{} names no branch, and init.defaultBranch is not set", .0.escape_ascii())]
    NoBranch(Vec<u8>),
    #[error("{path} contains a NUL byte", path = .0.display())]
    BadFile(PathBuf),
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Value(#[from] BadValue),
}

/// The keys of a remote that a push reads and that send it nowhere else. `url`, `pushurl`,
/// `push`, `mirror`, `receivepack` and `vcs` are not among them, and neither is any key that a
/// later git may invent.
const CARRIED: [&[u8]; 4] = [b"fetch", b"proxy", b"proxyauthmethod", b"serveroption"];

const ONE_LEVEL: Allow = Allow {
    one_level: true,
    pattern: false,
};

/// The remote of a push.
#[derive(Clone, Debug)]
pub(crate) struct PushRemote {
    /// What git calls it: the name of a remote, or the URL as it was given.
    pub(crate) word: Vec<u8>,
    /// Whether `word` is the name of a configured remote.
    pub(crate) is_configured: bool,
    /// What is pushed to, after all rewriting; never empty.
    pub(crate) urls: Vec<Vec<u8>>,
    /// What is fetched from, after all rewriting.
    pub(crate) fetch_url: Vec<u8>,
    /// `remote.*.push`.
    pub(crate) push: Vec<Refspec>,
    pub(crate) mirror: bool,
    /// The program at the other end, if one is configured.
    pub(crate) receive_pack: Option<Vec<u8>>,
    /// Other keys of the remote and their values, as a copy of it needs them.
    pub(crate) carried: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the current branch is fetched from elsewhere.
    pub(crate) is_triangular: bool,
}

impl PushRemote {
    /// Finds the remote that git pushes to: the one called `name`, or the default one. `name` may
    /// be a URL. `common_dir` is where old-style remotes have their files.
    pub(crate) fn find(
        config: &Config,
        common_dir: &Path,
        head: &Head,
        name: Option<&[u8]>,
    ) -> Result<Self, RemoteError> {
        let configured = configured(config);
        let branch = Branch::current(config, head)?;
        let (word, is_explicit) = match name {
            Some(name) => (name, true),
            None => default_name(config, branch.as_ref(), &configured)?,
        };
        if name.is_some() && is_group(config, word) {
            return Err(RemoteError::Group(word.to_vec()));
        }
        let is_configured = configured.contains(&word);
        let mut remote = Builder::new(config, word, is_configured)?;
        if remote.urls.is_empty() && legacy::is_nick(word) {
            remote.take_legacy(common_dir)?;
        }
        if remote.urls.is_empty() && is_explicit {
            remote.add_url(word);
        }
        // git counts the one it has just made up, too.
        let count = configured.len() + usize::from(!is_configured);
        let only = (count == 1).then_some(*configured.first().unwrap_or(&word));
        let pulled_from = branch.as_ref().and_then(|branch| branch.remote);
        let pulled_from = pulled_from.or(only).unwrap_or(b"origin");
        remote.finish(pulled_from != word)
    }

    /// Returns the configured name, if it has one.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        self.is_configured.then_some(self.word.as_slice())
    }

    /// Returns what the configuration makes of a refspec without a colon that names this local
    /// ref, or nothing where the ref is pushed to one of the same name (push.c,
    /// refspec_append_mapped). A word with `+`, or one that is no ref, is never mapped.
    pub(crate) fn map_word(
        &self,
        config: &Config,
        head: &Head,
        source: &[u8],
    ) -> Result<Option<Mapped>, BadValue> {
        let mode = default::mode(config)?;
        if let Some(mapped) = refspec::map(&self.push, source) {
            return Ok(Some(mapped));
        }
        let Some(name) = source.strip_prefix(HEADS) else {
            return Ok(None);
        };
        if mode != default::Mode::Upstream {
            return Ok(None);
        }
        let branch = match name {
            // git takes a branch of this name for the current one.
            b"HEAD" => Branch::current(config, head)?,
            name => Some(Branch::read(config, name)?),
        };
        let merge = branch.map(|branch| branch.merge).unwrap_or_default();
        Ok(match merge.as_slice() {
            [only] => Some(Mapped {
                dst: only.to_vec(),
                force: false,
            }),
            _ => None,
        })
    }
}

/// What the configuration says of a branch.
struct Branch<'a> {
    /// The full name.
    full: Vec<u8>,
    remote: Option<&'a [u8]>,
    push_remote: Option<&'a [u8]>,
    /// `branch.*.merge`; none where there is no `branch.*.remote` (remote.c, set_merge).
    merge: Vec<&'a [u8]>,
}

impl<'a> Branch<'a> {
    /// A `merge` that could not stand in a refspec is an error: a colon in it would move the
    /// border between source and destination.
    fn read(config: &'a Config, name: &[u8]) -> Result<Self, BadValue> {
        let mut branch = Self {
            full: [HEADS, name].concat(),
            remote: None,
            push_remote: None,
            merge: Vec::new(),
        };
        for (key, value) in config.pairs_of(b"branch", Some(name)) {
            let text = || value.string(b"branch", Some(name), key);
            match key {
                b"remote" => branch.remote = Some(text()?),
                b"pushremote" => branch.push_remote = Some(text()?),
                b"merge" if is_well_formed(text()?, ONE_LEVEL) => branch.merge.push(text()?),
                b"merge" => return Err(value.invalid(b"branch", Some(name), key)),
                _ => {}
            }
        }
        if branch.remote.is_none() {
            branch.merge.clear();
        }
        Ok(branch)
    }

    fn current(config: &'a Config, head: &Head) -> Result<Option<Self>, BadValue> {
        let name = head.branch().and_then(|full| full.strip_prefix(HEADS));
        name.map(|name| Self::read(config, name)).transpose()
    }
}

/// Returns the names of the remotes of the configuration, in the order in which they appear.
fn configured(config: &Config) -> Vec<&[u8]> {
    let mut names = config.subsections(b"remote");
    // git warns and leaves these out.
    names.retain(|name| !name.starts_with(b"/"));
    names
}

/// Returns the name of the default remote of a push, and whether the configuration says so
/// (remote.c, remotes_pushremote_for_branch).
fn default_name<'a>(
    config: &'a Config,
    branch: Option<&Branch<'a>>,
    configured: &[&'a [u8]],
) -> Result<(&'a [u8], bool), BadValue> {
    let push_default = config.string(b"remote", None, b"pushdefault")?;
    let asked = branch.and_then(|branch| branch.push_remote);
    let said = asked
        .or(push_default)
        .or(branch.and_then(|branch| branch.remote));
    Ok(match (said, configured) {
        (Some(name), _) => (name, true),
        (None, [only]) => (only, false),
        (None, _) => (b"origin", false),
    })
}

/// Newer git pushes to every remote of `remotes.NAME` (GIT-31), older git to none.
fn is_group(config: &Config, name: &[u8]) -> bool {
    let has = |subsection, key: &[u8]| {
        let mut pairs = config.pairs_of(b"remotes", subsection);
        pairs.any(|(other, _)| other == key)
    };
    let dot = name.iter().rposition(|byte| *byte == b'.');
    let parts = dot.and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?)));
    has(None, name) || parts.is_some_and(|(subsection, key)| has(Some(subsection), key))
}

/// A remote whose URLs are being collected.
struct Builder<'a> {
    config: &'a Config,
    name: &'a [u8],
    is_configured: bool,
    for_all: Rewrites<'a>,
    for_push: Rewrites<'a>,
    urls: Vec<Vec<u8>>,
    push_urls: Vec<Vec<u8>>,
    push: Vec<Vec<u8>>,
}

impl<'a> Builder<'a> {
    /// Reads `remote.NAME` and rewrites its URLs (remote.c, handle_config and alias_all_urls).
    fn new(config: &'a Config, name: &'a [u8], is_configured: bool) -> Result<Self, RemoteError> {
        let mut remote = Self {
            config,
            name,
            is_configured,
            for_all: Rewrites::read(config, b"insteadof")?,
            for_push: Rewrites::read(config, b"pushinsteadof")?,
            urls: Vec::new(),
            push_urls: Vec::new(),
            push: Vec::new(),
        };
        if !is_configured {
            return Ok(remote);
        }
        if config.last(b"remote", Some(name), b"vcs").is_some() {
            return Err(RemoteError::Vcs(name.to_vec()));
        }
        let urls = remote.list(b"url")?;
        let push_urls = remote.list(b"pushurl")?;
        remote.push = config
            .strings(b"remote", Some(name), b"push")
            .map(|refspec| refspec.map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()?;
        if push_urls.is_empty() {
            remote.push_urls = urls
                .iter()
                .filter_map(|url| remote.for_push.apply(url))
                .collect();
        } else {
            remote.push_urls = push_urls.iter().map(|url| remote.rewritten(url)).collect();
        }
        remote.urls = urls.iter().map(|url| remote.rewritten(url)).collect();
        Ok(remote)
    }

    /// An empty value takes back all before it (git 2.46).
    fn list(&self, key: &'a [u8]) -> Result<Vec<&'a [u8]>, BadValue> {
        let mut list = Vec::new();
        for url in self.config.strings(b"remote", Some(self.name), key) {
            match url? {
                b"" => list.clear(),
                url => list.push(url),
            }
        }
        Ok(list)
    }

    fn rewritten(&self, url: &[u8]) -> Vec<u8> {
        self.for_all.apply(url).unwrap_or_else(|| url.to_vec())
    }

    /// Adds a URL that is not in the configuration (remote.c, add_url_alias): a rule for pushes
    /// holds for it even where there are push URLs.
    fn add_url(&mut self, url: &[u8]) {
        match self.rewritten(url) {
            url if url.is_empty() => self.urls.clear(),
            url => self.urls.push(url),
        }
        match self.for_push.apply(url) {
            Some(url) if url.is_empty() => self.push_urls.clear(),
            url => self.push_urls.extend(url),
        }
    }

    fn take_legacy(&mut self, common_dir: &Path) -> Result<(), RemoteError> {
        let file = legacy::remotes_file(common_dir, self.name)?;
        self.add_legacy(file);
        if self.urls.is_empty() {
            let file = legacy::branches_file(common_dir, self.name, self.config)?;
            self.add_legacy(file);
        }
        Ok(())
    }

    fn add_legacy(&mut self, file: Option<Legacy>) {
        let file = file.unwrap_or_default();
        for url in file.urls {
            self.add_url(&url);
        }
        self.push.extend(file.push);
    }

    fn finish(self, is_triangular: bool) -> Result<PushRemote, RemoteError> {
        let fetch_url = self.urls.first().cloned().ok_or(RemoteError::None)?;
        let Self { config, name, .. } = self;
        if !self.is_configured {
            return Ok(PushRemote {
                word: name.to_vec(),
                is_configured: false,
                fetch_url,
                push: parsed(name, &self.push)?,
                mirror: false,
                receive_pack: None,
                carried: Vec::new(),
                is_triangular,
                urls: or_else(self.push_urls, self.urls),
            });
        }
        let subsection = Some(name);
        let mirror = config
            .bool(b"remote", subsection, b"mirror")?
            .unwrap_or(false);
        // The first one counts.
        let receive_pack = config.strings(b"remote", subsection, b"receivepack").next();
        let carried = config
            .pairs_of(b"remote", subsection)
            .filter(|(key, _)| CARRIED.contains(key))
            .map(|(key, value)| {
                Ok((
                    key.to_vec(),
                    value.string(b"remote", subsection, key)?.to_vec(),
                ))
            });
        Ok(PushRemote {
            word: name.to_vec(),
            is_configured: true,
            fetch_url,
            push: parsed(name, &self.push)?,
            mirror,
            receive_pack: receive_pack.transpose()?.map(<[u8]>::to_vec),
            carried: carried.collect::<Result<_, BadValue>>()?,
            is_triangular,
            urls: or_else(self.push_urls, self.urls),
        })
    }
}

fn or_else(list: Vec<Vec<u8>>, other: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if list.is_empty() { other } else { list }
}

fn parsed(remote: &[u8], refspecs: &[Vec<u8>]) -> Result<Vec<Refspec>, RemoteError> {
    let parse = |refspec: &Vec<u8>| {
        Refspec::parse(refspec).ok_or_else(|| RemoteError::BadRefspec {
            remote: remote.escape_ascii().to_string(),
            refspec: refspec.escape_ascii().to_string(),
        })
    };
    refspecs.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
