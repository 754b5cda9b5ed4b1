use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::story::{AGENT, Need, Who};
use crate::config;
use crate::failure::Failure;
use crate::sys::fs::write_whole;
use crate::sys::{account, path, random};

/// Two histories that parted: what is in the shared repository, and what is not.
const GIT: [&str; 8] = [
    "git init -q --bare -b main shared.git",
    "git init -q -b main project",
    "git -C project commit -q --allow-empty -m first",
    "git -C project commit -q --allow-empty -m theirs",
    "git -C project remote add origin {here}/shared.git",
    "git -C project push -q origin main",
    "git -C project reset -q --hard HEAD~1",
    "git -C project commit -q --allow-empty -m ours",
];

const DIRECTORIES: [&str; 5] = [
    "pvm/bin",
    "pvm/etc/pvm",
    "build/objects",
    "build-old",
    "documents/drafts",
];
const WRAPPERS: [&str; 3] = ["safe-rm", "safe-trash", "git"];
const IDENTITY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "you"),
    ("GIT_AUTHOR_EMAIL", "you@example.com"),
    ("GIT_COMMITTER_NAME", "you"),
    ("GIT_COMMITTER_EMAIL", "you@example.com"),
];
const FILES: [&str; 3] = [
    "build/objects/main.o",
    "build-old/app",
    "documents/thesis.txt",
];

/// A throw-away directory with an installation below `pvm`, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    keep: bool,
    has_git: bool,
}

impl Stage {
    /// Sets up an installation with a vault in the first directory for temporary files where one
    /// can run: some are mounted noexec, and some are open to others.
    pub(super) fn set_up() -> Result<Self, Failure> {
        refuse_another_configuration()?;
        let mut refused = None;
        for base in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
            match Self::below(&base) {
                Ok(stage) => return Ok(stage),
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        let failure = refused.unwrap_or_else(|| Failure::internal("there is no /tmp"));
        Err(failure.hint("to choose another directory:  TMPDIR=/some/directory pvm demo"))
    }

    fn below(base: &Path) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::internal(format!("cannot set up in {}: {error}", base.display()))
        };
        let base = path::canonical(base).map_err(|error| cannot(&error))?;
        if !goes_into_a_configuration(&base) {
            return Err(cannot(&"its name needs quoting"));
        }
        let suffix = random::bytes::<3>().map_err(|error| cannot(&error))?;
        let name = format!("pvm-demo-{}", data_encoding::HEXLOWER.encode(&suffix));
        let root = base.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&root)
            .map_err(|error| cannot(&error))?;
        let mut stage = Self {
            root,
            keep: false,
            has_git: false,
        };
        stage.furnish().map_err(|error| cannot(&error))?;
        stage.has_git = stage.has_repositories();
        stage.link_wrappers().map_err(|error| cannot(&error))?;
        let made = stage.run(Who::Person, &stage.words("pvm init --yes"))?;
        if made.status.success() {
            Ok(stage)
        } else {
            Err(cannot(&String::from_utf8_lossy(&made.stderr).trim_end()))
        }
    }

    fn furnish(&self) -> io::Result<()> {
        for name in DIRECTORIES {
            fs::create_dir_all(self.root.join(name))?;
        }
        for name in FILES {
            write_whole(&self.root.join(name), name.as_bytes(), 0o600, false)?;
        }
        fs::copy("/proc/self/exe", self.program())?;
        let text = self.configuration();
        write_whole(&self.configuration_file(), text.as_bytes(), 0o600, false)
    }

    /// Makes the repositories with the real git, and says whether there are any.
    fn has_repositories(&self) -> bool {
        GIT.iter().all(|command| {
            let ran = self.run(Who::Person, &self.words(command));
            ran.is_ok_and(|ran| ran.status.success())
        })
    }

    fn link_wrappers(&self) -> io::Result<()> {
        let bin = self.root.join("pvm/bin");
        WRAPPERS
            .into_iter()
            .try_for_each(|name| symlink("pvm", bin.join(name)))
    }

    pub(super) fn has(&self, need: Need) -> bool {
        match need {
            Need::Git => self.has_git,
            Need::Trash => self.is_near_home().unwrap_or(false),
        }
    }

    /// On another disk than that of the home directory a trash of its own would stay behind.
    fn is_near_home(&self) -> io::Result<bool> {
        let home = account::own().map_err(io::Error::other)?.home;
        let disk = |path: &Path| path.metadata().map(|status| status.dev());
        Ok(disk(&home)? == disk(&self.root)?)
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }

    /// Removes the directory, and says so when that cannot be done.
    pub(super) fn remove(mut self) -> Result<(), Failure> {
        self.keep = true;
        fs::remove_dir_all(&self.root).map_err(|error| {
            Failure::internal(format!("cannot remove {}: {error}", self.root.display()))
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn program(&self) -> PathBuf {
        self.root.join("pvm/bin/pvm")
    }

    fn configuration_file(&self) -> PathBuf {
        self.root.join("pvm/etc/pvm/pvm.toml")
    }

    pub(super) fn configuration(&self) -> String {
        let vault = self.root.join("pvm/vault/vault.db");
        format!(
            "vault.path = \"{}\"\napprover.unattended = true\n",
            vault.display()
        )
    }

    /// Returns the words of a command with the directory filled in.
    pub(super) fn words(&self, command: &str) -> Vec<String> {
        let root = self.root.display().to_string();
        let words = command.split(' ');
        words.map(|word| word.replace("{here}", &root)).collect()
    }

    /// Returns the number of the last entry in the trail, as it is printed.
    pub(super) fn last_entry(&self) -> Result<String, Failure> {
        let ran = self.run(Who::Person, &self.words("pvm audit head"))?;
        let text = String::from_utf8_lossy(&ran.stdout);
        let number = text.split(' ').next().unwrap_or_default();
        Ok(number.to_owned())
    }

    /// Runs a command in the directory, with an environment of its own.
    pub(super) fn run(&self, who: Who, words: &[String]) -> Result<Output, Failure> {
        let (program, rest) = words
            .split_first()
            .ok_or_else(|| Failure::internal("the story has an empty command"))?;
        // By its own path: where it cannot run, a search would go on to another pvm.
        let installed = self.root.join("pvm/bin").join(program);
        let own = installed.symlink_metadata().is_ok();
        let file = if own { installed } else { program.into() };
        let search_path = format!("{}/pvm/bin:/usr/bin:/bin", self.root.display());
        let mut command = Command::new(file);
        command
            .args(rest)
            .env_clear()
            .env("PATH", search_path)
            // git refuses to commit where it cannot tell who does.
            .envs(IDENTITY)
            .current_dir(&self.root)
            .stdin(Stdio::null());
        if who == Who::Agent {
            command.env("PVM_AGENT_ID", AGENT);
        }
        command
            .output()
            .map_err(|error| Failure::internal(format!("cannot run {program}: {error}")))
    }
}

/// A configuration of the machine holds for every installation, so the story would happen in
/// somebody's real vault.
fn refuse_another_configuration() -> Result<(), Failure> {
    let account = account::own().map_err(Failure::internal)?;
    let prefix = Path::new("/prefix");
    let before_ours = config::places(&prefix.join("bin/pvm"), &account)
        .into_iter()
        .map(|place| place.path)
        .take_while(|path| !path.starts_with(prefix));
    match before_ours
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    {
        None => Ok(()),
        Some(path) => Err(Failure::internal(format!(
            "{} holds for every installation, so the demo would use its vault",
            path.display()
        ))
        .hint("run the demo on a machine that has no such file")),
    }
}

/// The path is written into a configuration and into PATH as it is.
fn goes_into_a_configuration(path: &Path) -> bool {
    let odd = |character: char| character.is_control() || "\"\\:".contains(character);
    path.to_str().is_some_and(|text| !text.contains(odd))
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep {
            // The system clears its directory for temporary files as well.
            let _left_behind = fs::remove_dir_all(&self.root);
        }
    }
}
