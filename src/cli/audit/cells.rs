//! Entries as CSV: a line an entry, a cell a field. A cell is one line of text without control
//! characters, and nothing that a spreadsheet takes for a formula (docs/audit-format.md).

use super::fields;
use crate::audit::entry::{Entry, Record};
use crate::audit::event::Field;
use crate::text::escape::{shell_line, shell_word, shown};
use crate::text::instant;

/// What a spreadsheet may take for the start of a formula; the wide ones count in some languages.
const STARTS_OF_FORMULAS: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

const FIRST: [&str; 9] = [
    "entry",
    "timestamp",
    "uptime_ms",
    "event_type",
    "decision",
    "agent",
    "uid",
    "pid",
    "op",
];

/// Returns the names of the columns.
pub(super) fn header() -> Vec<&'static str> {
    let details = Field::ALL.map(Field::name);
    FIRST
        .into_iter()
        .chain(details)
        .chain(["hash", "malformed"])
        .collect()
}

/// Returns the cells of what stands under a number, as many as there are columns.
pub(super) fn row(record: &Record) -> Vec<String> {
    match &record.entry {
        Ok(entry) => of_entry(entry),
        Err(why) => {
            let mut cells = vec![String::new(); header().len()];
            if let [number, .., malformed] = cells.as_mut_slice() {
                *number = record.seq.to_string();
                *malformed = why.to_string();
            }
            cells
        }
    }
}

fn of_entry(entry: &Entry) -> Vec<String> {
    let mut cells = vec![
        entry.seq.to_string(),
        instant::rfc3339(entry.at),
        entry.uptime.to_string(),
        entry.kind.name().to_owned(),
        entry.outcome.name().to_owned(),
        text(entry.agent.as_bytes()),
        entry.uid.to_string(),
        entry.pid.to_string(),
        entry
            .action
            .as_ref()
            .map(|op| text(op.as_bytes()))
            .unwrap_or_default(),
    ];
    cells.extend(Field::ALL.map(|field| detail(entry, field)));
    cells.push(data_encoding::HEXLOWER.encode(&entry.hash));
    cells.push(String::new());
    cells
}

fn detail(entry: &Entry, field: Field) -> String {
    let values: Vec<&[u8]> = entry.values(field).collect();
    match values.as_slice() {
        [] => String::new(),
        [only] if !field.is_list() => one(field, only),
        _ => words(&values),
    }
}

fn one(field: Field, value: &[u8]) -> String {
    match (field, fields::number(value)) {
        (Field::Ttl | Field::Uses | Field::Status | Field::Of | Field::Refusals, Some(number)) => {
            number.to_string()
        }
        (Field::NotBefore, Some(at)) => instant::rfc3339(at),
        _ => text(value),
    }
}

/// A text that would begin a formula, or with the mark itself, gets an apostrophe in front.
fn text(value: &[u8]) -> String {
    let mut cell = shown(value);
    if cell.starts_with(STARTS_OF_FORMULAS) || cell.starts_with('\'') {
        cell.insert(0, '\'');
    }
    cell
}

/// A list is its words as a shell reads them. A first word that would begin a formula is quoted.
fn words(values: &[&[u8]]) -> String {
    let line = shell_line(values.iter().copied());
    match values {
        [first, rest @ ..] if line.starts_with(STARTS_OF_FORMULAS) => {
            let mut quoted = format!("'{}'", shell_word(first));
            if !rest.is_empty() {
                quoted.push(' ');
                quoted.push_str(&shell_line(rest.iter().copied()));
            }
            quoted
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_and_each_reads_back() {
        for (value, cell) in [
            (&b"=1+1"[..], "'=1+1"),
            (b"-x", "'-x"),
            (b"@a", "'@a"),
            (b"'=", "''="),
            (b"\t=1", "\\t=1"),
            ("\u{ff1d}1".as_bytes(), "'\u{ff1d}1"),
            (b"plain", "plain"),
            (b"", ""),
        ] {
            assert_eq!(text(value), cell);
        }
        assert_eq!(words(&[b"-rf", b"a b"]), "'-rf' 'a b'");
        assert_eq!(words(&[b"=cmd|x"]), "'=cmd|x'");
        assert_eq!(words(&[b"@"]), "'@'");
        assert_eq!(words(&[b"rm", b"-rf"]), "rm -rf");
    }
}
