//! The text of a new configuration file, and changes to one that keep what a person wrote in it.

use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

/// Every key that this version reads, commented out with its default.
const TEMPLATE: &str = "\
# The configuration of pvm; pvm.toml(5) explains every key.
# What is commented out is the default. After a change:  pvm config check

[vault]
# path = \"~/.local/share/pvm/vault.db\"
# default_ttl = \"30m\"
# max_ttl = \"8h\"

[wrapper]
# on_ask = \"refuse\"

# Confinement of the commands by the kernel: auto, required or off.
[exec]
# landlock = \"auto\"

# Directories not of root's from which the real commands may come as well.
[resolver]
# trusted_dirs = []

# unattended: give grants without a terminal, for scripts of yours.
# passphrase: asked for before a grant is given; 'pvm init --passphrase' sets it.
[approver]
# unattended = false

# Pushes that only add or fast-forward: allow, ask or deny.
[git]
# plain_push = \"allow\"

# Where safe-trash needs no grant. A tool of yours can move the files in its place, unconfined.
[trash]
# workspaces = []
# tool = []

# The JSON log, one file a day beside the vault, and how long it is kept; the trail has everything
# in any case. Above so many denials in a minute the trail has one entry for many.
# Rules of yours that hold without a grant; 'pvm rules add' writes them at the end of this file.
[permissions]
# audit_enabled = true
# audit_directory = \"~/.local/share/pvm/audit\"
# log_allowed_commands = true
# log_denied_commands = true
# retention_days = 90
# denials_per_minute = 60
# cache_enabled = true
# cache_ttl_seconds = 300
# resolve_commands = true
";

/// What to set in a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Added to `resolver.trusted_dirs`.
    pub(crate) trusted_directories: Vec<String>,
    /// Put in the place of `approver.passphrase`.
    pub(crate) passphrase: Option<String>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.trusted_directories.is_empty() && self.passphrase.is_none()
    }

    /// Returns the names of the keys that change.
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        let directories = !self.trusted_directories.is_empty();
        let keys = [
            (directories, "resolver.trusted_dirs"),
            (self.passphrase.is_some(), "approver.passphrase"),
        ];
        let changed = keys.into_iter().filter(|(changes, _)| *changes);
        changed.map(|(_, key)| key).collect()
    }
}

/// Why a file cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("cannot read {path}: {error}", path = .path.display())]
    Unreadable {
        path: std::path::PathBuf,
        error: toml_edit::TomlError,
    },
    #[error("'{0}' is there and is not what pvm reads")]
    Strange(&'static str),
    #[error("there is no rule {0} in the file")]
    NoRule(usize),
    #[error(
        "rule {number} cannot be taken out without changing what is around it: edit line {line} by hand"
    )]
    ByHand { number: usize, line: usize },
}

/// Returns the text of a new file.
pub(crate) fn new_file() -> String {
    TEMPLATE.to_owned()
}

/// Returns `text`, the file at `path`, with the changes, everything else as it was.
pub(crate) fn changed(path: &Path, text: &str, changes: &Changes) -> Result<String, ChangeError> {
    let mut document: DocumentMut = text.parse().map_err(|error| ChangeError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    if !changes.trusted_directories.is_empty() {
        let table = table(&mut document, "resolver")?;
        let list = table
            .entry("trusted_dirs")
            .or_insert_with(|| Array::new().into());
        let list = list
            .as_array_mut()
            .ok_or(ChangeError::Strange("resolver.trusted_dirs"))?;
        let values = changes.trusted_directories.iter().map(String::as_str);
        append(list, values.map(Value::from).collect());
    }
    if let Some(hash) = &changes.passphrase {
        let value = Item::Value(Value::from(hash.as_str()));
        table(&mut document, "approver")?.insert("passphrase", value);
    }
    Ok(document.to_string())
}

/// Appends to a list; one that has a line for each value gets a line for each new one.
fn append(list: &mut Array, values: Vec<Value>) {
    let behind_last = list.trailing().as_str().unwrap_or_default().to_owned();
    if !behind_last.contains('\n') {
        list.extend(values);
        return;
    }
    let first = format!("{}\n  ", behind_last.trim_end());
    let before = std::iter::once(first.as_str()).chain(std::iter::repeat("\n  "));
    for (value, before) in values.into_iter().zip(before) {
        list.push_formatted(value.decorated(before, ""));
    }
    list.set_trailing("\n");
    list.set_trailing_comma(true);
}

fn table<'d>(
    document: &'d mut DocumentMut,
    name: &'static str,
) -> Result<&'d mut dyn TableLike, ChangeError> {
    document
        .entry(name)
        .or_insert_with(toml_edit::table)
        .as_table_like_mut()
        .ok_or(ChangeError::Strange(name))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Config, file};
    use crate::sys::account::Account;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                        CzxrOt9kVy3dqJt7uV2GJbXc0Yy0W2C2sd1nP6ZfYhE";

    fn account() -> Account {
        Account {
            uid: 1,
            name: "a".into(),
            home: PathBuf::from("/home/a"),
        }
    }

    fn read(text: &str) -> Config {
        file::parse(Path::new("/p.toml"), text, &account()).unwrap()
    }

    fn comparable(config: &Config) -> String {
        let source = None;
        let config = config.clone();
        format!("{:?}", Config { source, ..config })
    }

    fn changes() -> Changes {
        Changes {
            trusted_directories: vec!["/opt/\"brew\"".to_owned()],
            passphrase: Some(HASH.to_owned()),
        }
    }

    #[test]
    fn a_new_file_is_the_defaults_with_and_without_its_comment_signs() {
        let is_key = |line: &str| line.starts_with("# ") && line.contains(" = ");
        let uncommented: String = new_file()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(key) if is_key(line) => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(uncommented.matches(" = ").count(), 19);
        let defaults = comparable(&Config::defaults(&account()));
        assert_eq!(comparable(&read(&new_file())), defaults);
        assert_eq!(comparable(&read(&uncommented)), defaults);
    }

    #[test]
    fn a_change_keeps_comments_and_order() {
        let text = "# mine\n[approver] # who\npassphrase = 'old'\nunattended = true\n\n\
                    [resolver]\ntrusted_dirs = [\n  \"/a\", # a\n]\n";
        let after = changed(Path::new("/p.toml"), text, &changes()).unwrap();
        let start = format!("# mine\n[approver] # who\npassphrase = \"{HASH}\"\n");
        assert!(after.starts_with(&start), "{after}");
        assert!(after.contains("\"/a\", # a"), "{after}");
        let config = read(&after);
        assert_eq!(
            config.trusted_directories,
            [PathBuf::from("/a"), PathBuf::from("/opt/\"brew\"")]
        );
        assert!(config.unattended);
    }

    #[test]
    fn every_way_to_write_a_table_can_be_changed() {
        for text in [
            "",
            "approver.unattended = true\nvault.path = '/v/v.db'\n",
            "approver = { unattended = true }\n",
            "[exec]\nlandlock = 'off'",
            TEMPLATE,
        ] {
            let after = changed(Path::new("/p.toml"), text, &changes()).unwrap();
            let config = read(&after);
            assert_eq!(config.passphrase.unwrap().as_str(), HASH);
            assert_eq!(config.trusted_directories.len(), 1, "{after}");
        }
    }

    #[test]
    fn what_is_no_table_is_not_replaced() {
        for text in ["approver = 1", "[resolver]\ntrusted_dirs = 'x'"] {
            assert!(changed(Path::new("/p.toml"), text, &changes()).is_err());
        }
    }
}
