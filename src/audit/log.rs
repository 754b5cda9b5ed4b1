use super::chain::{GENESIS, Hash, link};
use super::daily::DailyLog;
use super::event::Event;
use crate::model::time::Moment;
use crate::vault::entries::{self, StoredEntry};
use crate::vault::{Transaction, Vault, VaultError};

/// Where an entry stands in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryRef {
    pub(crate) seq: i64,
    pub(crate) hash: Hash,
}

/// Proof that an entry is in the trail, durably, together with what it records.
///
/// Only [`Writing::commit`] makes it.
#[derive(Debug)]
pub(crate) struct Recorded<T> {
    value: T,
    entry: EntryRef,
}

impl<T> Recorded<T> {
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    pub(crate) fn entry(&self) -> EntryRef {
        self.entry
    }
}

/// A transaction that appends to the trail; what it changes and what it records become durable
/// together or not at all.
#[derive(Debug)]
pub(crate) struct Writing<'v> {
    transaction: Transaction<'v>,
    last: EntryRef,
    log: &'v DailyLog,
    /// What goes into the log after the commit.
    appended: Vec<StoredEntry>,
}

/// Begins a transaction at the end of the trail; what it appends goes into the log as well.
pub(crate) fn begin<'v>(vault: &'v Vault, log: &'v DailyLog) -> Result<Writing<'v>, VaultError> {
    let transaction = vault.begin()?;
    let last = last(&transaction)?;
    // A vault is made with its first entry. Going on here would heal what somebody did.
    if last.seq == 0 {
        return Err(VaultError::EmptyTrail);
    }
    Ok(Writing {
        transaction,
        last,
        log,
        appended: Vec::new(),
    })
}

/// Returns the last entry, or number 0 and the genesis hash for an empty trail.
pub(crate) fn head(transaction: &Transaction<'_>) -> Result<EntryRef, VaultError> {
    last(transaction)
}

fn last(transaction: &Transaction<'_>) -> Result<EntryRef, VaultError> {
    let Some((seq, hash)) = entries::last(transaction)? else {
        return Ok(EntryRef {
            seq: 0,
            hash: GENESIS,
        });
    };
    let hash = hash
        .try_into()
        .map_err(|_| VaultError::StrangeValue("the hash of the last entry".to_owned()))?;
    Ok(EntryRef { seq, hash })
}

/// Returns the first entry of a new trail.
pub(crate) fn first(event: &Event, now: &Moment) -> StoredEntry {
    let (seq, hash) = (1, GENESIS);
    next(EntryRef { seq, hash }, event, now).0
}

/// Returns an entry with the number in `at` that follows the hash in it, and its own hash.
fn next(at: EntryRef, event: &Event, now: &Moment) -> (StoredEntry, Hash) {
    let mut entry = StoredEntry {
        seq: at.seq,
        at: now.wall.0,
        uptime: now.uptime.milliseconds,
        kind: event.kind.name().to_owned(),
        decision: event.outcome.name().to_owned(),
        agent: event.agent.name.as_str().to_owned(),
        uid: event.agent.uid.into(),
        pid: event.agent.pid.into(),
        action: event.action.map(|action| action.name().to_owned()),
        detail: event.detail().to_vec(),
        hash: Vec::new(),
    };
    let hash = link(&at.hash, &entry);
    entry.hash = hash.to_vec();
    (entry, hash)
}

impl<'v> Writing<'v> {
    pub(crate) fn transaction(&self) -> &Transaction<'v> {
        &self.transaction
    }

    /// Returns the last entry that this transaction appended.
    pub(crate) fn appended(&self) -> Option<EntryRef> {
        (!self.appended.is_empty()).then_some(self.last)
    }

    /// Appends an entry.
    pub(crate) fn append(&mut self, event: &Event, now: &Moment) -> Result<EntryRef, VaultError> {
        let seq =
            self.last.seq.checked_add(1).ok_or_else(|| {
                VaultError::StrangeValue("the number of the last entry".to_owned())
            })?;
        let (entry, hash) = next(EntryRef { seq, ..self.last }, event, now);
        entries::insert(&self.transaction, &entry)?;
        self.last = EntryRef { seq, hash };
        self.appended.push(entry);
        Ok(self.last)
    }

    /// Makes the transaction durable, and `value` recorded under `entry`.
    pub(crate) fn commit<T>(self, entry: EntryRef, value: T) -> Result<Recorded<T>, VaultError> {
        self.transaction.commit()?;
        self.log.write(self.appended);
        Ok(Recorded { value, entry })
    }
}
