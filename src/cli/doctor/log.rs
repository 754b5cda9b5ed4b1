//! The JSON log: whether it is as it should be, and whether the probes' refusals arrived in it.

use super::probe;
use super::{Finding, name};
use crate::audit::daily::{self, DailyLog, Health};
use crate::cli::context::Context;
use crate::sys::clock;
use crate::sys::lines::LineDirectory;
use crate::text::instant;

const CHECK: &str = "JSON log";
/// What the probes can have written at most.
const MOST: usize = 1 << 20;

/// How long the file of a day was before the probes ran.
#[derive(Debug)]
pub(super) struct Mark {
    file: String,
    length: u64,
}

/// Returns where the log ends now.
pub(super) fn mark(context: &Context) -> Option<Mark> {
    let file = daily::file_name(instant::day(clock::now().ok()?.wall.0)?);
    let directory = LineDirectory::open(&context.config.recording.log.directory).ok();
    let there = directory.and_then(|directory| directory.existing(&file).ok());
    let length = there.and_then(|there| there.length().ok()).unwrap_or(0);
    Some(Mark { file, length })
}

/// Says how the log is; `probed` is whether refusals should be in it since `mark`.
pub(super) fn look(context: &Context, mark: Option<&Mark>, probed: bool) -> Finding {
    let settings = &context.config.recording.log;
    let at = clock::now().map_or(0, |now| now.wall.0);
    let directory = name(&settings.directory);
    match DailyLog::examine(settings, at) {
        Ok(Health::SwitchedOff) => {
            Finding::ok(CHECK, "switched off; the trail has everything all the same")
        }
        Ok(Health::NotThereYet) if !probed || !settings.denied => {
            Finding::ok(CHECK, format!("the next entry makes {directory}"))
        }
        Ok(Health::Sound) if !probed || !settings.denied => {
            Finding::ok(CHECK, format!("{directory} is yours alone"))
        }
        Ok(_) if mark.is_some_and(|mark| has_probe(context, mark)) => Finding::ok(
            CHECK,
            format!("{directory} is yours alone, and the probe's refusal is in it"),
        ),
        Ok(_) => Finding::fail(CHECK, format!("the probe's refusal is not in {directory}"))
            .hint("the trail has it:  pvm audit --limit 5"),
        Err(error) => {
            let hint =
                "the trail has what the log lacks; make the directory yours alone:  chmod 700";
            Finding::fail(CHECK, error.to_string()).hint(hint)
        }
    }
}

/// Looks for an entry of the probes behind the mark, or in the file of a day that began since.
fn has_probe(context: &Context, mark: &Mark) -> bool {
    let Ok(directory) = LineDirectory::open(&context.config.recording.log.directory) else {
        return false;
    };
    let today = clock::now().ok().and_then(|now| instant::day(now.wall.0));
    let today = today
        .map(daily::file_name)
        .filter(|today| *today != mark.file);
    let places = [(Some(mark.file.clone()), mark.length), (today, 0)];
    places.into_iter().any(|(file, start)| {
        let there = file.and_then(|file| directory.existing(&file).ok());
        let bytes = there.and_then(|there| there.read_from(start, MOST).ok());
        let bytes = bytes.unwrap_or_default();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        lines.any(|line| {
            let line: Option<serde_json::Value> = serde_json::from_slice(line).ok();
            line.is_some_and(|line| line.get("agent").is_some_and(|it| *it == probe::AGENT))
        })
    })
}
