//! The vault's change counter: how a process that lives on sees, without opening the vault, that
//! something was committed.
//!
//! It stands at the beginning of the lock file and is raised by whoever has the turn, before each
//! commit. So it is exact where times and sizes are not: two commits can fall into one tick of the
//! clock that the kernel stamps files with, and leave files of the same size behind.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{Vault, VaultError, WAL_SUFFIX, beside, io_error};
use crate::sys::stamp::{self, Content, Held};

/// The files of a vault, held to look at again and again. Whether others take their places, is
/// for somebody else to see.
#[derive(Debug)]
pub(crate) struct Watch {
    vault: Held,
    log: Held,
    lock: File,
}

/// What tells one state of the vault from every other. Besides the counter it has the times and
/// sizes of the files, because a vault can be changed without pvm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VaultState {
    counter: u64,
    vault: Content,
    log: Content,
}

impl Vault {
    /// Returns what is needed to look at the change counter.
    pub(crate) fn watch(&self) -> Result<Watch, VaultError> {
        let lock = self.lock_file()?;
        self.make_log()?;
        let hold = |path: &Path| Held::new(path).map_err(io_error(path));
        Ok(Watch {
            vault: hold(&self.path)?,
            log: hold(&beside(&self.path, WAL_SUFFIX))?,
            lock,
        })
    }
}

impl Watch {
    /// Returns the state of the vault now. What was decided in one's turn holds for as long as this
    /// returns what it returned in that turn, clocks aside.
    pub(crate) fn look(&self) -> io::Result<VaultState> {
        Ok(VaultState {
            counter: stamp::number(&self.lock)?,
            vault: self.vault.content()?,
            log: self.log.content()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::audit;
    use crate::audit::daily::DailyLog;
    use crate::audit::event::{Event, Field, Kind, Outcome};
    use crate::model::agent::{Agent, AgentName};
    use crate::sys::clock;
    use crate::vault::Use;

    fn event(note: &str) -> Event {
        let agent = Agent {
            name: AgentName::default(),
            uid: 1,
            pid: 1,
        };
        Event::new(Kind::Config, Outcome::Granted, &agent).text(Field::Note, note)
    }

    fn made(directory: &Path) -> Vault {
        let path = directory.join("state/vault.db");
        let first = audit::first(&event("first"), &clock::now().unwrap());
        Vault::open_or_create(&path, &first).unwrap().0
    }

    fn commit(vault: &Vault) {
        let log = DailyLog::none();
        let mut writing = audit::begin(vault, &log).unwrap();
        let entry = writing.append(&event("x"), &clock::now().unwrap());
        writing.commit(entry.unwrap(), ()).unwrap();
    }

    #[test]
    fn v_d9_no_commit_leaves_the_vault_in_a_state_that_was_seen_before() {
        let directory = tempfile::tempdir().unwrap();
        let vault = made(directory.path());
        let watch = vault.watch().unwrap();
        let before = watch.look().unwrap();
        assert_eq!(watch.look().unwrap(), before, "looking changes nothing");
        drop(vault.read().unwrap());
        drop(vault.begin().unwrap());
        assert_eq!(watch.look().unwrap().counter, before.counter);
        let once = Vault::open(vault.path(), Use::Once).unwrap();
        let mut counters = BTreeSet::from([before.counter]);
        for _ in 0..60 {
            // The first grows the log and the second empties it.
            commit(&once);
            once.give_up_turn();
            assert!(counters.insert(watch.look().unwrap().counter));
            commit(&vault);
            assert!(counters.insert(watch.look().unwrap().counter));
        }
    }
}
