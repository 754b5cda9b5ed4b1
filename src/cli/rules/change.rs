use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::Args;

use super::{named, what};
use crate::cli::context::Context;
use crate::cli::init;
use crate::cli::output::{self, Stop};
use crate::cli::{person, scope, values};
use crate::config::edit::{self, NewRule};
use crate::config::template::{self, ChangeError};
use crate::config::{self, Config};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::rule::{Effect, Policy, Rule};
use crate::sys::{clock, fs as sys_fs, process};
use crate::text::escape::shown;

/// Write a rule into the configuration file, behind the others
///
/// Only a person may do this. The file keeps its comments and its order; a new one is made where
/// there is none. The rule holds for the next command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm rules add --effect deny --scope /srv/data --reason 'backups only there'
  pvm rules add --effect allow --op rm --scope /tmp/build
  pvm rules add --effect allow -- cargo fmt '**'

A word of a command is a pattern: * stands for any characters, ? for one, [ab] for one of these,
and ** at the end for any more words.")]
pub(super) struct Add {
    /// What the rule says: allow, ask or deny
    #[arg(long, value_name = "EFFECT", value_parser = values::effect)]
    effect: Effect,
    /// The operations it is about
    #[arg(long = "op", value_name = "OP", value_delimiter = ',', value_parser = values::action)]
    actions: Vec<Action>,
    /// The path and everything below it, or for the git operations the repository
    #[arg(long, value_name = "SCOPE", value_hint = clap::ValueHint::AnyPath)]
    scope: Option<OsString>,
    /// Only for the agent of this name
    #[arg(long, value_name = "NAME", value_parser = values::agent)]
    agent: Option<AgentName>,
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The command, one pattern a word
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<String>,
}

/// Take a rule out of the configuration file
///
/// Only a person may do this. Everything else in the file stays as it is.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The number that 'pvm rules list' shows
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
}

impl Add {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        person::require(context, "change the rules")?;
        let scope = self
            .scope
            .as_ref()
            .map(|text| self.scope_text(text))
            .transpose()?;
        let is_repository =
            self.words.is_empty() && scope.as_ref().is_some_and(|text| !text.starts_with('/'));
        let actions = match self.actions.as_slice() {
            // In the file a name without a dot could as well be a path.
            [] if is_repository && self.effect != Effect::Allow => {
                vec![Action::GitPush, Action::GitPushForce]
            }
            actions => actions.to_vec(),
        };
        let new = NewRule {
            effect: self.effect,
            actions,
            scope,
            argv: self.words,
            agent: self.agent,
            reason: self.reason,
            recorded_at: Some(clock::now().map_err(Failure::internal)?.wall),
        };
        let rule = new.to_string();
        let (path, after) = change(context, "a rule was added", None, |path, text| {
            Ok((edit::added(path, text, &new)?, rule))
        })?;
        let last = after
            .policy
            .rules
            .iter()
            .rfind(|rule| rule.number.is_some());
        let added = last.map(describe).unwrap_or_default();
        output::line(format!("added to {path}\n  {added}"))?;
        Ok(ExitStatus::Success)
    }

    /// Returns the scope as the file names it: canonical, as operands will be.
    fn scope_text(&self, text: &OsString) -> Result<String, Failure> {
        let actions = match self.actions.as_slice() {
            [] if !self.words.is_empty() => &[Action::Exec][..],
            [] if Path::new(text).is_absolute() || text.is_empty() => &[Action::Rm],
            [] if scope::is_evident_repository(text) => &[Action::GitPush],
            [] => {
                return Err(scope::unclear(text).hint("for a repository:  --op git-push-force"));
            }
            actions => actions,
        };
        let typed = scope::resolve_for(text, actions)?;
        let name = std::str::from_utf8(typed.scope.as_bytes());
        name.map(str::to_owned).map_err(|_| {
            let name = shown(typed.scope.as_bytes());
            Failure::usage(format!("{name} is not UTF-8, which pvm.toml has to be"))
                .hint("name a directory above it")
        })
    }
}

impl Remove {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        person::require(context, "change the rules")?;
        let number = usize::try_from(self.number).map_err(Failure::internal)?;
        let mut rules = context.config.policy.rules.iter();
        let Some(rule) = rules.find(|rule| rule.number == Some(number)) else {
            return Err(Failure::usage(format!("there is no rule {number}"))
                .hint("see the rules and their numbers:  pvm rules list")
                .into());
        };
        let removed = describe(rule);
        let (path, _) = change(
            context,
            "a rule was removed",
            Some(&context.config.policy),
            |path, text| edit::removed(path, text, number),
        )?;
        output::line(format!("removed from {path}\n  {removed}"))?;
        Ok(ExitStatus::Success)
    }
}

fn describe(rule: &Rule) -> String {
    let whom = rule
        .agent
        .as_ref()
        .map_or_else(String::new, |name| format!(" for {name}"));
    format!(
        "{}: {} {} on {}{whom}",
        named(rule),
        rule.effect,
        rule.actions,
        what(rule)
    )
}

/// Changes the configuration file, and returns its name and what is in force from now on. `edit`
/// returns the new text and that of the rule; the rules in force have to be `known`, where that is given.
///
/// The whole new text has to be understood before it replaces the file, and the change is recorded
/// before it is made.
fn change(
    context: &Context,
    note: &str,
    known: Option<&Policy>,
    edit: impl FnOnce(&Path, &str) -> Result<(String, String), ChangeError>,
) -> Result<(String, Config), Stop> {
    let place = init::place(context)?;
    let path = &place.path;
    let name = shown(path.as_os_str().as_bytes());
    let cannot = |error: io::Error| cannot_write(&name, &error);
    let directory = path.parent().unwrap_or(Path::new("/"));
    sys_fs::make_private_directory(directory).map_err(cannot)?;
    // Who changes it at the same time would undo this.
    let turn = File::open(directory).and_then(|directory| sys_fs::queue(directory, path));
    let _turn = turn.map_err(cannot)?;
    let text = place.text().map_err(Failure::internal)?;
    check_owner(path, &name)?;
    let exists = text.is_some();
    if let (Some(known), Some(text)) = (known, &text) {
        check_unchanged(context, path, text, known)?;
    }
    let text = text.unwrap_or_else(template::new_file);
    let (after, rule) = edit(path, &text).map_err(Failure::internal)?;
    let config = config::examine_text(path, &after, &context.account).map_err(|error| {
        Failure::usage(format!(
            "with this change the file could not be used: {error}"
        ))
        .hint("nothing was changed")
    })?;
    let (broker, _) = context.broker_or_new()?;
    let caller = context.caller();
    broker.record_rule(&caller, path, note, &rule)?;
    if let Err(error) = init::save(path, &after, exists) {
        broker.record_unchanged(&caller, path, &error.to_string())?;
        return Err(cannot(error).into());
    }
    Ok((name, config))
}

/// The numbers of the rules have to be those that the person saw.
fn check_unchanged(
    context: &Context,
    path: &Path,
    text: &str,
    known: &Policy,
) -> Result<(), Failure> {
    match config::examine_text(path, text, &context.account) {
        Ok(now) if now.policy == *known => Ok(()),
        _ => {
            let name = shown(path.as_os_str().as_bytes());
            Err(Failure::internal(format!("{name} was changed just now"))
                .hint("see the rules and their numbers:  pvm rules list"))
        }
    }
}

fn check_owner(path: &Path, name: &str) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(status) if status.uid() != process::uid() => Err(Failure::new(
            ExitStatus::Denied,
            format!("permission denied: {name} belongs to uid {}", status.uid()),
        )
        .hint("change it as its owner; for root:  sudo pvm rules ...")),
        _ => Ok(()),
    }
}

fn cannot_write(name: &str, error: &io::Error) -> Failure {
    let failure = Failure::internal(format!("cannot change {name}: {error}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failure.hint("change it as its owner; for root:  sudo pvm rules ...")
        }
        io::ErrorKind::TimedOut => failure.hint("another pvm changes it just now; try again"),
        _ => failure,
    }
}
