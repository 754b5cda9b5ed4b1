//! Remotes in files of their own, `remotes/NAME` and `branches/NAME` (git's remote.c,
//! read_remotes_file and read_branches_file; GIT-32, GIT-33).

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::RemoteError;
use crate::sys::fs::read_regular;
use crate::tool::git::config::{self, Config, is_space};

const LARGEST_FILE: u64 = 1 << 20;

/// What such a file says.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    pub(super) urls: Vec<Vec<u8>>,
    pub(super) push: Vec<Vec<u8>>,
}

/// Says whether git looks for a file of this name (valid_remote_nick).
pub(super) fn is_nick(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/')
}

fn read(directory: &Path, name: &[u8]) -> Result<Option<Vec<u8>>, RemoteError> {
    let path = directory.join(std::ffi::OsStr::from_bytes(name));
    let kind = |error: &io::Error| error.kind();
    match read_regular(&path, LARGEST_FILE) {
        Ok(bytes) if bytes.contains(&0) => Err(RemoteError::BadFile(path)),
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if config::is_missing(&error) => Ok(None),
        Err(error)
            if matches!(
                kind(&error),
                io::ErrorKind::IsADirectory
                    | io::ErrorKind::InvalidFilename
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(RemoteError::Read { path, error }),
    }
}

/// Reads `remotes/NAME`: lines of `URL:`, `Push:` and `Pull:`.
pub(super) fn remotes_file(common_dir: &Path, name: &[u8]) -> Result<Option<Legacy>, RemoteError> {
    let Some(bytes) = read(&common_dir.join("remotes"), name)? else {
        return Ok(None);
    };
    let mut legacy = Legacy::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = without_blanks_after(line);
        if let Some(url) = line.strip_prefix(b"URL:") {
            legacy.urls.push(without_blanks_before(url).to_vec());
        } else if let Some(refspec) = line.strip_prefix(b"Push:") {
            legacy.push.push(without_blanks_before(refspec).to_vec());
        }
    }
    Ok(Some(legacy))
}

/// Reads `branches/NAME`: one line, `URL#BRANCH`, and the branch that HEAD is pushed to.
pub(super) fn branches_file(
    common_dir: &Path,
    name: &[u8],
    config: &Config,
) -> Result<Option<Legacy>, RemoteError> {
    let Some(bytes) = read(&common_dir.join("branches"), name)? else {
        return Ok(None);
    };
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = without_blanks_before(without_blanks_after(line));
    if line.is_empty() {
        return Ok(None);
    }
    let hash = line.iter().position(|byte| *byte == b'#');
    let (url, branch) = match hash.and_then(|at| line.split_at_checked(at)) {
        Some((url, rest)) => (url, rest.strip_prefix(b"#").unwrap_or(rest)),
        // Without init.defaultBranch it depends on git's version.
        None => match config.string(b"init", None, b"defaultbranch")? {
            Some(branch) => (line, branch),
            None => return Err(RemoteError::NoBranch(name.to_vec())),
        },
    };
    Ok(Some(Legacy {
        urls: vec![url.to_vec()],
        push: vec![[b"HEAD:refs/heads/", branch].concat()],
    }))
}

fn without_blanks_after(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_space(*byte));
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}

fn without_blanks_before(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte));
    start
        .and_then(|start| text.get(start..))
        .unwrap_or_default()
}
