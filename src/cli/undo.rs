mod trash;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use crate::audit::entry::Entry;
use crate::audit::event::{Field, Kind, Outcome};
use crate::audit::pages;
use crate::broker::Broker;
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::text::escape::{shell_line, shell_word, shown};
use crate::wrapper;

/// Undo what an entry of the trail did
///
/// What was moved to the trash goes back to where it was, unless something stands there. Nothing is
/// replaced, so that needs no grant. For a forced push the command is printed that pushes the old
/// values again, which is a forced push itself and needs a grant; with --run it is run.
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// The entry's number, as pvm audit shows it
    #[arg(value_name = "ENTRY", value_parser = clap::value_parser!(i64).range(1..))]
    entry: i64,
    /// Run the command for a forced push instead of printing it
    #[arg(long)]
    run: bool,
    /// Print what became of it, or the command, as JSON
    #[arg(long, conflicts_with = "run")]
    json: bool,
}

impl Undo {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let broker = context.broker()?;
        let entry = begun(&broker, self.entry)?;
        match action(&entry) {
            Some(Action::GitPushForce) => self.push(&entry),
            Some(Action::Trash) => trash::undo(&broker, &entry, context, self.json),
            Some(Action::Rm) => Err(cannot(&entry, "what rm removed is gone")
                .hint("safe-trash moves files to where they can be restored from")
                .into()),
            None if entry.outcome == Outcome::Denied => {
                Err(cannot(&entry, "it was refused, and nothing was done").into())
            }
            _ => Err(cannot(
                &entry,
                "it is neither a forced push nor a move to the trash",
            )
            .into()),
        }
    }

    fn push(&self, entry: &Entry) -> Result<ExitStatus, Stop> {
        let restore = Restore::of(entry)?;
        if self.run {
            std::env::set_current_dir(&restore.repository).map_err(|error| {
                let place = shown(restore.repository.as_os_str().as_encoded_bytes());
                Failure::internal(format!("cannot go to {place}: {error}"))
            })?;
            return Ok(wrapper::git_push::run("safe-git-push", &restore.argv));
        }
        let words = restore.argv.iter().map(|word| word.as_encoded_bytes());
        if self.json {
            output::json(&json!({
                "entry": entry.seq,
                "cwd": output::bytes(restore.repository.as_os_str().as_encoded_bytes()),
                "command": words.map(output::bytes).collect::<Vec<_>>(),
            }))?;
        } else {
            let place = shell_word(restore.repository.as_os_str().as_encoded_bytes());
            output::line(format!("cd {place} && {}", shell_line(words)))?;
        }
        Ok(ExitStatus::Success)
    }
}

/// Returns the entry under a number; for one that says how something ended, the one that began it.
fn begun(broker: &Broker, number: i64) -> Result<Entry, Stop> {
    let look = |number: i64| {
        let record = pages::one(broker.vault(), number)?.ok_or_else(|| {
            Failure::usage(format!("there is no entry {number}")).hint("see them:  pvm audit")
        })?;
        let entry = record.entry;
        entry.map_err(|error| Stop::from(Failure::internal(format!("entry {number}: {error}"))))
    };
    let entry = look(number)?;
    match trash::of(&entry).filter(|_| entry.outcome == Outcome::Result) {
        Some(first) => look(first),
        None => Ok(entry),
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

fn action(entry: &Entry) -> Option<Action> {
    let done = entry.kind == Kind::Execution && entry.outcome == Outcome::Success;
    entry.action.as_deref().filter(|_| done)?.parse().ok()
}

fn cannot(entry: &Entry, why: &str) -> Failure {
    Failure::new(
        ExitStatus::Denied,
        format!("entry {} cannot be undone: {why}", entry.seq),
    )
}

/// The push that brings back what a forced push overwrote.
struct Restore {
    repository: PathBuf,
    argv: Vec<OsString>,
}

impl Restore {
    fn of(entry: &Entry) -> Result<Self, Failure> {
        let one = |field| {
            entry
                .value(field)
                .map(|value| OsString::from_vec(value.to_vec()))
        };
        let (Some(repository), Some(remote)) = (one(Field::Repository), one(Field::Remote)) else {
            return Err(cannot(
                entry,
                "it does not say which repository was pushed from",
            ));
        };
        let mut argv = ["safe-git-push", "--force", "--"]
            .map(OsString::from)
            .to_vec();
        argv.push(remote);
        for line in entry.values(Field::Kept) {
            let mut words = line.split(|byte| *byte == b' ');
            let (Some(name), Some(_), Some(backup), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(cannot(entry, "what was kept cannot be read"));
            };
            argv.push(OsString::from_vec([backup, b":", name].concat()));
        }
        if argv.len() == 4 {
            return Err(cannot(
                entry,
                "it overwrote nothing; what it created is still there",
            ));
        }
        Ok(Self {
            repository: PathBuf::from(repository),
            argv,
        })
    }
}
