//! Untrusted bytes made fit for a terminal: nothing that moves the cursor, hides, or reverses the
//! direction of reading survives (ARG-25).

use std::fmt::Write;

/// Returns `bytes` for showing: what is not printable stands as an escape.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_shown(&mut out, character);
        }
        for byte in chunk.invalid() {
            push_byte(&mut out, *byte);
        }
    }
    out
}

/// Returns `bytes` for a message: shown, and cut where they are too many to read.
pub(crate) fn brief(bytes: &[u8]) -> String {
    const MOST: usize = 1024;
    match bytes.get(..MOST) {
        Some(start) if bytes.len() > MOST => format!("{}... ({} bytes)", shown(start), bytes.len()),
        _ => shown(bytes),
    }
}

fn push_shown(out: &mut String, character: char) {
    match character {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        _ if is_hidden(character) => {
            out.extend(character.escape_unicode());
        }
        _ => out.push(character),
    }
}

fn push_byte(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _written = write!(out, "\\x{byte:02x}");
}

/// Control characters, and what a terminal shows as nothing or uses to turn text around: soft
/// hyphen, Arabic letter mark, zero-width and bidirectional controls, variation selectors, tags.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns one word as GNU `rm` names a file, byte for byte: as a shell reads it back, and never
/// bare (`shell-escape-always` of gnulib's quotearg). `utf8` says whether the locale has letters
/// beyond ASCII.
pub(crate) fn quoted(bytes: &[u8], utf8: bool) -> String {
    if bytes.contains(&b'\'') && is_plain_in_double_quotes(bytes, utf8) {
        return format!("\"{}\"", String::from_utf8_lossy(bytes));
    }
    let mut out = String::from("'");
    let mut escaping = false;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_printable(character, utf8) {
                match character {
                    // Closes, stands for itself, and opens again, in either kind of quotes.
                    '\'' => out.push_str("'\\''"),
                    _ if escaping => out.extend(['\'', '\'', character]),
                    _ => out.push(character),
                }
                escaping = false;
            } else {
                let mut buffer = [0; 4];
                push_gnu_escapes(
                    &mut out,
                    character.encode_utf8(&mut buffer).as_bytes(),
                    &mut escaping,
                );
            }
        }
        push_gnu_escapes(&mut out, chunk.invalid(), &mut escaping);
    }
    out.push('\'');
    out
}

fn is_printable(character: char, utf8: bool) -> bool {
    !is_hidden(character) && (utf8 || character.is_ascii())
}

fn is_plain_in_double_quotes(bytes: &[u8], utf8: bool) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.char_indices().all(|(index, character)| {
            is_printable(character, utf8)
                && match character {
                    '#' | '~' => index == 0,
                    _ => !"!\"$&()*;<=>?[\\^`{|}".contains(character),
                }
        })
    })
}

fn push_gnu_escapes(out: &mut String, bytes: &[u8], escaping: &mut bool) {
    for byte in bytes {
        if !*escaping {
            out.push_str("'$'");
        }
        *escaping = true;
        let letter = match byte {
            7 => 'a',
            8 => 'b',
            b'\t' => 't',
            b'\n' => 'n',
            11 => 'v',
            12 => 'f',
            b'\r' => 'r',
            _ => {
                let _written = write!(out, "\\{byte:03o}");
                continue;
            }
        };
        out.extend(['\\', letter]);
    }
}

/// Returns one word as a shell reads it back, byte for byte: bare, in quotes, or as `$'...'`.
pub(crate) fn shell_word(bytes: &[u8]) -> String {
    let bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(bare) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_hidden) => format!("'{}'", text.replace('\'', "'\\''")),
        _ => ansi_quoted(bytes),
    }
}

fn ansi_quoted(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '\\' => out.extend(['\\', character]),
                '\n' => out.push_str("\\n"),
                _ if is_hidden(character) => {
                    let mut buffer = [0; 4];
                    character
                        .encode_utf8(&mut buffer)
                        .bytes()
                        .for_each(|b| push_byte(&mut out, b));
                }
                _ => out.push(character),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_byte(&mut out, *byte));
    }
    out.push('\'');
    out
}

/// Returns a command line that a shell splits into exactly these words.
pub(crate) fn shell_line<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> String {
    words
        .into_iter()
        .map(shell_word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arg_25_nothing_that_steers_a_terminal_survives() {
        assert_eq!(shown(b"a\x1b[2Kb"), "a\\u{1b}[2Kb");
        assert_eq!(shown(b"a\nSUCCESS"), "a\\nSUCCESS");
        assert_eq!(
            shown("a\u{202e}b\u{200b}".as_bytes()),
            "a\\u{202e}b\\u{200b}"
        );
        assert_eq!(shown("\u{9b}31m \u{e9}".as_bytes()), "\\u{9b}31m \u{e9}");
    }

    #[test]
    fn arg_26_bytes_that_are_no_text_stay_apart() {
        assert_eq!(shown(b"a\xff"), "a\\xff");
        assert_ne!(shown(b"a\xff"), shown(b"a\xfe"));
        assert_ne!(shown(b"a\\xff"), shown(b"a\xff"));
    }

    #[test]
    fn a_word_is_quoted_as_a_shell_needs_it() {
        assert_eq!(shell_word(b"/tmp/x"), "/tmp/x");
        assert_eq!(shell_word(b""), "''");
        assert_eq!(shell_word(b"a b"), "'a b'");
        assert_eq!(shell_word(b"it's"), "'it'\\''s'");
        assert_eq!(shell_word(b"a\n\xff'"), "$'a\\n\\xff\\''");
        assert_eq!(shell_line([&b"rm"[..], b"a b"]), "rm 'a b'");
    }

    /// The expected texts are what `rm` of coreutils 9.1 says.
    #[test]
    fn a_file_is_named_as_rm_names_it() {
        let cases: [(&[u8], &str); 14] = [
            (b"a", "'a'"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"it's", "\"it's\""),
            (b"it's @", "\"it's @\""),
            (b"it's $x", r"'it'\''s $x'"),
            (b"#it's", "\"#it's\""),
            (b"it's#", r"'it'\''s#'"),
            (b"a\\b", r"'a\b'"),
            (b"\xff", r"''$'\377'"),
            (b"a\nb", r"'a'$'\n''b'"),
            (b"a\x1b\x07'", r"'a'$'\033\a'\'''"),
            (b"\"\xff\xfe\"", r#"'"'$'\377\376''"'"#),
            ("\u{e9}".as_bytes(), r"''$'\303\251'"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(quoted(bytes, false), expected);
        }
        assert_eq!(quoted("\u{e9}'s".as_bytes(), true), "\"\u{e9}'s\"");
    }
}
