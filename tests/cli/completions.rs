use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, Scene};

/// Writes the script for a shell, and returns where.
fn script(scene: &Scene, shell: &str, name: &str) -> std::path::PathBuf {
    let path = scene.work(name);
    fs::write(
        &path,
        scene.pvm(["completions", shell]).succeeded().stdout_text(),
    )
    .unwrap();
    path
}

fn installed(shell: &str) -> bool {
    let there = Path::new(shell).exists();
    if !there {
        println!("skipped: {shell} is not installed");
    }
    there
}

fn shell(scene: &Scene, program: &str, words: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", scene.search_path())
        .env("HOME", scene.work(""));
    Ran::of(command.args(words).current_dir(scene.work("")))
}

/// Returns what bash offers behind these words.
fn in_bash(scene: &Scene, words: &str) -> Vec<String> {
    let script = script(scene, "bash", "pvm.bash");
    let line = format!(
        ". {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9; \
         _clap_complete_pvm pvm \"${{COMP_WORDS[-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let ran = shell(scene, "/bin/bash", &["--norc", "-c", &line]);
    ran.succeeded()
        .stdout_text()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_verbs_options_values_and_paths() {
    let scene = Scene::new();
    scene.files(["some-file"]);
    assert_eq!(in_bash(&scene, "pvm re"), ["revoke", "resolve"]);
    assert_eq!(in_bash(&scene, "pvm grant --sc"), ["--scope"]);
    assert_eq!(in_bash(&scene, "pvm completions z"), ["zsh"]);
    assert_eq!(in_bash(&scene, "pvm config p"), ["path"]);
    assert_eq!(in_bash(&scene, "pvm backup some"), ["some-file"]);
    let scope = scene.work("some");
    let path = scene.work("some-file");
    let offered = in_bash(&scene, &format!("pvm check --scope {}", scope.display()));
    assert_eq!(offered, [path.to_str().unwrap()]);
}

#[test]
fn bash_completes_the_grants_that_are_live_now() {
    let scene = Scene::new();
    let first = scene.grant_with(scene.work("a"), ["--agent", "claude"]);
    let second = scene.grant(scene.work("b"));
    let offered = in_bash(&scene, "pvm revoke ''");
    assert!(offered.contains(&first[..8].to_owned()), "{offered:?}");
    assert!(offered.contains(&second[..8].to_owned()), "{offered:?}");
    assert_eq!(
        in_bash(&scene, &format!("pvm revoke {}", &first[..5])),
        [&first[..8]]
    );
    assert_eq!(in_bash(&scene, "pvm revoke --agent cl"), ["claude"]);
    scene.pvm(["revoke", &first]).succeeded();
    assert!(!in_bash(&scene, "pvm revoke ''").contains(&first[..8].to_owned()));
}

#[test]
fn zsh_completes_at_the_first_key() {
    if !installed("/usr/bin/zsh") {
        return;
    }
    let scene = Scene::new();
    let id = scene.grant(scene.work("a"));
    script(&scene, "zsh", "_pvm");
    // Outside of its line editor, zsh can only be asked what the function would have offered.
    let line = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; \
                _describe() { print -l -- ${(P)3}; }; \
                words=(pvm revoke ''); CURRENT=3; _pvm";
    let ran = shell(&scene, "/usr/bin/zsh", &["-f", "-c", line]);
    assert!(ran.exited(0).stdout_text().contains(&id[..8]), "{ran}");
}

#[test]
fn fish_completes_with_descriptions() {
    if !installed("/usr/bin/fish") {
        return;
    }
    let scene = Scene::new();
    let id = scene.grant_with(scene.work("a"), ["--agent", "claude"]);
    let script = script(&scene, "fish", "pvm.fish");
    let line = format!("source {}; complete -C 'pvm revoke '", script.display());
    let text = shell(&scene, "/usr/bin/fish", &["-N", "-c", &line])
        .exited(0)
        .stdout_text();
    let what = format!(
        "{}\trm on {} for claude, ends in",
        &id[..8],
        scene.work("a").display()
    );
    assert!(text.contains(&what), "{text}");
}

#[test]
fn a_name_that_steers_a_terminal_does_not_reach_it() {
    let scene = Scene::new();
    scene.grant(scene.work("a\u{1b}[2K\nrm -rf"));
    let mut command = scene.command("pvm");
    let ran = Ran::of(
        command
            .args(["--", "pvm", "revoke", ""])
            .env("PVM_COMPLETE", "fish"),
    );
    let text = ran.succeeded().stdout_text();
    assert!(text.contains("a\\u{1b}[2K\\nrm -rf"), "{text}");
}

#[test]
fn the_variable_alone_changes_nothing() {
    let scene = Scene::new();
    let id = scene.grant(scene.work("a"));
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["revoke", &id]).env("PVM_COMPLETE", "bash"));
    assert!(ran.succeeded().stdout_text().starts_with("revoked"));
    scene.pvm(["--", "revoke", "--all"]).exited(2);
    for shell in ["", "0", "powershell", "BASH"] {
        let mut command = scene.command("pvm");
        Ran::of(command.args(["--", "pvm", "re"]).env("PVM_COMPLETE", shell)).exited(2);
    }
}

#[test]
fn without_a_vault_or_with_a_broken_configuration_there_is_nothing_to_offer() {
    let scene = Scene::bare();
    let options = in_bash(&scene, "pvm revoke ''");
    assert!(
        options.iter().all(|word| word.starts_with("--")),
        "{options:?}"
    );
    scene.configure_as("broken");
    assert_eq!(in_bash(&scene, "pvm revoke ''"), options);
    assert!(!scene.vault().exists());
}

#[test]
fn another_shell_is_wrong_usage() {
    Scene::bare()
        .pvm(["completions", "powershell"])
        .exited(2)
        .says("bash, zsh, fish");
}
