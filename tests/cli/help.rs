use crate::support::{Ran, Scene};

/// Every command that works, and nothing else.
const VERBS: [&str; 16] = [
    "init",
    "grant",
    "exec",
    "check",
    "status",
    "revoke",
    "rules",
    "audit",
    "resolve",
    "config",
    "doctor",
    "backup",
    "undo",
    "demo",
    "completions",
    "man",
];

fn listed(ran: &Ran) -> Vec<String> {
    let text = ran.stdout_text();
    let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_help_lists_what_works_and_nothing_else() {
    let scene = Scene::bare();
    let ran = scene.pvm(["--help"]);
    let mut listed = listed(ran.succeeded());
    let mut expected = VERBS.map(str::to_owned).to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn every_verb_has_a_short_and_a_long_help() {
    let scene = Scene::bare();
    let nested = [
        "config show",
        "config check",
        "config path",
        "audit verify",
        "audit head",
    ];
    for verb in VERBS.into_iter().chain(nested) {
        let words: Vec<&str> = verb.split(' ').collect();
        for option in ["-h", "--help"] {
            let ran = scene.pvm(words.iter().chain([&option]));
            let text = ran.succeeded().stdout_text();
            assert!(
                text.contains(&format!("Usage: pvm {verb}")),
                "{verb}: {text}"
            );
            let first = text.lines().next().unwrap();
            assert!(
                !first.is_empty() && !first.ends_with('.'),
                "{verb}: {first}"
            );
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{verb}: {text}"
            );
        }
    }
}

#[test]
fn the_version_is_the_one_of_the_package() {
    let ran = Scene::bare().pvm(["--version"]);
    assert_eq!(
        ran.succeeded().stdout_text(),
        concat!("pvm ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn what_does_not_exist_is_wrong_usage() {
    let scene = Scene::bare();
    let none: [&[&str]; 6] = [
        &[],
        &["frobnicate"],
        &["--frobnicate"],
        &["serve"],
        &["config"],
        &["revoke"],
    ];
    for words in none {
        let ran = scene.pvm(words);
        ran.exited(2);
        assert_eq!(ran.stdout, b"", "{words:?}");
        assert!(!ran.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn help_needs_neither_vault_nor_configuration() {
    let scene = Scene::bare();
    scene.configure_as("this is not TOML");
    scene.pvm(["--help"]).succeeded();
    scene.pvm(["grant", "--help"]).succeeded();
    scene.pvm(["completions", "bash"]).succeeded();
    scene.pvm(["man"]).succeeded();
    assert!(!scene.vault().exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scene = Scene::new();
    for line in ["pvm status", "pvm man", "pvm doctor", "pvm config show"] {
        let mut shell = std::process::Command::new("/bin/bash");
        shell.env_clear().env("PATH", scene.search_path());
        let ran = Ran::of(shell.args(["-c", &format!("{line} | true; echo ${{PIPESTATUS[0]}}")]));
        assert_eq!(ran.succeeded().stdout_text(), "0\n", "{line}");
    }
}
