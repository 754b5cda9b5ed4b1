use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use super::output::{self, Stop};
use crate::broker::BrokerError;
use crate::failure::{ExitStatus, Failure};
use crate::text::escape::shown;
use crate::vault::VaultError;

/// Copy the vault to a file, consistently, while it is in use
///
/// The copy is a vault itself, for your eyes only. An existing file is never overwritten.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to make
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

impl Backup {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let name = shown(self.file.as_os_str().as_bytes());
        // SQLite gives some relative names a meaning of their own.
        let to = std::path::absolute(&self.file)
            .map_err(|error| Failure::usage(format!("'{name}' cannot name a file: {error}")))?;
        match context.broker()?.backup(&to) {
            Ok(()) => {}
            Err(BrokerError::Vault(VaultError::Io { path, error })) if path == to => {
                let failure = Failure::usage(format!("cannot make {name}: {error}"));
                return Err(if error.kind() == ErrorKind::AlreadyExists {
                    failure.hint("name a file that does not exist yet").into()
                } else {
                    failure.into()
                });
            }
            Err(error) => return Err(error.into()),
        }
        output::line(format!("copied the vault to {name}"))?;
        Ok(ExitStatus::Success)
    }
}
