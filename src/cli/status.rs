use clap::Args;
use comfy_table::Table;
use serde_json::json;

use super::context::Context;
use super::grant;
use super::output::{self, Stop};
use crate::audit::entry::Entry;
use crate::audit::event::Field;
use crate::broker::Snapshot;
use crate::failure::ExitStatus;
use crate::model::agent::AgentName;
use crate::text::escape::{shell_line, shown};
use crate::text::instant;

/// How far the protection reaches, which is said before anything else.
pub(super) const MODE: &str = "\
mode: advisory - stops the mistakes of an agent that calls the wrappers;
      a hostile process under your uid can go around it";
/// How many grants a terminal is shown.
const MOST_GRANTS: usize = 50;
const MOST_REFUSALS: usize = 5;

/// Show the mode, the live grants and the last refusals
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let snapshot = context.broker()?.snapshot(MOST_REFUSALS)?;
        if self.json {
            output::json(&to_json(&snapshot, context))?;
        } else {
            show(&snapshot, context)?;
        }
        Ok(ExitStatus::Success)
    }
}

fn to_json(snapshot: &Snapshot, context: &Context) -> serde_json::Value {
    json!({
        "mode": "advisory",
        "vault": output::bytes(context.config.vault.as_os_str().as_encoded_bytes()),
        "grants": snapshot.live.iter().map(grant::to_json).collect::<Vec<_>>(),
        "refusals": snapshot.refusals.iter().map(refusal_json).collect::<Vec<_>>(),
        "head": { "entry": snapshot.head.seq, "hash": data_encoding::HEXLOWER.encode(&snapshot.head.hash) },
    })
}

fn refusal_json(entry: &Entry) -> serde_json::Value {
    let list = |field| entry.values(field).map(output::bytes).collect::<Vec<_>>();
    json!({
        "entry": entry.seq,
        "timestamp": instant::rfc3339(entry.at),
        "agent": entry.agent,
        "argv": list(Field::Argv),
        "scopes": list(Field::Scope),
        "reason": entry.value(Field::Reason).map(output::bytes),
    })
}

fn show(snapshot: &Snapshot, context: &Context) -> Result<(), Stop> {
    output::line(MODE)?;
    output::line(format!(
        "vault: {}",
        shown(context.config.vault.as_os_str().as_encoded_bytes())
    ))?;
    output::line("")?;
    if snapshot.live.is_empty() {
        output::line("no live grants")?;
    } else {
        output::line(grants(snapshot))?;
    }
    let hidden = snapshot.live.len().saturating_sub(MOST_GRANTS);
    if hidden > 0 {
        output::line(format!("and {hidden} more:  pvm status --json"))?;
    }
    if !snapshot.refusals.is_empty() {
        output::line("")?;
        output::line("last refusals:")?;
    }
    for entry in &snapshot.refusals {
        let when = instant::relative(entry.at, snapshot.now.wall.0);
        let command = shell_line(entry.values(Field::Argv));
        let reason = entry.value(Field::Reason).map(shown).unwrap_or_default();
        output::line(format!(
            "  {when}  {}  {command}: {reason}",
            shown(entry.agent.as_bytes())
        ))?;
    }
    Ok(())
}

fn grants(snapshot: &Snapshot) -> Table {
    let now = snapshot.now.wall;
    let mut table = output::table();
    table.set_header(["GRANT", "AGENT", "OPS", "SCOPE", "ENDS", "USES"]);
    for grant in snapshot.live.iter().take(MOST_GRANTS) {
        let uses = grant
            .uses_left
            .map_or_else(|| "any".to_owned(), |uses| uses.to_string());
        let window = &grant.window;
        let ends = if window.not_before > now {
            format!("begins {}", instant::relative(window.not_before.0, now.0))
        } else {
            instant::relative(window.expires_at.0, now.0)
        };
        table.add_row([
            grant.id.short().to_owned(),
            grant
                .agent
                .as_ref()
                .map_or("any", AgentName::as_str)
                .to_owned(),
            if grant.operation.is_some() {
                format!("{} (one command)", grant.actions)
            } else {
                grant.actions.to_string()
            },
            shown(grant.scope.as_bytes()),
            ends,
            uses,
        ]);
    }
    table
}
