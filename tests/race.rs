//! Names that somebody exchanges all the time, while pvm looks at them and while `rm` does
//! (PATH-07 to PATH-10). Every race has a control arm without Landlock that has to lose, or the
//! race is none.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tempfile::TempDir;

use crate::support::{self, Held, Launch, Ran, Scene};

/// All names are below a directory that every run has for itself.
struct Race {
    scope: &'static str,
    pinned: bool,
    argv: [&'static str; 2],
    lay_out: fn(&Path),
    exchanged: [&'static str; 2],
    /// Where the victim can be found afterwards. It belongs to nobody's scope.
    victim: &'static [&'static str],
}

/// A directory on the way to the operand becomes a link that leads out.
const PARENT: Race = Race {
    scope: "scope",
    pinned: false,
    argv: ["-f", "scope/a/b/file"],
    lay_out: |run| {
        put(&run.join("scope/a/b/file"));
        put(&run.join("victim/b/file"));
        symlink("../victim", run.join("scope/x")).unwrap();
    },
    exchanged: ["scope/a", "scope/x"],
    victim: &["victim/b/file"],
};

/// The operand itself becomes a link; the slash makes `rm` follow it.
const OPERAND: Race = Race {
    scope: "scope",
    pinned: false,
    argv: ["-rf", "scope/a/"],
    lay_out: |run| {
        put(&run.join("scope/a/file"));
        put(&run.join("victim/file"));
        symlink("../victim", run.join("scope/x")).unwrap();
    },
    exchanged: ["scope/a", "scope/x"],
    victim: &["victim/file"],
};

/// The directory that the grant is for is exchanged for the one beside it.
const ROOT: Race = Race {
    scope: "root",
    pinned: true,
    argv: ["-rf", "root"],
    lay_out: |run| {
        put(&run.join("root/file"));
        put(&run.join("sibling/victim"));
    },
    exchanged: ["root", "sibling"],
    victim: &["sibling/victim", "root/victim"],
};

/// The grant is for one file, which pvm removes itself.
const FILE: Race = Race {
    scope: "scope/a/b/file",
    ..PARENT
};

fn put(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

/// How long an arm goes on, where `PVM_RACE_ITERATIONS` does not say how many runs it has.
const SHORTEST: Duration = Duration::from_millis(1200);
const LONGEST: Duration = Duration::from_secs(40);

#[derive(Debug, Default)]
struct Score {
    runs: u32,
    /// How many got past pvm, so that `rm` ran or pvm removed the file itself.
    passed: u32,
    lost: u32,
}

impl Race {
    fn with(&'static self, configuration: &str) -> Arm {
        let scene = Scene::new();
        scene.configure(configuration);
        Arm {
            race: self,
            ground: ground(&scene),
            scene,
            landlock: true,
        }
    }

    #[track_caller]
    fn control_loses(&'static self, arm: &str) {
        let score = self
            .with("exec.landlock = \"off\"")
            .run(|score, _| score.lost > 0);
        println!("{arm}, control: {score:?}");
        assert!(score.lost > 0, "the race is broken, it is never lost");
    }
}

struct Arm {
    race: &'static Race,
    scene: Scene,
    ground: (PathBuf, Option<TempDir>),
    landlock: bool,
}

/// Renames are fastest in memory; a machine without such a place has the scene's own.
fn ground(scene: &Scene) -> (PathBuf, Option<TempDir>) {
    match tempfile::Builder::new()
        .prefix("pvm-race-")
        .tempdir_in("/dev/shm")
    {
        Ok(directory) => (directory.path().to_owned(), Some(directory)),
        Err(_) => (scene.work(""), None),
    }
}

impl Arm {
    #[track_caller]
    fn holds(&self, arm: &str) {
        let score = self.run(|score, time| time > SHORTEST && score.passed >= 10);
        println!("{arm}: {score:?}");
        assert_eq!(score.lost, 0);
        assert!(score.passed > 0, "nothing ever got past the check");
    }

    fn run(&self, enough: impl Fn(&Score, Duration) -> bool) -> Score {
        let wanted = std::env::var("PVM_RACE_ITERATIONS").map(|text| text.parse().unwrap());
        let started = Instant::now();
        let mut score = Score::default();
        while match wanted {
            Ok(wanted) => score.runs < wanted,
            Err(_) => started.elapsed() < LONGEST && !enough(&score, started.elapsed()),
        } {
            self.run_once(&mut score);
        }
        score
    }

    fn run_once(&self, score: &mut Score) {
        let run = self.ground.0.join(score.runs.to_string());
        let race = self.race;
        (race.lay_out)(&run);
        if race.pinned {
            self.scene.grant_with(run.join(race.scope), ["--pin"]);
        } else {
            self.scene.grant(run.join(race.scope));
        }
        let swapper = Swapper::start(race.exchanged.map(|name| run.join(name)));
        let mut command = self.scene.command("safe-rm");
        if !self.landlock {
            command.without_landlock(Errno::EOPNOTSUPP);
        }
        let ran = Ran::of(command.arg(race.argv[0]).arg(run.join(race.argv[1])));
        swapper.stop();
        score.runs += 1;
        let own_words = ran.stderr_text();
        score.passed += u32::from(!own_words.starts_with("safe-rm: "));
        assert!(matches!(ran.code, Some(0 | 1)), "{ran}");
        let kept = race.victim.iter().any(|name| run.join(name).exists());
        score.lost += u32::from(!kept);
        fs::remove_dir_all(run).unwrap();
    }
}

/// Exchanges two names until it is stopped.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Swapper {
    fn start(names: [PathBuf; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let names = names.map(|name| c_path(&name));
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                // One of the two is gone when `rm` was faster; then there is nothing to exchange.
                let _gone = exchange(&names);
            }
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[expect(unsafe_code, reason = "nix has renameat2 for glibc only")]
fn exchange([one, other]: &[CString; 2]) -> Result<(), Errno> {
    // SAFETY: both names are C strings that live through the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    Errno::result(status).map(drop)
}

const REQUIRED: &str = "exec.landlock = \"required\"";

#[test]
fn path_07_a_parent_exchanged_for_a_link_leads_nowhere() {
    PARENT.control_loses("parent");
    if support::landlock(1) {
        PARENT.with(REQUIRED).holds("parent");
    }
}

#[test]
fn path_08_an_operand_exchanged_for_a_link_is_not_followed() {
    OPERAND.control_loses("operand");
    if support::landlock(1) {
        OPERAND.with(REQUIRED).holds("operand");
    }
}

#[test]
fn path_10_a_granted_directory_exchanged_for_another_costs_the_other_no_file() {
    ROOT.control_loses("root");
    if support::landlock(1) {
        ROOT.with(REQUIRED).holds("root");
    }
}

#[test]
fn path_30_a_file_that_pvm_removes_itself_is_the_one_it_checked() {
    FILE.with(REQUIRED).holds("file");
}

#[test]
fn path_07_and_08_without_landlock_the_operands_are_held_by_descriptor() {
    for (arm, race) in [("parent, held", &PARENT), ("operand, held", &OPERAND)] {
        Arm {
            landlock: false,
            ..race.with("")
        }
        .holds(arm);
    }
}

/// The wrapper looks at its operand, and then waits for the vault while the names change.
#[test]
fn path_10_a_pin_is_compared_with_what_is_held_and_not_with_a_name() {
    for (granted, other, argv) in [
        ("directory", "sibling", ["-rf", "directory"]),
        ("directory", "sibling", ["-f", "directory/below/file"]),
        ("file", "file beside", ["-f", "file"]),
    ] {
        let scene = Scene::new();
        scene.files([
            "directory/below/file",
            "sibling/below/file",
            "file",
            "file beside",
        ]);
        let before = support::tree(&scene.work(""));
        let names = [granted, other].map(|name| c_path(&scene.work(name)));
        scene.grant_with(scene.work(granted), ["--pin"]);
        exchange(&names).unwrap();
        let turn = Held::take(&scene);
        let running = turn.start(scene.command("safe-rm").args(argv));
        exchange(&names).unwrap();
        drop(turn);
        running
            .finish()
            .denied()
            .says("the directory it was pinned to was replaced");
        assert_eq!(support::tree(&scene.work("")), before);
    }
}
