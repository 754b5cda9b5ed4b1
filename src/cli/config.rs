mod policy;
mod recording;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, Stop};
use crate::config::{self, ConfigError, Place};
use crate::failure::{ExitStatus, Failure};
use crate::model::confinement::Mode;
use crate::sys::account::{self, Account};
use crate::text::escape::shown;

/// Show, check and find the configuration
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Check(Check),
    Path(Search),
}

/// Show every setting as it is in force, defaults included
///
/// The output is a configuration file itself. A passphrase hash is never shown, only that there
/// is one.
#[derive(Debug, Args)]
struct Show {
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,
}

/// Say whether a configuration file can be used
///
/// Without FILE, checks the one that is in force: its owner, its mode and every line. A FILE at
/// another place than those of 'pvm config path' is a draft, of which only the lines are checked.
/// Exit status 0 when it can be used, 1 when it cannot.
#[derive(Debug, Args)]
struct Check {
    /// The file to check instead
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
}

/// Show where the configuration is looked for, and which file is in force
///
/// The first file that exists is the only one that is read. The environment has no say.
#[derive(Debug, Args)]
struct Search {
    /// Print the places as JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(crate) fn run(self) -> Result<ExitStatus, Stop> {
        match self.verb {
            Verb::Show(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Path(verb) => verb.run(),
        }
    }
}

impl Show {
    fn run(self) -> Result<ExitStatus, Stop> {
        let (config, _) = config::Config::load().map_err(|error| refusal(&error))?;
        if self.json {
            output::json(&to_json(&config))?;
        } else {
            output::line(to_toml(&config).trim_end())?;
        }
        Ok(ExitStatus::Success)
    }
}

impl Check {
    fn run(self) -> Result<ExitStatus, Stop> {
        let failed = |error: ConfigError| refusal(&error);
        match self.file {
            Some(file) => {
                let draft = check_file(&file).map_err(failed)?;
                let note = if draft {
                    " (a draft, not in force)"
                } else {
                    ""
                };
                output::line(format!("{}: ok{note}", name(&file)))?;
            }
            None => match config::Config::load().map_err(failed)?.0.source {
                Some(file) => output::line(format!("{}: ok", name(&file)))?,
                None => output::line("ok: there is no configuration, the defaults are in force")?,
            },
        }
        Ok(ExitStatus::Success)
    }
}

/// Returns whether the file is only a draft.
fn check_file(file: &Path) -> Result<bool, ConfigError> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let account = account::own()?;
    let places = config::own_places().map_or_else(|_| Vec::new(), |(places, _)| places);
    let in_place = match places.iter().find(|place| place.path == absolute) {
        Some(place) => place.look(&account)?,
        None => None,
    };
    match in_place {
        Some(_) => Ok(false),
        None => config::examine(file, &account).map(|_| true),
    }
}

/// A configuration that cannot be used is the answer to the question, like a grant that is not
/// there; one that cannot be looked at leaves the question open.
fn refusal(error: &ConfigError) -> Failure {
    let status = match error {
        ConfigError::Unsafe(_) | ConfigError::Invalid { .. } | ConfigError::TooLarge(_) => {
            ExitStatus::Denied
        }
        ConfigError::Read { .. } | ConfigError::Account(_) | ConfigError::Program(_) => {
            ExitStatus::Failed
        }
    };
    let failure = Failure::new(status, error.to_string());
    match error {
        ConfigError::Unsafe(_) => {
            failure.hint("it must belong to root or to you, and only the owner may write it and the directories above it")
        }
        ConfigError::Invalid { .. } => failure.hint("every key and value:  man 5 pvm.toml"),
        _ => failure,
    }
}

impl Search {
    fn run(self) -> Result<ExitStatus, Stop> {
        let (places, account) = config::own_places().map_err(Failure::internal)?;
        let looked = look(places, &account);
        if self.json {
            let rows = looked.iter().map(|(place, found)| {
                json!({
                    "path": output::bytes(place.path.as_os_str().as_bytes()),
                    "state": found.name(),
                    "problem": found.problem(),
                    "root_only": place.root_only,
                })
            });
            output::json(&json!({ "places": rows.collect::<Vec<_>>() }))?;
            return Ok(ExitStatus::Success);
        }
        for (place, found) in &looked {
            let whose = if place.root_only {
                " (must belong to root)"
            } else {
                ""
            };
            let mark = match found {
                Found::InForce | Found::Refused(_) => "*",
                Found::Absent | Found::Overruled => " ",
            };
            let path = name(&place.path);
            output::line(format!("{mark} {path}{whose}: {}", found.explain()))?;
        }
        if looked
            .iter()
            .all(|(_, found)| matches!(found, Found::Absent))
        {
            output::line("the defaults are in force")?;
        }
        Ok(ExitStatus::Success)
    }
}

/// What stands at a place.
enum Found {
    InForce,
    /// It is the first that exists, and nothing runs until it is put right.
    Refused(String),
    Absent,
    Overruled,
}

impl Found {
    fn name(&self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Refused(_) => "refused",
            Self::Absent => "absent",
            Self::Overruled => "overruled",
        }
    }

    fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused(why) => Some(why),
            _ => None,
        }
    }

    fn explain(&self) -> String {
        match self {
            Self::InForce => "in force".to_owned(),
            Self::Refused(why) => format!("refused, and nothing runs: {why}"),
            Self::Absent => "does not exist".to_owned(),
            Self::Overruled => "not read: a file above it exists".to_owned(),
        }
    }
}

fn look(places: Vec<Place>, account: &Account) -> Vec<(Place, Found)> {
    let mut decided = false;
    let mut looked = Vec::new();
    for place in places {
        let exists = std::fs::symlink_metadata(&place.path).is_ok();
        let found = match place.look(account) {
            _ if decided && exists => Found::Overruled,
            _ if decided => Found::Absent,
            Ok(Some(_)) => Found::InForce,
            Ok(None) => Found::Absent,
            Err(error) => Found::Refused(error.to_string()),
        };
        decided |= matches!(found, Found::InForce | Found::Refused(_));
        looked.push((place, found));
    }
    looked
}

fn name(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::Required => "required",
        Mode::Off => "off",
    }
}

fn to_json(config: &config::Config) -> Value {
    let path = |path: &Path| output::bytes(path.as_os_str().as_bytes());
    let trusted: Vec<_> = config.trusted_directories.iter().map(|p| path(p)).collect();
    let mut permissions = json!({
        "resolve_commands": config.resolve_commands,
        "rules": policy::rules_json(config),
    });
    recording::add_to(&mut permissions, config);
    json!({
        "source": config.source.as_deref().map(path),
        "vault": {
            "path": path(&config.vault),
            "default_ttl": config.default_ttl.to_string(),
            "max_ttl": config.max_ttl.to_string(),
        },
        "wrapper": { "on_ask": "refuse" },
        "exec": { "landlock": mode(config.landlock) },
        "resolver": { "trusted_dirs": trusted },
        "git": policy::git_json(config),
        "trash": policy::trash_json(config),
        "permissions": permissions,
        "approver": {
            "unattended": config.unattended,
            "passphrase": config.passphrase.as_ref().map(|_| "set"),
        },
    })
}

fn to_toml(config: &config::Config) -> String {
    let source = match &config.source {
        Some(path) => format!("from {}, and the defaults", name(path)),
        None => "the defaults; there is no configuration file".to_owned(),
    };
    let text = |path: &Path| toml_edit::Value::from(path.to_string_lossy().as_ref()).to_string();
    let trusted: Vec<_> = config.trusted_directories.iter().map(|p| text(p)).collect();
    let passphrase = if config.passphrase.is_some() {
        "# passphrase is set"
    } else {
        "# passphrase is not set"
    };
    format!(
        "# {source}\n\n\
         [vault]\npath = {}\ndefault_ttl = \"{}\"\nmax_ttl = \"{}\"\n\n\
         [wrapper]\non_ask = \"refuse\"\n\n\
         [exec]\nlandlock = \"{}\"\n\n\
         [resolver]\ntrusted_dirs = [{}]\n\n\
         [approver]\nunattended = {}\n{passphrase}\n\n{}\n\
         [permissions]\nresolve_commands = {}\n{}{}",
        text(&config.vault),
        config.default_ttl,
        config.max_ttl,
        mode(config.landlock),
        trusted.join(", "),
        config.unattended,
        policy::tables(config),
        config.resolve_commands,
        recording::lines(config, text),
        policy::rules(config),
    )
}
