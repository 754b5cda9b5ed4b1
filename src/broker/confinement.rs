mod command;

pub(crate) use command::Unfit;

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::decide::{Alone, Attempt, Refusal};
use super::permit::{Method, RemovalWords, Work};
use super::{Broker, BrokerError};
use crate::confine::plan::{Place, Removal, Shape, removal};
use crate::confine::{ConfineError, Right, Rule, Ruleset};
use crate::model::confinement::{Level, Mode};
use crate::model::operation::Target;
use crate::model::protected::ProtectedPlace;
use crate::model::scope::{PathScope, Scope};
use crate::policy::evaluate::Allowed;
use crate::sys::exec as sys_exec;
use crate::sys::path::Pinned;

/// How an allowed operation will be confined.
pub(super) struct Confinement {
    pub(super) method: Method,
    pub(super) level: Level,
    pub(super) note: Option<String>,
}

/// What allowed a removal, and what its rights must not reach.
struct Reach<'a> {
    allowed: &'a Allowed,
    protected: &'a [ProtectedPlace],
    mounts: &'a [PathBuf],
}

type Rules<'a> = BTreeMap<(i32, Right), Rule<'a>>;

impl Broker {
    /// Works out how an allowed operation is confined, or why it cannot be.
    pub(super) fn confine(
        &self,
        attempt: &Attempt,
        allowed: &Allowed,
        protected: &[ProtectedPlace],
        mounts: &[PathBuf],
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        match &attempt.work {
            Work::Remove {
                empty_directories,
                words,
            } => {
                let reach = Reach {
                    allowed,
                    protected,
                    mounts,
                };
                self.confine_removal(attempt, &reach, *empty_directories, words)
            }
            Work::Trash(words) => Ok(Ok(Confinement {
                method: Method::Trash(words.clone()),
                level: Level::Own,
                note: None,
            })),
            Work::Push {
                afterwards: Some(afterwards),
                ..
            } => Ok(Ok(Confinement {
                method: Method::Attend {
                    argv: c_words(&attempt.argv)?,
                    environment: attempt.environment.clone(),
                    afterwards: afterwards.clone(),
                },
                level: Level::Unconfined,
                note: None,
            })),
            Work::Push { .. } | Work::Run => self.confine_any(attempt, allowed, protected),
        }
    }

    fn confine_removal(
        &self,
        attempt: &Attempt,
        reach: &Reach<'_>,
        empty_directories: bool,
        words: &RemovalWords,
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        let allowed = reach.allowed;
        let mut rules = Rules::new();
        let targets = attempt.operation.targets().iter().zip(&attempt.pins);
        for (index, (target, pinned)) in targets.enumerate() {
            let scope = allowed
                .scope_for(index)
                .and_then(Scope::path)
                .ok_or(BrokerError::Inconsistent("an allowed target has no scope"))?;
            let alone = goes_alone(attempt, target, pinned, scope, reach);
            let shape = Shape {
                kind: target.kind,
                recursive: target.recursive,
                empty_directories,
                parent_in_reach: alone.is_none(),
            };
            match removal(shape) {
                Removal::ByPvm => {
                    if attempt.operation.targets().len() > 1 {
                        return Ok(Err(Refusal::Split {
                            scope: target.scope.clone(),
                            why: alone.unwrap_or(Alone::WholeScope),
                        }));
                    }
                    return Ok(Ok(Confinement {
                        method: Method::Unlink {
                            words: words.clone(),
                        },
                        level: Level::Own,
                        note: None,
                    }));
                }
                Removal::ByCommand(needed) => add(&mut rules, pinned, needed)?,
            }
        }
        self.confine_command(attempt, allowed, rules)
    }

    fn confine_command(
        &self,
        attempt: &Attempt,
        allowed: &Allowed,
        rules: Rules<'_>,
    ) -> Result<Result<Confinement, Refusal>, BrokerError> {
        if self.settings.landlock == Mode::Off {
            return by_command(attempt, &attempt.argv, None, Level::Off).map(Ok);
        }
        match Ruleset::build(rules.into_values()) {
            Ok(ruleset) => {
                let level = ruleset.level();
                by_command(attempt, &attempt.argv, Some(ruleset), level).map(Ok)
            }
            Err(ConfineError::Unavailable(why)) if self.settings.landlock == Mode::Auto => {
                without_landlock(attempt, allowed, why)
            }
            Err(error) => Ok(Err(Refusal::NotConfined {
                why: error.to_string(),
            })),
        }
    }
}

fn add<'a>(
    rules: &mut Rules<'a>,
    pinned: &'a Pinned,
    needed: Vec<(Place, Right)>,
) -> Result<(), BrokerError> {
    for (place, right) in needed {
        let directory = match (place, &pinned.directory) {
            (Place::Parent, _) => pinned.parent.as_fd(),
            (Place::Itself, Some(directory)) => directory.as_fd(),
            (Place::Itself, None) => {
                return Err(BrokerError::Inconsistent("a directory is not pinned"));
            }
        };
        rules.insert((directory.as_raw_fd(), right), Rule { directory, right });
    }
    Ok(())
}

fn by_command(
    attempt: &Attempt,
    argv: &[OsString],
    ruleset: Option<Ruleset>,
    level: Level,
) -> Result<Confinement, BrokerError> {
    Ok(Confinement {
        method: Method::Become {
            ruleset,
            argv: c_words(argv)?,
            environment: attempt.environment.clone(),
            names_pins: level == Level::Pinned,
            scratch: None,
        },
        level,
        note: None,
    })
}

fn c_words(words: &[OsString]) -> Result<Vec<CString>, BrokerError> {
    sys_exec::c_words(words).ok_or(BrokerError::Inconsistent("an argument holds a NUL byte"))
}

/// GNU `rm` walks by descriptors, so what it is given need only be names of what was checked.
///
/// The last component is looked up once more, so what stands there can be exchanged for something
/// else of the same name; a pinned grant says that it must not be.
fn without_landlock(
    attempt: &Attempt,
    allowed: &Allowed,
    why: &str,
) -> Result<Result<Confinement, Refusal>, BrokerError> {
    if attempt.walks() && allowed.grants().iter().any(|grant| grant.pin.is_some()) {
        let why = format!("a pinned grant cannot be held without Landlock: {why}");
        return Ok(Err(Refusal::NotConfined { why }));
    }
    if !sys_exec::is_gnu(attempt.program_path()).unwrap_or(false) {
        return Ok(Err(Refusal::NotGnu {
            program: attempt.program_path().to_owned(),
            why: why.to_owned(),
        }));
    }
    let confinement = by_command(attempt, &pinned_argv(attempt), None, Level::Pinned)?;
    Ok(Ok(Confinement {
        note: Some(format!("no Landlock: {why}")),
        ..confinement
    }))
}

/// Says why a right to the directory that holds `target` would reach too far, if it would: past
/// the grant, to something of pvm's own, or, should the entry become a directory, into what is
/// mounted there.
fn goes_alone(
    attempt: &Attempt,
    target: &Target,
    pinned: &Pinned,
    scope: &PathScope,
    reach: &Reach<'_>,
) -> Option<Alone> {
    let parent = target.lineage.first();
    let above_own = |parent| reach.protected.iter().any(|place| place.lies_below(parent));
    let directory = pinned.parent.path();
    let above_mount = |mount: &PathBuf| mount != directory && mount.starts_with(directory);
    if !scope.covers_strictly(&target.scope) {
        Some(Alone::WholeScope)
    } else if parent.copied().is_some_and(above_own) {
        Some(Alone::BesideOwn)
    } else if attempt.walks() && reach.mounts.iter().any(above_mount) {
        Some(Alone::BesideMount)
    } else {
        None
    }
}

/// Rewrites every operand to the descriptor of the directory that was checked, so that no link
/// exchanged since leads elsewhere. An operand whose directory is missing becomes a name that
/// nobody can make: one below a device.
fn pinned_argv(attempt: &Attempt) -> Vec<OsString> {
    let mut argv = attempt.argv.clone();
    for (target, pinned) in attempt.operation.targets().iter().zip(&attempt.pins) {
        let directory = pinned.parent.as_fd().as_raw_fd();
        let word = match &pinned.name {
            Some(name) => [
                format!("/proc/self/fd/{directory}/").as_bytes(),
                name.as_bytes(),
            ]
            .concat(),
            None => b"/dev/null/missing".to_vec(),
        };
        if let Some(slot) = argv.get_mut(target.position) {
            *slot = OsString::from_vec(word);
        }
    }
    argv
}
