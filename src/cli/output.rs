use std::io::{self, Write};

use crate::broker::{BrokerError, GrantError};
use crate::failure::Failure;
pub(crate) use crate::text::json::bytes;
use crate::vault::VaultError;

/// Why a subcommand stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Failure(Failure),
    /// The reader of standard output went away, which is no error.
    NobodyReads,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::Failure(Failure::internal(format!(
                "cannot write the output: {error}"
            )))
        }
    }
}

impl From<BrokerError> for Stop {
    fn from(error: BrokerError) -> Self {
        let failure = Failure::internal(&error);
        Self::Failure(match error.advice() {
            Some(advice) => failure.hint(advice),
            None => failure,
        })
    }
}

impl From<VaultError> for Stop {
    fn from(error: VaultError) -> Self {
        BrokerError::from(error).into()
    }
}

impl From<GrantError> for Stop {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Broker(error) => error.into(),
            other => Self::Failure(Failure::usage(other.to_string())),
        }
    }
}

/// Writes a line of text to standard output. Colour is kept on a terminal only.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Writes a failure to standard error, where others may follow. Nobody may be listening.
pub(crate) fn complain(failure: &Failure) {
    let _unheard = io::stderr().write_all(failure.lines("pvm").as_bytes());
}

/// Writes bytes to standard output as they are. std's own code at exit does not run in this
/// program, so what does not end in a newline has to be flushed here.
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a JSON value on one line to standard output.
pub(crate) fn json(value: &serde_json::Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value}")
}

/// Returns an empty table in the one style that listings use.
pub(crate) fn table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table
}
