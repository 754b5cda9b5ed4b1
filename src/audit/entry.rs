use super::event::{Field, Kind, Outcome};
use crate::vault::entries::{StoredEntry, StoredRow, Unreadable};

/// Why a stored entry is not one that pvm writes.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    #[error("its kind is unknown")]
    Kind,
    #[error("its decision is unknown")]
    Outcome,
    #[error("its detail cannot be read")]
    Detail,
    #[error("its hash is not 32 bytes")]
    Hash,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What stands under one number of the trail.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) seq: i64,
    pub(crate) entry: Result<Entry, Malformed>,
}

impl From<StoredRow> for Record {
    fn from(row: StoredRow) -> Self {
        Self {
            seq: row.seq,
            entry: row.entry.map_err(Malformed::from).and_then(Entry::try_from),
        }
    }
}

/// An entry of the trail, read.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: i64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// Milliseconds since the machine was started.
    pub(crate) uptime: i64,
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    pub(crate) agent: String,
    pub(crate) uid: i64,
    pub(crate) pid: i64,
    pub(crate) action: Option<String>,
    detail: Vec<(Field, Vec<u8>)>,
    pub(crate) hash: [u8; 32],
}

impl TryFrom<StoredEntry> for Entry {
    type Error = Malformed;

    fn try_from(stored: StoredEntry) -> Result<Self, Malformed> {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == stored.kind);
        let outcome = Outcome::ALL
            .into_iter()
            .find(|known| known.name() == stored.decision);
        Ok(Self {
            seq: stored.seq,
            at: stored.at,
            uptime: stored.uptime,
            kind: kind.ok_or(Malformed::Kind)?,
            outcome: outcome.ok_or(Malformed::Outcome)?,
            agent: stored.agent,
            uid: stored.uid,
            pid: stored.pid,
            action: stored.action,
            detail: decode(&stored.detail).ok_or(Malformed::Detail)?,
            hash: stored.hash.try_into().map_err(|_| Malformed::Hash)?,
        })
    }
}

impl Entry {
    /// Returns the values of a field in order; most fields have one or none.
    pub(crate) fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.detail
            .iter()
            .filter(move |(known, _)| *known == field)
            .map(|(_, value)| value.as_slice())
    }

    pub(crate) fn value(&self, field: Field) -> Option<&[u8]> {
        self.values(field).next()
    }

    /// Returns the fields that the entry has, each once, in the order of their numbers.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> {
        Field::ALL
            .into_iter()
            .filter(|field| self.value(*field).is_some())
    }
}

/// Reads an encoded detail; any byte out of place makes it unreadable.
pub(crate) fn decode(detail: &[u8]) -> Option<Vec<(Field, Vec<u8>)>> {
    let mut parts = Vec::new();
    let mut rest = detail;
    while let Some((number, after)) = rest.split_first() {
        let field = Field::from_number(*number)?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, after) = after.split_at_checked(length)?;
        parts.push((field, value.to_vec()));
        rest = after;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::Event;
    use super::*;
    use crate::model::agent::{Agent, AgentName};

    fn event() -> Event {
        let agent = Agent {
            name: AgentName::default(),
            uid: 0,
            pid: 1,
        };
        Event::new(Kind::Execution, Outcome::Success, &agent)
    }

    #[test]
    fn aud_08_a_value_that_looks_like_another_field_stays_a_value() {
        let fake = b"\x0b\x00\x00\x00\x010".as_slice();
        let event = event().bytes(Field::Operand, fake).text(Field::Status, 1);
        let parts = decode(event.detail()).unwrap();
        assert_eq!(
            parts,
            [
                (Field::Operand, fake.to_vec()),
                (Field::Status, b"1".to_vec())
            ]
        );
    }

    #[test]
    fn aud_09_a_list_that_is_too_long_says_so() {
        let words: Vec<_> = (0..5000).map(|n| format!("{n:050}").into()).collect();
        let event = event().words(Field::Argv, &words);
        let parts = decode(event.detail()).unwrap();
        let kept = parts
            .iter()
            .filter(|(field, _)| *field == Field::Argv)
            .count();
        assert_eq!(kept, 64 * 1024 / 50);
        let (field, note) = parts.last().unwrap();
        assert_eq!(*field, Field::Truncated);
        assert!(note.starts_with(b"argv count=5000 bytes=250000 sha256="));
    }

    proptest! {
        #[test]
        fn aud_16_no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any_answer = decode(&bytes);
        }

        #[test]
        fn a_detail_cut_anywhere_is_unreadable_or_shorter(cut in 0_usize..40) {
            let event = event().text(Field::Reason, "because").path(Field::Cwd, "/w");
            let whole = event.detail();
            let cut = cut.min(whole.len() - 1);
            let read = decode(&whole[..cut]);
            prop_assert!(read.is_none_or(|parts| parts.len() < 2));
        }
    }
}
