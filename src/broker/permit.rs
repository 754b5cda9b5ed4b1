use std::ffi::CString;

use crate::audit::Recorded;
use crate::confine::Ruleset;
use crate::model::operation::{Operation, Prompt};
use crate::policy::evaluate::Allowed;
use crate::sys::path::Pinned;
use crate::sys::trust::TrustedProgram;

/// How a permitted operation is carried out.
#[derive(Debug)]
pub(super) enum Method {
    /// By becoming the real command, under the ruleset if there is one.
    Become {
        ruleset: Option<Ruleset>,
        argv: Vec<CString>,
        environment: Vec<CString>,
        /// Whether the operands in `argv` were rewritten to the pinned directories.
        names_pins: bool,
    },
    /// By removing one directory entry here.
    Unlink { words: RemovalWords },
}

/// What `rm` would say and ask about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemovalWords {
    /// The operand as it was typed, in quotes and fit for a terminal.
    pub(crate) name: String,
    pub(crate) prompt: Prompt,
    /// Whether the command was to remove directories as well.
    pub(crate) recursive: bool,
    pub(crate) verbose: bool,
}

/// The one-use proof, inside this process, that an allow was recorded. Made only from
/// [`Recorded`], consumed by [`super::exec::execute`].
#[derive(Debug)]
pub(crate) struct Permit {
    pub(super) recorded: Recorded<Allowed>,
    pub(super) method: Method,
    pub(super) operation: Operation,
    /// Hold the checked directories open until the operation is carried out.
    pub(super) pins: Vec<Pinned>,
    pub(super) program: TrustedProgram,
}

impl Permit {
    pub(super) fn new(
        recorded: Recorded<Allowed>,
        method: Method,
        operation: Operation,
        pins: Vec<Pinned>,
        program: TrustedProgram,
    ) -> Self {
        Self {
            recorded,
            method,
            operation,
            pins,
            program,
        }
    }
}
