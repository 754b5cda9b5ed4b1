use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use super::{grant, rules, scope, values};
use crate::broker::{Coverage, Denial};
use crate::failure::ExitStatus;
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::Rule;
use crate::text::escape::shown;

/// Say whether an operation on a path or a repository is permitted now
///
/// By a grant or by a standing rule. A directory counts with everything below it. Exit status 0
/// when it is permitted, 1 when it is not. Nothing is used up and nothing is recorded.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The path, or for the git operations the repository
    #[arg(long, value_name = "SCOPE", value_hint = clap::ValueHint::AnyPath)]
    scope: OsString,
    /// The operation
    #[arg(long = "op", value_name = "OP", default_value = "rm", value_parser = values::action)]
    action: Action,
    /// The agent that would do it [default: that of PVM_AGENT_ID, or default]
    #[arg(long, value_name = "NAME", value_parser = values::agent)]
    agent: Option<AgentName>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let typed = scope::resolve_for(&self.scope, &[self.action])?;
        let agent = context.agent(self.agent.as_ref());
        let coverage = context.broker()?.check(&typed.scope, self.action, &agent)?;
        let status = match &coverage {
            Coverage::Denied { .. } => ExitStatus::Denied,
            _ => ExitStatus::Success,
        };
        if self.json {
            output::json(&to_json(&coverage))?;
            return Ok(status);
        }
        let what = format!("{} {}", self.action, shown(typed.scope.as_bytes()));
        match &coverage {
            Coverage::Granted(grant) => {
                output::line(format!("GRANTED {what} by grant {}", grant.id))?;
            }
            Coverage::Rule(rule) => {
                output::line(format!("GRANTED {what} by {}", rules::named(rule)))?;
            }
            Coverage::Default => output::line(format!(
                "GRANTED {what}: no rule matches, and none is needed (git.plain_push)"
            ))?,
            Coverage::Denied {
                denial,
                asked_by,
                short,
            } => {
                let why = why(denial, asked_by.as_deref());
                output::line(format!("DENIED {what}: {why}"))?;
                for (grant, shortfall) in short {
                    output::line(format!("  grant {}: {}", grant.id, shortfall))?;
                }
            }
        }
        Ok(status)
    }
}

fn why(denial: &Denial, asked_by: Option<&Rule>) -> String {
    match denial {
        Denial::Protected { what, .. } => format!("it is {what}, holds it, or lies in it"),
        Denial::Rule { origin, reason, .. } if reason.is_empty() => {
            format!("{} denies it", shown(origin.as_bytes()))
        }
        Denial::Rule { origin, reason, .. } => {
            let reason = shown(reason.as_bytes());
            format!("{} denies it: {reason}", shown(origin.as_bytes()))
        }
        Denial::Uncovered { .. } => match asked_by {
            Some(rule) => format!("{} asks, and no active grant covers it", rules::named(rule)),
            None => "no active grant covers it".to_owned(),
        },
    }
}

fn to_json(coverage: &Coverage) -> serde_json::Value {
    match coverage {
        Coverage::Granted(grant) => json!({
            "decision": "granted",
            "grant": grant::to_json(grant),
        }),
        Coverage::Rule(rule) => json!({
            "decision": "granted",
            "rule": rules::to_json(rule),
        }),
        Coverage::Default => json!({
            "decision": "granted",
            "default": "git.plain_push",
        }),
        Coverage::Denied {
            denial,
            asked_by,
            short,
        } => json!({
            "decision": "denied",
            "reason": why(denial, asked_by.as_deref()),
            "rule": match denial {
                Denial::Rule { origin, .. } => Some(origin.as_str()),
                _ => asked_by.as_deref().map(|rule| rule.origin.as_str()),
            },
            "near_misses": short.iter().map(|(grant, shortfall)| json!({
                "grant_id": grant.id.as_str(),
                "why": shortfall.to_string(),
            })).collect::<Vec<_>>(),
        }),
    }
}
