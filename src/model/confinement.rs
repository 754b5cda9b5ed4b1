use std::fmt;

/// What the configuration says of Landlock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Required where the kernel has it; elsewhere a fallback, recorded.
    #[default]
    Auto,
    Required,
    Off,
}

/// How far the confinement of a command reached; every entry of the trail says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Every restriction that this version knows is in force.
    Full { abi: u32 },
    /// The restrictions that the recipe cannot do without are in force; the kernel lacks others.
    Partial { abi: u32 },
    /// No Landlock: the operands were rewritten to the descriptors that were checked.
    Pinned,
    /// pvm removed the entry itself, on the descriptor that was checked.
    Own,
    /// Switched off by the configuration.
    Off,
    /// Nothing says what the command may touch, as for a push.
    Unconfined,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { abi } => write!(f, "full landlock-abi={abi}"),
            Self::Partial { abi } => write!(f, "partial landlock-abi={abi}"),
            Self::Pinned => f.write_str("pinned"),
            Self::Own => f.write_str("own"),
            Self::Off => f.write_str("off"),
            Self::Unconfined => f.write_str("none"),
        }
    }
}
