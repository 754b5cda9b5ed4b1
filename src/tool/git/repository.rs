//! Where the repository is: the search upwards, `.git` files, linked worktrees, and what
//! `--git-dir`, `--work-tree`, `--bare` and `-C` make of it (git's setup.c). Who owns it is left
//! to git, which looks again and refuses.

mod format;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::config::{self, Config, ConfigError, Facts, Layer, is_space};
use crate::sys::fs::{is_searchable, read_regular};
use crate::sys::path::{PathError, canonical};
use format::Format;
pub(crate) use format::ObjectFormat;

/// git's own limit for a `.git` file, in bytes.
const LARGEST_GITFILE: u64 = 1 << 20;
/// Much more than git looks at, in bytes.
const LARGEST_HEAD: u64 = 1 << 16;

/// Why there is no repository to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    #[error("{path} is not in a git repository", path = .0.display())]
    None(PathBuf),
    #[error("{path} is not a git directory", path = .0.display())]
    NotARepository(PathBuf),
    #[error("{path} is not a valid .git file", path = .0.display())]
    BadGitfile(PathBuf),
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot find {path}: {error}", path = .path.display())]
    Missing { path: PathBuf, error: PathError },
    #[error("the repository in {path} cannot be used: {why}", path = .path.display())]
    Format { path: PathBuf, why: &'static str },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A global option that has a say in where the repository is. Their order matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pointer {
    /// `-C`
    Directory(OsString),
    /// `--git-dir`
    GitDir(OsString),
    /// `--work-tree`
    WorkTree(OsString),
    /// `--bare`
    Bare,
}

/// A repository, as git would find it.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// What belongs to this worktree: HEAD and `config.worktree`. Absolute.
    pub(crate) git_dir: PathBuf,
    /// What all worktrees share: refs, objects and `config`. Absolute.
    pub(crate) common_dir: PathBuf,
    pub(crate) work_tree: Option<PathBuf>,
    /// Where git is when it pushes; relative paths of remotes begin here. The top of the worktree
    /// when the caller is in it, and where the caller is otherwise, in a bare repository too.
    pub(crate) top: PathBuf,
    pub(crate) object_format: ObjectFormat,
    /// Whether refs are kept in a format that only git reads.
    pub(crate) has_reftable: bool,
    has_worktree_config: bool,
    config: Option<Rc<Config>>,
    /// The git directory as git names it, with links left in.
    named_git_dir: PathBuf,
}

/// What the command line and the caller's directory come to.
#[derive(Debug)]
struct Start {
    cwd: PathBuf,
    git_dir: Option<PathBuf>,
    work_tree: Option<PathBuf>,
    is_bare: bool,
}

impl Start {
    fn new(cwd: &Path, pointers: &[Pointer]) -> Result<Self, RepositoryError> {
        let mut start = Self {
            cwd: cwd.to_owned(),
            git_dir: None,
            work_tree: None,
            is_bare: false,
        };
        for pointer in pointers {
            match pointer {
                Pointer::Directory(path) if path.is_empty() => {}
                Pointer::Directory(path) => start.cwd = real(&start.cwd.join(path))?,
                Pointer::GitDir(path) => start.git_dir = Some(path.into()),
                Pointer::WorkTree(path) => start.work_tree = Some(path.into()),
                Pointer::Bare => {
                    start.is_bare = true;
                    let here = start.cwd.clone();
                    start.git_dir.get_or_insert(here);
                }
            }
        }
        start.work_tree = start.work_tree.map(|path| start.cwd.join(path));
        Ok(start)
    }
}

/// What was found, before its configuration has a say.
struct Found {
    git_dir: PathBuf,
    named: PathBuf,
    /// The directory that holds it, unless it is bare.
    holder: Option<PathBuf>,
    is_explicit: bool,
}

impl Repository {
    /// Finds the repository that git would use.
    ///
    /// `cwd` is the caller's directory as the kernel names it, and `pwd` what the caller calls the
    /// same directory (`$PWD`), if that is known; only `includeIf "gitdir:"` can tell the
    /// difference.
    pub(crate) fn discover(
        cwd: &Path,
        pwd: Option<&Path>,
        pointers: &[Pointer],
    ) -> Result<Self, RepositoryError> {
        let start = Start::new(cwd, pointers)?;
        let found = match &start.git_dir {
            Some(path) => {
                let base = pwd.filter(|_| start.cwd == cwd).unwrap_or(&start.cwd);
                explicit(&start.cwd.join(path), base.join(path))?
            }
            None => search(&start.cwd, pwd.filter(|_| start.cwd == cwd))?,
        };
        let shared = shared_dir_of(&found.git_dir)?;
        let is_shared = shared.is_some();
        let common_dir = shared.unwrap_or_else(|| found.git_dir.clone());
        let config = Config::of_file(&common_dir.join("config"))?.map(Rc::new);
        let format = match &config {
            Some(config) => Format::read(config, &found.git_dir, is_shared)?,
            None => Format::default(),
        };
        let work_tree = work_tree(&start, &found, &format)?;
        let top = match &work_tree {
            Some(top) if start.cwd.starts_with(top) => top.clone(),
            _ => start.cwd,
        };
        Ok(Self {
            git_dir: found.git_dir,
            common_dir,
            work_tree,
            top,
            object_format: format.hash,
            has_reftable: format.has_reftable,
            has_worktree_config: format.has_worktree_config,
            config,
            named_git_dir: found.named,
        })
    }

    /// Returns the top of the worktree, or the git directory where there is none: a directory in
    /// which git finds this repository.
    pub(crate) fn directory(&self) -> &Path {
        self.work_tree.as_deref().unwrap_or(&self.git_dir)
    }

    /// Returns the configuration of the repository, in the order in which git reads it. The main
    /// file is the one that [`Repository::discover`] read.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let shared = self
            .config
            .as_ref()
            .map(|file| Layer::Read(Rc::clone(file)));
        let own = self
            .has_worktree_config
            .then(|| Layer::File(self.git_dir.join("config.worktree")));
        shared.into_iter().chain(own).collect()
    }

    /// Returns what conditions of includes are judged by.
    pub(crate) fn facts<'a>(
        &'a self,
        home: &'a Path,
        branch: config::CurrentBranch<'a>,
    ) -> Facts<'a> {
        Facts {
            home,
            git_dir: Some((&self.git_dir, &self.named_git_dir)),
            branch,
        }
    }
}

fn real(path: &Path) -> Result<PathBuf, RepositoryError> {
    canonical(path).map_err(|error| RepositoryError::Missing {
        path: path.to_owned(),
        error,
    })
}

/// What `--git-dir` names: a git directory, or a file that leads to one.
fn explicit(path: &Path, named: PathBuf) -> Result<Found, RepositoryError> {
    let (git_dir, named) = match gitfile(path)? {
        Gitfile::LeadsTo(directory) => (directory.clone(), directory),
        _ if is_git_directory(path)? => (real(path)?, named),
        _ => return Err(RepositoryError::NotARepository(path.to_owned())),
    };
    Ok(Found {
        git_dir,
        named,
        holder: None,
        is_explicit: true,
    })
}

/// Looks in `start` and above it, and not beyond the file system it lies on.
fn search(start: &Path, pwd: Option<&Path>) -> Result<Found, RepositoryError> {
    let device = |path: &Path| {
        fs::metadata(path)
            .map(|status| status.dev())
            .map_err(|error| RepositoryError::Read {
                path: path.to_owned(),
                error,
            })
    };
    let own_device = device(start)?;
    for level in start.ancestors() {
        if device(level)? != own_device {
            break;
        }
        let inside = level.join(".git");
        // git believes $PWD only where it has not gone elsewhere (strbuf_add_absolute_path).
        let named = pwd.filter(|_| level == start).unwrap_or(level);
        let found = match gitfile(&inside)? {
            Gitfile::LeadsTo(directory) => Some((directory.clone(), directory, Some(level))),
            Gitfile::IsADirectory if is_git_directory(&inside)? => {
                Some((real(&inside)?, named.join(".git"), Some(level)))
            }
            _ if is_git_directory(level)? => Some((level.to_owned(), named.to_owned(), None)),
            _ => None,
        };
        if let Some((git_dir, named, holder)) = found {
            return Ok(Found {
                git_dir,
                named,
                holder: holder.map(Path::to_owned),
                is_explicit: false,
            });
        }
    }
    Err(RepositoryError::None(start.to_owned()))
}

/// What stands where a `.git` file could.
enum Gitfile {
    Missing,
    IsADirectory,
    LeadsTo(PathBuf),
}

/// Reads `gitdir: PATH` (git's setup.c, read_gitfile_gently). What is neither that nor a directory
/// is an error.
fn gitfile(path: &Path) -> Result<Gitfile, RepositoryError> {
    let bad = || RepositoryError::BadGitfile(path.to_owned());
    let bytes = match read_regular(path, LARGEST_GITFILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Ok(Gitfile::IsADirectory);
        }
        Err(error) if config::is_missing(&error) => return Ok(Gitfile::Missing),
        Err(error) => {
            return Err(RepositoryError::Read {
                path: path.to_owned(),
                error,
            });
        }
    };
    let target = bytes.strip_prefix(b"gitdir: ").ok_or_else(bad)?;
    let target = without_line_end(target);
    if target.is_empty() || target.contains(&0) {
        return Err(bad());
    }
    let holder = path.parent().unwrap_or(Path::new("/"));
    let target = holder.join(OsStr::from_bytes(target));
    if !is_git_directory(&target)? {
        return Err(RepositoryError::NotARepository(target));
    }
    Ok(Gitfile::LeadsTo(real(&target)?))
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte));
    end.and_then(|at| bytes.get(..=at)).unwrap_or_default()
}

/// Returns the directory that the file `commondir` names, if there is one.
fn shared_dir_of(git_dir: &Path) -> Result<Option<PathBuf>, RepositoryError> {
    let file = git_dir.join("commondir");
    if fs::symlink_metadata(&file).is_err() {
        return Ok(None);
    }
    let bytes = read_regular(&file, LARGEST_GITFILE).map_err(|error| RepositoryError::Read {
        path: file.clone(),
        error,
    })?;
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(RepositoryError::Format {
            path: file,
            why: "it does not name a directory",
        });
    }
    let target = OsString::from_vec(without_line_end(&bytes).to_vec());
    real(&git_dir.join(target)).map(Some)
}

/// Says whether git would take `path` for a git directory (setup.c, is_git_directory).
fn is_git_directory(path: &Path) -> Result<bool, RepositoryError> {
    if !has_head(&path.join("HEAD")) {
        return Ok(false);
    }
    let shared = shared_dir_of(path)?;
    let common = shared.as_deref().unwrap_or(path);
    Ok(is_searchable(&common.join("objects")) && is_searchable(&common.join("refs")))
}

/// HEAD is a link or a line that names a ref, or begins with an object id.
fn has_head(path: &Path) -> bool {
    if let Ok(target) = fs::read_link(path) {
        return target.as_os_str().as_bytes().starts_with(b"refs/");
    }
    let Ok(start) = read_regular(path, LARGEST_HEAD) else {
        return false;
    };
    match start.strip_prefix(b"ref:") {
        Some(target) => {
            let blanks = target.iter().take_while(|byte| is_space(**byte)).count();
            target
                .get(blanks..)
                .is_some_and(|target| target.starts_with(b"refs/"))
        }
        None => start
            .get(..40)
            .is_some_and(|oid| oid.iter().all(u8::is_ascii_hexdigit)),
    }
}

/// Returns the top of the worktree, if there is one (setup.c, repo_discover_explicit_gitdir,
/// repo_discover_implicit_gitdir and repo_discover_bare_gitdir).
fn work_tree(
    start: &Start,
    found: &Found,
    format: &Format,
) -> Result<Option<PathBuf>, RepositoryError> {
    if let Some(path) = &start.work_tree {
        return real(path).map(Some);
    }
    if start.is_bare {
        // Older git lets the configuration undo --bare.
        return match format.work_tree {
            Some(_) => Err(RepositoryError::Format {
                path: found.git_dir.clone(),
                why: "core.worktree contradicts --bare",
            }),
            None => Ok(None),
        };
    }
    if format.is_bare == Some(true) {
        return Ok(None);
    }
    if let Some(path) = &format.work_tree {
        return real(&found.git_dir.join(OsStr::from_bytes(path))).map(Some);
    }
    if found.is_explicit {
        return Ok(Some(start.cwd.clone()));
    }
    Ok(found.holder.clone())
}

#[cfg(test)]
mod tests;
