//! Spelled paths in a small tree: the scope has to be where the kernel finds the operand.

#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// What a byte stands for. Only the first is a slash, so that most bytes make names.
const PARTS: [&[u8]; 22] = [
    b"/",
    b"d",
    b"e",
    b"f",
    b"g",
    b"..",
    b".",
    b"up",
    b"down",
    b"out",
    b"dangling",
    b"loop",
    b"chain",
    b"f.link",
    b"missing",
    b"-r",
    b" ",
    b"\n",
    b"\xff",
    b"long-name-of-a-directory",
    b"...",
    b"D",
];

/// Made once for each process. The working directory is `work` in it.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("pvm-fuzz-{}", std::process::id()));
    fs::create_dir_all(root.join("work/d/e/g")).unwrap();
    fs::create_dir_all(root.join("outside/d")).unwrap();
    fs::create_dir_all(root.join("work/long-name-of-a-directory/ ")).unwrap();
    fs::create_dir(root.join("work").join(OsStr::from_bytes(b"\xff"))).unwrap();
    for file in [
        "work/f",
        "work/d/f",
        "work/d/e/-r",
        "work/d/e/\n",
        "outside/f",
        "work/...",
    ] {
        fs::write(root.join(file), file).unwrap();
    }
    for (link, target) in [
        ("work/up", ".."),
        ("work/d/up", "../.."),
        ("work/down", "d/e"),
        ("work/d/e/down", "g"),
        ("work/out", "../outside"),
        ("work/d/out", "/"),
        ("work/dangling", "nowhere/at/all"),
        ("work/loop", "loop"),
        ("work/chain", "down/../../d/up/work/d"),
        ("work/f.link", "f"),
        ("work/d/f.link", "../../outside/f"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    std::env::set_current_dir(root.join("work")).unwrap();
    fs::canonicalize(&root).unwrap()
});

fn spelled(bytes: &[u8], root: &Path) -> Vec<u8> {
    let (start, rest) = bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest));
    let mut path = match start % 4 {
        0 => [root.as_os_str().as_bytes(), b"/work/"].concat(),
        1 => [b"//".as_slice(), root.as_os_str().as_bytes(), b"/"].concat(),
        _ => Vec::new(),
    };
    for byte in rest {
        // The upper half of the bytes is a slash too, so that names come apart.
        let part = if *byte >= 128 {
            0
        } else {
            usize::from(*byte) % PARTS.len()
        };
        path.extend(PARTS[part]);
    }
    path
}

/// Returns the operand's directory and own name, trailing slashes off.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let body = &path[..=end];
    let start = body
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    Some((&body[..start], &body[start..]))
}

fuzz_target!(|bytes: &[u8]| {
    let root = ROOT.as_path();
    let path = spelled(bytes, root);
    let resolved = pvm::internals::resolve(OsStr::from_bytes(&path));
    let Some((directory, name)) = split(&path) else {
        assert!(
            resolved.is_err(),
            "the root and nothing at all have no scope"
        );
        return;
    };
    if name == b"." || name == b".." {
        assert!(resolved.is_err(), "{}", path.escape_ascii());
        return;
    }
    let directory = if directory.is_empty() {
        b"."
    } else {
        directory
    };
    let parent = fs::canonicalize(OsStr::from_bytes(directory));
    match (resolved, parent) {
        (Ok(scope), Ok(parent)) => {
            let expected = parent.join(OsStr::from_bytes(name));
            assert_eq!(scope, expected, "{}", path.escape_ascii());
            let status = fs::symlink_metadata(&expected);
            let directory = status.as_ref().is_ok_and(fs::Metadata::is_dir);
            assert!(
                directory || status.is_err() || !path.ends_with(b"/"),
                "a slash after what is no directory: {}",
                path.escape_ascii()
            );
        }
        // Nothing can be removed there, but the scope must be below what exists.
        (Ok(scope), Err(error)) => {
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::NotFound,
                "{}",
                path.escape_ascii()
            );
            assert!(fs::symlink_metadata(&scope).is_err(), "{}", scope.display());
            let text = scope.as_os_str().as_bytes();
            assert!(
                !text
                    .split(|byte| *byte == b'/')
                    .any(|part| part == b".." || part == b".")
            );
        }
        (Err(error), Ok(parent)) => {
            let there = parent.join(OsStr::from_bytes(name));
            let status = fs::symlink_metadata(&there);
            let slash =
                path.ends_with(b"/") && status.as_ref().is_ok_and(|status| !status.is_dir());
            let too_long =
                status.is_err_and(|error| error.raw_os_error() == Some(libc::ENAMETOOLONG));
            let elsewhere = !there.starts_with(root);
            assert!(
                slash || too_long || elsewhere,
                "{}: {error}",
                path.escape_ascii()
            );
        }
        (Err(_), Err(_)) => {}
    }
});
