use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::rules::{self, GitTable, Reader, RuleTable, TrashTable};
use super::{Config, ConfigError, PassphraseHash, recording};
use crate::model::confinement::Mode;
use crate::model::time::Ttl;
use crate::sys::account::Account;
use crate::text::duration;
use crate::text::escape::shown;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    vault: VaultTable,
    wrapper: WrapperTable,
    exec: ExecTable,
    resolver: ResolverTable,
    approver: ApproverTable,
    permissions: PermissionsTable,
    git: GitTable,
    trash: TrashTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VaultTable {
    path: Option<Spanned<String>>,
    default_ttl: Option<Spanned<String>>,
    max_ttl: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrapperTable {
    on_ask: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExecTable {
    landlock: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResolverTable {
    trusted_dirs: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApproverTable {
    unattended: bool,
    passphrase: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PermissionsTable {
    rules: Vec<Spanned<RuleTable>>,
    resolve_commands: Option<bool>,
    pub(super) audit_enabled: Option<bool>,
    pub(super) audit_directory: Option<Spanned<String>>,
    pub(super) log_allowed_commands: Option<bool>,
    pub(super) log_denied_commands: Option<bool>,
    pub(super) retention_days: Option<Spanned<i64>>,
    pub(super) denials_per_minute: Option<Spanned<i64>>,
    pub(super) cache_enabled: Option<bool>,
    pub(super) cache_ttl_seconds: Option<Spanned<i64>>,
}

/// A value that cannot stand, and where it stands.
pub(super) struct Complaint {
    at: Range<usize>,
    message: String,
}

pub(super) fn complain<T>(value: &Spanned<T>, message: impl Into<String>) -> Complaint {
    Complaint {
        at: value.span(),
        message: message.into(),
    }
}

/// Reads the text of a configuration file over the defaults.
pub(super) fn parse(path: &Path, text: &str, account: &Account) -> Result<Config, ConfigError> {
    let complaint = match toml::from_str::<File>(text) {
        Ok(file) => match apply(file, account, &Reader::new(path, text, account)) {
            Ok(config) => {
                return Ok(Config {
                    source: Some(path.to_owned()),
                    ..config
                });
            }
            Err(complaint) => complaint,
        },
        Err(error) => Complaint {
            at: error.span().unwrap_or(0..0),
            message: error.message().replace('\n', " "),
        },
    };
    let before = text
        .as_bytes()
        .get(..complaint.at.start)
        .unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    Err(ConfigError::Invalid {
        path: path.to_owned(),
        line,
        message: shown(complaint.message.as_bytes()),
    })
}

fn apply(file: File, account: &Account, reader: &Reader<'_>) -> Result<Config, Complaint> {
    let mut config = Config::defaults(account);
    if let Some(path) = &file.vault.path {
        config.vault = absolute(path, account)?;
        if config.vault.parent().and_then(Path::parent).is_none() {
            return Err(complain(path, "the vault needs a directory of its own"));
        }
    }
    if let Some(text) = &file.vault.max_ttl {
        config.max_ttl = ttl(text)?;
        config.default_ttl = config.default_ttl.min(config.max_ttl);
    }
    if let Some(text) = &file.vault.default_ttl {
        config.default_ttl = ttl(text)?;
        if config.default_ttl > config.max_ttl {
            let message = format!(
                "vault.default_ttl is longer than vault.max_ttl, {}",
                config.max_ttl
            );
            return Err(complain(text, message));
        }
    }
    if let Some(on_ask) = &file.wrapper.on_ask {
        check_on_ask(on_ask)?;
    }
    if let Some(landlock) = &file.exec.landlock {
        config.landlock = mode(landlock)?;
    }
    for directory in &file.resolver.trusted_dirs {
        config
            .trusted_directories
            .push(absolute(directory, account)?);
    }
    recording::apply(&mut config, &file.permissions, account)?;
    config.policy = reader.policy(&file.permissions.rules, &file.git, &file.trash)?;
    config.resolve_commands = file.permissions.resolve_commands.unwrap_or(true);
    config.trash_tool = rules::tool(&file.trash)?;
    config.unattended = file.approver.unattended;
    if let Some(hash) = file.approver.passphrase {
        config.passphrase = Some(passphrase(&hash)?);
    }
    Ok(config)
}

/// Reads a path that is absolute, or below the home directory of the password database.
pub(super) fn absolute(value: &Spanned<String>, account: &Account) -> Result<PathBuf, Complaint> {
    let text = value.get_ref();
    let path = match text.strip_prefix("~/") {
        Some(below) => account.home.join(below),
        None => PathBuf::from(text),
    };
    let odd = path
        .components()
        .any(|component| component == Component::ParentDir);
    if !path.is_absolute() || path.parent().is_none() || odd || text.contains('\0') {
        let message = format!("'{text}' is not an absolute path, or one below '~/', without '..'");
        return Err(complain(value, message));
    }
    Ok(path)
}

fn ttl(value: &Spanned<String>) -> Result<Ttl, Complaint> {
    let seconds =
        duration::parse(value.get_ref()).map_err(|error| complain(value, error.to_string()))?;
    Ttl::from_seconds(seconds).map_err(|error| complain(value, error.to_string()))
}

fn check_on_ask(value: &Spanned<String>) -> Result<(), Complaint> {
    match value.get_ref().as_str() {
        "refuse" => Ok(()),
        "request" | "wait" => Err(complain(
            value,
            "this version can only refuse: wrapper.on_ask = \"refuse\"",
        )),
        other => Err(complain(
            value,
            format!("'{other}' is not a value of wrapper.on_ask"),
        )),
    }
}

fn mode(value: &Spanned<String>) -> Result<Mode, Complaint> {
    match value.get_ref().as_str() {
        "auto" => Ok(Mode::Auto),
        "required" => Ok(Mode::Required),
        "off" => Ok(Mode::Off),
        other => Err(complain(
            value,
            format!("'{other}' is not a value of exec.landlock; it is auto, required or off"),
        )),
    }
}

fn passphrase(value: &Spanned<String>) -> Result<PassphraseHash, Complaint> {
    let text = value.get_ref();
    let complete = argon2::PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some());
    if text.starts_with("$argon2id$") && complete {
        Ok(PassphraseHash(text.clone()))
    } else {
        Err(complain(
            value,
            "approver.passphrase is not an argon2id hash; 'pvm init' makes one",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                        CzxrOt9kVy3dqJt7uV2GJbXc0Yy0W2C2sd1nP6ZfYhE";

    fn read(text: &str) -> Result<Config, String> {
        let account = Account {
            uid: 1,
            name: "a".into(),
            home: PathBuf::from("/home/a"),
        };
        parse(Path::new("/p.toml"), text, &account).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = read("").unwrap();
        assert_eq!(
            config.vault,
            PathBuf::from("/home/a/.local/share/pvm/vault.db")
        );
        assert_eq!(
            (config.default_ttl, config.max_ttl),
            (Ttl::minutes(30), Ttl::minutes(480))
        );
        assert_eq!(config.landlock, Mode::Auto);
        assert!(!config.unattended && config.passphrase.is_none());
    }

    #[test]
    fn every_key_is_read() {
        let config = read(&format!(
            "[vault]\npath = \"~/v.db\"\ndefault_ttl = \"5m\"\nmax_ttl = \"1h\"\n\
             [wrapper]\non_ask = \"refuse\"\n[exec]\nlandlock = \"required\"\n\
             [resolver]\ntrusted_dirs = [\"/opt/brew\"]\n\
             [approver]\nunattended = true\npassphrase = \"{HASH}\"\n",
        ))
        .unwrap();
        assert_eq!(config.vault, PathBuf::from("/home/a/v.db"));
        assert_eq!(
            (config.default_ttl, config.max_ttl),
            (Ttl::minutes(5), Ttl::minutes(60))
        );
        assert_eq!(config.landlock, Mode::Required);
        assert_eq!(config.trusted_directories, [PathBuf::from("/opt/brew")]);
        assert!(config.unattended);
        assert_eq!(config.passphrase.unwrap().as_str(), HASH);
    }

    #[test]
    fn p_d83_what_is_not_understood_is_an_error_with_its_line() {
        for (text, line) in [
            ("[vault]\npth = \"/v\"", 2),
            ("\n\n[serve]\nlisten = \"x\"", 3),
            ("[vault]\npath = \"v.db\"", 2),
            ("[vault]\npath = \"/a/../v.db\"", 2),
            ("[vault]\npath = \"/\"", 2),
            ("[vault]\npath = \"/v.db\"", 2),
            ("[vault]\n\nmax_ttl = \"0s\"", 3),
            ("[vault]\nmax_ttl = \"1M\"", 2),
            ("[vault]\nmax_ttl = \"10m\"\ndefault_ttl = \"1h\"", 3),
            ("[wrapper]\non_ask = \"wait\"", 2),
            ("[exec]\nlandlock = \"maybe\"", 2),
            ("[exec]\nlandlock = 1", 2),
            ("[approver]\npassphrase = \"secret\"", 2),
            ("[approver]\npassphrase = \"$argon2id$v=19$m=8\"", 2),
            ("[approver]\nunattended = \"yes\"", 2),
            ("a = = b", 1),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.starts_with(&format!("/p.toml:{line}: ")),
                "{text:?}: {error}"
            );
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
