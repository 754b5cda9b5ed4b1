//! Changes to the rules of a configuration file that leave every other byte of it alone.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml_edit::{
    Array, Datetime, Document, DocumentMut, InlineTable, Item, Table, TomlError, Value,
};

use super::template::{self, ChangeError};
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::{Effect, Matter, Rule};
use crate::model::scope::Scope;
use crate::model::time::Timestamp;
use crate::text::instant;

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

/// Returns `text` with a rule behind the others.
pub(crate) fn added(path: &Path, text: &str, rule: &NewRule) -> Result<String, ChangeError> {
    let mut document = parse(path, text)?;
    match list(&mut document) {
        None => Ok(appended(text, rule)),
        Some(Item::Value(Value::Array(list))) => {
            template::append(list, vec![rule.inline().into()]);
            Ok(document.to_string())
        }
        Some(_) => Err(ChangeError::Strange(RULES)),
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
    let mut document = parse(path, text)?;
    if let Some(Item::Value(Value::Array(list))) = list(&mut document) {
        if index >= list.len() {
            return Err(missing());
        }
        let rule = list.remove(index).to_string();
        return Ok((document.to_string(), rule.trim().to_owned()));
    }
    let lines = lines_of(path, text, index)?.ok_or_else(missing)?;
    let parts = (
        text.get(..lines.start),
        text.get(lines.clone()),
        text.get(lines.end..),
    );
    let (Some(before), Some(rule), Some(behind)) = parts else {
        return Err(ChangeError::Strange(RULES));
    };
    let before = without_blank_line(before);
    Ok((format!("{before}{behind}"), rule.trim().to_owned()))
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, ChangeError> {
    text.parse().map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: TomlError) -> ChangeError {
    ChangeError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

/// Returns the rules where they are, or would have to be, one value; nothing where they are tables
/// with a header each, or can be.
fn list(document: &mut DocumentMut) -> Option<&mut Item> {
    let permissions = document.as_table_mut().get_mut("permissions")?;
    let in_braces = permissions.is_inline_table();
    let permissions = permissions.as_table_like_mut()?;
    if in_braces && !permissions.contains_key("rules") {
        permissions.insert("rules", Item::Value(Array::new().into()));
    }
    let rules = permissions.get_mut("rules")?;
    (!rules.is_array_of_tables()).then_some(rules)
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
