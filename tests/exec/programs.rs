use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{assert_nothing_ran, exec, grant, grant_below};
use crate::support::{Held, Ran, Scene, copy, root, script};

/// A program in a directory of the caller's own.
fn own_touch(scene: &Scene) -> PathBuf {
    let at = scene.work("my-touch");
    copy(Path::new("/usr/bin/touch"), &at);
    at
}

#[test]
fn v_d1_a_program_of_the_callers_own_needs_a_grant_that_names_its_content() {
    let scene = Scene::new();
    own_touch(&scene);
    grant_below(&scene, "exec,rm", &scene.work(""));
    let before = scene.trail().len();
    exec(&scene, ["./my-touch", "made"])
        .denied()
        .says("not a program that its owner can change")
        .says("only a grant for exactly this file permits it");
    assert_nothing_ran(&scene, before, "DENIED");
    let shown = scene
        .pvm(["grant", "--json", "--", "./my-touch", "made"])
        .succeeded()
        .json();
    assert_eq!(shown["command"]["verdict"], "changeable");
    exec(&scene, ["./my-touch", "made"]).succeeded();
    assert!(scene.work("made").exists());
    let entry = scene.last_entry();
    assert_eq!(
        entry["program_sha256"], shown["command"]["program_sha256"],
        "{entry}"
    );
    assert!(
        entry["program_sha256"]
            .as_str()
            .is_some_and(|digest| digest.len() == 64),
        "{entry}"
    );
}

#[test]
fn s_d8_a_program_that_changed_since_the_grant_does_not_run() {
    let changes: [fn(&Path); 3] = [
        |at| copy(Path::new("/usr/bin/true"), at),
        |at| {
            fs::remove_file(at).unwrap();
            symlink("/usr/bin/touch", at).unwrap();
        },
        |at| {
            let mut content = fs::read(at).unwrap();
            content.push(0);
            fs::write(at, content).unwrap();
        },
    ];
    for change in changes {
        let scene = Scene::new();
        let at = own_touch(&scene);
        grant(&scene, ["./my-touch", "made"]);
        change(&at);
        let before = scene.trail().len();
        exec(&scene, ["./my-touch", "made"])
            .denied()
            .says("the program as it was before");
        assert_nothing_ran(&scene, before, "DENIED");
    }
}

#[test]
fn env_07_a_program_that_is_replaced_while_it_is_decided_does_not_run() {
    let scene = Scene::new();
    let at = own_touch(&scene);
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["grant", "--uses", "2", "--json", "--", "./my-touch", "made"]));
    let id = ran.succeeded().json()["id"].as_str().unwrap().to_owned();
    let held = Held::take(&scene);
    let mut command = scene.command("pvm");
    command.args(["exec", "--", "./my-touch", "made"]);
    let waiting = held.start(&mut command);
    copy(Path::new("/usr/bin/mkdir"), &scene.work("other"));
    fs::rename(scene.work("other"), &at).unwrap();
    drop(held);
    let ran = waiting.finish();
    ran.exited(126).says("was changed after it was permitted");
    assert!(!scene.work("made").exists());
    scene.not_started();
    assert_eq!(scene.uses_left(&id), Some(2), "the use comes back");
    scene.assert_trail_intact();
}

#[test]
fn env_06_a_script_runs_by_its_first_line_and_never_by_a_shell_that_was_not_named() {
    let scene = Scene::new();
    script("#!/bin/sh\ntouch made\n", &scene.work("named"));
    script("touch made\n", &scene.work("nameless"));
    grant(&scene, ["./named"]);
    exec(&scene, ["./named"]).succeeded();
    assert!(scene.work("made").exists());
    fs::remove_file(scene.work("made")).unwrap();

    let before = scene.trail().len();
    exec(&scene, ["./nameless"])
        .exited(126)
        .says("it is not an ELF program");
    assert_nothing_ran(&scene, before, "DENIED");
    assert_eq!(scene.last_entry()["event_type"], "HIJACK");
    scene.pvm(["grant", "--", "./nameless"]).exited(126);
    let others = Command::new("/usr/bin/env")
        .arg("./nameless")
        .current_dir(scene.work(""))
        .status();
    assert!(others.unwrap().success());
    assert!(scene.work("made").exists(), "env hands it to a shell");
}

#[test]
fn arg_43_a_script_is_run_only_by_an_interpreter_that_is_trusted() {
    let scene = Scene::new();
    let shell = scene.work("my-sh");
    copy(Path::new("/bin/dash"), &shell);
    script(
        &format!("#!{}\ntouch made\n", shell.display()),
        &scene.work("x"),
    );
    let before = scene.trail().len();
    exec(&scene, ["./x"])
        .exited(126)
        .says("it is a script for")
        .says("which is not trusted");
    assert_nothing_ran(&scene, before, "DENIED");
    assert_eq!(scene.last_entry()["event_type"], "HIJACK");
}

/// Asserts that a program is refused as one that somebody else could have changed.
#[track_caller]
fn assert_hijacked(scene: &Scene, word: &str, why: &str) {
    let before = scene.trail().len();
    exec(scene, [word, "made"]).exited(126).says(why);
    assert_nothing_ran(scene, before, "DENIED");
    assert_eq!(scene.last_entry()["event_type"], "HIJACK");
    Ran::of(scene.command("pvm").args(["grant", "--", word, "made"])).exited(126);
}

#[test]
fn env_03_and_08_what_others_could_have_changed_or_raises_privileges_never_runs() {
    for mode in [0o775, 0o757, 0o4755, 0o2755] {
        let scene = Scene::new();
        let at = own_touch(&scene);
        grant(&scene, ["./my-touch", "made"]);
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
        let why = if mode & 0o6000 == 0 {
            "can be written by others"
        } else {
            "it is setuid"
        };
        assert_hijacked(&scene, "./my-touch", why);
    }
    let scene = Scene::new();
    own_touch(&scene);
    fs::set_permissions(scene.work(""), Permissions::from_mode(0o777)).unwrap();
    assert_hijacked(&scene, "./my-touch", "can be written by others");
}

#[test]
fn v_d4_what_belongs_to_somebody_else_never_runs() {
    if !root("a file of another user") {
        return;
    }
    let scene = Scene::new();
    let at = own_touch(&scene);
    chown(&at, Some(12345), None).unwrap();
    assert_hijacked(&scene, "./my-touch", "belongs to uid 12345");
}

#[test]
fn v_d1_the_first_hit_on_path_is_the_one_that_is_judged() {
    let scene = Scene::new();
    copy(Path::new("/usr/bin/mkdir"), &scene.path("fakes/touch"));
    grant_below(&scene, "exec", &scene.work(""));
    let before = scene.trail().len();
    exec(&scene, ["touch", "made"])
        .denied()
        .says("can be changed by its owner");
    assert_nothing_ran(&scene, before, "DENIED");
    assert_eq!(
        scene.last_entry()["resolved_path"],
        scene.path("fakes/touch").to_str().unwrap()
    );
    // A grant for what the person's own PATH gives is for another program.
    let mut person = scene.command("pvm");
    person
        .args(["grant", "--", "touch", "made"])
        .env("PATH", "/usr/bin");
    Ran::of(&mut person).succeeded();
    exec(&scene, ["touch", "made"]).denied();
    assert!(!scene.work("made").exists());

    scene.configure(&format!(
        "resolver.trusted_dirs = [\"{}\"]",
        scene.path("fakes").display()
    ));
    exec(&scene, ["touch", "made"]).succeeded();
    assert!(
        scene.work("made").is_dir(),
        "what the configuration trusts ran"
    );
}

#[test]
fn env_01_and_05_what_cannot_be_executed_and_what_is_relative_is_no_hit() {
    let scene = Scene::new();
    grant_below(&scene, "exec", &scene.work(""));
    let run = |path: &str| {
        let mut command = scene.command("pvm");
        Ran::of(
            command
                .args(["exec", "--", "touch", "made"])
                .env("PATH", path),
        )
    };
    copy(Path::new("/usr/bin/mkdir"), &scene.work("touch"));
    for path in [".", "", ":", "./", "::."] {
        let ran = run(path);
        let usual = path.is_empty();
        ran.exited(if usual { 0 } else { 127 });
        assert!(!scene.work("made").is_dir(), "{path}");
    }
    fs::remove_file(scene.work("made")).unwrap();
    fs::create_dir(scene.path("fakes/touch")).unwrap();
    run(&format!("{}:/usr/bin", scene.path("fakes").display())).succeeded();
    assert!(scene.work("made").is_file());
}

#[test]
fn env_03_a_path_with_dots_does_not_lie_in_the_trusted_directory_it_begins_with() {
    let scene = Scene::new();
    fs::create_dir(scene.path("bad")).unwrap();
    for at in ["bad/touch", "fakes/touch"] {
        copy(Path::new("/usr/bin/mkdir"), &scene.path(at));
    }
    scene.configure(&format!(
        "resolver.trusted_dirs = [\"{}\"]",
        scene.path("fakes").display()
    ));
    grant_below(&scene, "exec", &scene.work(""));
    let run = |path: &str, word: &str| {
        let mut command = scene.command("pvm");
        let path = format!("{}/{path}:/usr/bin", scene.path("").display());
        Ran::of(command.args(["exec", "--", word, "made"]).env("PATH", path))
    };
    let by_path = format!("{}/../bad/touch", scene.path("fakes").display());
    for (path, word) in [
        ("fakes/../bad", "touch"),
        ("fakes//.././bad", "touch"),
        ("fakes", &by_path),
    ] {
        let before = scene.trail().len();
        run(path, word).denied().says("can be changed by its owner");
        assert_nothing_ran(&scene, before, "DENIED");
        let entry = scene.last_entry();
        let real = scene.path("bad/touch");
        assert_eq!(entry["resolved_path"], real.to_str().unwrap(), "{entry}");
    }
    assert!(!scene.work("made").exists());
    run("bad/../fakes/.", "touch").succeeded();
    assert!(scene.work("made").is_dir(), "what is trusted ran");
}

#[test]
fn what_is_shown_of_a_program_has_no_dots_in_it() {
    let scene = Scene::new();
    own_touch(&scene);
    let path = scene.work("my-touch");
    exec(&scene, ["./my-touch", "made"])
        .denied()
        .says(&format!("{} can be changed", path.display()));
    let ran = scene.pvm(["resolve", "--", "./my-touch"]);
    let text = ran.exited(126).stdout_text();
    let first = format!("./my-touch: {}\n", path.display());
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains("pvm exec: changeable"), "{text}");
    assert!(!text.contains("/./"), "{text}");
    scene.pvm(["resolve", "./none"]).exited(127);
    let trusted = scene.pvm(["resolve", "--json", "/usr/bin/../bin/touch"]);
    let answer = trusted.succeeded().json();
    assert_eq!(answer["program"], "/usr/bin/touch");
}
