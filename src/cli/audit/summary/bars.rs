//! Counts as bars of plain characters, for a terminal and for a pipe.

use super::super::super::output::{self, Stop};
use super::super::line;
use super::counts::Counts;
use crate::sys::terminal;
use crate::text::escape::shown;
use crate::text::instant;

const LONGEST_BAR: usize = 40;
const LONGEST_NAME: usize = 24;
/// The width of what is not a terminal.
const PIPE: usize = 80;
const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) fn show(counts: &Counts) -> Result<(), Stop> {
    let width = terminal::width().unwrap_or(PIPE);
    if counts.entries == 0 {
        output::line("no such entry")?;
        return Ok(());
    }
    output::line(heading(counts))?;
    for block in [
        times(counts, width),
        decisions(counts, width),
        agents(counts, width),
        scopes(counts, width),
    ] {
        if !block.is_empty() {
            output::line("")?;
        }
        for text in block {
            output::line(text)?;
        }
    }
    Ok(())
}

fn heading(counts: &Counts) -> String {
    let mut text = counted(counts.entries, "entry", "entries");
    if let (Some(first), Some(last)) = (counts.first, counts.last) {
        text = format!("{text}, {} to {}", minute(first), minute(last));
    }
    if counts.only_counted > 0 {
        let refusals = counted(counts.only_counted, "refusal", "refusals");
        text = format!("{text}; {refusals} without an entry of their own");
    }
    if counts.malformed > 0 {
        let bad = counted(counts.malformed, "entry", "entries");
        text = format!("{text}; {bad} cannot be read:  pvm audit verify");
    }
    text
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns an instant to the minute, as it is in UTC.
fn minute(at: i64) -> String {
    let text = instant::rfc3339(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time}Z"),
        _ => text,
    }
}

fn times(counts: &Counts, width: usize) -> Vec<String> {
    let (unit, times) = counts.times();
    if times.len() < 2 {
        return Vec::new();
    }
    let name = |at: i64| match instant::day(at) {
        Some(day) if unit >= DAY_MS => instant::calendar(day),
        _ => minute(at),
    };
    let rows = times.into_iter().map(|(at, count)| (name(at), vec![count]));
    table("FROM", &["ENTRIES"], rows.collect(), width)
}

fn decisions(counts: &Counts, width: usize) -> Vec<String> {
    let rows = counts.decisions().into_iter();
    let rows = rows.map(|(name, count)| (name.to_owned(), vec![count]));
    table("DECISION", &["ENTRIES"], rows.collect(), width)
}

fn agents(counts: &Counts, width: usize) -> Vec<String> {
    let rows = counts.agents().into_iter().map(|(name, of)| {
        let name = line::cut(&shown(name.as_bytes()), LONGEST_NAME);
        (name, vec![of.allowed, of.refused, of.entries])
    });
    let columns = ["ALLOWED", "REFUSED", "ENTRIES"];
    table("AGENT", &columns, rows.collect(), width)
}

/// A scope may be long, so it comes last and is cut on a terminal only.
fn scopes(counts: &Counts, width: usize) -> Vec<String> {
    let scopes = counts.scopes();
    let Some((_, most)) = scopes.first() else {
        return Vec::new();
    };
    let bar_width = LONGEST_BAR.min(width / 4).max(1);
    let mut lines = vec![format!("{:>8}  {:<bar_width$}  SCOPE", "COMMANDS", "")];
    let room = terminal::width().map(|width| width.saturating_sub(bar_width + 12).max(8));
    for (scope, count) in &scopes {
        let name = shown(scope);
        let name = room.map_or_else(|| name.clone(), |room| line::cut(&name, room));
        let bar = bar(*count, *most, bar_width);
        lines.push(format!("{count:>8}  {bar:<bar_width$}  {name}"));
    }
    match counts.more_scopes() {
        0 => {}
        more => lines.push(format!("{:>8}  and {more} more", "")),
    }
    lines
}

/// Returns rows of a name, its numbers, and a bar for the last of them.
fn table(head: &str, columns: &[&str], rows: Vec<(String, Vec<u64>)>, width: usize) -> Vec<String> {
    let names = rows.iter().map(|(name, _)| line::width(name));
    let name_width = names.chain([head.len()]).max().unwrap_or_default();
    let used = name_width + columns.len() * 10 + 2;
    let bar_width = width.saturating_sub(used).clamp(1, LONGEST_BAR);
    let most = rows.iter().filter_map(|(_, numbers)| numbers.last()).max();
    let most = most.copied().unwrap_or_default();
    let cells: Vec<String> = columns
        .iter()
        .map(|column| format!("  {column:>8}"))
        .collect();
    let heads = cells.concat();
    let mut lines = vec![format!("{head:<name_width$}{heads}")];
    for (name, numbers) in rows {
        let gap = " ".repeat(name_width.saturating_sub(line::width(&name)));
        let bar = bar(numbers.last().copied().unwrap_or_default(), most, bar_width);
        let cells: Vec<String> = numbers
            .iter()
            .map(|number| format!("  {number:>8}"))
            .collect();
        let numbers = cells.concat();
        lines.push(format!("{name}{gap}{numbers}  {bar}").trim_end().to_owned());
    }
    lines
}

/// Returns a bar whose length is to `width` as `count` is to `most`; nothing only for nothing.
fn bar(count: u64, most: u64, width: usize) -> String {
    let longest = u128::try_from(width).unwrap_or_default();
    let length = u128::from(count) * longest / u128::from(most.max(1));
    let length = usize::try_from(length).unwrap_or(width).min(width);
    "#".repeat(length.max(usize::from(count > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_what_is_there_is_seen() {
        for (count, length) in [(0, 0), (1, 1), (50, 20), (99, 39), (100, 40)] {
            assert_eq!(bar(count, 100, 40).len(), length, "{count}");
        }
        assert_eq!(bar(u64::MAX, u64::MAX, 40).len(), 40);
        assert_eq!(bar(0, 0, 40), "");
    }

    #[test]
    fn rows_keep_within_the_width() {
        let rows = vec![("claude".to_owned(), vec![9]), ("a".repeat(24), vec![100])];
        for text in table("AGENT", &["ENTRIES"], rows, 60) {
            assert!(text.len() <= 60, "{text}");
        }
    }
}
