use std::iter::Peekable;
use std::str::FromStr;
use std::vec::IntoIter;

use super::chain::{GENESIS, Hash, link};
use super::entry::Entry;
use super::log::EntryRef;
use crate::vault::entries::{StoredEntry, StoredRow};
use crate::vault::{Vault, VaultError, entries};

/// How many entries are read in one go; between two goes writers get their turn.
const PAGE: u32 = 1000;

/// What is wrong with the first bad entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The trail has no entry at all; a vault is made with one.
    Empty,
    /// The numbers go from one to another: entries were removed, moved or put in twice.
    Gap {
        expected: i64,
    },
    /// The entry does not follow from the one before: it or that one was changed.
    BrokenLink,
    Malformed(String),
    /// An anchor knows another entry under this number, so the trail was written again.
    OtherThanAnchored,
    /// An anchor knows an entry past the end: the end was cut off.
    CutOff {
        last: i64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("the trail is empty; it was removed"),
            Self::Gap { expected } => {
                write!(
                    f,
                    "entry {expected} should stand here; entries were removed or moved"
                )
            }
            Self::BrokenLink => {
                f.write_str("it does not follow from the entry before; one of them was changed")
            }
            Self::Malformed(why) => write!(f, "it is not an entry that pvm writes: {why}"),
            Self::OtherThanAnchored => {
                f.write_str("the anchor knows another entry; the trail was written again")
            }
            Self::CutOff { last } => {
                write!(
                    f,
                    "the anchor knows it and the trail ends at {last}; the end was cut off"
                )
            }
        }
    }
}

/// A copy of the head, kept where the agent cannot reach: `SEQ HASH` in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor(pub(crate) EntryRef);

/// Why a text is not an anchor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an anchor is a line with a number and 64 hex digits, as 'pvm audit head' prints it")]
pub(crate) struct InvalidAnchor;

impl FromStr for Anchor {
    type Err = InvalidAnchor;

    fn from_str(line: &str) -> Result<Self, InvalidAnchor> {
        let (seq, hash) = line.trim().split_once(' ').ok_or(InvalidAnchor)?;
        let seq = seq.parse().map_err(|_| InvalidAnchor)?;
        let hash = data_encoding::HEXLOWER
            .decode(hash.trim().as_bytes())
            .ok()
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or(InvalidAnchor)?;
        if seq < 1 {
            return Err(InvalidAnchor);
        }
        Ok(Self(EntryRef { seq, hash }))
    }
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}",
            self.0.seq,
            data_encoding::HEXLOWER.encode(&self.0.hash)
        )
    }
}

/// What reading the whole trail came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Intact {
        head: EntryRef,
        /// The highest entry that an anchor vouches for; what comes after it could have lost its
        /// end without a trace (AUD-04).
        anchored: Option<i64>,
    },
    Broken {
        seq: i64,
        fault: Fault,
    },
}

/// The state of a reading: what came last, and what the anchors still expect.
#[derive(Debug)]
struct Check {
    last: EntryRef,
    anchored: Option<i64>,
    ahead: Peekable<IntoIter<Anchor>>,
}

impl Check {
    fn new(anchors: &[Anchor]) -> Self {
        let mut ahead = anchors.to_vec();
        ahead.sort_unstable_by_key(|anchor| anchor.0.seq);
        Self {
            last: EntryRef {
                seq: 0,
                hash: GENESIS,
            },
            anchored: None,
            ahead: ahead.into_iter().peekable(),
        }
    }

    /// Looks at the next row in order, and returns what is wrong with it.
    fn row(&mut self, row: StoredRow) -> Result<(), Fault> {
        match row.entry {
            Ok(stored) => self.next(stored),
            Err(why) => Err(Fault::Malformed(why.to_string())),
        }
    }

    fn next(&mut self, stored: StoredEntry) -> Result<(), Fault> {
        let expected = self.last.seq.saturating_add(1);
        if stored.seq != expected {
            return Err(Fault::Gap { expected });
        }
        let hash = link(&self.last.hash, &stored);
        if stored.hash != hash {
            return Err(Fault::BrokenLink);
        }
        let entry = EntryRef {
            seq: stored.seq,
            hash,
        };
        while let Some(Anchor(known)) = self.ahead.next_if(|anchor| anchor.0.seq == entry.seq) {
            if known != entry {
                return Err(Fault::OtherThanAnchored);
            }
            self.anchored = Some(known.seq);
        }
        Entry::try_from(stored).map_err(|why| Fault::Malformed(why.to_string()))?;
        self.last = entry;
        Ok(())
    }

    /// Returns the verdict when there are no more entries.
    fn finish(mut self) -> Verdict {
        let last = self.last.seq;
        if last == 0 {
            return Verdict::Broken {
                seq: 1,
                fault: Fault::Empty,
            };
        }
        match self.ahead.peek() {
            Some(Anchor(known)) => Verdict::Broken {
                seq: known.seq,
                fault: Fault::CutOff { last },
            },
            None => Verdict::Intact {
                head: self.last,
                anchored: self.anchored,
            },
        }
    }
}

/// Reads the whole trail and says whether it is intact, and if not, which entry is the first bad
/// one (AUD-03).
pub(crate) fn verify(vault: &Vault, anchors: &[Anchor]) -> Result<Verdict, VaultError> {
    let mut check = Check::new(anchors);
    let mut last = None;
    loop {
        let page = entries::after(&vault.read()?, last, PAGE)?;
        if page.is_empty() {
            return Ok(check.finish());
        }
        for row in page {
            let seq = row.seq;
            if let Err(fault) = check.row(row) {
                return Ok(Verdict::Broken { seq, fault });
            }
            last = Some(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64, previous: &Hash) -> StoredEntry {
        let mut entry = StoredEntry {
            seq,
            at: 0,
            uptime: 0,
            kind: "CONFIG".into(),
            decision: "GRANTED".into(),
            agent: "a".into(),
            uid: 0,
            pid: 0,
            action: None,
            detail: Vec::new(),
            hash: Vec::new(),
        };
        entry.hash = link(previous, &entry).to_vec();
        entry
    }

    fn trail(length: i64) -> Vec<StoredEntry> {
        let mut trail: Vec<StoredEntry> = Vec::new();
        for seq in 1..=length {
            let previous = trail
                .last()
                .map_or(GENESIS, |e| e.hash.clone().try_into().unwrap());
            trail.push(entry(seq, &previous));
        }
        trail
    }

    fn judge(trail: Vec<StoredEntry>, anchors: &[Anchor]) -> Verdict {
        let mut check = Check::new(anchors);
        for stored in trail {
            let seq = stored.seq;
            if let Err(fault) = check.next(stored) {
                return Verdict::Broken { seq, fault };
            }
        }
        check.finish()
    }

    fn anchor(entry: &StoredEntry) -> Anchor {
        Anchor(EntryRef {
            seq: entry.seq,
            hash: entry.hash.clone().try_into().unwrap(),
        })
    }

    fn broken(seq: i64, fault: Fault) -> Verdict {
        Verdict::Broken { seq, fault }
    }

    #[test]
    fn aud_03_edit_removal_reorder_and_duplicate_name_the_first_bad_entry() {
        let mut edited = trail(5);
        edited[2].agent = "b".into();
        assert_eq!(judge(edited, &[]), broken(3, Fault::BrokenLink));

        let mut removed = trail(5);
        removed.remove(2);
        assert_eq!(judge(removed, &[]), broken(4, Fault::Gap { expected: 3 }));

        let mut renumbered = trail(5);
        renumbered.remove(2);
        for entry in &mut renumbered[2..] {
            entry.seq -= 1;
        }
        assert_eq!(judge(renumbered, &[]), broken(3, Fault::BrokenLink));

        let mut swapped = trail(5);
        swapped.swap(1, 2);
        assert_eq!(judge(swapped, &[]), broken(3, Fault::Gap { expected: 2 }));

        let mut twice = trail(5);
        let copy = twice[1].clone();
        twice.insert(2, copy);
        assert_eq!(judge(twice, &[]), broken(2, Fault::Gap { expected: 3 }));
    }

    #[test]
    fn aud_04_a_cut_end_shows_against_an_anchor_and_is_not_called_anchored_without() {
        let whole = trail(5);
        let anchors = [anchor(&whole[3])];
        let intact = judge(whole.clone(), &anchors);
        assert!(matches!(
            intact,
            Verdict::Intact {
                anchored: Some(4),
                ..
            }
        ));
        let cut = judge(whole[..3].to_vec(), &anchors);
        assert_eq!(cut, broken(4, Fault::CutOff { last: 3 }));
        let unanchored = judge(whole[..3].to_vec(), &[]);
        assert!(matches!(unanchored, Verdict::Intact { anchored: None, .. }));
    }

    #[test]
    fn aud_05_a_trail_written_again_shows_against_an_anchor() {
        let anchors = [anchor(&trail(5)[3])];
        let mut first = entry(1, &GENESIS);
        first.agent = "mallory".into();
        first.hash = link(&GENESIS, &first).to_vec();
        let mut again = vec![first];
        for seq in 2..=5 {
            let previous: Hash = again.last().unwrap().hash.clone().try_into().unwrap();
            again.push(entry(seq, &previous));
        }
        assert_eq!(
            judge(again.clone(), &anchors),
            broken(4, Fault::OtherThanAnchored)
        );
        assert!(matches!(judge(again, &[]), Verdict::Intact { .. }));
    }

    #[test]
    fn v_d31_an_empty_trail_is_broken() {
        assert_eq!(judge(Vec::new(), &[]), broken(1, Fault::Empty));
    }

    #[test]
    fn an_anchor_reads_back() {
        let anchor = anchor(&trail(1)[0]);
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        for text in ["", "1", "x y", "0 00", &format!("0 {}", "a".repeat(64))] {
            assert_eq!(text.parse::<Anchor>(), Err(InvalidAnchor), "{text:?}");
        }
    }
}
