use sha2::{Digest, Sha256};

use crate::vault::entries::StoredEntry;

/// What separates these hashes from any other SHA-256; the number is the version of the format.
const DOMAIN: &[u8] = b"pvm audit entry v1";

/// A link of the chain.
pub(crate) type Hash = [u8; 32];

/// What the first entry links to.
pub(crate) const GENESIS: Hash = [0; 32];

/// Returns SHA-256 over the domain, the hash of the entry before, and every field of the entry
/// except its own hash, each with its length in eight bytes before it; an absent field is the
/// length 2^64-1 and nothing.
pub(crate) fn link(previous: &Hash, entry: &StoredEntry) -> Hash {
    let mut digest = Sha256::new();
    let mut field = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    field(DOMAIN);
    field(previous);
    field(&entry.seq.to_be_bytes());
    field(&entry.at.to_be_bytes());
    field(&entry.uptime.to_be_bytes());
    field(entry.kind.as_bytes());
    field(entry.decision.as_bytes());
    field(entry.agent.as_bytes());
    field(&entry.uid.to_be_bytes());
    field(&entry.pid.to_be_bytes());
    match &entry.action {
        Some(action) => field(action.as_bytes()),
        None => digest.update(u64::MAX.to_be_bytes()),
    }
    let mut field = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    field(&entry.detail);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> StoredEntry {
        StoredEntry {
            seq: 1,
            at: 2,
            uptime: 3,
            kind: "EXECUTION".into(),
            decision: "SUCCESS".into(),
            agent: "a".into(),
            uid: 4,
            pid: 5,
            action: Some("rm".into()),
            detail: vec![1, 2, 3],
            hash: Vec::new(),
        }
    }

    #[test]
    fn every_field_and_the_link_before_change_the_hash() {
        let base = link(&GENESIS, &entry());
        let changed = [
            StoredEntry { seq: 2, ..entry() },
            StoredEntry { at: 3, ..entry() },
            StoredEntry {
                uptime: 4,
                ..entry()
            },
            StoredEntry {
                kind: "EXPIRY".into(),
                ..entry()
            },
            StoredEntry {
                decision: "FAILED".into(),
                ..entry()
            },
            StoredEntry {
                agent: "b".into(),
                ..entry()
            },
            StoredEntry { uid: 5, ..entry() },
            StoredEntry { pid: 6, ..entry() },
            StoredEntry {
                action: None,
                ..entry()
            },
            StoredEntry {
                detail: vec![1, 2],
                ..entry()
            },
        ];
        for entry in changed {
            assert_ne!(link(&GENESIS, &entry), base, "{entry:?}");
        }
        assert_ne!(link(&[1; 32], &entry()), base);
    }

    #[test]
    fn v_d31_bytes_cannot_move_between_neighbours() {
        let one = StoredEntry {
            kind: "AB".into(),
            decision: "C".into(),
            ..entry()
        };
        let two = StoredEntry {
            kind: "A".into(),
            decision: "BC".into(),
            ..entry()
        };
        assert_ne!(link(&GENESIS, &one), link(&GENESIS, &two));
        let none = StoredEntry {
            action: None,
            ..entry()
        };
        let empty = StoredEntry {
            action: Some(String::new()),
            ..entry()
        };
        assert_ne!(link(&GENESIS, &none), link(&GENESIS, &empty));
    }

    #[test]
    fn the_format_does_not_change_by_accident() {
        let hex = data_encoding::HEXLOWER.encode(&link(&GENESIS, &entry()));
        assert_eq!(
            hex,
            "9590a83021565fdcea6d4c167becdd941abe1b8660a610210d5e91d5b3634b96"
        );
    }
}
