use std::ffi::{OsStr, OsString};

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use super::{exec, person, scope, values};
use crate::broker::Asked;
use crate::failure::{ExitStatus, Failure};
use crate::model;
use crate::model::action::{Action, ActionSet};
use crate::model::agent::AgentName;
use crate::model::operation::Objects;
use crate::model::scope::Scope;
use crate::model::time::{Timestamp, Ttl};
use crate::text::escape::shown;
use crate::text::instant;
use crate::tool::exec::Resolved;

/// Permit operations on a path, or one command, for a while
///
/// Only a person may do this: it is refused where it can be told that an agent is calling.
///
/// With a command behind --, pvm exec may run exactly these words in the working directory, and
/// the program that PATH gives now. Of a program that you could change yourself, only the content
/// that it has now. A refusal of pvm exec prints the line to type.
#[derive(Debug, Args)]
#[command(
    override_usage = "pvm grant [OPTIONS] --scope <SCOPE>\n       pvm grant [OPTIONS] -- <COMMAND>..."
)]
#[command(after_help = "Examples:
  pvm grant --scope /tmp/x --ttl 10m
  pvm grant --op rm --scope /srv/app/build --agent claude --uses 1 --reason 'old build'
  pvm grant --op exec,rm --scope /srv/app
  cd /srv/app && pvm grant --uses 1 -- make deploy")]
pub(crate) struct Grant {
    /// The path, and everything below it; for the git operations the repository
    #[arg(long, value_name = "SCOPE", value_hint = clap::ValueHint::AnyPath,
          required_unless_present = "words", conflicts_with = "words")]
    scope: Option<OsString>,
    /// Operations to permit [default: rm,trash; for a command exec]
    #[arg(long = "op", value_name = "OP", value_delimiter = ',', value_parser = values::action)]
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
    /// The one command to permit, and its words, as they are
    #[arg(last = true, value_name = "COMMAND", value_hint = clap::ValueHint::CommandName)]
    words: Vec<OsString>,
}

/// What a grant is for, worked out from the command line.
struct Wanted {
    actions: ActionSet,
    scope: Scope,
    command: Option<Resolved>,
}

impl Grant {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let wanted = match &self.scope {
            Some(scope) => self.in_scope(scope)?,
            None => self.for_command(context)?,
        };
        person::require(context, "give a grant")?;
        let asked = Asked {
            agent: self.agent,
            actions: wanted.actions,
            scope: wanted.scope,
            operation: wanted
                .command
                .as_ref()
                .map(|command| command.operation.clone()),
            ttl: self.ttl.unwrap_or(context.config.default_ttl),
            not_before: self.not_before,
            uses: self.uses,
            pin: self.pin,
            reason: self.reason,
        };
        let (broker, _) = context.broker_or_new()?;
        let grant = broker.grant(asked, &context.caller())?;
        if self.json {
            let mut object = to_json(&grant);
            if let (Some(fields), Some(command)) = (object.as_object_mut(), &wanted.command) {
                fields.insert("command".to_owned(), exec::to_json(command));
            }
            output::json(&object)?;
        } else {
            output::line(describe(&grant))?;
            if let Some(command) = &wanted.command {
                for line in exec::describe(command) {
                    output::line(format!("  {line}"))?;
                }
            }
            output::line(format!("  revoke it:  pvm revoke {}", grant.id.short()))?;
        }
        Ok(ExitStatus::Success)
    }

    fn in_scope(&self, scope: &OsStr) -> Result<Wanted, Stop> {
        let usual = [Action::Rm, Action::Trash];
        let actions = if self.actions.is_empty() {
            usual.as_slice()
        } else {
            self.actions.as_slice()
        };
        let typed = scope::resolve_for(scope, actions)?;
        let name = shown(typed.scope.as_bytes());
        if !self.broad && scope::is_broad(&typed.scope) {
            return Err(
                Failure::usage(format!("{name} holds a whole home directory"))
                    .hint("name a directory below it, or say that you mean it:  --broad")
                    .into(),
            );
        }
        if self.pin && typed.scope.path().is_none() {
            return Err(Failure::usage("a repository cannot be pinned").into());
        }
        if self.pin && !typed.exists {
            return Err(
                Failure::usage(format!("{name} does not exist, so it cannot be pinned")).into(),
            );
        }
        let actions = ActionSet::of(actions);
        Ok(Wanted {
            actions: actions.ok_or_else(|| Failure::usage("--op names no operation"))?,
            scope: typed.scope,
            command: None,
        })
    }

    /// A command permits nothing but itself, so it stands for no other operation.
    fn for_command(&self, context: &Context) -> Result<Wanted, Stop> {
        if self.actions.iter().any(|action| *action != Action::Exec) {
            return Err(Failure::usage("a command can only be permitted for exec")
                .hint("leave --op away, or give a --scope instead of the command")
                .into());
        }
        let command = exec::resolve(context, &self.words)?;
        let Objects::Command(invocation) = &command.operation.objects else {
            return Err(Failure::internal("this is not a command").into());
        };
        let directory = invocation.directory.clone().ok_or_else(|| {
            Failure::usage("no grant is for a command in the root directory")
                .hint("change to another directory first")
        })?;
        Ok(Wanted {
            actions: ActionSet::of(&[Action::Exec])
                .ok_or_else(|| Failure::internal("no action"))?,
            scope: directory.into(),
            command: Some(command),
        })
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
    let what = if grant.operation.is_some() {
        format!("{} of one command in", grant.actions)
    } else {
        format!("{} on", grant.actions)
    };
    format!(
        "granted {}: {what} {} for {whom}{uses}{start}, ends {until}",
        grant.id.short(),
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
        "one_command": grant.operation.is_some(),
        "reason": grant.reason,
        "issued_at": instant::rfc3339(grant.window.issued_at.0),
        "not_before": instant::rfc3339(grant.window.not_before.0),
        "expires_at": instant::rfc3339(grant.window.expires_at.0),
        "uses_left": grant.uses_left,
        "approved_by": grant.approved_by,
    })
}
