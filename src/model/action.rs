use std::fmt;
use std::str::FromStr;

/// The kind of effect that an operation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    Rm,
    Trash,
    GitPush,
    GitPushForce,
    Exec,
}

impl Action {
    pub(crate) const ALL: [Self; 5] = [
        Self::Rm,
        Self::Trash,
        Self::GitPush,
        Self::GitPushForce,
        Self::Exec,
    ];

    /// Returns the name used on the command line, in the vault and in the trail.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rm => "rm",
            Self::Trash => "trash",
            Self::GitPush => "git-push",
            Self::GitPushForce => "git-push-force",
            Self::Exec => "exec",
        }
    }

    /// Says whether what it touches is a repository; else it is a path.
    pub(crate) const fn reaches_repositories(self) -> bool {
        matches!(self, Self::GitPush | Self::GitPushForce)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Rm => 1,
            Self::Trash => 2,
            Self::GitPush => 4,
            Self::GitPushForce => 8,
            Self::Exec => 16,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text names no action.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown operation '{0}'; known are rm, trash, git-push, git-push-force and exec")]
pub(crate) struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// The actions that one grant permits; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActionSet(u8);

impl ActionSet {
    /// Returns the set of these actions, or nothing when there are none.
    pub(crate) fn of(actions: &[Action]) -> Option<Self> {
        let bits = actions.iter().fold(0, |bits, action| bits | action.bit());
        (bits != 0).then_some(Self(bits))
    }

    pub(crate) const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Says whether every action of `other` is one of these.
    pub(crate) const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }

    /// Returns the stored form.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Reads the stored form; bits that name no action are not a set.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        let known = Action::ALL
            .into_iter()
            .fold(0, |bits, action| bits | action.bit());
        (bits != 0 && bits & !known == 0).then_some(Self(bits))
    }
}

impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, action) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(action.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_from_its_name() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(action));
        }
        assert!("RM".parse::<Action>().is_err());
    }

    #[test]
    fn p_d13_a_set_permits_only_what_it_names() {
        let set = ActionSet::of(&[Action::Rm]).unwrap();
        assert!(set.contains(Action::Rm));
        assert!(!set.contains(Action::Trash));
        let both = ActionSet::of(&[Action::Trash, Action::Rm]).unwrap();
        assert_eq!(both.to_string(), "rm,trash");
    }

    #[test]
    fn unknown_bits_are_no_set() {
        assert_eq!(ActionSet::from_bits(0), None);
        assert_eq!(ActionSet::from_bits(32), None);
        assert_eq!(ActionSet::from_bits(3).map(ActionSet::bits), Some(3));
    }
}
