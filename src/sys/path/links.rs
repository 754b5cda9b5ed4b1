use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use super::{PathError, canonical};

/// A way with so many is none; the kernel goes one further (MAXSYMLINKS of linux/namei.h).
const MOST_LINKS: usize = 40;

/// A way to a file, gone as the kernel goes it (path_resolution(7)): `..` means what lies above where
/// the links before it led.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Without links and dots.
    here: PathBuf,
    /// What is still to go, the next name last.
    left: Vec<OsString>,
    links: usize,
}

impl Walk {
    /// Begins at the root; a relative path leads nowhere.
    pub(crate) fn new(path: &Path) -> Result<Self, (PathBuf, io::Error)> {
        if !path.is_absolute() {
            let error = io::Error::from_raw_os_error(libc::EINVAL);
            return Err((path.to_owned(), error));
        }
        let mut walk = Self {
            here: PathBuf::from("/"),
            left: Vec::new(),
            links: 0,
        };
        walk.go_on(path);
        Ok(walk)
    }

    fn go_on(&mut self, path: &Path) {
        if path.is_absolute() {
            self.here = PathBuf::from("/");
        }
        let names = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
        let names = names.filter(|name| !matches!(*name, b"" | b"."));
        self.left
            .extend(names.rev().map(|name| OsString::from_vec(name.to_vec())));
    }

    /// Goes on to the next link and returns it, by a path without links, and what it points to;
    /// nothing at the end.
    pub(crate) fn next_link(&mut self) -> Result<Option<(PathBuf, PathBuf)>, (PathBuf, io::Error)> {
        while let Some(name) = self.left.pop() {
            if name == ".." {
                self.here.pop();
                continue;
            }
            let at = self.here.join(&name);
            let status = fs::symlink_metadata(&at).map_err(|error| (at.clone(), error))?;
            if !status.is_symlink() {
                self.here = at;
                continue;
            }
            self.links += 1;
            if self.links >= MOST_LINKS {
                return Err((at, io::Error::from_raw_os_error(libc::ELOOP)));
            }
            let target = fs::read_link(&at).map_err(|error| (at.clone(), error))?;
            self.go_on(&target);
            return Ok(Some((at, target)));
        }
        Ok(None)
    }

    /// Returns where the way has come to.
    pub(crate) fn here(&self) -> &Path {
        &self.here
    }
}

/// Returns the canonical path of what `path` leads to, after `meet` saw every link on the way.
///
/// # Errors
///
/// With the place it is about. The kernel is asked in the end as well, and must say the same.
pub(crate) fn follow<E: From<(PathBuf, io::Error)>>(
    path: &Path,
    mut meet: impl FnMut(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let mut walk = Walk::new(path)?;
    while let Some((link, _)) = walk.next_link()? {
        meet(&link)?;
    }
    let failed = |error| E::from((path.to_owned(), error));
    match canonical(path) {
        Ok(found) if found == walk.here => Ok(found),
        Ok(_) => Err(failed(io::Error::other(PathError::Changed))),
        Err(PathError::System(errno)) => Err(failed(errno.into())),
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

struct Unseen(PathError);

impl From<(PathBuf, io::Error)> for Unseen {
    fn from((_, error): (PathBuf, io::Error)) -> Self {
        let errno = error.raw_os_error().map(Errno::from_raw);
        Self(errno.map_or(PathError::Changed, PathError::System))
    }
}

/// Returns every link that is met on the way to `path`, each by a path without links before it.
pub(crate) fn on_the_way(path: &Path) -> Result<Vec<PathBuf>, PathError> {
    let mut links = Vec::new();
    let met = follow(path, |link| {
        links.push(link.to_owned());
        Ok(())
    });
    met.map_err(|Unseen(error)| error)?;
    Ok(links)
}

/// Returns a path as it is shown: without dots and double slashes, with the links in it that no dots
/// depend on. One that leads nowhere stays as it is.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let short: PathBuf = path.components().collect();
    if !short.components().any(|part| part == Component::ParentDir) {
        return short;
    }
    let found = match (short.parent(), short.file_name()) {
        (Some(directory), Some(name)) => canonical(directory).map(|found| found.join(name)),
        _ => canonical(&short),
    };
    found.unwrap_or(short)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_met() {
        let scratch = tempfile::tempdir().unwrap();
        let base = canonical(scratch.path()).unwrap();
        fs::create_dir_all(base.join("real/deep")).unwrap();
        symlink("real", base.join("one")).unwrap();
        symlink("../one/deep", base.join("real/two")).unwrap();
        let met = on_the_way(&base.join("one/two")).unwrap();
        assert_eq!(
            met,
            [base.join("one"), base.join("real/two"), base.join("one")]
        );
        assert!(on_the_way(&base.join("real/deep")).unwrap().is_empty());
        symlink("loop", base.join("loop")).unwrap();
        assert!(on_the_way(&base.join("loop")).is_err());
        assert!(on_the_way(Path::new("real")).is_err());
    }

    #[test]
    fn path_07_dots_behind_a_link_mean_what_lies_above_its_target() {
        let scratch = tempfile::tempdir().unwrap();
        let base = canonical(scratch.path()).unwrap();
        fs::create_dir_all(base.join("w")).unwrap();
        fs::create_dir_all(base.join("x/deep")).unwrap();
        fs::write(base.join("x/t"), "").unwrap();
        fs::write(base.join("w/t"), "").unwrap();
        symlink("../x/deep", base.join("w/l1")).unwrap();
        symlink("./l1/../t", base.join("w/l2")).unwrap();
        let mut met = Vec::new();
        let end: Result<_, Unseen> = follow(&base.join("w/./l2"), |link| {
            met.push(link.to_owned());
            Ok(())
        });
        assert_eq!(end.ok(), Some(base.join("x/t")));
        assert_eq!(met, [base.join("w/l2"), base.join("w/l1")]);
        // What is no directory has nothing above it.
        assert!(on_the_way(&base.join("w/t/../t")).is_err());
        assert!(on_the_way(&base.join("w/t/")).is_err());
        assert_eq!(plain(&base.join("w/./t")), base.join("w/t"));
        assert_eq!(plain(&base.join("w/l1/../t")), base.join("x/t"));
        assert_eq!(plain(&base.join("w/l1/t")), base.join("w/l1/t"));
        assert_eq!(plain(&base.join("w/l1/..")), base.join("x"));
    }
}
