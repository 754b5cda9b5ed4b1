//! The store of requests, verdicts, grants and the trail, in SQLite. The only home of SQL.
//!
//! Everybody who uses the vault stands in one queue at a lock file beside it, so that nobody ever
//! meets SQLite's own "database is locked". Every change is one transaction, durable when it
//! returns.

pub(crate) mod changes;
pub(crate) mod entries;
pub(crate) mod grants;
pub(crate) mod requests;
mod schema;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::sys::fs::{self, QueueTicket, Suspicion};
use crate::sys::path::{self, PathError};
use crate::sys::{heap, random};
use entries::StoredEntry;

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
    #[error("an entry of the trail would have {size} bytes, and the most is {most}")]
    EntryTooLarge { size: usize, most: u32 },
    #[error("the trail is empty: its entries were removed")]
    EmptyTrail,
    #[error("the vault failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // Whoever uses pvm stands in the queue, so this is another program.
            Some(ErrorCode::DatabaseBusy) => {
                Self::Busy(io::Error::other("another program has it open"))
            }
            _ => Self::Sqlite(error),
        }
    }
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

/// A vault that was found to be safe to use.
#[derive(Debug)]
pub(crate) struct Vault {
    path: PathBuf,
    usage: Use,
    kept: RefCell<Option<Rc<Held>>>,
}

/// A turn at the vault. The connection goes before the turn does.
#[derive(Debug)]
struct Held {
    connection: Connection,
    turn: QueueTicket,
}

/// One transaction; rolled back unless it is committed.
#[derive(Debug)]
pub(crate) struct Transaction<'v> {
    vault: &'v Vault,
    held: Rc<Held>,
    open: bool,
}

const WAL_SUFFIX: &str = "-wal";
const LOCK_SUFFIX: &str = ".lock";
const CANARY_SUFFIX: &str = ".canary";
const REFUSALS_SUFFIX: &str = ".refusals";
const SCRATCH_SUFFIX: &str = ".scratch";
/// What SQLite and the queue read and write besides the vault; a journal is only ever a stranger's.
const COMPANIONS: [&str; 3] = [WAL_SUFFIX, "-journal", LOCK_SUFFIX];

/// How long the write-ahead log may get before it goes into the vault. Whoever opens the vault
/// reads the log from its start, so a short one is fast; emptying it costs two more syncs.
const LONGEST_LOG: u64 = 48 * 4120;

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
        if usage == Use::Once {
            heap::give_sqlite_one_block();
        }
        Ok(Self {
            path,
            usage,
            kept: RefCell::new(None),
        })
    }

    /// Opens the vault at `path`, and makes it when there is none, with `first` as the first entry
    /// of its trail.
    ///
    /// Returns whether it was made.
    pub(crate) fn open_or_create(
        path: &Path,
        first: &StoredEntry,
    ) -> Result<(Self, bool), VaultError> {
        match Self::open(path, Use::Repeated) {
            Err(VaultError::Missing(_)) => {}
            other => return other.map(|vault| (vault, false)),
        }
        if let Some(directory) = path.parent() {
            fs::make_private_directory(directory).map_err(io_error(directory))?;
        }
        let path = canonical(path)?;
        let made = create(&path, first)?;
        Ok((Self::open(&path, Use::Repeated)?, made))
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
        make_companion(&path).map_err(io_error(&path))?;
        Ok(path)
    }

    /// Returns the file beside the vault in which refusals are counted.
    pub(crate) fn refusals_file(&self) -> PathBuf {
        beside(&self.path, REFUSALS_SUFFIX)
    }

    /// Returns the directory beside the vault in which the temporary directories of confined commands
    /// are noted. It need not exist.
    pub(crate) fn scratch_notes(&self) -> PathBuf {
        beside(&self.path, SCRATCH_SUFFIX)
    }

    /// Lets others have their turn before this process ends; the next transaction takes a new one.
    pub(crate) fn give_up_turn(&self) {
        drop(self.kept.borrow_mut().take());
    }

    /// Takes a turn that lasts over several transactions, until it is given up.
    pub(crate) fn hold_turn(&self) -> Result<(), VaultError> {
        if self.kept.borrow().is_none() {
            let held = self.take_turn()?;
            *self.kept.borrow_mut() = Some(Rc::new(held));
        }
        Ok(())
    }

    /// Begins a transaction that may change the vault.
    pub(crate) fn begin(&self) -> Result<Transaction<'_>, VaultError> {
        self.start("BEGIN IMMEDIATE")
    }

    /// Begins a transaction that only reads. Long readings take several, so that writers do not
    /// wait.
    pub(crate) fn read(&self) -> Result<Transaction<'_>, VaultError> {
        self.start("BEGIN")
    }

    fn start(&self, begin: &str) -> Result<Transaction<'_>, VaultError> {
        let kept = self.kept.borrow().clone();
        let held = match kept {
            Some(held) => held,
            None => Rc::new(self.take_turn()?),
        };
        if self.usage == Use::Once {
            *self.kept.borrow_mut() = Some(Rc::clone(&held));
        }
        held.connection.execute_batch(begin)?;
        let transaction = Transaction {
            vault: self,
            held,
            open: true,
        };
        schema::check(transaction.connection())?;
        Ok(transaction)
    }

    fn take_turn(&self) -> Result<Held, VaultError> {
        let wal = beside(&self.path, WAL_SUFFIX);
        let turn = fs::queue(self.lock_file()?, &wal).map_err(VaultError::Busy)?;
        self.make_log()?;
        let age = check_header(&self.path)?;
        let connection = connect(&self.path)?;
        if age == schema::Age::Older {
            schema::upgrade(&connection)?;
            // Not before the header of the file has it will the next one look no further.
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(Held { connection, turn })
    }

    /// SQLite is built not to sync the directory for its log, because this one always exists.
    fn make_log(&self) -> Result<(), VaultError> {
        let wal = beside(&self.path, WAL_SUFFIX);
        if make_companion(&wal).map_err(io_error(&wal))? {
            fs::sync_directory(self.directory()).map_err(io_error(&wal))?;
        }
        Ok(())
    }

    fn lock_file(&self) -> Result<File, VaultError> {
        let path = beside(&self.path, LOCK_SUFFIX);
        fs::open_or_create_private_file(&path).map_err(io_error(&path))
    }

    /// Writes a consistent copy of the vault to a file that does not exist yet (DB-21).
    pub(crate) fn backup(&self, to: &Path) -> Result<(), VaultError> {
        let reading = self.read()?;
        let file = fs::create_private_file(to).map_err(io_error(to))?;
        let copied = self.copy(reading.connection(), to).and_then(|()| {
            file.sync_all().map_err(io_error(to))?;
            fs::sync_directory(to.parent().unwrap_or(Path::new("/"))).map_err(io_error(to))
        });
        if copied.is_err() {
            // Half a copy must not be taken for one.
            let _may_be_gone = std::fs::remove_file(to);
        }
        copied?;
        reading.commit()
    }

    fn copy(&self, from: &Connection, to: &Path) -> Result<(), VaultError> {
        let log = beside(&self.path, WAL_SUFFIX);
        let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let backup = rusqlite::backup::Backup::new(from, &mut copy)?;
        while backup.step(1000)? == rusqlite::backup::StepResult::More {
            // Those who wait for their turn see by the log that it comes nearer.
            fs::touch(&log).map_err(io_error(&log))?;
        }
        drop(backup);
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

impl Transaction<'_> {
    fn connection(&self) -> &Connection {
        &self.held.connection
    }

    /// Makes everything that was done durable.
    pub(crate) fn commit(mut self) -> Result<(), VaultError> {
        // Before, so that whoever sees the old number decided before what is committed here.
        let announced = self.held.turn.announce_change();
        announced.map_err(io_error(&beside(&self.vault.path, LOCK_SUFFIX)))?;
        self.connection().execute_batch("COMMIT")?;
        self.open = false;
        let written = std::fs::metadata(beside(&self.vault.path, WAL_SUFFIX));
        let long = written.is_ok_and(|log| log.len() > LONGEST_LOG);
        if long || self.vault.usage == Use::Repeated {
            // What was committed is durable in the log already; whoever comes next tries again.
            let _later = self
                .connection()
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
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

/// Opens the database for one process alone, which the queue sees to. The write-ahead log makes
/// a commit one sync; without sharing, its index is kept in memory and made from the log.
fn connect(path: &Path) -> Result<Connection, VaultError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(fs::LONGEST_STANDSTILL)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE")?;
    Ok(connection)
}

/// Checks that the file is a vault of a version that this pvm knows, in write-ahead mode (the file
/// format of SQLite, 1.3). Asking SQLite takes ten times as long, and the numbers are never changed
/// without emptying the log into the file. No connection may be open: closing the file gives up
/// the locks that SQLite has on it in this process.
fn check_header(path: &Path) -> Result<schema::Age, VaultError> {
    let mut header = [0_u8; 72];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => no_database(),
            _ => io_error(path)(error),
        })?;
    // Magic, write and read version, user version, application id.
    if !header.starts_with(b"SQLite format 3\0") || header.get(18..20) != Some(&[2, 2]) {
        return Err(no_database());
    }
    let number = |at: usize| {
        let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    schema::check_numbers(number(60), number(68))
}

fn no_database() -> VaultError {
    VaultError::StrangeSchema("it is not a database with a write-ahead log".to_owned())
}

/// Makes a whole vault under another name first, so that what stands at `path` is never half a
/// vault, and a truncated one is never mistaken for a new one (DB-04).
///
/// Returns whether this call made it; somebody else may have been faster.
fn create(path: &Path, first: &StoredEntry) -> Result<bool, VaultError> {
    let suffix = random::bytes::<8>().map_err(|error| VaultError::Io {
        path: path.to_owned(),
        error: io::Error::other(error),
    })?;
    let draft = beside(
        path,
        &format!(".{}.new", data_encoding::HEXLOWER.encode(&suffix)),
    );
    let made = fs::create_private_file(&draft)
        .map_err(io_error(&draft))
        .and_then(|file| fill(&draft, first).map(|()| file))
        .and_then(|file| file.sync_all().map_err(io_error(&draft)))
        .and_then(|()| fs::move_new(&draft, path).map_err(io_error(path)));
    for left in [draft.clone(), beside(&draft, WAL_SUFFIX)] {
        let _may_be_gone = std::fs::remove_file(left);
    }
    made
}

fn fill(draft: &Path, first: &StoredEntry) -> Result<(), VaultError> {
    let connection = connect(draft)?;
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    schema::create(&connection)?;
    entries::insert_into(&connection, first)?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    connection.close().map_err(|(_, error)| error)?;
    // SQLite goes on without a word when it can do neither of these.
    let log = std::fs::metadata(beside(draft, WAL_SUFFIX)).map_err(io_error(draft))?;
    if log.len() != 0 {
        return Err(io_error(draft)(io::Error::other("its log was not emptied")));
    }
    check_header(draft).map(|_| ())
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
    // Whoever can write to the log writes to the vault, and whoever can lock stops everybody.
    for companion in COMPANIONS.map(|suffix| beside(path, suffix)) {
        match fs::check_private_file(&companion) {
            Err(suspicion) if suspicion.is_missing() => {}
            other => other?,
        }
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::check_private_directory(directory)?;
    fs::check_directories_above(directory)?;
    Ok(())
}

/// Makes an empty file beside the vault. Returns whether it was missing.
fn make_companion(path: &Path) -> io::Result<bool> {
    match fs::create_private_file(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |error| VaultError::Io { path, error }
}
