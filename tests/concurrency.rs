//! Many processes at one vault (DB-02, DB-03, TIME-12, P-D14).

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use rusqlite::Connection;

use crate::support::{Held, Ran, Running, Scene};

const PROCESSES: usize = 100;

/// Holds processes back until all of them have started.
struct Gate {
    path: PathBuf,
    file: File,
}

impl Gate {
    fn close(scene: &Scene) -> Self {
        let path = scene.path("gate");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        // Open for both, so that nobody waits for somebody at the other end.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        Self { path, file }
    }

    fn start(&self, scene: &Scene, name: &str, args: &[&OsStr]) -> Running {
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .env("PATH", scene.search_path())
            .current_dir(scene.work(""))
            .stdin(Stdio::null())
            .args(["-c", "read -r _ <\"$0\"; exec \"$@\""])
            .args([&self.path, &scene.path("bin").join(name)])
            .args(args);
        Running::start(&mut command)
    }

    /// Lets everybody go at the same moment, and waits for their ends.
    fn open(mut self, waiting: Vec<Running>) -> Vec<Ran> {
        self.file.write_all(&b"\n".repeat(waiting.len())).unwrap();
        let ended = waiting.into_iter().map(Running::finish).collect();
        fs::remove_file(self.path).unwrap();
        ended
    }
}

fn remove_at_once(scene: &Scene, files: &[PathBuf]) -> Vec<Ran> {
    let gate = Gate::close(scene);
    let start = |file: &PathBuf| gate.start(scene, "safe-rm", &[file.as_os_str()]);
    let waiting = files.iter().map(start).collect();
    gate.open(waiting)
}

fn make_files(directory: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(directory).unwrap();
    let files: Vec<_> = (0..PROCESSES)
        .map(|number| directory.join(number.to_string()))
        .collect();
    for file in &files {
        File::create(file).unwrap();
    }
    files
}

fn left(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// Nobody hears of the machinery: not of SQLite's locks, not of the queue.
#[track_caller]
fn hears_of_no_lock(ran: &Ran) {
    let text = ran.stderr_text().to_lowercase();
    for word in ["locked", "busy", "sqlite", "database"] {
        assert!(!text.contains(word), "{ran}");
    }
}

fn entries(scene: &Scene, decision: &str) -> usize {
    let is = |entry: &&serde_json::Value| entry["decision"] == decision;
    scene.trail().iter().filter(is).count()
}

#[test]
fn time_12_and_p_d14_a_grant_of_one_use_has_one_winner_among_a_hundred() {
    let scene = Scene::new();
    scene.configure("permissions.denials_per_minute = 100000");
    let rounds = std::env::var("PVM_CONCURRENCY_ROUNDS").map_or(3, |text| text.parse().unwrap());
    let (mut won, mut refused) = (0, 0);
    for round in 0..rounds {
        let uses = if round % 3 == 2 { 7 } else { 1 };
        let directory = scene.work(format!("round {round}"));
        let files = make_files(&directory);
        let grant = scene.grant_with(&directory, ["--uses", &uses.to_string()]);
        for ran in remove_at_once(&scene, &files) {
            hears_of_no_lock(&ran);
            if ran.code == Some(0) {
                won += 1;
                ran.succeeded();
            } else {
                refused += 1;
                ran.denied()
                    .says("has no use left")
                    .says("pvm grant --op rm --scope");
            }
        }
        assert_eq!(left(&directory), PROCESSES - uses);
        assert_eq!(scene.uses_left(&grant), Some(0));
    }
    scene.assert_trail_intact();
    assert_eq!(
        (entries(&scene, "SUCCESS"), entries(&scene, "DENIED")),
        (won, refused)
    );
}

#[test]
fn db_03_a_hundred_at_once_with_files_of_their_own_all_succeed() {
    let scene = Scene::new();
    for round in 0..2 {
        let directory = scene.work(format!("round {round}"));
        let files = make_files(&directory);
        scene.grant_with(&directory, ["--uses", "100"]);
        for ran in remove_at_once(&scene, &files) {
            ran.succeeded();
        }
        assert_eq!(left(&directory), 0);
    }
    scene.assert_trail_intact();
    assert_eq!(entries(&scene, "SUCCESS"), 2 * PROCESSES);
}

#[test]
fn a_vault_that_many_want_to_make_is_made_once() {
    let scene = Scene::bare();
    let gate = Gate::close(&scene);
    let scope = scene.work("").into_os_string();
    let args: Vec<&OsStr> = ["grant", "--ttl", "10m", "--scope"]
        .map(OsStr::new)
        .into_iter()
        .chain([&*scope])
        .collect();
    let waiting = (0..20).map(|_| gate.start(&scene, "pvm", &args)).collect();
    for ran in gate.open(waiting) {
        ran.succeeded();
    }
    scene.assert_trail_intact();
    assert_eq!(
        entries(&scene, "GRANTED"),
        1 + 20,
        "the vault and twenty grants"
    );
    let names: Vec<_> = fs::read_dir(scene.path("state"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| name.extension() != Some(OsStr::new("new"))),
        "{names:?}"
    );
}

#[test]
fn readers_beside_writers_let_every_wrapper_through() {
    let scene = Scene::new();
    let directory = scene.work("files");
    let files = make_files(&directory);
    scene.grant(&directory);
    let (done, read) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|threads| {
        for verb in [
            &["audit", "verify"][..],
            &["status"],
            &["audit", "--json"],
            &["backup"],
        ] {
            let (scene, done, read) = (&scene, &done, &read);
            threads.spawn(move || {
                let mut copies = 0;
                while !done.load(Ordering::Relaxed) {
                    let mut command = scene.command("pvm");
                    if verb == ["backup"] {
                        copies += 1;
                        command.args(verb).arg(scene.path(format!("copy {copies}")));
                    } else {
                        command.args(verb);
                    }
                    let ran = Ran::of(&mut command);
                    ran.succeeded();
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // A failed assertion here must not leave the readers running.
        let removed = std::panic::catch_unwind(|| {
            for half in files.chunks(PROCESSES / 4) {
                for ran in remove_at_once(&scene, half) {
                    ran.succeeded();
                }
            }
        });
        done.store(true, Ordering::Relaxed);
        removed.unwrap();
    });
    assert_eq!(left(&directory), 0);
    assert!(
        read.load(Ordering::Relaxed) >= 4,
        "the readers had their turns"
    );
    scene.assert_trail_intact();
}

#[test]
fn db_02_whoever_holds_the_turn_and_hangs_costs_two_seconds_and_no_file() {
    let scene = Scene::new();
    scene.files(["file"]);
    scene.grant(scene.work(""));
    let held = Held::take(&scene);
    let started = Instant::now();
    let verbs = [
        &["status"][..],
        &["audit", "verify"],
        &["grant", "--ttl", "1m", "--scope", "/tmp/x"],
    ];
    let waiting: Vec<_> = std::iter::once(Running::start(scene.command("safe-rm").arg("file")))
        .chain(verbs.map(|verb| Running::start(scene.command("pvm").args(verb))))
        .collect();
    for running in waiting {
        let ran = running.finish();
        ran.exited(125).says("the vault is busy").says("try again");
        assert_eq!(ran.stdout, b"");
    }
    let waited = started.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(6)).contains(&waited),
        "{waited:?}"
    );
    assert!(scene.work("file").exists());
    drop(held);
    scene.safe_rm(["file"]).succeeded();
    scene.assert_trail_intact();
}

#[test]
fn db_02_another_program_in_the_database_costs_two_seconds_and_no_file() {
    let scene = Scene::new();
    scene.files(["file"]);
    scene.grant(scene.work(""));
    let stranger = Connection::open(scene.vault()).unwrap();
    stranger
        .execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let started = Instant::now();
    let ran = scene.safe_rm(["file"]);
    let waited = started.elapsed();
    ran.exited(125).says("the vault is busy").says("try again");
    assert!(waited < Duration::from_secs(6), "{waited:?}");
    assert!(scene.work("file").exists());
    drop(stranger);
    scene.safe_rm(["file"]).succeeded();
    scene.assert_trail_intact();
}
