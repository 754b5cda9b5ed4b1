use std::time::Duration;

use clap::Args;

use super::super::context::Context;
use super::super::output::{self, Stop};
use super::filter::{Criteria, Filter};
use super::printer::Printer;
use crate::audit::pages;
use crate::failure::ExitStatus;
use crate::sys::terminal;
use crate::vault::{Vault, VaultError};

/// How often a new entry is looked for.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many entries, the newest ones; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// Go on with new entries as they come, until interrupted
    #[arg(long)]
    follow: bool,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let broker = context.broker()?;
        let vault = broker.vault();
        let criteria = self.filter.resolve()?;
        let end = pages::highest(vault)?;
        let mut reading = Reading {
            vault,
            criteria: &criteria,
            last: before_newest(vault, &criteria, self.limit, end)?,
        };
        let mut printer = if self.json {
            Printer::json()
        } else {
            Printer::lines(self.follow)
        };
        reading.print(end, &mut printer)?;
        while self.follow && terminal::wait_with_reader(PAUSE) {
            reading.print(i64::MAX, &mut printer)?;
        }
        if printer.is_unused() && !self.json && !self.follow {
            output::line("no such entry")?;
        }
        Ok(ExitStatus::Success)
    }
}

/// Returns the number after which the newest `limit` of the wanted entries up to `end` come.
fn before_newest(
    vault: &Vault,
    criteria: &Criteria,
    limit: u64,
    end: i64,
) -> Result<Option<i64>, VaultError> {
    if limit == 0 {
        return Ok(None);
    }
    let (mut before, mut start, mut found) = (end.saturating_add(1), Some(end), 0_u64);
    loop {
        let page = pages::before(vault, before)?;
        let Some(oldest) = page.last() else {
            return Ok(start);
        };
        before = oldest.seq;
        for record in page {
            if criteria.want(&record, vault)? {
                start = record.seq.checked_sub(1);
                found += 1;
            }
            if found == limit {
                return Ok(start);
            }
        }
    }
}

/// A reading of the trail from one number on.
#[derive(Debug)]
struct Reading<'a> {
    vault: &'a Vault,
    criteria: &'a Criteria,
    last: Option<i64>,
}

impl Reading<'_> {
    /// Prints the wanted entries that are there, up to number `end`.
    fn print(&mut self, end: i64, printer: &mut Printer) -> Result<(), Stop> {
        while self.last.is_none_or(|last| last < end) {
            let page = pages::after(self.vault, self.last)?;
            let Some(newest) = page.last() else {
                break;
            };
            self.last = Some(newest.seq.min(end));
            for record in page.iter().filter(|record| record.seq <= end) {
                if self.criteria.want(record, self.vault)? {
                    printer.print(record)?;
                }
            }
            printer.flush()?;
        }
        Ok(())
    }
}
