use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::context::Context;
use super::super::output::{self, Stop};
use super::head;
use crate::audit::EntryRef;
use crate::audit::verify::{self, Anchor, Fault, Verdict};
use crate::failure::{ExitStatus, Failure};
use crate::text::escape::shown;

/// Check that no entry was changed, removed, moved or put in
///
/// Exit status 0 when the trail is intact, 2 when it is broken, with the first bad entry named, and
/// 3 when it is intact but not anchored where that was required. That the end was cut off, or that
/// all was written again, shows only against an anchor.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm audit head >> /mnt/safe/pvm.anchors
  pvm audit verify --anchor /mnt/safe/pvm.anchors")]
pub(crate) struct Verify {
    /// A file of anchors: lines that 'pvm audit head' printed, kept where no agent can write
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Be content only if an anchor vouches for the trail
    #[arg(long)]
    require_anchor: bool,
    /// Print the verdict as a JSON object
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let anchors = self
            .anchor
            .as_deref()
            .map(read)
            .transpose()?
            .unwrap_or_default();
        let broker = context.broker()?;
        let verdict = verify::verify(broker.vault(), &anchors)?;
        let required = self.require_anchor || self.anchor.is_some();
        let status = match &verdict {
            Verdict::Broken { .. } => ExitStatus::Broken,
            Verdict::Intact { anchored: None, .. } if required => ExitStatus::Unanchored,
            Verdict::Intact { .. } => ExitStatus::Success,
        };
        if self.json {
            output::json(&to_json(&verdict))?;
        } else {
            show(&verdict)?;
        }
        Ok(status)
    }
}

/// Reads a file of anchors: one a line; empty lines and those that begin with `#` are skipped.
fn read(path: &Path) -> Result<Vec<Anchor>, Failure> {
    let name = shown(path.as_os_str().as_encoded_bytes());
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::internal(format!("cannot read the anchors in {name}: {error}"))
    })?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            line.parse().map_err(|error| {
                Failure::internal(format!("{name}, line {}: {error}", index.saturating_add(1)))
            })
        })
        .collect()
}

fn to_json(verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Intact { head, anchored } => json!({
            "intact": true,
            "entries": head.seq,
            "head": head::to_json(head),
            "anchored": anchored,
            "unanchored": unanchored(head, *anchored),
        }),
        Verdict::Broken { seq, fault } => json!({
            "intact": false,
            "entry": seq,
            "fault": name(fault),
            "reason": fault.to_string(),
        }),
    }
}

fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Empty => "empty",
        Fault::Gap { .. } => "gap",
        Fault::BrokenLink => "broken_link",
        Fault::Malformed(_) => "malformed",
        Fault::OtherThanAnchored => "other_than_anchored",
        Fault::CutOff { .. } => "cut_off",
    }
}

/// How many entries at the end no anchor vouches for.
fn unanchored(head: &EntryRef, anchored: Option<i64>) -> i64 {
    head.seq.saturating_sub(anchored.unwrap_or(0))
}

fn show(verdict: &Verdict) -> Result<(), Stop> {
    let (head, anchored) = match verdict {
        Verdict::Intact { head, anchored } => (head, *anchored),
        Verdict::Broken { seq, fault } => {
            output::line(format!("BROKEN at entry {seq}: {fault}"))?;
            return Ok(());
        }
    };
    output::line(format!(
        "intact: {}, linked from the first to the last",
        entries(head.seq)
    ))?;
    output::line(format!("head:   {}", Anchor(*head)))?;
    if let Some(last) = anchored {
        output::line(format!("anchored: up to entry {last}"))?;
    }
    let open = unanchored(head, anchored);
    if open > 0 {
        let count = entries(open);
        output::line(format!(
            "not anchored: {count}; removal of entries at the end would not show"
        ))?;
        output::line("  make an anchor, where no agent can write:  pvm audit head >> FILE")?;
    }
    Ok(())
}

fn entries(count: i64) -> String {
    if count == 1 {
        "1 entry".to_owned()
    } else {
        format!("{count} entries")
    }
}
