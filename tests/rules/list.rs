use std::process::Command;

use super::{rule, scope, with_rules};
use crate::support::{Ran, Scene, Terminal};

#[test]
fn without_rules_it_says_so() {
    let scene = Scene::new();
    let text = scene.pvm(["rules", "list"]).succeeded().stdout_text();
    assert!(
        text.starts_with("no rules\n") && text.contains("git.plain_push"),
        "{text}"
    );
    let json = scene.pvm(["rules", "list", "--json"]).succeeded().json();
    assert_eq!(
        json,
        serde_json::json!({ "rules": [], "plain_push": "allow" })
    );
    let tested = scene
        .pvm(["rules", "test", "--scope", "/tmp/x"])
        .exited(1)
        .stdout_text();
    assert_eq!(
        tested,
        "ASK rm /tmp/x: no rule matches, so only a grant permits it\n"
    );
}

#[test]
fn each_rule_is_listed_with_where_it_stands() {
    let scene = Scene::new();
    let rules = [
        rule(
            "effect = \"deny\"; scope = \"/srv/keep\"; reason = \"a\\u001b[2Kb\"; agent = \"claude\"",
        ),
        rule(
            "effect = \"allow\"; argv = [\"cargo\", \"a b\", \"**\"]; recorded_at = 2026-11-20T15:00:00Z",
        ),
        "[trash]\nworkspaces = [\"/srv/w\"]\n[git]\nplain_push = \"ask\"\n".to_owned(),
    ];
    with_rules(&scene, &rules);
    let text = scene.pvm(["rules", "list"]).succeeded().stdout_text();
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines[1],
        "1 deny rm,trash,exec /srv/keep claude a\\u{1b}[2Kb pvm.toml:3"
    );
    assert_eq!(lines[2], "2 allow exec cargo 'a b' ** any pvm.toml:8");
    assert_eq!(
        lines[3],
        "- allow trash below /srv/w any trash.workspaces, pvm.toml:13"
    );
    assert!(text.contains("needs a grant"), "{text}");
    let json = scene.pvm(["rules", "list", "--json"]).succeeded().json();
    assert_eq!(json["plain_push"], "ask");
    assert_eq!(
        json["rules"][1],
        serde_json::json!({
            "number": 2, "effect": "allow", "ops": ["exec"], "scope": null,
            "argv": ["cargo", "a b", "**"], "agent": null, "reason": "",
            "recorded_at": "2026-11-20T15:00:00.000Z", "origin": "rule 2 (pvm.toml:8)",
        })
    );
    assert_eq!(json["rules"][0]["reason"], "a\u{1b}[2Kb");
}

fn test(scene: &Scene, words: &[&str]) -> Ran {
    scene.pvm([&["rules", "test"], words].concat())
}

#[test]
fn a_command_is_tested_as_pvm_exec_would_find_it() {
    let scene = Scene::new();
    with_rules(
        &scene,
        &[
            rule("effect = \"allow\"; argv = [\"/usr/bin/true\", \"**\"]; reason = \"harmless\""),
            rule("effect = \"ask\"; argv = [\"true\", \"x\"]"),
            rule("effect = \"deny\"; argv = [\"*\", \"--never\"]"),
            rule("effect = \"deny\"; argv = [\"false\", \"**\"]; agent = \"claude\""),
        ],
    );
    let allowed = test(&scene, &["--", "true", "y"]).succeeded().stdout_text();
    assert_eq!(
        allowed,
        "ALLOW true y by rule 1 (pvm.toml:3): harmless\nmatching:\n  \
         rule 1 (pvm.toml:3): allow exec on /usr/bin/true **  (decides)\n"
    );
    let asked = test(&scene, &["--", "true", "x"]).exited(1).stdout_text();
    assert!(
        asked.starts_with("ASK true x by rule 2 (pvm.toml:7)\n"),
        "{asked}"
    );
    assert!(
        asked.contains("  rule 1 (pvm.toml:3): allow exec"),
        "{asked}"
    );
    let denied = test(&scene, &["--", "env", "true", "--never"])
        .exited(1)
        .stdout_text();
    assert!(
        denied.starts_with("DENY env true --never by rule 3"),
        "{denied}"
    );
    let json = test(&scene, &["--json", "--", "true", "--never"])
        .exited(1)
        .json();
    assert_eq!(
        (&json["decision"], &json["rule"]["number"]),
        (&"deny".into(), &3.into())
    );
    assert_eq!(json["matching"].as_array().unwrap().len(), 2);
    test(&scene, &["--agent", "claude", "--", "false"]).exited(1);
    let other = test(&scene, &["--", "false"]).exited(1).stdout_text();
    assert!(other.starts_with("ASK false: no rule matches"), "{other}");
    let missing = test(&scene, &["--", "no-such-program", "--never"])
        .exited(1)
        .stdout_text();
    assert!(missing.starts_with("DENY no-such-program"), "{missing}");
    assert!(missing.contains("note: pvm exec would refuse it: 'no-such-program' is not on PATH"));
    assert_eq!(scene.trail().len(), 1, "nothing is recorded");
}

#[test]
fn a_command_that_is_not_looked_for_is_compared_by_its_words() {
    let scene = Scene::new();
    let rules = rule("effect = \"allow\"; argv = [\"/usr/bin/true\", \"**\"]");
    with_rules(&scene, std::slice::from_ref(&rules));
    test(&scene, &["--", "true"]).succeeded();
    with_rules(
        &scene,
        &["permissions.resolve_commands = false\n".to_owned(), rules],
    );
    test(&scene, &["--", "true"]).exited(1);
    test(&scene, &["--", "/usr/bin/true"]).succeeded();
}

#[test]
fn an_operation_is_tested_with_everything_below_its_scope() {
    let scene = Scene::new();
    scene.files(["a/keep/f"]);
    let keep = scope(scene.work("a/keep"));
    with_rules(&scene, &[rule(&format!("effect = \"deny\"; {keep}"))]);
    let directory = scene.work("a");
    let on = |op: &str| {
        test(
            &scene,
            &["--op", op, "--scope", directory.to_str().unwrap()],
        )
    };
    assert!(on("rm").exited(1).stdout_text().starts_with("DENY rm "));
    assert!(
        on("trash")
            .exited(1)
            .stdout_text()
            .starts_with("DENY trash ")
    );
    assert!(on("exec").exited(1).stdout_text().starts_with("ASK exec "));
    let push = test(&scene, &["--op", "git-push", "--scope", "github.com/o/r"]);
    assert!(
        push.succeeded()
            .stdout_text()
            .starts_with("ALLOW git-push github.com/o/r: ")
    );
}

#[test]
fn what_is_asked_about_has_to_be_said_once() {
    let scene = Scene::new();
    for words in [
        &[][..],
        &["--op", "rm"],
        &["--scope", "/tmp/x", "--", "true"],
        &["true"],
    ] {
        test(&scene, words).exited(2);
    }
    test(&scene, &["--", "rm", "x"])
        .exited(2)
        .says("pvm rules test --op");
}

#[test]
fn a_rule_does_not_allow_a_program_that_can_be_changed() {
    let scene = Scene::new();
    let program = scene.work("tool");
    let copied = Command::new("/bin/cp")
        .arg("/usr/bin/true")
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let words = rule(&format!(
        "effect = \"allow\"; argv = [\"{}\"]",
        program.display()
    ));
    with_rules(&scene, &[words]);
    let ran = test(&scene, &["--", program.to_str().unwrap()]);
    if crate::support::is_root() {
        // Root's own file in root's own directories is nobody else's to change; /tmp is.
        assert!(ran.code.is_some_and(|code| code < 2), "{ran}");
    } else {
        let text = ran.exited(1).stdout_text();
        assert!(
            text.contains("but not a program that its owner can change"),
            "{text}"
        );
    }
}

#[test]
fn a_narrow_terminal_has_the_reasons_below_the_rules() {
    let scene = Scene::new();
    let long = "r".repeat(60);
    with_rules(
        &scene,
        &[
            rule("effect = \"ask\"; op = \"trash\""),
            rule(&format!(
                "effect = \"deny\"; op = \"rm\"; reason = \"{long}\""
            )),
        ],
    );
    for (columns, is_narrow) in [(80, true), (200, false)] {
        let line = format!("stty rows 24 cols {columns}; pvm rules list");
        let (status, text) = Terminal::start(&scene, &line, []).ends();
        assert_eq!(status, Some(0));
        let below = format!("reasons:\r\n  rule 2 (pvm.toml:6): {long}\r\n");
        assert_eq!(text.contains(&below), is_narrow, "{text}");
        assert_eq!(text.contains("REASON"), !is_narrow, "{text}");
        assert_eq!(text.matches(&long).count(), 1);
    }
}
