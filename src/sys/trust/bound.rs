use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::operation::FileIdentity;

/// The largest program that is read to say which content is meant, in bytes.
const LARGEST_PROGRAM: u64 = 1024 * 1024 * 1024;

/// A program that its owner can change, with the content that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundProgram {
    path: PathBuf,
    digest: [u8; 32],
    identity: FileIdentity,
}

impl BoundProgram {
    /// Reads the program at `path`, which has no links in it, from one open descriptor.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        let status = file.metadata()?;
        if !status.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self {
            path: path.to_owned(),
            digest: digest(&mut file)?,
            identity: FileIdentity {
                device: status.dev(),
                inode: status.ino(),
            },
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the SHA-256 of the content that was looked at.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Reads the program again and says whether it is the same file with the same content. Times
    /// are not enough: two writes within one tick of the kernel's clock leave the same ones.
    ///
    /// What is written between this and the kernel's own reading is not seen (ENV-07).
    pub(crate) fn is_unchanged(&self) -> bool {
        Self::read(&self.path).is_ok_and(|now| now == *self)
    }
}

fn digest(file: &mut File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut left = LARGEST_PROGRAM;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // A file that grows while it is read has no end.
        left = u64::try_from(read)
            .ok()
            .and_then(|read| left.checked_sub(read))
            .ok_or_else(|| io::Error::other("it is larger than 1 GiB"))?;
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn env_07_another_content_and_another_file_are_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, "one").unwrap();
        let bound = BoundProgram::read(&path).unwrap();
        assert!(bound.is_unchanged());
        fs::write(&path, "two").unwrap();
        assert!(!bound.is_unchanged());
        fs::write(&path, "one").unwrap();
        assert!(bound.is_unchanged());
        fs::write(directory.path().join("y"), "one").unwrap();
        fs::rename(directory.path().join("y"), &path).unwrap();
        assert!(!bound.is_unchanged());
        fs::remove_file(&path).unwrap();
        assert!(!bound.is_unchanged());
        std::os::unix::fs::symlink("z", &path).unwrap();
        assert!(BoundProgram::read(&path).is_err());
    }
}
