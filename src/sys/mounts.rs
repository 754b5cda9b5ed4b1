use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::{fs, io};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The kernel's number for this mount; one file system can have several.
    pub(crate) id: u64,
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
}

/// Returns what is mounted where, as this process sees it.
pub(crate) fn list() -> io::Result<Vec<Mount>> {
    let table = fs::read("/proc/self/mountinfo")?;
    table
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(parse)
        .collect()
}

/// Notices when something is mounted or unmounted, as this process sees it.
#[derive(Debug)]
pub(crate) struct MountWatch {
    table: fs::File,
    changes: u64,
}

impl MountWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let table = fs::File::open("/proc/self/mountinfo")?;
        Ok(Self { table, changes: 0 })
    }

    /// Returns how many times this was called and something had changed since the time before. The
    /// kernel says so once to each who has the table open (proc_pid_mountinfo(5)).
    pub(crate) fn changes(&mut self) -> io::Result<u64> {
        let mut asked = [PollFd::new(self.table.as_fd(), PollFlags::POLLPRI)];
        poll(&mut asked, PollTimeout::ZERO)?;
        let [answer] = asked;
        let changed = PollFlags::POLLPRI | PollFlags::POLLERR;
        if answer.revents().is_none_or(|said| said.intersects(changed)) {
            self.changes = self.changes.wrapping_add(1);
        }
        Ok(self.changes)
    }
}

/// Returns the number of the mount that an open file belongs to (proc_pid_fdinfo(5)).
pub(crate) fn id_of(file: impl AsFd) -> io::Result<u64> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no mount id in fdinfo");
    let number = file.as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.and_then(|id| id.trim().parse().ok()).ok_or_else(broken)
}

fn parse(line: &[u8]) -> io::Result<Mount> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "unreadable line in mountinfo");
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.next().and_then(|id| str::from_utf8(id).ok());
    let id = id.and_then(|id| id.parse().ok()).ok_or_else(broken)?;
    let point = fields.nth(3).ok_or_else(broken)?;
    let kind = fields
        .skip_while(|field| *field != b"-")
        .nth(1)
        .ok_or_else(broken)?;
    Ok(Mount {
        id,
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let octal = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(octal.unwrap_or(first));
        rest = if octal.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_mount_point_and_optional_fields_are_read() {
        let line = b"36 35 98:0 /mnt1 /mnt/a\\040b\\134 rw,noatime master:1 - ext3 /dev/root rw";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, PathBuf::from("/mnt/a b\\"));
        assert_eq!((mount.id, mount.kind.as_str()), (36, "ext3"));
    }

    #[test]
    fn an_open_directory_is_on_a_mount_of_the_table() {
        let root = fs::File::open("/").unwrap();
        let id = id_of(&root).unwrap();
        let mount = list().unwrap().into_iter().find(|mount| mount.id == id);
        assert_eq!(mount.unwrap().point, PathBuf::from("/"));
    }

    #[test]
    fn this_process_has_a_root_mount() {
        assert!(
            list()
                .unwrap()
                .iter()
                .any(|mount| mount.point == std::path::Path::new("/"))
        );
    }
}
