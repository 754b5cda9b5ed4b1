use clap::Args;
use serde_json::json;

use super::super::context::Context;
use super::super::output::{self, Stop};
use crate::audit::EntryRef;
use crate::audit::verify::Anchor;
use crate::failure::{ExitStatus, Failure};

/// Print the number and the hash of the last entry, as an anchor
///
/// Keep the line where no agent can write, on another machine or on paper: it proves that nothing
/// up to this entry was changed or cut off since.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pvm audit head | ssh safe 'cat >> pvm.anchors'")]
pub(crate) struct Head {
    /// Print it as a JSON object
    #[arg(long)]
    json: bool,
}

impl Head {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let broker = context.broker()?;
        let head = crate::audit::head(&broker.vault().read()?)?;
        if head.seq < 1 {
            return Err(
                Failure::new(ExitStatus::Broken, "the trail is empty; it was removed")
                    .hint("a vault is made with one entry:  pvm audit verify")
                    .into(),
            );
        }
        if self.json {
            output::json(&to_json(&head))?;
        } else {
            output::line(Anchor(head))?;
        }
        Ok(ExitStatus::Success)
    }
}

pub(super) fn to_json(head: &EntryRef) -> serde_json::Value {
    json!({ "entry": head.seq, "hash": data_encoding::HEXLOWER.encode(&head.hash) })
}
