//! Ways around the guard that somebody found, each with what it does to plain git.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::applet::{guarded, installed};
use super::parents::{forged_graph, pretending, replaced};
use super::{Ground, overwrote, plain_git, plain_push};
use crate::support::{B, C, D, Ran, git_says, refs};

/// Asserts that plain git overwrites something with these words, and that `git` as pvm refuses them
/// and leaves an entry.
#[track_caller]
fn git_overwrites_and_pvm_does_not(configuration: &str, words: &[&str], variable: Option<&str>) {
    let ground = installed();
    let control = ground.plot("control", configuration);
    let before = control.remote_refs();
    let set = |command: &mut std::process::Command| {
        if let Some((name, value)) = variable.and_then(|text| text.split_once('=')) {
            command.env(name, value);
        }
    };
    let mut plain = plain_git(&control.tree(), words);
    set(&mut plain);
    let ran = Ran::of(&mut plain);
    assert!(overwrote(&control, &before), "plain git overwrites: {ran}");

    let plot = ground.plot("case", configuration);
    let mut command = guarded(&ground, &plot.tree(), words);
    set(&mut command);
    let ran = Ran::of(&mut command);
    assert_ne!(ran.code, Some(0), "{ran}");
    assert_eq!(plot.remote_refs(), before, "{ran}");
}

#[test]
fn git_24_a_word_that_git_corrects_to_push_does_not_push() {
    for value in ["immediate", "1"] {
        let setting = format!("help.autocorrect={value}");
        let words = ["-c", &setting, "pusx", "-f", "origin", "main"];
        git_overwrites_and_pvm_does_not("", &words, None);
    }
    let configuration = "[help]\n\tautocorrect = immediate\n";
    git_overwrites_and_pvm_does_not(configuration, &["psuh", "-f", "origin", "main"], None);
}

#[test]
fn git_24_an_alias_with_the_name_of_another_versions_command_is_one() {
    for name in ["history", "backfill", "url-parse"] {
        let alias = format!("alias.{name}=push -f");
        git_overwrites_and_pvm_does_not("", &["-c", &alias, name, "origin", "main"], None);
    }
}

#[test]
fn git_24_an_alias_is_found_in_every_spelling_and_at_any_depth() {
    let words = ["-c", "alias.P.q=push -f", "p.q", "origin", "main"];
    git_overwrites_and_pvm_does_not("", &words, None);
    let links: Vec<String> = (0..50)
        .map(|number| format!("\ta{number} = a{}\n", number + 1))
        .collect();
    let chain = format!("[alias]\n{}\ta50 = push -f\n", links.concat());
    git_overwrites_and_pvm_does_not(&chain, &["a0", "origin", "main"], None);
    git_overwrites_and_pvm_does_not(
        "[alias]\n\tp = push -f\n",
        &["p", "origin", "main"],
        Some("GIT_CONFIG=/dev/null"),
    );
}

#[test]
fn git_24_no_command_of_gits_own_pushes_for_the_caller() {
    let configuration = "[my]\n\trepo = {plot}/tree\n";
    let words = [
        "for-each-repo",
        "--config=my.repo",
        "push",
        "-f",
        "origin",
        "main",
    ];
    git_overwrites_and_pvm_does_not(configuration, &words, None);
}

#[test]
fn git_24_of_several_texts_of_an_alias_the_one_that_pushes_counts() {
    // git reads aliases before it knows the branch and the work tree, and an older one does not
    // know the newer spelling.
    let newer = "[alias]\n\tp = push -f\n[alias \"p\"]\n\tcommand = status\n";
    git_overwrites_and_pvm_does_not(newer, &["p", "origin", "main"], None);
    let ground = installed();
    for (number, lines) in ["[alias]\n\tp = status\n", "[help]\n\tautocorrect = 0\n"]
        .into_iter()
        .enumerate()
    {
        let configuration = "[alias]\n\tp = push -f\n[help]\n\tautocorrect = 1\n\
             [includeIf \"onbranch:main\"]\n\tpath = {plot}/more\n";
        let words = [
            &["p", "origin", "main"] as &[&str],
            &["pussh", "-f", "origin", "main"],
        ][number];
        let [control, plot] = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{arm}{number}"), configuration);
            fs::write(plot.path("more"), lines).unwrap();
            plot
        });
        let before = control.remote_refs();
        let ran = Ran::of(&mut plain_git(&control.tree(), words));
        assert!(overwrote(&control, &before), "plain git overwrites: {ran}");
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), words));
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(plot.remote_refs(), before, "{ran}");
    }
}

#[test]
fn git_24_for_each_repo_runs_nothing_that_could_push() {
    let each = ["for-each-repo", "--config=my.repo"];
    let configuration = "[my]\n\trepo = {plot}/tree\n[alias]\n\tzz = push\n\
         \tall = for-each-repo --config=my.repo push\n\teach = for-each-repo --config=my.repo\n";
    for more in [
        &["zz", "-f", "origin", "main"] as &[&str],
        &["--", "-c", "alias.y=push", "y", "-f", "origin", "main"],
    ] {
        git_overwrites_and_pvm_does_not(configuration, &[&each, more].concat(), None);
    }
    for words in [
        &["all", "-f", "origin", "main"] as &[&str],
        &["each", "push", "-f", "origin", "main"],
    ] {
        git_overwrites_and_pvm_does_not(configuration, words, None);
    }
}

#[test]
fn git_24_a_shells_alias_is_refused_where_what_git_runs_is_not_its_own_word() {
    let configuration = "[alias]\n\tx = !git\n\tp = push -f\n\tq = !git p\n\tc = !git -C .\n\
         \ts = send-pack --force .. ../origin.git\n\tfine = !git --no-pager log -1\n";
    for words in [
        &["x", "push", "-f", "origin", "main"] as &[&str],
        &["q", "origin", "main"],
        &["c", "p", "origin", "main"],
    ] {
        git_overwrites_and_pvm_does_not(configuration, words, None);
    }
    let ground = installed();
    let plot = ground.plot("fine", configuration);
    Ran::of(&mut guarded(&ground, &plot.tree(), ["fine"])).exited(0);
}

/// Only the second version of the protocol tells which refs stand for others.
#[test]
fn p_d22_no_older_protocol_hides_what_a_ref_stands_for() {
    let ground = installed();
    for version in ["0", "1"] {
        let setting = format!("protocol.version={version}");
        let [control, plot] = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{arm}{version}"), "");
            let link = ["symbolic-ref", "refs/heads/sym", "refs/heads/main"];
            git_says(&plot.origin(), link);
            plot
        });
        let before = control.remote_refs();
        let words = ["-c", &setting, "push", "-f", "origin", "main:sym"];
        Ran::of(&mut plain_git(&control.tree(), words));
        assert!(overwrote(&control, &before), "git follows it");
        let origin = plot.origin().display().to_string();
        ground.grant_force(&format!("{origin}#refs/heads/sym"));
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), words));
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(plot.remote_refs(), before, "{ran}");
    }
}

/// The user's lease would let git overwrite what pvm was not shown, and has not kept.
#[test]
fn git_54_a_lease_for_a_ref_that_the_remote_hides_overwrites_nothing() {
    let ground = Ground::new();
    let lease = format!("--force-with-lease=main:{D}");
    for words in [
        [lease.as_str(), "origin", "main"],
        ["--force-with-lease", "origin", "main"],
    ] {
        let [control, plot] = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{arm}{}", words[0].len()), "");
            let hide = ["config", "uploadpack.hideRefs", "refs/heads/main"];
            git_says(&plot.origin(), hide);
            plot
        });
        let before = control.remote_refs();
        plain_push(&control, &words);
        assert!(overwrote(&control, &before), "git overwrites it");
        ground.grant_force(&plot.origin().display().to_string());
        let ran = ground.push(&plot, words);
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(plot.remote_refs(), before, "{ran}");
    }
}

/// A program that a push runs may learn the names that stand for the remote, and must not be able to
/// use them for the push that follows.
#[test]
fn git_28_a_hook_that_runs_before_a_forced_push_turns_it_nowhere() {
    let ground = Ground::new();
    let plot = ground.plot("case", "");
    let (origin, other) = (plot.origin(), plot.other());
    // Both repositories have what is to be overwritten.
    let hook = plot.tree().join(".git/hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\necho ran >>{ran}\nenv | sed -n 's/^GIT_CONFIG_KEY_[0-9]*=remote\\.\\(pvm-[0-9a-f]*\\)\\.pushurl$/\\1/p' |\n\
         while read -r name; do\n\
         printf '[remote \"%s\"]\\n\\tpushurl = {other}\\n' \"$name\" >>{config}\n\
         done\n\
         env | sed -n 's/^GIT_CONFIG_VALUE_[0-9]*=\\(pvm-[0-9a-f]*:\\)$/\\1/p' |\n\
         while read -r url; do\n\
         printf '[url \"{other}\"]\\n\\tinsteadOf = \"%s\"\\n' \"$url\" >>{config}\n\
         done\n",
        ran = plot.path("ran").display(),
        other = other.display(),
        config = plot.tree().join(".git/config").display(),
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    git_says(&plot.tree(), ["update-ref", "refs/heads/probe", B]);
    assert!(
        plot.path("ran").exists(),
        "the hook runs for git's own changes"
    );
    fs::remove_file(plot.path("ran")).unwrap();

    let before = refs(&other);
    ground.grant_force(&format!("{}#refs/heads/main", origin.display()));
    let ran = ground.push(&plot, ["-f", "origin", "main"]);
    assert_eq!(refs(&other), before, "{ran}");
    assert_eq!(refs(&origin)["refs/heads/main"], C, "{ran}");
}

/// git reads `-c` after everything else, the pinned settings too.
#[test]
fn git_55_no_setting_of_the_command_line_brings_invented_parents_back() {
    let ground = installed();
    for (number, setting) in ["core.useReplaceRefs=true", "core.commitGraph=true"]
        .into_iter()
        .enumerate()
    {
        let pretend = [replaced, forged_graph][number];
        let [control, plot] = ["control", "case"].map(|arm| {
            let lines = "[core]\n\tuseReplaceRefs = true\n\tcommitGraph = true\n";
            pretending(ground.plot(&format!("{arm}{number}"), lines), pretend)
        });
        let before = control.remote_refs();
        let mut words = vec!["-c", setting, "push", "origin", "main"];
        let ran = Ran::of(&mut plain_git(&control.tree(), &words));
        let after = control.remote_refs();
        let main = "origin refs/heads/main";
        assert_ne!(after[main], before[main], "{setting} deceives git: {ran}");
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), &words));
        assert_eq!(plot.remote_refs(), before, "{setting}: {ran}");
        words.drain(..2);
        Ran::of(&mut guarded(&ground, &plot.tree(), &words));
        assert_eq!(plot.remote_refs(), before, "{setting} in the repository");
    }
}

#[test]
fn git_38_another_receive_pack_is_refused_whatever_was_granted() {
    let ground = Ground::new();
    let program = "git update-ref refs/heads/main HEAD; git-receive-pack";
    let plot = ground.plot("one", "");
    let configured = ground.plot(
        "two",
        &format!("[remote \"origin\"]\n\treceivepack = \"{program}\"\n"),
    );
    for (plot, words) in [
        (
            &plot,
            vec!["--receive-pack", program, "-f", "origin", "main"],
        ),
        (&plot, vec!["--exec=/bin/true", "origin", "new"]),
        (&configured, vec!["-f", "origin", "main"]),
        (&configured, vec!["origin", "new"]),
    ] {
        ground.grant_force(&plot.origin().display().to_string());
        ground.never(plot, &words, 1).says("git-receive-pack");
    }
}

/// git looks below the path that it is given for another repository first.
#[test]
fn git_27_a_repository_that_holds_another_is_not_taken_for_it() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let tree = plot.tree();
    // The work tree looks like a git directory as well.
    fs::write(tree.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    for name in ["objects", "refs"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    let from = plot.path("from");
    crate::support::copy_all(&tree, &from);
    fs::write(
        plot.path("gitfile"),
        format!("gitdir: {}\n", tree.display()),
    )
    .unwrap();
    fs::create_dir(plot.path("linked")).unwrap();
    symlink("../tree", plot.path("linked/.git")).unwrap();
    let before = refs(&tree);
    let plain = Ran::of(plain_git(&from, ["push"]).args(["../tree", "main:refs/heads/pushed"]));
    assert_ne!(
        refs(&tree),
        before,
        "given the path itself, git goes below it: {plain}"
    );
    git_says(&tree, ["update-ref", "-d", "refs/heads/pushed"]);
    for place in ["../gitfile", "../linked"] {
        let words = [place, "main:refs/heads/pushed"];
        let ran = Ran::of(&mut ground.push_command(&from, words));
        assert_ne!(ran.code, Some(0), "{place}: {ran}");
        assert_eq!(refs(&tree), before, "{place}: {ran}");
    }
}

#[test]
fn p_d22_a_ref_that_stands_for_another_is_not_forced_under_a_grant_for_it() {
    let ground = Ground::new();
    let [control, plot] = ["control", "case"].map(|arm| {
        let plot = ground.plot(arm, "");
        let link = ["symbolic-ref", "refs/heads/topic", "refs/heads/main"];
        git_says(&plot.origin(), link);
        plot
    });
    let before = control.remote_refs();
    plain_push(&control, &["-f", "origin", "topic"]);
    assert!(overwrote(&control, &before), "git follows it");
    let origin = plot.origin().display().to_string();
    ground.grant_force(&format!("{origin}#refs/heads/topic"));
    let ran = ground.push(&plot, ["-f", "origin", "topic"]);
    assert_ne!(ran.code, Some(0), "{ran}");
    assert_eq!(plot.remote_refs(), before, "{ran}");
}

#[test]
fn git_50_push_options_of_the_configuration_are_recorded_and_sent_as_they_were_found() {
    let ground = Ground::new();
    let plot = ground.plot("one", "[push]\n\tpushOption = ci.skip\n");
    git_says(
        &plot.origin(),
        ["config", "receive.advertisePushOptions", "true"],
    );
    let hook = plot.origin().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION >{}\n",
        plot.path("options").display()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    ground.push(&plot, ["origin", "new"]).exited(0);
    let sent = fs::read_to_string(plot.path("options")).unwrap();
    assert!(sent.contains("GIT_PUSH_OPTION_COUNT=1"), "{sent}");
    assert!(sent.contains("ci.skip"), "{sent}");
    let executed = ground.ran("git-push")["executed"].to_string();
    assert!(executed.contains("--push-option=ci.skip"), "{executed}");
}

#[test]
fn what_git_would_not_push_is_said_as_git_says_it() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    git_says(&plot.tree(), ["checkout", "-q", "new"]);
    ground
        .never(&plot, &[], 1)
        .says("safe-git-push --set-upstream origin new");
    ground
        .never(&plot, &["origin", "nosuch"], 1)
        .says("no branch or tag 'nosuch'");
    ground.never(&plot, &["nosuch", "main"], 1).says("'nosuch'");
}
