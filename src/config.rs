//! `pvm.toml`: where it is looked for, who may have written it, and what it says. A configuration
//! that was not understood in full is an error, and nothing runs on it.

mod file;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::confinement::Mode;
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
    pub(crate) vault: PathBuf,
    pub(crate) default_ttl: Ttl,
    pub(crate) max_ttl: Ttl,
    pub(crate) landlock: Mode,
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

impl Config {
    /// Reads the configuration of this installation and this user.
    pub(crate) fn load() -> Result<(Self, Account), ConfigError> {
        let account = account::own()?;
        let program = trust::own_program().map_err(ConfigError::Program)?;
        for place in places(&program, &account) {
            if let Some(text) = read(&place)? {
                let config = file::parse(&place.path, &text, &account)?;
                return Ok((config, account));
            }
        }
        let config = Self::defaults(&account);
        Ok((config, account))
    }

    /// Returns what holds when there is no file.
    pub(crate) fn defaults(account: &Account) -> Self {
        Self {
            source: None,
            vault: account.home.join(".local/share/pvm/vault.db"),
            default_ttl: Ttl::minutes(30),
            max_ttl: Ttl::minutes(480),
            landlock: Mode::Auto,
            trusted_directories: Vec::new(),
            unattended: false,
            passphrase: None,
        }
    }
}

fn read(place: &Place) -> Result<Option<String>, ConfigError> {
    let path = &place.path;
    let own = [0, process::uid()];
    let owners = if place.root_only { &own[..1] } else { &own[..] };
    let file = match fs::open_trusted(path, owners) {
        Ok(file) => file,
        Err(suspicion) if suspicion.is_missing() => return Ok(None),
        Err(suspicion) => return Err(suspicion.into()),
    };
    fs::check_directories_above(path)?;
    let mut text = String::new();
    file.take(LARGEST_FILE)
        .read_to_string(&mut text)
        .map_err(|error| ConfigError::Read {
            path: path.clone(),
            error,
        })?;
    Ok(Some(text))
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
