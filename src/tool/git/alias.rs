//! Aliases of git (git's alias.c and git.c, `handle_alias`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::commands;
use super::globals;
use super::pin::word;

/// More aliases than anybody chains; git stops at the first that comes twice.
const MOST_ALIASES: usize = 64;

/// What `git config` is asked for: every alias, and whether git runs what it thinks was meant.
pub(crate) const WANTED: &str = r"^(alias\.|help\.autocorrect$)";

/// Everything that an alias could be, by name in lower case. Which of several texts counts depends on
/// the version of git, and on whether it reads them before it looks for the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aliases {
    texts: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    corrects: bool,
}

impl Aliases {
    /// Reads what `git config --null --get-regexp` says of [`WANTED`]. git
    /// compares names without case (alias.c), and since 2.54 `alias.NAME.command` is one too.
    pub(crate) fn parse(listed: &[u8]) -> Self {
        let mut aliases = Self::default();
        for entry in listed.split(|byte| *byte == 0) {
            let end = entry.iter().position(|byte| *byte == b'\n');
            let (key, value) = match end.and_then(|end| entry.split_at_checked(end)) {
                Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
                None => (entry, b"".as_slice()),
            };
            let key = key.to_ascii_lowercase();
            if key == b"help.autocorrect" {
                let off: [&[u8]; 6] = [b"0", b"never", b"false", b"off", b"no", b"show"];
                aliases.corrects |= !off.iter().any(|word| value.eq_ignore_ascii_case(word));
            } else if let Some(name) = key.strip_prefix(b"alias.".as_slice()) {
                let newer = name.strip_suffix(b".command".as_slice());
                for name in newer.into_iter().chain([name]) {
                    let texts = aliases.texts.entry(name.to_vec()).or_default();
                    texts.push(value.to_vec());
                }
            }
        }
        aliases
    }

    /// Says whether git runs another command in the place of one that it does not know.
    pub(crate) const fn corrects(&self) -> bool {
        self.corrects
    }

    fn get(&self, name: &OsStr) -> &[Vec<u8>] {
        let name = name.as_bytes().to_ascii_lowercase();
        self.texts.get(&name).map_or(&[], Vec::as_slice)
    }
}

/// What a subcommand that git does not know by itself comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expansion {
    /// The words after `git` of a push.
    Push(Vec<OsString>),
    /// Something else, by way of an alias.
    Other,
    /// No alias.
    Unknown,
    /// What cannot be told and may push: a shell command, or too many aliases.
    Unclear(Vec<u8>),
}

/// Follows aliases until something else than an alias. Where one could be several things, what may
/// push is what counts.
pub(crate) fn expand(
    before: &[OsString],
    subcommand: &OsStr,
    rest: &[OsString],
    aliases: &Aliases,
) -> Expansion {
    follow(before, subcommand, rest, aliases, 0)
}

fn follow(
    before: &[OsString],
    subcommand: &OsStr,
    rest: &[OsString],
    aliases: &Aliases,
    followed: usize,
) -> Expansion {
    let unclear = || Expansion::Unclear(subcommand.as_bytes().to_vec());
    if subcommand == "push" {
        let mut words = before.to_vec();
        words.push(subcommand.to_owned());
        words.extend_from_slice(rest);
        return Expansion::Push(words);
    }
    if subcommand == "for-each-repo" {
        return if runs_only_a_builtin(rest) {
            Expansion::Other
        } else {
            unclear()
        };
    }
    if followed > 0 && (subcommand == "send-pack" || subcommand == "http-push") {
        return unclear();
    }
    if commands::is_builtin(subcommand) {
        return Expansion::Other;
    }
    if followed == MOST_ALIASES {
        return unclear();
    }
    let mut found: Vec<Expansion> = Vec::new();
    for text in aliases.get(subcommand) {
        let one = expand_one(before, text, rest, aliases, followed);
        if !found.contains(&one) {
            found.push(one);
        }
    }
    match found.as_slice() {
        [] if followed == 0 => Expansion::Unknown,
        [] => Expansion::Other,
        [only] => only.clone(),
        several if several.iter().all(|one| *one == Expansion::Other) => Expansion::Other,
        _ => unclear(),
    }
}

fn expand_one(
    before: &[OsString],
    text: &[u8],
    rest: &[OsString],
    aliases: &Aliases,
    followed: usize,
) -> Expansion {
    if let Some(shell) = text.strip_prefix(b"!") {
        return if may_push(shell, rest) {
            Expansion::Unclear(shell.to_vec())
        } else {
            Expansion::Other
        };
    }
    // git dies of an alias that it cannot split, and of options that it does not know.
    let Some(mut words) = split(text) else {
        return Expansion::Other;
    };
    words.extend_from_slice(rest);
    let Ok(read) = globals::parse(&words) else {
        return unreadable(&words, text);
    };
    let Some(next) = read.subcommand else {
        return Expansion::Other;
    };
    let before = [before, read.words].concat();
    follow(&before, next, read.rest, aliases, followed + 1)
}

fn unreadable(words: &[OsString], text: &[u8]) -> Expansion {
    if words.iter().any(|word| word == "push") {
        Expansion::Unclear(text.to_vec())
    } else {
        Expansion::Other
    }
}

/// Says whether `git for-each-repo` would run a command that is no push: one that git has built in,
/// named without options before it.
fn runs_only_a_builtin(rest: &[OsString]) -> bool {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--config" => {
                words.next();
            }
            b"--" => return words.next().is_some_and(|word| is_harmless(word)),
            option if option.starts_with(b"-") => {}
            _ => return is_harmless(word),
        }
    }
    true
}

fn is_harmless(command: &OsStr) -> bool {
    let pushes = ["for-each-repo", "send-pack", "http-push"];
    commands::is_builtin(command) && !pushes.iter().any(|name| command == *name)
}

/// Says whether a line for a shell could push: it says so, the arguments behind it do, or it runs a
/// git whose command is not a word of it.
fn may_push(shell: &[u8], rest: &[OsString]) -> bool {
    let pushes = |word: &OsString| {
        ["push", "send-pack", "http-push"]
            .iter()
            .any(|name| word == name)
    };
    if names_a_push(shell) || rest.iter().any(pushes) {
        return true;
    }
    let words: Vec<OsString> = shell
        .split(|byte| byte.is_ascii_whitespace() || b";&|(){}\"'`".contains(byte))
        .filter(|word| !word.is_empty())
        .map(word)
        .collect();
    let is_git = |word: &OsString| {
        let name = word.as_bytes().rsplit(|byte| *byte == b'/').next();
        name == Some(b"git".as_slice())
    };
    let mut places = (0..words.len()).filter(|place| words.get(*place).is_some_and(is_git));
    places.any(|place| {
        let after = words.get(place + 1..).unwrap_or_default();
        let after = [after, rest].concat();
        let read = globals::parse(&after);
        !read.is_ok_and(|read| read.subcommand.is_none_or(is_harmless))
    })
}

fn names_a_push(shell: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"push", b"send-pack", b"http-push"];
    names
        .iter()
        .any(|name| shell.windows(name.len()).any(|part| part == *name))
}

/// Splits the text of an alias into words, or returns nothing where git refuses it (git's alias.c,
/// split_cmdline).
fn split(text: &[u8]) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, byte) if byte.is_ascii_whitespace() => {
                words.extend(current.take().map(word));
            }
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            (Some(open), byte) if open == byte => quote = None,
            (open, b'\\') if open != Some(b'\'') => {
                current.get_or_insert_default().push(bytes.next()?);
            }
            (_, byte) => current.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return None;
    }
    words.extend(current.map(word));
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(list: &[(&str, &str)]) -> Aliases {
        let entries = list.iter().map(|(key, value)| format!("{key}\n{value}\0"));
        Aliases::parse(entries.collect::<String>().as_bytes())
    }

    fn expanded(list: &[(&str, &str)], command: &[&str]) -> Expansion {
        let words: Vec<OsString> = command.iter().map(OsString::from).collect();
        let read = globals::parse(&words).unwrap();
        let named: Vec<(String, &str)> = list
            .iter()
            .map(|(name, text)| (format!("alias.{name}"), *text))
            .collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(n, t)| (n.as_str(), *t)).collect();
        expand(
            read.words,
            read.subcommand.unwrap(),
            read.rest,
            &aliases(&named),
        )
    }

    fn push(words: &[&str]) -> Expansion {
        Expansion::Push(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn git_24_an_alias_of_an_alias_of_a_push_is_a_push() {
        let aliases = [("p", "q -f"), ("q", "-c a.b=c push 'x y'")];
        assert_eq!(
            expanded(&aliases, &["-C", "d", "p", "origin"]),
            push(&["-C", "d", "-c", "a.b=c", "push", "x y", "-f", "origin"])
        );
    }

    #[test]
    fn a_shell_alias_that_names_a_push_is_unclear() {
        let aliases = [("p", "!git push -f"), ("l", "!echo x")];
        assert!(matches!(expanded(&aliases, &["p"]), Expansion::Unclear(_)));
        assert_eq!(expanded(&aliases, &["l"]), Expansion::Other);
    }

    #[test]
    fn git_25_no_alias_hides_a_builtin() {
        assert_eq!(
            expanded(&[("status", "push -f")], &["status"]),
            Expansion::Other
        );
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let circle = expanded(&[("a", "b"), ("b", "a")], &["a"]);
        assert!(matches!(circle, Expansion::Unclear(_)));
    }

    #[test]
    fn git_24_a_long_chain_is_not_taken_for_something_harmless() {
        let names: Vec<(String, String)> = (0..100)
            .map(|n| (format!("a{n}"), format!("a{}", n + 1)))
            .collect();
        let list: Vec<(&str, &str)> = names
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert!(matches!(expanded(&list, &["a0"]), Expansion::Unclear(_)));
        assert_eq!(expanded(&list, &["x"]), Expansion::Unknown);
    }

    #[test]
    fn git_24_names_are_compared_without_case_and_the_newer_spelling_counts() {
        assert_eq!(
            expanded(&[("P.q", "push -f")], &["p.Q"]),
            push(&["push", "-f"])
        );
        assert_eq!(expanded(&[("p.command", "push")], &["P"]), push(&["push"]));
    }

    #[test]
    fn git_24_a_correction_is_one_unless_it_is_switched_off() {
        for (value, corrects) in [
            ("0", false),
            ("never", false),
            ("1", true),
            ("immediate", true),
        ] {
            let read = aliases(&[("help.autocorrect", value)]);
            assert_eq!(read.corrects(), corrects, "{value}");
        }
        assert!(!aliases(&[]).corrects());
    }

    #[test]
    fn quotes_and_backslashes_split_as_in_git() {
        let words = |text: &str| -> Option<Vec<String>> {
            let words = split(text.as_bytes())?;
            Some(
                words
                    .into_iter()
                    .map(|word| word.into_string().unwrap())
                    .collect(),
            )
        };
        let some = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            words("a  'b c' \"d\\\"e\" f\\ g"),
            some(&["a", "b c", "d\"e", "f g"])
        );
        assert_eq!(words("a 'b"), None);
        assert_eq!(words("a \\"), None);
        assert_eq!(words("'a\\b' ''"), some(&["a\\b", ""]));
    }
}
