//! `safe-git-push` against real repositories: what it lets go is what plain git does with the same
//! words, and what could overwrite or delete something on a remote needs a grant for it.

mod applet;
mod attacks;
mod between;
mod environment;
mod force;
mod kept;
mod oracle;
mod parents;
mod plain;
mod remotes;
mod repository;
mod secrets;
mod servers;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Held, Plot, Ran, Refs, Scene, only_forward, real_git};

const MANY_REFUSALS: &str = "permissions.denials_per_minute = 100000";

/// An installation, and repositories to push between. Every case has a plot for itself.
struct Ground {
    scene: Scene,
    first: Plot,
    _directory: TempDir,
    root: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let scene = Scene::new();
        // Every refusal shall have its entry, however fast they come.
        scene.configure(MANY_REFUSALS);
        let directory = memory();
        let root = fs::canonicalize(directory.path()).unwrap();
        let first = Plot::lay_out(&root.join("first"));
        Self {
            scene,
            first,
            _directory: directory,
            root,
        }
    }

    /// Returns a fresh plot with more configuration.
    fn plot(&self, name: &str, configuration: &str) -> Plot {
        let plot = self.first.copy(&self.root.join(name));
        let lines = configuration.replace("{plot}", &plot.path("").display().to_string());
        plot.configure(&lines);
        plot
    }

    fn push_command<S: AsRef<OsStr>>(
        &self,
        directory: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.scene.command("safe-git-push");
        command
            .args(words)
            .env("PATH", self.search_path())
            .current_dir(directory);
        command
    }

    fn push<S: AsRef<OsStr>>(&self, plot: &Plot, words: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.push_command(&plot.tree(), words))
    }

    fn search_path(&self) -> String {
        search_path(&self.scene.path("bin"))
    }

    /// Takes the turn at the vault.
    fn hold(&self) -> Held {
        // Whoever is first makes the file to queue at.
        self.grant_force(&self.first.origin().display().to_string());
        Held::take(&self.scene)
    }

    /// Lets a person permit forced pushes to a repository, or to one ref of it behind a `#`.
    fn grant_force(&self, scope: &str) -> String {
        let words = ["grant", "--op", "git-push-force", "--ttl", "10m", "--json"];
        let mut command = self.scene.command("pvm");
        let ran = Ran::of(command.args(words).args(["--scope", scope]));
        ran.succeeded().json()["id"].as_str().unwrap().to_owned()
    }

    /// Asserts that a push is refused for want of a grant: nothing changes on any remote, and there
    /// is one entry, which names what would have been reached, as does the message.
    #[track_caller]
    fn refuses(&self, plot: &Plot, words: &[&str], reached: &str) -> Value {
        let (before, entries) = (plot.remote_refs(), self.scene.trail().len());
        let ran = self.push(plot, words);
        ran.denied().says(reached);
        assert_eq!(plot.remote_refs(), before, "{words:?}: {ran}");
        let entry = self.one_entry_after(entries);
        assert_eq!(entry["event_type"], "GRANT_CHECK", "{words:?}: {entry}");
        assert_eq!(entry["decision"], "DENIED", "{words:?}: {entry}");
        assert_eq!(entry["op"], "git-push-force", "{words:?}: {entry}");
        assert!(
            entry["scopes"].to_string().contains(reached),
            "{words:?}: {entry}"
        );
        entry
    }

    /// Asserts that a push is refused whatever was granted, with this exit status.
    #[track_caller]
    fn never(&self, plot: &Plot, words: &[&str], status: i32) -> Ran {
        let (before, entries) = (plot.remote_refs(), self.scene.trail().len());
        let ran = self.push(plot, words);
        ran.exited(status);
        assert_eq!(plot.remote_refs(), before, "{words:?}: {ran}");
        let entry = self.one_entry_after(entries);
        assert_eq!(entry["decision"], "DENIED", "{words:?}: {entry}");
        ran
    }

    #[track_caller]
    fn one_entry_after(&self, entries: usize) -> Value {
        let mut trail = self.scene.trail();
        assert_eq!(trail.len(), entries + 1, "{:#?}", trail.get(entries..));
        trail.pop().unwrap()
    }

    /// Returns the last entry of a run that was allowed. Where pvm waited for git, one with its
    /// result may follow.
    #[track_caller]
    fn ran(&self, action: &str) -> Value {
        let trail = self.scene.trail();
        let decided = |entry: &&Value| entry["decision"] != "RESULT";
        let entry = trail.iter().rev().find(decided).expect("something ran");
        assert_eq!(entry["decision"], "SUCCESS", "{entry}");
        assert_eq!(entry["op"], action, "{entry}");
        entry.clone()
    }
}

/// Makes a directory in memory, where many small files are made fastest; a machine without such a
/// place has the ordinary one.
fn memory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("pvm-test-");
    let directory = builder
        .tempdir_in("/dev/shm")
        .or_else(|_| builder.tempdir_in("/tmp"));
    directory.unwrap()
}

/// Returns a PATH with some directories before the real git's.
fn search_path(first: &Path) -> String {
    let git = real_git();
    format!(
        "{}:{}:/usr/bin:/bin",
        first.display(),
        git.parent().unwrap().display()
    )
}

/// Returns git as nobody guards it, in the environment that pvm gives it.
fn plain_git<S: AsRef<OsStr>>(directory: &Path, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(real_git());
    command
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("PATH", search_path(Path::new("/usr/bin")))
        .env("HOME", home())
        .stdin(Stdio::null());
    command
}

/// Pushes as nobody guards it.
fn plain_push(plot: &Plot, words: &[&str]) -> Ran {
    Ran::of(plain_git(&plot.tree(), ["push"]).args(words))
}

/// The home directory that the password database knows.
fn home() -> PathBuf {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    user.unwrap().expect("who runs the tests has a home").dir
}

/// What a push left behind: how it ended, what it said, and what is where. pvm gives git a local
/// repository by its one name, so the names of a plot's own are brought into line.
#[derive(Debug, PartialEq, Eq)]
struct After {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    remotes: Refs,
    local: Refs,
    configuration: String,
}

impl After {
    fn of(ran: &Ran, plot: &Plot) -> Self {
        let here = plot.path("").display().to_string();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace(here.trim_end_matches('/'), "{plot}");
            text.replace("../origin.git", "{plot}/origin.git")
                .replace("'../origin'", "'{plot}/origin.git'")
                .replace("To ../origin\n", "To {plot}/origin.git\n")
                .replace("file://{plot}", "{plot}")
                // pvm names the branch that HEAD is.
                .replace(" HEAD -> ", " main -> ")
                .replace(" @ -> ", " main -> ")
                .replace("\tHEAD:", "\trefs/heads/main:")
        };
        Self {
            code: ran.code,
            stdout: text(&ran.stdout),
            stderr: text(&ran.stderr),
            remotes: plot.remote_refs(),
            local: plot.local_refs(),
            configuration: text(&fs::read(plot.tree().join(".git/config")).unwrap()),
        }
    }
}

/// Says whether what happened to the remotes overwrote or removed something.
fn overwrote(plot: &Plot, before: &Refs) -> bool {
    !only_forward(&plot.tree(), before, &plot.remote_refs())
}

#[test]
fn the_tests_read_refs_as_git_does() {
    let ground = Ground::new();
    let tree = ground.first.tree();
    for _ in 0..2 {
        let shown =
            crate::support::git_says(&tree, ["for-each-ref", "--format=%(objectname) %(refname)"]);
        let read = crate::support::refs(&tree);
        let read: Vec<String> = read
            .iter()
            .map(|(name, oid)| format!("{oid} {name}"))
            .collect();
        assert_eq!(read.join("\n"), shown);
        crate::support::git_says(&tree, ["pack-refs", "--all"]);
    }
}
