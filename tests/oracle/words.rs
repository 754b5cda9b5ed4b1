use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use super::trees::Tree;
use crate::support::Random;

const LONG: [&str; 11] = [
    "--recursive",
    "--recursive",
    "--recursive",
    "--force",
    "--verbose",
    "--verbose",
    "--dir",
    "--interactive",
    "--one-file-system",
    "--preserve-root",
    "--no-preserve-root",
];

const WHEN: [&str; 8] = [
    "=never", "=no", "=none", "=once", "=always", "=yes", "=", "=maybe",
];

/// What has a meaning of its own, or none.
const SPECIAL: [&str; 12] = [
    "",
    ".",
    "..",
    "./",
    "/",
    "//",
    "a/.",
    "d/..",
    "../inside",
    "a/",
    "-",
    "no/such/file",
];

/// Returns a command line for `rm` over a tree, run in `cwd` below the root: every spelling of
/// options and operands. `{root}` stands for the root of a copy.
pub(super) fn generate(random: &mut Random, tree: &Tree, cwd: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    for _ in 0..random.below(3) {
        words.push(option(random).into());
    }
    // Most of what is worth removing needs one of these.
    if !random.once_in(3) {
        words.push((*random.pick(&["-r", "-rf", "-Rv", "--recurs", "-d", "-f", "-v"])).into());
    }
    for _ in 0..*random.pick(&[1, 1, 1, 2, 2, 3]) {
        let operand = operand(random, tree, cwd);
        let at = random.below(words.len() + 1);
        words.insert(at, operand.clone());
        if random.once_in(12) {
            words.push(operand);
        }
    }
    if random.once_in(5) {
        let at = random.below(words.len() + 1);
        words.insert(at, "--".into());
    }
    if random.once_in(60) {
        let at = random.below(words.len() + 1);
        words.insert(
            at,
            (*random.pick(&["--help", "--vers", "---presume-input-tty"])).into(),
        );
    }
    words
}

fn option(random: &mut Random) -> String {
    if random.once_in(40) {
        return (*random.pick(&["-z", "-rz", "--frobnicate", "-i=never", "--force=1"])).to_owned();
    }
    if !random.once_in(3) {
        let letters = b"rrrrrRfffffddvvvviI";
        let count = random.between(1, 4);
        let cluster = (0..count).map(|_| char::from(*random.pick(letters)));
        return std::iter::once('-').chain(cluster).collect();
    }
    let long = *random.pick(&LONG);
    if long == "--no-preserve-root" && !random.once_in(4) {
        return "-v".to_owned();
    }
    let kept = if random.once_in(2) {
        long.len()
    } else {
        random.between(3, long.len())
    };
    let value = match long {
        "--interactive" if !random.once_in(4) => *random.pick(&WHEN),
        "--preserve-root" if random.once_in(2) => "=all",
        _ => "",
    };
    format!("{}{value}", &long[..kept])
}

/// Spells a path of the tree, or something beside it, as seen from `cwd`.
fn operand(random: &mut Random, tree: &Tree, cwd: &Path) -> OsString {
    if random.once_in(30) {
        return (*random.pick(&SPECIAL)).into();
    }
    let everywhere = random.once_in(12);
    let paths: Vec<&Path> = tree
        .paths()
        .filter(|path| everywhere || (path.starts_with("inside") && !cwd.starts_with(path)))
        .collect();
    if paths.is_empty() {
        return "no such file".into();
    }
    let mut path = (*random.pick(&paths)).to_owned();
    if random.once_in(12) {
        // Below a file or a link, or a name that is not there.
        path.push(random.pick(&paths).file_name().unwrap());
    }
    let mut word = start(random, &path, cwd);
    let below = path.strip_prefix(cwd).unwrap_or(&path);
    let parts: Vec<&OsStr> = below.components().map(Component::as_os_str).collect();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            let joint = if random.once_in(10) {
                *random.pick(&["//", "/./", "/../"])
            } else {
                "/"
            };
            word.extend(joint.bytes());
            if joint == "/../" {
                // Back to where it was, if that was a directory and no link.
                word.extend(parts[index - 1].as_bytes());
                word.push(b'/');
            }
        }
        word.extend(part.as_bytes());
    }
    if random.once_in(14) {
        word.extend(random.pick(&["/", "//", "/."]).bytes());
    }
    OsString::from_vec(word)
}

fn start(random: &mut Random, path: &Path, cwd: &Path) -> Vec<u8> {
    let absolute = |prefix: &str| {
        let mut word = format!("{prefix}{{root}}/").into_bytes();
        if path
            .strip_prefix(cwd)
            .is_ok_and(|below| !below.as_os_str().is_empty())
        {
            word.extend(cwd.as_os_str().as_bytes());
            word.push(b'/');
        }
        word
    };
    if random.once_in(8) {
        return absolute("");
    }
    match path.strip_prefix(cwd) {
        Ok(_) if random.once_in(8) => b"./".to_vec(),
        Ok(_) => Vec::new(),
        Err(_) => "../".repeat(cwd.components().count()).into_bytes(),
    }
}
