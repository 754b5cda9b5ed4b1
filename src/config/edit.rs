//! Changes to the rules of a configuration file that leave every other byte of it alone.

mod list;

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml_edit::{
    Array, Datetime, Document, DocumentMut, InlineTable, Item, Table, TomlError, Value,
};

use super::template::ChangeError;
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::{Effect, Matter, Rule};
use crate::model::scope::Scope;
use crate::model::time::Timestamp;
use crate::text::instant;
use list::List;

const RULES: &str = "permissions.rules";

/// A rule that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewRule {
    pub(crate) effect: Effect,
    /// None: what the scope or the words imply.
    pub(crate) actions: Vec<Action>,
    pub(crate) scope: Option<String>,
    /// None: it is not about commands.
    pub(crate) argv: Vec<String>,
    pub(crate) agent: Option<AgentName>,
    pub(crate) reason: Option<String>,
    pub(crate) recorded_at: Option<Timestamp>,
}

impl NewRule {
    fn keys(&self) -> Vec<(&'static str, Value)> {
        let names: Vec<&str> = self.actions.iter().map(|action| action.name()).collect();
        let op = match names.as_slice() {
            [] => None,
            [name] => Some(Value::from(*name)),
            names => Some(Value::from(names.iter().copied().collect::<Array>())),
        };
        let argv = self.argv.iter().map(String::as_str).collect::<Array>();
        let recorded_at = self.recorded_at.map(|at| instant::rfc3339(at.0));
        let recorded_at = recorded_at.map(|text| match text.parse::<Datetime>() {
            Ok(instant) => Value::from(instant),
            Err(_) => Value::from(text),
        });
        let keys = [
            ("effect", Some(Value::from(self.effect.name()))),
            ("op", op),
            ("scope", self.scope.as_deref().map(Value::from)),
            ("argv", (!argv.is_empty()).then_some(Value::from(argv))),
            (
                "agent",
                self.agent.as_ref().map(|name| Value::from(name.as_str())),
            ),
            ("reason", self.reason.as_deref().map(Value::from)),
            ("recorded_at", recorded_at),
        ];
        let given = keys.into_iter();
        given
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    fn inline(&self) -> InlineTable {
        self.keys().into_iter().collect()
    }

    /// Returns the rule as a table with a header.
    pub(crate) fn block(&self) -> String {
        let keys = self.keys().into_iter();
        let table: Table = keys.map(|(key, value)| (key, Item::Value(value))).collect();
        format!("[[{RULES}]]\n{table}")
    }
}

impl From<&Rule> for NewRule {
    fn from(rule: &Rule) -> Self {
        let argv = match &rule.matter {
            Matter::Command { words, .. } => words.texts().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let text = |scope: &Scope| String::from_utf8_lossy(scope.as_bytes()).into_owned();
        Self {
            effect: rule.effect,
            actions: rule.actions.iter().collect(),
            scope: rule.scope().map(text),
            argv,
            agent: rule.agent.clone(),
            reason: Some(rule.reason.clone()).filter(|reason| !reason.is_empty()),
            recorded_at: rule.recorded_at,
        }
    }
}

/// The rule on one line, as a file could have it.
impl fmt::Display for NewRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inline().fmt(f)
    }
}

/// How the rules of a file are written, or would be.
enum Shape {
    /// Each as a table with a header.
    Headers,
    List(List),
    /// `permissions = { .. }`, without any.
    InBraces,
}

/// Returns `text` with a rule behind the others.
pub(crate) fn added(path: &Path, text: &str, rule: &NewRule) -> Result<String, ChangeError> {
    match shape(path, text)? {
        Shape::Headers => Ok(appended(text, rule)),
        Shape::List(list) => list
            .with(text, &rule.to_string())
            .ok_or(ChangeError::Strange(RULES)),
        Shape::InBraces => {
            let document: Result<DocumentMut, _> = text.parse();
            let mut document = document.map_err(|error| unreadable(path, error))?;
            let permissions = document.get_mut("permissions");
            let permissions = permissions.and_then(Item::as_table_like_mut);
            let permissions = permissions.ok_or(ChangeError::Strange(RULES))?;
            let rules: Array = std::iter::once(rule.inline()).collect();
            permissions.insert("rules", Item::Value(rules.into()));
            Ok(document.to_string())
        }
    }
}

/// Returns `text` without the rule of this number, and the rule as it stood there.
pub(crate) fn removed(
    path: &Path,
    text: &str,
    number: usize,
) -> Result<(String, String), ChangeError> {
    let missing = || ChangeError::NoRule(number);
    let index = number.checked_sub(1).ok_or_else(missing)?;
    match shape(path, text)? {
        Shape::Headers => {
            let lines = lines_of(path, text, index)?.ok_or_else(missing)?;
            let (before, rule, behind) = parted(text, lines)?;
            let before = without_blank_line(before);
            Ok((format!("{before}{behind}"), rule.trim().to_owned()))
        }
        Shape::List(list) => {
            let start = list.start(index).ok_or_else(missing)?;
            taken_out(path, text, &list, index)?.ok_or_else(|| {
                let before = text.get(..start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                ChangeError::ByHand { number, line }
            })
        }
        Shape::InBraces => Err(missing()),
    }
}

/// Returns nothing where more than one rule would be changed.
fn taken_out(
    path: &Path,
    text: &str,
    list: &List,
    index: usize,
) -> Result<Option<(String, String)>, ChangeError> {
    let Some(cut) = list.cut(text, index) else {
        return Ok(None);
    };
    let (before, _, behind) = parted(text, cut)?;
    let without = format!("{before}{behind}");
    let mut expected = list.texts(text);
    let rule = expected.remove(index).to_owned();
    let is_right = match shape(path, &without) {
        Ok(Shape::List(left)) => left.texts(&without) == expected,
        _ => false,
    };
    Ok(is_right.then_some((without, rule)))
}

fn parted(text: &str, middle: Range<usize>) -> Result<(&str, &str, &str), ChangeError> {
    let before = text.get(..middle.start);
    let behind = text.get(middle.end..);
    match (before, text.get(middle), behind) {
        (Some(before), Some(middle), Some(behind)) => Ok((before, middle, behind)),
        _ => Err(ChangeError::Strange(RULES)),
    }
}

fn unreadable(path: &Path, error: TomlError) -> ChangeError {
    ChangeError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

fn shape(path: &Path, text: &str) -> Result<Shape, ChangeError> {
    let document = Document::parse(text).map_err(|error| unreadable(path, error))?;
    let permissions = document.get("permissions");
    match permissions.and_then(|permissions| permissions.get("rules")) {
        None if permissions.is_some_and(Item::is_inline_table) => Ok(Shape::InBraces),
        None => Ok(Shape::Headers),
        Some(rules) if rules.is_array_of_tables() => Ok(Shape::Headers),
        Some(rules) => rules
            .as_array()
            .and_then(List::of)
            .map(Shape::List)
            .ok_or(ChangeError::Strange(RULES)),
    }
}

/// A header opens a table wherever it stands, so the end of the file is as good a place as any, and
/// nothing before it has to be touched.
fn appended(text: &str, rule: &NewRule) -> String {
    let mut block = rule.block();
    if !text.is_empty() {
        let end = if text.ends_with('\n') { "\n" } else { "\n\n" };
        block.insert_str(0, end);
    }
    if text.contains("\r\n") {
        block = block.replace('\n', "\r\n");
    }
    format!("{text}{block}")
}

/// Returns where the lines of a rule are, from its header to its last value.
fn lines_of(path: &Path, text: &str, index: usize) -> Result<Option<Range<usize>>, ChangeError> {
    let document = Document::parse(text).map_err(|error| unreadable(path, error))?;
    let tables = document
        .get("permissions")
        .and_then(|permissions| permissions.get("rules"))
        .and_then(Item::as_array_of_tables);
    let Some(table) = tables.and_then(|tables| tables.get(index)) else {
        return Ok(None);
    };
    let Some(header) = table.span() else {
        return Ok(None);
    };
    let ends = table
        .iter()
        .filter_map(|(_, value)| Some(value.span()?.end));
    let end = ends.fold(header.end, usize::max);
    let before = text.get(..header.start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(end..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |at| end + at + 1);
    Ok(Some(start..end))
}

/// Takes the blank line away that parted the rule from what is before it.
fn without_blank_line(before: &str) -> &str {
    let line = |text: &'_ str| {
        text.strip_suffix("\r\n")
            .or(text.strip_suffix('\n'))
            .map(str::len)
    };
    match line(before).and_then(|end| before.get(..end)) {
        Some(last) if last.is_empty() || last.ends_with('\n') => last,
        _ => before,
    }
}

#[cfg(test)]
mod tests;
