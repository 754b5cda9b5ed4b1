use std::fs;
use std::path::Path;

use super::plain::hook;
use super::{After, Ground, overwrote, plain_git};
use crate::support::{C, Plot, Ran, Refs, copy_all};

type Pairs = Vec<(&'static str, String)>;

/// What an agent sets, by the threat it is named after.
fn variables(plot: &Plot) -> Vec<(&'static str, Pairs)> {
    let path = |below: &str| plot.path(below).display().to_string();
    let configuration = |pairs: &[(&str, &str)]| -> Pairs {
        let mut all = vec![("GIT_CONFIG_COUNT", pairs.len().to_string())];
        for (number, (key, value)) in pairs.iter().enumerate() {
            let names = [
                ("GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"),
                ("GIT_CONFIG_KEY_1", "GIT_CONFIG_VALUE_1"),
            ][number];
            all.push((names.0, (*key).to_owned()));
            all.push((names.1, (*value).to_owned()));
        }
        all
    };
    vec![
        ("ENV-19 GIT_DIR", vec![("GIT_DIR", path("second/.git"))]),
        (
            "ENV-19 GIT_WORK_TREE",
            vec![
                ("GIT_DIR", path("second/.git")),
                ("GIT_WORK_TREE", path("second")),
            ],
        ),
        (
            "ENV-19 GIT_COMMON_DIR",
            vec![("GIT_COMMON_DIR", path("second/.git"))],
        ),
        (
            "ENV-20 GIT_CONFIG_COUNT, a push refspec",
            configuration(&[("remote.origin.push", "+refs/heads/*:refs/heads/*")]),
        ),
        (
            "ENV-20 GIT_CONFIG_COUNT, a push URL",
            configuration(&[("remote.origin.pushurl", "../other.git")]),
        ),
        (
            "ENV-20 GIT_CONFIG_COUNT, insteadOf",
            configuration(&[("url.../other.insteadOf", "../origin")]),
        ),
        (
            "ENV-20 GIT_CONFIG_PARAMETERS",
            vec![(
                "GIT_CONFIG_PARAMETERS",
                "'remote.origin.pushurl'='../other.git'".to_owned(),
            )],
        ),
        (
            "ENV-21 GIT_CONFIG_GLOBAL",
            vec![("GIT_CONFIG_GLOBAL", path("redirect"))],
        ),
        (
            "ENV-21 GIT_CONFIG_SYSTEM",
            vec![("GIT_CONFIG_SYSTEM", path("redirect"))],
        ),
        (
            "ENV-21 XDG_CONFIG_HOME",
            vec![("XDG_CONFIG_HOME", path("xdg")), ("HOME", path("nowhere"))],
        ),
        ("ENV-21 HOME", vec![("HOME", path("home"))]),
        (
            "ENV-24 GIT_EXEC_PATH",
            vec![("GIT_EXEC_PATH", path("exec"))],
        ),
        ("ENV-25 GIT_TRACE", vec![("GIT_TRACE", path("traced"))]),
        ("ENV-25 GIT_TRACE2", vec![("GIT_TRACE2", path("traced"))]),
        (
            "ENV-25 GIT_TRACE2_EVENT",
            vec![("GIT_TRACE2_EVENT", path("traced"))],
        ),
    ]
}

fn lay_traps(plot: &Plot) {
    copy_all(&plot.tree(), &plot.path("second"));
    let redirect = "[url \"../other\"]\n\tinsteadOf = ../origin\n";
    fs::write(plot.path("redirect"), redirect).unwrap();
    fs::write(
        plot.path("second/.git/config"),
        "[core]\n\trepositoryformatversion = 0\n[remote \"origin\"]\n\turl = ../other.git\n",
    )
    .unwrap();
    for directory in ["home", "xdg/git", "nowhere"] {
        fs::create_dir_all(plot.path(directory)).unwrap();
    }
    fs::copy(plot.path("redirect"), plot.path("home/.gitconfig")).unwrap();
    fs::copy(plot.path("redirect"), plot.path("xdg/git/config")).unwrap();
    trap(&plot.path("exec/git-receive-pack"), &plot.path("traced"));
    trap(&plot.path("exec/git"), &plot.path("traced"));
}

fn trap(at: &Path, traced: &Path) {
    hook(at, &format!("touch '{}'; exit 1", traced.display()));
}

/// Says whether a push of `new`, `behind` and `main`, which is not a fast-forward, did anything but that.
fn strayed(plot: &Plot, before: &Refs) -> bool {
    let mut expected = before.clone();
    for name in ["new", "behind"] {
        expected.insert(format!("origin refs/heads/{name}"), C.to_owned());
    }
    plot.remote_refs() != expected || plot.path("traced").exists()
}

#[test]
fn env_19_to_25_what_the_caller_sets_for_git_does_nothing() {
    let ground = Ground::new();
    let names: Vec<_> = variables(&ground.first);
    for number in 0..names.len() {
        let words = ["origin", "new", "behind", "main"];
        let [control, plot] = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{arm}{number}"), "");
            lay_traps(&plot);
            plot
        });
        let before = control.remote_refs();
        let (name, pairs) = variables(&control).swap_remove(number);
        let ran = Ran::of(plain_git(&control.tree(), ["push"]).args(words).envs(pairs));
        assert!(strayed(&control, &before), "{name} works: {ran}");
        let (_, pairs) = variables(&plot).swap_remove(number);
        let ran = Ran::of(ground.push_command(&plot.tree(), words).envs(pairs));
        assert!(!strayed(&plot, &before), "{name}: {ran}");
        ran.exited(1);
    }
    ground.scene.assert_trail_intact();
}

/// Neither does it make a forced push look like a plain one, or like one to somewhere else.
#[test]
fn env_19_to_21_what_the_caller_sets_hides_no_force() {
    let ground = Ground::new();
    let names: Vec<_> = variables(&ground.first);
    for number in 0..names.len() {
        let plot = ground.plot(&number.to_string(), "");
        lay_traps(&plot);
        ground.grant_force(&plot.other().display().to_string());
        let before = plot.remote_refs();
        let (name, pairs) = variables(&plot).swap_remove(number);
        let mut command = ground.push_command(&plot.tree(), ["-f", "origin", "main"]);
        let ran = Ran::of(command.envs(pairs));
        let origin = plot.origin().display().to_string();
        ran.exited(1).says("permission denied").says(&origin);
        assert!(!overwrote(&plot, &before), "{name}");
    }
}

#[test]
fn env_22_and_23_no_program_that_the_caller_names_is_run() {
    let ground = Ground::new();
    for (variable, value) in [
        ("GIT_SSH_COMMAND", "touch ../ran; false"),
        ("GIT_SSH", "../trap"),
        ("GIT_PROXY_COMMAND", "../trap"),
        ("GIT_ASKPASS", "../trap"),
    ] {
        let url = match variable {
            "GIT_PROXY_COMMAND" => "git://127.0.0.1:1/x",
            "GIT_ASKPASS" => continue,
            _ => "ssh://127.0.0.1:1/x",
        };
        let both = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{variable}-{arm}"), "");
            trap(&plot.path("trap"), &plot.path("ran"));
            let mut command = if arm == "case" {
                ground.push_command(&plot.tree(), [url, "new"])
            } else {
                plain_git(&plot.tree(), ["push", url, "new"])
            };
            let ran = Ran::of(command.env(variable, value));
            assert_ne!(ran.code, Some(0), "{ran}");
            plot.path("ran").exists()
        });
        assert_eq!(both, [true, false], "{variable}");
    }
}

#[test]
fn env_23_the_locale_of_the_caller_stays() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let seen = plot.path("seen");
    hook(
        &plot.tree().join(".git/hooks/pre-push"),
        &format!("env >'{}'", seen.display()),
    );
    let mut command = ground.push_command(&plot.tree(), ["origin", "new"]);
    Ran::of(command.env("LANG", "C.UTF-8").env("GIT_AUTHOR_NAME", "x")).exited(0);
    let environment = fs::read_to_string(seen).unwrap();
    assert!(environment.contains("LANG=C.UTF-8\n"), "{environment}");
    assert!(!environment.contains("GIT_AUTHOR_NAME"), "{environment}");
    let after = After::of(&Ran::of(&mut plain_git(&plot.tree(), ["status"])), &plot);
    assert_eq!(after.remotes["origin refs/heads/new"], C);
}
