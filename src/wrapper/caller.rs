use std::cell::OnceCell;
use std::io;

use crate::broker::exec::Caller;
use crate::model::agent::{Agent, AgentName};
use crate::sys::env::{self, InvalidLabel};
use crate::sys::process::{self, SavedLimit, SavedSignal};

/// How many descriptors a process may use before its limit on open files has to be raised.
const MODEST_OPERANDS: usize = 100;

/// What was changed in this process; the real command gets it as the caller had it.
#[derive(Debug)]
pub(super) struct Changed {
    file_size_signal: SavedSignal,
    open_files: OnceCell<SavedLimit>,
}

impl Changed {
    /// Makes the process fit for deciding.
    pub(super) fn prepare() -> io::Result<Self> {
        process::open_closed_standard_streams()?;
        Ok(Self {
            file_size_signal: process::ignore_file_size_signal()?,
            open_files: OnceCell::new(),
        })
    }

    /// Makes room for the descriptors of many operands.
    pub(super) fn make_room_for(&self, operands: usize) -> io::Result<()> {
        if operands > MODEST_OPERANDS {
            let saved = process::raise_open_files()?;
            let _set_once = self.open_files.set(saved);
        }
        Ok(())
    }
}

impl Caller for Changed {
    fn restore(&self) -> io::Result<()> {
        self.file_size_signal.restore()?;
        self.open_files.get().map_or(Ok(()), SavedLimit::restore)
    }
}

/// Returns who calls: the uid that the kernel says, and the label that the caller chose.
pub(super) fn agent() -> Result<Agent, InvalidLabel> {
    let name = env::agent_name()?.unwrap_or_default();
    Ok(Agent { name, ..nameless() })
}

/// Returns who calls, without a label.
pub(super) fn nameless() -> Agent {
    Agent {
        name: AgentName::default(),
        uid: process::uid(),
        pid: process::pid(),
    }
}
