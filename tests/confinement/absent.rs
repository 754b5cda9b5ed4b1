use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;

use crate::support::{Launch, Ran, Scene, Started, copy, landlock};

/// What a kernel without Landlock answers, and what the refusal says of it.
const WAYS: [(Errno, &str); 2] = [
    (Errno::ENOSYS, "says that it is not built in"),
    (
        Errno::EOPNOTSUPP,
        "it is built in but not enabled: add landlock to lsm=",
    ),
];

fn run_without(scene: &Scene, error: Errno, words: &[&str]) -> Ran {
    let mut command = scene.command("safe-rm");
    Ran::of(command.args(words).without_landlock(error))
}

fn with_mode(mode: &str) -> (Scene, String) {
    let scene = Scene::new();
    scene.configure(&format!("exec.landlock = \"{mode}\""));
    scene.files(["d/x", "f", "g"]);
    let grant = scene.grant_with(scene.work(""), ["--uses", "9"]);
    (scene, grant)
}

#[test]
fn where_landlock_is_required_and_absent_nothing_runs() {
    for (error, why) in WAYS {
        let (scene, grant) = with_mode("required");
        for words in [&["-rf", "d"][..], &["-f", "f", "g"]] {
            run_without(&scene, error, words)
                .exited(125)
                .says("cannot be confined")
                .says(why);
            let entry = scene.last_entry();
            assert_eq!(
                (&entry["event_type"], &entry["decision"]),
                (&"GRANT_CHECK".into(), &"DENIED".into())
            );
            assert!(entry["reason"].as_str().unwrap().contains(why), "{entry}");
        }
        assert!(scene.work("d/x").exists() && scene.work("f").exists());
        assert_eq!(scene.uses_left(&grant), Some(9));
        scene.assert_trail_intact();
    }
}

#[test]
fn where_landlock_is_absent_the_operands_are_pinned() {
    for (error, why) in WAYS {
        let (scene, grant) = with_mode("auto");
        run_without(&scene, error, &["-r", "d", "f"]).succeeded();
        assert!(!scene.work("d").exists() && !scene.work("f").exists());
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["decision"], &entry["confinement"]),
            (&"SUCCESS".into(), &"pinned".into())
        );
        assert!(entry["notes"][0].as_str().unwrap().contains(why), "{entry}");
        assert_eq!(entry["argv"][2], "d", "the trail has what was typed");
        assert_eq!(scene.uses_left(&grant), Some(8));

        let ran = run_without(&scene, error, &["-v", "g", "missing/below"]);
        ran.exited(1).says("Not a directory");
        assert!(!scene.work("g").exists());
    }
}

#[test]
fn pinned_operands_hold_what_was_checked_and_nothing_else_changes() {
    let (scene, _) = with_mode("auto");
    scene.stand_in("fake-tool", "");
    // It calls itself GNU, so that it is taken for the real one.
    let shown = Started::read(&scene.safe_rm(["f"]));
    assert_eq!(shown.argv, ["rm", "f"]);
    run_without(&scene, Errno::ENOSYS, &["f"])
        .exited(125)
        .says("it is not GNU rm");

    let fakes = scene.path("fakes");
    fs::remove_file(fakes.join("rm")).unwrap();
    copy(Path::new("/usr/bin/rm"), &fakes.join("rm"));
    scene.files(["victim/f", "way/f", "-r"]);
    symlink("way", scene.work("link")).unwrap();
    run_without(&scene, Errno::ENOSYS, &["-f", "--", "link/f", "-r"]).succeeded();
    assert!(!scene.work("way/f").exists() && !scene.work("-r").exists());
    assert!(scene.work("victim/f").exists());
}

#[test]
fn an_rm_that_is_not_gnu_is_refused_where_landlock_is_absent() {
    let (scene, grant) = with_mode("auto");
    scene.stand_in("fake-rm", "");
    fs::write(scene.path("fakes/orders"), "").unwrap();
    for (error, why) in WAYS {
        let ran = run_without(&scene, error, &["-f", "g", "d/x"]);
        ran.exited(125).says("it is not GNU rm").says(why);
        assert!(scene.work("g").exists() && scene.work("d/x").exists());
        let entry = scene.last_entry();
        assert_eq!(
            (&entry["event_type"], &entry["decision"]),
            (&"GRANT_CHECK".into(), &"DENIED".into())
        );
    }
    assert_eq!(scene.uses_left(&grant), Some(9));
    scene.configure("exec.landlock = \"off\"");
    let mut command = scene.command("safe-rm");
    Ran::of(command.args(["-f", "g", "d/x"]).env("PATH", "/usr/bin")).succeeded();
    assert_eq!(scene.last_entry()["confinement"], "off");
}

#[test]
fn a_file_alone_needs_no_landlock() {
    for mode in ["auto", "required"] {
        let scene = Scene::new();
        scene.configure(&format!("exec.landlock = \"{mode}\""));
        scene.files(["f"]).grant(scene.work("f"));
        run_without(&scene, Errno::ENOSYS, &["f"]).succeeded();
        assert!(!scene.work("f").exists());
        assert_eq!(scene.last_entry()["by"], "self");
    }
}

#[test]
fn proc_19_sixteen_layers_leave_no_room_for_another() {
    if !landlock(1) {
        return;
    }
    for mode in ["auto", "required"] {
        let (scene, grant) = with_mode(mode);
        let run = |layers, words: &[&str]| {
            let mut command = scene.command("safe-rm");
            Ran::of(command.args(words).with_landlock_layers(layers))
        };
        run(16, &["-r", "d"])
            .exited(125)
            .says("Argument list too long");
        assert!(scene.work("d/x").exists());
        scene.not_started();
        assert_eq!(scene.uses_left(&grant), Some(9), "the use comes back");

        run(15, &["-r", "d"]).succeeded();
        assert!(!scene.work("d").exists());
        assert_eq!(scene.uses_left(&grant), Some(8));
        scene.assert_trail_intact();
    }
}

#[test]
fn path_06_without_landlock_a_missing_directory_becomes_a_name_that_nobody_can_make() {
    let scene = Scene::new();
    scene.files(["victim/missing/f", "work/"]);
    scene.grant(scene.work("work/no"));
    for name in [".pvm-missing", "missing", "no"] {
        symlink(scene.work("victim"), scene.work("work").join(name)).unwrap();
        if name == "no" {
            continue;
        }
        run_without(&scene, Errno::ENOSYS, &["-rf", "work/no/x"]).succeeded();
    }
    run_without(&scene, Errno::ENOSYS, &["-rf", "work/no/missing"]).denied();
    assert!(scene.work("victim/missing/f").exists());
}

#[test]
fn path_10_without_landlock_a_pinned_grant_removes_no_directory() {
    let scene = Scene::new();
    scene.files(["d/x"]);
    scene.grant_with(scene.work("d"), ["--pin"]);
    run_without(&scene, Errno::ENOSYS, &["-rf", "d"])
        .exited(125)
        .says("a pinned grant");
    assert!(scene.work("d/x").exists());
    scene.safe_rm(["-rf", "d"]).succeeded();
}

#[test]
fn an_error_that_says_nothing_of_landlock_is_not_its_absence() {
    let (scene, _) = with_mode("auto");
    run_without(&scene, Errno::EPERM, &["-f", "f"])
        .exited(125)
        .says("cannot tell whether");
    assert!(scene.work("f").exists());
}
