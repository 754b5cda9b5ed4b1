//! Values, and the names by which people know them.

use std::path::Path;

use super::parse::{is_key, is_space};

/// One value and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    /// None where the variable has no `=`.
    pub(crate) text: Option<&'a [u8]>,
    /// None where it stands on the command line.
    pub(crate) file: Option<&'a Path>,
}

/// Why a value means nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadValue {
    #[error("'{name}' in {place} has no value")]
    Missing { name: String, place: String },
    #[error("'{value}' is not a value for '{name}' in {place}")]
    Invalid {
        name: String,
        value: String,
        place: String,
    },
}

impl<'a> Value<'a> {
    pub(crate) fn string(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> Result<&'a [u8], BadValue> {
        self.text.ok_or_else(|| BadValue::Missing {
            name: shown_name(section, subsection, key),
            place: place(self.file),
        })
    }

    pub(crate) fn bool(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> Result<bool, BadValue> {
        let Some(text) = self.text else {
            return Ok(true);
        };
        truth(text).ok_or_else(|| self.invalid(section, subsection, key))
    }

    /// Returns the error that says this value is none for the variable.
    pub(crate) fn invalid(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> BadValue {
        BadValue::Invalid {
            name: shown_name(section, subsection, key),
            value: self.text.unwrap_or_default().escape_ascii().to_string(),
            place: place(self.file),
        }
    }
}

/// Reads a truth as git's parse.c does: a word, or any number.
fn truth(text: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(&["true", "yes", "on"]) {
        Some(true)
    } else if is(&["", "false", "no", "off"]) {
        Some(false)
    } else {
        integer(text).map(|number| number != 0)
    }
}

/// Reads an `int` as git_parse_int does: strtoimax(3) with base 0, then k, m or g.
pub(crate) fn integer(text: &[u8]) -> Option<i32> {
    let is_c_space = |byte: &u8| is_space(*byte) || matches!(byte, 0x0b | 0x0c);
    let start = text.iter().position(|byte| !is_c_space(byte))?;
    let text = text.get(start..)?;
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut number: i64 = 0;
    let mut rest = digits;
    while let [digit, more @ ..] = rest {
        let Some(digit) = char::from(*digit).to_digit(radix) else {
            break;
        };
        number = number
            .checked_mul(i64::from(radix))?
            .checked_add(i64::from(digit))?;
        rest = more;
    }
    if rest.len() == digits.len() {
        return None;
    }
    let factor = match rest {
        [] => 1,
        [b'k' | b'K'] => 1 << 10,
        [b'm' | b'M'] => 1 << 20,
        [b'g' | b'G'] => 1 << 30,
        _ => return None,
    };
    i32::try_from(number.checked_mul(factor)?.checked_mul(sign)?).ok()
}

/// Returns the name as `git config --list` prints it.
pub(super) fn whole_name(section: &[u8], subsection: Option<&[u8]>, key: &[u8]) -> Vec<u8> {
    let mut name = section.to_vec();
    if let Some(subsection) = subsection {
        name.push(b'.');
        name.extend_from_slice(subsection);
    }
    // A variable before the first section has nothing but its key.
    if !section.is_empty() || subsection.is_some() {
        name.push(b'.');
    }
    name.extend_from_slice(key);
    name
}

fn shown_name(section: &[u8], subsection: Option<&[u8]>, key: &[u8]) -> String {
    whole_name(section, subsection, key)
        .escape_ascii()
        .to_string()
}

/// Says where a value stands.
pub(super) fn place(file: Option<&Path>) -> String {
    match file {
        Some(path) => path.display().to_string(),
        None => "the command line".to_owned(),
    }
}

/// Takes `section.subsection.key` apart into what stands before the last dot and after it, in
/// lower case but for the subsection (git's config.c, do_parse_config_key).
pub(super) fn split_name(name: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let last = name.iter().rposition(|byte| *byte == b'.')?;
    let (base, key) = (name.get(..last)?, name.get(last + 1..)?);
    let section_end = base.iter().position(|byte| *byte == b'.').unwrap_or(last);
    let (section, rest) = base.split_at_checked(section_end)?;
    let is_good = !base.is_empty()
        && key.first().is_some_and(u8::is_ascii_alphabetic)
        && key.iter().chain(section).all(|byte| is_key(*byte))
        && !rest.contains(&b'\n')
        && !name.contains(&0);
    let lower = |text: &[u8]| text.to_ascii_lowercase();
    is_good.then(|| ([lower(section), rest.to_vec()].concat(), lower(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value<'_> {
        Value {
            text: Some(text.as_bytes()),
            file: None,
        }
    }

    #[test]
    fn truth_has_gits_spellings() {
        let truth = |text| value(text).bool(b"a", None, b"b").ok();
        for yes in [
            "true", "YES", "On", "1", "2", "-1", "0x10", "1k", " 1", "+3", "010",
        ] {
            assert_eq!(truth(yes), Some(true), "{yes}");
        }
        for no in ["", "false", "NO", "off", "0", "-0", "0k", "00", "0x0"] {
            assert_eq!(truth(no), Some(false), "{no}");
        }
        for neither in [
            "maybe",
            "t",
            "1x",
            "1 ",
            "0x",
            "08",
            "4g",
            "99999999999999999999",
            "-",
            " ",
        ] {
            assert_eq!(truth(neither), None, "{neither}");
        }
        let none = Value {
            text: None,
            file: None,
        };
        assert_eq!(none.bool(b"a", None, b"b"), Ok(true));
        let error = none.string(b"a", Some(b"x\n"), b"b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'a.x\\n.b' in the command line has no value"
        );
    }

    #[test]
    fn names_of_the_command_line_are_split_at_the_last_dot() {
        let split = |name: &str| {
            let (base, key) = split_name(name.as_bytes())?;
            Some(format!(
                "{} {}",
                String::from_utf8(base).unwrap(),
                String::from_utf8(key).unwrap()
            ))
        };
        assert_eq!(
            split("Remote.Origin.PushURL").as_deref(),
            Some("remote.Origin pushurl")
        );
        assert_eq!(
            split("url.https://a.b/.insteadOf").as_deref(),
            Some("url.https://a.b/ insteadof")
        );
        assert_eq!(split("a..b").as_deref(), Some("a. b"));
        assert_eq!(split("..b").as_deref(), Some(". b"));
        for bad in ["a", ".b", "a.", "a_b.c", "a.1c", "a.b c", "a.x\ny.c", ""] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
