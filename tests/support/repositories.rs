use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::scene::{Ran, copy_all, tree};

/// The commits of every repository here: `A - B - C` is what the work tree has, `A - B - D` what
/// the remote has. Names, dates and contents are fixed, and so are these.
pub(crate) const A: &str = "c8742685b0d87f5f021bb05b82826ab0a3d9af3a";
pub(crate) const B: &str = "1420534d4a806564ac26a55d441d83983e54c694";
pub(crate) const C: &str = "80698444e1a35e139472cfa4d217b573942487d5";
pub(crate) const D: &str = "b2150b018b8d9eb9d008001b0a2d47e9933c5ffb";

/// Which ref is at which commit. The first ref of each commit is the one it is made on.
type Layout = [(char, &'static [&'static str])];

const REMOTE: &Layout = &[
    ('A', &["refs/heads/root", "refs/tags/v1"]),
    ('B', &["refs/heads/behind", "refs/heads/old"]),
    ('D', &["refs/heads/main", "refs/heads/topic"]),
];

const LOCAL: &Layout = &[
    ('A', &["refs/heads/root", "refs/remotes/origin/root"]),
    (
        'B',
        &[
            "refs/tags/v1",
            "refs/remotes/origin/behind",
            "refs/remotes/origin/old",
        ],
    ),
    (
        'C',
        &[
            "refs/heads/main",
            "refs/heads/topic",
            "refs/heads/behind",
            "refs/heads/new",
            "refs/heads/reinforce",
            "refs/tags/v2",
        ],
    ),
    (
        'D',
        &["refs/remotes/origin/main", "refs/remotes/origin/topic"],
    ),
];

/// What the work tree is configured with; the remote is named by a path, so that a copy of the
/// whole plot is a plot of its own.
const CONFIGURATION: &str = "
[user]
\tname = T
\temail = t@example.invalid
[push]
\tdefault = simple
[remote \"origin\"]
\turl = ../origin.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch \"main\"]
\tremote = origin
\tmerge = refs/heads/main
[branch \"behind\"]
\tremote = origin
\tmerge = refs/heads/behind
";

/// Refs by their full name.
pub(crate) type Refs = BTreeMap<String, String>;

/// Returns the git that the tests guard, or another one by `PVM_TEST_GIT`.
pub(crate) fn real_git() -> PathBuf {
    std::env::var_os("PVM_TEST_GIT").map_or_else(|| "/usr/bin/git".into(), PathBuf::from)
}

/// Returns git as nobody guards it, with no configuration but the repository's own.
pub(crate) fn git<S: AsRef<OsStr>>(
    directory: &Path,
    words: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(real_git());
    command
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null());
    command
}

/// Runs git for a test's own needs, and returns what it printed, without the last line's end.
#[track_caller]
pub(crate) fn git_says<S: AsRef<OsStr>>(
    directory: &Path,
    words: impl IntoIterator<Item = S>,
) -> String {
    let ran = Ran::of(&mut git(directory, words));
    ran.exited(0).stdout_text().trim_end().to_owned()
}

/// Returns the refs of a repository, symbolic ones left out: the same as `git for-each-ref`, in a
/// hundredth of the time.
pub(crate) fn refs(repository: &Path) -> Refs {
    let git = repository.join(".git");
    let root = if git.is_dir() {
        git
    } else {
        repository.to_owned()
    };
    let mut all = Refs::new();
    for line in fs::read_to_string(root.join("packed-refs"))
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.starts_with(['#', '^']))
    {
        let (oid, name) = line.split_once(' ').unwrap();
        all.insert(name.to_owned(), oid.to_owned());
    }
    for path in tree(&root.join("refs")) {
        let name = format!("refs/{}", path.display());
        let file = root.join(&name);
        if file.is_file() {
            let oid = fs::read_to_string(file).unwrap();
            if oid.starts_with("ref: ") {
                all.remove(&name);
            } else {
                all.insert(name, oid.trim_end().to_owned());
            }
        }
    }
    all
}

/// Says whether one commit is the other or comes before it.
pub(crate) fn is_ancestor(repository: &Path, older: &str, newer: &str) -> bool {
    let ran = Ran::of(&mut git(
        repository,
        ["merge-base", "--is-ancestor", older, newer],
    ));
    ran.code == Some(0)
}

/// Makes a bare repository without anything in it.
fn empty_bare(at: &Path) {
    fs::create_dir_all(at).unwrap();
    // A server may refuse to delete the branch that HEAD names, and this shall be no matter here.
    git_says(at, ["init", "-q", "--bare", "--template=", "-b", "none"]);
}

/// A work tree and the remotes beside it: `origin.git`, and `other.git` that starts the same.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    root: PathBuf,
}

impl Plot {
    pub(crate) fn lay_out(root: &Path) -> Self {
        let plot = Self {
            root: root.to_owned(),
        };
        empty_bare(&plot.origin());
        fill(&plot.origin(), REMOTE);
        copy_all(&plot.origin(), &plot.other());
        fs::create_dir_all(plot.tree()).unwrap();
        git_says(&plot.tree(), ["init", "-q", "--template=", "-b", "main"]);
        fill(&plot.tree(), LOCAL);
        plot.configure(CONFIGURATION);
        plot
    }

    /// Copies everything to another place.
    pub(crate) fn copy(&self, to: &Path) -> Self {
        copy_all(&self.root, to);
        Self {
            root: to.to_owned(),
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.path("origin.git")
    }

    pub(crate) fn other(&self) -> PathBuf {
        self.path("other.git")
    }

    /// Appends lines to the configuration of the work tree.
    pub(crate) fn configure(&self, lines: &str) -> &Self {
        append(&self.tree().join(".git/config"), lines);
        self
    }

    /// Returns the refs of both remotes, each with the remote's name before it.
    pub(crate) fn remote_refs(&self) -> Refs {
        let mut all = Refs::new();
        for (name, repository) in [("origin", self.origin()), ("other", self.other())] {
            for (reference, oid) in refs(&repository) {
                all.insert(format!("{name} {reference}"), oid);
            }
        }
        all
    }

    /// Returns the refs of the work tree but for those that pvm keeps.
    pub(crate) fn local_refs(&self) -> Refs {
        let mut all = refs(&self.tree());
        all.retain(|name, _| !name.starts_with("refs/pvm/"));
        all
    }

    /// Lets somebody else push a commit to a branch of the remote, and returns it.
    pub(crate) fn somebody_pushes(&self, branch: &str) -> String {
        Self::somebody_pushes_to(&self.origin(), branch)
    }

    pub(crate) fn somebody_pushes_to(repository: &Path, branch: &str) -> String {
        let reference = format!("refs/heads/{branch}");
        let made = Ran::of(
            git(
                repository,
                [
                    "commit-tree",
                    "-m",
                    "E",
                    "-p",
                    &reference,
                    &format!("{reference}^{{tree}}"),
                ],
            )
            .envs(identity()),
        );
        let oid = made.succeeded().stdout_text().trim_end().to_owned();
        git_says(repository, ["update-ref", &reference, &oid]);
        oid
    }
}

/// Says whether every change from one state of some refs to another made a ref or moved it forward.
/// `repository` has all the commits.
pub(crate) fn only_forward(repository: &Path, before: &Refs, after: &Refs) -> bool {
    before.iter().all(|(name, old)| match after.get(name) {
        Some(new) if name.contains(" refs/tags/") => old == new,
        Some(new) => old == new || is_ancestor(repository, old, new),
        None => false,
    })
}

/// Returns who makes the commits, and when.
pub(crate) fn identity() -> [(&'static str, &'static str); 6] {
    [
        ("GIT_AUTHOR_NAME", "T"),
        ("GIT_AUTHOR_EMAIL", "t@example.invalid"),
        ("GIT_AUTHOR_DATE", "1700000005 +0000"),
        ("GIT_COMMITTER_NAME", "T"),
        ("GIT_COMMITTER_EMAIL", "t@example.invalid"),
        ("GIT_COMMITTER_DATE", "1700000005 +0000"),
    ]
}

pub(crate) fn append(file: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn fill(repository: &Path, layout: &Layout) {
    let mut stream = String::new();
    for (commit, names) in layout {
        let (number, parent) = match commit {
            'A' => (1, ""),
            'B' => (2, "from :1\n"),
            'C' => (3, "from :2\n"),
            _ => (4, "from :2\n"),
        };
        let (first, rest) = names.split_first().unwrap();
        let made = format!(
            "commit {first}\nmark :{number}\ncommitter T <t@example.invalid> 170000000{number} \
             +0000\ndata 1\n{commit}\n{parent}M 644 inline file\ndata 1\n{commit}\n\n"
        );
        stream.push_str(&made);
        for name in rest {
            let more = format!("reset {name}\nfrom :{number}\n\n");
            stream.push_str(&more);
        }
    }
    if layout.iter().any(|(commit, _)| *commit == 'C') {
        stream += "tag v3\nfrom :3\ntagger T <t@example.invalid> 1700000005 +0000\ndata 1\nx\n";
    }
    let mut command = git(
        repository,
        ["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"],
    );
    Ran::with_input(&mut command, stream.as_bytes()).succeeded();
    let names = layout.iter().map(|(commit, names)| (commit, names[0]));
    for (commit, name) in names {
        let expected = match commit {
            'A' => A,
            'B' => B,
            'C' => C,
            _ => D,
        };
        assert_eq!(refs(repository)[name], expected);
    }
}
