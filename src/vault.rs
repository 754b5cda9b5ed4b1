//! The store of requests, verdicts, grants and the trail, in SQLite. The only home of SQL.
//!
//! Everybody who uses the vault stands in one queue at a lock file beside it, so that nobody ever
//! meets SQLite's own "database is locked". Every change is one transaction, durable when it
//! returns.

pub(crate) mod entries;
pub(crate) mod grants;
pub(crate) mod requests;
mod schema;

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::sys::fs::{self, QueueTicket, Suspicion, Turn};
use crate::sys::path::{self, PathError};
use crate::sys::random;

/// Why the vault cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error("there is no vault at {}", .0.display())]
    Missing(PathBuf),
    #[error("the vault is not safe to use: {0}")]
    Unsafe(#[from] Suspicion),
    #[error("cannot find the vault's directory {}: {reason}", .path.display())]
    Directory { path: PathBuf, reason: PathError },
    #[error("cannot use the vault {}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("the vault is busy: {0}")]
    Busy(io::Error),
    #[error("the vault has schema {found}, and this pvm knows schemas up to {known}")]
    NewerSchema { found: i64, known: i64 },
    #[error("the vault's schema is not the one that pvm made: {0}")]
    StrangeSchema(String),
    #[error("the vault holds a value that pvm never writes: {0}")]
    StrangeValue(String),
    #[error("the vault failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// How long a process uses the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// For one decision before it becomes another program: the turn is kept to the end, so that
    /// a command that could not start can still be recorded from inside its ruleset.
    Once,
    /// For as many transactions as it likes, with a turn for each.
    Repeated,
}

/// An open vault.
#[derive(Debug)]
pub(crate) struct Vault {
    connection: Connection,
    path: PathBuf,
    usage: Use,
    kept: RefCell<Option<QueueTicket>>,
}

/// One transaction; rolled back unless it is committed.
#[derive(Debug)]
pub(crate) struct Transaction<'v> {
    vault: &'v Vault,
    open: bool,
    _turn: Option<QueueTicket>,
}

const JOURNAL_SUFFIX: &str = "-journal";
const LOCK_SUFFIX: &str = ".lock";
const CANARY_SUFFIX: &str = ".canary";

/// Returns `path` with `suffix` behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Vault {
    /// Opens the vault at `path`; a missing one is an error and never made (DB-01).
    pub(crate) fn open(path: &Path, usage: Use) -> Result<Self, VaultError> {
        let path = canonical(path)?;
        check(&path)?;
        if !beside(&path, JOURNAL_SUFFIX).exists() {
            make_companions(&path).map_err(io_error(&path))?;
        }
        Self::connect(path, usage)
    }

    /// Opens the vault at `path`, and makes it first when there is none.
    ///
    /// Returns whether it was made.
    pub(crate) fn open_or_create(path: &Path) -> Result<(Self, bool), VaultError> {
        match Self::open(path, Use::Repeated) {
            Err(VaultError::Missing(_)) => {}
            other => return other.map(|vault| (vault, false)),
        }
        if let Some(directory) = path.parent() {
            fs::make_private_directory(directory).map_err(io_error(directory))?;
        }
        let path = canonical(path)?;
        let made = Self::create(&path)?;
        Ok((Self::open(&path, Use::Repeated)?, made))
    }

    /// Makes a whole vault under another name first, so that what stands at `path` is never half
    /// a vault, and a truncated one is never mistaken for a new one (DB-04).
    fn create(path: &Path) -> Result<bool, VaultError> {
        let suffix = random::bytes::<8>().map_err(|error| VaultError::Io {
            path: path.to_owned(),
            error: io::Error::other(error),
        })?;
        let draft = beside(
            path,
            &format!(".{}.new", data_encoding::HEXLOWER.encode(&suffix)),
        );
        fs::create_private_file(&draft).map_err(io_error(&draft))?;
        let made = Self::connect(draft.clone(), Use::Once).and_then(|vault| {
            schema::create(&vault.connection)?;
            vault.connection.close().map_err(|(_, error)| error)?;
            fs::move_new(&draft, path).map_err(io_error(path))
        });
        for left in [draft.clone(), beside(&draft, JOURNAL_SUFFIX)] {
            let _may_be_gone = std::fs::remove_file(left);
        }
        made
    }

    fn connect(path: PathBuf, usage: Use) -> Result<Self, VaultError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // TRUNCATE with the default synchronous=FULL syncs the journal after truncating it, so a
        // commit that returned survives a power cut; DELETE does not. While the process holds the
        // vault to its end, the journal stays open as well.
        connection.execute_batch(match usage {
            Use::Once => "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE",
            Use::Repeated => "PRAGMA journal_mode=TRUNCATE",
        })?;
        Ok(Self {
            connection,
            path,
            usage,
            kept: RefCell::new(None),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory that the vault has for itself.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Returns a file that stands there to be protected: a confined process that can remove it is
    /// not confined. It is made when it is missing.
    pub(crate) fn canary(&self) -> Result<PathBuf, VaultError> {
        let path = beside(&self.path, CANARY_SUFFIX);
        match fs::create_private_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(io_error(&path)(error))
            }
            _ => Ok(path),
        }
    }

    /// Begins a transaction that may change the vault, alone.
    pub(crate) fn begin(&self) -> Result<Transaction<'_>, VaultError> {
        let transaction = self.start(Turn::Write, "BEGIN IMMEDIATE")?;
        schema::check(&self.connection)?;
        Ok(transaction)
    }

    /// Begins a transaction that only reads, beside others. Long readings take several, so that
    /// writers do not wait.
    pub(crate) fn read(&self) -> Result<Transaction<'_>, VaultError> {
        let transaction = self.start(Turn::Read, "BEGIN")?;
        schema::check(&self.connection)?;
        Ok(transaction)
    }

    fn start(&self, turn: Turn, begin: &str) -> Result<Transaction<'_>, VaultError> {
        let mut turn_of_transaction = None;
        let mut kept = self.kept.borrow_mut();
        if kept.is_none() {
            let ticket =
                fs::queue(self.lock_file()?, turn, &self.path).map_err(VaultError::Busy)?;
            match self.usage {
                Use::Once => *kept = Some(ticket),
                Use::Repeated => turn_of_transaction = Some(ticket),
            }
        }
        self.connection.execute_batch(begin)?;
        Ok(Transaction {
            vault: self,
            open: true,
            _turn: turn_of_transaction,
        })
    }

    fn lock_file(&self) -> Result<File, VaultError> {
        let path = beside(&self.path, LOCK_SUFFIX);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(io_error(&path))
    }

    /// Writes a consistent copy of the vault to a file that does not exist yet (DB-21).
    pub(crate) fn backup(&self, to: &Path) -> Result<(), VaultError> {
        let reading = self.read()?;
        let file = fs::create_private_file(to).map_err(io_error(to))?;
        let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy)?;
        while backup.step(1000)? == rusqlite::backup::StepResult::More {}
        drop(backup);
        copy.close().map_err(|(_, error)| error)?;
        file.sync_all().map_err(io_error(to))?;
        reading.commit()
    }
}

impl Transaction<'_> {
    fn connection(&self) -> &Connection {
        &self.vault.connection
    }

    /// Makes everything that was done durable.
    pub(crate) fn commit(mut self) -> Result<(), VaultError> {
        self.connection().execute_batch("COMMIT")?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // Closing the connection undoes it as well; there is nothing more to do on failure.
            let _undone = self.connection().execute_batch("ROLLBACK");
        }
    }
}

/// Returns the path with its directory resolved; the file itself must not be a link.
fn canonical(path: &Path) -> Result<PathBuf, VaultError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    match path::canonical(directory) {
        Ok(directory) => Ok(directory.join(name)),
        Err(reason) if reason.is_missing() => Err(VaultError::Missing(path.to_owned())),
        Err(reason) => Err(VaultError::Directory {
            path: directory.to_owned(),
            reason,
        }),
    }
}

fn check(path: &Path) -> Result<(), VaultError> {
    match fs::check_private_file(path) {
        Err(suspicion) if suspicion.is_missing() => {
            return Err(VaultError::Missing(path.to_owned()));
        }
        other => other?,
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::check_private_directory(directory)?;
    fs::check_directories_above(directory)?;
    Ok(())
}

/// Makes the journal and what stands beside the vault, and their names durable. SQLite is built
/// not to sync the directory for a journal, because this one is never removed.
fn make_companions(path: &Path) -> io::Result<()> {
    for suffix in [JOURNAL_SUFFIX, CANARY_SUFFIX] {
        match fs::create_private_file(&beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    fs::sync_directory(path.parent().unwrap_or(Path::new("/")))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |error| VaultError::Io { path, error }
}
