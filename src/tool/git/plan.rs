//! From the words of `git push` and the configuration to the push that would happen.

use std::os::unix::ffi::OsStrExt;

use super::config::{BadValue, ConfigError};
use super::open::Opened;
use super::options::{BadWords, PushWords, RecurseSubmodules, Signed};
use super::push::{Destination, Push, Update, Upstream};
use super::refs::{HEADS, RefError, Refs, TAGS};
use super::refspec::{self, Kind, Refspec};
use super::remote::default::NoDefault;
use super::remote::{PushRemote, RemoteError};
use super::repository::RepositoryError;
use super::url::local::{self, NoRepository};
use super::url::{self, BadUrl, PushUrl};
use crate::model::repository::{InvalidRef, InvalidRepository, RefName, RepositoryScope};
use crate::sys::random::RandomError;

const RECEIVE_PACK: &[u8] = b"git-receive-pack";
/// A ref of those that pvm keeps for itself, and that no pattern pushes.
const BACKUPS: &[u8] = b"refs/pvm/backup/x";

/// Why a push is refused before any rule or grant is looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Words(#[from] BadWords),
    #[error("'{0}' does not go with a push that pvm guards")]
    Global(&'static str),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("the configuration of git cannot be used: {0}")]
    Config(#[from] ConfigError),
    #[error("the configuration of git cannot be used: {0}")]
    Value(#[from] BadValue),
    #[error(transparent)]
    Ref(#[from] RefError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{reason}")]
    NoDefault { remote: Vec<u8>, reason: NoDefault },
    #[error("'{url}' cannot be pushed to: {reason}")]
    Url { url: String, reason: BadUrl },
    #[error("'{url}': {reason}")]
    NoRepository { url: String, reason: NoRepository },
    #[error("the path of the repository cannot be a scope: {0}")]
    Scope(#[from] InvalidRepository),
    #[error("'{0}' is not a refspec that git takes")]
    Refspec(String),
    #[error("there is no branch or tag '{0}' here, and no destination for anything else")]
    NoSource(String),
    #[error("it is not clear which ref '{0}' is")]
    Destination(String),
    #[error("'{word}' cannot be a ref: {reason}")]
    RefName { word: String, reason: InvalidRef },
    #[error("'--recurse-submodules={0}' pushes other repositories as well")]
    Submodules(&'static str),
    #[error("'--force' makes git ignore what '--force-with-lease' expects")]
    ForceAndLease,
    #[error("'{0}' is not git-receive-pack, and could do anything")]
    ReceivePack(String),
    #[error("the remote is a mirror, and git takes no refspecs for it")]
    Mirror,
    #[error("'-u' with {0} does not say which branches")]
    WideUpstream(String),
    #[error(transparent)]
    Random(#[from] RandomError),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the push that git would make of these words.
pub(crate) fn plan(words: &PushWords, opened: &Opened) -> Result<Push, Refused> {
    check_words(words)?;
    let Opened {
        repository,
        config,
        head,
        ..
    } = opened;
    let name = words.repository.as_deref().map(OsStrExt::as_bytes);
    let remote = PushRemote::find(config, &repository.common_dir, head, name)?;
    let refs = Refs::new(repository)?;
    let planner = Planner {
        words,
        opened,
        remote: &remote,
        refs: &refs,
    };
    let (specs, mirror, set_upstream) = planner.refspecs()?;
    let mut updates = Vec::new();
    let mut upstreams = Vec::new();
    for spec in &specs {
        let update = planner.update(spec)?;
        if set_upstream {
            upstreams.extend(upstream(&update)?);
        }
        updates.push(update);
    }
    let takes_backups = |update: &Update| match update {
        Update::Pattern { src, .. } => refspec::substitute(src, BACKUPS, b"*").is_some(),
        _ => false,
    };
    if updates.iter().any(takes_backups) {
        updates.push(Update::Except(b"refs/pvm/*".to_vec()));
    }
    let updates_all = updates.iter().any(Update::is_all_branches);
    check_receive_pack(words, &remote)?;
    let prune = words.prune || mirror;
    let force = prune || !words.leases.is_empty() || updates.iter().any(Update::is_forced);
    let follow_tags = match words.follow_tags {
        Some(said) => said,
        None => config.bool(b"push", None, b"followtags")?.unwrap_or(false),
    };
    Ok(Push {
        remote: planner.remote_name(),
        destinations: planner.destinations()?,
        updates,
        force,
        prune,
        follow_tags: follow_tags && !mirror,
        submodules: planner.submodules()?,
        server_options: planner.push_options()?,
        signed: planner.signed()?,
        upstream_of_all: set_upstream && updates_all,
        upstreams,
        fetch_url: remote.fetch_url.clone(),
        carried: remote.carried.clone(),
    })
}

fn check_words(words: &PushWords) -> Result<(), Refused> {
    match words.recurse_submodules {
        Some(RecurseSubmodules::OnDemand) => return Err(Refused::Submodules("on-demand")),
        Some(RecurseSubmodules::Only) => return Err(Refused::Submodules("only")),
        _ => {}
    }
    if words.force && !words.leases.is_empty() {
        return Err(Refused::ForceAndLease);
    }
    Ok(())
}

fn check_receive_pack(words: &PushWords, remote: &PushRemote) -> Result<(), Refused> {
    let said = words.receive_pack.as_deref().map(OsStrExt::as_bytes);
    match said.or(remote.receive_pack.as_deref()) {
        Some(program) if program != RECEIVE_PACK => Err(Refused::ReceivePack(text(program))),
        _ => Ok(()),
    }
}

struct Planner<'a> {
    words: &'a PushWords,
    opened: &'a Opened,
    remote: &'a PushRemote,
    refs: &'a Refs<'a>,
}

/// A refspec, and whether it is forced, by itself or with all others.
struct Spec {
    refspec: Refspec,
    force: bool,
}

impl Planner<'_> {
    /// Returns the refspecs that are pushed, whether as a mirror, and whether branches get an
    /// upstream.
    fn refspecs(&self) -> Result<(Vec<Spec>, bool, bool), Refused> {
        let words = self.words;
        let said = !words.refspecs.is_empty() || words.tags;
        if words.mirror || self.remote.mirror {
            // git would push by remote.*.push and delete the rest, which nobody means by a mirror.
            if said || words.all || !self.remote.push.is_empty() {
                return Err(Refused::Mirror);
            }
            let all = self.spec(b"+refs/*:refs/*")?;
            return Ok((vec![all], true, words.set_upstream));
        }
        if words.all {
            let heads = self.spec(b"refs/heads/*:refs/heads/*")?;
            return Ok((vec![heads], false, words.set_upstream));
        }
        if said {
            return Ok((self.said()?, false, words.set_upstream));
        }
        let default = self
            .remote
            .default_refspecs(&self.opened.config, &self.opened.head)
            .map_err(|reason| Refused::NoDefault {
                remote: self.remote_name(),
                reason,
            })?;
        let specs = default
            .refspecs
            .into_iter()
            .map(|refspec| self.of(refspec))
            .collect();
        Ok((specs, false, words.set_upstream || default.sets_upstream))
    }

    /// Reads the refspecs of the command line as builtin/push.c `set_refspecs` does.
    fn said(&self) -> Result<Vec<Spec>, Refused> {
        let mut specs = Vec::new();
        if self.words.tags {
            specs.push(self.spec(b"refs/tags/*:refs/tags/*")?);
        }
        let mut words = self.words.refspecs.iter().map(|word| {
            let bytes: &[u8] = OsStrExt::as_bytes(word.as_os_str());
            bytes
        });
        while let Some(word) = words.next() {
            let spec = match word {
                b"tag" => {
                    let name = words.next().ok_or(BadWords::TagAlone)?;
                    let tag = [TAGS, name].concat();
                    if self.words.delete {
                        [b":".as_slice(), &tag].concat()
                    } else {
                        [&tag, b":".as_slice(), &tag].concat()
                    }
                }
                word if self.words.delete => [b":", word].concat(),
                word if !word.contains(&b':') => self.mapped(word)?,
                word => word.to_vec(),
            };
            specs.push(self.spec(&spec)?);
        }
        Ok(specs)
    }

    /// Maps a word without a destination through `remote.*.push` or the branch's upstream
    /// (builtin/push.c, `refspec_append_mapped`).
    fn mapped(&self, word: &[u8]) -> Result<Vec<u8>, Refused> {
        let Some(name) = self.refs.only_match(word)? else {
            return Ok(word.to_vec());
        };
        let Opened { config, head, .. } = self.opened;
        let Some(mapped) = self.remote.map_word(config, head, &name)? else {
            return Ok(word.to_vec());
        };
        let plus = if mapped.force { "+" } else { "" }.as_bytes();
        Ok([plus, &name, b":", &mapped.dst].concat())
    }

    fn spec(&self, word: &[u8]) -> Result<Spec, Refused> {
        let refspec = Refspec::parse(word).ok_or_else(|| Refused::Refspec(text(word)))?;
        Ok(self.of(refspec))
    }

    fn of(&self, refspec: Refspec) -> Spec {
        Spec {
            force: refspec.force || self.words.force,
            refspec,
        }
    }

    /// Writes both sides of a refspec out.
    fn update(&self, spec: &Spec) -> Result<Update, Refused> {
        let force = spec.force;
        Ok(match &spec.refspec.kind {
            Kind::Matching => Update::Matching { force },
            Kind::Negative(src) => Update::Except(src.clone()),
            Kind::Pattern { src, dst } => Update::Pattern {
                src: src.clone(),
                dst: dst.as_ref().unwrap_or(src).clone(),
                force,
            },
            Kind::Delete(dst) => Update::Delete(self.deleted(dst)?),
            Kind::Single { src, dst } => {
                let source = self.refs.resolve_source(src)?;
                let dst = if let Some(dst) = dst {
                    let namespace = source.namespace().unwrap_or(HEADS);
                    // git would move a branch of that name, if the remote has one.
                    if namespace == TAGS && !dst.starts_with(b"refs/") {
                        return Err(Refused::Destination(text(dst)));
                    }
                    completed(dst, namespace)?
                } else {
                    let own = source.own_destination();
                    ref_name(own.ok_or_else(|| Refused::NoSource(text(src)))?)?
                };
                Update::Single {
                    src: source.pinned().to_vec(),
                    dst,
                    force,
                }
            }
        })
    }

    /// Returns the full name of a ref to delete. A short one is a branch, unless only a tag of
    /// that name is known here; if the remote has it otherwise, nothing is deleted.
    fn deleted(&self, dst: &[u8]) -> Result<RefName, Refused> {
        let is_known = |start: &[u8]| self.refs.exists(&[start, dst].concat());
        let is_tag = !dst.starts_with(b"refs/") && !is_known(HEADS)? && is_known(TAGS)?;
        completed(dst, if is_tag { TAGS } else { HEADS })
    }

    fn remote_name(&self) -> Vec<u8> {
        match self.remote.name() {
            Some(name) => name.to_vec(),
            None => url::redacted(&self.remote.word),
        }
    }

    fn destinations(&self) -> Result<Vec<Destination>, Refused> {
        let top = &self.opened.repository.top;
        let destination = |raw: &Vec<u8>| -> Result<Destination, Refused> {
            let parsed = url::parse(raw, top).map_err(|reason| Refused::Url {
                url: text(&url::redacted(raw)),
                reason,
            })?;
            Ok(match parsed {
                PushUrl::Remote { repository, raw } => Destination {
                    repository,
                    url: raw,
                },
                PushUrl::Local { path } => {
                    let path =
                        local::repository(&path).map_err(|reason| Refused::NoRepository {
                            url: text(&url::redacted(raw)),
                            reason,
                        })?;
                    let path = OsStrExt::as_bytes(path.as_os_str()).to_vec();
                    Destination {
                        repository: RepositoryScope::new_local(&path, None)?,
                        url: path,
                    }
                }
            })
        };
        self.remote.urls.iter().map(destination).collect()
    }

    /// Returns what goes to the server besides: from the configuration only where the command line
    /// has none (builtin/push.c).
    fn push_options(&self) -> Result<Vec<Vec<u8>>, Refused> {
        if !self.words.push_options.is_empty() {
            let said = self.words.push_options.iter();
            return Ok(said.map(|option| option.as_bytes().to_vec()).collect());
        }
        let mut options = Vec::new();
        for option in self.opened.config.strings(b"push", None, b"pushoption") {
            match option? {
                b"" => options.clear(),
                option => options.push(option.to_vec()),
            }
        }
        Ok(options)
    }

    fn signed(&self) -> Result<Signed, Refused> {
        if let Some(said) = self.words.signed {
            return Ok(said);
        }
        let config = &self.opened.config;
        let Some(value) = config.last(b"push", None, b"gpgsign") else {
            return Ok(Signed::Never);
        };
        if value
            .text
            .is_some_and(|text| text.eq_ignore_ascii_case(b"if-asked"))
        {
            return Ok(Signed::IfAsked);
        }
        Ok(
            if config.bool(b"push", None, b"gpgsign")?.unwrap_or(false) {
                Signed::Always
            } else {
                Signed::Never
            },
        )
    }

    /// What would push submodules only looks whether they were pushed.
    fn submodules(&self) -> Result<RecurseSubmodules, Refused> {
        if let Some(said) = self.words.recurse_submodules {
            return Ok(said);
        }
        let config = &self.opened.config;
        let push = config.string(b"push", None, b"recursesubmodules")?;
        let configured = match push {
            Some(value) => !is_false(value),
            None => config
                .bool(b"submodule", None, b"recurse")?
                .unwrap_or(false),
        };
        Ok(if configured {
            RecurseSubmodules::Check
        } else {
            RecurseSubmodules::No
        })
    }
}

fn upstream(update: &Update) -> Result<Option<Upstream>, Refused> {
    Ok(match update {
        Update::Single { src, dst, .. } => {
            let branch = src.strip_prefix(HEADS).map(<[u8]>::to_vec);
            branch.map(|branch| Upstream {
                branch,
                merge: dst.clone(),
            })
        }
        Update::Delete(_) | Update::Except(_) => None,
        wide if wide.is_all_branches() => None,
        wide => return Err(Refused::WideUpstream(text(&wide.refspec(false)))),
    })
}

fn is_false(value: &[u8]) -> bool {
    let spellings: [&[u8]; 5] = [b"no", b"false", b"off", b"0", b""];
    spellings.iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// git looks for a full destination among the abbreviations of the remote's refs as well (remote.c,
/// match_explicit), so one that could be another's beginning is refused.
fn ref_name(name: &[u8]) -> Result<RefName, Refused> {
    let nested = [HEADS, TAGS, b"refs/remotes/", b"refs/"]
        .iter()
        .any(|start| {
            name.strip_prefix(*start)
                .is_some_and(|rest| rest.starts_with(b"refs/"))
        });
    if nested {
        return Err(Refused::Destination(text(name)));
    }
    RefName::new(name).map_err(|reason| Refused::RefName {
        word: text(name),
        reason,
    })
}

/// Completes a short destination. git asks the remote first; names that could be read in more
/// than one way are refused instead.
fn completed(dst: &[u8], namespace: &[u8]) -> Result<RefName, Refused> {
    if dst.starts_with(b"refs/") {
        return ref_name(dst);
    }
    let starts: [&[u8]; 3] = [b"heads/", b"tags/", b"remotes/"];
    if starts.iter().any(|start| dst.starts_with(start)) || dst == b"HEAD" || dst == b"@" {
        return Err(Refused::Destination(text(dst)));
    }
    ref_name(&[namespace, dst].concat())
}
