use std::fs;

use super::{After, Ground, overwrote, plain_push};
use crate::support::{Plot, Ran, append, git_says, script};

/// Configuration, and words that cannot overwrite anything in it.
type Row = (&'static str, &'static [&'static str]);

const WORDS: &[Row] = &[
    ("", &["origin", "new"]),
    ("", &["origin", "reinforce"]),
    ("", &["origin", "behind", "reinforce", "new"]),
    ("", &["origin", "HEAD:new"]),
    ("", &["origin", "HEAD:refs/heads/new"]),
    ("", &["origin", "@:refs/heads/force"]),
    ("", &["origin", "main:refs/heads/--force"]),
    ("", &["origin", "refs/heads/main:refs/heads/-f"]),
    ("", &["origin", "main~1:refs/heads/older"]),
    ("", &["origin", "{C}:refs/heads/by-number"]),
    ("", &["origin", "refs/heads/n*:refs/heads/n*"]),
    ("", &["origin", "refs/heads/n*"]),
    ("", &["origin", "v2"]),
    ("", &["origin", "tag", "v2"]),
    ("", &["origin", "tag", "v1"]),
    ("", &["origin", "main:refs/notes/x"]),
    ("", &["origin", "main:refs/replace/x"]),
    ("", &["origin", "main:refs/pull/1/head"]),
    ("", &["origin", "new:NEW"]),
    ("", &["--tags", "origin"]),
    ("", &["--follow-tags", "origin", "new"]),
    ("", &["--all", "origin"]),
    ("", &["origin", ":"]),
    ("", &["origin", "main"]),
    ("", &["origin", "main", "new"]),
    ("", &["--atomic", "origin", "main", "new"]),
    ("", &["--atomic", "origin", "behind", "new"]),
    ("", &["--dry-run", "origin", "new"]),
    ("", &["-n", "origin", "new"]),
    ("", &["--porcelain", "origin", "behind", "new", "main"]),
    ("", &["--porcelain", "--dry-run", "origin", "new"]),
    ("", &["--quiet", "origin", "new"]),
    ("", &["-q", "origin", "main"]),
    ("", &["--no-verify", "origin", "new"]),
    ("", &["--no-thin", "--no-progress", "origin", "new"]),
    ("", &["--force-if-includes", "origin", "main"]),
    ("", &["-f", "--no-force", "origin", "main"]),
    ("", &["--force", "--no-force", "origin", "behind"]),
    (
        "",
        &[
            "--force-with-lease",
            "--no-force-with-lease",
            "origin",
            "main",
        ],
    ),
    ("", &["-d", "--no-delete", "origin", "new"]),
    ("", &["--mirror", "--no-mirror", "origin", "new"]),
    ("", &["--prune", "--no-prune", "origin", "new"]),
    ("", &["-u", "origin", "new"]),
    ("", &["-u", "origin", "HEAD:new"]),
    ("", &["-u", "origin", "behind", "new"]),
    ("", &["--set-upstream", "origin", "reinforce"]),
    ("", &["-u", "../origin.git", "new"]),
    ("", &["--repo=origin", "new"]),
    ("", &["--repo", "../origin.git"]),
    ("", &["--receive-pack=git-receive-pack", "origin", "new"]),
    ("", &["--signed=no", "origin", "new"]),
    ("", &["--signed=if-asked", "origin", "new"]),
    ("", &["--recurse-submodules=no", "origin", "new"]),
    ("", &["--recurse-submodules=check", "origin", "new"]),
    ("", &["-4", "origin", "new"]),
    ("", &["--", "origin", "new"]),
    ("", &["origin", "--", "new"]),
    ("", &["../origin.git", "new"]),
    ("", &["file://{plot}/origin.git", "new"]),
    ("", &["{plot}/origin.git", "new"]),
    ("", &["../origin", "new"]),
    ("", &["origin", "no-such-branch"]),
    ("", &["origin", "main:no-such-branch"]),
    ("", &["origin", "{C}:behind"]),
    ("", &[]),
    ("", &["origin"]),
    ("", &["-o", "ci.skip", "origin", "new"]),
    ("", &["--push-option=--force", "origin", "new"]),
    ("", &["-o", "-f", "origin", "new"]),
    ("", &["-o--mirror", "origin", "new"]),
];

const CONFIGURED: &[Row] = &[
    ("[push]\n\tdefault = nothing\n", &[]),
    ("[push]\n\tdefault = nothing\n", &["origin", "new"]),
    ("[push]\n\tdefault = matching\n", &[]),
    ("[push]\n\tdefault = matching\n", &["origin"]),
    ("[push]\n\tdefault = current\n", &[]),
    ("[push]\n\tdefault = simple\n", &[]),
    ("[push]\n\tdefault = upstream\n", &[]),
    ("[push]\n\tdefault = tracking\n", &[]),
    ("[push]\n\tdefault = upstream\n", &["origin", "behind"]),
    ("[push]\n\tdefault = bogus\n", &["origin", "new"]),
    (
        "[push]\n\tdefault = upstream\n[branch \"new\"]\n\tremote = origin\n\tmerge = refs/heads/else\n",
        &["origin", "new"],
    ),
    ("[push]\n\tfollowTags = true\n", &["origin", "new"]),
    (
        "[push]\n\tfollowTags = true\n",
        &["--no-follow-tags", "origin", "new"],
    ),
    ("[push]\n\tautoSetupRemote = true\n", &["origin", "new"]),
    ("[push]\n\trecurseSubmodules = check\n", &["origin", "new"]),
    ("[push]\n\tgpgSign = false\n", &["origin", "new"]),
    ("[push]\n\tpushOption = x\n", &["origin", "new"]),
    (
        "[remote \"origin\"]\n\tpush = refs/heads/main:refs/heads/elsewhere\n",
        &["origin", "main"],
    ),
    (
        "[remote \"origin\"]\n\tpush = refs/heads/*:refs/heads/backup/*\n",
        &["origin", "main"],
    ),
    (
        "[remote \"origin\"]\n\tpush = refs/heads/*:refs/heads/backup/*\n",
        &["origin"],
    ),
    (
        "[remote \"origin\"]\n\tpush = refs/heads/new\n\tpush = v2\n",
        &[],
    ),
    (
        "[remote \"origin\"]\n\tpush = +HEAD:main\n",
        &["origin", "main:behind"],
    ),
    (
        "[remote \"origin\"]\n\tmirror = false\n",
        &["origin", "new"],
    ),
    (
        "[remote \"origin\"]\n\treceivepack = git-receive-pack\n",
        &["origin", "new"],
    ),
    ("[alias]\n\tpush = push --force\n", &["origin", "main"]),
];

fn filled(words: &[&str], plot: &Plot) -> Vec<String> {
    let plot = plot.path("").display().to_string();
    words
        .iter()
        .map(|word| {
            word.replace("{C}", crate::support::C)
                .replace("{plot}", plot.trim_end_matches('/'))
        })
        .collect()
}

/// pvm lets go what plain git does without overwriting anything, and it comes to the same.
#[track_caller]
fn goes(rows: &[Row]) {
    let ground = Ground::new();
    for (number, (configuration, words)) in rows.iter().enumerate() {
        let both = ["control", "case"].map(|name| {
            let plot = ground.plot(&format!("{name}{number}"), configuration);
            for repository in [plot.origin(), plot.other()] {
                append(
                    &repository.join("config"),
                    "[receive]\n\tadvertisePushOptions\n",
                );
            }
            let words = filled(words, &plot);
            (plot, words)
        });
        let [(control, words), (plot, own_words)] = &both;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        println!("{words:?} {configuration:?}");
        let before = control.remote_refs();
        let ran = plain_push(control, &words);
        assert!(!overwrote(control, &before), "plain git overwrites: {ran}");
        let expected = After::of(&ran, control);
        let entries = ground.scene.trail().len();
        let ran = ground.push(plot, own_words);
        let after = After::of(&ran, plot);
        // What git refuses may be pvm's refusal instead.
        let refused = expected.code != Some(0)
            && matches!(ran.code, Some(1 | 2))
            && ran.stderr_text().starts_with("safe-git-push: ");
        assert_eq!(after.remotes, expected.remotes, "{words:?}: {ran}");
        let trail = ground.scene.trail();
        let new: Vec<_> = trail[entries..]
            .iter()
            .filter(|entry| entry["decision"] != "RESULT")
            .collect();
        assert_eq!(new.len(), 1, "{words:?}: {new:?}");
        if refused {
            assert_eq!(new[0]["decision"], "DENIED", "{words:?}: {new:?}");
        } else {
            assert_eq!(after, expected, "{words:?}: {ran}");
            ground.ran("git-push");
        }
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn p_d21_a_push_that_overwrites_nothing_goes_without_a_grant() {
    goes(WORDS);
}

#[test]
fn git_21_and_34_configuration_that_only_names_refs_goes_without_a_grant() {
    goes(CONFIGURED);
}

#[test]
fn p_d21_a_plain_push_is_recorded_with_what_it_reaches() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.push(&plot, ["origin", "new", "v2"]).exited(0);
    let entry = ground.ran("git-push");
    let origin = plot.origin().display().to_string();
    let scopes = ["refs/heads/new", "refs/tags/v2"].map(|name| format!("{origin}#{name}"));
    assert_eq!(entry["scopes"], serde_json::json!(scopes), "{entry}");
    assert_eq!(
        entry["argv"].as_array().unwrap()[1..],
        ["origin", "new", "v2"]
    );
    assert_eq!(entry["cwd"], plot.tree().display().to_string());
    assert_eq!(
        entry["resolved_path"],
        crate::support::real_git().display().to_string()
    );
}

#[test]
fn p_d21_the_configuration_can_ask_for_a_grant_or_deny_plain_pushes() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let origin = plot.origin().display().to_string();
    let words = ["origin", "new"];
    for (value, granted) in [("ask", true), ("deny", false)] {
        ground
            .scene
            .configure(&format!("git.plain_push = \"{value}\""));
        let before = plot.remote_refs();
        ground.push(&plot, words).denied().says(&origin);
        assert_eq!(plot.remote_refs(), before);
        assert_eq!(ground.scene.last_entry()["op"], "git-push");
        let grant = [
            "grant", "--op", "git-push", "--ttl", "10m", "--scope", &origin,
        ];
        let _a_rule_may_stand_against_it = ground.scene.pvm(grant);
        let ran = ground.push(&plot, words);
        assert_eq!(ran.code, Some(i32::from(!granted)), "{ran}");
        assert_eq!(plot.remote_refs() != before, granted);
    }
    ground.scene.configure("git.plain_push = \"allow\"");
    ground.push(&plot, ["origin", "reinforce"]).exited(0);
}

#[test]
fn git_50_push_options_reach_the_server_as_they_are() {
    let ground = Ground::new();
    let plot = ground.plot("one", "[push]\n\tpushOption = configured\n");
    let seen = plot.path("seen");
    append(
        &plot.origin().join("config"),
        "[receive]\n\tadvertisePushOptions\n",
    );
    hook(
        &plot.origin().join("hooks/pre-receive"),
        &format!("env | grep ^GIT_PUSH_OPTION | sort >'{}'", seen.display()),
    );
    ground.push(&plot, ["origin", "new"]).exited(0);
    let first = fs::read_to_string(&seen).unwrap();
    assert_eq!(
        first,
        "GIT_PUSH_OPTION_0=configured\nGIT_PUSH_OPTION_COUNT=1\n"
    );
    ground
        .push(&plot, ["-o", "ci.skip", "-o-f", "origin", "reinforce"])
        .exited(0);
    assert_eq!(
        fs::read_to_string(&seen).unwrap(),
        "GIT_PUSH_OPTION_0=ci.skip\nGIT_PUSH_OPTION_1=-f\nGIT_PUSH_OPTION_COUNT=2\n"
    );
}

pub(super) fn hook(at: &std::path::Path, line: &str) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    script(&format!("#!/bin/sh\n{line}\n"), at);
}

#[test]
fn git_37_the_hook_before_a_push_runs_and_is_told_the_same() {
    let ground = Ground::new();
    let [expected, got] = ["control", "case"].map(|name| {
        let plot = ground.plot(name, "");
        let seen = plot.path("seen");
        hook(
            &plot.tree().join(".git/hooks/pre-push"),
            &format!("{{ echo \"$2\"; cat; }} >'{}'", seen.display()),
        );
        let ran = if name == "case" {
            ground.push(&plot, ["origin", "new"])
        } else {
            plain_push(&plot, &["origin", "new"])
        };
        ran.exited(0);
        let told = fs::read_to_string(seen).unwrap();
        told.replace(&plot.origin().display().to_string(), "../origin.git")
    });
    assert_eq!(got, expected);
    let plot = ground.plot("refusing", "");
    hook(&plot.tree().join(".git/hooks/pre-push"), "exit 1");
    let before = plot.remote_refs();
    ground.push(&plot, ["origin", "new"]).exited(1);
    assert_eq!(plot.remote_refs(), before);
    ground
        .push(&plot, ["--no-verify", "origin", "new"])
        .exited(0);
    assert_ne!(plot.remote_refs(), before);
}

#[test]
fn git_36_submodules_are_not_pushed_along() {
    let ground = Ground::new();
    for configuration in [
        "[push]\n\trecurseSubmodules = on-demand\n",
        "[submodule]\n\trecurse = true\n",
    ] {
        let changed = ["control", "case"].map(|name| {
            let plot = ground.plot(&format!("{name}{}", configuration.len()), configuration);
            with_submodule(&plot);
            let before = crate::support::refs(&plot.path("inner.git"));
            if name == "case" {
                ground.push(&plot, ["origin", "new"]);
            } else {
                plain_push(&plot, &["origin", "new"]).exited(0);
            }
            crate::support::refs(&plot.path("inner.git")) != before
        });
        assert_eq!(changed, [true, false], "{configuration}");
    }
    let plot = ground.plot("asked", "");
    with_submodule(&plot);
    for word in [
        "--recurse-submodules=on-demand",
        "--recurse-submodules=only",
    ] {
        let before = plot.remote_refs();
        let ran: Ran = ground.push(&plot, [word, "origin", "new"]);
        assert!(matches!(ran.code, Some(1 | 2)), "{ran}");
        assert_eq!(plot.remote_refs(), before);
    }
}

/// Adds a submodule with a commit that its own remote does not have, and commits that on `new`.
fn with_submodule(plot: &Plot) {
    let inner = plot.tree().join("inner");
    crate::support::copy_all(&plot.origin(), &plot.path("inner.git"));
    let allowed = ["-c", "protocol.file.allow=always"];
    let tree = plot.tree();
    let git = |words: &[&str]| {
        let mut command = crate::support::git(&tree, allowed);
        Ran::of(command.args(words).envs(crate::support::identity())).exited(0);
    };
    git(&["checkout", "-q", "-f", "new"]);
    git(&[
        "submodule",
        "-q",
        "add",
        "-b",
        "old",
        "../inner.git",
        "inner",
    ]);
    let inside = |words: &[&str]| {
        let mut command = crate::support::git(&inner, words);
        Ran::of(command.envs(crate::support::identity())).exited(0);
    };
    inside(&["checkout", "-q", "-b", "new"]);
    inside(&["commit", "-q", "--allow-empty", "-m", "inside"]);
    git(&["add", "inner", ".gitmodules"]);
    git(&["commit", "-q", "-m", "with a submodule"]);
    assert!(git_says(&tree, ["ls-tree", "HEAD"]).contains("commit"));
}
