use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::{rule, scope, with_rules};
use crate::support::{Fault, Ran, Running, Scene, count_calls, run_with, tracing, tree};

fn text(scene: &Scene) -> String {
    fs::read_to_string(scene.configuration()).unwrap()
}

fn add<'a>(scene: &Scene, words: impl AsRef<[&'a str]>) -> Ran {
    scene.pvm([&["rules", "add"], words.as_ref()].concat())
}

/// A configuration as a person would keep it.
fn commented(scene: &Scene) -> String {
    format!(
        "# mine\nvault.path = '{}'  # here\napprover.unattended = true\n\n# why\n{}# behind\n\n\
         [exec] # last\nlandlock = \"auto\"\n# end\n",
        scene.vault().display(),
        rule("effect = 'ask' # a; # b; op = [\n 'exec', # c\n]"),
    )
}

#[test]
fn a_file_keeps_every_other_byte() {
    let scene = Scene::new();
    let before = commented(&scene);
    scene.configure_as(&before);
    let mode = fs::metadata(scene.configuration()).unwrap();
    let words = [
        "--effect",
        "deny",
        "--op",
        "rm,trash",
        "--scope",
        "/srv/keep",
        "--agent",
        "claude",
    ];
    let ran = add(&scene, [&words[..], &["--reason", "it's mine"]].concat());
    let said = ran.succeeded().stdout_text();
    let line = before.lines().count() + 2;
    let rule = format!("rule 2 (pvm.toml:{line}): deny rm,trash on /srv/keep for claude");
    assert!(said.contains(&rule), "{said}");
    let after = text(&scene);
    let block = after
        .strip_prefix(&before)
        .expect("the text before is as it was");
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(
        lines[..7],
        [
            "",
            "[[permissions.rules]]",
            "effect = \"deny\"",
            "op = [\"rm\", \"trash\"]",
            "scope = \"/srv/keep\"",
            "agent = \"claude\"",
            "reason = \"it's mine\"",
        ]
    );
    assert!(
        lines[7].starts_with("recorded_at = 20") && lines.len() == 8,
        "{block}"
    );
    let now = fs::metadata(scene.configuration()).unwrap();
    assert_eq!((now.mode(), now.uid()), (mode.mode(), mode.uid()));

    scene.pvm(["rules", "remove", "2"]).succeeded();
    assert_eq!(text(&scene), before);
    scene.pvm(["rules", "remove", "1"]).succeeded();
    let rest = before
        .lines()
        .filter(|line| line.starts_with('#') || line.contains("exec]"));
    assert!(rest.clone().count() > 3 && rest.into_iter().all(|line| text(&scene).contains(line)));
    scene.pvm(["config", "check"]).succeeded();
    assert_eq!(fs::read_dir(scene.path("etc/pvm")).unwrap().count(), 1);
}

#[test]
fn a_change_is_in_the_trail_with_the_rule() {
    let scene = Scene::new();
    add(&scene, ["--effect", "ask", "--", "go", "run", "**"]).succeeded();
    let entry = scene.last_entry();
    assert_eq!(
        (&entry["event_type"], &entry["decision"]),
        (&"CONFIG".into(), &"GRANTED".into())
    );
    assert_eq!(entry["file"], scene.configuration().to_str().unwrap());
    assert!(
        entry["rules"][0]
            .as_str()
            .unwrap()
            .contains("argv = [\"go\", \"run\", \"**\"]")
    );
    scene.pvm(["rules", "remove", "1"]).succeeded();
    let entry = scene.last_entry();
    assert!(entry["notes"].to_string().contains("removed"), "{entry}");
    assert!(
        entry["rules"][0]
            .as_str()
            .unwrap()
            .contains("argv = [\"go\", \"run\", \"**\"]")
    );
    scene.assert_trail_intact();
}

#[test]
fn only_a_person_changes_the_rules() {
    let scene = Scene::new();
    with_rules(&scene, &[rule("effect = 'ask'; op = 'rm'")]);
    let strict = text(&scene).replace("approver.unattended = true\n", "");
    scene.configure_as(&strict);
    for words in [
        &["rules", "add", "--effect", "deny", "--op", "rm"][..],
        &["rules", "remove", "1"],
    ] {
        let mut command = scene.command("pvm");
        let ran = Ran::of(command.args(words).env("CLAUDECODE", "1"));
        ran.exited(1)
            .says("only a person may change the rules")
            .says("CLAUDECODE");
    }
    assert_eq!(text(&scene), strict);
}

#[test]
fn what_would_not_be_understood_is_not_written() {
    let scene = Scene::new();
    add(&scene, ["--effect", "deny", "--scope", "/srv/x"]).succeeded();
    let before = text(&scene);
    let entries = scene.trail().len();
    for (words, why) in [
        (
            &["--effect", "allow", "--op", "rm"][..],
            "would allow every rm",
        ),
        (
            &["--effect", "deny", "--scope", "/srv/x"],
            "it can never decide: rule 1",
        ),
        (&["--effect", "deny"], "op, scope or argv"),
        (&["--effect", "allow", "--", "./x"], "from the root"),
        (&["--effect", "deny", "--", "x", "[a"], "is not a pattern"),
        (
            &["--effect", "deny", "--op", "rm", "--", "rmdir"],
            "op says rm",
        ),
        (
            &["--effect", "deny", "--", "rm", "-rf", "**"],
            "a rule about it has op = \"rm\" and a scope",
        ),
        (
            &[
                "--effect",
                "deny",
                "--op",
                "rm,git-push",
                "--scope",
                "/srv/y",
            ],
            "some of these",
        ),
        (
            &["--effect", "never", "--op", "rm"],
            "it is allow, ask or deny",
        ),
        (
            &["--effect", "deny", "--scope", "/srv/a[b]"],
            "not a pattern",
        ),
        (
            &["--effect", "deny", "--scope", "/"],
            "the root of the file system",
        ),
    ] {
        add(&scene, words).exited(2).says(why);
        assert_eq!(text(&scene), before, "{words:?}");
    }
    scene
        .pvm(["rules", "remove", "2"])
        .exited(2)
        .says("there is no rule 2");
    scene.pvm(["rules", "remove", "0"]).exited(2);
    assert_eq!(scene.trail().len(), entries);
}

#[test]
fn a_scope_is_written_by_its_canonical_name() {
    let scene = Scene::new();
    scene.files(["real/a/"]);
    std::os::unix::fs::symlink("real", scene.work("link")).unwrap();
    let typed = scene.work("link/a");
    add(
        &scene,
        [
            "--effect",
            "allow",
            "--op",
            "rm",
            "--scope",
            typed.to_str().unwrap(),
        ],
    )
    .succeeded();
    let written = scope(scene.work("real/a"));
    assert!(text(&scene).contains(&written), "{}", text(&scene));
    scene.files(["real/a/f"]).safe_rm(["link/a/f"]).succeeded();
}

#[test]
fn a_rule_from_elsewhere_has_no_number_to_remove() {
    let scene = Scene::new();
    with_rules(&scene, &["trash.workspaces = [\"/srv/w\"]\n".to_owned()]);
    scene
        .pvm(["rules", "remove", "1"])
        .exited(2)
        .says("there is no rule 1");
}

#[test]
fn rules_in_one_list_are_changed_as_well() {
    let scene = Scene::new();
    scene.configure("[permissions]\nrules = [\n  { effect = 'ask', op = 'rm' }, # a\n]");
    add(&scene, ["--effect", "deny", "--scope", "/srv/x"]).succeeded();
    assert!(
        text(&scene).contains(" # a\n  { effect = \"deny\", scope = \"/srv/x\""),
        "{}",
        text(&scene)
    );
    scene.pvm(["rules", "remove", "1"]).succeeded();
    let json = scene.pvm(["rules", "list", "--json"]).succeeded().json();
    assert_eq!(json["rules"][0]["scope"], "/srv/x");
    assert_eq!(json["rules"].as_array().unwrap().len(), 1);
}

#[test]
fn a_missing_file_is_made_where_init_would_make_it() {
    let scene = Scene::new();
    fs::remove_file(scene.configuration()).unwrap();
    let strict = Ran::of(
        scene
            .command("pvm")
            .args(["rules", "add", "--effect", "deny", "--op", "rm"]),
    );
    // Without a file nobody said that scripts may answer.
    strict.exited(1).says("only a person");
    assert!(!scene.configuration().exists());
}

#[test]
fn a_write_that_fails_leaves_the_file_as_it_was() {
    let scene = Scene::new();
    let before = text(&scene);
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args([
            "-c",
            "ulimit -f 0; exec \"$0\" rules add --effect deny --op rm",
        ])
        .arg(scene.path("bin/pvm"))
        .env_clear()
        .env("PATH", scene.search_path())
        .current_dir(scene.work(""));
    Ran::of(&mut command).exited(125);
    assert_eq!(text(&scene), before);
    let left: Vec<_> = tree(&scene.path("etc")).into_iter().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    add(&scene, ["--effect", "deny", "--op", "rm"]).succeeded();
}

#[test]
fn whenever_it_is_killed_or_a_call_fails_the_file_is_whole() {
    if !tracing("a change of the rules that is cut short") {
        return;
    }
    let scene = Scene::new();
    let before = text(&scene);
    let mut command = scene.command("pvm");
    command.args(["rules", "add", "--effect", "deny", "--op", "rm"]);
    let calls = count_calls(&command, &scene.path("calls"));
    let mut whole = 0;
    for name in [
        "write",
        "fchmod",
        "fsync",
        "rename",
        "renameat",
        "renameat2",
    ] {
        let count = calls.get(name).copied().unwrap_or(0);
        for (at, how) in (1..=count).flat_map(|at| [(at, "signal=KILL"), (at, "error=EIO")]) {
            scene.configure_as(&before);
            let call = name.to_owned();
            let fault = Fault { call, at, how };
            let ran = run_with(&command, &fault);
            let now = text(&scene);
            let added = now.strip_prefix(&before).expect("the old text is there");
            let complete = added.ends_with("Z\n") && added.matches("effect").count() == 1;
            assert!(added.is_empty() || complete, "{fault}: {now}");
            assert!(ran.code != Some(0) || complete, "{fault}: {ran}");
            scene.pvm(["config", "check"]).succeeded();
            whole += 1;
        }
    }
    assert!(whole > 6, "{calls:?}");
    scene.assert_trail_intact();
}

#[test]
fn a_change_that_is_recorded_and_not_made_is_recorded_as_such() {
    if !tracing("a rename that fails") {
        return;
    }
    let scene = Scene::new();
    let before = text(&scene);
    let mut command = scene.command("pvm");
    command.args(["rules", "add", "--effect", "deny", "--op", "rm"]);
    let call = "/^rename".to_owned();
    let how = "error=EACCES";
    let ran = run_with(&command, &Fault { call, at: 1, how });
    ran.exited(125).says("cannot change").says("as its owner");
    assert_eq!(text(&scene), before);
    assert_eq!(fs::read_dir(scene.path("etc/pvm")).unwrap().count(), 1);
    let entry = scene.last_entry();
    assert_eq!(
        (&entry["event_type"], &entry["decision"]),
        (&"CONFIG".into(), &"FAILED".into())
    );
}

#[test]
fn several_at_once_lose_nothing() {
    const PROCESSES: usize = 12;
    let scene = Scene::new();
    let running: Vec<Running> = (0..PROCESSES)
        .map(|number| {
            let path = format!("/srv/{number}");
            let mut command = scene.command("pvm");
            Running::start(command.args(["rules", "add", "--effect", "deny", "--scope", &path]))
        })
        .collect();
    for run in running {
        run.finish().succeeded();
    }
    let json = scene.pvm(["rules", "list", "--json"]).succeeded().json();
    assert_eq!(json["rules"].as_array().unwrap().len(), PROCESSES);
    scene.pvm(["config", "check"]).succeeded();
    scene.assert_trail_intact();
}

#[test]
fn a_file_of_another_is_left_alone() {
    let scene = Scene::new();
    if !crate::support::root("a configuration of another user") {
        return;
    }
    let before = text(&scene);
    fs::set_permissions(scene.configuration(), fs::Permissions::from_mode(0o644)).unwrap();
    let script = format!(
        "chmod 777 {0}/etc {0}/state 2>/dev/null; exec setpriv --reuid 65534 --clear-groups {0}/bin/pvm \
         rules add --effect deny --op rm",
        scene.path("").display()
    );
    let ran = Ran::of(std::process::Command::new("/bin/sh").args(["-c", &script]));
    assert_ne!(ran.code, Some(0), "{ran}");
    assert_eq!(text(&scene), before);
}

#[test]
fn v_d14_a_scope_that_could_be_a_path_or_a_repository_is_an_error() {
    let scene = Scene::new();
    scene.files(["w/link/", "example.com/r/"]);
    let before = text(&scene);
    for (name, path, is_name) in [
        ("w/link", "w/link", true),
        ("w/missing", "w/missing", true),
        ("./w/link", "w/link", false),
        ("w", "w", false),
        ("example.com/r", "example.com/r", true),
    ] {
        add(&scene, ["--effect", "deny", "--scope", name])
            .exited(2)
            .says("it could be a path or a repository")
            .says(&format!("--scope {}", scene.work(path).display()))
            .says("--op git-push-force");
        let ran = scene.pvm(["revoke", "--scope", name]);
        ran.exited(2);
        let hint = format!("for a repository:  --scope ssh://{name}");
        assert_eq!(ran.stderr_text().contains(&hint), is_name, "{ran}");
        assert_eq!(text(&scene), before, "{name}");
    }
    for (words, name) in [
        (&["--op", "git-push-force"][..], "w/link"),
        (&[], "example.org/r"),
        (&[], "localhost/r"),
        (&[], "git@host:r"),
    ] {
        let words = [&["--effect", "deny", "--scope", name], words].concat();
        add(&scene, words).succeeded();
        scene.pvm(["revoke", "--scope", &format!("ssh://{name}")]);
    }
    let json = scene.pvm(["rules", "list", "--json"]).succeeded().json();
    let scopes: Vec<_> = json["rules"].as_array().unwrap().iter().collect();
    let scopes: Vec<_> = scopes.iter().map(|rule| rule["scope"].clone()).collect();
    assert_eq!(scopes, ["w/link", "example.org/r", "localhost/r", "host/r"]);
}

#[test]
fn a_comment_in_a_list_stays_when_a_rule_goes() {
    let scene = Scene::new();
    let list = "[permissions]\nrules = [\n  # first\n  { effect = 'ask', op = 'rm' }, # a\n  \
                # second\n  { effect = 'ask', op = 'trash' }\n  , { effect = 'ask', op = 'exec' },\n]";
    scene.configure(list);
    let before = text(&scene);
    scene
        .pvm(["rules", "remove", "2"])
        .exited(125)
        .says("edit line 8 by hand");
    assert_eq!(text(&scene), before);
    scene.pvm(["rules", "remove", "1"]).succeeded();
    let expected = before.replace("  { effect = 'ask', op = 'rm' }, # a\n", "");
    assert_eq!(text(&scene), expected);
}
