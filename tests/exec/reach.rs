//! What a command that a scope allowed may reach, besides that it stays in the scope.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{exec, grant, grant_below};
use crate::support::{Launch, Ran, Scene, in_namespace, landlock};

fn text(path: &Path) -> String {
    path.to_str().unwrap().trim_end_matches('/').to_owned()
}

/// A standing rule that allows every command in `work`, as a grant would.
fn allowed_in(directory: &Path) -> String {
    format!(
        "[[permissions.rules]]\neffect = \"allow\"\nop = [\"exec\", \"rm\"]\nscope = \"{}\"\n",
        text(directory)
    )
}

fn shell(scene: &Scene, line: &str) -> Ran {
    exec(scene, ["sh", "-c", line])
}

#[test]
fn brk_23_a_right_to_remove_does_not_pass_over_a_rule() {
    if !landlock(3) {
        return;
    }
    for (effect, op, place) in [
        ("deny", "rm", "keep"),
        ("ask", "rm", "keep"),
        ("deny", "trash", "keep"),
        ("deny", "rm", ""),
    ] {
        let scene = Scene::new();
        scene.files(["keep/f", "other/f"]);
        grant_below(&scene, "exec,rm", &scene.work(""));
        let command = ["find", "keep", "-name", "f", "-delete"];
        let rule = format!(
            "[[permissions.rules]]\neffect = \"{effect}\"\nop = \"{op}\"\nscope = \"{}\"\n",
            text(&scene.work(place))
        );
        scene.configure(&rule);
        exec(&scene, command)
            .denied()
            .says(&format!("has {effect} {op}"))
            .says("reaches all of it");
        assert!(scene.work("keep/f").exists(), "{effect} {op} {place}");
        let entry = scene.last_entry();
        assert_eq!(entry["decision"], "DENIED");
        assert!(
            entry["rules"][0].as_str().unwrap().starts_with("rule 1"),
            "{entry}"
        );
        // Without a right to remove, the command runs and removes nothing.
        scene.pvm(["revoke", "--all"]).succeeded();
        grant_below(&scene, "exec", &scene.work(""));
        assert_ne!(exec(&scene, command).code, Some(0));
        shell(&scene, "echo x >made").succeeded();
        assert!(scene.work("keep/f").exists());
        // The control: without the rule it is removed.
        scene.configure("");
        scene.pvm(["revoke", "--all"]).succeeded();
        grant_below(&scene, "exec,rm", &scene.work(""));
        exec(&scene, command).succeeded();
        assert!(!scene.work("keep/f").exists());
    }
}

#[test]
fn brk_23_the_control_removes_where_no_rule_forbids_it() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    scene.files(["keep/f"]);
    let elsewhere = format!(
        "[[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{}\"\n",
        text(&scene.path("fakes"))
    );
    scene.configure(&elsewhere);
    grant_below(&scene, "exec,rm", &scene.work(""));
    exec(&scene, ["find", "keep", "-delete"]).succeeded();
    assert!(!scene.work("keep").exists());
}

#[test]
fn path_28_no_command_writes_where_a_configuration_would_be_found() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    // That of the machine comes first and is not there; whoever makes it decides.
    let run = |directory: &str| {
        scene.configure(&allowed_in(Path::new(directory)));
        let mut command = scene.command("pvm");
        command.args(["exec", "--", "true"]).current_dir(directory);
        Ran::of(&mut command)
    };
    run("/etc").denied().says("holds the configuration");
    run(&text(&scene.path("etc")))
        .denied()
        .says("the configuration");
    run("/usr/share").succeeded();
    run(&text(&scene.work(""))).succeeded();
}

#[test]
fn path_28_no_command_writes_the_json_log_before_it_is_there() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    let log = scene.work("logs/audit");
    let configure = |enabled: bool| {
        scene.configure(&format!(
            "permissions.audit_enabled = {enabled}\npermissions.audit_directory = \"{}\"\n{}",
            text(&log),
            allowed_in(&scene.work(""))
        ));
    };
    configure(true);
    fs::remove_dir_all(scene.work("logs")).ok();
    shell(&scene, "mkdir -p logs/audit")
        .denied()
        .says("the JSON log");
    configure(false);
    fs::remove_dir_all(scene.work("logs")).ok();
    shell(&scene, "mkdir -p logs/audit").succeeded();
}

#[test]
fn env_06_no_command_writes_programs_that_are_trusted() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    scene.files(["tools/deep/"]);
    let trust = |directory: &Path| {
        scene.configure(&format!(
            "resolver.trusted_dirs = [\"{}\"]\n{}",
            text(directory),
            allowed_in(&scene.work(""))
        ));
    };
    let run = |directory: &Path| {
        let mut command = scene.command("pvm");
        command
            .args(["exec", "--", "touch", "made"])
            .current_dir(directory);
        Ran::of(&mut command)
    };
    // What it covers, what it is, what it lies below, and what is not there yet.
    for trusted in ["tools", "", "tools/deep", "to-come/bin"] {
        trust(&scene.work(trusted));
        run(&scene.work(""))
            .denied()
            .says("programs that are trusted");
        assert!(!scene.work("made").exists());
    }
    trust(&scene.path(""));
    run(&scene.work(""))
        .denied()
        .says("programs that are trusted");
    // A link on the way leads elsewhere once it is exchanged.
    symlink(scene.path("fakes"), scene.work("link")).unwrap();
    trust(&scene.work("link"));
    run(&scene.work(""))
        .denied()
        .says("programs that are trusted");
    trust(&scene.path("fakes"));
    run(&scene.work("")).succeeded();
    assert!(scene.work("made").exists());
}

#[test]
fn exec_is_not_granted_on_what_no_command_could_be_confined_to() {
    let scene = Scene::new();
    scene.files(["file"]);
    symlink("file", scene.work("link")).unwrap();
    let grant = |scope: &Path| {
        let mut command = scene.command("pvm");
        Ran::of(
            command
                .args(["grant", "--op", "exec,rm", "--scope"])
                .arg(scope),
        )
    };
    grant(&scene.work("file"))
        .exited(2)
        .says("is not a directory");
    grant(&scene.work("missing"))
        .exited(2)
        .says("does not exist");
    grant(&scene.path("")).exited(2).says("holds");
    grant(&scene.work("")).succeeded();
    scene
        .pvm(["grant", "--scope", &text(&scene.work("missing"))])
        .succeeded();
}

#[test]
fn brk_23_a_filter_that_answers_for_landlock_is_noticed() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    grant_below(&scene, "exec", &scene.work(""));
    let outside = scene.path("outside");
    let run = || {
        let line = format!("echo x >{}", outside.display());
        let mut command = scene.command("pvm");
        command.args(["exec", "--", "sh", "-c", &line]);
        Ran::of(command.with_pretended_landlock())
    };
    run()
        .exited(125)
        .says("cannot tell whether the Landlock ruleset is in force");
    assert!(!outside.exists());
    // The control: under the filter a command that is not confined writes there.
    scene.configure("exec.landlock = \"off\"");
    run().succeeded();
    assert!(outside.exists());
}

/// Returns the names of directories for temporary files of commands.
fn scratch_directories() -> Vec<PathBuf> {
    let entries = fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
    let named =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("pvm-exec-"));
    named.map(|entry| entry.path()).collect()
}

#[test]
fn path_01_a_tree_that_only_has_the_name_of_a_temporary_directory_stays() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    grant_below(&scene, "exec", &scene.work(""));
    let made = shell(&scene, "echo x >$TMPDIR/file; echo $TMPDIR");
    let made = PathBuf::from(made.succeeded().stdout_text().trim().to_owned());
    assert!(scratch_directories().contains(&made));
    // The name that the process of a directory had before they were noted, and the name of one that
    // is noted.
    let uid = nix::unistd::getuid();
    let forged = Path::new("/tmp").join(format!("pvm-exec-{uid}-999999999-1-0123456789abcdef"));
    fs::create_dir_all(forged.join("precious")).unwrap();
    let aside = scene.path("aside");
    let renamed = fs::rename(&made, &aside).is_ok();
    if renamed {
        fs::create_dir_all(made.join("precious")).unwrap();
    }
    exec(&scene, ["true"]).succeeded();
    exec(&scene, ["true"]).succeeded();
    assert!(forged.join("precious").is_dir());
    if renamed {
        assert!(made.join("precious").is_dir());
        fs::remove_dir_all(&made).unwrap();
    }
    fs::remove_dir_all(&forged).unwrap();
}

#[test]
fn path_01_a_command_that_is_refused_removes_nothing() {
    if !landlock(3) {
        return;
    }
    let scene = Scene::new();
    grant_below(&scene, "exec", &scene.work(""));
    let made = shell(&scene, "echo $TMPDIR");
    let made = PathBuf::from(made.succeeded().stdout_text().trim().to_owned());
    scene.pvm(["revoke", "--all"]).succeeded();
    exec(&scene, ["true"]).denied();
    assert!(made.is_dir());
    grant(&scene, ["true"]);
    exec(&scene, ["true"]).succeeded();
    assert!(!made.exists(), "an allowed one removes it");
}

#[test]
fn path_14_a_deny_holds_under_the_second_name_of_a_directory() {
    let scene = Scene::new();
    scene.files(["own/", "alias/"]);
    let rules = |place: &str| {
        format!(
            "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"touch\", \"made\"]\n\
             [[permissions.rules]]\neffect = \"deny\"\nop = \"exec\"\nscope = \"{}\"\n",
            text(&scene.work(place))
        )
    };
    scene.configure(&rules("own"));
    let script = "mount --bind own alias && cd alias && \"$BIN/pvm\" exec -- touch made";
    let Some(ran) = in_namespace(&scene, "a deny behind a bind mount", script) else {
        return;
    };
    ran.denied().says("denies exec");
    assert!(!scene.work("own/made").exists());
    scene.configure(&rules("other"));
    in_namespace(&scene, "the control", script)
        .unwrap()
        .succeeded();
    assert!(scene.work("own/made").exists());
}

#[test]
fn aud_14_urls_in_commands_lose_their_credentials_in_the_trail_and_the_log() {
    let scene = Scene::new();
    let secret = "hunter2-of-mine";
    let url = format!("https://me:{secret}@example.org/x");
    let option = format!("--header=token={secret}");
    let words = ["printf", "%s", url.as_str(), option.as_str()];
    exec(&scene, words).denied();
    exec(&scene, [url.as_str()]).exited(127);
    grant(&scene, words);
    let ran = exec(&scene, words);
    assert!(
        ran.succeeded().stdout_text().contains(secret),
        "the command has them"
    );
    exec(&scene, ["printf", "%s", "https://me:other@example.org/x"]).denied();
    let trail = format!("{:#?}", scene.trail());
    assert!(trail.contains("https://example.org/x"), "{trail}");
    assert!(!trail.contains(secret), "{trail}");
    let log = scene.vault().with_file_name("audit");
    let files = fs::read_dir(log).unwrap().filter_map(Result::ok);
    let log: String = files
        .map(|file| fs::read_to_string(file.path()).unwrap())
        .collect();
    assert!(
        log.contains("example.org") && !log.contains(secret),
        "{log}"
    );
}

#[test]
fn a_refusal_that_is_only_counted_offers_what_the_refusal_itself_would() {
    let scene = Scene::new();
    scene.configure(
        "permissions.denials_per_minute = 1\n\
         [[permissions.rules]]\neffect = \"deny\"\nargv = [\"id\", \"**\"]\n",
    );
    exec(&scene, ["touch", "made"]).denied();
    let ran = exec(&scene, ["id"]);
    ran.denied()
        .says("too many refusals")
        .says("no grant overrides a rule");
    assert!(!ran.stderr_text().contains("a person can allow"), "{ran}");
    exec(&scene, ["touch", "made"])
        .denied()
        .says("too many refusals")
        .says("a person can allow exactly this:");
}

#[test]
fn hints_are_given_where_they_work() {
    let scene = Scene::new();
    exec(&scene, ["git", "status"])
        .denied()
        .says("git is run as it is:  git ...");
    exec(&scene, ["git", "push"])
        .denied()
        .says("safe-git-push ...");
    let mut command = scene.command("pvm");
    command
        .args(["exec", "--", "touch", "made"])
        .current_dir("/usr");
    let ran = Ran::of(&mut command);
    assert!(
        !ran.denied().stderr_text().contains("--op exec --scope"),
        "{ran}"
    );
    let long = "x".repeat(5000);
    let ran = exec(&scene, ["printf", &long]);
    ran.denied().says("are in the entry:  pvm audit --json");
    assert!(ran.stderr_text().len() < 2000, "{ran}");
    // A grant for other words says so, whatever else is wrong with it.
    scene
        .pvm(["grant", "--uses", "1", "--", "touch", "a"])
        .succeeded();
    exec(&scene, ["touch", "a"]).succeeded();
    exec(&scene, ["touch", "b"])
        .denied()
        .says("for another command");
}

#[test]
fn what_is_asked_about_is_the_callers_own_agent() {
    let scene = Scene::new();
    let work = text(&scene.work(""));
    scene
        .pvm(["grant", "--agent", "claude", "--scope", &work])
        .succeeded();
    let ask = |agent: Option<&str>| {
        let mut command = scene.command("pvm");
        command.args(["check", "--scope", &work]);
        command.envs(agent.map(|agent| ("PVM_AGENT_ID", agent)));
        Ran::of(&mut command)
    };
    ask(Some("claude")).succeeded();
    ask(Some("other")).exited(1);
    ask(None).exited(1);
}
