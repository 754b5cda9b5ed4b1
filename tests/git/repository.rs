use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Ground, plain_push};
use crate::support::{C, D, Ran, copy_all, git, git_says, is_root, refs};

#[test]
fn p_d24_the_repository_is_the_one_that_git_would_find() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let tree = plot.tree();
    fs::create_dir_all(tree.join("a/b")).unwrap();
    let origin = plot.origin().display().to_string();
    for directory in ["a/b", ".git", ".git/refs"] {
        let words = ["-f", "origin", "main"];
        let control = Ran::of(git(&tree.join(directory), ["push", "-n"]).args(words));
        let ran = Ran::of(&mut ground.push_command(&tree.join(directory), words));
        // A relative URL means another place in each of them; here it only has to be the same one.
        if control.code == Some(0) {
            ran.denied().says(&origin);
        } else {
            assert_ne!(ran.code, Some(0), "{directory}: {ran}");
        }
    }
    // A repository in a repository is the one that counts.
    let inner = tree.join("inner");
    copy_all(&plot.other(), &inner.join(".git"));
    git_says(&inner, ["config", "core.bare", "false"]);
    git_says(&inner, ["config", "remote.origin.url", "../../other.git"]);
    let other = plot.other().display().to_string();
    let ran = Ran::of(&mut ground.push_command(&inner, ["-f", "origin", "root:main"]));
    ran.denied().says(&other);
}

#[test]
fn p_d24_work_trees_and_git_files_lead_to_their_repository() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let linked = plot.path("linked");
    let at = linked.to_str().unwrap();
    git_says(&plot.tree(), ["worktree", "add", "-q", at, "new"]);
    git_says(
        &linked,
        [
            "config",
            "remote.origin.url",
            plot.origin().to_str().unwrap(),
        ],
    );
    let origin = plot.origin().display().to_string();
    let ran = Ran::of(&mut ground.push_command(&linked, ["-f", "origin", "HEAD:main"]));
    ran.denied().says(&origin);
    let ran = Ran::of(&mut ground.push_command(&linked, ["origin", "HEAD"]));
    ran.exited(0);
    assert_eq!(refs(&plot.origin())["refs/heads/new"], C);
    // What only this work tree is configured with counts in it.
    git_says(
        &plot.tree(),
        ["config", "extensions.worktreeConfig", "true"],
    );
    let other = plot.other().display().to_string();
    git_says(
        &linked,
        ["config", "--worktree", "remote.origin.pushurl", &other],
    );
    let ran = Ran::of(&mut ground.push_command(&linked, ["-f", "origin", "main"]));
    ran.denied().says(&other);
    ground.refuses(&plot, &["-f", "origin", "main"], &origin);
}

#[test]
fn p_d24_a_bare_repository_pushes_too() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let bare = plot.path("bare.git");
    git_says(
        &plot.path(""),
        ["clone", "-q", "--bare", "tree", bare.to_str().unwrap()],
    );
    git_says(
        &bare,
        [
            "config",
            "remote.origin.url",
            plot.origin().to_str().unwrap(),
        ],
    );
    let origin = plot.origin().display().to_string();
    Ran::of(&mut ground.push_command(&bare, ["-f", "origin", "main"]))
        .denied()
        .says(&origin);
    Ran::of(&mut ground.push_command(&bare, ["origin", "new"])).exited(0);
    assert_eq!(refs(&plot.origin())["refs/heads/new"], C);
}

#[test]
fn p_d25_outside_of_a_repository_nothing_can_be_told() {
    let ground = Ground::new();
    let origin = ground.first.origin().display().to_string();
    ground.grant_force(&origin);
    for words in [
        &[] as &[&str],
        &["-f"],
        &["-f", origin.as_str(), "main"],
        &[origin.as_str(), "HEAD"],
    ] {
        let entries = ground.scene.trail().len();
        let ran = Ran::of(&mut ground.push_command(&ground.scene.work(""), words));
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(ground.one_entry_after(entries)["decision"], "DENIED");
    }
    assert_eq!(refs(&ground.first.origin())["refs/heads/main"], D);
}

#[test]
fn p_d25_a_repository_that_cannot_be_read_is_refused() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    ground.grant_force(&plot.origin().display().to_string());
    let git = plot.tree().join(".git");
    if !is_root() {
        let configuration = git.join("config");
        fs::set_permissions(&configuration, fs::Permissions::from_mode(0o000)).unwrap();
        let ran = ground.push(&plot, ["origin", "new"]);
        assert_ne!(ran.code, Some(0), "{ran}");
        fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let damages: [fn(&std::path::Path); 4] = [
        |git| fs::write(git.join("HEAD"), "nonsense\n").unwrap(),
        |git| {
            fs::remove_file(git.join("config")).unwrap();
            fs::create_dir(git.join("config")).unwrap();
        },
        |git| {
            fs::write(
                git.join("config"),
                "[core]\n\trepositoryformatversion = 9\n",
            )
            .unwrap();
        },
        |git| {
            fs::remove_dir_all(git).unwrap();
            fs::write(git, "gitdir: /no/such/place\n").unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let plot = ground.plot(&format!("damaged{number}"), "");
        damage(&plot.tree().join(".git"));
        let control = plain_push(&plot, &["origin", "new"]);
        assert_ne!(control.code, Some(0), "{number}: {control}");
        let entries = ground.scene.trail().len();
        let ran = ground.push(&plot, ["origin", "new"]);
        assert!(matches!(ran.code, Some(1 | 2 | 125)), "{number}: {ran}");
        assert_eq!(refs(&plot.origin()).get("refs/heads/new"), None);
        assert_eq!(ground.one_entry_after(entries)["decision"], "DENIED");
    }
}
