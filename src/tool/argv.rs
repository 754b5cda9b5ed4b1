//! The option grammar of GNU `getopt_long` (getopt(3)), over bytes and with options and operands
//! in any order. `POSIXLY_CORRECT` has no say: the real command does not see it either (ARG-12).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Whether a long option takes a value after `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakesValue {
    No,
    Optional,
}

/// The options of one program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar<T: 'static> {
    pub(crate) short: &'static [(u8, T)],
    pub(crate) long: &'static [(&'static str, TakesValue, T)],
}

/// One option as it stood on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence<'a, T> {
    pub(crate) option: T,
    pub(crate) value: Option<&'a [u8]>,
    /// Whether a long option was written out in full.
    pub(crate) in_full: bool,
}

/// Why the words are not a command of the program.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    #[error("unknown option '{0}'")]
    Unknown(String),
    #[error("option '{0}' is ambiguous")]
    Ambiguous(String),
    #[error("option '--{0}' takes no value")]
    UnexpectedValue(&'static str),
    #[error("'{value}' is not a value for '--{option}'")]
    InvalidValue { option: &'static str, value: String },
    #[error("no operand")]
    NoOperand,
}

/// Reads `words`, calls `each` for every option in order, and returns the operands in order, each
/// with its place among the words.
///
/// `each` answers whether to go on: `--help` ends the reading, as it ends the real program.
pub(crate) fn scan<'a, T: Copy + PartialEq>(
    words: &'a [OsString],
    grammar: &Grammar<T>,
    mut each: impl FnMut(Occurrence<'a, T>) -> Result<bool, UsageError>,
) -> Result<Vec<(usize, &'a OsStr)>, UsageError> {
    let mut operands = Vec::new();
    let mut words = words.iter().enumerate();
    while let Some((index, word)) = words.next() {
        match word.as_bytes() {
            b"--" => {
                operands.extend(
                    words
                        .by_ref()
                        .map(|(index, word)| (index, word.as_os_str())),
                );
            }
            [b'-', b'-', long @ ..] => {
                if !each(long_option(long, grammar)?)? {
                    break;
                }
            }
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                for letter in cluster {
                    if !each(short_option(*letter, grammar)?)? {
                        return Ok(operands);
                    }
                }
            }
            _ => operands.push((index, word.as_os_str())),
        }
    }
    Ok(operands)
}

fn short_option<'a, T: Copy>(
    letter: u8,
    grammar: &Grammar<T>,
) -> Result<Occurrence<'a, T>, UsageError> {
    let known = grammar
        .short
        .iter()
        .find(|(candidate, _)| *candidate == letter);
    let (_, option) =
        known.ok_or_else(|| UsageError::Unknown(format!("-{}", letter.escape_ascii())))?;
    Ok(Occurrence {
        option: *option,
        value: None,
        in_full: true,
    })
}

/// Returns a word for a message: escaped, and cut where it is too long to be an option.
pub(super) fn spell(word: &[u8]) -> String {
    match word.get(..64) {
        Some(start) => format!("{}...", start.escape_ascii()),
        None => word.escape_ascii().to_string(),
    }
}

/// An exact name wins; otherwise a prefix must fit one option, or several that mean the same.
fn long_option<'a, T: Copy + PartialEq>(
    word: &'a [u8],
    grammar: &Grammar<T>,
) -> Result<Occurrence<'a, T>, UsageError> {
    let (name, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(sign) => (word.get(..sign).unwrap_or(word), word.get(sign + 1..)),
        None => (word, None),
    };
    let spelled = || format!("--{}", spell(name));
    let exact = grammar
        .long
        .iter()
        .find(|(long, ..)| long.as_bytes() == name);
    let mut fits = grammar
        .long
        .iter()
        .filter(|(long, ..)| long.as_bytes().starts_with(name));
    let (long, takes, option) = if let Some(entry) = exact {
        entry
    } else {
        let first = fits.next().ok_or_else(|| UsageError::Unknown(spelled()))?;
        if fits.any(|other| (other.1, other.2) != (first.1, first.2)) {
            return Err(UsageError::Ambiguous(spelled()));
        }
        first
    };
    if value.is_some() && *takes == TakesValue::No {
        return Err(UsageError::UnexpectedValue(long));
    }
    Ok(Occurrence {
        option: *option,
        value,
        in_full: exact.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAMMAR: Grammar<char> = Grammar {
        short: &[(b'a', 'a'), (b'b', 'b')],
        long: &[
            ("alpha", TakesValue::No, 'a'),
            ("alpine", TakesValue::No, 'a'),
            ("beta", TakesValue::Optional, 'b'),
            ("bet", TakesValue::No, 'x'),
        ],
    };

    fn read(words: &[&str]) -> Result<(String, Vec<String>), UsageError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let mut seen = String::new();
        let operands = scan(&words, &GRAMMAR, |occurrence| {
            seen.push(occurrence.option);
            Ok(true)
        })?;
        Ok((
            seen,
            operands
                .iter()
                .map(|(_, word)| word.to_str().unwrap().to_owned())
                .collect(),
        ))
    }

    #[test]
    fn arg_09_10_and_11_operands_and_options_mix_until_two_dashes() {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            read(&["x", "-a", "y"]),
            Ok(("a".into(), words(&["x", "y"])))
        );
        assert_eq!(
            read(&["x", "--", "-a", "--"]),
            Ok((String::new(), words(&["x", "-a", "--"])))
        );
        assert_eq!(read(&["-"]), Ok((String::new(), words(&["-"]))));
        assert_eq!(read(&["-ab", "-ba"]), Ok(("abba".into(), vec![])));
    }

    #[test]
    fn arg_14_a_prefix_must_be_clear() {
        assert_eq!(read(&["--al"]).unwrap().0, "a");
        assert_eq!(read(&["--be"]), Err(UsageError::Ambiguous("--be".into())));
        assert_eq!(read(&["--bet"]).unwrap().0, "x");
        assert_eq!(
            read(&["--alphas"]),
            Err(UsageError::Unknown("--alphas".into()))
        );
        assert_eq!(
            read(&["--alpha=1"]),
            Err(UsageError::UnexpectedValue("alpha"))
        );
    }

    #[test]
    fn arg_19_an_unknown_letter_anywhere_in_a_cluster_is_an_error() {
        assert_eq!(read(&["-az"]), Err(UsageError::Unknown("-z".into())));
        assert_eq!(
            read(&["---alpha"]),
            Err(UsageError::Unknown("---alpha".into()))
        );
    }
}
