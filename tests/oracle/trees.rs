use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;

use crate::support::Random;

const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"ab",
    b"A",
    b"d",
    b"e",
    b"-r",
    b"-rf",
    b"--",
    b"-",
    b"sp ace",
    b"*",
    b"~",
    b"new\nline",
    b"\xc3\xa9",
    b"\xff",
    b".hidden",
    b"..x",
    b"--no-preserve-root",
];

#[derive(Clone, Debug)]
pub(super) enum Node {
    Directory {
        mode: u32,
    },
    File {
        mode: u32,
    },
    /// `{root}` in a target stands for the root of the copy.
    Link {
        target: OsString,
    },
    HardLink {
        to: PathBuf,
    },
    Fifo,
}

/// A tree to be made several times: `inside`, where commands run, and `outside`.
#[derive(Clone, Debug)]
pub(super) struct Tree(Vec<(PathBuf, Node)>);

impl Tree {
    pub(super) fn generate(random: &mut Random) -> Self {
        let directory = |mode| Node::Directory { mode };
        let mut nodes: Vec<(PathBuf, Node)> = ["inside", "outside", "outside/d"]
            .map(|name| (name.into(), directory(0o755)))
            .into();
        nodes.push(("outside/a".into(), Node::File { mode: 0o644 }));
        for _ in 0..random.between(4, 16) {
            let parents: Vec<&PathBuf> = nodes
                .iter()
                .filter(|(path, node)| {
                    matches!(node, Node::Directory { .. }) && path.components().count() < 4
                })
                .map(|(path, _)| path)
                .collect();
            // Most of it belongs inside.
            let parent = *random.pick(&parents);
            let parent = if random.once_in(3) {
                parent
            } else {
                random.pick(&parents)
            };
            let name = *random.pick(NAMES);
            let path = parent.join(OsStr::from_bytes(name));
            if nodes.iter().all(|(known, _)| *known != path) {
                let node = Self::node(random, &path, &nodes);
                nodes.push((path, node));
            }
        }
        Self(nodes)
    }

    fn node(random: &mut Random, path: &Path, nodes: &[(PathBuf, Node)]) -> Node {
        let files: Vec<&PathBuf> = nodes
            .iter()
            .filter(|(_, node)| matches!(node, Node::File { .. }))
            .map(|(path, _)| path)
            .collect();
        let mode = if random.once_in(8) { 0o555 } else { 0o755 };
        match random.below(20) {
            0..=6 => Node::Directory { mode },
            7..=12 => Node::File { mode: mode & 0o666 },
            13..=16 => Node::Link {
                target: link_target(random, path, nodes),
            },
            17..=18 => Node::HardLink {
                to: (*random.pick(&files)).clone(),
            },
            _ => Node::Fifo,
        }
    }

    /// Makes the tree below `root`.
    pub(super) fn make(&self, root: &Path) {
        fs::create_dir_all(root).unwrap();
        for (path, node) in &self.0 {
            let at = root.join(path);
            match node {
                Node::Directory { .. } => fs::create_dir(at).unwrap(),
                Node::File { .. } => fs::write(at, path.as_os_str().as_bytes()).unwrap(),
                Node::Link { target } => symlink(expand(target, root), at).unwrap(),
                Node::HardLink { to } => fs::hard_link(root.join(to), at).unwrap(),
                Node::Fifo => nix::unistd::mkfifo(&at, Mode::S_IRWXU).unwrap(),
            }
        }
        self.set_modes(root, |mode| mode);
    }

    /// Makes every directory that is left writable, so that it can be removed.
    pub(super) fn unlock(&self, root: &Path) {
        self.set_modes(root, |mode| mode | 0o700);
    }

    fn set_modes(&self, root: &Path, change: impl Fn(u32) -> u32) {
        for (path, node) in &self.0 {
            if let Node::Directory { mode } | Node::File { mode } = node {
                let at = root.join(path);
                if fs::symlink_metadata(&at).is_ok_and(|status| !status.is_symlink()) {
                    fs::set_permissions(at, Permissions::from_mode(change(*mode))).unwrap();
                }
            }
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    pub(super) fn directories_inside(&self) -> Vec<&Path> {
        let is = |node: &Node| matches!(node, Node::Directory { .. });
        self.0
            .iter()
            .filter(|(path, node)| is(node) && path.starts_with("inside"))
            .map(|(path, _)| path.as_path())
            .collect()
    }
}

/// Puts the root of a copy where a word leaves room for it.
pub(super) fn expand(word: &OsStr, root: &Path) -> OsString {
    match word.as_bytes().strip_prefix(b"{root}") {
        Some(rest) => {
            let mut path = root.as_os_str().to_owned();
            path.push(OsStr::from_bytes(rest));
            path
        }
        None => word.to_owned(),
    }
}

fn link_target(random: &mut Random, path: &Path, nodes: &[(PathBuf, Node)]) -> OsString {
    let (other, _) = random.pick(nodes);
    let up = "../".repeat(path.components().count() - 1);
    match random.below(8) {
        0 => "nowhere".into(),
        1 => path.file_name().unwrap().to_owned(),
        2 => ".".into(),
        3 => "..".into(),
        4 => [OsStr::new("{root}/"), other.as_os_str()]
            .into_iter()
            .collect(),
        5 => format!("{up}outside").into(),
        _ => [OsStr::new(&up), other.as_os_str()].into_iter().collect(),
    }
}

/// What stands at a path: its kind, its mode, and its contents or target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    mode: u32,
    contents: Vec<u8>,
}

/// Returns everything below `root`, which may have been removed itself.
pub(super) fn snapshot(root: &Path) -> BTreeMap<PathBuf, Found> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound && directory == root => break,
            entries => entries.unwrap(),
        };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            let status = fs::symlink_metadata(&path).unwrap();
            let contents = if status.is_symlink() {
                // An absolute target names its own copy.
                let target = fs::read_link(&path).unwrap();
                let below = target.strip_prefix(root).map(Path::to_owned);
                below
                    .unwrap_or(target)
                    .into_os_string()
                    .into_encoded_bytes()
            } else if status.is_file() {
                fs::read(&path).unwrap_or_default()
            } else {
                Vec::new()
            };
            if status.is_dir() {
                left.push(path.clone());
            }
            let below = path.strip_prefix(root).unwrap().to_owned();
            all.insert(
                below,
                Found {
                    mode: status.permissions().mode(),
                    contents,
                },
            );
        }
    }
    all
}
