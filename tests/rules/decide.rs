use std::os::unix::fs::symlink;

use super::{named, rule, scope, with_rules};
use crate::support::{Ran, Scene, in_namespace};

#[test]
fn an_allow_needs_no_grant() {
    let scene = Scene::new();
    scene.files(["a/f", "b/f"]);
    scene.safe_rm(["a/f"]).denied();
    let keys = format!(
        "effect = \"allow\"; op = \"rm\"; {}",
        scope(scene.work("a"))
    );
    with_rules(&scene, &[rule(&keys)]);
    scene.safe_rm(["a/f"]).succeeded();
    assert!(!scene.work("a/f").exists());
    let entry = scene.last_entry();
    assert_eq!(
        (&entry["event_type"], &entry["decision"]),
        (&"EXECUTION".into(), &"SUCCESS".into())
    );
    assert_eq!(named(&entry), "[\"rule 1 (pvm.toml:3)\"]");
    assert!(entry.get("grant_ids").is_none(), "{entry}");
    scene
        .safe_rm(["b/f"])
        .denied()
        .says("no active grant covers");
    assert!(scene.work("b/f").exists());
}

#[test]
fn v_d19_an_allow_for_one_path_does_not_allow_the_other() {
    let scene = Scene::new();
    scene.files(["a/f", "b/f"]);
    let keys = format!(
        "effect = \"allow\"; op = \"rm\"; {}",
        scope(scene.work("a"))
    );
    with_rules(&scene, &[rule(&keys)]);
    scene.safe_rm(["a/f", "b/f"]).denied();
    assert!(scene.work("a/f").exists() && scene.work("b/f").exists());
    scene.grant(scene.work("b"));
    scene.safe_rm(["a/f", "b/f"]).succeeded();
    let entry = scene.last_entry();
    assert!(named(&entry).contains("rule 1") && entry["grant_ids"].as_array().unwrap().len() == 1);
}

#[test]
fn an_ask_beats_an_allow_and_leaves_it_to_a_grant() {
    let scene = Scene::new();
    scene.files(["a/f", "a/g"]);
    let allow = format!(
        "effect = \"allow\"; op = \"rm\"; {}",
        scope(scene.work("a"))
    );
    let ask = format!(
        "effect = \"ask\"; op = \"rm\"; {}",
        scope(scene.work("a/f"))
    );
    with_rules(&scene, &[rule(&allow), rule(&ask)]);
    scene.safe_rm(["a/f"]).denied().says("pvm grant --op rm");
    scene.safe_rm(["a/g"]).succeeded();
    scene.grant(scene.work("a"));
    scene.safe_rm(["a/f"]).succeeded();
    assert!(scene.last_entry().get("rules").is_none());
}

#[test]
fn a_deny_beats_a_live_grant_and_says_which_rule_it_is() {
    let scene = Scene::new();
    scene.files(["a/keep/f", "a/other"]).grant(scene.work("a"));
    let deny = format!(
        "effect = \"deny\"; {}; reason = \"mine\\u001b[2K\"",
        scope(scene.work("a/keep"))
    );
    with_rules(&scene, &[rule(&deny)]);
    let ran = scene.safe_rm(["-r", "a/keep/f"]);
    ran.denied()
        .says("rule 1 (pvm.toml:3) denies rm on")
        .says(": mine\\u{1b}[2K")
        .says("pvm rules list");
    let entry = scene.last_entry();
    assert_eq!(entry["decision"], "DENIED");
    assert_eq!(named(&entry), "[\"rule 1 (pvm.toml:3)\"]");
    assert_eq!(entry["reason"], "a rule denies it: mine\u{1b}[2K");
    assert!(scene.work("a/keep/f").exists());
    scene.safe_rm(["a/other"]).succeeded();
}

#[test]
fn a_deny_below_a_directory_keeps_the_directory() {
    let scene = Scene::new();
    scene
        .files(["a/deep/keep/f", "a/g", "b/f"])
        .grant(scene.work(""));
    let deny = rule(&format!(
        "effect = \"deny\"; {}",
        scope(scene.work("a/deep/keep"))
    ));
    with_rules(&scene, &[deny]);
    for words in [
        &["-r", "a"][..],
        &["-rf", "a/deep"],
        &["-rf", "b", "a"],
        &["-r", "a/deep/keep"],
    ] {
        scene.safe_rm(words).denied().says("rule 1");
        assert!(
            scene.work("a/deep/keep/f").exists() && scene.work("b/f").exists(),
            "{words:?}"
        );
    }
    // Without -r the directory does not go.
    scene.safe_rm(["a"]).exited(1).says("Is a directory");
    with_rules(&scene, &[]);
    scene.safe_rm(["-r", "a"]).succeeded();
}

#[test]
fn a_deny_holds_behind_a_link_in_its_scope_and_for_the_link() {
    let scene = Scene::new();
    scene
        .files(["real/keep/f", "real/g", "via/"])
        .grant(scene.work(""));
    symlink("real", scene.work("link")).unwrap();
    symlink("../real/keep", scene.work("via/last")).unwrap();
    symlink("via", scene.work("through")).unwrap();
    for denied in ["link/keep", "through/last", "through/last/f"] {
        let deny = rule(&format!("effect = \"deny\"; {}", scope(scene.work(denied))));
        with_rules(&scene, &[deny]);
        for words in [
            &["-r", "real/keep/f"][..],
            &["-r", "link/keep/f"],
            &["-r", "through/last/f"],
            &["-r", "real"],
        ] {
            scene.safe_rm(words).denied().says("rule 1");
            assert!(scene.work("real/keep/f").exists(), "{denied} {words:?}");
        }
        scene.files(["real/g"]).safe_rm(["link/g"]).succeeded();
    }
    let deny = rule(&format!(
        "effect = \"deny\"; {}",
        scope(scene.work("through/last"))
    ));
    with_rules(&scene, &[deny]);
    scene.safe_rm(["via/last"]).denied().says("rule 1");
    assert!(scene.work("via/last").is_symlink());
    with_rules(&scene, &[]);
    scene.safe_rm(["via/last", "real/keep/f"]).succeeded();
}

#[test]
fn an_allow_behind_a_link_allows_nothing() {
    let scene = Scene::new();
    scene.files(["real/f"]);
    symlink("real", scene.work("link")).unwrap();
    let allow = format!(
        "effect = \"allow\"; op = \"rm\"; {}",
        scope(scene.work("link"))
    );
    with_rules(&scene, &[rule(&allow)]);
    scene.safe_rm(["real/f"]).denied();
    scene.safe_rm(["link/f"]).denied();
    assert!(scene.work("real/f").exists());
}

#[test]
fn a_deny_for_what_is_not_there_yet_holds_once_it_is() {
    let scene = Scene::new();
    scene.files(["real/"]).grant(scene.work(""));
    symlink("real", scene.work("link")).unwrap();
    let deny = rule(&format!(
        "effect = \"deny\"; {}",
        scope(scene.work("link/later/f"))
    ));
    with_rules(&scene, &[deny]);
    scene
        .safe_rm(["-f", "real/later/f"])
        .denied()
        .says("rule 1");
    scene.files(["real/later/f"]);
    scene
        .safe_rm(["-f", "real/later/f"])
        .denied()
        .says("rule 1");
    scene.safe_rm(["-rf", "real"]).denied().says("rule 1");
}

#[test]
fn a_deny_holds_where_its_directory_is_mounted_a_second_time() {
    let scene = Scene::new();
    scene
        .files(["real/keep/f", "bound/", "above/"])
        .grant(scene.work(""));
    let deny = rule(&format!(
        "effect = \"deny\"; {}",
        scope(scene.work("real/keep"))
    ));
    for word in ["bound/f", "above/keep"] {
        let script = format!(
            "mount --bind real/keep bound && mount --bind real above && exec \"$BIN\"/safe-rm -r {word}"
        );
        with_rules(&scene, std::slice::from_ref(&deny));
        let Some(ran) = in_namespace(&scene, "a deny under a second name", &script) else {
            return;
        };
        ran.denied().says("rule 1");
        assert!(scene.work("real/keep/f").exists(), "{word}");
        with_rules(&scene, &[]);
        in_namespace(&scene, "the same without a rule", &script)
            .unwrap()
            .succeeded();
        assert!(!scene.work("real/keep/f").exists(), "{word}");
        scene.files(["real/keep/f"]);
    }
}

#[test]
fn the_wrapper_is_held_to_the_rules_of_its_agent() {
    let scene = Scene::new();
    scene.files(["a/f"]);
    let allow = format!(
        "effect = \"allow\"; op = \"rm\"; agent = \"claude\"; {}",
        scope(scene.work("a"))
    );
    with_rules(&scene, &[rule(&allow)]);
    let run = |name: &str| {
        Ran::of(
            scene
                .command("safe-rm")
                .env("PVM_AGENT_ID", name)
                .arg("a/f"),
        )
    };
    run("codex").denied();
    scene.safe_rm(["a/f"]).denied();
    run("claude").succeeded();
    scene.files(["a/f"]).grant(scene.work("a"));
    let deny = format!(
        "effect = \"deny\"; agent = \"claude\"; {}",
        scope(scene.work("a"))
    );
    with_rules(&scene, &[rule(&deny)]);
    run("claude").denied().says("rule 1");
    run("codex").succeeded();
}

#[test]
fn a_rule_for_another_operation_is_not_for_rm() {
    let scene = Scene::new();
    scene.files(["a/f"]);
    let allow = format!(
        "effect = \"allow\"; op = [\"trash\", \"exec\"]; {}",
        scope(scene.work("a"))
    );
    with_rules(
        &scene,
        &[
            rule(&allow),
            format!(
                "[trash]\nworkspaces = [\"{}\"]\n",
                scene.work("b").display()
            ),
        ],
    );
    scene.safe_rm(["a/f"]).denied();
    scene.grant(scene.work("a"));
    let deny = format!(
        "effect = \"deny\"; op = \"trash\"; {}",
        scope(scene.work("a"))
    );
    with_rules(&scene, &[rule(&deny)]);
    scene.safe_rm(["a/f"]).succeeded();
}

#[test]
fn a_rule_holds_for_the_next_command_and_one_that_is_gone_does_not() {
    let scene = Scene::new();
    scene.files(["a/f", "a/g"]);
    let directory = scene.work("a");
    let path = directory.to_str().unwrap();
    scene.safe_rm(["a/f"]).denied();
    scene
        .pvm([
            "rules", "add", "--effect", "allow", "--op", "rm", "--scope", path,
        ])
        .succeeded();
    scene.safe_rm(["a/f"]).succeeded();
    scene.pvm(["rules", "remove", "1"]).succeeded();
    scene.safe_rm(["a/g"]).denied();
    assert!(scene.work("a/g").exists());
    scene.assert_trail_intact();
}

#[test]
fn an_allow_does_not_reach_what_belongs_to_pvm() {
    let scene = Scene::new();
    scene.files(["f"]);
    let allow = format!("effect = \"allow\"; op = \"rm\"; {}", scope(scene.path("")));
    with_rules(&scene, &[rule(&allow)]);
    for own in ["state/vault.db", "etc/pvm/pvm.toml", "bin/pvm"] {
        let path = scene.path(own);
        scene.safe_rm([path.as_os_str()]).denied();
        assert!(path.exists(), "{own}");
    }
    scene.safe_rm(["f"]).succeeded();
}

#[test]
fn what_leads_nowhere_does_not_take_the_other_rules_with_it() {
    let scene = Scene::new();
    scene.files(["a/f"]).grant(scene.work(""));
    symlink("loop", scene.work("loop")).unwrap();
    let denied = ["loop/x", "a/f/x", "a/f"];
    let rules =
        denied.map(|below| rule(&format!("effect = \"deny\"; {}", scope(scene.work(below)))));
    with_rules(&scene, &rules);
    scene.safe_rm(["a/f"]).denied().says("rule 3");
}
