//! The whole story, told by running it: real commands, real files, an installation of its own.

mod stage;
mod story;

use std::io::IsTerminal;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::output::{self, Stop};
use crate::failure::{ExitStatus, Failure};
use crate::sys::terminal;
use crate::text::escape::shell_line;
use stage::Stage;
use story::{Chapter, Command, Need, STORY};

const TITLE: Style = Style::new().bold();
const TYPED: Style = AnsiColor::Cyan.on_default();
const COMMENT: Style = AnsiColor::Green.on_default();
const OUTCOME: Style = Style::new().dimmed();

const INDENT: &str = "    ";
const COMMENT_WIDTH: usize = 74;
const NARROWEST: usize = 40;

/// Time to take in a command before its output follows, where somebody is watching.
const PAUSE: Duration = Duration::from_millis(300);

/// Show the whole story in a throw-away directory
///
/// Installs pvm once more in the directory for temporary files, runs there what an agent and its
/// person would run, explains each step, and removes everything again. Your own vault and
/// configuration are not touched. Exit status 0 when every step turned out as told.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Leave the directory there for a look around
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(self) -> Result<ExitStatus, Stop> {
        let mut stage = Stage::set_up()?;
        if self.keep {
            stage.keep();
        }
        let told = open(&stage).and_then(|()| {
            STORY
                .iter()
                .enumerate()
                .try_for_each(|(index, chapter)| tell(index + 1, chapter, &stage))
        });
        let root = stage.root().display().to_string();
        if self.keep {
            output::line(format!("\nkept: {root}"))?;
            return told.map(|()| ExitStatus::Success);
        }
        told?;
        stage.remove()?;
        output::line(format!(
            "\nAll of this was really run. {root} is removed again."
        ))?;
        Ok(ExitStatus::Success)
    }
}

fn open(stage: &Stage) -> Result<(), Stop> {
    let (root, version) = (stage.root().display(), env!("CARGO_PKG_VERSION"));
    output::line(format!(
        "{TITLE}pvm {version}, shown on real files in {root}{TITLE:#}"
    ))?;
    explain("It has a program, a configuration and a vault there; yours are not touched:")?;
    print_indented(stage.configuration().as_bytes())?;
    explain(story::OPENING)
}

fn tell(number: usize, chapter: &Chapter, stage: &Stage) -> Result<(), Stop> {
    output::line(format!("\n{TITLE}{number}. {}{TITLE:#}", chapter.title))?;
    if let Some(need) = chapter.needs.filter(|need| !stage.has(*need)) {
        return explain(need.missing());
    }
    for command in chapter.commands {
        let ran = perform(command, stage)?;
        // Not every trash that is there can be used.
        if chapter.needs == Some(Need::Trash) && !ran.status.success() {
            return explain(Need::Trash.missing());
        }
        conclude(command, &ran, stage)?;
    }
    explain(chapter.why)
}

fn explain(text: &str) -> Result<(), Stop> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COMMENT_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for line in lines {
        output::line(format!("  {COMMENT}# {line}{COMMENT:#}"))?;
    }
    Ok(())
}

fn perform(command: &Command, stage: &Stage) -> Result<Output, Stop> {
    let mut words = stage.words(command.words);
    for word in &mut words {
        if word == "{entry}" {
            *word = stage.last_entry()?;
        }
    }
    let typed = shell_line(words.iter().map(String::as_bytes));
    let prompt = command.who.prompt();
    output::line(format!("  {prompt} {TYPED}{typed}{TYPED:#}"))?;
    if std::io::stdout().is_terminal() {
        std::thread::sleep(PAUSE);
    }
    let ran = stage.run(command.who, &words)?;
    print_indented(&ran.stdout)?;
    print_indented(&ran.stderr)?;
    Ok(ran)
}

fn conclude(command: &Command, ran: &Output, stage: &Stage) -> Result<(), Stop> {
    check(command, ran, stage.root()).map_err(|why| {
        let words = stage.words(command.words).join(" ");
        Failure::internal(format!("'{words}' did not turn out as told: {why}"))
            .hint("see what it left:  pvm demo --keep")
    })?;
    if let Some(outcome) = outcome(command) {
        output::line(format!("{INDENT}{OUTCOME}{outcome}{OUTCOME:#}"))?;
    }
    Ok(())
}

/// Prints output below its command. A terminal would break long lines back to its edge.
fn print_indented(text: &[u8]) -> Result<(), Stop> {
    let room = terminal::width().map_or(usize::MAX, |width| width.saturating_sub(INDENT.len() * 2));
    for line in String::from_utf8_lossy(text).lines() {
        let characters: Vec<char> = line.chars().collect();
        for (index, part) in characters.chunks(room.max(NARROWEST)).enumerate() {
            let part: String = part.iter().collect();
            let again = if index > 0 { INDENT } else { "" };
            output::line(format!("{INDENT}{again}{part}"))?;
        }
    }
    Ok(())
}

/// Returns what was checked and does not show in the output, if there is something.
fn outcome(command: &Command) -> Option<String> {
    let mut parts = Vec::new();
    if command.status != 0 {
        parts.push(format!("exit status {}", command.status));
    }
    let stays = command.stays.iter();
    let still = if command.status == 0 { "" } else { "still " };
    parts.extend(stays.map(|path| format!("{path} is {still}there")));
    let gone = command.gone.iter();
    parts.extend(gone.map(|path| format!("{path} is gone")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Compares what happened with what the story says.
fn check(command: &Command, ran: &Output, root: &Path) -> Result<(), String> {
    if ran.status.code() != Some(command.status) {
        let (told, got) = (command.status, ran.status);
        return Err(format!("it should end with status {told}, not with {got}"));
    }
    let stands = |path: &&&str| root.join(path).symlink_metadata().is_ok();
    if let Some(path) = command.stays.iter().find(|path| !stands(path)) {
        return Err(format!("{path} should still be there"));
    }
    if let Some(path) = command.gone.iter().find(stands) {
        return Err(format!("{path} should be gone"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus as ChildStatus;

    use super::*;

    #[test]
    fn a_step_that_does_not_turn_out_as_told_is_noticed() {
        let told = Command {
            who: story::Who::Agent,
            words: "",
            status: 1,
            stays: &["etc"],
            gone: &["no such file"],
        };
        let ran = |status| Output {
            status: ChildStatus::from_raw(status << 8),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let root = Path::new("/");
        assert_eq!(check(&told, &ran(1), root), Ok(()));
        assert!(check(&told, &ran(0), root).is_err());
        assert!(check(&told, &ran(1), Path::new("/etc")).is_err());
        let gone = Command {
            gone: &["etc"],
            ..told
        };
        assert!(check(&gone, &ran(1), root).is_err());
    }
}
