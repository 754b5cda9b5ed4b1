use super::{rule, scope, with_rules};
use crate::support::Scene;

#[test]
fn check_says_what_the_real_decision_would_say() {
    let scene = Scene::new();
    scene.files(["a/keep/f", "a/g", "b/f", "c/f"]);
    let rules = [
        rule(&format!(
            "effect = \"allow\"; op = \"rm\"; {}",
            scope(scene.work("a"))
        )),
        rule(&format!(
            "effect = \"deny\"; {}; reason = \"mine\"",
            scope(scene.work("a/keep"))
        )),
        rule(&format!("effect = \"ask\"; {}", scope(scene.work("b")))),
    ];
    with_rules(&scene, &rules);
    for (below, answer) in [
        ("a/g", "GRANTED rm {} by rule 1 (pvm.toml:3)\n"),
        ("a", "DENIED rm {}: rule 2 (pvm.toml:7) denies it: mine\n"),
        (
            "a/keep/f",
            "DENIED rm {}: rule 2 (pvm.toml:7) denies it: mine\n",
        ),
        (
            "b/f",
            "DENIED rm {}: rule 3 (pvm.toml:11) asks, and no active grant covers it\n",
        ),
        ("c/f", "DENIED rm {}: no active grant covers it\n"),
    ] {
        let path = scene.work(below);
        let path = path.to_str().unwrap();
        let ran = scene.pvm(["check", "--scope", path]);
        assert_eq!(ran.stdout_text(), answer.replace("{}", path));
        let granted = answer.starts_with("GRANTED");
        ran.exited(i32::from(!granted));
        // The control: the wrapper says the same.
        scene.safe_rm(["-r", path]).exited(i32::from(!granted));
        assert_eq!(scene.work(below).exists(), !granted, "{below}");
    }
    let path = scene.work("b/f");
    let ask = ["check", "--json", "--scope", path.to_str().unwrap()];
    let answer = scene.pvm(ask).exited(1).json();
    assert_eq!(answer["rule"], "rule 3 (pvm.toml:11)");
    scene.grant(&path);
    let answer = scene.pvm(ask).succeeded().json();
    assert!(answer["grant"]["id"].is_string());
}

#[test]
fn check_knows_what_belongs_to_pvm() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let vault = scene.vault();
    scene
        .pvm(["check", "--scope", vault.to_str().unwrap()])
        .exited(1);
    let text = scene
        .pvm(["check", "--scope", vault.to_str().unwrap()])
        .stdout_text();
    assert!(text.contains("it is the vault"), "{text}");
}

#[test]
fn check_takes_repositories_for_pushes() {
    let scene = Scene::new();
    with_rules(
        &scene,
        &[rule(
            "effect = \"deny\"; op = \"git-push-force\"; scope = \"github.com/o/r#refs/heads/main\"",
        )],
    );
    let check = |op: &str, scope: &str| scene.pvm(["check", "--op", op, "--scope", scope]);
    let plain = check("git-push", "github.com/o/r");
    assert!(plain.succeeded().stdout_text().contains("git.plain_push"));
    for scope in ["github.com/o/r", "github.com/o/r#refs/heads/main"] {
        let denied = check("git-push-force", scope).exited(1).stdout_text();
        assert!(denied.contains("rule 1"), "{denied}");
    }
    let other = check("git-push-force", "github.com/o/r#refs/heads/x")
        .exited(1)
        .stdout_text();
    assert!(other.ends_with(": no active grant covers it\n"), "{other}");
    let by_url = check("git-push-force", "https://github.com/o/r.git")
        .exited(1)
        .stdout_text();
    assert!(
        by_url.starts_with("DENIED git-push-force github.com/o/r: rule 1"),
        "{by_url}"
    );
    scene.configure("git.plain_push = \"deny\"");
    let denied = check("git-push", "github.com/o/r").exited(1).stdout_text();
    assert!(denied.contains("the configuration denies it"), "{denied}");
}

#[test]
fn a_scope_is_for_operations_of_one_kind() {
    let scene = Scene::new();
    let mixed = ["grant", "--op", "rm,git-push-force", "--scope", "/tmp/x"];
    scene.pvm(mixed).exited(2).says("some of these take a path");
    scene
        .pvm(["grant", "--scope", "github.com/o/r"])
        .exited(2)
        .says("not an absolute path")
        .says("for a repository:  --op git-push-force");
    let push = [
        "grant",
        "--op",
        "git-push-force",
        "--scope",
        "github.com/o/r",
    ];
    scene.pvm(push).succeeded();
    let check = [
        "check",
        "--op",
        "git-push-force",
        "--scope",
        "github.com/o/r#refs/heads/x",
    ];
    scene.pvm(check).succeeded();
    let revoked = scene.pvm(["revoke", "--scope", "github.com/o/r"]);
    assert!(revoked.succeeded().stdout_text().starts_with("revoked "));
    scene.pvm(check).exited(1);
}
