use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::action::Action;
use super::repository::RepositoryScope;
use super::scope::{PathScope, Scope};

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

/// A program that is to run with these words, for `pvm exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The words as typed, the program's first.
    pub(crate) words: Vec<OsString>,
    /// The file that would be executed, after every link.
    pub(crate) program: PathBuf,
    /// The SHA-256 of that file, where its owner could change it: only a grant for exactly this
    /// content permits it.
    pub(crate) digest: Option<[u8; 32]>,
    /// The working directory; nothing when it is `/`.
    pub(crate) directory: Option<PathScope>,
    /// The identities of the working directory and of every one above, the root last: a bind mount
    /// gives it a second name.
    pub(crate) lineage: Vec<FileIdentity>,
    /// Whether the words behind the program's name are a command of their own, as for `env`, and
    /// where in `words` such a command may begin.
    pub(crate) inner: Vec<usize>,
    /// The words behind the program's name, cut into what a program may make several of: for
    /// `env -S 'curl x'` these are `-S`, `curl` and `x`. Empty where that is the words themselves.
    pub(crate) pieces: Vec<OsString>,
    /// Where the names of programs among the words are looked for.
    pub(crate) search: Vec<PathBuf>,
}

/// A command as far as the words of an [`Invocation`] show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken<'a> {
    pub(crate) name: &'a OsStr,
    pub(crate) arguments: &'a [OsString],
    /// Whether the arguments are cut out of longer words, so that they may end sooner.
    pub(crate) is_cut: bool,
}

impl Invocation {
    /// Returns the command itself, and then every one that may begin in its words, always in the
    /// same order. A piece that begins like an option may have the name behind it: `-Scurl`,
    /// `--split-string=curl`.
    pub(crate) fn commands(&self) -> impl Iterator<Item = Spoken<'_>> {
        let starts = std::iter::once(&0).chain(&self.inner);
        let whole = starts.filter_map(|start| {
            let (name, arguments) = self.words.get(*start..)?.split_first()?;
            Some(Spoken {
                name,
                arguments,
                is_cut: false,
            })
        });
        let cut = (0..self.pieces.len()).flat_map(|start| {
            let rest = self.pieces.get(start..).unwrap_or_default();
            rest.split_first()
                .into_iter()
                .flat_map(|(piece, arguments)| {
                    names_in(piece).map(move |name| Spoken {
                        name,
                        arguments,
                        is_cut: true,
                    })
                })
        });
        whole.chain(cut)
    }
}

/// Returns a piece itself, and what may stand in it behind an option: all of its ends that follow
/// an `=`, or one of the letters `S` and `c` that take a command.
fn names_in(piece: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = piece.as_bytes();
    let ends = match bytes {
        [b'-', b'-', ..] => &b"="[..],
        [b'-', ..] => b"Sc=",
        _ => b"",
    };
    let behind = bytes.iter().enumerate().filter_map(move |(at, byte)| {
        let rest = bytes.get(at + 1..).filter(|rest| !rest.is_empty())?;
        ends.contains(byte).then(|| OsStr::from_bytes(rest))
    });
    std::iter::once(piece).chain(behind)
}

/// What an operation would touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objects {
    /// Operands of `rm` or `trash`; none when the command touches nothing, as `rm --help` does.
    Paths(Vec<Target>),
    /// What a push would reach: each repository, with the ref where it is known.
    Repositories(Vec<RepositoryScope>),
    Command(Invocation),
}

/// One attempt: what would be done to what, and the words that said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) objects: Objects,
    /// The caller's own words, the program's name first; without credentials.
    pub(crate) argv: Vec<OsString>,
    pub(crate) cwd: PathBuf,
}

impl Operation {
    /// Returns the operands that are paths.
    pub(crate) fn targets(&self) -> &[Target] {
        match &self.objects {
            Objects::Paths(targets) => targets,
            _ => &[],
        }
    }

    /// Returns the scopes that have to be covered, in order.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        match &self.objects {
            Objects::Paths(targets) => targets
                .iter()
                .map(|target| Scope::Path(target.scope.clone()))
                .collect(),
            Objects::Repositories(repositories) => repositories
                .iter()
                .cloned()
                .map(Scope::Repository)
                .collect(),
            Objects::Command(command) => {
                command.directory.iter().cloned().map(Scope::Path).collect()
            }
        }
    }

    /// Returns what tells this operation from every other: SHA-256 over its action, what it
    /// touches, its words where they are the operation, and its working directory, each with its
    /// length before it (S-D6, S-D8, V-D10).
    pub(crate) fn key(&self) -> [u8; 32] {
        let mut key = Key::new(b"pvm operation 1");
        key.part(self.action.name().as_bytes());
        key.part(self.cwd.as_os_str().as_bytes());
        match &self.objects {
            Objects::Paths(targets) => {
                key.parts(targets.iter().map(|target| target.scope.as_bytes()));
                key.parts(targets.iter().map(|target| [u8::from(target.recursive)]));
            }
            Objects::Repositories(repositories) => {
                key.parts(repositories.iter().map(RepositoryScope::as_bytes));
            }
            Objects::Command(command) => {
                key.parts(command.words.iter().map(|word| word.as_bytes()));
                key.part(command.program.as_os_str().as_bytes());
                key.part(command.digest.as_ref().map_or(&[], |digest| digest));
            }
        }
        key.0.finalize().into()
    }
}

struct Key(Sha256);

impl Key {
    fn new(domain: &[u8]) -> Self {
        let mut key = Self(Sha256::new());
        key.part(domain);
        key
    }

    fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn parts<T: AsRef<[u8]>>(&mut self, parts: impl ExactSizeIterator<Item = T>) {
        self.0.update((parts.len() as u64).to_be_bytes());
        for part in parts {
            self.part(part.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str], cwd: &str) -> Operation {
        Operation {
            action: Action::Exec,
            objects: Objects::Command(Invocation {
                words: words.iter().map(OsString::from).collect(),
                program: PathBuf::from("/usr/bin/x"),
                ..Invocation::default()
            }),
            argv: Vec::new(),
            cwd: PathBuf::from(cwd),
        }
    }

    #[test]
    fn v_d10_and_arg_38_words_are_not_joined() {
        let one = command(&["rm", "a b"], "/w").key();
        assert_ne!(one, command(&["rm", "a", "b"], "/w").key());
        assert_ne!(one, command(&["rm", "a b"], "/v").key());
        assert_eq!(one, command(&["rm", "a b"], "/w").key());
    }
}
