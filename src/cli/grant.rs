use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use super::{person, scope, values};
use crate::broker::Asked;
use crate::failure::{ExitStatus, Failure};
use crate::model;
use crate::model::action::{Action, ActionSet};
use crate::model::agent::AgentName;
use crate::model::time::{Timestamp, Ttl};
use crate::text::escape::shown;
use crate::text::instant;

/// Permit operations on a path for a while
///
/// Only a person may do this: it is refused where it can be told that an agent is calling.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm grant --scope /tmp/x --ttl 10m
  pvm grant --op rm --scope /srv/app/build --agent claude --uses 1 --reason 'old build'")]
pub(crate) struct Grant {
    /// The path, and everything below it
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    scope: OsString,
    /// Operations to permit
    #[arg(long = "op", value_name = "OP", value_delimiter = ',', default_value = "rm,trash",
          value_parser = values::action)]
    actions: Vec<Action>,
    /// How long it lasts, like 10m or 1h 30m [default: vault.default_ttl, 30m]
    #[arg(long, value_name = "DURATION", value_parser = values::ttl)]
    ttl: Option<Ttl>,
    /// Only for the agent of this name; without it, any agent of yours
    #[arg(long, value_name = "NAME", value_parser = values::agent)]
    agent: Option<AgentName>,
    /// How many commands it permits [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// Why, for the trail
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// When it begins, like 2026-11-20T15:00:00Z; the duration counts from then
    #[arg(long, value_name = "INSTANT", value_parser = values::instant)]
    not_before: Option<Timestamp>,
    /// Hold only for the directory that is there now, not for one that takes its name
    #[arg(long)]
    pin: bool,
    /// Allow a scope that holds a whole home directory
    #[arg(long)]
    broad: bool,
    /// Print the grant as JSON
    #[arg(long)]
    json: bool,
}

impl Grant {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let typed = scope::resolve(&self.scope)?;
        let path = shown(typed.scope.as_bytes());
        if !self.broad && scope::is_broad(&typed.scope) {
            return Err(
                Failure::usage(format!("{path} holds a whole home directory"))
                    .hint("name a directory below it, or say that you mean it:  --broad")
                    .into(),
            );
        }
        if self.pin && !typed.exists {
            return Err(
                Failure::usage(format!("{path} does not exist, so it cannot be pinned")).into(),
            );
        }
        let actions = ActionSet::of(&self.actions)
            .ok_or_else(|| Failure::usage("--op names no operation"))?;
        person::require(context, "give a grant")?;
        let asked = Asked {
            agent: self.agent,
            actions,
            scope: typed.scope,
            ttl: self.ttl.unwrap_or(context.config.default_ttl),
            not_before: self.not_before,
            uses: self.uses,
            pin: self.pin,
            reason: self.reason,
        };
        let (broker, _) = context.broker_or_new()?;
        let grant = broker.grant(asked, &context.caller())?;
        if self.json {
            output::json(&to_json(&grant))?;
        } else {
            output::line(describe(&grant))?;
            output::line(format!("  revoke it:  pvm revoke {}", grant.id.short()))?;
        }
        Ok(ExitStatus::Success)
    }
}

fn describe(grant: &model::grant::Grant) -> String {
    let window = &grant.window;
    let whom = grant.agent.as_ref().map_or("any agent", AgentName::as_str);
    let uses = match grant.uses_left {
        Some(1) => ", once".to_owned(),
        Some(uses) => format!(", {uses} times"),
        None => String::new(),
    };
    let until = instant::relative(window.expires_at.0, window.issued_at.0);
    let start = if window.not_before > window.issued_at {
        format!(" from {}", instant::rfc3339(window.not_before.0))
    } else {
        String::new()
    };
    format!(
        "granted {}: {} on {} for {whom}{uses}{start}, ends {until}",
        grant.id.short(),
        grant.actions,
        shown(grant.scope.as_bytes()),
    )
}

/// Returns a grant with the field names that every `--json` uses.
pub(crate) fn to_json(grant: &model::grant::Grant) -> serde_json::Value {
    json!({
        "id": grant.id.as_str(),
        "request_id": grant.request.as_str(),
        "agent": grant.agent.as_ref().map(AgentName::as_str),
        "uid": grant.uid,
        "ops": grant.actions.iter().map(Action::name).collect::<Vec<_>>(),
        "scope": output::bytes(grant.scope.as_bytes()),
        "pinned": grant.pin.is_some(),
        "reason": grant.reason,
        "issued_at": instant::rfc3339(grant.window.issued_at.0),
        "not_before": instant::rfc3339(grant.window.not_before.0),
        "expires_at": instant::rfc3339(grant.window.expires_at.0),
        "uses_left": grant.uses_left,
        "approved_by": grant.approved_by,
    })
}
