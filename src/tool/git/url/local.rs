use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::path::{PathError, canonical};

/// What git adds to a path, in this order, until there is something (path.c, `enter_repo`).
const SUFFIXES: [&[u8]; 4] = [b"/.git", b"", b".git/.git", b".git"];

/// The longest gitfile (setup.c, `read_gitfile_gently`).
const LONGEST_GITFILE: u64 = 1 << 20;

/// The longest path that git looks at.
const PATH_MAX: usize = 4096;

/// Why git would find no repository at a path, or pvm cannot tell which.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NoRepository {
    #[error("no git repository is there")]
    Missing,
    #[error("it holds another repository, which git would open instead")]
    Nested,
    #[error("it is a file and does not name a git directory")]
    NotAGitfile,
    #[error("its '{0}' is not of the kind that git writes")]
    Odd(&'static str),
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Returns the directory with the refs of the repository that `git-receive-pack` would open for
/// `path`, as a canonical path: links, gitfiles and work trees that share it are followed, so one
/// repository has one name.
///
/// git is given that path and looks once more, so it has to stand for itself: a work tree that
/// looks like a git directory too would lead to what is below it.
pub(crate) fn repository(path: &Path) -> Result<PathBuf, NoRepository> {
    let found = enter(path)?;
    if enter(&found)? == found {
        Ok(found)
    } else {
        Err(NoRepository::Nested)
    }
}

fn enter(path: &Path) -> Result<PathBuf, NoRepository> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/');
    let trimmed = bytes.get(..=end.unwrap_or(0)).unwrap_or(bytes);
    if trimmed.len() >= PATH_MAX {
        return Err(NoRepository::Missing);
    }
    for suffix in SUFFIXES {
        let name = [trimmed, suffix].concat();
        let candidate = Path::new(OsStr::from_bytes(&name));
        let Ok(status) = fs::metadata(candidate) else {
            continue;
        };
        if status.is_file() {
            return common(&gitfile(candidate)?);
        }
        if status.is_dir() && is_git_directory(candidate)? {
            return common(candidate);
        }
    }
    Err(NoRepository::Missing)
}

/// Returns the git directory that a gitfile names.
fn gitfile(path: &Path) -> Result<PathBuf, NoRepository> {
    let text = contents(path, LONGEST_GITFILE).map_err(|_| NoRepository::NotAGitfile)?;
    let name = text
        .strip_prefix(b"gitdir: ")
        .map(without_line_end)
        .filter(|name| !name.is_empty() && !name.contains(&0))
        .ok_or(NoRepository::NotAGitfile)?;
    // A name that begins with a slash replaces the directory.
    let above = path.parent().unwrap_or(Path::new("/"));
    let directory = above.join(OsStr::from_bytes(name));
    if is_git_directory(&directory)? {
        Ok(directory)
    } else {
        Err(NoRepository::NotAGitfile)
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !b"\r\n".contains(byte));
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}

fn contents(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = fs::File::open(path)?;
    file.take(limit + 1).read_to_end(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= limit => Ok(text),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// Returns the directory that holds the refs, which the git directories of work trees share.
fn common(git_directory: &Path) -> Result<PathBuf, NoRepository> {
    Ok(canonical(&common_directory(git_directory)?)?)
}

fn common_directory(git_directory: &Path) -> Result<PathBuf, NoRepository> {
    let file = git_directory.join("commondir");
    match fs::symlink_metadata(&file) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(git_directory.to_owned());
        }
        Err(_) => return Err(NoRepository::Odd("commondir")),
    }
    let odd = NoRepository::Odd("commondir");
    if !fs::metadata(&file).is_ok_and(|status| status.is_file()) {
        return Err(odd);
    }
    let text = contents(&file, LONGEST_GITFILE).map_err(|_| odd.clone())?;
    let name = without_line_end(&text);
    if name.is_empty() || name.contains(&0) {
        return Err(odd);
    }
    Ok(git_directory.join(OsStr::from_bytes(name)))
}

/// Says whether git takes a directory for a git directory (setup.c, `is_git_directory`).
///
/// Where git only asks whether something may be entered or run, anything but a directory is an
/// error: a wrong answer would name another repository.
fn is_git_directory(directory: &Path) -> Result<bool, NoRepository> {
    if !is_head(&directory.join("HEAD"))? {
        return Ok(false);
    }
    let common = common_directory(directory)?;
    Ok(may_enter(&common, "objects")? && may_enter(&common, "refs")?)
}

fn may_enter(above: &Path, name: &'static str) -> Result<bool, NoRepository> {
    let path = above.join(name);
    match fs::metadata(&path) {
        Ok(status) if status.is_dir() => match fs::metadata(path.join(".")) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(_) => Err(NoRepository::Odd(name)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(_) | Err(_) => Err(NoRepository::Odd(name)),
    }
}

/// A link to a ref, `ref: refs/...`, or an object's name (setup.c, `validate_headref`).
fn is_head(path: &Path) -> Result<bool, NoRepository> {
    let Ok(status) = fs::symlink_metadata(path) else {
        return Ok(false);
    };
    if status.is_symlink() {
        let target = fs::read_link(path);
        return Ok(target.is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"refs/")));
    }
    if status.is_dir() {
        return Ok(false);
    }
    if !status.is_file() {
        // git would read from a pipe.
        return Err(NoRepository::Odd("HEAD"));
    }
    let mut text = Vec::new();
    let read = |file: fs::File| file.take(255).read_to_end(&mut text);
    if fs::File::open(path).and_then(read).is_err() {
        return Ok(false);
    }
    if let Some(target) = text.strip_prefix(b"ref:") {
        let start = target.iter().position(|byte| !b" \t\r\n".contains(byte));
        let name = start.and_then(|start| target.get(start..));
        return Ok(name.is_some_and(|name| name.starts_with(b"refs/")));
    }
    let name = text.get(..40);
    Ok(name.is_some_and(|name| name.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes what git takes for a git directory.
    fn make(path: &Path) {
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::create_dir_all(path.join("refs")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = canonical(directory.path()).unwrap();
        (directory, path)
    }

    #[test]
    fn the_suffixes_are_tried_in_the_order_of_git() {
        let (_directory, top) = place();
        for (name, at) in [
            ("a", "a/.git"),
            ("b", "b"),
            ("c", "c.git/.git"),
            ("d", "d.git"),
        ] {
            make(&top.join(at));
            assert_eq!(repository(&top.join(name)), Ok(top.join(at)), "{name}");
        }
        // The first of several counts.
        for (name, at) in [
            ("b", "b/.git"),
            ("d", "d.git/.git"),
            ("d", "d"),
            ("d", "d/.git"),
        ] {
            make(&top.join(at));
            assert_eq!(repository(&top.join(name)), Ok(top.join(at)), "{at}");
        }
        let slashes = OsStr::from_bytes(b"a///");
        assert_eq!(repository(&top.join(slashes)), Ok(top.join("a/.git")));
        assert_eq!(repository(&top.join("nothing")), Err(NoRepository::Missing));
    }

    #[test]
    fn links_and_gitfiles_are_followed() {
        let (_directory, top) = place();
        make(&top.join("r.git"));
        symlink("r.git", top.join("link")).unwrap();
        assert_eq!(repository(&top.join("link")), Ok(top.join("r.git")));
        fs::create_dir(top.join("work")).unwrap();
        for name in ["../r.git\n", "../r.git\r\n", "../link"] {
            fs::write(top.join("work/.git"), format!("gitdir: {name}")).unwrap();
            assert_eq!(repository(&top.join("work")), Ok(top.join("r.git")));
        }
        let absolute = format!("gitdir: {}\n", top.join("r.git").display());
        fs::write(top.join("file"), absolute).unwrap();
        assert_eq!(repository(&top.join("file")), Ok(top.join("r.git")));
        for text in ["gitdir: nothing", "gitdir: ", "gitdir:../r.git", "PACK", ""] {
            fs::write(top.join("file"), text).unwrap();
            assert_eq!(
                repository(&top.join("file")),
                Err(NoRepository::NotAGitfile),
                "{text}"
            );
        }
    }

    #[test]
    fn a_work_tree_has_the_name_of_its_repository() {
        let (_directory, top) = place();
        make(&top.join("r/.git"));
        let own = top.join("r/.git/worktrees/w");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("HEAD"), "ref: refs/heads/w\n").unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        fs::create_dir(top.join("w")).unwrap();
        fs::write(top.join("w/.git"), format!("gitdir: {}\n", own.display())).unwrap();
        assert_eq!(repository(&top.join("w")), Ok(top.join("r/.git")));
        fs::write(own.join("commondir"), "").unwrap();
        assert_eq!(
            repository(&top.join("w")),
            Err(NoRepository::Odd("commondir"))
        );
    }

    #[test]
    fn what_only_looks_like_a_repository_is_passed_over_as_git_does() {
        let (_directory, top) = place();
        make(&top.join("a"));
        make(&top.join("a/.git"));
        for head in ["ref: heads/main", "ref:\x0crefs/heads/main", "", "0123"] {
            fs::write(top.join("a/.git/HEAD"), head).unwrap();
            assert_eq!(repository(&top.join("a")), Ok(top.join("a")), "{head}");
        }
        for head in ["ref:refs/x", &"0".repeat(40), &"f".repeat(64)] {
            fs::write(top.join("a/.git/HEAD"), head).unwrap();
            let found = repository(&top.join("a"));
            assert_eq!(found, Ok(top.join("a/.git")), "{head}");
        }
        // git would take an executable file for it.
        fs::remove_dir(top.join("a/.git/objects")).unwrap();
        fs::write(top.join("a/.git/objects"), "").unwrap();
        assert_eq!(
            repository(&top.join("a")),
            Err(NoRepository::Odd("objects"))
        );
        fs::remove_file(top.join("a/.git/objects")).unwrap();
        assert_eq!(repository(&top.join("a")), Ok(top.join("a")));
        fs::remove_file(top.join("a/.git/HEAD")).unwrap();
        symlink("refs/heads/main", top.join("a/.git/HEAD")).unwrap();
        fs::create_dir(top.join("a/.git/objects")).unwrap();
        assert_eq!(repository(&top.join("a")), Ok(top.join("a/.git")));
    }
}
