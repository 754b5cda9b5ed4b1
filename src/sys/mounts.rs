use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::{fs, io};

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
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

fn parse(line: &[u8]) -> io::Result<Mount> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "unreadable line in mountinfo");
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4).ok_or_else(broken)?;
    let kind = fields
        .skip_while(|field| *field != b"-")
        .nth(1)
        .ok_or_else(broken)?;
    Ok(Mount {
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
        assert_eq!(mount.kind, "ext3");
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
