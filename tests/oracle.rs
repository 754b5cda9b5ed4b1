//! pvm against the real `rm`: the same generated command line over two copies of a generated tree.
//! What pvm lets go was granted, and where it allows, the two trees end the same.
//!
//! A failing case prints its seed; `PVM_ORACLE_SEED` runs that one again, and `PVM_ORACLE_CASES`
//! says how many there are.

mod trees;
mod words;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::support::{Launch, Ran, Random, Scene};
use trees::{Tree, expand, snapshot};

const CASES: usize = 400;
const LONGEST: Duration = Duration::from_secs(40);

/// How the cases came out. A generator that makes only one kind of them tests nothing.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    allowed: usize,
    refused: usize,
    /// Allowed cases in which something went.
    effective: usize,
    /// Allowed cases in which pvm removed the one operand itself.
    own: usize,
    /// Allowed cases without Landlock, with the operands held by descriptor.
    pinned: usize,
    /// Allowed cases that the real command did not carry out in full.
    failed: usize,
}

#[test]
fn what_pvm_removes_was_granted_and_is_what_rm_removes() {
    let scene = Scene::new();
    scene.configure("permissions.denials_per_minute = 100000");
    let mut tally = Tally::default();
    if let Ok(seed) = std::env::var("PVM_ORACLE_SEED") {
        Case::generate(&scene, seed.parse().unwrap(), 0).run(&scene, &mut tally);
        println!("{tally:?}");
        return;
    }
    let mut seeds = Random::seeded("PVM_ORACLE_SEEDS");
    let wanted = std::env::var("PVM_ORACLE_CASES").map(|text| text.parse().unwrap());
    let started = Instant::now();
    while match wanted {
        Ok(wanted) => tally.cases < wanted,
        Err(_) => tally.cases < CASES && started.elapsed() < LONGEST,
    } {
        Case::generate(&scene, seeds.next(), tally.cases).run(&scene, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.allowed > tally.cases / 5 && tally.refused > tally.cases / 5);
    assert!(tally.effective > tally.cases / 10 && tally.failed > 0 && tally.pinned > 0);
    // About one case in thirty, so a slow machine may see none.
    assert!(tally.own > 0 || tally.cases < CASES);
    scene.assert_trail_intact();
}

/// Says with which seed the test failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("PVM_ORACLE_SEED={}", self.0);
        }
    }
}

/// One command line over one tree, with some grants.
struct Case {
    _seed: Seed,
    /// Where pvm works, and where `rm` does.
    copies: [PathBuf; 2],
    tree: Tree,
    cwd: PathBuf,
    words: Vec<OsString>,
    landlock: bool,
    /// By id, the scope of each grant, below the root of the copy.
    grants: BTreeMap<String, PathBuf>,
}

impl Case {
    fn generate(scene: &Scene, seed: u64, number: usize) -> Self {
        let seed = Seed(seed);
        let mut random = Random::from_seed(seed.0);
        let tree = Tree::generate(&mut random);
        let cwd = if random.once_in(3) {
            (*random.pick(&tree.directories_inside())).to_owned()
        } else {
            PathBuf::from("inside")
        };
        let words = words::generate(&mut random, &tree, &cwd);
        let copies = ["pvm", "rm"].map(|name| scene.work(format!("{number}/{name}")));
        for copy in &copies {
            tree.make(copy);
        }
        let mut case = Self {
            _seed: seed,
            copies,
            tree,
            cwd,
            words,
            landlock: !random.once_in(4),
            grants: BTreeMap::new(),
        };
        case.choose_grants(scene, &mut random);
        case
    }

    fn choose_grants(&mut self, scene: &Scene, random: &mut Random) {
        let root = self.copies[0].clone();
        let targets: Vec<PathBuf> = self
            .words
            .iter()
            .filter_map(|word| self.target(&root, word))
            .collect();
        // Sometimes all that is needed, sometimes a wide one, sometimes whatever comes.
        match random.below(10) {
            0..=4 => self.grant(scene, random, root.join("inside")),
            5..=7 => targets
                .into_iter()
                .for_each(|target| self.grant(scene, random, target)),
            _ => {}
        }
        let paths: Vec<PathBuf> = self.tree.paths().map(|path| root.join(path)).collect();
        for _ in 0..random.below(2) {
            let path = random.pick(&paths).clone();
            self.grant(scene, random, path);
        }
    }

    fn grant(&mut self, scene: &Scene, random: &mut Random, path: PathBuf) {
        let mut command = scene.command("pvm");
        command.args(["grant", "--op", "rm", "--ttl", "10m", "--json"]);
        if random.once_in(6) {
            command.args(["--uses", "1"]);
        }
        if random.once_in(10) {
            command.arg("--pin");
        }
        let ran = Ran::of(command.arg("--scope").arg(&path));
        // A path with a link in it, or that is not there, may be no scope.
        if ran.code == Some(0) {
            let id = ran.json()["id"].as_str().unwrap().to_owned();
            let canonical = real_target(&path).unwrap_or(path);
            self.grants.insert(id, canonical);
        }
    }

    /// Returns where a word leads when it is an operand, links on the way followed.
    fn target(&self, root: &Path, word: &OsStr) -> Option<PathBuf> {
        real_target(&root.join(&self.cwd).join(expand(word, root)))
    }

    fn command_line(&self, mut command: Command, copy: &Path) -> Command {
        command.args(self.words.iter().map(|word| expand(word, copy)));
        command
            .current_dir(copy.join(&self.cwd))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, scene: &Scene, tally: &mut Tally) {
        let ours = &self.copies[0];
        let before = snapshot(ours);
        let targets: Vec<PathBuf> = self
            .words
            .iter()
            .filter_map(|word| self.target(ours, word))
            .collect();
        let mut command = self.command_line(scene.command("safe-rm"), ours);
        if !self.landlock {
            command.without_landlock(Errno::EOPNOTSUPP);
        }
        let ran = Ran::of(&mut command);
        let entry = last_decision(scene);
        let after = snapshot(ours);
        self.check(!ran.stderr_text().contains("panicked"), "a panic", &ran);
        let vanished: Vec<PathBuf> = before
            .keys()
            .filter(|path| !after.contains_key(*path))
            .map(|path| ours.join(path))
            .collect();
        let unchanged = after
            .iter()
            .all(|(path, found)| before.get(path) == Some(found));
        self.check(unchanged, "something was changed or made", &ran);
        tally.cases += 1;
        if entry["decision"] == "SUCCESS" {
            let used: Vec<&PathBuf> = list(&entry["grant_ids"])
                .map(|id| &self.grants[id])
                .collect();
            for path in &vanished {
                let granted = used.iter().any(|scope| path.starts_with(scope));
                self.check(
                    granted,
                    &format!("{} was not granted", path.display()),
                    &ran,
                );
                let named = targets.iter().any(|target| path.starts_with(target));
                self.check(named, &format!("{} was not named", path.display()), &ran);
            }
            let pinned = entry["confinement"] == "pinned";
            self.compare(&ran, pinned);
            tally.allowed += 1;
            tally.pinned += usize::from(pinned);
            tally.effective += usize::from(!vanished.is_empty());
            tally.own += usize::from(entry["confinement"] == "own");
            tally.failed += usize::from(ran.code != Some(0));
        } else {
            let said = ran.stderr_text().starts_with("safe-rm: ");
            self.check(vanished.is_empty() && said, "refused, and not", &ran);
            // Only Landlock holds what a pinned grant was given for.
            let unheld = ran.code == Some(125) && ran.stderr_text().contains("a pinned grant");
            self.check(
                matches!(ran.code, Some(1 | 2)) || unheld,
                "the status of a refusal",
                &ran,
            );
            tally.refused += 1;
        }
        for copy in &self.copies {
            self.tree.unlock(copy);
        }
        fs::remove_dir_all(ours.parent().unwrap()).unwrap();
    }

    /// Lets the real `rm` do the same to the other copy. Only what pvm allowed comes here, so
    /// nothing worse can happen than pvm itself would have done. Where the operands are held by
    /// descriptor, `rm` does not know their names.
    fn compare(&self, ours: &Ran, nameless: bool) {
        let [here, there] = &self.copies;
        let mut command = Command::new("/usr/bin/rm");
        command.arg0("rm").env_clear();
        let theirs = Ran::of(&mut self.command_line(command, there));
        let what = |what: &str| format!("{what}, and rm's own: {theirs}");
        self.check(
            snapshot(here) == snapshot(there),
            &what("another tree"),
            ours,
        );
        self.check(ours.code == theirs.code, &what("another status"), ours);
        if nameless {
            return;
        }
        for (ours_said, theirs_said, name) in [
            (&ours.stdout, &theirs.stdout, "output"),
            (&ours.stderr, &theirs.stderr, "complaint"),
        ] {
            let same = lines(ours_said, here) == lines(theirs_said, there);
            self.check(same, &what(&format!("another {name}")), ours);
        }
    }

    #[track_caller]
    fn check(&self, sound: bool, what: &str, ran: &Ran) {
        assert!(
            sound,
            "{what}\nin: {}, Landlock: {}\nwords: {:?}\ngrants: {:?}\ntree: {:#?}\n{ran}",
            self.cwd.display(),
            self.landlock,
            self.words,
            self.grants.values().collect::<Vec<_>>(),
            self.tree,
        );
    }
}

/// Returns the canonical directory of a path and its own name: what `unlink` would remove.
fn real_target(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/')?;
    let start = bytes[..=end].iter().rposition(|byte| *byte == b'/')?;
    let name = &bytes[start + 1..=end];
    if name == b"." || name == b".." {
        return None;
    }
    let directory = fs::canonicalize(OsStr::from_bytes(&bytes[..=start])).ok()?;
    Some(directory.join(OsStr::from_bytes(name)))
}

/// Returns the last entry that decided something; a removal of pvm's own has its result behind it.
fn last_decision(scene: &Scene) -> serde_json::Value {
    let ran = scene.pvm(["audit", "--json", "--limit", "2"]);
    let text = ran.succeeded().stdout_text();
    let entries = text
        .lines()
        .rev()
        .map(serde_json::from_str::<serde_json::Value>);
    entries
        .map(Result::unwrap)
        .find(|entry| entry["decision"] != "RESULT")
        .unwrap()
}

fn list(value: &serde_json::Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap())
}

/// Splits output into sorted lines, with the copy's own name taken out: directories need not be
/// read in the same order.
fn lines(output: &[u8], root: &Path) -> Vec<Vec<u8>> {
    let root = root.as_os_str().as_bytes();
    let mut lines: Vec<Vec<u8>> = output
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let mut line = line.to_vec();
            while let Some(at) = line.windows(root.len()).position(|window| window == root) {
                line.drain(at..at + root.len());
            }
            line
        })
        .collect();
    lines.sort();
    lines
}
