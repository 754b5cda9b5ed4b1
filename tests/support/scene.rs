use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The built program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_pvm");

/// An installation that a test has for itself. Everything is removed when it is dropped.
pub struct Scene {
    _directory: TempDir,
    root: PathBuf,
}

impl Scene {
    /// Installs pvm, without a vault.
    pub fn bare() -> Self {
        let directory = tempfile::Builder::new().prefix("pvm-test-").tempdir_in("/tmp").unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Self { _directory: directory, root };
        for folder in ["bin", "etc/pvm", "work", "fakes"] {
            fs::create_dir_all(scene.path(folder)).unwrap();
        }
        place(Path::new(PROGRAM), &scene.path("bin/pvm"));
        for name in ["safe-rm", "safe-git-push", "safe-trash"] {
            symlink("pvm", scene.path("bin").join(name)).unwrap();
        }
        scene.configure("");
        scene
    }

    /// Installs pvm and makes a vault.
    pub fn new() -> Self {
        let scene = Self::bare();
        scene.pvm(["init", "--yes"]).succeeded();
        scene
    }

    /// Writes the configuration: the scene's own vault, answers without a terminal, and `more`.
    pub fn configure(&self, more: &str) {
        let vault = self.vault();
        let text = format!(
            "vault.path = \"{}\"\napprover.unattended = true\n{more}\n",
            vault.display()
        );
        self.configure_as(&text);
    }

    /// Writes the whole text of the configuration.
    pub fn configure_as(&self, text: &str) {
        fs::write(self.configuration(), text).unwrap();
        fs::set_permissions(self.configuration(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn configuration(&self) -> PathBuf {
        self.path("etc/pvm/pvm.toml")
    }

    pub fn vault(&self) -> PathBuf {
        self.path("state/vault.db")
    }

    /// Returns a path below the scene's root.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// Returns a path below the directory in which commands run.
    pub fn work(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join("work").join(below)
    }

    /// Makes files and, where a name ends in a slash, directories below `work`.
    pub fn files<const N: usize>(&self, names: [&str; N]) -> &Self {
        for name in names {
            let path = self.work(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, name).unwrap();
            }
        }
        self
    }

    /// Returns a command under one of the installed names, in a cleared environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command
            .env_clear()
            .env("PATH", self.search_path())
            .current_dir(self.work(""))
            .stdin(Stdio::null());
        command
    }

    /// Returns the PATH of an agent: pvm's names first.
    pub fn search_path(&self) -> OsString {
        let mut path = self.path("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        path
    }

    pub fn run<S: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(self.command(name).args(args))
    }

    pub fn safe_rm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run("safe-rm", args)
    }

    pub fn pvm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run("pvm", args)
    }

    /// Grants `rm` on a path for ten minutes, with more options, and returns the grant's id.
    pub fn grant_with<const N: usize>(&self, scope: impl AsRef<Path>, more: [&str; N]) -> String {
        let mut command = self.command("pvm");
        command.args(["grant", "--op", "rm", "--ttl", "10m", "--json", "--scope"]);
        let ran = Ran::of(command.arg(scope.as_ref()).args(more));
        ran.succeeded().json()["id"].as_str().unwrap().to_owned()
    }

    /// Grants `rm` on a path for ten minutes, and returns the grant's id.
    pub fn grant(&self, scope: impl AsRef<Path>) -> String {
        self.grant_with(scope, [])
    }

    /// Returns the whole trail, the oldest entry first.
    pub fn trail(&self) -> Vec<Value> {
        let ran = self.pvm(["audit", "--json", "--limit", "1000000"]);
        ran.succeeded().stdout_text().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// Returns the last entry of the trail.
    pub fn last_entry(&self) -> Value {
        self.trail().pop().expect("the trail has an entry")
    }

    /// Asserts that the trail is intact.
    pub fn assert_trail_intact(&self) {
        self.pvm(["audit", "verify"]).succeeded();
    }

    /// Installs the recording stand-in as `name` in the directory that is returned. It prints on
    /// standard output how it was started.
    pub fn fake(&self, name: &str) -> PathBuf {
        let example = Path::new(PROGRAM).parent().unwrap().join("examples/fake-tool");
        place(&example, &self.path("fakes").join(name));
        self.path("fakes")
    }
}

/// Puts a program into the scene: by a hard link where that can be done, else as a copy.
fn place(program: &Path, at: &Path) {
    if fs::hard_link(program, at).is_err() {
        fs::copy(program, at).unwrap();
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        Self::with_input(command, b"")
    }

    /// Runs a command with `input` on its standard input when that is not empty.
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("standard output is UTF-8")
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).expect("standard output is JSON")
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.stderr_text().contains("panicked"), "{self}");
        self
    }

    /// Asserts that the command ended with 0 and had nothing to complain about.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        self.exited(0);
        assert_eq!(self.stderr_text(), "", "{self}");
        self
    }

    /// Asserts that a wrapper refused: exit status 1, nothing on standard output, and a first
    /// line that says so.
    #[track_caller]
    pub fn denied(&self) -> &Self {
        self.exited(1);
        assert_eq!(self.stdout, b"", "{self}");
        let first = self.stderr_text().lines().next().unwrap_or_default().to_owned();
        assert!(first.contains(": permission denied: "), "{self}");
        self
    }

    /// Asserts that standard error has a line with this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr_text().contains(text), "no {text:?} in: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exit {:?}, signal {:?}", self.code, self.signal)?;
        writeln!(f, "stdout: {}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "stderr: {}", String::from_utf8_lossy(&self.stderr))
    }
}
