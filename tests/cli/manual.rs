use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, Scene};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn generated() -> (Scene, PathBuf) {
    let scene = Scene::bare();
    let directory = scene.work("");
    let ran = scene.pvm(["man", "--dir", directory.to_str().unwrap()]);
    assert!(ran.succeeded().stdout_text().starts_with("wrote "));
    (scene, directory)
}

#[test]
fn the_pages_in_man_are_those_that_pvm_writes() {
    let (_scene, directory) = generated();
    let written = names(&directory);
    for name in &written {
        let current = fs::read_to_string(directory.join(name)).unwrap();
        let kept = fs::read_to_string(kept().join(name)).unwrap_or_default();
        assert!(
            kept == current,
            "man/{name} is old; make it again:  pvm man --dir man"
        );
    }
    let by_hand = ["safe-rm.1", "safe-git-push.1", "safe-trash.1", "pvm.toml.5"];
    let by_hand = by_hand.map(str::to_owned);
    let expected: BTreeSet<String> = written.into_iter().chain(by_hand).collect();
    assert_eq!(names(&kept()), expected);
}

#[test]
fn a_page_for_every_command_and_its_commands() {
    let (_scene, directory) = generated();
    let names = names(&directory);
    for name in [
        "pvm.1",
        "pvm-grant.1",
        "pvm-config.1",
        "pvm-config-show.1",
        "pvm-audit-verify.1",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn every_page_is_without_a_complaint() {
    if !Path::new("/usr/bin/mandoc").exists() {
        println!("skipped: mandoc is not installed");
        return;
    }
    let mut command = Command::new("/usr/bin/mandoc");
    command.args(["-T", "lint", "-W", "warning"]);
    let pages = names(&kept()).into_iter().map(|name| kept().join(name));
    let ran = Ran::of(command.args(pages));
    assert_eq!(
        (ran.code, ran.stdout_text().as_str()),
        (Some(0), ""),
        "{ran}"
    );
}

#[test]
fn every_option_is_in_the_page_of_its_command() {
    let scene = Scene::bare();
    for verb in [
        "grant", "check", "status", "revoke", "resolve", "init", "doctor", "audit",
    ] {
        let help = scene.pvm([verb, "--help"]).succeeded().stdout_text();
        let page = fs::read_to_string(kept().join(format!("pvm-{verb}.1"))).unwrap();
        let page = page.replace("\\-", "-");
        let options = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"));
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric())) {
            assert!(page.contains(option), "{verb}: {option}");
        }
    }
}

#[test]
fn without_a_directory_the_page_of_pvm_is_printed() {
    let scene = Scene::bare();
    let text = scene.pvm(["man"]).succeeded().stdout_text();
    assert!(
        text.starts_with(".TH pvm 1 ") && text.ends_with('\n'),
        "{text}"
    );
    scene
        .pvm(["man", "--dir", "/no/such"])
        .exited(125)
        .says("cannot write /no/such/pvm.1");
}
