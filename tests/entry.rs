//! The name that the program is executed under selects a parser, exactly, and nothing more.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;

use crate::support::{Launch, Ran, Scene};

/// Runs the installed program under another `argv[0]`, on a file that is granted.
fn under(scene: &Scene, argv0: &[u8]) -> Ran {
    let program = scene.path("bin/safe-rm");
    Ran::of(scene.command("pvm").exactly(&program, &[argv0, b"f"], &[]))
}

fn granted() -> Scene {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    scene
}

#[test]
fn arg_01_an_empty_argv_is_no_name() {
    let scene = granted();
    let program = scene.path("bin/safe-rm");
    for environment in [&[][..], &[b"safe-rm=1".as_slice()], &[b"safe-rm"]] {
        // Linux makes it one empty word since 5.18.
        let ran = Ran::of(scene.command("pvm").exactly(&program, &[], environment));
        ran.exited(127).says("is not a name of pvm");
    }
    assert!(scene.work("f").exists());
}

#[test]
fn arg_02_to_06_only_an_exact_name_selects_a_parser() {
    let scene = granted();
    let longest = [b"safe-rm".to_vec(), vec![b'm'; 128 * 1024 - 8]].concat();
    let names: [&[u8]; 17] = [
        b"",
        b"/",
        b"-safe-rm",
        b"safe-rm/",
        b"../../safe-rm/",
        b"Safe-RM",
        b"safe-rm ",
        b" safe-rm",
        b"safe-rm\n",
        b"safe-rm\xff",
        b"\xff\xfe",
        b"safe-rm-2",
        b"xsafe-rm",
        b"safe_rm",
        b"pvm-approve",
        b"busybox",
        &longest,
    ];
    for name in names {
        let ran = under(&scene, name);
        ran.exited(127);
        let shown = name.escape_ascii();
        assert!(ran.stderr_text().starts_with("pvm: '"), "{shown}: {ran}");
        assert!(ran.stderr_text().len() < 1000, "{shown}");
        assert!(
            !ran.stderr_text()
                .trim_end()
                .contains(|c: char| c.is_control() && c != '\n')
        );
        assert!(scene.work("f").exists(), "{shown}");
    }
}

#[test]
fn arg_04_a_name_carries_no_authority() {
    let scene = granted();
    for name in [
        &b"safe-rm"[..],
        b"rm",
        b"/usr/bin/rm",
        b"/no/such/directory/safe-rm",
        b"../rm",
    ] {
        scene.files(["f"]);
        under(&scene, name).exited(0);
        assert!(!scene.work("f").exists(), "{}", name.escape_ascii());
    }
    scene.pvm(["revoke", "--all"]).succeeded();
    scene.files(["f"]);
    for name in [&b"rm"[..], b"safe-rm", b"/usr/bin/rm"] {
        let ran = under(&scene, name);
        ran.exited(1).says("no active grant covers");
        assert!(scene.work("f").exists());
    }
    under(&scene, b"pvm").exited(2);
    assert!(scene.work("f").exists());
}

#[test]
fn arg_08_and_42_opt_in_links_find_the_real_command_behind_them() {
    let scene = granted();
    let links = scene.path("links");
    std::fs::create_dir(&links).unwrap();
    symlink("../bin/pvm", links.join("rm")).unwrap();
    let path = format!("{}:/usr/bin:/bin", links.display());
    let mut command = scene.command("pvm");
    Ran::of(command.env("PATH", &path).exactly(
        &links.join("rm"),
        &[b"rm", b"-v", b"f"],
        &[format!("PATH={path}").as_bytes()],
    ))
    .exited(0);
    assert!(!scene.work("f").exists());
    scene.files(["g"]);
    scene.pvm(["revoke", "--all"]).succeeded();
    let mut command = scene.command("pvm");
    command.arg0("rm").arg("g");
    let ran = Ran::of(&mut command);
    ran.denied();
    assert!(
        ran.stderr_text().starts_with("rm: permission denied: "),
        "{ran}"
    );
}

#[test]
fn arg_02_and_05_every_name_has_its_wrapper() {
    let scene = granted();
    for (name, op) in [
        ("safe-rm", "rm"),
        ("rm", "rm"),
        ("safe-trash", "trash"),
        ("trash", "trash"),
        ("trash-put", "trash"),
        ("safe-git-push", "git-push"),
    ] {
        let mut command = scene.command("pvm");
        let ran = Ran::of(command.arg0(name).args(["--no-such-option", "f"]));
        ran.exited(2);
        assert!(ran.stderr_text().starts_with(&format!("{name}: ")), "{ran}");
        let entry = scene.last_entry();
        assert!(entry["op"].as_str().unwrap().starts_with(op), "{entry}");
        assert!(scene.work("f").exists(), "{name}");
    }
}

#[test]
fn arg_39_words_of_pvm_are_operands_of_a_wrapper() {
    let scene = granted();
    let verbs = ["grant", "approve", "revoke", "audit", "init"];
    scene.files(verbs);
    scene.safe_rm(verbs).succeeded();
    assert!(verbs.iter().all(|verb| !scene.work(verb).exists()));
    let before = scene.trail().len();
    scene
        .safe_rm(["grant", "--scope", "/tmp", "--ttl", "8h"])
        .exited(2)
        .says("unknown option");
    scene.safe_rm(["--agent", "x", "f"]).exited(2);
    scene.safe_rm(["--vault", "/tmp/v", "f"]).exited(2);
    let trail = scene.trail();
    assert_eq!(trail.len(), before + 3);
    assert!(
        trail
            .iter()
            .skip(before)
            .all(|entry| entry["decision"] == "DENIED")
    );
}
