use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::support::{Ran, Scene, copy, is_root, script};

/// Asks what a wrapper would run, with a PATH of its own.
fn resolve(scene: &Scene, path: Option<&str>, words: &[&str]) -> Ran {
    let mut command = scene.command("pvm");
    match path {
        Some(path) => command.env("PATH", path),
        None => command.env_remove("PATH"),
    };
    Ran::of(command.arg("resolve").args(words))
}

fn found<'a>(answer: &'a Value) -> Vec<(&'a str, &'a str)> {
    let steps = answer["search_order"].as_array().unwrap();
    let text = |step: &'a Value, key: &str| step[key].as_str().unwrap();
    steps
        .iter()
        .map(|step| (text(step, "directory"), text(step, "found")))
        .collect()
}

#[test]
fn the_real_command_is_named_with_the_way_to_it() {
    let scene = Scene::bare();
    let ran = scene.pvm(["resolve", "rm"]);
    let text = ran.succeeded().stdout_text();
    assert!(text.starts_with("rm: /usr/bin/rm, trusted\n"), "{text}");
    assert!(text.contains("search order, from PATH:"), "{text}");
    let answer = scene.pvm(["resolve", "rm", "--json"]).succeeded().json();
    assert_eq!(answer["verdict"], "trusted");
    assert_eq!(answer["program"], "/usr/bin/rm");
    assert_eq!(answer["hits"][0]["trusted"], true);
    assert_eq!(answer["path_is_set"], true);
}

#[test]
fn env_01_and_02_what_is_skipped_is_said() {
    let scene = Scene::bare();
    symlink("pvm", scene.path("bin/rm")).unwrap();
    let bin = scene.path("bin");
    let bin = bin.to_str().unwrap();
    let work = scene.work("");
    let work = work.to_str().unwrap();
    let path = format!(":bin:{bin}:{work}:/no/such:/usr/bin");
    let answer = resolve(&scene, Some(&path), &["rm", "--json"])
        .succeeded()
        .json();
    let expected = [
        ("", "empty"),
        ("bin", "relative"),
        (bin, "own"),
        (work, "nothing"),
        ("/no/such", "no_directory"),
        ("/usr/bin", "program"),
    ];
    assert_eq!(found(&answer), expected);
    let text = resolve(&scene, Some(&path), &["rm"])
        .succeeded()
        .stdout_text();
    for part in [
        "(empty): skipped: it stands for the working directory",
        "bin: skipped: not absolute",
        "rm is pvm itself, skipped",
        "/no/such: is no directory",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn env_04_without_a_path_the_usual_directories_are_searched() {
    let scene = Scene::bare();
    for path in [None, Some("")] {
        let answer = resolve(&scene, path, &["rm", "--json"]).succeeded().json();
        assert_eq!(
            (&answer["verdict"], &answer["path_is_set"]),
            (&"trusted".into(), &false.into())
        );
        assert_eq!(found(&answer)[0].0, "/usr/local/sbin");
    }
}

#[test]
fn env_03_an_untrusted_first_hit_is_named_with_the_reason_and_the_way_out() {
    let scene = Scene::bare();
    scene.fake("fake-tool", "rm");
    let fakes = scene.path("fakes");
    let ran = scene.pvm(["resolve", "rm"]);
    let text = ran.exited(126).stdout_text();
    let hit = fakes.join("rm");
    assert!(
        text.starts_with(&format!("rm: {}, NOT TRUSTED\n", hit.display())),
        "{text}"
    );
    let why = if is_root() {
        "/tmp can be written by others (mode 1777)"
    } else {
        ", not to root"
    };
    assert!(text.contains(why), "{text}");
    assert!(
        text.contains("a trusted search gives /usr/bin/rm"),
        "{text}"
    );
    let trust = format!(
        "to trust it, add to resolver.trusted_dirs:  {}",
        fakes.display()
    );
    assert!(text.contains(&trust), "{text}");
    assert!(
        text.contains("also on PATH:\n  /usr/bin/rm: trusted"),
        "{text}"
    );
    let answer = scene.pvm(["resolve", "rm", "--json"]).exited(126).json();
    assert_eq!(answer["verdict"], "not_trusted");
    assert_eq!(answer["program"], Value::Null);
    assert_eq!(answer["trusted_instead"], "/usr/bin/rm");

    scene.configure(&format!(
        "resolver.trusted_dirs = [\"{}\"]",
        fakes.display()
    ));
    let answer = scene.pvm(["resolve", "rm", "--json"]).succeeded().json();
    assert_eq!(answer["program"], hit.to_str().unwrap());
    fs::set_permissions(&hit, fs::Permissions::from_mode(0o775)).unwrap();
    let answer = scene.pvm(["resolve", "rm", "--json"]).exited(126).json();
    assert!(
        answer["hits"][0]["why_not"]
            .as_str()
            .unwrap()
            .contains("mode 0775"),
        "{answer}"
    );
}

#[test]
fn env_06_and_08_scripts_and_what_raises_privileges_are_not_trusted() {
    let scene = Scene::bare();
    let fakes = scene.path("fakes");
    scene.configure(&format!(
        "resolver.trusted_dirs = [\"{}\"]",
        fakes.display()
    ));
    let hit = fakes.join("rm");
    for (text, why) in [
        ("#!/bin/sh\n", "it is a script"),
        ("echo\n", "it is not an ELF program"),
    ] {
        fs::write(&hit, text).unwrap();
        fs::set_permissions(&hit, fs::Permissions::from_mode(0o755)).unwrap();
        let text = scene.pvm(["resolve", "rm"]).exited(126).stdout_text();
        assert!(text.contains(why), "{text}");
    }
    fs::copy("/usr/bin/rm", &hit).unwrap();
    fs::set_permissions(&hit, fs::Permissions::from_mode(0o4755)).unwrap();
    let text = scene.pvm(["resolve", "rm"]).exited(126).stdout_text();
    assert!(text.contains("it is setuid"), "{text}");
    fs::set_permissions(&hit, fs::Permissions::from_mode(0o644)).unwrap();
    let answer = scene.pvm(["resolve", "rm", "--json"]).succeeded().json();
    assert_eq!(
        answer["program"], "/usr/bin/rm",
        "what cannot be executed is no hit"
    );
}

#[test]
fn what_is_nowhere_and_what_is_no_name() {
    let scene = Scene::bare();
    let ran = scene.pvm(["resolve", "no-such-program"]);
    assert!(
        ran.exited(127)
            .stdout_text()
            .starts_with("no-such-program: not found\n")
    );
    let answer = scene
        .pvm(["resolve", "no-such-program", "--json"])
        .exited(127)
        .json();
    assert_eq!(answer["verdict"], "not_found");
    for name in ["", ".", ".."] {
        scene
            .pvm(["resolve", name])
            .exited(2)
            .says("give the name alone:  pvm resolve rm");
    }
}

#[test]
fn env_03_what_exec_makes_of_a_program_is_said_beside_the_wrappers_verdict() {
    let scene = Scene::bare();
    let text = scene.pvm(["resolve", "rm"]).succeeded().stdout_text();
    assert!(text.contains("\n  pvm exec: trusted\n"), "{text}");
    assert!(
        text.contains("who can change it:\n  /usr/bin/rm: uid 0, mode 0755\n"),
        "{text}"
    );

    let cargo = scene.path("fakes/cargo");
    copy(std::path::Path::new("/usr/bin/true"), &cargo);
    let text = scene.pvm(["resolve", "cargo"]).exited(126).stdout_text();
    let verdict = "pvm exec: changeable: yours; only a grant for exactly this file permits it";
    assert!(text.contains(verdict), "{text}");
    let answer = scene.pvm(["resolve", "cargo", "--json"]).exited(126).json();
    assert_eq!(answer["verdict"], "not_trusted");
    assert_eq!(answer["exec"]["verdict"], "changeable");
    let digest = answer["exec"]["program_sha256"].as_str().unwrap();
    assert!(
        text.contains(&format!("sha256: {digest}")),
        "{digest}: {text}"
    );
    assert_eq!(answer["exec"]["chain"][0]["path"], cargo.to_str().unwrap());
    assert_eq!(answer["exec"]["chain"][0]["mode"], "0755");

    script("#!/bin/sh\n", &cargo);
    let answer = scene.pvm(["resolve", "cargo", "--json"]).exited(126).json();
    assert_eq!(answer["exec"]["verdict"], "changeable");
    let shell = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(answer["exec"]["interpreter"], shell.to_str().unwrap());

    script("true\n", &cargo);
    let text = scene.pvm(["resolve", "cargo"]).exited(126).stdout_text();
    assert!(
        text.contains("pvm exec: refused: it is not an ELF program"),
        "{text}"
    );
    symlink("/usr/bin/true", scene.path("fakes/linked")).unwrap();
    let answer = scene.pvm(["resolve", "linked", "--json"]).json();
    assert_eq!(answer["exec"]["chain"][0]["leads_to"], "/usr/bin/true");
    assert_eq!(answer["exec"]["verdict"], "changeable", "{answer}");
}
