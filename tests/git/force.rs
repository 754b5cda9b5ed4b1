use super::{After, Ground, overwrote, plain_push};
use crate::support::{B, C, D};

/// Words that overwrite or remove something on the remote, and the configuration in which they do.
struct Row {
    name: &'static str,
    configuration: &'static str,
    words: &'static [&'static str],
}

const fn row(name: &'static str, words: &'static [&'static str]) -> Row {
    Row {
        name,
        configuration: "",
        words,
    }
}

const fn with(
    configuration: &'static str,
    name: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row {
        name,
        configuration,
        words,
    }
}

const OPTIONS: &[Row] = &[
    row("GIT-01", &["-f", "origin", "main"]),
    row("GIT-01", &["--force", "origin", "main"]),
    row("GIT-01", &["origin", "main", "--force"]),
    row("GIT-01", &["origin", "-f", "main:main"]),
    row("GIT-01", &["origin", "main", "-f"]),
    row("GIT-01", &["-f"]),
    row("GIT-01", &["-f", "--repo", "origin"]),
    row("GIT-01", &["-f", "--repo=origin"]),
    row("GIT-02", &["-fu", "origin", "main"]),
    row("GIT-02", &["-uf", "origin", "main"]),
    row("GIT-02", &["-qf", "origin", "main"]),
    row("GIT-02", &["-fq4", "origin", "main"]),
    row("GIT-05", &["--force-with-lease", "origin", "main"]),
    row("GIT-05", &["--force-with-lease=main", "origin", "main"]),
    row("GIT-05", &["--force-with-l", "origin", "main"]),
    row("GIT-05", &["--force-with-lease=main:{D}", "origin", "main"]),
    row("GIT-06", &["--force-w=main:{D}", "origin", "main"]),
    row("GIT-08", &["--no-force", "-f", "origin", "main"]),
    row(
        "GIT-09",
        &["--force", "--no-force-with-lease", "origin", "main"],
    ),
    row("GIT-14", &["--mirror", "origin"]),
    row("GIT-14", &["--mirr", "origin"]),
    row(
        "GIT-15",
        &["--prune", "origin", "refs/heads/*:refs/heads/*"],
    ),
    row("GIT-15", &["--prun", "origin", "refs/heads/*"]),
    row("GIT-15", &["--prune", "--all", "origin"]),
    row("GIT-16", &["--delete", "origin", "old"]),
    row("GIT-16", &["-d", "origin", "refs/heads/old"]),
    row("GIT-16", &["origin", "old", "--del"]),
    row("GIT-16", &["-qd", "origin", "old"]),
    row("GIT-17", &["--tags", "--force", "origin"]),
    row("GIT-17", &["-f", "origin", "v1"]),
    row("GIT-18", &["--all", "-f", "origin"]),
];

const REFSPECS: &[Row] = &[
    row("GIT-11", &["origin", "+main"]),
    row("GIT-11", &["origin", "+main:main"]),
    row("GIT-11", &["origin", "+HEAD"]),
    row("GIT-11", &["origin", "+@:main"]),
    row("GIT-11", &["origin", "+HEAD:refs/heads/main"]),
    row("GIT-11", &["origin", "+refs/heads/*:refs/heads/*"]),
    row("GIT-11", &["origin", "+refs/heads/t*:refs/heads/t*"]),
    row("GIT-11", &["origin", "+{B}:refs/heads/main"]),
    row("GIT-11", &["origin", "+main~1:main"]),
    row("GIT-11", &["origin", "new", "+main", "v2"]),
    row("GIT-12", &["origin", "+:"]),
    row("GIT-16", &["origin", ":old"]),
    row("GIT-16", &["origin", ":refs/heads/old"]),
    row("GIT-16", &["origin", "+:refs/heads/old"]),
    row("GIT-16", &["origin", "new", ":old"]),
    row("GIT-17", &["origin", "+v1"]),
    row("GIT-17", &["origin", "+refs/tags/v1"]),
    row("GIT-17", &["origin", ":v1"]),
    row("GIT-49", &["-f", "origin", "tag", "v1"]),
    row("GIT-01", &["-f", "origin", "main", "topic"]),
    row("GIT-01", &["-f", "--atomic", "origin", "main", "new"]),
    row(
        "GIT-01",
        &["-f", "--no-verify", "--no-thin", "origin", "main"],
    ),
    row("P-D6", &["-f", "--", "origin", "main"]),
    row("P-D6", &["-f", "origin", "--", "main"]),
];

const CONFIGURED: &[Row] = &[
    with("[remote \"origin\"]\n\tpush = +HEAD:main\n", "GIT-20", &[]),
    with(
        "[remote \"origin\"]\n\tpush = +HEAD:main\n",
        "GIT-20",
        &["origin"],
    ),
    with(
        "[remote \"origin\"]\n\tpush = +refs/heads/main:refs/heads/topic\n",
        "GIT-21",
        &["origin", "main"],
    ),
    with(
        "[remote \"origin\"]\n\tpush = +refs/heads/*:refs/heads/*\n",
        "GIT-21",
        &["origin", "main"],
    ),
    with(
        "[remote \"origin\"]\n\tpush = refs/heads/new\n\tpush = +main:topic\n",
        "GIT-20",
        &[],
    ),
    with("[remote \"origin\"]\n\tpush = :old\n", "GIT-20", &[]),
    with("[remote \"origin\"]\n\tmirror = true\n", "GIT-22", &[]),
    with("[remote \"origin\"]\n\tmirror\n", "GIT-22", &["origin"]),
    with(
        "[push]\n\tdefault = matching\n",
        "GIT-34",
        &["-f", "origin"],
    ),
    with("[push]\n\tdefault = current\n", "GIT-34", &["-f"]),
    with("[push]\n\tdefault = upstream\n", "GIT-34", &["-f"]),
    with("[push]\n\tdefault = tracking\n", "GIT-34", &["-f"]),
    with("[push]\n\tdefault = simple\n", "GIT-34", &["-f"]),
    with(
        "[push]\n\tdefault = upstream\n[branch \"main\"]\n\tmerge = refs/heads/topic\n",
        "GIT-34",
        &["-f", "origin", "main:topic"],
    ),
    with("[push]\n\tfollowTags = true\n", "GIT-35", &["-f"]),
    with(
        "[push]\n\tuseForceIfIncludes = true\n",
        "GIT-07",
        &["-f", "origin", "main"],
    ),
];

fn filled(words: &[&str]) -> Vec<String> {
    words
        .iter()
        .map(|word| word.replace("{B}", B).replace("{C}", C).replace("{D}", D))
        .collect()
}

/// Plain git overwrites something, pvm refuses, and under a grant on the repository the same
/// happens as with plain git.
#[track_caller]
fn needs_a_grant(rows: &[Row]) {
    let ground = Ground::new();
    for (number, row) in rows.iter().enumerate() {
        let words = filled(row.words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        println!("{} {words:?} {:?}", row.name, row.configuration);
        let control = ground.plot(&format!("control{number}"), row.configuration);
        let before = control.remote_refs();
        let ran = plain_push(&control, &words);
        assert!(overwrote(&control, &before), "plain git forces: {ran}");
        let expected = After::of(&ran, &control);

        let plot = ground.plot(&format!("case{number}"), row.configuration);
        let origin = plot.origin().display().to_string();
        ground.refuses(&plot, &words, &origin);
        ground.grant_force(&origin);
        let ran = ground.push(&plot, &words);
        let after = After::of(&ran, &plot);
        assert_eq!(after.remotes, expected.remotes, "{ran}");
        assert_eq!(after.code, expected.code, "{ran}");
        assert_eq!(after.local, expected.local, "{ran}");
        assert_eq!(after.configuration, expected.configuration, "{ran}");
        assert_eq!(after.stdout, expected.stdout, "{ran}");
        let entry = ground.ran("git-push-force");
        assert!(entry["scopes"].to_string().contains(&origin), "{entry}");
        assert!(entry["kept_refs"].is_array(), "{entry}");
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn git_01_to_18_every_option_that_forces_needs_a_grant() {
    needs_a_grant(OPTIONS);
}

#[test]
fn git_11_to_17_every_refspec_that_forces_needs_a_grant() {
    needs_a_grant(REFSPECS);
}

#[test]
fn git_20_to_35_configuration_that_forces_needs_a_grant() {
    needs_a_grant(CONFIGURED);
}

/// What git could force with, though here it does not.
#[test]
fn git_03_and_10_what_only_might_force_needs_a_grant_too() {
    let ground = Ground::new();
    let rows: &[&[&str]] = &[
        &["-nf", "origin", "main"],
        &["--dry-run", "--delete", "origin", "old"],
        &["--force", "origin", "new"],
        &["origin", "+new"],
        &["--force-with-lease=main:{C}", "origin", "main"],
        &[
            "--force-with-lease",
            "--force-if-includes",
            "origin",
            "main",
        ],
        &["--force-with-lease", "origin", "new"],
        &["--prune", "origin", "new"],
        &["origin", ":no-such-branch"],
    ];
    for (number, words) in rows.iter().enumerate() {
        let plot = ground.plot(&number.to_string(), "");
        let words = filled(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ground.refuses(&plot, &words, &plot.origin().display().to_string());
    }
}

#[test]
fn git_04_what_git_does_not_understand_is_wrong_usage() {
    let ground = Ground::new();
    let rows: &[&[&str]] = &[
        &["--forc", "origin", "main"],
        &["--for", "origin", "main"],
        &["--fo", "origin", "main"],
        &["-fz", "origin", "main"],
        &["--frobnicate", "origin", "main"],
        &["--force=yes", "origin", "main"],
        &["--delete", "origin"],
        &["--delete", "--all", "origin"],
        &["--all", "--mirror", "origin"],
        &["--mirror", "origin", "main"],
        &["-o"],
        &["--signed=perhaps", "origin", "main"],
    ];
    for (number, words) in rows.iter().enumerate() {
        let plot = ground.plot(&number.to_string(), "");
        let control = plain_push(&plot, words);
        assert_ne!(control.code, Some(0), "{words:?}: {control}");
        ground.grant_force(&plot.origin().display().to_string());
        ground.never(&plot, words, 2);
    }
}

#[test]
fn p_d22_a_grant_on_one_ref_allows_that_ref_and_no_other() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let origin = plot.origin().display().to_string();
    ground.grant_force(&format!("{origin}#refs/heads/main"));
    for words in [
        &["-f", "origin", "topic"] as &[&str],
        &["-f", "origin", "main", "topic"],
        &["-f", "origin", "main:topic"],
        &["origin", ":old"],
        &["-f", "origin", "v1"],
        &["-f", "other", "main"],
        &["--mirror", "origin"],
        &["-f", "--all", "origin"],
        &["origin", "+:"],
        &["--prune", "origin", "refs/heads/*"],
        &["-f", "../other.git", "main"],
    ] {
        let before = plot.remote_refs();
        let ran = ground.push(&plot, words);
        assert_ne!(ran.code, Some(0), "{words:?}: {ran}");
        assert_eq!(plot.remote_refs(), before, "{words:?}: {ran}");
    }
    ground.push(&plot, ["-f", "origin", "main"]).exited(0);
    assert_eq!(plot.remote_refs()["origin refs/heads/main"], C);
    assert_eq!(plot.remote_refs()["origin refs/heads/topic"], D);
    let entry = ground.ran("git-push-force");
    assert_eq!(
        entry["scopes"],
        serde_json::json!([format!("{origin}#refs/heads/main")])
    );
    ground.scene.assert_trail_intact();
}

#[test]
fn p_d13_a_grant_for_another_operation_or_repository_does_not_help() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let origin = plot.origin().display().to_string();
    ground.grant_force(&plot.other().display().to_string());
    ground.grant_force(&ground.first.origin().display().to_string());
    let words = [
        "grant", "--op", "git-push", "--ttl", "10m", "--scope", &origin,
    ];
    ground.scene.pvm(words).exited(0);
    ground.refuses(&plot, &["-f", "origin", "main"], &origin);
    let id = ground.grant_force(&origin);
    ground.scene.pvm(["revoke", &id]).exited(0);
    ground.refuses(&plot, &["-f", "origin", "main"], &origin);
}

/// What only one of several refspecs forces is not forced for the others.
#[test]
fn git_11_a_plus_before_a_pattern_forces_no_ref_that_is_named_without_one() {
    let ground = Ground::new();
    let words = ["origin", "behind:main", "+refs/heads/*:refs/heads/*"];
    let [control, plot] = ["control", "case"].map(|name| ground.plot(name, ""));
    plain_push(&control, &words).exited(1);
    assert_eq!(control.remote_refs()["origin refs/heads/main"], D);
    ground.grant_force(&plot.origin().display().to_string());
    ground.push(&plot, words).exited(1);
    assert_eq!(plot.remote_refs(), control.remote_refs());
}
