use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use super::PathError;

const MOST_LINKS: usize = 40;

/// Returns the first component of `path` that is a link, and what it points to.
pub(crate) fn first(path: &Path) -> Result<Option<(PathBuf, PathBuf)>, (PathBuf, io::Error)> {
    let mut prefix = PathBuf::new();
    for component in path.components() {
        prefix.push(component);
        let target = fs::symlink_metadata(&prefix).and_then(|status| {
            status
                .is_symlink()
                .then(|| fs::read_link(&prefix))
                .transpose()
        });
        match target {
            Ok(None) => {}
            Ok(Some(target)) => return Ok(Some((prefix, target))),
            Err(error) => return Err((prefix, error)),
        }
    }
    Ok(None)
}

/// Returns every link that is met on the way to `path`, each by a path without links before it.
pub(crate) fn on_the_way(path: &Path) -> Result<Vec<PathBuf>, PathError> {
    let mut path = path.to_owned();
    let mut links = Vec::new();
    while links.len() < MOST_LINKS {
        let found = first(&path).map_err(|(_, error)| {
            PathError::System(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        })?;
        let Some((link, target)) = found else {
            return Ok(links);
        };
        path = beyond(&path, &link, &target);
        links.push(link);
    }
    Err(PathError::System(Errno::ELOOP))
}

/// Returns `path` with the link in it replaced by what it points to.
pub(crate) fn beyond(path: &Path, link: &Path, target: &Path) -> PathBuf {
    let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
    let base = link.parent().unwrap_or(Path::new("/"));
    without_dots(&base.join(target).join(rest))
}

/// Removes `.` and `..` from a path whose directories before each `..` are known to be no links.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn dots_after_links_are_removed() {
        assert_eq!(
            without_dots(Path::new("/a/../b/./c")),
            PathBuf::from("/b/c")
        );
        assert_eq!(without_dots(Path::new("/../b")), PathBuf::from("/b"));
    }

    #[test]
    fn every_link_on_the_way_is_met() {
        let scratch = tempfile::tempdir().unwrap();
        let base = super::super::canonical(scratch.path()).unwrap();
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
    }
}
