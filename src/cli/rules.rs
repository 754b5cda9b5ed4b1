mod change;
mod test;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::output::{self, Stop};
use crate::failure::ExitStatus;
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::{Effect, Matter, Rule, Words};
use crate::model::scope::Scope;
use crate::sys::terminal;
use crate::text::escape::{shell_word, shown};
use crate::text::instant;

/// Show, test and change the standing rules
///
/// A rule allows, denies or asks without looking at grants. Deny beats ask, and ask beats allow;
/// where no rule matches, only a grant permits it. They stand in pvm.toml as [[permissions.rules]].
#[derive(Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Test(test::Test),
    Add(change::Add),
    Remove(change::Remove),
}

/// List the rules in the order in which they are looked at
///
/// Those without a number come from trash.workspaces.
#[derive(Debug, Args)]
struct List {
    /// Print the rules, and what holds without one, as one JSON object
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        match self.verb {
            Verb::List(verb) => verb.run(context),
            Verb::Test(verb) => verb.run(context),
            Verb::Add(verb) => verb.run(context),
            Verb::Remove(verb) => verb.run(context),
        }
    }
}

impl List {
    fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let policy = &context.config.policy;
        if self.json {
            output::json(&json!({
                "rules": policy.rules.iter().map(to_json).collect::<Vec<_>>(),
                "plain_push": policy.plain_push.name(),
            }))?;
            return Ok(ExitStatus::Success);
        }
        if policy.rules.is_empty() {
            output::line("no rules")?;
        } else {
            output::line(listing(&policy.rules))?;
        }
        let plain_push = match policy.plain_push {
            Effect::Allow => "is allowed",
            Effect::Ask => "needs a grant",
            Effect::Deny => "is denied",
        };
        output::line(format!(
            "\nwhere no rule matches, a push that only adds or fast-forwards {plain_push}\n\
             (git.plain_push), and everything else needs a grant"
        ))?;
        Ok(ExitStatus::Success)
    }
}

/// Returns the rules as a table; on a terminal that is too narrow for it the reasons are below.
fn listing(rules: &[Rule]) -> String {
    let whole = table(rules, true).to_string();
    let width = terminal::width().unwrap_or(usize::MAX);
    let fits = |line: &str| line.trim_end().chars().count() <= width;
    if whole.lines().all(fits) {
        return whole;
    }
    let given = rules.iter().filter(|rule| !rule.reason.is_empty());
    let reasons = given.map(|rule| {
        let reason = shown(rule.reason.as_bytes());
        format!("\n  {}: {reason}", named(rule))
    });
    let table = table(rules, false).to_string();
    match reasons.collect::<String>() {
        none if none.is_empty() => table,
        reasons => format!("{table}\n\nreasons:{reasons}"),
    }
}

fn table(rules: &[Rule], has_reasons: bool) -> comfy_table::Table {
    let mut table = output::table();
    let reason = has_reasons.then_some("REASON");
    let names = ["RULE", "EFFECT", "OPS", "WHAT", "AGENT"].into_iter();
    table.set_header(names.chain(reason).chain(["STANDS IN"]));
    for rule in rules {
        let number = rule
            .number
            .map_or_else(|| "-".to_owned(), |number| number.to_string());
        let reason = has_reasons.then(|| shown(rule.reason.as_bytes()));
        let cells = [
            number,
            rule.effect.to_string(),
            rule.actions.to_string(),
            what(rule),
            rule.agent
                .as_ref()
                .map_or("any", AgentName::as_str)
                .to_owned(),
        ];
        table.add_row(cells.into_iter().chain(reason).chain([place(rule)]));
    }
    table
}

/// Returns where a rule stands, without its number: `pvm.toml:12`.
fn place(rule: &Rule) -> String {
    let named = named(rule);
    let inner = named.split_once('(').and_then(|(before, rest)| {
        let place = rest.strip_suffix(')')?;
        Some(match rule.number {
            Some(_) => place.to_owned(),
            None => format!("{}, {place}", before.trim_end()),
        })
    });
    inner.unwrap_or(named)
}

/// Returns the name of a rule for people: `rule 3 (pvm.toml:12)`.
pub(super) fn named(rule: &Rule) -> String {
    shown(rule.origin.as_bytes())
}

/// Returns what a rule is about in words.
fn what(rule: &Rule) -> String {
    let scope = |scope: &Scope| shown(scope.as_bytes());
    match &rule.matter {
        Matter::Anything => "anything".to_owned(),
        Matter::Scope(within) => scope(within),
        Matter::Below(directory) => format!("below {}", scope(directory)),
        Matter::Command {
            words,
            within: None,
        } => line(words),
        Matter::Command {
            words,
            within: Some(within),
        } => format!("{} in {}", line(words), scope(within)),
    }
}

/// Patterns stay as they are written; only a word with a blank in it, or none, is put in quotes.
fn line(words: &Words) -> String {
    let word = |text: &str| {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || "'\"".contains(c)) {
            shell_word(text.as_bytes())
        } else {
            shown(text.as_bytes())
        }
    };
    words.texts().map(word).collect::<Vec<_>>().join(" ")
}

/// Returns a rule with the field names that every `--json` uses.
pub(super) fn to_json(rule: &Rule) -> Value {
    let argv = match &rule.matter {
        Matter::Command { words, .. } => Some(words.texts().collect::<Vec<_>>()),
        _ => None,
    };
    json!({
        "number": rule.number,
        "effect": rule.effect.name(),
        "ops": rule.actions.iter().map(Action::name).collect::<Vec<_>>(),
        "scope": rule.scope().map(|scope| output::bytes(scope.as_bytes())),
        "argv": argv,
        "agent": rule.agent.as_ref().map(AgentName::as_str),
        "reason": rule.reason,
        "recorded_at": rule.recorded_at.map(|at| instant::rfc3339(at.0)),
        "origin": rule.origin,
    })
}
