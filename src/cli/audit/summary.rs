mod bars;
mod counts;

use clap::Args;
use serde_json::json;

use super::super::context::Context;
use super::super::output::{self, Stop};
use super::filter::Filter;
use crate::audit::pages;
use crate::broker::BrokerError;
use crate::failure::ExitStatus;
use crate::sys::clock;
use crate::text::instant;
use counts::Counts;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Count what was decided: by time, decision, agent and scope
///
/// Without an option, over the whole trail. An agent's allowed commands are those that ran; its
/// refused ones include those that were only counted, because there were too many in a minute.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm audit summary --week
  pvm audit summary --since 2026-11-01 --op rm --json")]
pub(crate) struct Summary {
    /// Of the last 24 hours
    #[arg(long, conflicts_with_all = ["week", "since"])]
    day: bool,
    /// Of the last seven days
    #[arg(long, conflicts_with = "since")]
    week: bool,
    #[command(flatten)]
    filter: Filter,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
}

impl Summary {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let broker = context.broker()?;
        let vault = broker.vault();
        let now = clock::now().map_err(BrokerError::from)?.wall.0;
        let days = match (self.day, self.week) {
            (true, _) => Some(1),
            (_, true) => Some(7),
            _ => None,
        };
        let since = days.map(|days| now.saturating_sub(days * DAY_MS));
        let criteria = self.filter.resolve()?.since(since);
        let mut counts = Counts::default();
        let end = pages::highest(vault)?;
        let mut last = None;
        while last.is_none_or(|last| last < end) {
            let page = pages::after(vault, last)?;
            let Some(newest) = page.last() else {
                break;
            };
            last = Some(newest.seq.min(end));
            for record in page.iter().filter(|record| record.seq <= end) {
                if criteria.want(record, vault)? {
                    counts.add(record);
                }
            }
        }
        if self.json {
            output::json(&to_json(&counts))?;
        } else {
            bars::show(&counts)?;
        }
        Ok(ExitStatus::Success)
    }
}

fn to_json(counts: &Counts) -> serde_json::Value {
    let decisions = counts.decisions();
    let (unit, times) = counts.times();
    json!({
        "entries": counts.entries,
        "malformed": counts.malformed,
        "counted_refusals": counts.only_counted,
        "first": counts.first.map(instant::rfc3339),
        "last": counts.last.map(instant::rfc3339),
        "decisions": decisions.iter()
            .map(|(name, count)| ((*name).to_owned(), (*count).into()))
            .collect::<serde_json::Map<_, _>>(),
        "agents": counts.agents().iter().map(|(agent, of)| json!({
            "agent": agent,
            "entries": of.entries,
            "allowed": of.allowed,
            "refused": of.refused,
        })).collect::<Vec<_>>(),
        "scopes": counts.scopes().iter().map(|(scope, commands)| json!({
            "scope": output::bytes(scope),
            "commands": commands,
        })).collect::<Vec<_>>(),
        "more_scopes": counts.more_scopes(),
        "unit_seconds": unit / 1000,
        "times": times.iter().map(|(at, count)| json!({
            "from": instant::rfc3339(*at),
            "entries": count,
        })).collect::<Vec<_>>(),
    })
}
