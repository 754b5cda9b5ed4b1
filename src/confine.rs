//! The ruleset that a process puts itself under before it becomes the real command: what the
//! operands need, and never more than what allowed them.

pub(crate) mod plan;
mod ruleset;

use std::os::fd::BorrowedFd;

pub(crate) use ruleset::{ConfineError, Ruleset, kernel_abi};

/// What a rule permits below its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Right {
    /// To remove everything but directories.
    Entries,
    /// To remove directories.
    Directories,
    /// To remove both.
    Both,
    /// To make and to write files, but not to remove or rename any.
    Write,
    /// To make, write, remove and rename.
    Change,
    /// To write to one device.
    Device,
}

/// One rule: a directory, held open, and what may happen below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule<'a> {
    pub(crate) directory: BorrowedFd<'a>,
    pub(crate) right: Right,
}
