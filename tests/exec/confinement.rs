use std::fs;
use std::path::Path;

use nix::errno::Errno;

use super::{exec, grant, grant_below};
use crate::support::{Launch, Ran, Scene, in_namespace, landlock};

/// What a shell line does outside of its scope, and how one sees that it did.
type Escape = (&'static str, fn(&Path) -> bool);

const ESCAPES: [Escape; 9] = [
    ("echo x >$OUT/new", |out| out.join("new").exists()),
    ("echo x >>$OUT/file", |out| {
        fs::read(out.join("file")).unwrap() != b"out"
    }),
    (": >$OUT/file", |out| {
        fs::read(out.join("file")).unwrap().is_empty()
    }),
    ("truncate -s 1 $OUT/file", |out| {
        fs::read(out.join("file")).unwrap().len() == 1
    }),
    ("/bin/rm -f $OUT/file", |out| !out.join("file").exists()),
    ("mv $OUT/file $OUT/moved", |out| out.join("moved").exists()),
    ("mkdir $OUT/dir", |out| out.join("dir").exists()),
    ("ln -s x $OUT/link", |out| out.join("link").is_symlink()),
    ("ln $OUT/file linked && echo x >linked", |out| {
        fs::read(out.join("file")).unwrap() != b"out"
    }),
];

fn scene_with_outside() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("out")).unwrap();
    fs::write(scene.path("out/file"), "out").unwrap();
    scene
}

/// Runs a shell line by `pvm exec`, with `$OUT` for the directory outside.
fn shell(scene: &Scene, line: &str) -> Ran {
    let line = line.replace("$OUT", scene.path("out").to_str().unwrap());
    exec(scene, ["sh", "-c", &line])
}

#[test]
fn brk_29_a_command_that_a_scope_allowed_changes_nothing_outside() {
    if !landlock(3) {
        return;
    }
    for (line, happened) in ESCAPES {
        let scene = scene_with_outside();
        grant_below(&scene, "exec,rm", &scene.work(""));
        let ran = shell(&scene, line);
        assert_ne!(ran.code, Some(0), "{line}: {ran}");
        assert!(!happened(&scene.path("out")), "{line}");
        let entry = scene.last_entry();
        let level = entry["confinement"].as_str().unwrap();
        assert!(level.contains("landlock-abi="), "{level}");

        scene.configure("exec.landlock = \"off\"");
        shell(&scene, line).exited(0);
        assert!(happened(&scene.path("out")), "without confinement: {line}");
        assert_eq!(scene.last_entry()["confinement"], "off");
    }
}

#[test]
fn a_command_works_in_its_scope_and_removes_only_under_a_grant_for_that() {
    if !landlock(3) {
        return;
    }
    let scene = scene_with_outside();
    scene.files(["f", "d/g", "d/h"]);
    grant_below(&scene, "exec", &scene.work(""));
    shell(
        &scene,
        "echo x >new; echo x >>f; mkdir e; ln -s f link; : >d/g; truncate -s 1 d/h",
    )
    .exited(0);
    assert!(scene.work("new").exists() && scene.work("e").exists());
    assert_eq!(fs::read(scene.work("d/g")).unwrap(), b"");
    for line in ["/bin/rm f", "mv f f2", "rmdir e", "ln f hard && mv hard f3"] {
        assert_ne!(shell(&scene, line).code, Some(0), "{line}");
        assert!(
            scene.work("f").exists() && scene.work("e").exists(),
            "{line}"
        );
    }
    scene.pvm(["revoke", "--all"]).succeeded();
    grant_below(&scene, "exec,rm", &scene.work(""));
    shell(&scene, "/bin/rm d/g && mv f f2 && mv f2 d/f3 && rmdir e").exited(0);
    assert!(scene.work("d/f3").exists() && !scene.work("e").exists());
}

#[test]
fn a_command_below_the_scope_reaches_all_of_the_scope_and_no_sibling() {
    if !landlock(3) {
        return;
    }
    let scene = scene_with_outside();
    scene.files(["app/src/x", "app2/x"]);
    grant_below(&scene, "exec", &scene.work("app"));
    let run = |line: &str| {
        let mut command = scene.command("pvm");
        command
            .args(["exec", "--", "sh", "-c", line])
            .current_dir(scene.work("app/src"));
        Ran::of(&mut command)
    };
    run("echo x >../new").exited(0);
    assert!(scene.work("app/new").exists());
    assert_ne!(run("echo x >../../app2/x").code, Some(0));
    assert_eq!(fs::read(scene.work("app2/x")).unwrap(), b"app2/x");
    exec(&scene, ["sh", "-c", "true"]).denied();
}

#[test]
fn env_18_a_confined_command_has_a_temporary_directory_of_its_own() {
    if !landlock(3) {
        return;
    }
    let scene = scene_with_outside();
    grant_below(&scene, "exec", &scene.work(""));
    let ran = shell(
        &scene,
        "f=$(mktemp) && /bin/rm $f && stat -c %a $TMPDIR && echo $TMPDIR && echo x >/dev/null",
    );
    let text = ran.succeeded().stdout_text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("700"));
    let directory = Path::new(lines.next().unwrap()).to_owned();
    assert!(directory.starts_with("/tmp") && directory.is_dir());
    assert_ne!(
        shell(&scene, "echo x >/tmp/pvm-test-elsewhere").code,
        Some(0)
    );
    assert!(!Path::new("/tmp/pvm-test-elsewhere").exists());
    assert!(
        !directory.exists(),
        "the next command removes what the last one left"
    );
}

#[test]
fn path_28_no_command_is_confined_to_what_holds_pvms_own() {
    let scene = scene_with_outside();
    // No grant is given on it, but a rule can name it.
    let root = scene.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    scene.configure(&format!(
        "[[permissions.rules]]\neffect = \"allow\"\nop = \"exec\"\nscope = \"{root}\"\n"
    ));
    let before = scene.trail().len();
    shell(&scene, "echo x >made")
        .denied()
        .says("holds")
        .says("reaches all of it");
    assert!(!scene.work("made").exists());
    assert_eq!(scene.trail().len(), before + 1);
}

#[test]
fn brk_23_without_landlock_only_exactly_granted_commands_run() {
    for error in [Errno::ENOSYS, Errno::EOPNOTSUPP] {
        let scene = scene_with_outside();
        grant_below(&scene, "exec", &scene.work(""));
        let run = || {
            let mut command = scene.command("pvm");
            command
                .args(["exec", "--", "touch", "made"])
                .without_landlock(error);
            Ran::of(&mut command)
        };
        run()
            .exited(125)
            .says("no Landlock")
            .says("a person can allow exactly this:");
        assert!(!scene.work("made").exists());
        assert_eq!(scene.last_entry()["decision"], "DENIED");
        grant(&scene, ["touch", "made"]);
        run().succeeded();
        assert_eq!(scene.last_entry()["confinement"], "none");
    }
}

#[test]
fn brk_21_a_confined_command_cannot_gain_privileges() {
    if !landlock(3) {
        return;
    }
    let scene = scene_with_outside();
    grant_below(&scene, "exec", &scene.work(""));
    let ran = shell(&scene, "grep NoNewPrivs /proc/self/status");
    assert!(ran.succeeded().stdout_text().ends_with("1\n"));
}

#[test]
fn path_14_what_is_mounted_below_the_scope_refuses_the_command() {
    if !landlock(3) {
        return;
    }
    let scene = scene_with_outside();
    scene.files(["point/"]);
    grant_below(&scene, "exec", &scene.work(""));
    let bound = "mount --bind \"$WORK/../out\" point && ";
    let line = "\"$BIN/pvm\" exec -- sh -c 'echo x >point/new'";
    let script = format!("{bound}{line}");
    let Some(ran) = in_namespace(&scene, "a mount below the scope", &script) else {
        return;
    };
    ran.denied().says("is mounted below");
    assert!(!scene.path("out/new").exists());
    scene.configure("exec.landlock = \"off\"");
    in_namespace(&scene, "the control", &script)
        .unwrap()
        .succeeded();
    assert!(scene.path("out/new").exists(), "through the mount");
}

#[test]
fn path_19_in_a_directory_that_was_deleted_nothing_runs() {
    let scene = Scene::new();
    grant_below(&scene, "exec", &scene.work(""));
    scene.files(["gone/"]);
    let line = format!(
        "cd gone && rmdir ../gone && exec {} exec -- touch ../made",
        scene.path("bin/pvm").display()
    );
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &line]).env_clear();
    command
        .env("PATH", "/usr/bin:/bin")
        .current_dir(scene.work(""));
    Ran::of(&mut command)
        .denied()
        .says("the working directory cannot be named");
    assert!(!scene.work("made").exists());
}
