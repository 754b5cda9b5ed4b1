//! The trail in pages. Each page is a transaction of its own, so that writers never wait for a
//! long reading; entries are only ever appended, so the pages fit together.

use super::entry::Record;
use crate::vault::entries::{self, StoredRow};
use crate::vault::{Vault, VaultError};

const PAGE: u32 = 1000;

/// Returns the next entries after number `seq`, or from the first on, in order; none when there are
/// no more.
pub(crate) fn after(vault: &Vault, seq: Option<i64>) -> Result<Vec<Record>, VaultError> {
    let page = entries::after(&vault.read()?, seq, PAGE)?;
    in_order(page, seq, |before, next| before < next)
}

/// Returns the next entries before number `seq`, the newest first; none when there are no more.
pub(crate) fn before(vault: &Vault, seq: i64) -> Result<Vec<Record>, VaultError> {
    let page = entries::before(&vault.read()?, seq, PAGE)?;
    in_order(page, Some(seq), |before, next| before > next)
}

/// Returns what stands under a number.
pub(crate) fn one(vault: &Vault, seq: i64) -> Result<Option<Record>, VaultError> {
    let page = entries::after(&vault.read()?, seq.checked_sub(1), 1)?;
    Ok(page
        .into_iter()
        .find(|row| row.seq == seq)
        .map(Record::from))
}

/// Returns the highest number, or 0 for an empty trail.
pub(crate) fn highest(vault: &Vault) -> Result<i64, VaultError> {
    Ok(entries::highest(&vault.read()?)?.unwrap_or(0))
}

/// In a file that somebody tampered with the numbers may go in a circle, and a reading would
/// never end (AUD-16).
fn in_order(
    page: Vec<StoredRow>,
    start: Option<i64>,
    follows: fn(i64, i64) -> bool,
) -> Result<Vec<Record>, VaultError> {
    let mut last = start;
    for row in &page {
        if let Some(last) = last
            && !follows(last, row.seq)
        {
            return Err(VaultError::StrangeValue(format!(
                "entry {} after {last}",
                row.seq
            )));
        }
        last = Some(row.seq);
    }
    Ok(page.into_iter().map(Record::from).collect())
}
