//! The gits of this machine, for tests that hold what pvm reads against what they do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns every git of this machine that a person would have installed.
pub(super) fn gits() -> Vec<PathBuf> {
    ["/usr/local/bin/git", "/usr/bin/git"]
        .map(PathBuf::from)
        .into_iter()
        .filter(|git| git.exists())
        .collect()
}

/// Runs one in `directory`, with no configuration but that of repositories.
pub(super) fn run(git: &Path, directory: &Path, words: &[impl AsRef<OsStr>]) -> Output {
    Command::new(git)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "n")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "n@n")))
        .current_dir(directory)
        .args(words)
        .output()
        .unwrap()
}

/// Numbers that look random and are the same in every run (Knuth's constants).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
