mod cells;
mod export;
mod fields;
mod filter;
mod head;
mod line;
mod list;
mod printer;
mod summary;
mod verify;

use clap::{Args, Subcommand};

use super::context::Context;
use super::output::Stop;
use crate::failure::ExitStatus;

/// Show the trail of everything that was decided
///
/// Without a subcommand: the newest entries, the oldest of them first.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  pvm audit --since 1h --decision denied
  pvm audit --scope /srv/app --follow
  pvm audit summary --week
  pvm audit verify --anchor /mnt/safe/pvm.anchors")]
pub(crate) struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Verify(verify::Verify),
    Head(head::Head),
    Export(export::Export),
    Summary(summary::Summary),
}

impl Audit {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        match self.verb {
            None => self.list.run(context),
            Some(Verb::Verify(verb)) => verb.run(context),
            Some(Verb::Head(verb)) => verb.run(context),
            Some(Verb::Export(verb)) => verb.run(context),
            Some(Verb::Summary(verb)) => verb.run(context),
        }
    }
}
