use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::support::{Ran, Scene, Terminal, mount_namespace};

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The configuration of a person who gives grants from a terminal.
fn attended(scene: &Scene) -> String {
    let text = format!(
        "# mine\nvault.path = \"{}\" # here\n",
        scene.vault().display()
    );
    scene.configure_as(&text);
    text
}

fn pvm(scene: &Scene, words: &str) -> String {
    format!("{} {words}", scene.path("bin/pvm").display())
}

#[test]
fn it_makes_a_vault_for_this_user_alone() {
    let scene = Scene::bare();
    let ran = scene.pvm(["init", "--yes"]);
    let text = ran.succeeded().stdout_text();
    assert!(
        text.starts_with(&format!("vault: {} (made)\n", scene.vault().display())),
        "{text}"
    );
    assert!(text.contains("pvm doctor"), "{text}");
    assert_eq!(mode(scene.vault()), 0o600);
    assert_eq!(mode(scene.path("state")), 0o700);
    scene.assert_trail_intact();
}

#[test]
fn a_second_time_changes_nothing_and_says_so() {
    let scene = Scene::new();
    let before = scene.trail();
    let configuration = fs::read(scene.configuration()).unwrap();
    let ran = scene.pvm(["init", "--yes"]);
    assert!(ran.succeeded().stdout_text().contains("(exists already)"));
    assert_eq!(scene.trail(), before);
    assert_eq!(fs::read(scene.configuration()).unwrap(), configuration);
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let scene = Scene::bare();
    let ran = Ran::with_input(scene.command("pvm").arg("init"), b"y\ny\n");
    ran.succeeded();
    assert!(scene.vault().exists());
}

#[test]
fn an_agent_makes_the_vault_and_changes_no_configuration() {
    let scene = Scene::bare();
    let before = attended(&scene);
    let line = pvm(&scene, "init --passphrase");
    let (status, shown) = Terminal::start(&scene, &line, [("CLAUDECODE", "1")]).ends();
    assert_eq!(status, Some(1), "{shown}");
    assert!(
        shown.contains("only a person may change the configuration"),
        "{shown}"
    );
    assert!(shown.contains("CLAUDECODE"), "{shown}");
    assert!(shown.contains("pvm init --yes"), "{shown}");
    assert_eq!(fs::read_to_string(scene.configuration()).unwrap(), before);
    assert!(scene.vault().exists());

    let ran = scene.pvm(["init", "--passphrase"]);
    ran.exited(1).says("there is no controlling terminal");
}

#[test]
fn a_passphrase_is_set_then_asked_for_and_never_shown() {
    let scene = Scene::bare();
    let before = attended(&scene);
    let line = pvm(&scene, "init --passphrase");
    let mut terminal = Terminal::start(&scene, &line, []);
    terminal
        .sees("new pvm passphrase")
        .types("short\r")
        .sees("at least 8 characters");
    terminal.sees("new pvm passphrase").types("correct horse\r");
    terminal
        .sees("once more")
        .types("battery staple\r")
        .sees("not the same");
    terminal.sees("new pvm passphrase").types("correct horse\r");
    terminal.sees("once more").types("correct horse\r");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(
        !shown.contains("correct horse") && !shown.contains("argon2id"),
        "{shown}"
    );

    let after = fs::read_to_string(scene.configuration()).unwrap();
    assert!(
        after.starts_with(&before) && after.contains("$argon2id$"),
        "{after}"
    );
    assert_eq!(mode(scene.configuration()), 0o600);
    let entry = scene.last_entry();
    assert_eq!(entry["event_type"], "CONFIG", "{entry}");
    assert!(
        entry.to_string().contains("approver.passphrase set"),
        "{entry}"
    );
    assert!(!entry.to_string().contains("argon2id"), "{entry}");

    let line = pvm(
        &scene,
        &format!("grant --scope {}", scene.work("d").display()),
    );
    let mut terminal = Terminal::start(&scene, &line, []);
    terminal.sees("pvm passphrase").types("battery staple\r");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(1), "{shown}");
    assert!(
        shown.contains("permission denied: that is not the passphrase"),
        "{shown}"
    );

    let mut terminal = Terminal::start(&scene, &line, []);
    terminal
        .sees("pvm passphrase")
        .types("correct horse\r")
        .sees("granted");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(!shown.contains("correct horse"), "{shown}");

    // Another one is set only by who knows the first.
    let mut terminal = Terminal::start(&scene, &pvm(&scene, "init --passphrase"), []);
    terminal
        .sees("pvm passphrase")
        .types("battery staple\r")
        .sees("that is not the passphrase");
    assert_eq!(terminal.ends().0, Some(1));
    assert_eq!(fs::read_to_string(scene.configuration()).unwrap(), after);
}

#[test]
fn a_passphrase_is_asked_for_even_where_no_terminal_is_needed() {
    let scene = Scene::new();
    let mut terminal = Terminal::start(&scene, &pvm(&scene, "init --passphrase"), []);
    terminal.sees("new pvm passphrase").types("correct horse\r");
    terminal.sees("once more").types("correct horse\r");
    assert_eq!(terminal.ends().0, Some(0));
    let mut command = Command::new("/usr/bin/setsid");
    command
        .arg("-w")
        .arg(scene.path("bin/pvm"))
        .args(["grant", "--scope", "/tmp/x"]);
    let ran = Ran::with_input(command.env_clear(), b"correct horse\n");
    ran.denied().says("cannot ask for the passphrase");
}

#[test]
fn on_a_terminal_no_is_the_answer_that_enter_gives() {
    let scene = Scene::bare();
    let before = attended(&scene);
    let mut terminal = Terminal::start(&scene, &pvm(&scene, "init"), []);
    terminal
        .sees("Ask for a passphrase before a grant is given?")
        .types("\r");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("(exists already, left alone)"), "{shown}");
    assert_eq!(fs::read_to_string(scene.configuration()).unwrap(), before);
}

fn home() -> PathBuf {
    User::from_uid(Uid::effective()).unwrap().unwrap().dir
}

/// Runs a shell script in which the home directory of this user is an empty one.
fn at_home(scene: &Scene, script: &str) -> Option<Terminal> {
    if !mount_namespace("a home directory of its own") {
        return None;
    }
    let body = format!(
        "mount -t tmpfs -o mode=700 none {} && {script}",
        home().display()
    );
    Some(Terminal::start(
        scene,
        &format!("unshare -m sh -c '{body}'"),
        [],
    ))
}

#[test]
fn a_person_without_a_configuration_gets_one_that_changes_nothing() {
    let scene = Scene::bare();
    fs::remove_dir_all(scene.path("etc")).unwrap();
    let script = "pvm init && pvm config path && stat -c %a ~/.config/pvm/pvm.toml && \
                  cat ~/.config/pvm/pvm.toml && pvm config check && pvm doctor";
    let Some(mut terminal) = at_home(
        &scene,
        &format!("HOME=/nonexistent; {script}")
            .replace("~/", "$(getent passwd $(id -u) | cut -d: -f6)/"),
    ) else {
        return;
    };
    terminal.sees("vault: ").sees("(made)");
    terminal
        .sees("Ask for a passphrase")
        .types("n\r")
        .sees("it only says what the defaults are");
    terminal
        .sees("* ")
        .sees(".config/pvm/pvm.toml: in force")
        .sees("600");
    terminal.sees("# landlock = \"auto\"").sees("pvm.toml: ok");
    let (status, shown) = terminal.ends();
    assert_eq!(status, Some(0), "{shown}");
}

#[test]
fn an_installation_that_has_a_place_for_it_keeps_its_own_configuration() {
    let scene = Scene::bare();
    fs::remove_file(scene.configuration()).unwrap();
    let Some(mut terminal) = at_home(&scene, "pvm init") else {
        return;
    };
    terminal.sees("Ask for a passphrase").types("n\r");
    terminal.sees(&format!(
        "configuration: {} (made",
        scene.configuration().display()
    ));
    assert_eq!(terminal.ends().0, Some(0));
    assert_eq!(mode(scene.configuration()), 0o600);
}

#[test]
fn a_directory_that_the_real_command_comes_from_is_offered_and_trusted() {
    let scene = Scene::bare();
    let before = attended(&scene);
    let directory = home().join(".cargo/bin");
    let directory = directory.display();
    let script = format!(
        "mkdir -p {directory} && cp /usr/bin/rm {directory} && chown -R 1:1 {directory}/.. && \
         PATH={directory}:$PATH && (pvm resolve rm; true) && pvm init && pvm resolve rm"
    );
    let Some(mut terminal) = at_home(&scene, &script) else {
        return;
    };
    terminal
        .sees("NOT TRUSTED")
        .sees(&format!("Trust what is in {directory}?"))
        .types("y\r");
    terminal
        .sees("Ask for a passphrase")
        .types("n\r")
        .sees("resolver.trusted_dirs set");
    terminal.sees(&format!("rm: {directory}/rm, trusted"));
    assert_eq!(terminal.ends().0, Some(0));
    let after = fs::read_to_string(scene.configuration()).unwrap();
    assert!(
        after.starts_with(&before) && after.contains(&format!("\"{directory}\"")),
        "{after}"
    );
}
