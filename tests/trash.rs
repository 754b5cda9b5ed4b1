//! `safe-trash` and `pvm undo`: what goes to which trash, what allows it, and what comes back.

mod allowed;
mod exchanged;
mod specification;
mod tool;
mod undo;

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Ran, Scene, mount_namespace, program};

/// A scene with a home directory of its own: every command runs in a mount namespace where it lies
/// over the home of whoever runs the tests, whose real trash is never met.
struct House {
    scene: Scene,
    /// The home directory as the commands see it.
    home: PathBuf,
}

impl House {
    /// Returns nothing where there can be no mount namespace; what is skipped is printed then.
    fn new(what: &str) -> Option<Self> {
        if !mount_namespace(what) {
            return None;
        }
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
        let house = Self {
            scene: Scene::new(),
            home: user.unwrap().unwrap().dir,
        };
        fs::create_dir_all(house.at("work")).unwrap();
        set_mode(&house.at(""), 0o700);
        house.grant(&house.home.join("work"));
        Some(house)
    }

    /// Returns a path below the home directory as the test sees it.
    fn at(&self, below: impl AsRef<Path>) -> PathBuf {
        self.scene.path("home").join(below)
    }

    fn trash(&self, below: &str) -> PathBuf {
        self.at(".local/share/Trash").join(below)
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.at("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.as_os_str().as_bytes()).unwrap();
        path
    }

    /// Runs a shell script with these parameters in the home's `work`.
    fn run<S: AsRef<OsStr>>(&self, script: &str, parameters: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(script, parameters))
    }

    fn command<S: AsRef<OsStr>>(
        &self,
        script: &str,
        parameters: impl IntoIterator<Item = S>,
    ) -> Command {
        let script = format!("mount --bind \"$REAL_HOME\" \"$HOME\"; cd \"$HOME/work\"; {script}");
        let mut command = Command::new("/usr/bin/unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .args(["/bin/sh", "-ec", &script, "sh"])
            .args(parameters)
            .env_clear()
            .env("PATH", self.scene.search_path())
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.home)
            .env("REAL_HOME", self.at(""))
            .env("DISK", self.scene.work("disk"))
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    fn script(&self, script: &str) -> Ran {
        self.run(script, [""; 0])
    }

    fn grant(&self, scope: &Path) {
        let line = "pvm grant --op trash --ttl 10m --scope \"$1\" >/dev/null";
        self.run(line, [scope]).succeeded();
    }

    /// Returns the last entry that says that something was allowed.
    fn last_success(&self) -> Value {
        let trail = self.scene.trail();
        let mut allowed = trail
            .into_iter()
            .rev()
            .filter(|entry| entry["decision"] == "SUCCESS");
        allowed.next().expect("something was allowed")
    }

    /// Says what the note about a trashed name is about.
    fn origin(&self, name: &str) -> PathBuf {
        origin(&self.trash("info").join(format!("{name}.trashinfo")))
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Reads a note as the specification has it: three lines, and a path escaped as in URLs.
#[track_caller]
fn origin(note: &Path) -> PathBuf {
    let text = fs::read_to_string(note).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let ["[Trash Info]", path, date] = lines.as_slice() else {
        panic!("{text}")
    };
    let date = date.strip_prefix("DeletionDate=").unwrap();
    let shape: String = date.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "0000-00-00T00:00:00");
    let mut pieces = path.strip_prefix("Path=").unwrap().split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend(piece[2..].bytes());
    }
    OsString::from_vec(bytes).into()
}

/// A house with a second mount, `$DISK`, in which `d/f` lies and everything may be trashed.
fn with_disk() -> Option<(House, PathBuf)> {
    let house = House::new("another file system")?;
    let disk = house.scene.work("disk");
    house.scene.files(["disk/d/f"]);
    house.grant(&disk);
    Some((house, disk))
}

/// Says whether trash-cli is here; prints what is skipped when it is not.
fn trash_cli() -> bool {
    program("/usr/bin/trash-restore")
}
