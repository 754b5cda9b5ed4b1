use std::ffi::{CString, OsString};
use std::path::PathBuf;

use crate::audit::Recorded;
use crate::confine::Ruleset;
use crate::model::operation::{Operation, Prompt};
use crate::policy::evaluate::Allowed;
use crate::sys::path::Pinned;
use crate::sys::trust::Program;

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
        /// The directory that is for this command alone, in which it may remove things.
        scratch: Option<PathBuf>,
    },
    /// By removing one directory entry here.
    Unlink { words: RemovalWords },
    /// By running the real command, and when it succeeded what comes after it.
    Attend {
        argv: Vec<CString>,
        environment: Vec<CString>,
        afterwards: Afterwards,
    },
    /// By moving the operands to the trash here.
    Trash(TrashWords),
}

/// What is done once a command succeeded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Afterwards {
    /// The words for the same program, its name first.
    pub(crate) commands: Vec<Vec<CString>>,
    /// What is then printed, as the command would have.
    pub(crate) lines: String,
}

/// What an attempt comes to when it is permitted.
#[derive(Debug)]
pub(crate) enum Work {
    /// The real `rm`, or pvm in its place.
    Remove {
        /// Whether the command removes empty directories that it does not walk.
        empty_directories: bool,
        words: RemovalWords,
    },
    /// The move to the trash, by pvm itself.
    Trash(TrashWords),
    /// A push.
    Push {
        /// What is executed, without credentials.
        executed: Vec<OsString>,
        remote: Vec<u8>,
        /// The top of the work tree, or the git directory where there is none.
        repository: PathBuf,
        /// What was kept of refs that it overwrites, a line each.
        kept: Vec<Vec<u8>>,
        afterwards: Option<Afterwards>,
    },
    /// Another command, which runs as it is.
    Run,
}

/// Whose trash it is, and what is said about the move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrashWords {
    /// The name that messages begin with.
    pub(crate) program: String,
    pub(crate) home: PathBuf,
    pub(crate) uid: u32,
    /// Whether operands that are missing are passed over.
    pub(crate) force: bool,
    pub(crate) verbose: bool,
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
/// [`Recorded`], consumed by `Broker::execute`.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(super) recorded: Recorded<Allowed>,
    pub(super) method: Method,
    pub(super) operation: Operation,
    /// Hold the checked directories open until the operation is carried out.
    pub(super) pins: Vec<Pinned>,
    pub(super) program: Option<Program>,
}

impl Permit {
    pub(super) fn new(
        recorded: Recorded<Allowed>,
        method: Method,
        operation: Operation,
        pins: Vec<Pinned>,
        program: Option<Program>,
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
