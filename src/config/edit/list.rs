use std::ops::Range;

use toml_edit::{Array, Value};

/// Rules that stand in one list, and where it and they are in the text.
pub(super) struct List {
    whole: Range<usize>,
    rules: Vec<Range<usize>>,
    has_last_comma: bool,
}

impl List {
    /// Returns nothing for a list that was not read from a text.
    pub(super) fn of(array: &Array) -> Option<Self> {
        Some(Self {
            whole: array.span()?,
            rules: array.iter().map(Value::span).collect::<Option<_>>()?,
            has_last_comma: array.trailing_comma(),
        })
    }

    /// Returns where a rule begins.
    pub(super) fn start(&self, index: usize) -> Option<usize> {
        self.rules.get(index).map(|rule| rule.start)
    }

    /// Returns the rules as they are written.
    pub(super) fn texts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let rules = self.rules.iter();
        rules.filter_map(|rule| text.get(rule.clone())).collect()
    }

    /// Returns `text` with a rule behind the others, on a line of its own where they have some.
    pub(super) fn with(&self, text: &str, rule: &str) -> Option<String> {
        let last = self.rules.last();
        let from = last.map_or(self.whole.start + 1, |last| last.end);
        let close = self.whole.end.checked_sub(1)?;
        let (before, behind) = (text.get(..from)?, text.get(from..close)?);
        let comma = if last.is_some() && !self.has_last_comma {
            ","
        } else {
            ""
        };
        let kept = behind.trim_end();
        let end = text.get(close..)?;
        let Some((_, closing)) = behind.rsplit_once('\n') else {
            let blank = if last.is_some() { " " } else { "" };
            let space = behind.get(kept.len()..)?;
            return Some(format!("{before}{comma}{kept}{blank}{rule}{space}{end}"));
        };
        let line = last.and_then(|last| line_before(text, last.start));
        let indent = line.filter(|line| is_blank(line)).unwrap_or("  ");
        let new_line = if behind.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        Some(format!(
            "{before}{comma}{kept}{new_line}{indent}{rule},{new_line}{closing}{end}"
        ))
    }

    /// Returns what to cut so that a rule is gone: its lines where it has them for itself, else the
    /// rule and one comma. Nothing where that comma is on another line.
    pub(super) fn cut(&self, text: &str, index: usize) -> Option<Range<usize>> {
        let rule = self.rules.get(index)?;
        let is_last = index + 1 == self.rules.len();
        let behind = text.get(rule.end..)?;
        let has_comma = without_blanks(behind).starts_with(',');
        if !has_comma && (!is_last || self.has_last_comma) {
            return None;
        }
        let end = match behind.find(',') {
            Some(at) if has_comma => rule.end + at + 1,
            _ => rule.end,
        };
        let rest = text.get(end..)?;
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        let has_its_lines = is_blank(line_before(text, rule.start)?)
            && line.ends_with('\n')
            && (line.trim().is_empty() || without_blanks(line).starts_with('#'));
        if has_its_lines {
            let start = rule.start - line_before(text, rule.start)?.len();
            return Some(start..end + line.len());
        }
        if has_comma {
            return Some(rule.start..text.len() - without_blanks(rest).len());
        }
        let before = text.get(..rule.start)?.trim_end_matches(BLANKS);
        let start = before.strip_suffix(',').map_or(rule.start, str::len);
        Some(start..rule.end)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

fn without_blanks(text: &str) -> &str {
    text.trim_start_matches(BLANKS)
}

fn is_blank(text: &str) -> bool {
    without_blanks(text).is_empty()
}

/// Returns what stands before a place on its line.
fn line_before(text: &str, place: usize) -> Option<&str> {
    let before = text.get(..place)?;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    before.get(start..)
}
