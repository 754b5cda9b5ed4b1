use rusqlite::Connection;

use super::VaultError;

/// What makes the file a vault: "pvm1" as a number (`PRAGMA application_id`).
const APPLICATION: i64 = 0x7076_6d31;

/// Every step that a vault went through, the oldest first. Steps are appended, never changed.
const MIGRATIONS: [&[&str]; 2] = [
    &[REQUESTS, VERDICTS, GRANTS, GRANTS_LIVE, AUDIT],
    &[BINDINGS, REQUEST_KEYS, REQUEST_KEYS_OPERATION],
];

const REQUESTS: &str = "CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    agent TEXT,
    uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),
    actions INTEGER NOT NULL CHECK (actions > 0),
    scope_type TEXT NOT NULL CHECK (scope_type IN ('path', 'repository')),
    scope BLOB NOT NULL CHECK (length(scope) > 0),
    reason TEXT NOT NULL,
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    filed_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled'))
) STRICT, WITHOUT ROWID";

const VERDICTS: &str = "CREATE TABLE verdicts (
    request TEXT NOT NULL PRIMARY KEY REFERENCES requests (id),
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    approver TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

const GRANTS: &str = "CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL UNIQUE REFERENCES requests (id),
    agent TEXT,
    uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),
    actions INTEGER NOT NULL CHECK (actions > 0),
    scope_type TEXT NOT NULL CHECK (scope_type IN ('path', 'repository')),
    scope BLOB NOT NULL CHECK (length(scope) > 0),
    pin BLOB CHECK (length(pin) = 24),
    reason TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL CHECK (not_before >= issued_at),
    expires_at INTEGER NOT NULL CHECK (expires_at > not_before),
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    boot_deadline INTEGER NOT NULL,
    uses_left INTEGER CHECK (uses_left >= 0),
    approved_by TEXT NOT NULL,
    ended_at INTEGER,
    ended_by TEXT CHECK (ended_by IN ('revoked', 'expired')),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
) STRICT, WITHOUT ROWID";

/// Grants are looked up by each ancestor of a path; ended ones cost nothing.
const GRANTS_LIVE: &str =
    "CREATE INDEX grants_live ON grants (scope, expires_at) WHERE ended_at IS NULL";

const AUDIT: &str = "CREATE TABLE audit (
    seq INTEGER PRIMARY KEY CHECK (seq > 0),
    at INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    kind TEXT NOT NULL,
    decision TEXT NOT NULL,
    agent TEXT NOT NULL,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    action TEXT,
    detail BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT";

/// A grant for exactly one operation, by that operation's key.
const BINDINGS: &str = "CREATE TABLE bindings (
    grant_id TEXT NOT NULL PRIMARY KEY REFERENCES grants (id),
    operation BLOB NOT NULL CHECK (length(operation) = 32)
) STRICT, WITHOUT ROWID";

/// A request for exactly one operation, by that operation's key, and when it ends undecided.
const REQUEST_KEYS: &str = "CREATE TABLE request_keys (
    request TEXT NOT NULL PRIMARY KEY REFERENCES requests (id),
    operation BLOB NOT NULL CHECK (length(operation) = 32),
    expires_at INTEGER NOT NULL,
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    boot_deadline INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// An attempt that is made again joins the request that waits for it.
const REQUEST_KEYS_OPERATION: &str =
    "CREATE INDEX request_keys_operation ON request_keys (operation)";

#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
const VERSION: i64 = MIGRATIONS.len() as i64;

/// How the version of a vault stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Current,
    /// Made by an older pvm; [`upgrade`] brings it up to date.
    Older,
}

/// Makes the schema in an empty database, in one transaction (DB-14).
pub(super) fn create(connection: &Connection) -> Result<(), VaultError> {
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    apply(connection, 0)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    check(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// Takes a vault of an older pvm through the steps that it lacks, in one transaction (DB-14). The
/// schema that it has must be the one that the older pvm made.
pub(super) fn upgrade(connection: &Connection) -> Result<(), VaultError> {
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    // Somebody may have done it, and died before it reached the header of the file.
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(found)
        .ok()
        .filter(|done| *done > 0)
        .ok_or_else(|| VaultError::StrangeSchema("it is not finished".to_owned()))?;
    if done < MIGRATIONS.len() {
        compare(connection, MIGRATIONS.get(..done).unwrap_or_default())?;
        apply(connection, done)?;
    }
    check(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

fn apply(connection: &Connection, done: usize) -> Result<(), VaultError> {
    for statement in MIGRATIONS.iter().skip(done).copied().flatten() {
        connection.execute_batch(statement)?;
    }
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// Checks the numbers that the file's header has for the version and for whose file it is
/// (DB-13).
pub(super) fn check_numbers(version: u32, application: u32) -> Result<Age, VaultError> {
    let (found, application) = (i64::from(version), i64::from(application));
    if application != APPLICATION {
        return Err(VaultError::StrangeSchema("it is not pvm's".to_owned()));
    }
    if found > VERSION {
        return Err(VaultError::NewerSchema {
            found,
            known: VERSION,
        });
    }
    match found {
        0 => Err(VaultError::StrangeSchema("it is not finished".to_owned())),
        _ if found < VERSION => Ok(Age::Older),
        _ => Ok(Age::Current),
    }
}

/// Checks that the schema is word for word the one that pvm made: a trigger or a view that
/// somebody smuggled in would act inside pvm's own transactions (DB-15).
pub(super) fn check(connection: &Connection) -> Result<(), VaultError> {
    compare(connection, &MIGRATIONS)
}

fn compare(connection: &Connection, steps: &[&[&str]]) -> Result<(), VaultError> {
    match first_difference(connection, steps)? {
        None => Ok(()),
        Some(strange) => Err(VaultError::StrangeSchema(strange)),
    }
}

fn first_difference(
    connection: &Connection,
    steps: &[&[&str]],
) -> Result<Option<String>, VaultError> {
    let mut expected = steps.iter().copied().flatten();
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sql = row.get_ref(0)?.as_str().unwrap_or_default();
        if expected.next().is_none_or(|known| *known != sql) {
            return Ok(Some(sql.chars().take(60).collect()));
        }
    }
    Ok(expected
        .next()
        .map(|missing| format!("it lacks {missing:.40}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        create(&connection).unwrap();
        connection
    }

    #[test]
    fn the_schema_that_was_made_is_the_one_expected() {
        check(&made()).unwrap();
    }

    #[test]
    fn db_14_an_older_vault_is_brought_up_to_date_once() {
        let older = Connection::open_in_memory().unwrap();
        for statement in MIGRATIONS[0] {
            older.execute_batch(statement).unwrap();
        }
        older.pragma_update(None, "user_version", 1).unwrap();
        assert!(check(&older).is_err());
        upgrade(&older).unwrap();
        check(&older).unwrap();
        upgrade(&older).unwrap();
    }

    #[test]
    fn db_15_an_older_vault_with_something_smuggled_in_is_not_upgraded() {
        let older = Connection::open_in_memory().unwrap();
        for statement in MIGRATIONS[0] {
            older.execute_batch(statement).unwrap();
        }
        older.pragma_update(None, "user_version", 1).unwrap();
        older.execute_batch("CREATE VIEW v AS SELECT 1").unwrap();
        assert!(matches!(upgrade(&older), Err(VaultError::StrangeSchema(_))));
    }

    #[test]
    fn db_13_a_newer_schema_is_refused() {
        let number = |number: i64| u32::try_from(number).unwrap();
        let (version, application) = (number(VERSION), number(APPLICATION));
        assert_eq!(check_numbers(version, application).unwrap(), Age::Current);
        assert_eq!(check_numbers(1, application).unwrap(), Age::Older);
        assert!(check_numbers(0, application).is_err());
        let error = check_numbers(version + 1, application).unwrap_err();
        assert!(matches!(error, VaultError::NewerSchema { found, .. } if found == VERSION + 1));
        assert!(check_numbers(version, 0).is_err());
    }

    #[test]
    fn db_15_a_trigger_a_view_and_another_index_are_refused() {
        for smuggled in [
            "CREATE TRIGGER t AFTER UPDATE ON grants BEGIN UPDATE grants SET uses_left = 9; END",
            "CREATE VIEW v AS SELECT 1",
            "CREATE INDEX i ON audit (at)",
        ] {
            let connection = made();
            connection.execute_batch(smuggled).unwrap();
            assert!(
                matches!(check(&connection), Err(VaultError::StrangeSchema(_))),
                "{smuggled}"
            );
        }
    }

    #[test]
    fn db_16_a_value_of_the_wrong_type_is_refused_by_the_table() {
        let connection = made();
        let insert = "INSERT INTO requests VALUES ('a', NULL, 0, 1, 'path', x'2f61', '', 'never', 0, 'pending')";
        assert!(connection.execute_batch(insert).is_err());
        assert!(
            connection
                .execute_batch(&insert.replace("'never'", "60"))
                .is_ok()
        );
    }

    #[test]
    fn an_empty_database_is_no_vault() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(matches!(
            check(&connection),
            Err(VaultError::StrangeSchema(_))
        ));
    }
}
