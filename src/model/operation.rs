use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::action::Action;
use super::agent::AgentName;
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

impl Operation {
    /// Returns SHA-256 over the length-prefixed agent, action, scopes, working directory, binary
    /// and argv. Joined strings would make `a b` and `a`, `b` the same (ARG-38, S-D6).
    pub(crate) fn key(&self, agent: &AgentName, binary: &Path) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut field = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        field(agent.as_str().as_bytes());
        field(self.action.name().as_bytes());
        field(&(self.targets.len() as u64).to_be_bytes());
        for target in &self.targets {
            field(target.scope.as_bytes());
        }
        field(self.cwd.as_os_str().as_bytes());
        field(binary.as_os_str().as_bytes());
        for word in &self.argv {
            field(word.as_bytes());
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(argv: &[&str]) -> Operation {
        Operation {
            action: Action::Rm,
            targets: Vec::new(),
            argv: argv.iter().map(OsString::from).collect(),
            cwd: PathBuf::from("/w"),
        }
    }

    fn key(argv: &[&str]) -> [u8; 32] {
        operation(argv).key(&AgentName::default(), Path::new("/usr/bin/rm"))
    }

    #[test]
    fn arg_38_words_are_not_joined() {
        assert_ne!(key(&["rm", "a b"]), key(&["rm", "a", "b"]));
        assert_ne!(key(&["rm", "a", ""]), key(&["rm", "a"]));
        assert_eq!(key(&["rm", "a"]), key(&["rm", "a"]));
    }

    #[test]
    fn s_d8_the_key_binds_directory_and_binary() {
        let agent = AgentName::default();
        let here = operation(&["rm", "a"]);
        let there = Operation {
            cwd: PathBuf::from("/v"),
            ..here.clone()
        };
        let binary = Path::new("/usr/bin/rm");
        assert_ne!(here.key(&agent, binary), there.key(&agent, binary));
        assert_ne!(
            here.key(&agent, binary),
            here.key(&agent, Path::new("/bin/rm"))
        );
    }
}
