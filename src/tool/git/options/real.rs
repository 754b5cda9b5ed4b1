//! The table held against the gits of this machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Output;

use super::{BadWords, TABLE, parse};
use crate::tool::git::parse_options::Takes;
use crate::tool::git::real::{Numbers, gits, run};

/// Makes a repository whose branch was rewritten, and the bare one that it was pushed to before.
/// Returns the name of the commit that the bare one has.
fn make(git: &Path, directory: &Path) -> String {
    let steps: [&[&str]; 8] = [
        &["init", "-q", "--bare", "there.git"],
        &[
            "-C",
            "there.git",
            "config",
            "receive.advertisePushOptions",
            "true",
        ],
        &["init", "-q", "here"],
        &["-C", "here", "commit", "-q", "--allow-empty", "-m", "a"],
        &["-C", "here", "branch", "-M", "main"],
        &["-C", "here", "push", "-q", "../there.git", "main:main"],
        &["-C", "here", "tag", "v1"],
        &[
            "-C",
            "here",
            "commit",
            "-q",
            "--amend",
            "--allow-empty",
            "-m",
            "b",
        ],
    ];
    for step in steps {
        let output = run(git, directory, step);
        assert!(output.status.success(), "{step:?}: {output:?}");
    }
    let output = run(git, directory, &["-C", "there.git", "rev-parse", "main"]);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn push(git: &Path, directory: &Path, words: &[String]) -> Output {
    let start = ["-C", "here", "push", "--dry-run"].map(String::from);
    run(git, directory, &[&start[..], words].concat())
}

fn said(words: &[String]) -> Result<super::PushWords, BadWords> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    parse(&words)
}

/// Says whether git stopped at the words: it prints its usage, or dies on a value.
fn stopped(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stderr);
    output.status.code() == Some(129)
        || (output.status.code() == Some(128)
            && [
                "fatal: bad ",
                "cannot be used together",
                "can't be combined",
                "doesn't make sense",
                "only accepts plain",
                "must not have new line",
            ]
            .iter()
            .any(|part| text.contains(part)))
}

/// Returns every beginning of every form of every long option.
fn long_words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for spec in TABLE {
        let bare = spec.long.strip_prefix("no-").unwrap_or(spec.long);
        for form in [
            bare.to_owned(),
            format!("no-{bare}"),
            format!("no-no-{bare}"),
        ] {
            let starts = (1..=form.len()).filter_map(|end| form.get(..end));
            words.extend(starts.map(|start| format!("--{start}")));
        }
        words.insert(format!("--{}x", spec.long));
        words.insert(format!("--{}=x", spec.long));
        words.insert(format!("--no-{bare}=x"));
        words.insert(format!("--{}=", spec.long));
        words.insert(format!("-{bare}"));
    }
    words.extend(["--=x", "---force", "--n=", "--no-=x"].map(String::from));
    words
}

#[test]
fn git_04_every_abbreviation_is_taken_or_refused_as_git_does() {
    for git in gits() {
        let directory = tempfile::tempdir().unwrap();
        make(&git, directory.path());
        let takes = |word: &str| !stopped(&push(&git, directory.path(), &[word.into()]));
        let (knows_branches, negates_family) = (takes("--branches"), takes("--no-ipv4"));
        let takes_no_n = takes("--no-n");
        for word in long_words() {
            let is = |starts: &[&str]| starts.iter().any(|start| word.starts_with(start));
            // Until 2.41 there was no such option.
            if !knows_branches && is(&["--b", "--no-b", "--no-no-b"]) {
                continue;
            }
            // Older gits took these four, which pvm refuses: until 2.41 and until 2.44.
            if negates_family && is(&["--no-ipv4", "--no-ipv6"]) {
                continue;
            }
            if takes_no_n && ["--no-n", "--no-no"].contains(&word.as_str()) {
                continue;
            }
            let words = [word, "../there.git".into(), "main:new".into()];
            let ours = said(&words);
            let output = push(&git, directory.path(), &words);
            assert_eq!(
                ours.is_err(),
                stopped(&output),
                "{words:?} {ours:?}\n{output:?}"
            );
        }
    }
}

#[test]
fn git_02_every_letter_and_pair_of_letters_is_taken_or_refused_as_git_does() {
    let letters = ['v', 'q', 'd', 'n', 'f', 'u', 'o', '4', '6', 'x', '-'];
    for git in gits() {
        let directory = tempfile::tempdir().unwrap();
        make(&git, directory.path());
        for first in letters {
            for second in letters {
                let words = [
                    format!("-{first}{second}"),
                    "../there.git".into(),
                    "new".into(),
                ];
                let ours = said(&words);
                let output = push(&git, directory.path(), &words);
                assert_eq!(
                    ours.is_err(),
                    stopped(&output),
                    "{words:?} {ours:?}\n{output:?}"
                );
            }
        }
    }
}

/// What changes whether a branch that was rewritten may be pushed.
const FORCING: [&str; 14] = [
    "-f",
    "--force",
    "--no-force",
    "--mirror",
    "--no-mirror",
    "--force-with-lease=main:OID",
    "--no-force-with-lease",
    "--force-if-includes",
    "--no-force-if-includes",
    "--all",
    "--no-all",
    "-d",
    "--no-delete",
    "--repo",
];

#[test]
fn git_08_and_09_the_force_in_effect_is_what_git_applies() {
    for git in gits() {
        let directory = tempfile::tempdir().unwrap();
        let there = make(&git, directory.path());
        let mut numbers = Numbers(8);
        let mut outcomes = [0; 3];
        for _ in 0..150 {
            let options = (0..=numbers.below(5))
                .map(|_| FORCING[numbers.below(FORCING.len())].replace("OID", &there));
            let mut words: Vec<String> = options.collect();
            words.extend(["../there.git", "--porcelain", "main"].map(String::from));
            let output = push(&git, directory.path(), &words);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let Ok(ours) = said(&words) else {
                outcomes[0] += 1;
                assert!(stopped(&output), "{words:?}\n{output:?}");
                continue;
            };
            if ours.repository != Some("../there.git".into()) {
                continue;
            }
            let forces = ours.force || !ours.leases.is_empty();
            outcomes[1 + usize::from(forces)] += 1;
            let mark = match (ours.delete, forces) {
                (true, _) => "-\t",
                (false, true) => "+\t",
                (false, false) => "!\t",
            };
            let marked = text.lines().any(|line| line.starts_with(mark));
            assert!(marked, "{words:?} {ours:?}\n{output:?}");
        }
        assert!(outcomes.iter().all(|count| *count > 10), "{outcomes:?}");
    }
}

#[test]
fn the_table_takes_values_where_git_does() {
    for git in gits() {
        let directory = tempfile::tempdir().unwrap();
        make(&git, directory.path());
        for spec in TABLE.iter().filter(|spec| spec.long != "branches") {
            // What follows is an unknown option, unless it is a value.
            let words = [format!("--{}", spec.long), "--unknown".into()];
            let output = push(&git, directory.path(), &words);
            let unknown = String::from_utf8_lossy(&output.stderr).contains("unknown option");
            assert_eq!(spec.takes != Takes::Value, unknown, "{words:?}\n{output:?}");
        }
    }
}
