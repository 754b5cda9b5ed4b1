use std::fs;
use std::net::TcpListener;

use crate::support::{Ran, Scene, landlock, tree};

/// A scene whose `rm` carries out orders instead.
struct TakenOver(Scene);

impl TakenOver {
    fn new(more: &str) -> Self {
        let scene = Scene::new();
        scene.stand_in("fake-rm", more);
        scene.files([
            "d/f",
            "d/sub/f",
            "d/empty/",
            "beside/f",
            "neighbour",
            "f",
            "g/f",
        ]);
        scene.grant(scene.work(""));
        Self(scene)
    }

    /// Runs `safe-rm` with these words, and returns what the kernel answered to each order. The
    /// names in the orders are seen from the working directory.
    fn run(&self, words: &[&str], orders: &[&str]) -> Vec<String> {
        fs::write(self.0.path("fakes/orders"), orders.join("\n")).unwrap();
        let ran = Ran::of(self.0.command("safe-rm").args(words));
        ran.succeeded()
            .stdout_text()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Asserts the kernel's answers.
    #[track_caller]
    fn answers(&self, words: &[&str], expected: &[(&str, &str)]) {
        let orders: Vec<&str> = expected.iter().map(|(order, _)| *order).collect();
        let answers = self.run(words, &orders);
        for ((order, wanted), answer) in expected.iter().zip(&answers) {
            let answered = wanted.split('|').any(|wanted| answer == wanted);
            assert!(answered, "{order:?} under {words:?}: {answer}");
        }
        assert_eq!(answers.len(), expected.len());
    }
}

/// Which of the two it is depends on the ABI.
const DENIED: &str = "EACCES|EXDEV";

/// What an `rm -r d` that was taken over tries beside its task.
const OUTSIDE: [(&str, &str); 20] = [
    ("unlink\tneighbour", "EACCES"),
    ("unlink\tbeside/f", "EACCES"),
    ("rmdir\tbeside", "ENOTEMPTY"),
    ("unlink\t../state/vault.db", "EACCES"),
    ("unlink\t../etc/pvm/pvm.toml", "EACCES"),
    ("unlink\t../bin/pvm", "EACCES"),
    ("write\tneighbour", "EACCES"),
    ("write\td/f", "EACCES"),
    ("write\t../state/vault.db", "EACCES"),
    ("create\tnew", "EACCES"),
    ("create\td/new", "EACCES"),
    ("mkdir\tnew", "EACCES"),
    ("mkdir\td/new", "EACCES"),
    ("symlink\tneighbour\td/link", "EACCES"),
    ("rename\tneighbour\td/moved", DENIED),
    ("rename\td/f\td/moved", DENIED),
    ("rename\td/empty\tmoved", DENIED),
    ("link\tneighbour\td/second", DENIED),
    ("read\tneighbour", "ok"),
    ("unlink\td/f", "ok"),
];

#[test]
fn brk_29_and_path_06_outside_its_operands_the_command_changes_nothing() {
    if !landlock(1) {
        return;
    }
    let taken = TakenOver::new("");
    let mut expected = tree(&taken.0.work(""));
    taken.answers(&["-r", "d"], &OUTSIDE);
    expected.remove(std::path::Path::new("d/f"));
    assert_eq!(tree(&taken.0.work("")), expected);
    let entry = taken.0.last_entry();
    assert!(
        entry["confinement"]
            .as_str()
            .unwrap()
            .contains("landlock-abi="),
        "{entry}"
    );
    taken.0.assert_trail_intact();
}

#[test]
fn brk_29_without_landlock_the_same_command_does_it_all() {
    let taken = TakenOver::new("exec.landlock = \"off\"");
    let orders: Vec<&str> = OUTSIDE.iter().map(|(order, _)| *order).collect();
    let orders = orders
        .into_iter()
        .filter(|order| !order.contains("../"))
        .collect::<Vec<_>>();
    let answers = taken.run(&["-r", "d"], &orders);
    let succeeded = answers.iter().filter(|answer| *answer == "ok").count();
    assert!(succeeded > 6, "{answers:?}");
    assert!(!taken.0.work("neighbour").exists() && !taken.0.work("beside/f").exists());
    assert_eq!(taken.0.last_entry()["confinement"], "off");
}

#[test]
fn path_30_a_right_to_a_file_is_one_to_its_directory_and_no_further() {
    if !landlock(1) {
        return;
    }
    let taken = TakenOver::new("");
    taken.answers(
        &["-f", "d/f"],
        &[
            ("unlink\td/f", "ok"),
            ("rmdir\td/empty", "EACCES"),
            ("unlink\tneighbour", "EACCES"),
            ("unlink\tbeside/f", "EACCES"),
            ("write\td/sub/f", "EACCES"),
        ],
    );
}

#[test]
fn brk_29_what_rm_would_not_remove_gives_no_right() {
    if !landlock(1) {
        return;
    }
    let taken = TakenOver::new("");
    let none = [
        ("unlink\td/f", "EACCES"),
        ("rmdir\td/empty", "EACCES"),
        ("unlink\tneighbour", "EACCES"),
    ];
    for words in [
        &["-f", "d"][..],
        &["-f", "missing"],
        &["--help"],
        &["-rf", "missing"],
        &["--version"],
    ] {
        taken.answers(words, &none);
    }
    taken.answers(
        &["-d", "d/empty"],
        &[
            ("unlink\td/f", "EACCES"),
            ("unlink\td/sub/f", "EACCES"),
            ("rmdir\td/empty", "ok"),
        ],
    );
}

#[test]
fn brk_29_several_operands_give_the_rights_of_each_and_no_more() {
    if !landlock(1) {
        return;
    }
    let taken = TakenOver::new("");
    taken.answers(
        &["-r", "d/sub", "beside"],
        &[
            ("unlink\td/sub/f", "ok"),
            ("rmdir\td/sub", "ok"),
            ("unlink\tbeside/f", "ok"),
            ("rmdir\tbeside", "ok"),
            ("unlink\td/f", "EACCES"),
            ("unlink\tneighbour", "EACCES"),
            ("unlink\tg/f", "EACCES"),
        ],
    );
}

#[test]
fn brk_18_and_29_the_command_reaches_no_network_and_no_other_process() {
    if !landlock(6) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("connect\t{}", listener.local_addr().unwrap());
    let signal = format!("signal\t{}", std::process::id());
    let taken = TakenOver::new("");
    taken.answers(&["-r", "d"], &[(&connect, "EACCES"), (&signal, "EPERM")]);
    let free = TakenOver::new("exec.landlock = \"off\"");
    free.answers(&["-r", "d"], &[(&connect, "ok"), (&signal, "ok")]);
}

#[test]
fn every_run_says_how_it_was_confined() {
    if !landlock(1) {
        return;
    }
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let level = |scene: &Scene| {
        scene.last_entry()["confinement"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for mode in ["auto", "required"] {
        scene.configure(&format!("exec.landlock = \"{mode}\""));
        for words in [&["-rf", "d"][..], &["-f", "f"], &["f"], &["--version"]] {
            scene.files(["d/x", "f"]);
            scene.safe_rm(words).exited(0);
            let level = level(&scene);
            assert!(
                level.starts_with("full landlock-abi=")
                    || level.starts_with("partial landlock-abi=")
            );
        }
    }
    scene.configure("exec.landlock = \"off\"");
    scene.files(["d/x"]);
    scene.safe_rm(["-rf", "d"]).succeeded();
    assert_eq!(level(&scene), "off");
    let runs = scene
        .trail()
        .into_iter()
        .filter(|entry| entry["event_type"] == "EXECUTION");
    assert!(
        runs.into_iter()
            .all(|entry| entry["confinement"].is_string())
    );
}
