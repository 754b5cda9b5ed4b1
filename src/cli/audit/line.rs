//! What an entry is about, in one line for people.

use unicode_width::UnicodeWidthChar;

use super::fields;
use crate::audit::entry::{Entry, Record};
use crate::audit::event::{Field, Kind};
use crate::text::escape::{shell_line, shell_word, shown};
use crate::text::{duration, instant};

/// How many characters of an id are shown.
const SHORT_ID: usize = 8;
const SEPARATOR: &str = "; ";

/// Returns the line, cut to `room` columns if that is given. The start of a long command is kept,
/// and why it was refused stays in view before the paths do.
pub(super) fn what(record: &Record, room: Option<usize>) -> String {
    let entry = match &record.entry {
        Ok(entry) => entry,
        Err(why) => return format!("{why}; find the first such entry:  pvm audit verify"),
    };
    let (prefix, subject) = (prefix(entry.kind), subject(entry));
    let remarks = remarks(entry).join(SEPARATOR);
    let subject = match room {
        Some(room) => {
            let others = prefix.len() + width(&remarks) + SEPARATOR.len();
            cut(&subject, room.saturating_sub(others).max(room / 2))
        }
        None => subject,
    };
    let parts = [subject, remarks, unnamed_scopes(entry)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let line = format!("{prefix}{}", parts.join(SEPARATOR));
    match room {
        Some(room) => cut(&line, room),
        None => line,
    }
}

/// What runs and what was refused speaks for itself.
fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Execution | Kind::GrantCheck => "",
        Kind::Request => "request: ",
        Kind::Approval => "approval: ",
        Kind::Denial => "denial: ",
        Kind::Revocation => "revocation: ",
        Kind::Expiry => "expiry: ",
        Kind::Config => "config: ",
        Kind::Hijack => "hijack: ",
    }
}

fn subject(entry: &Entry) -> String {
    let scopes = || shell_line(entry.values(Field::Scope));
    let one_command = entry.value(Field::Argv).is_some();
    if let Some(ops) = entry.value(Field::Actions) {
        let whom = entry.value(Field::For).map(shown).unwrap_or_default();
        let what = if one_command {
            let command = shell_line(entry.values(Field::Argv));
            format!("{} of one command in {}, {command},", shown(ops), scopes())
        } else {
            format!("{} on {}", shown(ops), scopes())
        };
        let wish = format!("{what} for {whom}");
        return std::iter::once(wish)
            .chain(window(entry))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if entry.action.as_deref() == Some("exec") {
        // Which file it is matters here.
        return shell_line(entry.values(Field::Argv));
    }
    if one_command {
        return shell_line(command(entry));
    }
    match (entry.value(Field::Of), entry.value(Field::Scope)) {
        (Some(first), _) => format!("of entry {}", shown(first)),
        (None, Some(_)) => format!("of {}", scopes()),
        (None, None) => String::new(),
    }
}

/// Returns the words of the command, the first without its directory.
fn command(entry: &Entry) -> impl Iterator<Item = &[u8]> {
    let mut words = entry.values(Field::Argv);
    let name = words
        .next()
        .and_then(|word| word.rsplit(|byte| *byte == b'/').next());
    name.into_iter().chain(words)
}

/// Returns how long and how often a grant is to hold.
fn window(entry: &Entry) -> impl Iterator<Item = String> {
    let number = |field| entry.value(field).and_then(fields::number);
    let counted = |uses| {
        if uses == 1 {
            "1 use".to_owned()
        } else {
            format!("{uses} uses")
        }
    };
    let parts = [
        number(Field::Ttl).map(|ttl| duration::short(ttl.saturating_mul(1000))),
        number(Field::Uses).map(counted),
        number(Field::NotBefore).map(|start| format!("from {}", instant::rfc3339(start))),
    ];
    parts.into_iter().flatten()
}

fn remarks(entry: &Entry) -> Vec<String> {
    let all = |field| entry.values(field).map(shown).collect::<Vec<_>>();
    let mut remarks = Vec::new();
    if entry.kind == Kind::Hijack {
        remarks.extend(
            all(Field::Program)
                .iter()
                .map(|found| format!("found {found}")),
        );
        remarks.extend(
            all(Field::Instead)
                .iter()
                .map(|other| format!("trusted is {other}")),
        );
    }
    remarks.extend(reasons(entry));
    remarks.extend(all(Field::Error));
    remarks.extend(
        all(Field::Status)
            .iter()
            .map(|status| format!("exit status {status}")),
    );
    remarks.extend(all(Field::Note));
    if entry.kind == Kind::Config {
        remarks.extend(entry.value(Field::File).map(shell_word));
    }
    remarks.extend(
        all(Field::Truncated)
            .iter()
            .map(|what| format!("cut: {what}")),
    );
    remarks
}

/// Returns why, and by which grants; the reason of an allowed command is that of its grant.
fn reasons(entry: &Entry) -> Option<String> {
    let why = entry
        .values(Field::Reason)
        .chain(entry.values(Field::GrantReason))
        .map(shown)
        .collect::<Vec<_>>()
        .join("; ");
    let grants = entry
        .values(Field::Grant)
        .map(short)
        .collect::<Vec<_>>()
        .join(", ");
    match (grants.is_empty(), why.is_empty()) {
        (true, true) => None,
        (true, false) => Some(why),
        (false, true) => Some(format!("grant {grants}")),
        (false, false) => Some(format!("grant {grants}: {why}")),
    }
}

/// Returns the scopes of a command, unless its words name them already.
fn unnamed_scopes(entry: &Entry) -> String {
    let named = |scope: &[u8]| entry.values(Field::Argv).any(|word| word == scope);
    let scopes: Vec<_> = entry
        .values(Field::Scope)
        .filter(|scope| !named(scope))
        .collect();
    if scopes.is_empty() || entry.value(Field::Argv).is_none() {
        String::new()
    } else {
        format!("on {}", shell_line(scopes))
    }
}

fn short(id: &[u8]) -> String {
    shown(id.get(..SHORT_ID).unwrap_or(id))
}

pub(super) fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// Returns `text` in at most `room` columns.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(1);
    let fits = |character: &char| {
        let width = character.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let mut start: String = text.chars().take_while(fits).collect();
    start.push('…');
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_is_seen_and_wide_characters_count_as_two() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("\u{8a9e}\u{8a9e}\u{8a9e}", 5), "\u{8a9e}\u{8a9e}…");
        assert_eq!(cut("\u{8a9e}\u{8a9e}\u{8a9e}", 4), "\u{8a9e}…");
        assert_eq!(cut("ab", 0), "…");
    }

    proptest! {
        #[test]
        fn a_cut_line_is_never_too_wide(text in ".{0,60}", room in 1_usize..40) {
            prop_assert!(width(&cut(&text, room)) <= room);
        }
    }
}
