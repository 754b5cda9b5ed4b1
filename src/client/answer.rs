use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use crate::broker::{Alone, Attempt, Denial, Judged, Refusal};
use crate::model::action::Action;
use crate::model::operation::Objects;
use crate::model::scope::Scope;
use crate::model::time::Ttl;
use crate::text::escape::{shell_line, shell_word, shown};

/// What pvm's wrapper would decide about a command now.
///
/// It is an answer and no permission: whoever runs the command runs it through the wrapper, which
/// decides again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The command would run.
    #[non_exhaustive]
    Allowed {
        /// What allows it, each once.
        by: Vec<Basis>,
    },
    /// The command is refused, and no grant would change that.
    #[non_exhaustive]
    Denied {
        /// Why, in one line, fit for a terminal.
        reason: String,
        /// What can be done about it, where there is something.
        hint: Option<String>,
    },
    /// The command is refused until a person grants it; see [`Client::request`](crate::Client::request).
    #[non_exhaustive]
    AskFirst {
        /// Why, in one line, fit for a terminal.
        reason: String,
        /// The exact command line with which a person grants it.
        hint: String,
    },
}

/// What allows a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// A grant that a person gave.
    #[non_exhaustive]
    Grant {
        /// Its id, as `pvm status` shows it.
        id: String,
        /// When it ends, if it is not revoked before. After the machine was asleep it may end earlier.
        expires_at: SystemTime,
    },
    /// A standing rule of the configuration.
    #[non_exhaustive]
    Rule {
        /// Where it stands, like `rule 3 (pvm.toml:12)`.
        origin: String,
    },
    /// What holds where no rule says otherwise: for pushes that only add, and for commands that touch
    /// nothing, like `rm --help`.
    Default,
    /// pvm does not guard the command, like `git status`: the wrapper passes it on.
    Unguarded,
}

impl Decision {
    /// Says whether the command would run.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    pub(super) fn denied(reason: impl fmt::Display, hint: Option<String>) -> Self {
        Self::Denied {
            reason: shown(reason.to_string().as_bytes()),
            hint,
        }
    }

    /// Returns what is told of a decision; `ttl` is how long the grant in a hint would hold.
    pub(super) fn tell(judged: &Judged, attempt: &Attempt, ttl: Ttl) -> Self {
        let refusal = match &judged.outcome {
            Err(refusal) => refusal,
            Ok(allowance) => {
                let grants = allowance.grants.iter().map(|grant| Basis::Grant {
                    id: grant.id.to_string(),
                    expires_at: instant(grant.window.expires_at.0),
                });
                let rules = allowance.rules.iter().map(|origin| Basis::Rule {
                    origin: origin.clone(),
                });
                let mut by: Vec<Basis> = grants.chain(rules).collect();
                if by.is_empty() {
                    by.push(Basis::Default);
                }
                return Self::Allowed { by };
            }
        };
        let reason = reason(refusal, attempt);
        match refusal {
            Refusal::Denied(Denial::Uncovered { scope, .. }) => {
                match hint(attempt, scope.as_ref(), ttl) {
                    Some(hint) => Self::AskFirst { reason, hint },
                    None => Self::Denied { reason, hint: None },
                }
            }
            Refusal::Denied(Denial::Rule { .. }) => {
                let hint = "no grant overrides a rule; a person can change it:  pvm rules list";
                Self::Denied {
                    reason,
                    hint: Some(hint.to_owned()),
                }
            }
            _ => Self::Denied { reason, hint: None },
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { .. } => f.write_str("allowed"),
            Self::Denied { reason, .. } => write!(f, "denied: {reason}"),
            Self::AskFirst { reason, .. } => write!(f, "ask first: {reason}"),
        }
    }
}

fn instant(milliseconds: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn reason(refusal: &Refusal, attempt: &Attempt) -> String {
    let action = attempt.operation.action;
    let path = |path: &std::path::Path| shown(path.as_os_str().as_bytes());
    match refusal {
        Refusal::Denied(Denial::Protected { scope, what }) => {
            format!(
                "{} is {what}, holds it, or lies in it",
                shown(scope.as_bytes())
            )
        }
        Refusal::Denied(Denial::Rule { origin, reason, .. }) => {
            let colon = if reason.is_empty() { "" } else { ": " };
            let (origin, reason) = (shown(origin.as_bytes()), shown(reason.as_bytes()));
            format!("{origin} denies {action}{colon}{reason}")
        }
        Refusal::Denied(Denial::Uncovered { scope, .. }) => match scope {
            Some(scope) if action != Action::Exec => {
                format!("no active grant covers {}", shown(scope.as_bytes()))
            }
            _ => "no active grant covers this command".to_owned(),
        },
        Refusal::Mounted { scope, point } => {
            let scope = shown(scope.as_bytes());
            format!("{} is mounted at or below {scope}", path(point))
        }
        Refusal::Moved { scope } => {
            format!(
                "{} was renamed while it was looked at",
                shown(scope.as_bytes())
            )
        }
        Refusal::Split { scope, why } => {
            let why = match why {
                Alone::WholeScope => "is the whole scope of its grant",
                Alone::BesideOwn => "has what belongs to pvm below its directory",
                Alone::BesideMount => "has something mounted below its directory",
            };
            format!("{} {why} and goes alone", shown(scope.as_bytes()))
        }
        Refusal::HoldsOwn { scope, what } => {
            format!("{} holds {what} or lies in it", shown(scope.as_bytes()))
        }
        Refusal::Keeps {
            scope,
            action,
            effect,
            origin,
        } => format!(
            "{} has {effect} {action} for {} or a part of it",
            shown(origin.as_bytes()),
            shown(scope.as_bytes())
        ),
        Refusal::NotGnu { .. } | Refusal::NotConfined { .. } => {
            "the command cannot be confined on this machine".to_owned()
        }
        Refusal::TooMany { instead, .. } => reason(instead, attempt),
    }
}

/// Returns the line with which a person grants it; nothing where no grant can.
fn hint(attempt: &Attempt, scope: Option<&Scope>, ttl: Ttl) -> Option<String> {
    let operation = &attempt.operation;
    let ttl = ttl.to_string().replace(' ', "");
    if let Objects::Command(command) = &operation.objects {
        command.directory.as_ref()?;
        let cwd = shell_word(operation.cwd.as_os_str().as_bytes());
        let words = shell_line(command.words.iter().map(|word| word.as_bytes()));
        return Some(format!("cd {cwd} && pvm grant --ttl {ttl} -- {words}"));
    }
    let scope = shell_word(scope?.as_bytes());
    let action = operation.action;
    Some(format!(
        "pvm grant --op {action} --scope {scope} --ttl {ttl}"
    ))
}
