//! `[[permissions.rules]]`, and the other keys of `pvm.toml` that stand for standing rules. A rule
//! that cannot match or cannot decide is an error, so that nobody relies on it.

mod redundant;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Spanned, Value};

use super::file::{Complaint, complain};
use crate::model::action::{Action, ActionSet};
use crate::model::agent::AgentName;
use crate::model::repository::RepositoryScope;
use crate::model::rule::{Effect, InvalidPattern, Matter, Policy, Rule, WordPattern, Words};
use crate::model::scope::{InvalidScope, PathScope, Scope};
use crate::model::time::Timestamp;
use crate::sys::account::{self, Account};
use crate::sys::path;
use crate::text::escape::shown;
use crate::text::instant;

const MOST_RULES: usize = 10_000;
const MOST_WORDS: usize = 100;
/// In characters.
const LONGEST_REASON: usize = 500;

const ON_PATHS: [Action; 3] = [Action::Rm, Action::Trash, Action::Exec];
const ON_REPOSITORIES: [Action; 2] = [Action::GitPush, Action::GitPushForce];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    effect: Option<Spanned<String>>,
    /// A name or a list of names.
    op: Option<Spanned<Value>>,
    scope: Option<Spanned<String>>,
    argv: Option<Spanned<Vec<Spanned<String>>>>,
    agent: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    /// A date and time of TOML, or the same as a text.
    recorded_at: Option<Spanned<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GitTable {
    plain_push: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TrashTable {
    /// Paths, or tables with a path and an agent.
    workspaces: Vec<Spanned<Value>>,
    /// A name or a list of words.
    tool: Option<Spanned<Value>>,
}

/// What the rules of one file are read with.
pub(super) struct Reader<'a> {
    account: &'a Account,
    file: String,
    /// Where each line begins.
    lines: Vec<usize>,
    own_home: OnceCell<PathBuf>,
    homes: OnceCell<Vec<PathScope>>,
}

impl<'a> Reader<'a> {
    /// `text` is what the spans of the tables are places in.
    pub(super) fn new(path: &Path, text: &str, account: &'a Account) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            account,
            file: shown(name.as_bytes()),
            lines: std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
            own_home: OnceCell::new(),
            homes: OnceCell::new(),
        }
    }

    /// Returns the rules in the order in which they are looked at: those of the table, then those
    /// that `trash.workspaces` stands for.
    pub(super) fn policy(
        &self,
        rules: &[Spanned<RuleTable>],
        git: &GitTable,
        trash: &TrashTable,
    ) -> Result<Policy, Complaint> {
        if let Some(extra) = rules.get(MOST_RULES) {
            let message = format!("there are more than {MOST_RULES} rules");
            return Err(complain(extra, message));
        }
        let mut policy = Policy::default();
        let mut known = redundant::Known::default();
        for (index, table) in rules.iter().enumerate() {
            let rule = self.rule(table, index + 1)?;
            known
                .add(&rule)
                .map_err(|message| complain(table, message))?;
            policy.rules.push(rule);
        }
        for value in &trash.workspaces {
            let rule = self.workspace(value)?;
            known
                .add(&rule)
                .map_err(|message| complain(value, message))?;
            policy.rules.push(rule);
        }
        if let Some(effect) = &git.plain_push {
            policy.plain_push = parsed(effect)?;
        }
        Ok(policy)
    }

    fn rule(&self, table: &Spanned<RuleTable>, number: usize) -> Result<Rule, Complaint> {
        let stated = table.get_ref();
        let effect: Effect = match &stated.effect {
            Some(effect) => parsed(effect)?,
            None => {
                return Err(complain(
                    table,
                    "the rule has no effect: allow, ask or deny",
                ));
            }
        };
        let words = match &stated.argv {
            Some(argv) => Some(words(argv, effect, stated.scope.is_some())?),
            None => None,
        };
        let actions = actions(table, effect, words.is_some())?;
        let scope = match &stated.scope {
            Some(text) => Some(self.scope(text, effect, actions)?),
            None => None,
        };
        let matter = match (words, scope) {
            (Some(words), within) => Matter::Command { words, within },
            (None, Some(scope)) => Matter::Scope(scope),
            (None, None) if effect == Effect::Allow => {
                let message =
                    format!("an allow needs a scope or argv: this one would allow every {actions}");
                return Err(complain(table, message));
            }
            (None, None) => Matter::Anything,
        };
        Ok(Rule {
            effect,
            actions,
            matter,
            agent: stated.agent.as_ref().map(agent).transpose()?,
            reason: stated
                .reason
                .as_ref()
                .map(reason)
                .transpose()?
                .unwrap_or_default(),
            recorded_at: stated.recorded_at.as_ref().map(recorded_at).transpose()?,
            number: Some(number),
            origin: format!("rule {number} ({}:{})", self.file, self.line(table)),
        })
    }

    fn workspace(&self, value: &Spanned<Value>) -> Result<Rule, Complaint> {
        let wrong = "a workspace is a path, or { path = \"...\", agent = \"...\" }";
        let (text, agent) = match value.get_ref() {
            Value::String(text) => (text, None),
            Value::Table(table) => {
                let known = |key: &String| ["path", "agent"].contains(&key.as_str());
                let agent = match table.get("agent") {
                    Some(Value::String(name)) => Some(name),
                    None => None,
                    Some(_) => return Err(complain(value, wrong)),
                };
                match table.get("path") {
                    Some(Value::String(text)) if table.keys().all(known) => (text, agent),
                    _ => return Err(complain(value, wrong)),
                }
            }
            _ => return Err(complain(value, wrong)),
        };
        let at = |message: String| complain(value, message);
        let scope = self.path_scope(text).map_err(at)?;
        self.check_narrow(&scope).map_err(at)?;
        let agent = agent.map(|name| AgentName::parse(name)).transpose();
        Ok(Rule {
            effect: Effect::Allow,
            actions: set(&[Action::Trash]).map_err(at)?,
            matter: Matter::Below(scope.into()),
            agent: agent.map_err(|error| at(error.to_string()))?,
            reason: String::new(),
            recorded_at: None,
            number: None,
            origin: format!("trash.workspaces ({}:{})", self.file, self.line(value)),
        })
    }

    fn line<T>(&self, value: &Spanned<T>) -> usize {
        let start = value.span().start;
        self.lines.partition_point(|begin| *begin <= start)
    }

    fn scope(
        &self,
        text: &Spanned<String>,
        effect: Effect,
        actions: ActionSet,
    ) -> Result<Scope, Complaint> {
        let at = |message: String| complain(text, message);
        if actions.iter().any(Action::reaches_repositories) {
            let name = text.get_ref();
            check_no_pattern(name, &['*', '?']).map_err(at)?;
            return RepositoryScope::parse(name.as_bytes())
                .map(Scope::Repository)
                .map_err(|error| at(format!("'{name}' cannot be a scope: {error}")));
        }
        let scope = self.path_scope(text.get_ref()).map_err(at)?;
        if effect == Effect::Allow {
            self.check_narrow(&scope).map_err(at)?;
        }
        Ok(scope.into())
    }

    /// Reads a path that is absolute or below the home directory of the password database, and
    /// canonical as it is written.
    fn path_scope(&self, text: &str) -> Result<PathScope, String> {
        check_no_pattern(text, &['*', '?', '['])?;
        let refuse = |why: &str| format!("'{text}' cannot be a scope: {why}");
        if text.len() > 1 && text.ends_with('/') {
            return Err(refuse("leave the slash at its end away"));
        }
        let path = match text.strip_prefix("~/") {
            Some(below) => self.own_home().join(below),
            None => PathBuf::from(text),
        };
        // Joining takes a second slash for a path of its own.
        if text.starts_with("~//") {
            return Err(refuse(&InvalidScope::NotCanonical.to_string()));
        }
        PathScope::new(&path).map_err(|error| match error {
            InvalidScope::Relative => {
                refuse("it begins neither with '/' nor with '~/', as paths do")
            }
            error => refuse(&error.to_string()),
        })
    }

    /// Operands are known by their canonical names, so a home directory is as well.
    fn own_home(&self) -> &Path {
        let home = &self.account.home;
        self.own_home
            .get_or_init(|| path::canonical(home).unwrap_or_else(|_| home.clone()))
    }

    /// Nothing asks for `--broad` when a file is read, so an allow never holds a whole home.
    fn check_narrow(&self, scope: &PathScope) -> Result<(), String> {
        let homes = self.homes.get_or_init(|| {
            let own = [self.account.home.clone(), self.own_home().to_owned()];
            let homes = account::homes_of_people().into_iter().chain(own);
            homes
                .filter_map(|home| PathScope::new(&home).ok())
                .collect()
        });
        if homes.iter().any(|home| scope.covers(home)) {
            let path = shown(scope.as_bytes());
            return Err(format!(
                "{path} holds a whole home directory, which a rule cannot allow"
            ));
        }
        Ok(())
    }
}

/// Reads `trash.tool`: the name of a program, or its name and the words that come first; nothing for
/// an empty list, which is the default.
pub(super) fn tool(trash: &TrashTable) -> Result<Option<Vec<OsString>>, Complaint> {
    let Some(value) = &trash.tool else {
        return Ok(None);
    };
    if value.get_ref().as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let words = texts(value.get_ref())
        .filter(|words| words.first().is_some_and(|name| is_name(name)))
        .filter(|words| words.iter().all(|word| !word.contains('\0')))
        .ok_or_else(|| {
            let message = "trash.tool is a program's name, or a list of its name and its first \
                           words, like [\"gio\", \"trash\"]";
            complain(value, message)
        })?;
    Ok(Some(words.into_iter().map(OsString::from).collect()))
}

/// The program is searched for as every wrapped command is, so a path does not say where it is.
fn is_name(word: &str) -> bool {
    let odd = |character: char| character == '/' || character.is_whitespace();
    !word.is_empty() && !word.starts_with('-') && !word.contains(odd)
}

/// Returns the texts of a list, or the one text.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &Spanned<String>,
) -> Result<T, Complaint> {
    text.get_ref()
        .parse()
        .map_err(|error: T::Err| complain(text, error.to_string()))
}

fn set(actions: &[Action]) -> Result<ActionSet, String> {
    ActionSet::of(actions).ok_or_else(|| "op names no operation".to_owned())
}

/// Returns what the rule is about: what it says, what argv implies, or what its scope can be for.
fn actions(
    table: &Spanned<RuleTable>,
    effect: Effect,
    is_command: bool,
) -> Result<ActionSet, Complaint> {
    let stated = table.get_ref();
    let wrong = |message: String| match &stated.op {
        Some(op) => complain(op, message),
        None => complain(table, message),
    };
    let written = match &stated.op {
        Some(op) => {
            let names = texts(op.get_ref())
                .ok_or_else(|| wrong("op is a name or a list of names".to_owned()))?;
            let named: Result<Vec<Action>, _> = names.into_iter().map(str::parse).collect();
            let named = named.map_err(|error| wrong(error.to_string()))?;
            let twice = |(at, action): (usize, &Action)| {
                let before = named.get(..at).unwrap_or_default();
                before.contains(action).then_some(*action)
            };
            if let Some(action) = named.iter().enumerate().find_map(twice) {
                return Err(wrong(format!("op names {action} twice")));
            }
            Some(set(&named).map_err(wrong)?)
        }
        None => None,
    };
    if is_command {
        let exec = set(&[Action::Exec]).map_err(wrong)?;
        return match written {
            Some(other) if other != exec => Err(wrong(format!(
                "argv is about commands that pvm exec runs, and op says {other}"
            ))),
            _ => Ok(exec),
        };
    }
    match (written, &stated.scope) {
        (Some(actions), Some(_)) if is_mixed(actions) => Err(wrong(format!(
            "{actions}: some of these take a path for a scope and some a repository; make two rules"
        ))),
        (Some(actions), _) => Ok(actions),
        (None, Some(scope)) => implied(scope, effect),
        (None, None) => Err(wrong(
            "the rule says nothing of what it is about: op, scope or argv".to_owned(),
        )),
    }
}

fn is_mixed(actions: ActionSet) -> bool {
    let mut kinds = actions.iter().map(Action::reaches_repositories);
    let first = kinds.next();
    kinds.any(|kind| Some(kind) != first)
}

/// Returns what a scope without operations is for. What forbids holds for all of them; an allow for
/// no more than `pvm grant` gives without being told.
fn implied(scope: &Spanned<String>, effect: Effect) -> Result<ActionSet, Complaint> {
    let text = scope.get_ref();
    let is_path = text.starts_with(['/', '~']);
    let named = RepositoryScope::parse(text.as_bytes());
    if !is_path && !named.is_ok_and(|repository| repository.is_evident()) {
        let message = format!(
            "'{text}' could be a path or a repository: write a path from the root, or give \
             op = \"git-push-force\" for a repository"
        );
        return Err(complain(scope, message));
    }
    let actions: &[Action] = match effect {
        Effect::Allow if is_path => &[Action::Rm, Action::Trash],
        Effect::Allow => {
            let message = "an allow for a repository says which: op = \"git-push-force\"";
            return Err(complain(scope, message));
        }
        _ if is_path => &ON_PATHS,
        _ => &ON_REPOSITORIES,
    };
    set(actions).map_err(|message| complain(scope, message))
}

fn check_no_pattern(text: &str, signs: &[char]) -> Result<(), String> {
    if text.contains(signs) {
        return Err(format!(
            "'{text}' cannot be a scope: a scope is one path or repository with everything in it, \
             not a pattern"
        ));
    }
    Ok(())
}

fn words(
    argv: &Spanned<Vec<Spanned<String>>>,
    effect: Effect,
    is_confined: bool,
) -> Result<Words, Complaint> {
    let list = argv.get_ref();
    if list.len() > MOST_WORDS {
        let message = format!("argv has more than {MOST_WORDS} patterns");
        return Err(complain(argv, message));
    }
    let texts: Vec<&str> = list.iter().map(|word| word.get_ref().as_str()).collect();
    let words = Words::parse(&texts).map_err(|error| {
        let message = error.to_string();
        let wrong = |word: &&Spanned<String>| match &error {
            InvalidPattern::Glob(text, _) => word.get_ref() == text,
            _ => word.get_ref().contains("**"),
        };
        match list.iter().find(wrong) {
            Some(word) => complain(word, message),
            None => complain(argv, message),
        }
    })?;
    if let Some(word) = list.iter().find(|word| word.get_ref().contains('\0')) {
        return Err(complain(word, "no word of a command has a NUL byte"));
    }
    check_program(words.first(), effect, is_confined).map_err(|message| match list.first() {
        Some(first) => complain(first, message),
        None => complain(argv, message),
    })?;
    Ok(words)
}

/// What `pvm exec` never runs, and what to write of it instead.
const NOT_RUN: [(&[&str], &str); 3] = [
    (
        &["rm", "safe-rm"],
        "a rule about it has op = \"rm\" and a scope",
    ),
    (
        &["trash", "safe-trash", "trash-put"],
        "a rule about it has op = \"trash\" and a scope",
    ),
    (
        &["git", "safe-git-push"],
        "a rule about pushes has op = \"git-push\" or \"git-push-force\" and a repository as its \
         scope, and for the rest git is run as it is",
    ),
];

fn check_program(
    first: Option<&WordPattern>,
    effect: Effect,
    is_confined: bool,
) -> Result<(), String> {
    let text = first.map_or("**", WordPattern::text);
    if text.is_empty() {
        return Err("a program's name is never empty, so the rule matches nothing".to_owned());
    }
    check_is_run(text)?;
    if text.starts_with('/') && PathScope::new(Path::new(text)).is_err() {
        return Err(format!(
            "'{text}' is not how a program's path is known, so it matches nothing; write it without \
             '.', '..' and double slashes"
        ));
    }
    if effect != Effect::Allow {
        return Ok(());
    }
    if text.contains('/') && !text.starts_with('/') {
        return Err(format!(
            "'{text}' is another file in every directory; write the program's path from the root"
        ));
    }
    if !is_confined && !names_a_program(text) {
        return Err(format!(
            "'{text}' would allow every program, or nearly; name one, or a scope"
        ));
    }
    Ok(())
}

fn check_is_run(text: &str) -> Result<(), String> {
    let name = text.rsplit('/').next().unwrap_or(text);
    if name == "pvm" {
        return Err("pvm exec never runs pvm, so the rule matches nothing".to_owned());
    }
    let found = NOT_RUN.iter().find(|(names, _)| names.contains(&name));
    match found {
        Some((_, instead)) => Err(format!("pvm exec never runs {name}: {instead}")),
        None => Ok(()),
    }
}

/// Directories that hold nearly every program that there is.
const OF_ALL_PROGRAMS: [&str; 8] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/run/current-system/sw/bin",
    "/opt/homebrew/bin",
];

/// Says whether the pattern of a program says anything of its name, or at least in which one
/// directory it lies. An asterisk stands for slashes as well, so `/usr/*` is `/usr/bin/sh` too.
fn names_a_program(text: &str) -> bool {
    let literal = without_wildcards(text);
    let (directory, name) = literal.rsplit_once('/').unwrap_or(("", &literal));
    let holds_wildcards = |text: &str| text.contains('*');
    if name.chars().any(|character| character != '*') {
        return true;
    }
    let levels = directory.split('/').filter(|name| !name.is_empty()).count();
    levels >= 2 && !holds_wildcards(directory) && !OF_ALL_PROGRAMS.contains(&directory)
}

/// Returns a pattern with an asterisk for everything in it that stands for more than one text.
fn without_wildcards(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        out.push(match character {
            '*' | '?' => '*',
            '[' => {
                // A bracket that comes first is one of the characters.
                let mut class: String = rest.by_ref().take(1).collect();
                if class == "!" {
                    class.extend(rest.by_ref().take(1));
                }
                class.extend(rest.by_ref().take_while(|next| *next != ']'));
                let mut only = class.chars();
                match (only.next(), only.next()) {
                    (Some(one), None) if !matches!(one, '/' | '*') => one,
                    _ => '*',
                }
            }
            other => other,
        });
    }
    out
}

fn agent(name: &Spanned<String>) -> Result<AgentName, Complaint> {
    AgentName::parse(name.get_ref()).map_err(|error| complain(name, error.to_string()))
}

fn reason(text: &Spanned<String>) -> Result<String, Complaint> {
    if text.get_ref().chars().count() > LONGEST_REASON {
        let message = format!("the reason is longer than {LONGEST_REASON} characters");
        return Err(complain(text, message));
    }
    Ok(text.get_ref().clone())
}

fn recorded_at(value: &Spanned<Value>) -> Result<Timestamp, Complaint> {
    let text = match value.get_ref() {
        Value::String(text) => text.clone(),
        Value::Datetime(instant) => instant.to_string(),
        _ => String::new(),
    };
    instant::parse_rfc3339(&text).map(Timestamp).ok_or_else(|| {
        let message = "recorded_at is an instant with its offset, like 2026-11-20T15:00:00Z";
        complain(value, message)
    })
}

#[cfg(test)]
mod tests;
