//! The option grammar of git's parse-options.c (2.30 to 2.55), over bytes and with options and
//! operands in any order. It differs from `getopt_long`: every option has a `--no-` form unless it
//! says otherwise, and those are abbreviated too.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::tool::argv::spell;

/// What an option takes: nothing, a value here or in the next word, or a value only where it
/// stands in the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Value,
    OptionalValue,
}

/// One line of a command's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<T: 'static> {
    pub(crate) short: Option<u8>,
    pub(crate) long: &'static str,
    pub(crate) takes: Takes,
    pub(crate) negatable: bool,
    pub(crate) option: T,
}

/// One option as it stood on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence<'a, T> {
    pub(crate) option: T,
    /// Whether the option was taken back: `--no-x`, or `--x` where the table has `no-x`.
    pub(crate) negated: bool,
    pub(crate) value: Option<&'a OsStr>,
}

/// What the words come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'a> {
    Operands(Vec<&'a OsStr>),
    /// The command prints its usage and looks at nothing that follows.
    Informational,
}

/// Why git would not take the words.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    #[error("unknown option '{0}'")]
    Unknown(String),
    #[error("option '{0}' is ambiguous")]
    Ambiguous(String),
    #[error("'-{0}' with one dash is not '--{0}'")]
    OneDash(String),
    #[error("option '{0}' takes no value")]
    UnexpectedValue(String),
    #[error("option '{0}' needs a value")]
    MissingValue(String),
}

/// Reads `words` and calls `each` for every option in order. Returns the operands in order.
///
/// `E` is what `each` fails with.
pub(crate) fn scan<'a, T: Copy, E: From<UsageError>>(
    words: &'a [OsString],
    table: &[Spec<T>],
    mut each: impl FnMut(Occurrence<'a, T>) -> Result<(), E>,
) -> Result<Scanned<'a>, E> {
    let mut operands = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_bytes() {
            b"--" | b"--end-of-options" => operands.extend(rest.by_ref().map(OsString::as_os_str)),
            b"--help" | b"--help-all" => return Ok(Scanned::Informational),
            b"--git-completion-helper" | b"--git-completion-helper-all" if words.len() == 1 => {
                return Ok(Scanned::Informational);
            }
            [b'-', b'-', long @ ..] => each(long_option(long, table, &mut rest)?)?,
            [b'-', letters @ ..] if !letters.is_empty() => {
                if !cluster(letters, table, &mut rest, &mut each)? {
                    return Ok(Scanned::Informational);
                }
            }
            _ => operands.push(word.as_os_str()),
        }
    }
    Ok(Scanned::Operands(operands))
}

/// Reads the letters behind one dash. Returns whether to go on: `h` asks for the usage.
fn cluster<'a, T: Copy, E: From<UsageError>>(
    letters: &'a [u8],
    table: &[Spec<T>],
    rest: &mut std::slice::Iter<'a, OsString>,
    each: &mut impl FnMut(Occurrence<'a, T>) -> Result<(), E>,
) -> Result<bool, E> {
    let mut left = letters;
    while let [letter, after @ ..] = left {
        let is_first = left.len() == letters.len();
        let spec = table.iter().find(|spec| spec.short == Some(*letter));
        let ends_here = spec.is_some_and(|spec| after.is_empty() || spec.takes != Takes::Nothing);
        if is_first && !ends_here && is_long_name(letters, table) {
            return Err(UsageError::OneDash(spell(letters)).into());
        }
        let spelled = || format!("-{}", letter.escape_ascii());
        let Some(spec) = spec else {
            return match letter {
                b'h' => Ok(false),
                _ => Err(UsageError::Unknown(spelled()).into()),
            };
        };
        let (value, next): (_, &[u8]) = match spec.takes {
            Takes::Nothing => (None, after),
            _ if !after.is_empty() => (Some(OsStr::from_bytes(after)), &[]),
            Takes::Value => (Some(following(rest, spelled)?), &[]),
            Takes::OptionalValue => (None, &[]),
        };
        each(Occurrence {
            option: spec.option,
            negated: false,
            value,
        })?;
        left = next;
    }
    Ok(true)
}

/// Says whether git takes the cluster for a long option that lacks a dash (`check_typos`).
fn is_long_name<T>(letters: &[u8], table: &[Spec<T>]) -> bool {
    letters.len() >= 3
        && (letters.starts_with(b"no-")
            || table
                .iter()
                .any(|spec| spec.long.as_bytes().starts_with(letters)))
}

/// Whatever stands next is the value, even `--` or something with dashes.
fn following<'a>(
    rest: &mut std::slice::Iter<'a, OsString>,
    spelled: impl Fn() -> String,
) -> Result<&'a OsStr, UsageError> {
    rest.next()
        .map(OsString::as_os_str)
        .ok_or_else(|| UsageError::MissingValue(spelled()))
}

fn long_option<'a, T: Copy>(
    word: &'a [u8],
    table: &[Spec<T>],
    rest: &mut std::slice::Iter<'a, OsString>,
) -> Result<Occurrence<'a, T>, UsageError> {
    let (name, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(sign) => (word.get(..sign).unwrap_or(word), word.get(sign + 1..)),
        None => (word, None),
    };
    let value = value.map(OsStr::from_bytes);
    let spelled = || format!("--{}", spell(name));
    let (spec, negated) = find(word, name, table)?;
    let value = match spec.takes {
        _ if negated && value.is_none() => None,
        Takes::Nothing if value.is_none() => None,
        Takes::Value if !negated => Some(match value {
            Some(value) => value,
            None => following(rest, spelled)?,
        }),
        Takes::OptionalValue if !negated => value,
        _ => return Err(UsageError::UnexpectedValue(spelled())),
    };
    Ok(Occurrence {
        option: spec.option,
        negated,
        value,
    })
}

/// Finds the option that `name` stands for, and whether negated (`parse_long_opt`). A name in full
/// wins; otherwise it must be the beginning of one form of one option.
fn find<'t, T: Copy>(
    word: &[u8],
    name: &[u8],
    table: &'t [Spec<T>],
) -> Result<(&'t Spec<T>, bool), UsageError> {
    let (stem, says_no) = match name.strip_prefix(b"no-") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    // Two of them are for an option that has one in its own name.
    let (stem, says_no, twice) = match stem.strip_prefix(b"no-") {
        Some(stem) if says_no => (stem, false, true),
        _ => (stem, says_no, false),
    };
    let mut fits: Option<(&Spec<T>, bool)> = None;
    let mut ambiguous = false;
    let mut fit = |spec, negated| {
        ambiguous |= fits.is_some();
        fits = Some((spec, negated));
    };
    for spec in table {
        let long = spec.long.as_bytes();
        let (long, is_no) = match long.strip_prefix(b"no-") {
            Some(long) => (long, true),
            None => (long, false),
        };
        let negated = says_no != is_no;
        if (twice && !is_no) || (negated && !spec.negatable) {
            continue;
        }
        if long == stem {
            return Ok((spec, negated));
        }
        if long.starts_with(stem) {
            fit(spec, negated);
        }
        // "--n" and "--no" are the beginning of every negated form.
        if spec.negatable && b"no-".starts_with(word) {
            fit(spec, !is_no);
        }
    }
    let spelled = format!("--{}", spell(name));
    if ambiguous {
        return Err(UsageError::Ambiguous(spelled));
    }
    fits.ok_or(UsageError::Unknown(spelled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spec(
        short: Option<u8>,
        long: &'static str,
        takes: Takes,
        negatable: bool,
    ) -> Spec<&'static str> {
        Spec {
            short,
            long,
            takes,
            negatable,
            option: long,
        }
    }

    const TABLE: [Spec<&str>; 7] = [
        spec(Some(b'a'), "all", Takes::Nothing, true),
        spec(Some(b'o'), "option", Takes::Value, true),
        spec(None, "signed", Takes::OptionalValue, true),
        spec(None, "no-verify", Takes::Nothing, true),
        spec(Some(b'v'), "verbose", Takes::Nothing, true),
        spec(Some(b'4'), "ipv4", Takes::Nothing, false),
        spec(None, "allow", Takes::Nothing, true),
    ];

    /// Returns the options and the operands in one line.
    fn read(words: &[&str]) -> Result<String, UsageError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let mut seen = Vec::new();
        let scanned = scan(&words, &TABLE, |occurrence| {
            let sign = if occurrence.negated { "!" } else { "" };
            let value = occurrence
                .value
                .map_or(String::new(), |value| format!("={}", value.display()));
            seen.push(format!("{sign}{}{value}", occurrence.option));
            Ok::<(), UsageError>(())
        })?;
        match scanned {
            Scanned::Operands(operands) => {
                seen.push("|".into());
                seen.extend(operands.iter().map(|word| word.display().to_string()));
            }
            Scanned::Informational => seen.push("usage".into()),
        }
        Ok(seen.join(" "))
    }

    fn ok(words: &[&str], expected: &str) {
        assert_eq!(read(words).as_deref(), Ok(expected), "{words:?}");
    }

    fn bad(words: &[&str], expected: UsageError) {
        assert_eq!(read(words), Err(expected), "{words:?}");
    }

    #[test]
    fn options_and_operands_mix_until_two_dashes() {
        ok(&["x", "-a", "y"], "all | x y");
        ok(&["x", "--", "-a", "--"], "| x -a --");
        ok(&["--end-of-options", "-a"], "| -a");
        ok(&["-", ""], "| - ");
        ok(&[], "|");
    }

    #[test]
    fn a_value_stands_in_the_same_word_or_the_next_one() {
        ok(&["-ox", "-o", "x"], "option=x option=x |");
        ok(&["-aox"], "all option=x |");
        ok(&["-oa", "-o", "-a"], "option=a option=-a |");
        ok(&["-o", "--", "-a"], "option=-- all |");
        ok(&["-o", ""], "option= |");
        ok(&["--option=x", "--option", "x"], "option=x option=x |");
        ok(&["--option=", "--opt=a=b"], "option= option=a=b |");
        ok(&["--option", "--help"], "option=--help |");
        bad(&["-o"], UsageError::MissingValue("-o".into()));
        bad(&["--opt"], UsageError::MissingValue("--opt".into()));
    }

    #[test]
    fn an_optional_value_stands_only_behind_the_sign() {
        ok(&["--signed", "yes"], "signed | yes");
        ok(&["--signed=yes", "--sig="], "signed=yes signed= |");
    }

    #[test]
    fn every_option_can_be_taken_back_unless_it_says_otherwise() {
        ok(&["--no-all", "--no-option"], "!all !option |");
        ok(&["--no-verify", "--verify"], "no-verify !no-verify |");
        ok(&["--no-no-verify"], "!no-verify |");
        bad(
            &["--no-option=x"],
            UsageError::UnexpectedValue("--no-option".into()),
        );
        bad(&["--all=x"], UsageError::UnexpectedValue("--all".into()));
        bad(&["--no-ipv4"], UsageError::Unknown("--no-ipv4".into()));
        bad(&["--no-no-all"], UsageError::Unknown("--no-no-all".into()));
    }

    #[test]
    fn git_04_an_abbreviation_must_fit_one_form_only() {
        ok(&["--all"], "all |");
        ok(&["--allo", "--no-allo"], "allow !allow |");
        ok(&["--veri", "--verb"], "!no-verify verbose |");
        ok(&["--no-veri", "--no-verb"], "no-verify !verbose |");
        ok(&["--ip"], "ipv4 |");
        for word in ["--al", "--ver", "--no-v", "--n", "--no", "--no-", "--=x"] {
            let name = word.split('=').next().unwrap();
            bad(&[word], UsageError::Ambiguous(name.into()));
        }
        bad(&["--alls"], UsageError::Unknown("--alls".into()));
        bad(&["---all"], UsageError::Unknown("---all".into()));
    }

    #[test]
    fn a_long_name_with_one_dash_is_an_error() {
        for word in ["-all", "-no-all", "-verb", "-no-x"] {
            let name = word.trim_start_matches('-').into();
            bad(&[word], UsageError::OneDash(name));
        }
        bad(&["-alx"], UsageError::Unknown("-l".into()));
        bad(&["-az"], UsageError::Unknown("-z".into()));
        // A value that happens to go on like a name is a value.
        ok(&["-option"], "option=ption |");
    }

    #[test]
    fn the_usage_ends_the_reading() {
        for words in [
            &["-h"][..],
            &["-ah", "--nonsense"],
            &["x", "--help"],
            &["--help-all"],
            &["--git-completion-helper"],
        ] {
            assert!(read(words).unwrap().ends_with("usage"), "{words:?}");
        }
        bad(
            &["-a", "--git-completion-helper"],
            UsageError::Unknown("--git-completion-helper".into()),
        );
        bad(
            &["--nonsense", "-h"],
            UsageError::Unknown("--nonsense".into()),
        );
    }
}
