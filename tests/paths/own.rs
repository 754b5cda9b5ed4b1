use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Ran, Scene, tree};

/// What belongs to pvm or holds it, from the scene's root, and how the refusal names it.
const OWN: [(&str, &str); 14] = [
    ("state", "the vault"),
    ("state/", "the vault"),
    ("state/vault.db", "the vault"),
    ("state/vault.db-wal", "the vault"),
    ("state/vault.db.lock", "the vault"),
    ("state/no/such/file", "the vault"),
    ("etc/pvm/pvm.toml", "the configuration"),
    ("etc/pvm", "the configuration"),
    ("etc", "the configuration"),
    ("bin/pvm", "pvm itself"),
    ("bin", "pvm itself"),
    ("bin/safe-rm", "pvm itself"),
    ("work/../state/vault.db", "the vault"),
    ("work/link/vault.db", "the vault"),
];

#[test]
fn path_28_no_grant_reaches_what_belongs_to_pvm() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.path(""));
    symlink("../state", scene.work("link")).unwrap();
    // The first refusal makes the file in which they are counted.
    scene.safe_rm(["/no/such"]).denied();
    let before = tree(&scene.path(""));
    for (place, what) in OWN {
        for words in [
            &["-rf", place][..],
            &["-f", "work/f", place],
            &["-d", place],
        ] {
            let ran = Ran::of(
                scene
                    .command("safe-rm")
                    .args(words)
                    .current_dir(scene.path("")),
            );
            ran.denied().says(what);
            assert_eq!(tree(&scene.path("")), before, "{words:?}");
            assert_eq!(scene.last_entry()["decision"], "DENIED", "{words:?}");
        }
    }
    let root = scene.path("");
    scene.safe_rm([root.as_os_str()]).denied();
    scene.safe_rm(["-rf".as_ref(), root.as_os_str()]).denied();
    assert_eq!(tree(&root), before);
    scene.assert_trail_intact();
}

#[test]
fn path_28_a_link_to_what_belongs_to_pvm_is_only_a_link() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let pairs = [
        ("vault", scene.vault()),
        ("configuration", scene.configuration()),
    ];
    for (name, target) in &pairs {
        symlink(target, scene.work(name)).unwrap();
        scene.safe_rm(["-rf", name]).succeeded();
        assert!(target.exists() && !scene.work(name).is_symlink(), "{name}");
    }
    symlink(scene.path("state"), scene.work("directory")).unwrap();
    scene.safe_rm(["-rf", "directory/"]).denied();
    scene.safe_rm(["-rf", "directory"]).succeeded();
    scene.assert_trail_intact();
}

#[test]
fn path_28_a_neighbour_with_a_similar_name_is_not_protected() {
    let scene = Scene::new();
    scene.grant(scene.path(""));
    for name in ["state2", "bin/pvm2", "etc/pvm/pvm.toml.old", "etc2"] {
        fs::write(scene.path(name), "").unwrap();
        scene
            .safe_rm(["-f".as_ref(), scene.path(name).as_os_str()])
            .succeeded();
        assert!(!scene.path(name).exists(), "{name}");
    }
}

#[test]
fn path_28_a_link_on_the_way_to_what_belongs_to_pvm_stays() {
    let scene = Scene::new();
    fs::create_dir(scene.path("dots")).unwrap();
    fs::rename(scene.path("etc/pvm"), scene.path("dots/pvm")).unwrap();
    symlink("../dots/pvm", scene.path("etc/pvm")).unwrap();
    fs::rename(scene.path("state"), scene.path("elsewhere")).unwrap();
    symlink("elsewhere", scene.path("state")).unwrap();
    scene.files(["f"]).grant(scene.path(""));
    for (words, what) in [
        (&["etc/pvm"][..], "the configuration"),
        (&["-r", "etc"], "the configuration"),
        (&["-rf", "state"], "the vault"),
        (&["-rf", "elsewhere"], "the vault"),
    ] {
        let mut command = scene.command("safe-rm");
        Ran::of(command.args(words).current_dir(scene.path("")))
            .denied()
            .says(what);
    }
    assert!(scene.path("etc/pvm").is_symlink() && scene.path("state").is_symlink());
    scene.safe_rm(["f"]).succeeded();
}
