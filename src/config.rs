//! `pvm.toml`: where it is looked for, who may have written it, and what it says. A configuration
//! that was not understood in full is an error, and nothing runs on it.

pub(crate) mod edit;
mod file;
mod recording;
mod rules;
pub(crate) mod template;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::confinement::Mode;
use crate::model::recording::{CacheSettings, Recording};
use crate::model::rule::Policy;
use crate::model::time::Ttl;
use crate::sys::account::{self, Account, AccountError};
use crate::sys::fs::{self, Suspicion};
use crate::sys::{process, trust};

/// The file of the machine, which only root may have written.
const SYSTEM_FILE: &str = "/etc/pvm/pvm.toml";
const LARGEST_FILE: u64 = 1024 * 1024;

/// What is in force, defaults included.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file that was read, if there is one.
    pub(crate) source: Option<PathBuf>,
    /// Every place where it was looked for: a file that is made there may be in force next.
    pub(crate) places: Vec<PathBuf>,
    pub(crate) vault: PathBuf,
    pub(crate) default_ttl: Ttl,
    pub(crate) max_ttl: Ttl,
    pub(crate) landlock: Mode,
    pub(crate) policy: Policy,
    /// The program that moves files to the trash in pvm's place, and its first words.
    pub(crate) trash_tool: Option<Vec<OsString>>,
    /// Whether a command that is only asked about is looked for on PATH.
    pub(crate) resolve_commands: bool,
    pub(crate) recording: Recording,
    pub(crate) cache: CacheSettings,
    pub(crate) trusted_directories: Vec<PathBuf>,
    /// Whether a person's scripts may give grants without a terminal.
    pub(crate) unattended: bool,
    pub(crate) passphrase: Option<PassphraseHash>,
}

/// An argon2id hash in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PassphraseHash(String);

impl PassphraseHash {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PassphraseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseHash(..)")
    }
}

/// Why there is no configuration to act on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration is not safe to use: {0}")]
    Unsafe(#[from] Suspicion),
    #[error("{path}:{line}: {message}", path = .path.display())]
    Invalid {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path} is larger than {LARGEST_FILE} bytes", path = .0.display())]
    TooLarge(PathBuf),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("cannot tell which program this is: {0}")]
    Program(std::io::Error),
}

/// A place where the configuration is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Whether only root may own the file.
    pub(crate) root_only: bool,
}

/// Returns the places in the order in which they are looked at. The first file that exists is the
/// only one that is read; the environment has no say.
pub(crate) fn places(program: &Path, account: &Account) -> Vec<Place> {
    let mut places = vec![Place {
        path: PathBuf::from(SYSTEM_FILE),
        root_only: true,
    }];
    let prefix = program.parent().and_then(Path::parent);
    let users = [
        prefix.map(|prefix| prefix.join("etc/pvm/pvm.toml")),
        Some(account.home.join(".config/pvm/pvm.toml")),
    ];
    for path in users.into_iter().flatten() {
        if places.iter().all(|place| place.path != path) {
            places.push(Place {
                path,
                root_only: false,
            });
        }
    }
    places
}

/// Returns the places of this installation and this user, and the user.
pub(crate) fn own_places() -> Result<(Vec<Place>, Account), ConfigError> {
    let account = account::own()?;
    let program = trust::own_program().map_err(ConfigError::Program)?;
    Ok((places(&program, &account), account))
}

impl Place {
    /// Reads the file that stands here, if one does.
    pub(crate) fn look(&self, account: &Account) -> Result<Option<Config>, ConfigError> {
        match self.text()? {
            Some(text) => file::parse(&self.path, &text, account).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the text of the file that stands here, if its owner and mode let it be believed.
    pub(crate) fn text(&self) -> Result<Option<String>, ConfigError> {
        let own = [0, process::uid()];
        let owners = if self.root_only { &own[..1] } else { &own[..] };
        let file = match fs::open_trusted(&self.path, owners) {
            Ok(file) => file,
            Err(suspicion) if suspicion.is_missing() => return Ok(None),
            Err(suspicion) => return Err(suspicion.into()),
        };
        fs::check_directories_above(&self.path)?;
        read(&self.path, file).map(Some)
    }
}

/// Reads a file as a configuration wherever it stands and whoever wrote it: a draft.
pub(crate) fn examine(path: &Path, account: &Account) -> Result<Config, ConfigError> {
    let file = File::open(path).map_err(|error| ConfigError::Read {
        path: path.to_owned(),
        error,
    })?;
    file::parse(path, &read(path, file)?, account)
}

/// Reads a text as a configuration that is to stand at `path`.
pub(crate) fn examine_text(
    path: &Path,
    text: &str,
    account: &Account,
) -> Result<Config, ConfigError> {
    if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST_FILE) {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    file::parse(path, text, account)
}

/// A file that is cut off would lose its last lines, and what they forbid.
fn read(path: &Path, file: File) -> Result<String, ConfigError> {
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to());
        ConfigError::Invalid {
            path: path.to_owned(),
            line: 1 + good.filter(|byte| **byte == b'\n').count(),
            message: "this is not UTF-8".to_owned(),
        }
    })
}

impl Config {
    /// Reads the configuration of this installation and this user.
    pub(crate) fn load() -> Result<(Self, Account), ConfigError> {
        let (places, account) = own_places()?;
        let config = Self::first_of(&places, &account)?;
        Ok((config, account))
    }

    /// Reads the configuration from the first of these places that has one.
    pub(crate) fn first_of(places: &[Place], account: &Account) -> Result<Self, ConfigError> {
        let mut found = None;
        for place in places {
            found = place.look(account)?;
            if found.is_some() {
                break;
            }
        }
        Ok(Self {
            places: places.iter().map(|place| place.path.clone()).collect(),
            ..found.unwrap_or_else(|| Self::defaults(account))
        })
    }

    /// Returns what holds when there is no file.
    pub(crate) fn defaults(account: &Account) -> Self {
        let vault = account.home.join(".local/share/pvm/vault.db");
        Self {
            source: None,
            places: Vec::new(),
            recording: Recording::standard(log_directory(&vault)),
            cache: CacheSettings::STANDARD,
            vault,
            default_ttl: Ttl::minutes(30),
            max_ttl: Ttl::minutes(480),
            landlock: Mode::Auto,
            policy: Policy::default(),
            trash_tool: None,
            resolve_commands: true,
            trusted_directories: Vec::new(),
            unattended: false,
            passphrase: None,
        }
    }
}

/// Returns where the JSON log of a vault lies unless the configuration says otherwise.
fn log_directory(vault: &Path) -> PathBuf {
    vault.with_file_name("audit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_the_machine_the_installation_and_the_person() {
        let account = Account {
            uid: 1,
            name: "a".into(),
            home: PathBuf::from("/home/a"),
        };
        let paths: Vec<_> = places(Path::new("/opt/p/bin/pvm"), &account)
            .into_iter()
            .map(|place| (place.path, place.root_only))
            .collect();
        assert_eq!(
            paths,
            [
                (PathBuf::from("/etc/pvm/pvm.toml"), true),
                (PathBuf::from("/opt/p/etc/pvm/pvm.toml"), false),
                (PathBuf::from("/home/a/.config/pvm/pvm.toml"), false),
            ]
        );
    }

    #[test]
    fn a_passphrase_hash_is_not_printed_by_accident() {
        let hash = PassphraseHash("$argon2id$secret".to_owned());
        assert!(!format!("{hash:?}").contains("secret"));
    }
}
