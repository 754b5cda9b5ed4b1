//! pvm against the real git: the same generated words and configuration over copies of the same
//! repositories.
//!
//! A failing case prints its seed; `PVM_GIT_ORACLE_SEED` runs that one again, and
//! `PVM_GIT_ORACLE_CASES` says how many there are.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use super::{Ground, plain_push};
use crate::support::{A, B, C, D, Plot, Ran, Random, Refs};

const CASES: usize = 100;

/// How the cases came out. A generator that makes only one kind of them tests nothing.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    /// Plain git overwrote or removed something.
    forced: usize,
    /// pvm said plain, and something changed.
    plain: usize,
    refused: usize,
    /// A forced push under a grant, and something changed.
    granted: usize,
    /// Refused, where plain git would only have gone forward and said so.
    strict: usize,
}

#[test]
fn what_pvm_calls_plain_overwrites_nothing_and_ends_as_with_git() {
    let ground = Ground::new();
    let mut tally = Tally::default();
    for name in ["origin.git", "other.git"] {
        let granted = ground.root.join("granted");
        if !granted.exists() {
            ground.plot("granted", "");
        }
        ground.grant_force(&granted.join(name).display().to_string());
    }
    if let Ok(seed) = std::env::var("PVM_GIT_ORACLE_SEED") {
        run(&ground, seed.parse().unwrap(), &mut tally);
        println!("{tally:?}");
        return;
    }
    let mut seeds = Random::seeded("PVM_GIT_ORACLE_SEEDS");
    let wanted = std::env::var("PVM_GIT_ORACLE_CASES");
    let wanted = wanted.map_or(CASES, |text| text.parse().unwrap());
    let started = Instant::now();
    while tally.cases < wanted {
        run(&ground, seeds.next(), &mut tally);
    }
    println!("{tally:?} in {:?}", started.elapsed());
    assert!(tally.forced > 0, "plain git never forced anything");
    assert!(tally.plain > 0 && tally.refused > 0 && tally.granted > 0);
    ground.scene.assert_trail_intact();
}

/// Says with which seed the test failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("PVM_GIT_ORACLE_SEED={}", self.0);
        }
    }
}

struct Case {
    configuration: String,
    head: String,
    words: Vec<String>,
    granted: bool,
}

fn run(ground: &Ground, seed: u64, tally: &mut Tally) {
    let _seed = Seed(seed);
    let case = Case::generate(&mut Random::from_seed(seed));
    let lay = |name: &str| {
        let at = ground.root.join(name);
        if at.exists() {
            fs::remove_dir_all(&at).unwrap();
        }
        let plot = ground.plot(name, &case.configuration);
        fs::write(plot.tree().join(".git/HEAD"), &case.head).unwrap();
        plot
    };
    let control = lay("plain");
    let plot = lay(if case.granted { "granted" } else { "never" });
    let before = control.remote_refs();
    let words: Vec<&str> = case.words.iter().map(String::as_str).collect();
    let theirs = plain_push(&control, &words);
    let ours = ground.push(&plot, &words);
    let entry = last_entry(ground);
    case.judge(&before, (&control, &theirs), (&plot, &ours), &entry, tally);
}

fn last_entry(ground: &Ground) -> Value {
    let ran = ground.scene.pvm(["audit", "--json", "--limit", "3"]);
    let text = ran.succeeded().stdout_text();
    let mut entries = text
        .lines()
        .rev()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let decided =
        |entry: &Value| entry["event_type"] != "EXECUTION" || entry["decision"] == "SUCCESS";
    entries.find(decided).unwrap()
}

impl Case {
    fn judge(
        &self,
        before: &Refs,
        (control, theirs): (&Plot, &Ran),
        (plot, ours): (&Plot, &Ran),
        entry: &Value,
        tally: &mut Tally,
    ) {
        let (expected, got) = (control.remote_refs(), plot.remote_refs());
        let forward = overwrites_nothing(before, &expected);
        tally.cases += 1;
        tally.forced += usize::from(!forward);
        let explain = |what: &str| {
            format!(
                "{what}\nwords: {:?}\nHEAD: {}granted: {}\n{}\n{entry:#}\ngit: {theirs}\npvm: {ours}\n\
                 before: {before:#?}\ngit: {expected:#?}\npvm: {got:#?}",
                self.words, self.head, self.granted, self.configuration
            )
        };
        if entry["decision"] != "SUCCESS" {
            tally.refused += 1;
            tally.strict += usize::from(forward && theirs.code == Some(0) && expected != *before);
            assert_eq!(
                &got,
                before,
                "{}",
                explain("refused, and it changed something")
            );
            assert!(
                matches!(ours.code, Some(1 | 2 | 125)),
                "{}",
                explain("the status of a refusal")
            );
            return;
        }
        let plain = entry["op"] == "git-push";
        if plain {
            assert!(
                overwrites_nothing(before, &got),
                "{}",
                explain("called plain, and it overwrote something")
            );
            tally.plain += usize::from(got != *before);
        } else {
            assert!(self.granted, "{}", explain("forced without a grant"));
            tally.granted += usize::from(got != *before);
        }
        for name in changed(before, &got) {
            let (repository, reference) = name.split_once(' ').unwrap();
            let whole = plot
                .path(&format!("{repository}.git"))
                .display()
                .to_string();
            let one = format!("{whole}#{reference}");
            let covers = |scope: &Value| [&whole, &one].iter().any(|name| *scope == name.as_str());
            assert!(
                entry["scopes"].as_array().unwrap().iter().any(covers),
                "{}",
                explain(&format!("{one} is in no scope"))
            );
        }
        // git gives up where it cannot tell a branch from a tag, or a ref to delete is not there;
        // pvm gives it full names, and these are what is in the scopes.
        if theirs.code != Some(0) && expected == *before {
            return;
        }
        // A forced push goes by leases, also where git's own would not count; it may do less than
        // git would, and nothing else.
        if !plain && ours.code != Some(0) {
            let same = |name: &String| got.get(name) == expected.get(name);
            let less = changed(before, &got).iter().all(same);
            assert!(less, "{}", explain("something else than plain git does"));
            return;
        }
        assert_eq!(got, expected, "{}", explain("not what plain git does"));
        assert_eq!(
            ours.code == Some(0),
            theirs.code == Some(0),
            "{}",
            explain("another status")
        );
    }
}

fn changed(before: &Refs, after: &Refs) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    names
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

/// The same as [`crate::support::only_forward`] for the commits that every plot has, without git.
fn overwrites_nothing(before: &Refs, after: &Refs) -> bool {
    let chain = |oid: &str| match oid {
        A => vec![A],
        B => vec![A, B],
        C => vec![A, B, C],
        D => vec![A, B, D],
        _ => Vec::new(),
    };
    before.iter().all(|(name, old)| match after.get(name) {
        Some(new) if name.contains(" refs/tags/") => old == new,
        Some(new) => old == new || chain(new).contains(&old.as_str()),
        None => false,
    })
}

const SOURCES: [&str; 20] = [
    "main",
    "main",
    "behind",
    "behind",
    "new",
    "topic",
    "root",
    "reinforce",
    "HEAD",
    "@",
    "v1",
    "v2",
    "v3",
    "refs/heads/main",
    "refs/heads/behind",
    "refs/tags/v2",
    "main~1",
    C,
    B,
    "nothing",
];

const DESTINATIONS: [&str; 16] = [
    "main",
    "behind",
    "behind",
    "topic",
    "old",
    "root",
    "fresh",
    "refs/heads/main",
    "refs/heads/behind",
    "refs/heads/old",
    "refs/heads/fresh",
    "refs/notes/x",
    "refs/tags/v1",
    "v9",
    "HEAD",
    "heads/behind",
];

const PATTERNS: [&str; 9] = [
    ":",
    "refs/heads/*",
    "refs/heads/b*",
    "refs/heads/*:refs/heads/*",
    "refs/heads/b*:refs/heads/b*",
    "refs/heads/n*:refs/heads/backup/*",
    "refs/heads/*:refs/heads/backup/*",
    "refs/tags/*:refs/tags/*",
    "refs/heads/t*:refs/heads/m*",
];

fn refspec(random: &mut Random) -> String {
    let plus = if random.once_in(4) { "+" } else { "" };
    let body = match random.below(12) {
        0 => (*random.pick(&PATTERNS)).to_owned(),
        1 => format!(":{}", random.pick(&DESTINATIONS)),
        2..=6 => (*random.pick(&SOURCES)).to_owned(),
        _ => {
            let (source, destination) = (random.pick(&SOURCES), random.pick(&DESTINATIONS));
            // git asks the remote what a short name is; pvm takes it for what the source is, or
            // for a branch, and both are the same where the source is one.
            let named = source.contains('v') && !destination.starts_with("refs/");
            let full = if named { "refs/tags/" } else { "" };
            format!("{source}:{full}{destination}")
        }
    };
    format!("{plus}{body}")
}

/// A refspec that only ever adds, more often than not.
fn mild_refspec(random: &mut Random) -> String {
    let mild = [
        "behind",
        "new",
        "behind:behind",
        "main:behind",
        "reinforce",
        "HEAD:fresh",
        "refs/heads/main:refs/heads/fresh",
        "refs/heads/n*",
        "refs/heads/b*:refs/heads/b*",
        "v2",
        "new:root",
        "main:old",
        "main:refs/heads/other",
        ":",
    ];
    if random.once_in(3) {
        refspec(random)
    } else {
        (*random.pick(&mild)).to_owned()
    }
}

const OPTIONS: [&str; 36] = [
    "-f",
    "-f",
    "-f",
    "-qf",
    "--force",
    "--force",
    "--no-force",
    "--force-with-lease",
    "--no-force-with-lease",
    "--force-with-lease=main",
    "--force-with-lease=behind:",
    "--force-if-includes",
    "--mirror",
    "--no-mirror",
    "--prune",
    "--no-prune",
    "-d",
    "--delete",
    "--all",
    "--tags",
    "--follow-tags",
    "--no-follow-tags",
    "--atomic",
    "--atomic",
    "-n",
    "-q",
    "-v",
    "--porcelain",
    "-u",
    "--no-thin",
    "--no-verify",
    "--signed=no",
    "--recurse-submodules=check",
    "-4",
    "--",
    "--progress",
];

const REMOTES: [&str; 12] = [
    "origin",
    "origin",
    "origin",
    "origin",
    "second",
    "../origin.git",
    "../other",
    "../other.git/",
    "X:",
    "Y:.git",
    "nowhere",
    "",
];

impl Case {
    fn generate(random: &mut Random) -> Self {
        let mut words: Vec<String> = Vec::new();
        if !random.once_in(5) {
            words.push((*random.pick(&REMOTES)).to_owned());
            for _ in 0..*random.pick(&[0, 1, 1, 1, 1, 2, 3]) {
                if random.once_in(20) {
                    words.push("tag".to_owned());
                    words.push((*random.pick(&["v1", "v2", "v3"])).to_owned());
                } else {
                    words.push(mild_refspec(random));
                }
            }
        }
        for _ in 0..*random.pick(&[0, 0, 0, 1, 1, 2]) {
            let at = random.below(words.len() + 1);
            words.insert(at, (*random.pick(&OPTIONS)).to_owned());
        }
        if random.once_in(4) {
            words.insert(0, "-f".to_owned());
        }
        let head = match random.below(8) {
            0 => format!("{C}\n"),
            1 => "ref: refs/heads/new\n".to_owned(),
            2 => "ref: refs/heads/unborn\n".to_owned(),
            3 | 4 => "ref: refs/heads/behind\n".to_owned(),
            _ => "ref: refs/heads/main\n".to_owned(),
        };
        Self {
            configuration: configuration(random),
            head,
            words,
            granted: random.once_in(2),
        }
    }
}

fn configuration(random: &mut Random) -> String {
    let mut lines =
        "[remote \"second\"]\n\turl = ../other.git\n\tfetch = +refs/heads/*:refs/remotes/s/*\n"
            .to_owned();
    let mut say = |section: &str, line: String| {
        lines.extend(["[", section, "]\n\t", &line, "\n"]);
    };
    if random.once_in(2) {
        let values = [
            "nothing", "current", "upstream", "simple", "matching", "tracking",
        ];
        say("push", format!("default = {}", random.pick(&values)));
    }
    for remote in ["remote \"origin\"", "remote \"second\""] {
        if random.once_in(3) {
            for _ in 0..random.between(1, 2) {
                say(remote, format!("push = {}", mild_refspec(random)));
            }
        }
        // No repository twice: what the first push changes, the second would find moved.
        if random.once_in(8) {
            let urls: &[&[&str]] = &[
                &["../origin.git"],
                &["../other.git"],
                &["X:"],
                &["Y:.git"],
                &["../other.git", "../origin.git"],
            ];
            for url in *random.pick(urls) {
                say(remote, format!("pushurl = {url}"));
            }
        }
        if random.once_in(16) {
            say(
                remote,
                format!("mirror = {}", random.pick(&["true", "false"])),
            );
        }
        if random.once_in(16) {
            let other = if remote.contains("origin") {
                "../other.git"
            } else {
                "../origin.git"
            };
            say(remote, format!("url = {other}"));
        }
    }
    for branch in ["main", "behind", "new"] {
        let section = format!("branch \"{branch}\"");
        let remotes = ["origin", "second", ".", "../other.git"];
        if random.once_in(5) {
            say(&section, format!("remote = {}", random.pick(&remotes)));
        }
        if random.once_in(8) {
            say(&section, format!("pushRemote = {}", random.pick(&remotes)));
        }
        if random.once_in(4) {
            let merges = ["main", "behind", "new", "topic", "fresh"];
            say(
                &section,
                format!("merge = refs/heads/{}", random.pick(&merges)),
            );
        }
    }
    if random.once_in(8) {
        let remotes = ["origin", "second", "../origin.git"];
        say("remote", format!("pushDefault = {}", random.pick(&remotes)));
    }
    for (prefix, section) in [
        ("X:", "../origin"),
        ("Y:", "../other"),
        ("../ori", "../oth"),
    ] {
        if random.once_in(4) {
            let section = match section {
                "../oth" => "url \"../other.git/../ori\"".to_owned(),
                _ => format!("url \"{section}\""),
            };
            let key = random.pick(&["insteadOf", "pushInsteadOf"]);
            say(&section, format!("{key} = {prefix}"));
        }
    }
    if random.once_in(10) {
        say("url \"../other\"", "pushInsteadOf = ../origin".to_owned());
    }
    for key in ["followTags", "autoSetupRemote", "useForceIfIncludes"] {
        if random.once_in(8) {
            say("push", format!("{key} = true"));
        }
    }
    lines
}
