//! A directory for the temporary files of one command that is confined, and for nobody else.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{process, random};

const BASE: &str = "/tmp";

/// A directory that was made for one command. It outlives this process, which becomes that command;
/// a later one removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
}

fn prefix() -> String {
    format!("pvm-exec-{}-", process::uid())
}

/// Makes a directory that only this user can enter. Its name says which process it is for.
pub(crate) fn make() -> io::Result<Scratch> {
    let pid = process::pid();
    let start = started_at(pid).ok_or_else(|| io::Error::other("this process is not in /proc"))?;
    let chance: [u8; 8] = random::bytes().map_err(io::Error::other)?;
    let chance = data_encoding::HEXLOWER.encode(&chance);
    let path = Path::new(BASE).join(format!("{}{pid}-{start}-{chance}", prefix()));
    DirBuilder::new().mode(0o700).create(&path)?;
    // The caller's umask may have taken the owner's rights away, and a default ACL may have given
    // others some (ENV-28). In /tmp nobody else can take the name.
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(&path)?;
    let status = file.metadata()?;
    if status.uid() != process::uid() || status.mode() & 0o7777 != 0o700 {
        return Err(io::Error::other(
            "the directory for temporary files is not as it was made",
        ));
    }
    Ok(Scratch {
        path,
        directory: file.into(),
    })
}

/// Removes what commands that have ended left behind. What cannot be removed stays.
pub(crate) fn sweep() {
    let Ok(entries) = fs::read_dir(BASE) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some((pid, start)) = name.to_str().and_then(owner) else {
            continue;
        };
        let own = |status: fs::Metadata| status.is_dir() && status.uid() == process::uid();
        let ours = fs::symlink_metadata(entry.path()).is_ok_and(own);
        if ours && started_at(pid) != Some(start) {
            // It walks by descriptors and follows no link.
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

/// Reads which process a directory of this user's was made for.
fn owner(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(&prefix())?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let start = parts.next()?.parse().ok()?;
    let chance = parts.next()?;
    (chance.len() == 16 && parts.next().is_none()).then_some((pid, start))
}

/// Returns when a process started, in clock ticks since the boot (proc_pid_stat(5)).
fn started_at(pid: u32) -> Option<u64> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in brackets and may hold anything, brackets too.
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_28_the_directory_is_private_and_goes_with_its_process() {
        let scratch = make().unwrap();
        let name = scratch
            .path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let (pid, start) = owner(&name).unwrap();
        assert_eq!(pid, process::pid());
        sweep();
        assert!(scratch.path.is_dir(), "its process lives");
        let left = name.replacen(&format!("-{start}-"), &format!("-{}-", start + 1), 1);
        let left = Path::new(BASE).join(left);
        fs::rename(&scratch.path, &left).unwrap();
        fs::write(left.join("x"), "").unwrap();
        sweep();
        assert!(!left.exists());
        assert_eq!(owner(&format!("{}1-2-x", prefix())), None);
        assert_eq!(owner("pvm-exec-0-../x"), None);
    }
}
