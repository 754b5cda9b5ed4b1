use serde_json::Value;

use super::Ground;
use super::between::Waiting;
use crate::support::{C, D, Plot, Ran, git, git_says, is_ancestor, refs, tracing};

/// Returns the kept refs of an entry: what was overwritten, its old value, and where it is kept.
fn kept(entry: &Value) -> Vec<[String; 3]> {
    let list = entry["kept_refs"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|line| {
            let words: Vec<&str> = line.as_str().unwrap().split(' ').collect();
            assert_eq!(words.len(), 3, "{line}");
            [0, 1, 2].map(|at| words[at].to_owned())
        })
        .collect()
}

/// Returns the command that pvm prints to bring back what an entry overwrote.
fn undo(ground: &Ground, plot: &Plot, entry: &Value) -> String {
    let mut command = ground.scene.command("pvm");
    let number = entry["entry"].to_string();
    let ran = Ran::of(command.args(["undo", &number]).current_dir(plot.tree()));
    let shown = ran.exited(0).stdout_text();
    let line = shown
        .lines()
        .find(|line| line.contains("git-push") || line.contains("git push"));
    line.unwrap_or_else(|| panic!("no command in: {ran}"))
        .trim()
        .to_owned()
}

fn in_shell(ground: &Ground, plot: &Plot, line: &str) -> Ran {
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", line])
        .env_clear()
        .env("PATH", ground.search_path())
        .current_dir(plot.tree());
    Ran::of(&mut command)
}

#[test]
fn what_a_forced_push_overwrites_is_kept_and_can_be_brought_back() {
    let ground = Ground::new();
    for (number, words) in [
        &["-f", "origin", "main"] as &[&str],
        &["--force-with-lease", "origin", "main"],
        &["origin", "+main"],
        &["origin", ":main"],
        &["--delete", "origin", "main"],
    ]
    .into_iter()
    .enumerate()
    {
        let plot = ground.plot(&number.to_string(), "");
        let origin = plot.origin().display().to_string();
        let grant = ground.grant_force(&format!("{origin}#refs/heads/main"));
        let before = plot.remote_refs();
        ground.push(&plot, words).exited(0);
        assert_ne!(plot.remote_refs(), before, "{words:?}");
        let entry = ground.ran("git-push-force");
        let kept = kept(&entry);
        let [[name, old, backup]] = kept.as_slice() else {
            panic!("{entry}")
        };
        assert!(name.ends_with("refs/heads/main"), "{entry}");
        assert_eq!(old, D);
        assert!(backup.starts_with("refs/pvm/backup/"), "{entry}");
        assert_eq!(refs(&plot.tree())[backup], D);

        let line = undo(&ground, &plot, &entry);
        ground.scene.pvm(["revoke", &grant]).exited(0);
        in_shell(&ground, &plot, &line).denied().says(&origin);
        assert_ne!(plot.remote_refs(), before, "{line}");
        ground.grant_force(&format!("{origin}#refs/heads/main"));
        in_shell(&ground, &plot, &line).exited(0);
        assert_eq!(plot.remote_refs(), before, "{line}");
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn what_only_the_remote_has_is_fetched_before_it_is_overwritten() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    let theirs = plot.somebody_pushes("main");
    let unknown = git(&plot.tree(), ["cat-file", "-e", &theirs]).status();
    assert!(!unknown.unwrap().success(), "nobody has it here");
    ground.push(&plot, ["-f", "origin", "main"]).exited(0);
    let entry = ground.ran("git-push-force");
    let kept = kept(&entry);
    assert_eq!(kept.len(), 1, "{entry}");
    assert_eq!(kept[0][1], theirs);
    assert_eq!(refs(&plot.tree())[&kept[0][2]], theirs);
    assert!(is_ancestor(&plot.tree(), D, &theirs));
    // What is kept survives a clean-up.
    git_says(&plot.tree(), ["gc", "-q", "--prune=now"]);
    assert_eq!(
        git_says(&plot.tree(), ["cat-file", "-t", &theirs]),
        "commit"
    );
    assert_eq!(plot.local_refs()["refs/remotes/origin/main"], C);
}

#[test]
fn every_ref_that_a_push_overwrites_is_kept() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    let before = refs(&plot.origin());
    let theirs = plot.somebody_pushes("old");
    ground.push(&plot, ["--mirror", "origin"]).exited(0);
    let after = refs(&plot.origin());
    let entry = ground.ran("git-push-force");
    let kept = kept(&entry);
    for (name, old) in &before {
        let old = if name == "refs/heads/old" {
            &theirs
        } else {
            old
        };
        if after.get(name) != Some(old) {
            let found = kept.iter().find(|line| line[0].ends_with(name.as_str()));
            // A ref that only moves forward loses nothing.
            if name != "refs/heads/behind" {
                let [_, value, backup] = found.unwrap_or_else(|| panic!("{name}: {entry}"));
                assert_eq!(value, old);
                assert_eq!(&refs(&plot.tree())[backup], old);
            }
        }
    }
}

#[test]
fn git_54_a_remote_that_moves_before_the_push_is_not_overwritten() {
    if !tracing("a remote that moves between the decision and the push") {
        return;
    }
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    for words in [&["-f", "origin", "main"] as &[&str], &["origin", ":main"]] {
        let waiting = Waiting::start(&ground.push_command(&plot.tree(), words));
        let theirs = plot.somebody_pushes("main");
        let ran = waiting.finish();
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(refs(&plot.origin())["refs/heads/main"], theirs, "{ran}");
    }
}

#[test]
fn git_54_a_remote_that_moves_while_pvm_decides_is_kept_as_it_is_then() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    let held = ground.hold();
    let running = held.start(&mut ground.push_command(&plot.tree(), ["-f", "origin", "main"]));
    let theirs = plot.somebody_pushes("main");
    drop(held);
    let ran = running.finish();
    let now = refs(&plot.origin())["refs/heads/main"].clone();
    if now == theirs {
        assert_ne!(ran.code, Some(0), "{ran}");
        return;
    }
    let kept_there = refs(&plot.tree());
    let backups = kept_there
        .iter()
        .filter(|(name, _)| name.starts_with("refs/pvm/backup/"));
    let found = backups.into_iter().any(|(_, value)| *value == theirs);
    assert!(found, "nothing of theirs is lost: {kept_there:#?}");
}

#[test]
fn without_anything_to_overwrite_nothing_is_kept() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    ground.push(&plot, ["-f", "origin", "new"]).exited(0);
    assert_eq!(
        kept(&ground.ran("git-push-force")),
        Vec::<[String; 3]>::new()
    );
    let plot = ground.plot("dry", "");
    ground.grant_force(&plot.origin().display().to_string());
    let before = plot.remote_refs();
    ground.push(&plot, ["-nf", "origin", "main"]).exited(0);
    assert_eq!(plot.remote_refs(), before);
}

/// Deletions that no lease protects would take what came after the look.
#[test]
fn git_15_and_54_a_branch_that_appears_before_a_prune_is_not_lost() {
    if !tracing("a branch that appears between the decision and the push") {
        return;
    }
    let ground = Ground::new();
    for (number, words) in [
        &["--prune", "origin", "refs/heads/*:refs/heads/*"] as &[&str],
        &["--mirror", "origin"],
        &["-f", "origin", "refs/heads/*:refs/heads/*"],
    ]
    .into_iter()
    .enumerate()
    {
        let plot = ground.plot(&number.to_string(), "");
        ground.grant_force(&plot.origin().display().to_string());
        let waiting = Waiting::start(&ground.push_command(&plot.tree(), words));
        git_says(&plot.origin(), ["update-ref", "refs/heads/late", D]);
        let theirs = plot.somebody_pushes("late");
        let ran = waiting.finish();
        let there = refs(&plot.origin());
        assert_eq!(
            there.get("refs/heads/late"),
            Some(&theirs),
            "{words:?}: {ran}"
        );
    }
}

#[test]
fn undo_runs_the_push_that_brings_it_back_under_a_grant_only() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let before = plot.remote_refs();
    let grant = ground.grant_force(&plot.origin().display().to_string());
    ground.push(&plot, ["-f", "origin", "main"]).exited(0);
    assert_ne!(plot.remote_refs(), before);
    let number = ground.ran("git-push-force")["entry"].to_string();
    let undo = || {
        let mut command = ground.scene.command("pvm");
        command
            .args(["undo", "--run", &number])
            .env("PATH", ground.search_path());
        Ran::of(&mut command)
    };
    ground.scene.pvm(["revoke", &grant]).exited(0);
    undo().denied();
    assert_ne!(plot.remote_refs(), before);
    ground.grant_force(&format!("{}#refs/heads/main", plot.origin().display()));
    undo().exited(0);
    assert_eq!(plot.remote_refs(), before);
}
