//! What a push without refspecs pushes (git's builtin/push.c, setup_default_push_refspecs).

use super::{Branch, PushRemote};
use crate::tool::git::config::{BadValue, Config};
use crate::tool::git::refs::{HEADS, Head};
use crate::tool::git::refspec::{Kind, Refspec};

/// `push.default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Nothing,
    Current,
    Upstream,
    Simple,
    Matching,
}

/// Returns `push.default`; a word that git does not know is an error.
pub(super) fn mode(config: &Config) -> Result<Mode, BadValue> {
    let mut mode = Mode::Simple;
    for value in config.all(b"push", None, b"default") {
        mode = match value.string(b"push", None, b"default")? {
            b"nothing" => Mode::Nothing,
            b"current" => Mode::Current,
            b"upstream" | b"tracking" => Mode::Upstream,
            b"simple" => Mode::Simple,
            b"matching" => Mode::Matching,
            _ => return Err(value.invalid(b"push", None, b"default")),
        };
    }
    Ok(mode)
}

/// Why git asks for a refspec. Branches are short names.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NoDefault {
    #[error("push.default is 'nothing', and no refspec was given")]
    Nothing,
    #[error("HEAD is not on a branch, and no refspec was given")]
    Detached,
    #[error("branch '{}' has no upstream", .branch.escape_ascii())]
    NoUpstream { branch: Vec<u8> },
    #[error("branch '{}' has several upstreams", .branch.escape_ascii())]
    SeveralUpstreams { branch: Vec<u8> },
    #[error(
        "the upstream of branch '{}' is called '{}'", .branch.escape_ascii(), .upstream.escape_ascii()
    )]
    UpstreamDiffers {
        branch: Vec<u8>,
        /// As configured, a full ref as a rule.
        upstream: Vec<u8>,
    },
    #[error("the upstream of branch '{}' is on another remote", .branch.escape_ascii())]
    Triangular { branch: Vec<u8> },
    #[error(transparent)]
    Value(#[from] BadValue),
}

/// What is pushed when nothing is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultPush {
    pub(crate) refspecs: Vec<Refspec>,
    /// Whether push.autoSetupRemote makes this `--set-upstream`.
    pub(crate) sets_upstream: bool,
}

impl PushRemote {
    /// Returns what git pushes to this remote when no refspec is given and neither `--all`,
    /// `--mirror` nor `--tags`: `remote.*.push`, or what push.default says.
    pub(crate) fn default_refspecs(
        &self,
        config: &Config,
        head: &Head,
    ) -> Result<DefaultPush, NoDefault> {
        let only = |refspecs| DefaultPush {
            refspecs,
            sets_upstream: false,
        };
        // git refuses a word that it does not know even where it does not matter.
        let mode = mode(config)?;
        if !self.push.is_empty() {
            return Ok(only(self.push.clone()));
        }
        match mode {
            Mode::Nothing => return Err(NoDefault::Nothing),
            Mode::Matching => {
                return Ok(only(vec![Refspec {
                    force: false,
                    kind: Kind::Matching,
                }]));
            }
            Mode::Current | Mode::Upstream | Mode::Simple => {}
        }
        let branch = Branch::current(config, head)?.ok_or(NoDefault::Detached)?;
        let is_automatic = sets_up_remotes(config)?;
        let dst = match mode {
            Mode::Upstream if self.is_triangular => {
                return Err(NoDefault::Triangular {
                    branch: branch.short(),
                });
            }
            Mode::Upstream => branch.upstream(is_automatic)?,
            Mode::Simple if !self.is_triangular => {
                let upstream = branch.upstream(is_automatic)?;
                if upstream != branch.full {
                    return Err(NoDefault::UpstreamDiffers {
                        branch: branch.short(),
                        upstream,
                    });
                }
                upstream
            }
            _ => branch.full.clone(),
        };
        Ok(DefaultPush {
            sets_upstream: is_automatic && branch.merge.is_empty(),
            refspecs: vec![Refspec {
                force: false,
                kind: Kind::Single {
                    src: branch.full,
                    dst: Some(dst),
                },
            }],
        })
    }
}

/// No later value takes this back (push.c, git_push_config).
fn sets_up_remotes(config: &Config) -> Result<bool, BadValue> {
    let key = b"autosetupremote";
    let mut is_on = false;
    for value in config.all(b"push", None, key) {
        is_on |= value.bool(b"push", None, key)?;
    }
    Ok(is_on)
}

impl Branch<'_> {
    fn short(&self) -> Vec<u8> {
        let short = self.full.strip_prefix(HEADS);
        short.unwrap_or(&self.full).to_vec()
    }

    fn upstream(&self, is_automatic: bool) -> Result<Vec<u8>, NoDefault> {
        match self.merge.as_slice() {
            [] if is_automatic => Ok(self.full.clone()),
            [] => Err(NoDefault::NoUpstream {
                branch: self.short(),
            }),
            [only] => Ok(only.to_vec()),
            _ => Err(NoDefault::SeveralUpstreams {
                branch: self.short(),
            }),
        }
    }
}
