use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The built program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_pvm");

/// An installation that a test has for itself. Everything is removed when it is dropped.
pub(crate) struct Scene {
    _directory: TempDir,
    root: PathBuf,
}

impl Scene {
    /// Installs pvm, without a vault.
    pub(crate) fn bare() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("pvm-test-")
            .tempdir_in("/tmp")
            .unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Self {
            _directory: directory,
            root,
        };
        for folder in ["bin", "etc", "etc/pvm", "work", "fakes"] {
            fs::create_dir(scene.path(folder)).unwrap();
            // The umask of whoever runs the tests shall not decide what is trusted.
            fs::set_permissions(scene.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
        }
        place(Path::new(PROGRAM), &scene.path("bin/pvm"));
        for name in ["safe-rm", "safe-git-push", "safe-trash"] {
            symlink("pvm", scene.path("bin").join(name)).unwrap();
        }
        scene.configure("");
        scene
    }

    /// Installs pvm and makes a vault.
    pub(crate) fn new() -> Self {
        let scene = Self::bare();
        scene.pvm(["init", "--yes"]).succeeded();
        scene
    }

    /// Writes the configuration: the scene's own vault, answers without a terminal, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let vault = self.vault();
        let text = format!(
            "vault.path = \"{}\"\napprover.unattended = true\n{more}\n",
            vault.display()
        );
        self.configure_as(&text);
    }

    /// Writes the whole text of the configuration.
    pub(crate) fn configure_as(&self, text: &str) {
        fs::write(self.configuration(), text).unwrap();
        fs::set_permissions(self.configuration(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.path("etc/pvm/pvm.toml")
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.path("state/vault.db")
    }

    /// Returns a path below the scene's root.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// Returns a path below the directory in which commands run.
    pub(crate) fn work(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join("work").join(below)
    }

    /// Makes files and, where a name ends in a slash, directories below `work`.
    pub(crate) fn files<const N: usize>(&self, names: [&str; N]) -> &Self {
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
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command
            .env_clear()
            .env("PATH", self.search_path())
            .current_dir(self.work(""))
            .stdin(Stdio::null());
        command
    }

    /// Returns the PATH of an agent: pvm's names first, then the stand-ins.
    pub(crate) fn search_path(&self) -> OsString {
        let mut path = self.path("bin").into_os_string();
        path.push(":");
        path.push(self.path("fakes"));
        path.push(":/usr/bin:/bin");
        path
    }

    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        name: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Ran {
        Ran::of(self.command(name).args(args))
    }

    pub(crate) fn safe_rm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run("safe-rm", args)
    }

    pub(crate) fn pvm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run("pvm", args)
    }

    /// Grants `rm` on a path for ten minutes, with more options, and returns the grant's id.
    pub(crate) fn grant_with<const N: usize>(
        &self,
        scope: impl AsRef<Path>,
        more: [&str; N],
    ) -> String {
        let mut command = self.command("pvm");
        command.args(["grant", "--op", "rm", "--ttl", "10m", "--json", "--scope"]);
        let ran = Ran::of(command.arg(scope.as_ref()).args(more));
        ran.succeeded().json()["id"].as_str().unwrap().to_owned()
    }

    /// Grants `rm` on a path for ten minutes, and returns the grant's id.
    pub(crate) fn grant(&self, scope: impl AsRef<Path>) -> String {
        self.grant_with(scope, [])
    }

    /// Returns the whole trail, the oldest entry first.
    pub(crate) fn trail(&self) -> Vec<Value> {
        let ran = self.pvm(["audit", "--json", "--limit", "1000000"]);
        ran.succeeded()
            .stdout_text()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    /// Returns the last entry of the trail.
    pub(crate) fn last_entry(&self) -> Value {
        self.trail().pop().expect("the trail has an entry")
    }

    /// Asserts that the trail ends with an allowed command that did not start, and returns the entry
    /// that says so.
    #[track_caller]
    pub(crate) fn not_started(&self) -> Value {
        let trail = self.trail();
        let [.., success, failed] = trail.as_slice() else {
            panic!("two entries at least")
        };
        assert_eq!(
            (&success["decision"], &failed["decision"]),
            (&"SUCCESS".into(), &"FAILED".into())
        );
        assert_eq!(failed["of_entry"], success["entry"]);
        failed.clone()
    }

    /// Asserts that the trail is intact.
    pub(crate) fn assert_trail_intact(&self) {
        self.pvm(["audit", "verify"]).succeeded();
    }

    /// Puts one of the examples among the stand-ins under `name`. PATH gives it before what the
    /// system has, and nothing trusts it yet.
    pub(crate) fn fake(&self, example: &str, name: &str) -> PathBuf {
        let at = self.path("fakes").join(name);
        let program = Path::new(PROGRAM)
            .parent()
            .unwrap()
            .join("examples")
            .join(example);
        assert!(
            program.exists(),
            "no stand-ins; 'cargo test' makes them, or: cargo build --examples"
        );
        place(&program, &at);
        at
    }

    /// Installs an example as the real `rm` and trusts it; `more` goes into the configuration.
    pub(crate) fn stand_in(&self, example: &str, more: &str) -> PathBuf {
        let fakes = self.path("fakes");
        self.configure(&format!(
            "resolver.trusted_dirs = [\"{}\"]\n{more}",
            fakes.display()
        ));
        self.fake(example, "rm")
    }

    /// Changes the vault behind pvm's back.
    pub(crate) fn edit_vault(&self, sql: &str, parameters: impl rusqlite::Params) {
        let vault = rusqlite::Connection::open(self.vault()).unwrap();
        assert_ne!(vault.execute(sql, parameters).unwrap(), 0, "{sql}");
    }

    /// Returns how many uses a grant has left.
    pub(crate) fn uses_left(&self, grant: &str) -> Option<u32> {
        let vault = rusqlite::Connection::open(self.vault()).unwrap();
        let sql = "SELECT uses_left FROM grants WHERE id = ?1";
        vault.query_row(sql, [grant], |row| row.get(0)).unwrap()
    }
}

/// Puts a program into the scene: by a hard link where that gives a file that nobody else can
/// write, else as a copy.
fn place(program: &Path, at: &Path) {
    let private = fs::metadata(program).unwrap().permissions().mode() & 0o022 == 0;
    if !private || fs::hard_link(program, at).is_err() {
        copy(program, at);
    }
}

/// Copies a program.
pub(crate) fn copy(program: &Path, at: &Path) {
    make_program(Command::new("/bin/cp").arg(program), at);
}

/// Writes a script, or what only looks like one.
pub(crate) fn script(text: &str, at: &Path) {
    let mut command = Command::new("/bin/sh");
    make_program(command.args(["-c", "printf %s \"$0\" >\"$1\"", text]), at);
}

/// Lets another process write a program, so that no child that some test forks meanwhile holds it
/// open for writing.
fn make_program(command: &mut Command, at: &Path) {
    assert!(command.arg(at).status().unwrap().success());
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Copies a directory and everything in it to a place that is not there yet.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_all(&entry.path(), &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Returns everything below a directory, by its path from there.
pub(crate) fn tree(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            found.insert(entry.path().strip_prefix(directory).unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
        }
    }
    found
}

/// A command that runs, with its output caught.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("it starts"))
    }

    pub(crate) fn finish(self) -> Ran {
        let output = self.0.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::with_input(command, b"")
    }

    /// Runs a command with `input` on its standard input when that is not empty.
    pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Self {
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut running = Running::start(command);
        if let Some(mut stdin) = running.0.stdin.take() {
            // One that ended without reading has not to be listened to.
            let _unread = stdin.write_all(input);
        }
        running.finish()
    }

    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("standard output is UTF-8")
    }

    pub(crate) fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).expect("standard output is JSON")
    }

    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.stderr_text().contains("panicked"), "{self}");
        self
    }

    /// Asserts that the command ended with 0 and had nothing to complain about.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        self.exited(0);
        assert_eq!(self.stderr_text(), "", "{self}");
        self
    }

    /// Asserts that a wrapper refused: exit status 1, nothing on standard output, and a first
    /// line that says so.
    #[track_caller]
    pub(crate) fn denied(&self) -> &Self {
        self.exited(1);
        assert_eq!(self.stdout, b"", "{self}");
        let first = self
            .stderr_text()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(first.contains(": permission denied: "), "{self}");
        self
    }

    /// Asserts that standard error has a line with this text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
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
