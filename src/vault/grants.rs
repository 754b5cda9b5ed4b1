use rusqlite::{Row, ToSql, params};

use super::{Transaction, VaultError};
use crate::model::action::ActionSet;
use crate::model::agent::AgentName;
use crate::model::grant::{Ending, Grant, Pin, Window};
use crate::model::id::Id;
use crate::model::request::Approved;
use crate::model::scope::Scope;
use crate::model::time::{Moment, Timestamp, Uptime};

const COLUMNS: &str = "id, request, agent, uid, actions, scope_type, scope, pin, operation, reason, \
     issued_at, not_before, expires_at, boot, boot_deadline, uses_left, approved_by, ended_at, \
     ended_by";

/// Makes the grant that an approval is for, and returns it.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    id: Id,
    approved: Approved,
    now: &Moment,
) -> Result<Grant, VaultError> {
    let grant = Grant::issue(id, approved, now)
        .ok_or_else(|| VaultError::StrangeValue("a window past the end of time".to_owned()))?;
    let window = &grant.window;
    transaction.connection().execute(
        "INSERT INTO grants (id, request, agent, uid, actions, scope_type, scope, pin, reason, \
         issued_at, not_before, expires_at, boot, boot_deadline, uses_left, approved_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?16, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            grant.id.as_str(),
            grant.request.as_str(),
            grant.agent.as_ref().map(AgentName::as_str),
            grant.uid,
            grant.actions.bits(),
            grant.scope.as_bytes(),
            grant.pin.map(encode_pin),
            grant.reason,
            window.issued_at.0,
            window.not_before.0,
            window.expires_at.0,
            window.deadline.boot,
            window.deadline.milliseconds,
            grant.uses_left,
            grant.approved_by,
            grant.scope.kind(),
        ],
    )?;
    if let Some(operation) = grant.operation {
        transaction.connection().execute(
            "INSERT INTO bindings VALUES (?1, ?2)",
            params![grant.id.as_str(), operation],
        )?;
    }
    Ok(grant)
}

/// Returns the grants on exactly this scope that did not end, those that last longest first.
/// Expired ones that nobody noticed yet are among them.
pub(crate) fn on_scope(
    transaction: &Transaction<'_>,
    scope: &Scope,
) -> Result<Vec<Grant>, VaultError> {
    select(
        transaction,
        "WHERE scope = ?1 AND scope_type = ?2 AND ended_at IS NULL ORDER BY expires_at DESC",
        &[&scope.as_bytes(), &scope.kind()],
    )
}

/// Returns every grant that did not end, the newest first.
pub(crate) fn unended(transaction: &Transaction<'_>) -> Result<Vec<Grant>, VaultError> {
    select(
        transaction,
        "WHERE ended_at IS NULL ORDER BY issued_at DESC, id",
        &[],
    )
}

/// Returns the grants whose id begins like this.
pub(crate) fn with_prefix(
    transaction: &Transaction<'_>,
    prefix: &str,
) -> Result<Vec<Grant>, VaultError> {
    select(
        transaction,
        // Ids are of a-z and 2-7, and '{' is what comes after 'z'.
        "WHERE id >= ?1 AND id < ?1 || '{' LIMIT 10",
        &[&prefix],
    )
}

/// Takes one use, if there is one left and the grant did not end (TIME-12).
///
/// Returns whether the grant could be used.
pub(crate) fn consume(transaction: &Transaction<'_>, id: &Id) -> Result<bool, VaultError> {
    let changed = transaction.connection().execute(
        "UPDATE grants SET uses_left = uses_left - 1 \
         WHERE id = ?1 AND uses_left > 0 AND ended_at IS NULL",
        [id.as_str()],
    )?;
    Ok(changed == 1)
}

/// Gives a use back that was taken for a command that did not start.
pub(crate) fn refund(transaction: &Transaction<'_>, id: &Id) -> Result<(), VaultError> {
    transaction.connection().execute(
        "UPDATE grants SET uses_left = uses_left + 1 WHERE id = ?1 AND uses_left IS NOT NULL",
        [id.as_str()],
    )?;
    Ok(())
}

/// Ends a grant for good, unless it ended before.
///
/// Returns whether this call ended it.
pub(crate) fn end(
    transaction: &Transaction<'_>,
    id: &Id,
    ending: Ending,
    at: Timestamp,
) -> Result<bool, VaultError> {
    let changed = transaction.connection().execute(
        "UPDATE grants SET ended_at = ?2, ended_by = ?3 WHERE id = ?1 AND ended_at IS NULL",
        params![id.as_str(), at.0, ending_name(ending)],
    )?;
    Ok(changed == 1)
}

fn select(
    transaction: &Transaction<'_>,
    rest: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Grant>, VaultError> {
    let sql = format!("SELECT {COLUMNS} FROM grants LEFT JOIN bindings ON grant_id = id {rest}");
    let mut statement = transaction.connection().prepare_cached(&sql)?;
    let mut rows = statement.query(parameters)?;
    let mut grants = Vec::new();
    while let Some(row) = rows.next()? {
        grants.push(decode(row)?);
    }
    Ok(grants)
}

/// Reads a row and believes nothing of it that pvm could not have written (DB-16).
fn decode(row: &Row<'_>) -> Result<Grant, VaultError> {
    let strange = |what: &str| VaultError::StrangeValue(format!("{what} of a grant"));
    let id = |column: &str| -> Result<Id, VaultError> {
        Id::parse(&row.get::<_, String>(column)?).map_err(|_| strange(column))
    };
    let agent: Option<String> = row.get("agent")?;
    let agent = agent.map(|name| AgentName::parse(&name)).transpose();
    let pin: Option<Vec<u8>> = row.get("pin")?;
    let ended_at: Option<i64> = row.get("ended_at")?;
    let ended_by: Option<String> = row.get("ended_by")?;
    Ok(Grant {
        id: id("id")?,
        request: id("request")?,
        agent: agent.map_err(|_| strange("the agent"))?,
        uid: row.get("uid")?,
        actions: ActionSet::from_bits(row.get("actions")?).ok_or_else(|| strange("the actions"))?,
        scope: Scope::from_stored(&row.get::<_, String>("scope_type")?, row.get("scope")?)
            .ok_or_else(|| strange("the scope"))?,
        pin: pin
            .map(|bytes| decode_pin(&bytes).ok_or_else(|| strange("the pin")))
            .transpose()?,
        operation: row.get("operation")?,
        reason: row.get("reason")?,
        window: Window {
            issued_at: Timestamp(row.get("issued_at")?),
            not_before: Timestamp(row.get("not_before")?),
            expires_at: Timestamp(row.get("expires_at")?),
            deadline: Uptime {
                boot: row.get("boot")?,
                milliseconds: row.get("boot_deadline")?,
            },
        },
        uses_left: row.get("uses_left")?,
        approved_by: row.get("approved_by")?,
        ended: match (ended_at, ended_by.as_deref()) {
            (None, None) => None,
            (Some(at), Some("revoked")) => Some((Ending::Revoked, Timestamp(at))),
            (Some(at), Some("expired")) => Some((Ending::Expired, Timestamp(at))),
            _ => return Err(strange("the ending")),
        },
    })
}

const fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Revoked => "revoked",
        Ending::Expired => "expired",
    }
}

fn encode_pin(pin: Pin) -> [u8; 24] {
    let mut bytes = [0; 24];
    let words = [
        pin.device.to_be_bytes(),
        pin.inode.to_be_bytes(),
        pin.born.to_be_bytes(),
    ];
    for (slot, byte) in bytes.iter_mut().zip(words.into_iter().flatten()) {
        *slot = byte;
    }
    bytes
}

fn decode_pin(bytes: &[u8]) -> Option<Pin> {
    let (words, rest) = bytes.as_chunks::<8>();
    match (words, rest) {
        ([device, inode, born], []) => Some(Pin {
            device: u64::from_be_bytes(*device),
            inode: u64::from_be_bytes(*inode),
            born: i64::from_be_bytes(*born),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back() {
        let pin = Pin {
            device: 1,
            inode: u64::MAX,
            born: -5,
        };
        assert_eq!(decode_pin(&encode_pin(pin)), Some(pin));
        assert_eq!(decode_pin(&[0; 23]), None);
    }
}
