//! The window between the record and the command: killed anywhere, and failed at every system
//! call. The invariants are those of the threats: nothing outside goes (I1), nothing runs without
//! a durable entry (I2), as many uses are gone as commands ran (I4), what is refused never runs
//! (I5), and the chain holds (I6).

mod sweep;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Mirror, Random, Scene};

const USES: i64 = 100_000;

/// Two ways to remove a file: by becoming `rm`, and by pvm itself, for a grant that is the file.
struct Ground {
    scene: Scene,
    files: [PathBuf; 2],
}

impl Ground {
    fn new() -> Self {
        let scene = Scene::new();
        scene.files(["granted/file", "alone", "outside/kept"]);
        let uses = USES.to_string();
        scene.grant_with(scene.work("granted"), ["--uses", &uses]);
        scene.grant_with(scene.work("alone"), ["--uses", &uses]);
        let files = ["granted/file", "alone"].map(|name| scene.work(name));
        Self { scene, files }
    }

    fn start(&self, file: &PathBuf) -> Child {
        let mut command = self.scene.command("safe-rm");
        command
            .arg("-f")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Returns a little more than a whole command takes, in the middle of a few.
    fn duration(&self, file: &PathBuf) -> Duration {
        let time = |_| {
            File::create(file).unwrap();
            let started = Instant::now();
            assert!(self.start(file).wait().unwrap().success());
            started.elapsed()
        };
        let mut times: Vec<Duration> = (0..9).map(time).collect();
        times.sort();
        times[times.len() / 2].mul_f32(1.25)
    }
}

#[test]
fn i1_to_i6_hold_after_a_kill_at_any_moment() {
    let ground = Ground::new();
    let mirror = Mirror::new();
    let mut random = Random::seeded("PVM_CRASH_SEED");
    let wanted = std::env::var("PVM_CRASH_ITERATIONS").map(|text| text.parse().unwrap());
    let durations = ground.files.each_ref().map(|file| ground.duration(file));
    let started = Instant::now();
    let mut head = mirror.look(&ground.scene).head();
    let (mut unrecorded, mut recorded, mut removed) = (0, 0, 0);
    let mut runs = 0;
    while match wanted {
        Ok(wanted) => runs < wanted,
        Err(_) => runs < 500 && started.elapsed() < Duration::from_secs(30),
    } {
        let which = runs % 2;
        let file = &ground.files[which];
        File::create(file).unwrap();
        let mut child = ground.start(file);
        std::thread::sleep(random.below_duration(durations[which]));
        child.kill().unwrap();
        child.wait().unwrap();
        runs += 1;

        let store = mirror.look(&ground.scene);
        store.assert_consistent(2 * USES);
        let entries = store.after(head);
        head = store.head();
        assert!(
            entries
                .iter()
                .all(|entry| entry.pid == child.id() && entry.kind == "EXECUTION")
        );
        let decisions: Vec<&str> = entries
            .iter()
            .map(|entry| entry.decision.as_str())
            .collect();
        let gone = !file.exists();
        match (decisions.as_slice(), which) {
            ([], _) => unrecorded += 1,
            (["SUCCESS"], _) => recorded += 1,
            (["SUCCESS", "RESULT"], 1) => {}
            other => panic!("{other:?} after run {runs}"),
        }
        assert!(
            !gone || decisions.first() == Some(&"SUCCESS"),
            "I2: removed without an entry"
        );
        removed += u32::from(gone);
        assert!(ground.scene.work("outside/kept").exists(), "I1");
        if runs % 10 == 0 {
            ground.scene.assert_trail_intact();
        }
    }
    println!(
        "{runs} killed: {unrecorded} before the entry, {recorded} with it alone, {removed} after the removal"
    );
    assert!(
        unrecorded > 0 && recorded > 0 && removed > 0,
        "the kills are not spread over the run"
    );
    for file in &ground.files {
        File::create(file).unwrap();
        ground.scene.safe_rm([file]).succeeded();
        fs::symlink_metadata(file).unwrap_err();
    }
}
