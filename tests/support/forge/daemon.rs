use std::path::Path;

use super::PerConnection;
use crate::support::repositories::git;

/// `git daemon` that lets everybody push to the repositories below a directory.
#[derive(Debug)]
pub(crate) struct Daemon(PerConnection);

impl Daemon {
    pub(crate) fn start(base: &Path) -> Self {
        let base_path = format!("--base-path={}", base.display());
        Self(PerConnection::start(git(
            base,
            [
                "daemon",
                "--inetd",
                "--export-all",
                "--enable=receive-pack",
                &base_path,
            ],
        )))
    }

    /// Returns host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }
}
