use std::ffi::OsString;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::context::Context;
use super::output::{self, Stop};
use super::{completions, grant, scope, values};
use crate::broker::Selection;
use crate::failure::{ExitStatus, Failure};
use crate::model::agent::AgentName;
use crate::text::escape::shown;

/// The fewest characters of an id that name a grant.
const SHORTEST_PREFIX: usize = 4;

/// End grants at once
///
/// The next command sees it. A command that already runs is not stopped.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("grants").required(true)))]
pub(crate) struct Revoke {
    /// The grant whose id begins like this
    #[arg(value_name = "ID", group = "grants", add = ArgValueCandidates::new(completions::grants))]
    id: Option<String>,
    /// All grants for this agent by name
    #[arg(long, value_name = "NAME", group = "grants", value_parser = values::agent,
          add = ArgValueCandidates::new(completions::agents))]
    agent: Option<AgentName>,
    /// All grants on this path or below it, or on this repository
    #[arg(long, value_name = "SCOPE", group = "grants", value_hint = clap::ValueHint::AnyPath)]
    scope: Option<OsString>,
    /// All grants
    #[arg(long, group = "grants")]
    all: bool,
    /// Print the revoked grants as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let selection = match (&self.id, &self.agent, &self.scope) {
            (Some(id), ..) if id.len() < SHORTEST_PREFIX => {
                return Err(
                    Failure::usage(format!("'{id}' is too short to name a grant"))
                        .hint(format!(
                            "give at least {SHORTEST_PREFIX} characters of its id"
                        ))
                        .into(),
                );
            }
            (Some(id), ..) => Selection::Id(id.clone()),
            (_, Some(agent), _) => Selection::Agent(agent.clone()),
            (.., Some(path)) => Selection::Scopes(scope::resolve_any(path)?),
            _ => Selection::All,
        };
        let revoked = context.broker()?.revoke(&selection, &context.caller())?;
        for grant in &revoked {
            if self.json {
                output::json(&grant::to_json(grant))?;
            } else {
                let path = shown(grant.scope.as_bytes());
                output::line(format!(
                    "revoked {}: {} on {path}",
                    grant.id.short(),
                    grant.actions
                ))?;
            }
        }
        if revoked.is_empty() && !self.json {
            output::line("no live grant was revoked")?;
        }
        Ok(ExitStatus::Success)
    }
}
