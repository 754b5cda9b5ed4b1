//! The real git, for tests that compare with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns every git in the usual places. A test that compares does so with each.
pub(super) fn gits() -> Vec<PathBuf> {
    let places = ["/usr/bin/git", "/usr/local/bin/git"].map(PathBuf::from);
    places.into_iter().filter(|path| path.exists()).collect()
}

/// Says whether a git is of this version or newer.
pub(super) fn is_at_least(git: &Path, version: (u32, u32)) -> bool {
    let answer = Command::new(git).arg("--version").output().unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    let numbers = text.trim_start_matches("git version ").split('.');
    let mut numbers = numbers.map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= version
}

/// Runs git in `directory` with `home` and nothing else of the environment.
pub(super) fn run(
    git: &Path,
    directory: &Path,
    home: &Path,
    words: &[impl AsRef<OsStr>],
) -> Output {
    Command::new(git)
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .output()
        .unwrap()
}

/// Runs git and returns what it printed; git must succeed.
pub(super) fn done(
    git: &Path,
    directory: &Path,
    home: &Path,
    words: &[impl AsRef<OsStr>],
) -> Vec<u8> {
    let output = run(git, directory, home, words);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Numbers that are the same in every run (xorshift64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Returns a number below `sides`.
    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Makes a FIFO, which nobody ever writes to.
pub(super) fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
