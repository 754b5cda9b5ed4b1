//! The standing rules among the settings that are shown.

use serde_json::{Value, json};
use toml_edit::{Array, InlineTable};

use crate::cli::{output, rules};
use crate::config::Config;
use crate::config::edit::NewRule;
use crate::model::agent::AgentName;
use crate::model::rule::Rule;
use crate::model::scope::Scope;

/// Returns `permissions.rules` without where each stands.
pub(super) fn rules_json(config: &Config) -> Value {
    let numbered = config
        .policy
        .rules
        .iter()
        .filter(|rule| rule.number.is_some());
    let rule = |rule: &Rule| {
        let mut rule = rules::to_json(rule);
        if let Some(fields) = rule.as_object_mut() {
            fields.shift_remove("origin");
        }
        rule
    };
    numbered.map(rule).collect()
}

pub(super) fn git_json(config: &Config) -> Value {
    json!({ "plain_push": config.policy.plain_push.name() })
}

pub(super) fn trash_json(config: &Config) -> Value {
    let workspace = |rule: &Rule| {
        json!({
            "path": rule.scope().map(|scope| output::bytes(scope.as_bytes())),
            "agent": rule.agent.as_ref().map(AgentName::as_str),
        })
    };
    let tool = config.trash_tool.as_ref().map(|words| {
        let words = words
            .iter()
            .map(|word| output::bytes(word.as_encoded_bytes()));
        words.collect::<Vec<_>>()
    });
    json!({ "workspaces": workspaces(config).map(workspace).collect::<Vec<_>>(), "tool": tool })
}

fn workspaces(config: &Config) -> impl Iterator<Item = &Rule> {
    let rules = config.policy.rules.iter();
    rules.filter(|rule| rule.number.is_none())
}

/// Returns the tables `git` and `trash`.
pub(super) fn tables(config: &Config) -> String {
    let list: Array = workspaces(config).map(workspace).collect();
    let tool = match &config.trash_tool {
        Some(words) => {
            let words: Array = words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            format!("tool = {words}")
        }
        None => "# tool is not set".to_owned(),
    };
    format!(
        "[git]\nplain_push = \"{}\"\n\n[trash]\nworkspaces = {list}\n{tool}\n",
        config.policy.plain_push
    )
}

fn workspace(rule: &Rule) -> toml_edit::Value {
    let path = rule.scope().map(Scope::as_bytes).unwrap_or_default();
    let path = String::from_utf8_lossy(path).into_owned();
    match &rule.agent {
        None => path.into(),
        Some(agent) => {
            let pairs = [("path", path), ("agent", agent.to_string())];
            pairs.into_iter().collect::<InlineTable>().into()
        }
    }
}

/// Returns the rules as they would stand at the end of the file.
pub(super) fn rules(config: &Config) -> String {
    let numbered = config
        .policy
        .rules
        .iter()
        .filter(|rule| rule.number.is_some());
    let blocks = numbered.map(|rule| NewRule::from(rule).block());
    blocks.fold(String::new(), |text, block| text + "\n" + &block)
}
