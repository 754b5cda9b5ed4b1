use std::fs;

use super::{After, Ground, overwrote, plain_push};
use crate::support::{C, Plot, refs};

/// Where a forced push really goes: configuration, words, and the repository it reaches.
type Row = (&'static str, &'static [&'static str], &'static str);

/// In each of these plain git overwrites `main` of `other`, which no word may say.
const TO_THE_OTHER: &[Row] = &[
    ("", &["-f", "../other.git", "main"], "GIT-27"),
    ("", &["-f", "{plot}/other.git", "main"], "GIT-27"),
    ("", &["-f", "file://{plot}/other.git", "main"], "GIT-27"),
    ("", &["-f", "file://{plot}//other.git/", "main"], "GIT-27"),
    ("", &["-f", "../origin.git/../other", "main"], "GIT-27"),
    ("", &["-f", "--repo=../other.git"], "GIT-27"),
    (
        "[remote \"second\"]\n\turl = ../other.git\n",
        &["-f", "second", "main"],
        "P-D23",
    ),
    (
        "[remote \"origin\"]\n\tpushurl = ../other.git\n",
        &["-f", "origin", "main"],
        "P-D23",
    ),
    (
        "[url \"../other\"]\n\tinsteadOf = ../origin\n",
        &["-f", "origin", "main"],
        "GIT-28",
    ),
    (
        "[url \"../other\"]\n\tpushInsteadOf = ../origin\n",
        &["-f", "origin", "main"],
        "GIT-28",
    ),
    (
        "[url \"../oth\"]\n\tinsteadOf = X:\n[remote \"origin\"]\n\tpushurl = X:er.git\n",
        &["-f", "origin", "main"],
        "GIT-28",
    ),
    (
        "[url \"../other\"]\n\tinsteadOf = origin\n",
        &["-f", "origin.git", "main"],
        "GIT-28",
    ),
    (
        "[remote]\n\tpushDefault = second\n[remote \"second\"]\n\turl = ../other.git\n",
        &["-f"],
        "GIT-30",
    ),
    (
        "[branch \"main\"]\n\tpushRemote = second\n[remote \"second\"]\n\turl = ../other.git\n",
        &["-f"],
        "GIT-30",
    ),
    (
        "[branch \"main\"]\n\tremote = second\n[remote \"second\"]\n\turl = ../other.git\n",
        &["-f"],
        "GIT-30",
    ),
    (
        "[branch \"main\"]\n\tpushRemote = ../other.git\n[push]\n\tdefault = current\n",
        &["-f"],
        "GIT-30",
    ),
    (
        "[remote]\n\tpushDefault = none\n[branch \"main\"]\n\tpushRemote = second\n\
         [remote \"second\"]\n\turl = ../other.git\n\tpush = +refs/heads/*:refs/heads/*\n",
        &[],
        "GIT-30",
    ),
    (
        "[remote \"second\"]\n\turl = ../other.git\n\tmirror = true\n[remote]\n\tpushDefault = second\n",
        &[],
        "GIT-22",
    ),
];

#[test]
fn p_d23_and_git_27_to_30_a_grant_is_needed_for_what_is_really_reached() {
    let ground = Ground::new();
    for (number, (configuration, words, name)) in TO_THE_OTHER.iter().enumerate() {
        println!("{name} {words:?} {configuration:?}");
        let [control, plot] =
            ["control", "case"].map(|name| ground.plot(&format!("{name}{number}"), configuration));
        let fill = |plot: &Plot| -> Vec<String> {
            let here = plot.path("").display().to_string();
            let fill = |word: &&str| word.replace("{plot}", here.trim_end_matches('/'));
            words.iter().map(fill).collect()
        };
        let (before, words) = (control.remote_refs(), fill(&control));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = plain_push(&control, &words);
        assert!(overwrote(&control, &before), "{ran}");
        let expected = After::of(&ran, &control).remotes;
        assert_eq!(expected["other refs/heads/main"], C);
        assert_ne!(expected["origin refs/heads/main"], C);

        let words = fill(&plot);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let other = plot.other().display().to_string();
        ground.grant_force(&plot.origin().display().to_string());
        ground.refuses(&plot, &words, &other);
        ground.grant_force(&other);
        let ran = ground.push(&plot, &words);
        ran.exited(0);
        assert_eq!(plot.remote_refs(), expected, "{ran}");
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn git_29_every_push_url_has_to_be_covered() {
    let ground = Ground::new();
    for (number, list) in [
        "[remote \"origin\"]\n\tpushurl = ../origin.git\n\tpushurl = ../other.git\n",
        "[remote \"origin\"]\n\turl = ../other.git\n",
        "[remote \"origin\"]\n\tpushurl = ../other.git\n\tpushurl = file://{plot}/origin.git\n",
    ]
    .into_iter()
    .enumerate()
    {
        let [control, plot] =
            ["control", "case"].map(|name| ground.plot(&format!("{name}{number}"), list));
        let words = ["-f", "origin", "main"];
        plain_push(&control, &words).exited(0);
        let expected = control.remote_refs();
        assert_eq!(expected["other refs/heads/main"], C);
        assert_eq!(expected["origin refs/heads/main"], C);
        let [origin, other] = [plot.origin(), plot.other()].map(|path| path.display().to_string());
        ground.refuses(&plot, &words, plot.path("").to_str().unwrap());
        ground.grant_force(&origin);
        ground.refuses(&plot, &words, &other);
        ground.grant_force(&other);
        ground.push(&plot, words).exited(0);
        assert_eq!(plot.remote_refs(), expected);
    }
    // What is different in each of them could not be brought back by one push, so it is refused.
    let plot = ground.plot("differ", "[remote \"origin\"]\n\turl = ../other.git\n");
    let theirs = Plot::somebody_pushes_to(&plot.other(), "main");
    ground.grant_force(&plot.origin().display().to_string());
    ground.grant_force(&plot.other().display().to_string());
    let ran = ground.push(&plot, ["-f", "origin", "main"]);
    let kept_one = refs(&plot.tree()).values().any(|value| *value == theirs);
    assert!(
        kept_one || refs(&plot.other())["refs/heads/main"] == theirs,
        "{ran}"
    );
    let plot = ground.plot("plain", "[remote \"origin\"]\n\turl = ../other.git\n");
    ground.push(&plot, ["origin", "new"]).exited(0);
    assert_eq!(plot.remote_refs()["other refs/heads/new"], C);
    assert_eq!(plot.remote_refs()["origin refs/heads/new"], C);
}

/// A file in `branches` may leave this to git, which asks people to choose.
const DEFAULT_BRANCH: &str = "[init]\n\tdefaultBranch = main\n";

#[test]
fn git_32_and_33_remotes_in_files_of_their_own_are_read() {
    let ground = Ground::new();
    let files: [(&str, &str, &[&str]); 4] = [
        (
            "remotes/second",
            "URL: ../other.git\nPush: +refs/heads/main:refs/heads/main\n",
            &["second"],
        ),
        (
            "remotes/second",
            "URL: ../other.git\n",
            &["-f", "second", "main"],
        ),
        (
            "branches/second",
            "../other.git\n",
            &["-f", "second", "main"],
        ),
        (
            "branches/second",
            "../other.git#main\n",
            &["-f", "second", "main"],
        ),
    ];
    for (number, (file, text, words)) in files.into_iter().enumerate() {
        let [control, plot] = ["control", "case"].map(|name| {
            let plot = ground.plot(&format!("{name}{number}"), DEFAULT_BRANCH);
            let at = plot.tree().join(".git").join(file);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
            plot
        });
        plain_push(&control, words).exited(0);
        assert_eq!(control.remote_refs()["other refs/heads/main"], C);
        let other = plot.other().display().to_string();
        ground.refuses(&plot, words, &other);
        ground.grant_force(&other);
        ground.push(&plot, words).exited(0);
        assert_eq!(plot.remote_refs(), control.remote_refs());
    }
}

#[test]
fn p_d25_what_cannot_be_told_is_refused_whatever_was_granted() {
    let ground = Ground::new();
    let rows: &[(&str, &[&str], &str)] = &[
        ("[remotes]\n\tall = origin\n", &["all", "main"], "GIT-31"),
        (
            "[remotes]\n\tall = origin\n",
            &["-f", "all", "main"],
            "GIT-31",
        ),
        (
            "[remote \"x\"]\n\tvcs = ext\n\turl = /bin/true\n",
            &["x", "main"],
            "GIT-40",
        ),
        (
            "[remote \"origin\"]\n\tvcs = ext\n",
            &["origin", "new"],
            "GIT-40",
        ),
        ("", &["ext::/bin/true", "main"], "GIT-39"),
        (
            "[protocol \"ext\"]\n\tallow = always\n",
            &["ext::sh -c 'touch {plot}/ran'", "main"],
            "GIT-39",
        ),
        (
            "[url \"ext::/bin/true \"]\n\tinsteadOf = ../origin\n",
            &["origin", "new"],
            "GIT-39",
        ),
        ("", &["foo::bar", "main"], "GIT-40"),
        ("", &["foo://host/bar", "main"], "GIT-40"),
        ("", &["ssh://-oProxyCommand=true/x", "main"], "GIT-41"),
        ("", &["-x:y", "main"], "GIT-41"),
        ("", &["--", "-x:y", "main"], "GIT-41"),
        ("", &["ssh://host/-x", "main"], "GIT-41"),
        ("", &["https://ho\nst/x", "main"], "GIT-42"),
        ("", &["https://host/x%0a", "main"], "GIT-42"),
        ("", &["https:///x", "main"], "GIT-42"),
        ("", &["https://host/x\r", "main"], "GIT-42"),
        ("", &["ssh://host/x\u{7}", "main"], "GIT-42"),
        (
            "[remote \"origin\"]\n\tpushurl = \"https://h/x\\n\"\n",
            &["origin", "main"],
            "GIT-42",
        ),
        ("", &["no-such-remote", "main"], "P-D25"),
        ("", &["/no/such/repository", "main"], "P-D25"),
        ("", &["", "main"], "P-D25"),
        ("", &["-f", "no-such-remote", "main"], "P-D25"),
        ("", &["-f", "/no/such/repository", "main"], "P-D25"),
        ("[include]\n\tpath = config\n", &["origin", "new"], "loop"),
        ("[remote \"origin\"\n", &["origin", "new"], "syntax"),
        (
            "[include]\n\tpath = ../../loop\n",
            &["origin", "new"],
            "loop",
        ),
    ];
    for (number, (configuration, words, name)) in rows.iter().enumerate() {
        let plot = ground.plot(&number.to_string(), configuration);
        println!("{name} {words:?} {configuration:?}");
        fs::write(plot.path("loop"), "[include]\n\tpath = tree/.git/config\n").unwrap();
        ground.grant_force(&plot.origin().display().to_string());
        let here = plot.path("").display().to_string();
        let words: Vec<String> = words
            .iter()
            .map(|word| word.replace("{plot}", here.trim_end_matches('/')))
            .collect();
        let (before, entries) = (refs(&plot.origin()), ground.scene.trail().len());
        let ran = ground.push(&plot, &words);
        assert!(
            matches!(ran.code, Some(1 | 2 | 125)),
            "{name} {words:?}: {ran}"
        );
        assert_eq!(refs(&plot.origin()), before);
        assert!(!plot.path("ran").exists(), "a command ran");
        let entry = ground.one_entry_after(entries);
        assert_eq!(entry["decision"], "DENIED", "{entry}");
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn p_d25_without_a_remote_there_is_nothing_to_grant() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let configuration = plot.tree().join(".git/config");
    fs::write(&configuration, "[core]\n\trepositoryformatversion = 0\n").unwrap();
    for words in [&[] as &[&str], &["-f"], &["--mirror"], &["origin", "main"]] {
        let control = plain_push(&plot, words);
        assert_ne!(control.code, Some(0), "{control}");
        let ran = ground.push(&plot, words);
        assert!(matches!(ran.code, Some(1 | 2 | 128)), "{ran}");
        assert!(!ground.scene.last_entry().to_string().contains("unknown"));
    }
}

#[test]
fn git_20_a_detached_head_pushes_what_it_is_told() {
    let ground = Ground::new();
    let [control, plot] = ["control", "case"].map(|name| {
        let plot = ground.plot(name, "");
        fs::write(plot.tree().join(".git/HEAD"), format!("{C}\n")).unwrap();
        plot
    });
    for words in [
        &["origin", "HEAD:refs/heads/new"] as &[&str],
        &["origin", "behind"],
        &["origin", "@:main"],
    ] {
        let expected = After::of(&plain_push(&control, words), &control);
        let ran = ground.push(&plot, words);
        assert_eq!(After::of(&ran, &plot), expected, "{words:?}");
    }
    for words in [&[] as &[&str], &["origin"], &["origin", "HEAD"]] {
        assert_ne!(plain_push(&control, words).code, Some(0));
        let ran = ground.push(&plot, words);
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(plot.remote_refs(), control.remote_refs());
    }
    let origin = plot.origin().display().to_string();
    ground.refuses(&plot, &["-f", "origin", "HEAD:main"], &origin);
}

#[test]
fn a_branch_that_has_no_upstream_gets_one_where_the_configuration_says_so() {
    let ground = Ground::new();
    for (name, configuration) in [
        ("auto", "[push]\n\tautoSetupRemote = true\n"),
        (
            "current",
            "[push]\n\tautoSetupRemote = true\n\tdefault = current\n",
        ),
        ("none", ""),
    ] {
        let [control, plot] = ["control", "case"].map(|arm| {
            let plot = ground.plot(&format!("{name}-{arm}"), configuration);
            fs::write(plot.tree().join(".git/HEAD"), "ref: refs/heads/reinforce\n").unwrap();
            plot
        });
        let expected = After::of(&plain_push(&control, &[]), &control);
        let ran = ground.push(&plot, [""; 0]);
        let after = After::of(&ran, &plot);
        assert_eq!(after.remotes, expected.remotes, "{ran}");
        assert_eq!(after.configuration, expected.configuration, "{ran}");
        assert_eq!(after.local, expected.local, "{ran}");
        assert_eq!(ran.code == Some(0), expected.code == Some(0), "{ran}");
    }
}

#[test]
fn p_d26_a_local_repository_has_one_name_however_it_is_spelled() {
    let ground = Ground::new();
    let plot = ground.plot("one", "[url \"../origin\"]\n\tinsteadOf = short:\n");
    std::os::unix::fs::symlink("origin.git", plot.path("link.git")).unwrap();
    let here = plot.path("").display().to_string();
    let here = here.trim_end_matches('/');
    let origin = plot.origin().display().to_string();
    let spellings = [
        "origin".to_owned(),
        "../origin.git".to_owned(),
        "../origin".to_owned(),
        "../origin.git/".to_owned(),
        "./../other.git/../origin.git".to_owned(),
        "../link.git".to_owned(),
        "short:".to_owned(),
        "short:.git".to_owned(),
        format!("{here}/origin.git"),
        format!("{here}//origin"),
        format!("file://{here}/origin.git"),
        format!("file://{here}/link"),
    ];
    for spelling in spellings {
        let control = plain_push(&plot, &["-n", "-f", &spelling, "main"]);
        assert_eq!(control.code, Some(0), "{spelling}: {control}");
        let entry = ground.refuses(&plot, &["-f", &spelling, "main"], &origin);
        assert_eq!(
            entry["scopes"],
            serde_json::json!([format!("{origin}#refs/heads/main")]),
            "{spelling}"
        );
    }
}
