//! Which program a name stands for, and whether it can be trusted to be that program.

mod bound;
mod standing;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::env::SAFE_PATH;
use super::path::links;
use super::process;
use crate::model::operation::FileIdentity;

pub(crate) use bound::BoundProgram;
pub(crate) use standing::{Examined, Standing, chain, is_executable, only_root_can_change};

/// Why a program is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    Owner {
        path: PathBuf,
        uid: u32,
    },
    Writable {
        path: PathBuf,
        mode: u32,
    },
    RaisesPrivileges,
    Script,
    /// It is a script, and what would read it is not trusted itself.
    Interpreter {
        path: PathBuf,
        why: Box<Distrust>,
    },
    NotAProgram,
    Unreadable {
        path: PathBuf,
        error: String,
    },
    /// This process has too little of something to look, which says nothing of the program.
    NotLookedAt {
        error: String,
    },
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { path, uid } => {
                write!(f, "{} belongs to uid {uid}, not to root", path.display())
            }
            Self::Writable { path, mode } => {
                write!(
                    f,
                    "{} can be written by others (mode {mode:04o})",
                    path.display()
                )
            }
            Self::RaisesPrivileges => f.write_str("it is setuid, setgid or has capabilities"),
            Self::Script => f.write_str("it is a script"),
            Self::Interpreter { path, why } => {
                let path = path.display();
                write!(f, "it is a script for {path}, which is not trusted: {why}")
            }
            Self::NotAProgram => f.write_str("it is not an ELF program"),
            Self::Unreadable { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NotLookedAt { error } => write!(f, "it could not be looked at: {error}"),
        }
    }
}

/// A program found by name on a search path.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where the search found it, without dots.
    pub(crate) hit: PathBuf,
    /// The file itself, after every link, by the kernel's name for it; this is what is executed.
    pub(crate) program: PathBuf,
    pub(crate) distrust: Option<Distrust>,
}

/// What a search for the real command came to.
#[derive(Clone, Debug)]
pub(crate) enum Search {
    Trusted(TrustedProgram),
    /// The first hit is not trusted: somebody put it there, or nobody said that it may be.
    Hijacked {
        found: Found,
        instead: Option<PathBuf>,
    },
    NotFound,
}

/// A program whose file and every directory above it only root, or whom root or the
/// configuration trusts, can change.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProgram {
    path: PathBuf,
}

impl TrustedProgram {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A program that may be executed once it is permitted.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    Trusted(TrustedProgram),
    /// One that its owner can change; what permits it names its content.
    Bound(BoundProgram),
}

impl Program {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Trusted(program) => program.path(),
            Self::Bound(program) => program.path(),
        }
    }

    /// Says whether it is still the program that was permitted. One that only root can change is.
    pub(crate) fn is_unchanged(&self) -> bool {
        match self {
            Self::Trusted(_) => true,
            Self::Bound(program) => program.is_unchanged(),
        }
    }
}

/// Searches for programs and judges them.
#[derive(Clone, Debug)]
pub(crate) struct Searcher {
    /// pvm itself, which is skipped under any name (ARG-08).
    pub(crate) own: FileIdentity,
    pub(crate) trusted_directories: Vec<PathBuf>,
    /// Who besides root may own what is looked at.
    tolerated: Option<u32>,
}

impl Searcher {
    /// A trusted directory is trusted under the name it was given and under its canonical one.
    pub(crate) fn new(own: FileIdentity, trusted: &[PathBuf]) -> Self {
        let canonical = trusted
            .iter()
            .filter_map(|path| super::path::canonical(path).ok());
        Self {
            own,
            trusted_directories: trusted.iter().cloned().chain(canonical).collect(),
            tolerated: None,
        }
    }

    /// Finds the real `name`: the first one on the search path that is not pvm, if it is trusted.
    pub(crate) fn search(&self, name: &str, search_path: Option<&OsStr>) -> Search {
        let safe = OsStr::new(SAFE_PATH);
        let search_path = search_path.filter(|path| !path.is_empty()).unwrap_or(safe);
        let Some(found) = self.hits(name, search_path).next() else {
            return Search::NotFound;
        };
        if found.distrust.is_none() {
            return Search::Trusted(TrustedProgram {
                path: found.program,
            });
        }
        let instead = self.hits(name, safe).find(|other| other.distrust.is_none());
        Search::Hijacked {
            found,
            instead: instead.map(|other| other.program),
        }
    }

    /// Returns every program of that name on the search path with its verdict, pvm left out.
    pub(crate) fn hits(&self, name: &str, search_path: &OsStr) -> impl Iterator<Item = Found> {
        self.places(OsStr::new(name), search_path)
            .map(|hit| self.judge(&hit))
    }

    /// Returns every file of that name on the search path that can be executed, pvm left out. What
    /// is a directory or cannot be executed is no hit (ENV-05).
    fn places(&self, name: &OsStr, search_path: &OsStr) -> impl Iterator<Item = PathBuf> {
        // Empty and relative entries mean the working directory, which is the agent's (ENV-01).
        let absolute: Vec<PathBuf> = std::env::split_paths(search_path)
            .filter(|entry| entry.is_absolute())
            .collect();
        let joined = std::env::join_paths(absolute).unwrap_or_default();
        // Looked at one by one: mostly the first is the one that counts.
        let hits = if joined.is_empty() {
            None
        } else {
            which::which_in_all(name, Some(joined), "/").ok()
        };
        hits.into_iter().flatten().filter(|hit| !self.is_own(hit))
    }

    /// Says whether a program is pvm itself, under whatever name.
    pub(crate) fn is_own(&self, hit: &Path) -> bool {
        fs::metadata(hit).is_ok_and(|status| {
            FileIdentity {
                device: status.dev(),
                inode: status.ino(),
            } == self.own
        })
    }

    /// Follows the links of `hit` and judges every step.
    pub(crate) fn judge(&self, hit: &Path) -> Found {
        let shown = links::plain(hit);
        match self.follow(hit) {
            Ok(program) => Found {
                distrust: self.judge_file(&program).err(),
                hit: shown,
                program,
            },
            Err(distrust) => Found {
                program: shown.clone(),
                hit: shown,
                distrust: Some(distrust),
            },
        }
    }

    /// Follows links one at a time: who can change one of them can change the program. Returns the
    /// path by which the kernel knows the file, and judges only such paths: another spelling of
    /// a place only seems to lie in a directory that is trusted (ENV-03).
    fn follow(&self, hit: &Path) -> Result<PathBuf, Distrust> {
        let mut judged = BTreeSet::new();
        let path = links::follow(hit, |link| {
            self.judge_directories(link, &mut judged)?;
            self.judge_link(link)
        })?;
        self.judge_directories(&path, &mut judged)?;
        Ok(path)
    }

    /// Where others may write a directory with the sticky bit, the owner of a link can put another
    /// in its place.
    fn judge_link(&self, link: &Path) -> Result<(), Distrust> {
        let directory = link.parent().unwrap_or(Path::new("/"));
        let above = fs::symlink_metadata(directory).map_err(|e| unreadable(directory, &e))?;
        if above.permissions().mode() & 0o022 == 0 {
            return Ok(());
        }
        let status = fs::symlink_metadata(link).map_err(|error| unreadable(link, &error))?;
        self.judge_owner(link, &status)
    }

    fn judge_directories(
        &self,
        path: &Path,
        judged: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Distrust> {
        for directory in path.ancestors().skip(1) {
            if self.above_a_trusted_directory(path, directory)
                || !judged.insert(directory.to_owned())
            {
                continue;
            }
            let status = fs::symlink_metadata(directory).map_err(|e| unreadable(directory, &e))?;
            self.judge_owner(directory, &status)?;
        }
        Ok(())
    }

    /// What lies above a directory that the configuration trusts was that person's to judge.
    fn above_a_trusted_directory(&self, path: &Path, directory: &Path) -> bool {
        self.trusted_directories
            .iter()
            .any(|trusted| path.starts_with(trusted) && !directory.starts_with(trusted))
    }

    fn judge_file(&self, program: &Path) -> Result<(), Distrust> {
        self.judge_status(program)?;
        match first_bytes(program)
            .map_err(|error| unreadable(program, &error))?
            .as_slice()
        {
            [0x7f, b'E', b'L', b'F', ..] => Ok(()),
            [b'#', b'!', ..] => Err(Distrust::Script),
            _ => Err(Distrust::NotAProgram),
        }
    }

    /// Judges what a file is and whose, and not what it holds.
    fn judge_status(&self, program: &Path) -> Result<(), Distrust> {
        let status = fs::symlink_metadata(program).map_err(|error| unreadable(program, &error))?;
        if status.file_type().is_block_device() || !status.is_file() {
            return Err(Distrust::NotAProgram);
        }
        self.judge_owner(program, &status)?;
        if status.mode() & 0o6000 != 0 || has_capabilities(program) {
            return Err(Distrust::RaisesPrivileges);
        }
        Ok(())
    }

    fn judge_owner(&self, path: &Path, status: &Metadata) -> Result<(), Distrust> {
        let vouched_for = self
            .trusted_directories
            .iter()
            .any(|trusted| path.starts_with(trusted));
        let tolerated = status.uid() == 0 || self.tolerated == Some(status.uid());
        if !(tolerated || vouched_for && self.owns_trusted(path, status.uid())) {
            return Err(Distrust::Owner {
                path: path.to_owned(),
                uid: status.uid(),
            });
        }
        let mode = status.permissions().mode() & 0o7777;
        // Nix's store is open to the group of its builders, with the sticky bit: none of them can
        // take the place of what belongs to root, and what lies in it is judged as well.
        let protected = status.is_dir() && mode & 0o1002 == 0o1000;
        // Where the caller may change it anyway, /tmp is good enough: who else writes there cannot
        // take the place of what is the caller's.
        let protected =
            protected || (self.tolerated.is_some() && status.is_dir() && mode & 0o1000 != 0);
        if mode & 0o022 != 0 && !status.is_symlink() && !protected {
            return Err(Distrust::Writable {
                path: path.to_owned(),
                mode,
            });
        }
        Ok(())
    }

    /// Inside a trusted directory its owner may own files; nobody else.
    fn owns_trusted(&self, path: &Path, uid: u32) -> bool {
        self.trusted_directories
            .iter()
            .filter(|trusted| path.starts_with(trusted))
            .any(|trusted| fs::metadata(trusted).is_ok_and(|status| status.uid() == uid))
    }
}

impl From<(PathBuf, io::Error)> for Distrust {
    fn from((path, error): (PathBuf, io::Error)) -> Self {
        unreadable(&path, &error)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Distrust {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) if exhausted.contains(&code) => Distrust::NotLookedAt { error: text },
        _ => Distrust::Unreadable {
            path: path.to_owned(),
            error: text,
        },
    }
}

/// How much of a file the kernel looks at to see what it is (BINPRM_BUF_SIZE of binfmts.h).
const HEAD: u64 = 256;

fn first_bytes(program: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    // What was a file a moment ago may be a FIFO by now (PATH-35).
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(program)?;
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

#[expect(unsafe_code, reason = "nix has no getxattr")]
fn has_capabilities(program: &Path) -> bool {
    let Ok(name) = std::ffi::CString::new(program.as_os_str().as_bytes()) else {
        return true;
    };
    // SAFETY: both names are C strings, and a null buffer of length zero asks for the size only.
    let size = unsafe {
        libc::getxattr(
            name.as_ptr(),
            c"security.capability".as_ptr(),
            std::ptr::null_mut(),
            0,
        )
    };
    // Whatever else goes wrong here may hide capabilities.
    size > 0 || (size < 0 && !matches!(Errno::last(), Errno::ENODATA | Errno::EOPNOTSUPP))
}

/// Returns the program that this process runs, by the kernel's word.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    let path = fs::read_link("/proc/self/exe")?;
    let deleted: OsString = path.as_os_str().to_owned();
    if deleted.as_bytes().ends_with(b" (deleted)") {
        return Err(io::Error::other(
            "the program was replaced while it ran; run it again",
        ));
    }
    Ok(path)
}

/// Returns the identity of the program that this process runs.
pub(crate) fn own_identity() -> io::Result<FileIdentity> {
    let status = fs::metadata("/proc/self/exe")?;
    Ok(FileIdentity {
        device: status.dev(),
        inode: status.ino(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searcher() -> Searcher {
        Searcher {
            own: own_identity().unwrap(),
            trusted_directories: Vec::new(),
            tolerated: None,
        }
    }

    #[test]
    fn the_system_rm_is_trusted() {
        let search = searcher().search("rm", Some(OsStr::new("/usr/bin:/bin")));
        assert!(matches!(search, Search::Trusted(_)), "{search:?}");
    }

    #[test]
    fn env_01_02_and_04_only_absolute_entries_are_searched() {
        for path in [":", "bin", "./bin", "::", "usr/bin:."] {
            let search = searcher().search("rm", Some(OsStr::new(path)));
            assert!(matches!(search, Search::NotFound), "{path}: {search:?}");
        }
        for path in [None, Some(OsStr::new(""))] {
            assert!(matches!(searcher().search("rm", path), Search::Trusted(_)));
        }
    }
}
