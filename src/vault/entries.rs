use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Transaction, VaultError};

/// An entry of the trail as it is stored, believed in nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredEntry {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) uptime: i64,
    pub(crate) kind: String,
    pub(crate) decision: String,
    pub(crate) agent: String,
    pub(crate) uid: i64,
    pub(crate) pid: i64,
    pub(crate) action: Option<String>,
    pub(crate) detail: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl StoredEntry {
    /// Returns how many bytes its texts and blobs take.
    fn size(&self) -> usize {
        [&self.kind, &self.decision, &self.agent]
            .map(String::len)
            .iter()
            .sum::<usize>()
            + self.action.as_ref().map_or(0, String::len)
            + self.detail.len()
            + self.hash.len()
    }
}

/// Why what stands in a row is not an entry.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unreadable {
    #[error("its {0} is not of the type that pvm writes")]
    Column(&'static str),
    #[error("it is larger than {LARGEST_ENTRY} bytes")]
    TooLarge,
}

/// A row of the trail: its number, and what can be read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) seq: i64,
    pub(crate) entry: Result<StoredEntry, Unreadable>,
}

/// The most bytes that an entry has. A larger one was put in by somebody else, and reading it
/// could take all memory (AUD-16).
const LARGEST_ENTRY: u32 = 16 << 20;

/// A page ends once it has this many bytes.
const FULL_PAGE: usize = 4 << 20;

/// The columns of a row, with nothing read of a row that is too large.
const COLUMNS: &str = "seq, at, uptime, uid, pid, fits, iif(fits, kind, '') AS kind,
    iif(fits, decision, '') AS decision, iif(fits, agent, '') AS agent,
    iif(fits, action, '') AS action, iif(fits, detail, x'') AS detail, iif(fits, hash, x'') AS hash
    FROM (SELECT *, octet_length(kind) + octet_length(decision) + octet_length(agent)
        + ifnull(octet_length(action), 0) + octet_length(detail) + octet_length(hash)
        <= ?3 AS fits FROM audit)";

/// Returns the number and the hash of the last entry, or nothing for an empty trail.
pub(crate) fn last(transaction: &Transaction<'_>) -> Result<Option<(i64, Vec<u8>)>, VaultError> {
    let sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    let row = transaction
        .connection()
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row)
}

/// Returns the highest number, or nothing for an empty trail.
pub(crate) fn highest(transaction: &Transaction<'_>) -> Result<Option<i64>, VaultError> {
    let sql = "SELECT max(seq) FROM audit";
    Ok(transaction
        .connection()
        .query_row(sql, [], |row| row.get(0))?)
}

/// Appends an entry; its number must be free.
pub(crate) fn insert(transaction: &Transaction<'_>, entry: &StoredEntry) -> Result<(), VaultError> {
    insert_into(transaction.connection(), entry)
}

pub(super) fn insert_into(connection: &Connection, entry: &StoredEntry) -> Result<(), VaultError> {
    let size = entry.size();
    if u32::try_from(size).map_or(true, |size| size > LARGEST_ENTRY) {
        return Err(VaultError::EntryTooLarge {
            size,
            most: LARGEST_ENTRY,
        });
    }
    connection.execute(
        "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            entry.seq,
            entry.at,
            entry.uptime,
            entry.kind,
            entry.decision,
            entry.agent,
            entry.uid,
            entry.pid,
            entry.action,
            entry.detail,
            entry.hash,
        ],
    )?;
    Ok(())
}

/// Returns up to `most` entries after number `seq`, or from the first on, in order; fewer where they
/// are large. Nothing is left when there are none.
pub(crate) fn after(
    transaction: &Transaction<'_>,
    seq: Option<i64>,
    most: u32,
) -> Result<Vec<StoredRow>, VaultError> {
    let rest = match seq {
        Some(_) => "WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        None => "WHERE ?1 IS NULL ORDER BY seq LIMIT ?2",
    };
    page(transaction, rest, seq, most)
}

/// Returns up to `most` entries before number `seq`, the newest first; fewer where they are large.
/// Nothing is left when there are none.
pub(crate) fn before(
    transaction: &Transaction<'_>,
    seq: i64,
    most: u32,
) -> Result<Vec<StoredRow>, VaultError> {
    let rest = "WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
    page(transaction, rest, Some(seq), most)
}

fn page(
    transaction: &Transaction<'_>,
    rest: &str,
    seq: Option<i64>,
    most: u32,
) -> Result<Vec<StoredRow>, VaultError> {
    let sql = format!("SELECT {COLUMNS} {rest}");
    let mut statement = transaction.connection().prepare_cached(&sql)?;
    let mut rows = statement.query(params![seq, most, LARGEST_ENTRY])?;
    let mut page = Vec::new();
    let mut size = 0_usize;
    while size < FULL_PAGE
        && let Some(row) = rows.next()?
    {
        let read = StoredRow {
            seq: row.get("seq")?,
            entry: decode(row)?,
        };
        size += read.entry.as_ref().map_or(0, StoredEntry::size);
        page.push(read);
    }
    Ok(page)
}

/// Reads a row, of which nothing is believed but that it is one.
fn decode(row: &Row<'_>) -> rusqlite::Result<Result<StoredEntry, Unreadable>> {
    if !row.get_ref("fits")?.as_i64().is_ok_and(|fits| fits == 1) {
        return Ok(Err(Unreadable::TooLarge));
    }
    Ok(columns(row))
}

fn columns(row: &Row<'_>) -> Result<StoredEntry, Unreadable> {
    Ok(StoredEntry {
        seq: column(row, "seq")?,
        at: column(row, "at")?,
        uptime: column(row, "uptime")?,
        kind: column(row, "kind")?,
        decision: column(row, "decision")?,
        agent: column(row, "agent")?,
        uid: column(row, "uid")?,
        pid: column(row, "pid")?,
        action: column(row, "action")?,
        detail: column(row, "detail")?,
        hash: column(row, "hash")?,
    })
}

fn column<T: FromSql>(row: &Row<'_>, name: &'static str) -> Result<T, Unreadable> {
    row.get(name).map_err(|_| Unreadable::Column(name))
}
