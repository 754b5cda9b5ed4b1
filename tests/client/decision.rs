use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use pvm::{Answer, Basis, Client, Command, Decision, ErrorKind};

use super::{client, command};
use crate::support::{Plot, Scene, copy};

#[track_caller]
fn ask_first(decision: &Decision) -> (&str, &str) {
    match decision {
        Decision::AskFirst { reason, hint, .. } => (reason, hint),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn denied(decision: &Decision) -> &str {
    match decision {
        Decision::Denied { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let scene = Scene::new();
    let client = shared(client(&scene));
    scene.files(["d/f"]);
    scene.grant(scene.work("d"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let decision = client.check(&command(&scene, ["rm", "d/f"])).unwrap();
                    assert!(decision.is_allowed());
                }
            });
        }
    });
    scene.assert_trail_intact();
}

#[test]
fn the_answer_is_what_the_wrapper_decides() {
    let scene = Scene::new();
    let deny = "[[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{}\"\n";
    scene.configure(&deny.replace("{}", scene.work("p").to_str().unwrap()));
    scene.files(["g/a", "g/b", "g/d/x", "o/a", "p/a"]);
    symlink(scene.work("p"), scene.work("g/link")).unwrap();
    scene.grant(scene.work("g"));
    let client = client(&scene);
    // Those that are allowed come last: asking and running must agree on what is still there.
    for words in [
        &["o/a"][..],
        &["o/missing"],
        &["g/a", "o/a"],
        &["p/a"],
        &["-r", "p"],
        &["g/link/a"],
        &["-r", "../state"],
        &["/"],
        &["g/.."],
        &["--no-preserve-root", "-r", "g"],
        &["--unknown", "g/a"],
        &[],
        &["../bin/safe-rm"],
        &["g/link"],
        &["g/a"],
        &["-f", "g/gone"],
        &["-r", "g/d"],
        &["--help"],
    ] {
        let asked = Command::new("rm", scene.work("")).args(words.iter().copied());
        let decision = client.evaluate(&asked).unwrap();
        let ran = scene.safe_rm(words);
        assert_eq!(
            decision.is_allowed(),
            ran.code == Some(0),
            "{words:?}: {decision:?}\n{ran}"
        );
    }
}

#[test]
fn asking_uses_nothing_up_and_runs_nothing() {
    let scene = Scene::new();
    scene.files(["d/f"]);
    let grant = scene.grant_with(scene.work("d"), ["--uses", "1"]);
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]);
    for _ in 0..3 {
        assert!(client.check(&remove).unwrap().is_allowed());
        assert!(client.evaluate(&remove).unwrap().is_allowed());
    }
    let counts = client.cache_statistics();
    assert_eq!(
        (counts.hits, counts.entries),
        (0, 0),
        "a use is not promised twice"
    );
    assert_eq!(scene.uses_left(&grant), Some(1));
    assert!(scene.work("d/f").exists());
    scene.safe_rm(["d/f"]).succeeded();
    assert!(
        !client
            .check(&command(&scene, ["rm", "d"]))
            .unwrap()
            .is_allowed()
    );
}

#[test]
fn each_answer_says_by_what_or_what_to_do() {
    let scene = Scene::new();
    let allow = "[[permissions.rules]]\neffect = \"allow\"\nop = \"rm\"\nscope = \"{}\"\n";
    scene.configure(&allow.replace("{}", scene.work("free").to_str().unwrap()));
    scene.files(["free/a", "d/f"]);
    let client = client(&scene);
    let evaluate = |words: [&str; 2]| client.evaluate(&command(&scene, words)).unwrap();
    let Decision::Allowed { by, .. } = evaluate(["rm", "free/a"]) else {
        panic!()
    };
    assert!(
        matches!(&by[..], [Basis::Rule { origin, .. }] if origin.contains("rule 1")),
        "{by:?}"
    );
    let asked = evaluate(["rm", "d/f"]);
    let (reason, hint) = ask_first(&asked);
    assert!(reason.contains("no active grant covers"), "{reason}");
    let words: Vec<&str> = hint.split(' ').skip(1).collect();
    scene.pvm(words).exited(0);
    let Decision::Allowed { by, .. } = evaluate(["rm", "d/f"]) else {
        panic!()
    };
    assert!(
        matches!(&by[..], [Basis::Grant { id, .. }] if id.len() == 26),
        "{by:?}"
    );
    assert!(denied(&evaluate(["rm", "/etc/.."])).contains("cannot be removed"));
    let Decision::Allowed { by, .. } = evaluate(["git", "status"]) else {
        panic!()
    };
    assert_eq!(by, [Basis::Unguarded]);
    assert!(denied(&evaluate(["git", "no-such-command"])).contains("may be an alias"));
    assert!(denied(&evaluate(["/bin/rm", "d/f"])).contains("wrapper of its own"));
    assert!(matches!(
        evaluate(["trash", "d/f"]),
        Decision::AskFirst { .. }
    ));
    assert!(evaluate(["trash", "--help"]).is_allowed());
}

#[test]
fn v_d10_words_are_not_joined_and_the_directory_counts() {
    let scene = Scene::new();
    scene.files(["other/"]);
    let client = client(&scene);
    let one = command(&scene, ["touch", "a b"]);
    let asked = client.evaluate(&one).unwrap();
    let (_, hint) = ask_first(&asked);
    assert!(
        hint.contains(" && pvm grant --ttl 30m -- touch 'a b'"),
        "{hint}"
    );
    scene.pvm(["grant", "--", "touch", "a b"]).exited(0);
    for _ in 0..2 {
        assert!(client.evaluate(&one).unwrap().is_allowed());
        let two = command(&scene, ["touch", "a", "b"]);
        ask_first(&client.evaluate(&two).unwrap());
        let elsewhere = Command::new("touch", scene.work("other")).arg("a b");
        ask_first(&client.evaluate(&elsewhere).unwrap());
    }
    assert_eq!(client.cache_statistics().hits, 3);
    assert!(!scene.work("a b").exists());
}

#[test]
fn v_d2_a_program_that_was_exchanged_is_another_command() {
    let scene = Scene::new();
    let tool = scene.work("tool");
    copy("/usr/bin/true".as_ref(), &tool);
    let client = client(&scene);
    let run = command(&scene, ["./tool"]);
    ask_first(&client.evaluate(&run).unwrap());
    scene.pvm(["grant", "--", "./tool"]).exited(0);
    assert!(client.evaluate(&run).unwrap().is_allowed());
    assert!(client.evaluate(&run).unwrap().is_allowed());
    copy("/usr/bin/false".as_ref(), &tool);
    ask_first(&client.evaluate(&run).unwrap());
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(denied(&client.evaluate(&run).unwrap()).contains("not trusted"));
}

#[test]
fn a_command_that_would_be_confined_leaves_no_directory_behind() {
    let scene = Scene::new();
    scene.files(["d/"]);
    let client = client(&scene);
    let scratch = || {
        let mine = format!("pvm-exec-{}-{}-", nix::unistd::getuid(), std::process::id());
        let names = fs::read_dir("/tmp")
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_str().is_some_and(|name| name.starts_with(&mine)))
            .count()
    };
    scene
        .pvm([
            "grant",
            "--op",
            "exec",
            "--scope",
            scene.work("d").to_str().unwrap(),
        ])
        .exited(0);
    let run = Command::new("touch", scene.work("d")).arg("x");
    for _ in 0..2 {
        assert!(client.check(&run).unwrap().is_allowed());
    }
    assert_eq!(
        client.cache_statistics().hits,
        0,
        "where it is confined to is looked at each time"
    );
    assert_eq!(scratch(), 0);
}

#[test]
fn grants_and_rules_for_an_agent_are_for_its_name() {
    let scene = Scene::new();
    scene.files(["d/f"]);
    scene.grant_with(scene.work("d"), ["--agent", "claude"]);
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]);
    for _ in 0..2 {
        assert!(
            client
                .evaluate(&remove.clone().agent("claude"))
                .unwrap()
                .is_allowed()
        );
        assert!(
            !client
                .evaluate(&remove.clone().agent("codex"))
                .unwrap()
                .is_allowed()
        );
        assert!(!client.evaluate(&remove).unwrap().is_allowed());
    }
    assert_eq!(client.cache_statistics().hits, 3);
    let error = client.evaluate(&remove.agent("no name")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn nothing_is_allowed_by_an_error() {
    let scene = Scene::bare();
    let at = scene.path("bin/pvm");
    let error = Client::of_installation(&at).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Vault);
    assert_eq!(error.advice(), Some("make one:  pvm init"));
    let nowhere = Client::of_installation(scene.path("bin/none")).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotInstalled);
    scene.pvm(["init", "--yes"]).succeeded();
    let client = Client::of_installation(&at).unwrap();
    scene.files(["d/f"]);
    scene.grant(scene.work("d"));
    let remove = command(&scene, ["rm", "d/f"]);
    assert!(client.evaluate(&remove).unwrap().is_allowed());
    let relative = Command::new("rm", "d").arg("f");
    assert_eq!(
        client.evaluate(&relative).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let nul = command(&scene, ["rm", "a\0b"]);
    assert_eq!(
        client.evaluate(&nul).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    scene.configure("no_such_key = 1");
    assert_eq!(
        client.evaluate(&remove).unwrap_err().kind(),
        ErrorKind::Configuration
    );
    assert_eq!(
        client.check(&remove).unwrap_err().kind(),
        ErrorKind::Configuration
    );
    scene.configure("");
    assert!(client.evaluate(&remove).unwrap().is_allowed());
    fs::rename(scene.vault(), scene.path("state/away")).unwrap();
    assert_eq!(
        client.evaluate(&remove).unwrap_err().kind(),
        ErrorKind::Vault
    );
    fs::rename(scene.path("state/away"), scene.vault()).unwrap();
    assert!(client.evaluate(&remove).unwrap().is_allowed());
}

#[test]
fn a_push_is_read_as_the_wrapper_reads_it() {
    let scene = Scene::new();
    let plot = Plot::lay_out(&scene.work("plot"));
    let before = plot.remote_refs();
    let client = client(&scene);
    let git = |words: &[&str]| Command::new("git", plot.tree()).args(words.iter().copied());
    let evaluate = |words: &[&str]| client.evaluate(&git(words)).unwrap();
    for words in [
        &["push", "origin", "main:refs/heads/new"][..],
        &["push", "--help"],
        &["log"],
        &["-C", ".", "status"],
    ] {
        assert!(evaluate(words).is_allowed(), "{words:?}");
    }
    for words in [
        &["push", "-f", "origin", "main"][..],
        &["-C", ".", "push", "origin", "+main"],
        &["push", "origin", ":main"],
    ] {
        let asked = evaluate(words);
        let (_, hint) = ask_first(&asked);
        assert!(
            hint.starts_with("pvm grant --op git-push-force --scope "),
            "{hint}"
        );
    }
    let direct = Command::new("safe-git-push", plot.tree()).args(["-f", "origin", "main"]);
    let asked = client.evaluate(&direct).unwrap();
    let (_, hint) = ask_first(&asked);
    // A shell takes the quotes away.
    let words = hint.split(' ').skip(1).map(|word| word.trim_matches('\''));
    scene.pvm(words).exited(0);
    assert!(client.evaluate(&direct).unwrap().is_allowed());
    assert!(evaluate(&["push", "-f", "origin", "main"]).is_allowed());
    let request = client.request(
        &git(&["push", "-f", "../other.git", "main"]),
        "",
        Duration::from_mins(1),
    );
    assert_eq!(
        client.wait(&request.unwrap(), Duration::ZERO).unwrap(),
        Answer::TimedOut
    );
    denied(&evaluate(&["push", "--no-such-option"]));
    denied(&evaluate(&["--no-such-option", "push"]));
    assert_eq!(plot.remote_refs(), before, "nothing was pushed");
}
