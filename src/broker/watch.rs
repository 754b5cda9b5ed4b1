use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{Broker, BrokerError};
use crate::sys::mounts::MountWatch;
use crate::sys::notices::Notices;
use crate::sys::path::{self, PathError};
use crate::vault::changes::{self, VaultState};

/// What decisions go by besides the operation, the clocks and the configuration, held so that a
/// change is seen without opening the vault.
#[derive(Debug)]
pub(crate) struct Watch {
    vault: changes::Watch,
    /// Nothing where the kernel gives no notices of the vault's directory; then each look sees
    /// something new.
    notices: Option<Notices>,
    heard: u64,
    /// Directories that hold what belongs to pvm and of which the kernel gives no notices.
    named: Vec<OwnedFd>,
    mounts: MountWatch,
}

/// What a [`Watch`] saw. Two that are equal saw the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    vault: VaultState,
    heard: u64,
    names: Vec<PathBuf>,
    mounts: u64,
}

impl Broker {
    /// Returns what is needed to see that a decision of this broker holds no more.
    pub(crate) fn watch(&self) -> Result<Watch, BrokerError> {
        let listening = Notices::new().ok();
        let mounts = MountWatch::new().map_err(BrokerError::Mounts)?;
        // Only what is listened to before it is looked at cannot change in between.
        let in_vault = listening
            .as_ref()
            .is_some_and(|notices| notices.of_files_in(self.vault.directory()).is_ok());
        let vault = self.vault.watch()?;
        let mut named = Vec::new();
        for place in self.protected_places()? {
            let path = place.path.as_path();
            let directory = if path.is_dir() {
                path
            } else {
                path.parent().unwrap_or(Path::new("/"))
            };
            let heard_of = |notices: &Notices| notices.of_name(directory).is_ok();
            if !listening.as_ref().is_some_and(heard_of) {
                named.push(path::hold(directory).map_err(unseen(directory))?);
            }
        }
        Ok(Watch {
            vault,
            notices: listening.filter(|_| in_vault),
            heard: 0,
            named,
            mounts,
        })
    }
}

fn unseen(path: &Path) -> impl FnOnce(PathError) -> BrokerError {
    let path = path.to_owned();
    move |reason| BrokerError::Path { path, reason }
}

impl Watch {
    /// Looks at everything. Where that fails, nothing that was decided before holds.
    pub(crate) fn look(&mut self) -> Result<Seen, BrokerError> {
        if self.notices.as_ref().is_none_or(Notices::any) {
            self.heard = self.heard.wrapping_add(1);
        }
        let names = self.named.iter().map(path::name_of);
        Ok(Seen {
            vault: self.vault.look().map_err(BrokerError::Prepare)?,
            heard: self.heard,
            names: names
                .collect::<Result<_, _>>()
                .map_err(unseen(Path::new("what belongs to pvm")))?,
            mounts: self.mounts.changes().map_err(BrokerError::Mounts)?,
        })
    }

    /// Says whether what is watched may not be what should be any more.
    pub(crate) fn is_outdated(&self) -> bool {
        self.notices.is_some() && self.heard > 0
    }
}
