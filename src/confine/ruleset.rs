use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{Right, Rule};
use crate::model::confinement::Level;
use crate::sys::{Errno, landlock::abi as landlock_abi};

/// The newest Landlock that the crate knows; what the kernel lacks of it is left out.
const NEWEST: ABI = ABI::V9;
const NEWEST_NUMBER: u32 = 9;

/// Why a command cannot be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("this kernel has no Landlock ({0})")]
    Unavailable(&'static str),
    #[error(
        "the Landlock of this kernel (ABI {abi}) cannot keep a command in its scope; 3 is needed"
    )]
    TooOld { abi: u32 },
    #[error("cannot tell whether this kernel has Landlock: {}", .0.desc())]
    Unclear(Errno),
    #[error("cannot build the Landlock ruleset: {0}")]
    Ruleset(#[from] RulesetError),
    #[error("the kernel did not enforce the Landlock ruleset")]
    NotEnforced,
    #[error("the kernel let a removal through that the Landlock ruleset forbids")]
    CanaryDied,
    #[error("cannot tell whether the Landlock ruleset is in force: {}", .0.desc())]
    CanaryUnclear(Errno),
}

/// Returns the Landlock ABI of the running kernel, or why there is none.
pub(crate) fn kernel_abi() -> Result<u32, ConfineError> {
    match landlock_abi() {
        Ok(abi) if abi > 0 => Ok(abi),
        Err(Errno::EOPNOTSUPP) => Err(ConfineError::Unavailable(
            "it is built in but not enabled: add landlock to lsm=",
        )),
        Err(Errno::ENOSYS) => Err(ConfineError::Unavailable(
            "the kernel, or a filter that the caller is under, says that it is not built in",
        )),
        Ok(_) => Err(ConfineError::Unclear(Errno::EINVAL)),
        Err(error) => Err(ConfineError::Unclear(error)),
    }
}

/// A ruleset that is built and not yet in force.
#[derive(Debug)]
pub(crate) struct Ruleset {
    created: RulesetCreated,
    level: Level,
}

/// What the recipe for `rm` cannot do without: all of it is in the first ABI.
fn required() -> BitFlags<AccessFs> {
    let mut rights = AccessFs::from_all(ABI::V1);
    rights.remove(AccessFs::from_read(ABI::V1));
    rights
}

/// Everything else that changes files. Reading and executing stay open: `rm` needs its libraries.
fn wanted() -> BitFlags<AccessFs> {
    let mut rights = AccessFs::from_all(NEWEST);
    rights.remove(AccessFs::from_read(NEWEST));
    rights
}

/// What confining any other command cannot do without: on an older Landlock it could truncate
/// every file that it may read, or link it to where it may write.
const COMMAND_FLOOR: ABI = ABI::V3;
const COMMAND_FLOOR_NUMBER: u32 = 3;

fn required_for_command() -> BitFlags<AccessFs> {
    AccessFs::from_write(COMMAND_FLOOR)
}

/// Returns the rights of a rule, without those that this kernel does not know.
///
/// Nobody gets to make devices: one would be a way to the whole disk.
fn rights(right: Right, abi: u32) -> BitFlags<AccessFs> {
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSym
        | AccessFs::MakeFifo
        | AccessFs::MakeSock
        | AccessFs::Refer
        | AccessFs::ResolveUnix;
    let wished = match right {
        Right::Entries => AccessFs::RemoveFile.into(),
        Right::Directories => AccessFs::RemoveDir.into(),
        Right::Both => AccessFs::RemoveFile | AccessFs::RemoveDir,
        Right::Write => write,
        Right::Change => write | AccessFs::RemoveFile | AccessFs::RemoveDir,
        Right::Device => AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev,
    };
    let known = match abi {
        ..2 => AccessFs::from_all(ABI::V1),
        2 => AccessFs::from_all(ABI::V2),
        3..5 => AccessFs::from_all(ABI::V3),
        5..9 => AccessFs::from_all(ABI::V5),
        _ => AccessFs::from_all(NEWEST),
    };
    wished & known
}

impl Ruleset {
    /// Builds the ruleset with these rules; nothing is restricted yet.
    pub(crate) fn build<'a>(
        rules: impl IntoIterator<Item = Rule<'a>>,
    ) -> Result<Self, ConfineError> {
        let abi = kernel_abi()?;
        let created = landlock::Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(required())?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(wanted())?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        Self::with_rules(created, rules, abi)
    }

    /// Builds the ruleset for any other command: it may read everything and use the network, and
    /// change files only where these rules say.
    pub(crate) fn for_command<'a>(
        rules: impl IntoIterator<Item = Rule<'a>>,
    ) -> Result<Self, ConfineError> {
        let abi = kernel_abi()?;
        if abi < COMMAND_FLOOR_NUMBER {
            return Err(ConfineError::TooOld { abi });
        }
        let created = landlock::Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(required_for_command())?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(wanted())?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        Self::with_rules(created, rules, abi)
    }

    fn with_rules<'a>(
        created: RulesetCreated,
        rules: impl IntoIterator<Item = Rule<'a>>,
        abi: u32,
    ) -> Result<Self, ConfineError> {
        let mut created = created.set_compatibility(CompatLevel::HardRequirement);
        for rule in rules {
            created =
                created.add_rule(PathBeneath::new(rule.directory, rights(rule.right, abi)))?;
        }
        let level = if abi >= NEWEST_NUMBER {
            Level::Full { abi }
        } else {
            Level::Partial { abi }
        };
        Ok(Self { created, level })
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Restricts this process for good, and makes `canary` prove it: removing that file must be
    /// refused by the kernel.
    ///
    /// Only the calling thread is restricted, so there must be no other.
    pub(crate) fn enforce(
        self,
        canary: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), ConfineError> {
        if self.created.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
            return Err(ConfineError::NotEnforced);
        }
        match canary() {
            Err(Errno::EACCES) => Ok(()),
            Ok(()) => Err(ConfineError::CanaryDied),
            Err(error) => Err(ConfineError::CanaryUnclear(error)),
        }
    }
}
