mod offer;

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use clap::Args;

use super::context::Context;
use super::output::{self, Stop};
use super::person;
use crate::broker::Broker;
use crate::config::template::{self, Changes};
use crate::config::{self, Place};
use crate::failure::{ExitStatus, Failure};
use crate::sys::{fs as sys_fs, process, prompt, trust};
use crate::text::escape::{shell_word, shown};

const SHORTEST_PASSPHRASE: usize = 8;

/// Set up pvm for this user
///
/// Makes the vault where there is none. On a terminal it also writes a configuration file where
/// there is none, offers to trust directories that real commands come from, and offers to set a
/// passphrase that is asked for before a grant is given. It overwrites nothing, and can be run
/// again. Only a person may change the configuration: that part is refused where it can be told
/// that an agent is calling.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Ask nothing: make the vault if it is missing, and leave everything else
    #[arg(long)]
    yes: bool,
    /// Set the passphrase, or another one, and ask nothing else
    #[arg(long, conflicts_with = "yes")]
    passphrase: bool,
}

impl Init {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let (broker, made) = context.broker_or_new()?;
        let state = if made { "made" } else { "exists already" };
        output::line(format!("vault: {} ({state})", name(broker.vault().path())))?;
        let terminal = io::stdin().is_terminal() && process::has_controlling_terminal();
        if self.passphrase || (terminal && !self.yes) {
            configure(context, &broker, self.passphrase)?;
        } else {
            match &context.config.source {
                Some(path) => output::line(format!("configuration: {}", name(path)))?,
                None => output::line("configuration: none, so the defaults are in force")?,
            }
        }
        next_steps()?;
        Ok(ExitStatus::Success)
    }
}

fn name(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

/// Asks what the configuration file should say, and writes that.
fn configure(context: &Context, broker: &Broker, passphrase_only: bool) -> Result<(), Stop> {
    person::require(context, "change the configuration")
        .map_err(|failure| failure.hint("the vault alone:  pvm init --yes"))?;
    let place = place(context)?;
    let text = place.text().map_err(Failure::internal)?;
    let own = fs::metadata(&place.path).is_ok_and(|status| status.uid() == process::uid());
    if text.is_some() && !own {
        let path = name(&place.path);
        output::line(format!("configuration: {path} (not yours, left alone)"))?;
        return Ok(());
    }
    let changes = if passphrase_only {
        Changes {
            passphrase: Some(ask_passphrase()?),
            ..Changes::default()
        }
    } else {
        ask(context)?
    };
    write(context, broker, &place, text, &changes)
}

/// Returns the place of the file in force; without one, where it belongs.
///
/// An installation whose prefix has a directory for it keeps its own; others share the person's.
pub(super) fn place(context: &Context) -> Result<Place, Failure> {
    let (places, account) = config::own_places().map_err(Failure::internal)?;
    let in_force = |place: &Place| Some(&place.path) == context.config.source.as_ref();
    let prepared = |place: &Place| {
        let directory = place.path.parent().map(fs::metadata);
        !place.root_only
            && directory.is_some_and(|status| {
                status.is_ok_and(|status| status.is_dir() && status.uid() == account.uid)
            })
    };
    let chosen = places
        .iter()
        .find(|place| in_force(place))
        .or_else(|| places.iter().find(|place| prepared(place)))
        .or_else(|| places.last());
    chosen
        .cloned()
        .ok_or_else(|| Failure::internal("there is no place for a configuration file"))
}

fn ask(context: &Context) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let offers = offer::offers(&context.config, &context.account).map_err(Failure::internal)?;
    for offer in offers {
        let directories: Vec<String> = offer.directories.iter().map(|path| name(path)).collect();
        let question = format!(
            "{} has a {} that is not root's. Trust what is in {}? Whoever can write there can \
             replace it",
            offer.name,
            name(&offer.program),
            directories.join(", "),
        );
        if confirm(&question)? {
            let directories = offer.directories.iter().filter_map(|path| path.to_str());
            changes
                .trusted_directories
                .extend(directories.map(str::to_owned));
        }
    }
    if context.config.passphrase.is_none()
        && confirm("Ask for a passphrase before a grant is given?")?
    {
        changes.passphrase = Some(ask_passphrase()?);
    }
    Ok(changes)
}

/// Asks a question to which no is the answer unless somebody says yes.
fn confirm(question: &str) -> Result<bool, Failure> {
    let answer = prompt::line(&format!("{question} [y/N] ")).map_err(|error| cannot_ask(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn cannot_ask(error: &io::Error) -> Failure {
    Failure::internal(format!("cannot ask: {error}"))
        .hint("run it in a terminal, or without questions:  pvm init --yes")
}

/// Asks for a new passphrase, and returns its hash.
fn ask_passphrase() -> Result<String, Failure> {
    loop {
        let typed = prompt::secret("new pvm passphrase: ").map_err(|error| cannot_ask(&error))?;
        let complaint = if typed.chars().count() < SHORTEST_PASSPHRASE {
            format!("it needs at least {SHORTEST_PASSPHRASE} characters")
        } else if typed == prompt::secret("once more: ").map_err(|error| cannot_ask(&error))? {
            return person::hash_passphrase(&typed);
        } else {
            "these are not the same".to_owned()
        };
        prompt::say(&complaint).map_err(|error| cannot_ask(&error))?;
    }
}

fn write(
    context: &Context,
    broker: &Broker,
    place: &Place,
    text: Option<String>,
    changes: &Changes,
) -> Result<(), Stop> {
    let path = &place.path;
    let shown_path = name(path);
    if text.is_some() && changes.is_empty() {
        output::line(format!(
            "configuration: {shown_path} (exists already, left alone)"
        ))?;
        return Ok(());
    }
    let exists = text.is_some();
    let before = text.unwrap_or_else(template::new_file);
    let after = if changes.is_empty() {
        before
    } else {
        template::changed(path, &before, changes).map_err(Failure::internal)?
    };
    let keys = changes.keys().join(" and ");
    if !changes.is_empty() {
        broker.record_configuration(&context.caller(), path, &format!("{keys} set"))?;
    }
    save(path, &after, exists)
        .map_err(|error| Failure::internal(format!("cannot write {shown_path}: {error}")))?;
    let state = if exists { "changed" } else { "made" };
    let what = if changes.is_empty() {
        "it only says what the defaults are"
    } else {
        &format!("{keys} set")
    };
    output::line(format!("configuration: {shown_path} ({state}; {what})"))?;
    Ok(())
}

/// A file that is there keeps its mode: others may have to read it.
pub(super) fn save(path: &Path, text: &str, exists: bool) -> io::Result<()> {
    let mode = if exists {
        fs::metadata(path)?.permissions().mode() & 0o644
    } else {
        if let Some(directory) = path.parent() {
            sys_fs::make_private_directory(directory)?;
        }
        0o600
    };
    sys_fs::write_whole(path, text.as_bytes(), mode, exists)
}

fn next_steps() -> Result<(), Stop> {
    output::line("")?;
    output::line("next:")?;
    output::line("  permit something:        pvm grant --scope /path/to/build --ttl 30m")?;
    if let Some(line) = path_line() {
        output::line(format!("  an agent's environment:  {line}"))?;
    }
    output::line("  see whether it holds:    pvm doctor")?;
    Ok(())
}

/// Returns the line with which an agent's shell finds the wrappers first.
pub(super) fn path_line() -> Option<String> {
    let program = trust::own_program().ok()?;
    let directory = program.parent()?;
    let links = directory.parent()?.join("libexec/pvm/agent-bin");
    let words: Vec<String> = [links.as_path(), directory]
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| shell_word(path.as_os_str().as_bytes()))
        .collect();
    Some(format!("export PATH={}:\"$PATH\"", words.join(":")))
}
