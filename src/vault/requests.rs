use rusqlite::{Row, ToSql, params};

use super::{Transaction, VaultError};
use crate::model::agent::AgentName;
use crate::model::grant::Window;
use crate::model::id::Id;
use crate::model::request::{Request, RequestState, Verdict};
use crate::model::scope::Scope;
use crate::model::time::{Timestamp, Uptime};

/// A request as far as those who wait for it have to know it.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: Id,
    pub(crate) scope: Scope,
    pub(crate) state: RequestState,
    /// In which it can be decided.
    pub(crate) window: Window,
}

/// Files a request; its state is written as it stands.
pub(crate) fn insert(transaction: &Transaction<'_>, request: &Request) -> Result<(), VaultError> {
    transaction.connection().execute(
        "INSERT INTO requests VALUES (?1, ?2, ?3, ?4, ?10, ?5, ?6, ?7, ?8, ?9)",
        params![
            request.id.as_str(),
            request.agent.as_ref().map(AgentName::as_str),
            request.uid,
            request.actions.bits(),
            request.scope.as_bytes(),
            request.reason,
            request.ttl.seconds(),
            request.filed_at.0,
            request.state.name(),
            request.scope.kind(),
        ],
    )?;
    Ok(())
}

/// Writes a verdict and ends the request that it is for, if that is still pending.
///
/// Returns whether it was.
pub(crate) fn decide(
    transaction: &Transaction<'_>,
    verdict: &Verdict,
    approver: &str,
) -> Result<bool, VaultError> {
    let (decision, state) = if verdict.approved {
        ("approve", RequestState::Approved)
    } else {
        ("deny", RequestState::Denied)
    };
    let changed = transaction.connection().execute(
        "UPDATE requests SET state = ?2 WHERE id = ?1 AND state = 'pending'",
        params![verdict.request.as_str(), state.name()],
    )?;
    if changed == 1 {
        transaction.connection().execute(
            "INSERT INTO verdicts VALUES (?1, ?2, ?3, ?4)",
            params![verdict.request.as_str(), decision, approver, verdict.at.0],
        )?;
    }
    Ok(changed == 1)
}

/// Notes which operation a request is for, and in which window it can be decided.
pub(crate) fn bind(
    transaction: &Transaction<'_>,
    id: &Id,
    operation: &[u8; 32],
    window: &Window,
) -> Result<(), VaultError> {
    transaction.connection().execute(
        "INSERT INTO request_keys VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id.as_str(),
            operation,
            window.expires_at.0,
            window.deadline.boot,
            window.deadline.milliseconds,
        ],
    )?;
    Ok(())
}

const WAITING: &str = "SELECT id, scope_type, scope, state, filed_at, expires_at, boot, boot_deadline FROM requests \
     JOIN request_keys ON request = id";

/// Returns the pending requests of an agent for one operation; those that ended unnoticed are among
/// them.
pub(crate) fn pending_for(
    transaction: &Transaction<'_>,
    operation: &[u8; 32],
    agent: &AgentName,
    uid: u32,
) -> Result<Vec<Waiting>, VaultError> {
    select(
        transaction,
        "operation = ?1 AND agent = ?2 AND uid = ?3 AND state = 'pending'",
        params![operation, agent.as_str(), uid],
    )
}

/// Returns the pending requests of a user that can end undecided.
pub(crate) fn pending_of(
    transaction: &Transaction<'_>,
    uid: u32,
) -> Result<Vec<Waiting>, VaultError> {
    select(transaction, "uid = ?1 AND state = 'pending'", params![uid])
}

/// Returns a request that somebody can wait for, if there is one with this id.
pub(crate) fn waiting(
    transaction: &Transaction<'_>,
    id: &Id,
) -> Result<Option<Waiting>, VaultError> {
    Ok(select(transaction, "id = ?1", params![id.as_str()])?.pop())
}

fn select(
    transaction: &Transaction<'_>,
    condition: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Waiting>, VaultError> {
    let sql = format!("{WAITING} WHERE {condition}");
    let mut statement = transaction.connection().prepare_cached(&sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row)?);
    }
    Ok(found)
}

/// Ends a request that nobody decided.
///
/// Returns whether it was pending.
pub(crate) fn expire(transaction: &Transaction<'_>, id: &Id) -> Result<bool, VaultError> {
    let changed = transaction.connection().execute(
        "UPDATE requests SET state = ?2 WHERE id = ?1 AND state = 'pending'",
        params![id.as_str(), RequestState::Expired.name()],
    )?;
    Ok(changed == 1)
}

/// Reads a row and believes nothing of it that pvm could not have written (DB-16).
fn decode(row: &Row<'_>) -> Result<Waiting, VaultError> {
    let strange = |what: &str| VaultError::StrangeValue(format!("{what} of a request"));
    let filed_at = Timestamp(row.get("filed_at")?);
    Ok(Waiting {
        id: Id::parse(&row.get::<_, String>("id")?).map_err(|_| strange("the id"))?,
        scope: Scope::from_stored(&row.get::<_, String>("scope_type")?, row.get("scope")?)
            .ok_or_else(|| strange("the scope"))?,
        state: RequestState::from_name(&row.get::<_, String>("state")?)
            .ok_or_else(|| strange("the state"))?,
        window: Window {
            issued_at: filed_at,
            not_before: filed_at,
            expires_at: Timestamp(row.get("expires_at")?),
            deadline: Uptime {
                boot: row.get("boot")?,
                milliseconds: row.get("boot_deadline")?,
            },
        },
    })
}
