use rusqlite::{OptionalExtension, Row, params};

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

const COLUMNS: &str = "seq, at, uptime, kind, decision, agent, uid, pid, action, detail, hash";

/// Returns the number and the hash of the last entry, or nothing for an empty trail.
pub(crate) fn last(transaction: &Transaction<'_>) -> Result<Option<(i64, Vec<u8>)>, VaultError> {
    let sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    let row = transaction
        .connection()
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row)
}

/// Appends an entry; its number must be free.
pub(crate) fn insert(transaction: &Transaction<'_>, entry: &StoredEntry) -> Result<(), VaultError> {
    transaction.connection().execute(
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

/// Returns up to `most` entries after number `seq`, in order.
pub(crate) fn after(
    transaction: &Transaction<'_>,
    seq: i64,
    most: u32,
) -> Result<Vec<StoredEntry>, VaultError> {
    page(
        transaction,
        "WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        seq,
        most,
    )
}

/// Returns up to `most` entries before number `seq`, the newest first.
pub(crate) fn before(
    transaction: &Transaction<'_>,
    seq: i64,
    most: u32,
) -> Result<Vec<StoredEntry>, VaultError> {
    page(
        transaction,
        "WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
        seq,
        most,
    )
}

fn page(
    transaction: &Transaction<'_>,
    rest: &str,
    seq: i64,
    most: u32,
) -> Result<Vec<StoredEntry>, VaultError> {
    let sql = format!("SELECT {COLUMNS} FROM audit {rest}");
    let mut statement = transaction.connection().prepare_cached(&sql)?;
    let entries = statement.query_map(params![seq, most], decode)?;
    Ok(entries.collect::<Result<_, _>>()?)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    Ok(StoredEntry {
        seq: row.get("seq")?,
        at: row.get("at")?,
        uptime: row.get("uptime")?,
        kind: row.get("kind")?,
        decision: row.get("decision")?,
        agent: row.get("agent")?,
        uid: row.get("uid")?,
        pid: row.get("pid")?,
        action: row.get("action")?,
        detail: row.get("detail")?,
        hash: row.get("hash")?,
    })
}
