use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;

use super::action::Action;
use super::scope::PathScope;

/// What tells two files apart on a running system: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileIdentity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// What stands at a resolved operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Missing,
    Directory,
    /// A file, a link, a FIFO, a socket: one directory entry.
    Entry,
}

/// When a command asks before it removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Prompt {
    Never,
    /// Asks for files that are write-protected, when its input is a terminal.
    #[default]
    Protected,
    Once,
    Always,
}

/// One operand after the kernel resolved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The operand as given.
    pub(crate) operand: OsString,
    /// Its place in argv.
    pub(crate) position: usize,
    /// The directory that holds it, canonical, and its own name as the command treats it.
    pub(crate) scope: PathScope,
    pub(crate) kind: TargetKind,
    pub(crate) identity: Option<FileIdentity>,
    /// The identities of the directory that holds it and of every one above, the root last. Where
    /// that directory is missing, it is the nearest one that is there.
    pub(crate) lineage: Rc<[FileIdentity]>,
    /// Whether everything below goes as well.
    pub(crate) recursive: bool,
}

/// One attempt: what would be done to what, and the words that said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    /// Empty when the command touches nothing, as `rm --help` does.
    pub(crate) targets: Vec<Target>,
    /// The caller's own words, the program's name first.
    pub(crate) argv: Vec<OsString>,
    pub(crate) cwd: PathBuf,
}
