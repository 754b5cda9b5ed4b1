use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::plain::hook;
use super::{Ground, home, overwrote, plain_git, search_path};
use crate::support::{C, Plot, Ran, Running, git_says, identity, refs, until};

/// Puts pvm on PATH as `git`.
pub(super) fn installed() -> Ground {
    let ground = Ground::new();
    let links = ground.scene.path("links");
    fs::create_dir(&links).unwrap();
    symlink("../bin/pvm", links.join("git")).unwrap();
    ground
}

/// Returns `git` as PATH gives it to an agent.
pub(super) fn guarded<S: AsRef<OsStr>>(
    ground: &Ground,
    directory: &Path,
    words: impl IntoIterator<Item = S>,
) -> Command {
    let links = ground.scene.path("links");
    let mut command = Command::new(links.join("git"));
    command
        .args(words)
        .env_clear()
        .env("PATH", search_path(&links))
        .env("HOME", home())
        .current_dir(directory)
        .stdin(std::process::Stdio::null());
    command
}

/// Global options and aliases with which plain git overwrites `main` of `origin`.
const FORCES: &[(&str, &[&str], &str)] = &[
    ("", &["push", "-f", "origin", "main"], "GIT-26"),
    (
        "",
        &["--no-pager", "push", "-f", "origin", "main"],
        "GIT-26",
    ),
    ("", &["-P", "push", "origin", "+main"], "GIT-26"),
    ("", &["-p", "push", "-f", "origin", "main"], "GIT-26"),
    ("", &["-C", ".", "push", "-f", "origin", "main"], "GIT-26"),
    ("", &["-C", "..", "-C", "tree", "push", "-f"], "GIT-26"),
    (
        "",
        &["--git-dir=.git", "push", "-f", "origin", "main"],
        "GIT-26",
    ),
    (
        "",
        &["--git-dir", ".git", "push", "-f", "origin", "main"],
        "GIT-26",
    ),
    (
        "",
        &[
            "--git-dir=.git",
            "--work-tree=.",
            "push",
            "-f",
            "origin",
            "main",
        ],
        "GIT-26",
    ),
    (
        "",
        &["--literal-pathspecs", "push", "-f", "origin", "main"],
        "GIT-26",
    ),
    ("", &["--no-replace-objects", "push", "-f"], "GIT-26"),
    ("", &["--no-optional-locks", "push", "-f"], "GIT-26"),
    ("", &["-c", "x.y=push", "push", "-f"], "GIT-23"),
    (
        "",
        &["-c", "remote.origin.push=+HEAD:main", "push"],
        "GIT-23",
    ),
    (
        "",
        &[
            "-c",
            "remote.origin.push=+refs/heads/main:refs/heads/main",
            "push",
            "origin",
            "main",
        ],
        "GIT-23",
    ),
    ("", &["-c", "remote.origin.mirror=true", "push"], "GIT-23"),
    (
        "",
        &["-c", "remote.origin.mirror", "push", "origin"],
        "GIT-23",
    ),
    (
        "",
        &["-c", "push.default=matching", "push", "-f", "origin"],
        "GIT-23",
    ),
    ("[alias]\n\tp = push -f\n", &["p"], "GIT-24"),
    (
        "[alias]\n\tp = push\n",
        &["p", "-f", "origin", "main"],
        "GIT-24",
    ),
    (
        "[alias]\n\tp = push\n\tq = p -f\n",
        &["q", "origin", "main"],
        "GIT-24",
    ),
    (
        "[alias]\n\tp = -c x.y=z push '-f' \"origin\"\n",
        &["p", "main"],
        "GIT-24",
    ),
    (
        "[alias \"p\"]\n\tcommand = push -f\n[alias]\n\tp = push -f\n",
        &["p"],
        "GIT-24",
    ),
    ("", &["-c", "alias.p=push -f", "p"], "GIT-24"),
    ("[alias]\n\tpush = status\n", &["push", "-f"], "GIT-25"),
    ("[alias]\n\tP = push -f\n", &["P"], "GIT-24"),
];

#[test]
fn git_23_to_26_a_push_is_found_behind_global_options_and_aliases() {
    let ground = installed();
    for (number, (configuration, words, name)) in FORCES.iter().enumerate() {
        println!("{name} {words:?} {configuration:?}");
        let control = ground.plot(&format!("control{number}"), configuration);
        let before = control.remote_refs();
        let ran = Ran::of(&mut plain_git(&control.tree(), *words));
        assert!(overwrote(&control, &before), "plain git forces: {ran}");

        let plot = ground.plot(&format!("case{number}"), configuration);
        let origin = plot.origin().display().to_string();
        let entries = ground.scene.trail().len();
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), *words));
        ran.denied().says(&origin);
        assert_eq!(plot.remote_refs(), before, "{ran}");
        let entry = ground.one_entry_after(entries);
        assert_eq!(entry["op"], "git-push-force", "{entry}");
        ground.grant_force(&origin);
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), *words));
        assert_eq!(plot.remote_refs(), control.remote_refs(), "{ran}");
    }
    ground.scene.assert_trail_intact();
}

#[test]
fn git_28_and_36_options_before_the_push_choose_what_is_reached() {
    let ground = installed();
    let plot = ground.plot("one", "");
    let second = plot.path("second");
    crate::support::copy_all(&plot.tree(), &second);
    git_says(&second, ["config", "remote.origin.url", "../other.git"]);
    let other = plot.other().display().to_string();
    let before = plot.remote_refs();
    let force = ["push", "-f", "origin", "main"];
    let rows: &[&[&str]] = &[
        &["-C", "../second"],
        &["--git-dir=../second/.git"],
        &["--git-dir", "../second/.git", "--work-tree", "../second"],
        &["-C", "..", "--git-dir=second/.git"],
        &["-c", "remote.origin.pushurl=../other.git"],
        &["-c", "url.../other.insteadOf=../origin"],
        &["-c", "URL.../other.INSTEADOF=../origin"],
        &[
            "-c",
            "remote.origin.url=../other.git",
            "-c",
            "remote.origin.pushurl=../other.git",
        ],
        &["-c", "include.path=../../redirect"],
    ];
    fs::write(
        plot.path("redirect"),
        "[url \"../other\"]\n\tinsteadOf = ../origin\n",
    )
    .unwrap();
    ground.grant_force(&plot.origin().display().to_string());
    for globals in rows {
        let words: Vec<&str> = globals.iter().chain(&force).copied().collect();
        let control =
            Ran::of(plain_git(&plot.tree(), *globals).args(["push", "-n", "-f", "origin", "main"]));
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), &words));
        assert_ne!(ran.code, Some(0), "{words:?}: {ran}, plain git: {control}");
        if control.code == Some(0) && control.stderr_text().contains("other") {
            ran.denied().says(&other);
        }
        assert_eq!(plot.remote_refs(), before, "{words:?}");
    }
}

/// An alias that is a shell's line runs git again, which PATH gives.
#[test]
fn git_24_an_alias_for_a_shell_meets_the_guard_again() {
    let ground = installed();
    for (number, (configuration, words)) in [
        (
            "[alias]\n\tp = !git push -f origin main\n",
            &["p"] as &[&str],
        ),
        (
            "[alias]\n\tp = \"!f() { git push \\\"$@\\\"; }; f\"\n",
            &["p", "-f", "origin", "main"],
        ),
        ("[alias]\n\tp = !git push\n\tq = p -f\n", &["q"]),
    ]
    .into_iter()
    .enumerate()
    {
        let control = ground.plot(&format!("control{number}"), configuration);
        let before = control.remote_refs();
        Ran::of(&mut plain_git(&control.tree(), words));
        assert!(overwrote(&control, &before));
        let plot = ground.plot(&format!("case{number}"), configuration);
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), words));
        assert_ne!(ran.code, Some(0), "{ran}");
        assert_eq!(plot.remote_refs(), before, "{ran}");
        assert_eq!(ground.scene.last_entry()["decision"], "DENIED");
    }
}

#[test]
fn v_d22_an_unknown_global_option_hides_no_push() {
    let ground = installed();
    let plot = ground.plot("one", "");
    let before = plot.remote_refs();
    for words in [
        &["--frobnicate", "push", "-f", "origin", "main"] as &[&str],
        &["--frobnicate", "x", "push", "-f", "origin", "main"],
        &["--frobnicate=x", "push", "origin", "new"],
        &["-z", "push", "-f"],
        &["--exec-path=/tmp", "push", "-f"],
        &["--exec-path=/tmp", "push", "origin", "new"],
        &["--namespace=x", "push", "-f"],
    ] {
        let entries = ground.scene.trail().len();
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), words));
        assert!(matches!(ran.code, Some(1 | 2)), "{words:?}: {ran}");
        assert_eq!(plot.remote_refs(), before, "{words:?}");
        assert_eq!(ground.one_entry_after(entries)["decision"], "DENIED");
    }
}

/// Everything that is not a push: words, and variables of the caller.
const OTHERS: &[&[&str]] = &[
    &["status"],
    &["status", "--porcelain=v2", "--branch"],
    &["rev-parse", "--nonexistent", "nothing-of-that-name"],
    &["rev-parse", "HEAD"],
    &["log", "--oneline", "--all"],
    &["-c", "core.abbrev=9", "log", "--oneline", "main"],
    &["-C", ".git", "rev-parse", "--git-dir"],
    &["--no-pager", "branch", "-a"],
    &["config", "--list", "--local"],
    &["remote", "-v"],
    &["ls-remote", "origin"],
    &["cat-file", "-p", "main"],
    &["diff", "--exit-code", "behind~1", "behind"],
    &["check-ref-format", "--branch", "push"],
    &["log", "--grep", "push", "--format=%H"],
    &["-c", "alias.x=!exit 42", "x"],
    &["no-such-command"],
    &["pusj"],
    &["--version"],
    &["--frobnicate", "status"],
    &["--exec-path"],
    &[],
    &["-c"],
    &["stash", "push"],
    &["help", "-a"],
    &["grep", "-q", "push", "main"],
    &["check-attr", "-a", "push"],
];

#[test]
fn everything_but_a_push_is_plain_git() {
    let ground = installed();
    for (number, words) in OTHERS.iter().enumerate() {
        let [control, plot] =
            ["control", "case"].map(|name| ground.plot(&format!("{name}{number}"), ""));
        let entries = ground.scene.trail().len();
        let expected = Ran::of(&mut plain_git(&control.tree(), *words));
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), *words));
        assert_eq!(ran.code, expected.code, "{words:?}: {ran}");
        assert_eq!(ran.stdout, expected.stdout, "{words:?}: {ran}");
        let usage = |ran: &Ran, plot: &Plot| {
            ran.stderr_text()
                .replace(&plot.path("").display().to_string(), "")
        };
        assert_eq!(usage(&ran, &plot), usage(&expected, &control), "{words:?}");
        assert_eq!(ground.scene.trail().len(), entries, "{words:?}: no entry");
    }
}

#[test]
fn what_the_caller_sets_for_git_stays_where_it_is_no_push() {
    let ground = installed();
    let plot = ground.plot("one", "");
    git_says(&plot.tree(), ["checkout", "-q", "-f", "main"]);
    let mut command = guarded(
        &ground,
        &plot.tree(),
        ["commit", "-q", "--allow-empty", "-m", "x"],
    );
    Ran::of(
        command
            .envs(identity())
            .env("GIT_AUTHOR_NAME", "Somebody Else"),
    )
    .succeeded();
    let author = git_says(&plot.tree(), ["log", "-1", "--format=%an <%ae> %ad"]);
    assert!(
        author.starts_with("Somebody Else <t@example.invalid>"),
        "{author}"
    );
    let mut command = guarded(&ground, Path::new("/"), ["rev-parse", "main"]);
    let ran = Ran::of(command.env("GIT_DIR", plot.tree().join(".git")));
    assert_ne!(ran.exited(0).stdout_text().trim(), C);
    let hash = Ran::with_input(
        &mut guarded(&ground, &plot.tree(), ["hash-object", "--stdin"]),
        b"C",
    );
    let same = Ran::with_input(
        &mut plain_git(&plot.tree(), ["hash-object", "--stdin"]),
        b"C",
    );
    assert_eq!(hash.exited(0).stdout, same.stdout);
}

#[test]
fn git_becomes_the_same_process_and_gets_its_signals() {
    let ground = installed();
    let plot = ground.plot("one", "");
    hook(&plot.tree().join("wait"), "echo $PPID >pid; exec sleep 60");
    let mut command = guarded(&ground, &plot.tree(), ["-c", "alias.w=!./wait", "w"]);
    let running = Running::start(&mut command);
    let pid = Pid::from_raw(i32::try_from(running.0.id()).unwrap());
    until("the alias", || plot.tree().join("pid").exists());
    let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(name.starts_with(b"git\0"), "{}", name.escape_ascii());
    kill(pid, Signal::SIGTERM).unwrap();
    let ran = running.finish();
    assert_eq!(ran.signal, Some(15), "{ran}");
}

#[test]
fn a_plain_push_as_git_is_recorded() {
    let ground = installed();
    let plot = ground.plot("one", "");
    for (words, branch) in [
        (&["push", "origin", "new"] as &[&str], "new"),
        (
            &["-C", ".", "push", "-q", "origin", "reinforce"],
            "reinforce",
        ),
        (&["-c", "alias.p=push origin", "p", "behind"], "behind"),
    ] {
        let ran = Ran::of(&mut guarded(&ground, &plot.tree(), words));
        ran.exited(0);
        assert_eq!(refs(&plot.origin())[&format!("refs/heads/{branch}")], C);
        let entry = ground.ran("git-push");
        assert_eq!(entry["argv"].as_array().unwrap()[1..], *words);
    }
}
