//! Aliases of git (git's alias.c and git.c, `handle_alias`).

use std::ffi::{OsStr, OsString};

use super::commands;
use super::globals;
use super::pin::word;

/// More aliases than anybody chains; git stops at the first that comes twice.
const MOST_ALIASES: usize = 32;

/// What a subcommand that git does not know by itself comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expansion {
    /// The words after `git` of a push.
    Push(Vec<OsString>),
    /// Anything else, or nothing that pvm can tell.
    Other,
    /// A shell command that names a push.
    Unclear(Vec<u8>),
}

/// Follows aliases until something else than an alias. `ask` returns what an alias says.
pub(crate) fn expand<E>(
    before: &[OsString],
    subcommand: &OsStr,
    rest: &[OsString],
    mut ask: impl FnMut(&OsStr) -> Result<Option<Vec<u8>>, E>,
) -> Result<Expansion, E> {
    let mut before = before.to_vec();
    let mut subcommand = subcommand.to_owned();
    let mut rest = rest.to_vec();
    for _ in 0..MOST_ALIASES {
        if subcommand == "push" {
            before.push(subcommand);
            before.extend(rest);
            return Ok(Expansion::Push(before));
        }
        if commands::is_builtin(&subcommand) {
            return Ok(Expansion::Other);
        }
        let Some(text) = ask(&subcommand)? else {
            return Ok(Expansion::Other);
        };
        if let Some(shell) = text.strip_prefix(b"!") {
            return Ok(if names_a_push(shell) {
                Expansion::Unclear(shell.to_vec())
            } else {
                Expansion::Other
            });
        }
        // git dies of an alias that it cannot split, and of options that it does not know.
        let Some(mut words) = split(&text) else {
            return Ok(Expansion::Other);
        };
        words.extend(rest);
        let Ok(read) = globals::parse(&words) else {
            return Ok(unreadable(&words, &text));
        };
        let Some(next) = read.subcommand else {
            return Ok(Expansion::Other);
        };
        before.extend_from_slice(read.words);
        rest = read.rest.to_vec();
        next.clone_into(&mut subcommand);
    }
    Ok(Expansion::Other)
}

fn unreadable(words: &[OsString], text: &[u8]) -> Expansion {
    if words.iter().any(|word| word == "push") {
        Expansion::Unclear(text.to_vec())
    } else {
        Expansion::Other
    }
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
    use std::convert::Infallible;

    use super::*;

    fn expanded(aliases: &[(&str, &str)], command: &[&str]) -> Expansion {
        let words: Vec<OsString> = command.iter().map(OsString::from).collect();
        let read = globals::parse(&words).unwrap();
        let ask = |name: &OsStr| -> Result<Option<Vec<u8>>, Infallible> {
            let found = aliases.iter().find(|(alias, _)| name == *alias);
            Ok(found.map(|(_, text)| text.as_bytes().to_vec()))
        };
        let Ok(expansion) = expand(read.words, read.subcommand.unwrap(), read.rest, ask);
        expansion
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
        assert_eq!(
            expanded(&[("a", "b"), ("b", "a")], &["a"]),
            Expansion::Other
        );
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
