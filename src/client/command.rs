use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::model::agent::AgentName;

/// A command that an agent wants to run: its words, where it would run, and what the agent calls
/// itself.
///
/// The words are taken one by one and never read by a shell. `rm` and `safe-rm`, `trash`, `trash-put`
/// and `safe-trash`, `git` and `safe-git-push` are read as pvm's wrappers of these names read them;
/// every other command is what `pvm exec` would make of it.
///
/// ```
/// let command = pvm::Command::new("rm", "/home/me/project")
///     .args(["-r", "--", "build"])
///     .agent("claude");
/// assert_eq!(command.to_string(), "rm -r -- build");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub(super) words: Vec<OsString>,
    pub(super) directory: PathBuf,
    pub(super) agent: Option<String>,
    pub(super) search_path: Option<OsString>,
}

impl Command {
    /// Returns the command `program` without arguments, to be run in `directory`, which is an absolute
    /// path.
    pub fn new(program: impl Into<OsString>, directory: impl Into<PathBuf>) -> Self {
        Self {
            words: vec![program.into()],
            directory: directory.into(),
            agent: None,
            search_path: None,
        }
    }

    /// Adds one word.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Adds words, in order.
    #[must_use]
    pub fn args<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets what the agent calls itself, as `PVM_AGENT_ID` does for the wrappers. It is a label: it
    /// proves nothing, and grants and rules for this name apply.
    #[must_use]
    pub fn agent(mut self, name: impl Into<String>) -> Self {
        self.agent = Some(name.into());
        self
    }

    /// Sets where programs are searched for, in the form of `PATH`. It is the usual directories of the
    /// system unless it is set; this process's own `PATH` is not looked at.
    #[must_use]
    pub fn search_path(mut self, path: impl Into<OsString>) -> Self {
        self.search_path = Some(path.into());
        self
    }

    /// Returns the words, the program's first.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        self.words.iter().map(OsString::as_os_str)
    }

    /// Returns the directory in which it would run.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn agent_name(&self) -> Option<AgentName> {
        match &self.agent {
            None => Some(AgentName::default()),
            Some(name) => AgentName::parse(name).ok(),
        }
    }
}

impl std::fmt::Display for Command {
    /// Writes the words as a shell reads them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = self.words.iter().map(|word| word.as_encoded_bytes());
        f.write_str(&crate::text::escape::shell_line(words))
    }
}
