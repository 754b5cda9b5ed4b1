use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use super::{grant, scope, values};
use crate::broker::Coverage;
use crate::failure::ExitStatus;
use crate::model::action::Action;
use crate::model::agent::{Agent, AgentName};
use crate::text::escape::shown;

/// Say whether an operation on a path is granted now
///
/// Exit status 0 when it is, 1 when it is not. Nothing is used up and nothing is recorded.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The path
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    scope: OsString,
    /// The operation
    #[arg(long = "op", value_name = "OP", default_value = "rm", value_parser = values::action)]
    action: Action,
    /// The agent that would do it
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = values::agent)]
    agent: AgentName,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let typed = scope::resolve(&self.scope)?;
        let agent = Agent {
            name: self.agent.clone(),
            ..context.caller()
        };
        let coverage = context.broker()?.check(&typed.scope, self.action, &agent)?;
        let status = match &coverage {
            Coverage::Granted(_) => ExitStatus::Success,
            Coverage::Denied(_) => ExitStatus::Denied,
        };
        if self.json {
            output::json(&to_json(&coverage))?;
            return Ok(status);
        }
        let path = shown(typed.scope.as_bytes());
        match coverage {
            Coverage::Granted(grant) => {
                output::line(format!(
                    "GRANTED {} {path} by grant {}",
                    self.action, grant.id
                ))?;
            }
            Coverage::Denied(short) => {
                output::line(format!(
                    "DENIED {} {path}: no active grant covers it",
                    self.action
                ))?;
                for (grant, shortfall) in short {
                    output::line(format!("  grant {}: {}", grant.id, shortfall))?;
                }
            }
        }
        Ok(status)
    }
}

fn to_json(coverage: &Coverage) -> serde_json::Value {
    match coverage {
        Coverage::Granted(grant) => json!({
            "decision": "granted",
            "grant": grant::to_json(grant),
        }),
        Coverage::Denied(short) => json!({
            "decision": "denied",
            "near_misses": short.iter().map(|(grant, shortfall)| json!({
                "grant_id": grant.id.as_str(),
                "why": shortfall.to_string(),
            })).collect::<Vec<_>>(),
        }),
    }
}
