//! What stands between `git` and its subcommand (git.c, `handle_options`, git 2.30 to 2.55). Names
//! are never abbreviated there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::tool::argv::spell;

/// An option with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `-C`: nothing happens when it is empty.
    Directory,
    GitDir,
    WorkTree,
    Namespace,
    /// `-c KEY=VALUE` or `-c KEY`.
    Config,
    /// `--config-env KEY=VARIABLE`.
    ConfigEnv,
    ExecPath,
    AttrSource,
    ShallowFile,
    /// Gone since 2.40.
    SuperPrefix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global<'a> {
    Set(Setting, &'a OsStr),
    Bare,
    /// Any other, without a value: it says nothing about what is pushed or where to.
    Switch(&'static str),
    /// git prints something and ends before it looks at the next word.
    Query,
}

/// A command line of `git`, read as far as its subcommand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Globals<'a> {
    /// In the order in which they stood, which counts.
    pub(crate) options: Vec<Global<'a>>,
    /// The words that the options take: those before the subcommand.
    pub(crate) words: &'a [OsString],
    /// `--help`, `-h`, `--version` and `-v` are subcommands too. `None` after a query, and when
    /// there is none: git prints its usage.
    pub(crate) subcommand: Option<&'a OsStr>,
    pub(crate) rest: &'a [OsString],
}

/// Why git would not take the words.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// Another git may know it, with a value in the next word, so where the subcommand stands is
    /// not known (V-D22).
    #[error("unknown option '{word}'")]
    Unknown { word: String, push_follows: bool },
    #[error("option '{0}' needs a value")]
    MissingValue(&'static str),
}

/// Options with a value in the next word, and whether it may also stand after `=`.
const WITH_VALUE: [(&str, bool, Setting); 9] = [
    ("-C", false, Setting::Directory),
    ("-c", false, Setting::Config),
    ("--config-env", true, Setting::ConfigEnv),
    ("--git-dir", true, Setting::GitDir),
    ("--work-tree", true, Setting::WorkTree),
    ("--namespace", true, Setting::Namespace),
    ("--attr-source", true, Setting::AttrSource),
    ("--super-prefix", true, Setting::SuperPrefix),
    ("--shallow-file", false, Setting::ShallowFile),
];

const SWITCHES: [&str; 13] = [
    "-p",
    "--paginate",
    "-P",
    "--no-pager",
    "--no-replace-objects",
    "--no-lazy-fetch",
    "--no-optional-locks",
    "--no-advice",
    "--literal-pathspecs",
    "--no-literal-pathspecs",
    "--glob-pathspecs",
    "--noglob-pathspecs",
    "--icase-pathspecs",
];

/// Reads the words after `git`.
pub(crate) fn parse(words: &[OsString]) -> Result<Globals<'_>, UsageError> {
    let mut options = Vec::new();
    let mut left = words;
    while let [word, after @ ..] = left {
        if is_subcommand(word) {
            break;
        }
        let (option, next) = option(word, after)?;
        options.push(option);
        left = next;
        if option == Global::Query {
            return Ok(globals(options, words, left, None, left));
        }
    }
    Ok(match left {
        [subcommand, rest @ ..] => globals(options, words, left, Some(subcommand), rest),
        [] => globals(options, words, left, None, left),
    })
}

fn globals<'a>(
    options: Vec<Global<'a>>,
    words: &'a [OsString],
    left: &[OsString],
    subcommand: Option<&'a OsString>,
    rest: &'a [OsString],
) -> Globals<'a> {
    let taken = words.len().saturating_sub(left.len());
    Globals {
        options,
        words: words.get(..taken).unwrap_or(words),
        subcommand: subcommand.map(OsString::as_os_str),
        rest,
    }
}

fn is_subcommand(word: &OsStr) -> bool {
    let word = word.as_bytes();
    !word.starts_with(b"-") || matches!(word, b"--help" | b"-h" | b"--version" | b"-v")
}

/// Reads one option. Returns it and the words behind it.
fn option<'a>(
    word: &'a OsStr,
    after: &'a [OsString],
) -> Result<(Global<'a>, &'a [OsString]), UsageError> {
    let bytes = word.as_bytes();
    for (name, _, setting) in WITH_VALUE {
        if bytes == name.as_bytes() {
            let [value, after @ ..] = after else {
                return Err(UsageError::MissingValue(name));
            };
            return Ok((Global::Set(setting, value), after));
        }
    }
    let option = in_one_word(bytes).ok_or_else(|| UsageError::Unknown {
        word: spell(bytes),
        push_follows: after.iter().any(|word| word == "push"),
    })?;
    Ok((option, after))
}

fn in_one_word(word: &[u8]) -> Option<Global<'_>> {
    for (name, _, setting) in WITH_VALUE.iter().filter(|(_, sign, _)| *sign) {
        let value = word.strip_prefix(name.as_bytes());
        if let Some(value) = value.and_then(|rest| rest.strip_prefix(b"=")) {
            return Some(Global::Set(*setting, OsStr::from_bytes(value)));
        }
    }
    // git looks at the beginning of this one only: "--exec-pathology" is a query.
    if let Some(value) = word.strip_prefix(b"--exec-path") {
        return Some(match value.strip_prefix(b"=") {
            Some(path) => Global::Set(Setting::ExecPath, OsStr::from_bytes(path)),
            None => Global::Query,
        });
    }
    if word.starts_with(b"--list-cmds=")
        || matches!(word, b"--html-path" | b"--man-path" | b"--info-path")
    {
        return Some(Global::Query);
    }
    if word == b"--bare" {
        return Some(Global::Bare);
    }
    let switch = SWITCHES.iter().find(|name| name.as_bytes() == word)?;
    Some(Global::Switch(switch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    /// Returns the options, the subcommand and the number of words behind it.
    fn read(list: &[&str]) -> Result<(String, Option<String>, usize), UsageError> {
        let words = words(list);
        let globals = parse(&words)?;
        let before = globals.words.len() + usize::from(globals.subcommand.is_some());
        assert_eq!(before + globals.rest.len(), words.len());
        let options: Vec<String> = globals
            .options
            .iter()
            .map(|option| match option {
                Global::Set(setting, value) => format!("{setting:?}({})", value.display()),
                other => format!("{other:?}").replace('"', ""),
            })
            .collect();
        let subcommand = globals.subcommand.map(|word| word.display().to_string());
        Ok((options.join(" "), subcommand, globals.rest.len()))
    }

    fn push(list: &[&str], options: &str) {
        let (seen, subcommand, rest) = read(list).unwrap();
        assert_eq!(seen, options, "{list:?}");
        assert_eq!(subcommand.as_deref(), Some("push"), "{list:?}");
        assert_eq!(rest, 1, "{list:?}");
    }

    #[test]
    fn git_26_values_stand_after_the_sign_or_in_the_next_word() {
        push(&["push", "-f"], "");
        push(
            &["-C", "a", "-C", "", "push", "-f"],
            "Directory(a) Directory()",
        );
        push(&["--git-dir=x", "push", "-f"], "GitDir(x)");
        push(&["--git-dir", "push", "push", "-f"], "GitDir(push)");
        push(&["--git-dir=", "push", "-f"], "GitDir()");
        push(&["--work-tree", "-x", "push", "-f"], "WorkTree(-x)");
        push(
            &["--namespace=n", "--bare", "push", "-f"],
            "Namespace(n) Bare",
        );
        push(&["-c", "a.b=c", "push", "-f"], "Config(a.b=c)");
        push(&["--config-env=a.b=C", "push", "-f"], "ConfigEnv(a.b=C)");
        push(&["--config-env", "a.b=C", "push", "-f"], "ConfigEnv(a.b=C)");
        push(&["--attr-source", "t", "push", "-f"], "AttrSource(t)");
        push(&["--shallow-file", "", "push", "-f"], "ShallowFile()");
        push(&["--super-prefix", "x/", "push", "-f"], "SuperPrefix(x/)");
        push(&["--exec-path=/x", "push", "-f"], "ExecPath(/x)");
    }

    #[test]
    fn git_26_switches_stand_alone() {
        for switch in SWITCHES {
            push(&[switch, "push", "-f"], &format!("Switch({switch})"));
        }
    }

    #[test]
    fn a_query_ends_everything() {
        for query in [
            "--exec-path",
            "--exec-pathology",
            "--html-path",
            "--man-path",
            "--info-path",
            "--list-cmds=main",
        ] {
            let seen = read(&["-p", query, "push", "-f"]).unwrap();
            assert_eq!(seen, ("Switch(-p) Query".into(), None, 2), "{query}");
        }
    }

    #[test]
    fn help_and_version_are_subcommands() {
        for word in ["--help", "-h", "--version", "-v", "status", ""] {
            let (_, subcommand, _) = read(&["-p", word, "push"]).unwrap();
            assert_eq!(subcommand.as_deref(), Some(word));
        }
        assert_eq!(read(&["-p"]).unwrap().1, None);
        assert_eq!(read(&[]).unwrap().1, None);
    }

    #[test]
    fn v_d22_an_unknown_option_hides_the_subcommand() {
        let unknown = |list: &[&str]| match read(list) {
            Err(UsageError::Unknown { push_follows, .. }) => push_follows,
            other => panic!("{list:?}: {other:?}"),
        };
        assert!(unknown(&["--new", "value", "push", "-f"]));
        assert!(unknown(&["--new", "push"]));
        assert!(!unknown(&["push-to", "--new"].map(|_| "--new")));
        assert!(!unknown(&["--new", "status"]));
        // None of these is git's spelling.
        for word in [
            "-Cdir",
            "-ca.b=c",
            "--git-di=x",
            "--git-dirx",
            "--shallow-file=x",
            "--bare=1",
            "--list-cmds",
            "--",
            "-",
            "-pP",
        ] {
            assert!(unknown(&[word, "push"]), "{word}");
        }
    }

    #[test]
    fn a_value_that_is_missing_is_an_error() {
        for (name, ..) in WITH_VALUE {
            assert_eq!(read(&[name]), Err(UsageError::MissingValue(name)));
        }
    }

    /// Each git is asked only about the options that it knows.
    #[test]
    fn git_26_the_tables_agree_with_git() {
        use crate::tool::git::real::{gits, run};
        let directory = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for git in gits() {
            let mut prints_version = |words: &[&str]| {
                let output = run(&git, directory.path(), &[words, &["version"][..]].concat());
                let has = |text: &[u8], part| String::from_utf8_lossy(text).contains(part);
                if has(&output.stderr, "unknown option") {
                    return None;
                }
                seen.extend(words.iter().map(ToString::to_string));
                Some(has(&output.stdout, "git version"))
            };
            for (name, sign, _) in WITH_VALUE {
                // "version" is the value here.
                assert_ne!(prints_version(&[name]), Some(true), "{name}");
                // Where git had this one, "version" did not go with it.
                if name == "--super-prefix" {
                    continue;
                }
                let value = if name == "-C" { "." } else { "a.b=HOME" };
                assert_ne!(prints_version(&[name, value]), Some(false), "{name}");
                let joined = prints_version(&[&format!("{name}=a.b=HOME")]);
                let expected = [None, sign.then_some(true)];
                assert!(expected.contains(&joined), "{name}");
            }
            for name in SWITCHES.iter().chain(&["--bare"]) {
                assert_ne!(prints_version(&[name]), Some(false), "{name}");
            }
            for query in ["--exec-pathology", "--html-path", "--list-cmds=main"] {
                assert_eq!(prints_version(&[query]), Some(false), "{query}");
            }
            for word in [
                "-Cx",
                "-ca.b=c",
                "--git-di=x",
                "--bare=1",
                "--list-cmds",
                "-pP",
                "--",
            ] {
                assert_eq!(prints_version(&[word]), None, "{word}");
            }
        }
        assert!(seen.is_empty() || seen.iter().any(|word| word == "--git-dir"));
    }
}
