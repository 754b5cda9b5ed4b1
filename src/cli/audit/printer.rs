use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Effects, Style};

use super::{fields, line};
use crate::audit::entry::Record;
use crate::audit::event::Outcome;
use crate::sys::{clock, terminal};
use crate::text::instant;

/// The fewest columns that what an entry is about gets on a terminal.
const NARROWEST: usize = 20;

/// Where entries go, and how they look there.
pub(super) struct Printer {
    out: BufWriter<Box<dyn Write>>,
    look: Look,
    unused: bool,
}

#[derive(Clone, Copy, Debug)]
enum Look {
    Json,
    /// Lines, with how long ago it was; without an instant, with the time itself.
    Lines {
        now: Option<i64>,
    },
}

impl Printer {
    pub(super) fn json() -> Self {
        Self {
            out: BufWriter::new(Box::new(io::stdout())),
            look: Look::Json,
            unused: true,
        }
    }

    /// Prints for people. A line that stays on the screen while time goes on has the time itself,
    /// as it has where the clock is not set.
    pub(super) fn lines(lasting: bool) -> Self {
        let now = if lasting {
            None
        } else {
            clock::now().ok().map(|now| now.wall.0)
        };
        Self {
            out: BufWriter::new(Box::new(anstream::stdout())),
            look: Look::Lines { now },
            unused: true,
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.unused
    }

    pub(super) fn print(&mut self, record: &Record) -> io::Result<()> {
        let first = std::mem::take(&mut self.unused);
        match self.look {
            Look::Json => writeln!(self.out, "{}", fields::object(record)),
            Look::Lines { now } => {
                if first {
                    let bold = Style::new().effects(Effects::BOLD);
                    let names = columns("ENTRY", "WHEN", width_of_when(now), "AGENT");
                    writeln!(self.out, "{bold}{names}{:<8}  WHAT{bold:#}", "DECISION")?;
                }
                write_line(&mut self.out, record, now)
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn width_of_when(now: Option<i64>) -> usize {
    if now.is_some() { 11 } else { 24 }
}

fn columns(number: &str, when: &str, width: usize, agent: &str) -> String {
    format!("{number:>6}  {when:<width$}  {agent:<8}  ")
}

fn write_line(out: &mut impl Write, record: &Record, now: Option<i64>) -> io::Result<()> {
    let number = record.seq.to_string();
    let (when, agent, decision, style) = match &record.entry {
        Ok(entry) => (
            now.map_or_else(
                || instant::rfc3339(entry.at),
                |now| instant::relative(entry.at, now),
            ),
            crate::text::escape::shown(entry.agent.as_bytes()),
            entry.outcome.name(),
            style(entry.outcome),
        ),
        Err(_) => (
            "?".to_owned(),
            "?".to_owned(),
            "BAD",
            AnsiColor::Red.on_default().bold(),
        ),
    };
    let start = columns(&number, &when, width_of_when(now), &agent);
    let used = start.chars().count() + 10;
    let room = terminal::width().map(|width| width.saturating_sub(used).max(NARROWEST));
    let what = line::what(record, room);
    writeln!(out, "{start}{style}{decision:<8}{style:#}  {what}")
}

fn style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Success | Outcome::Granted => AnsiColor::Green.on_default(),
        Outcome::Denied | Outcome::Failed => AnsiColor::Red.on_default(),
        Outcome::Pending | Outcome::Expired | Outcome::Revoked => AnsiColor::Yellow.on_default(),
        Outcome::Result => Style::new(),
    }
}
