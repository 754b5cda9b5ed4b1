use rusqlite::params;

use super::{Transaction, VaultError};
use crate::model::request::{Request, RequestState, Verdict};

/// Files a request; its state is written as it stands.
pub(crate) fn insert(transaction: &Transaction<'_>, request: &Request) -> Result<(), VaultError> {
    transaction.connection().execute(
        "INSERT INTO requests VALUES (?1, ?2, ?3, ?4, 'path', ?5, ?6, ?7, ?8, ?9)",
        params![
            request.id.as_str(),
            request
                .agent
                .as_ref()
                .map(crate::model::agent::AgentName::as_str),
            request.uid,
            request.actions.bits(),
            request.scope.as_bytes(),
            request.reason,
            request.ttl.seconds(),
            request.filed_at.0,
            request.state.name(),
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
