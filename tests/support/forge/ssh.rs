use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::PerConnection;
use crate::support::machine::{is_root, program};
use crate::support::scene::Ran;

const PROGRAM: &str = "/usr/sbin/sshd";

/// The real sshd with keys of its own, for the user who runs the tests.
#[derive(Debug)]
pub(crate) struct Ssh {
    server: PerConnection,
    state: PathBuf,
}

impl Ssh {
    /// Starts it with its files in `state`. Nothing comes back where there is no server; what is
    /// skipped is printed then.
    pub(crate) fn start(state: &Path) -> Option<Self> {
        if !program(PROGRAM) || !program("/usr/bin/ssh") {
            return None;
        }
        if user().shell.ends_with("nologin") {
            println!("skipped: sshd lets nobody in who has no shell");
            return None;
        }
        fs::create_dir_all(state).unwrap();
        if is_root() {
            // sshd leaves this directory to whoever starts it, and insists on it for root.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        for name in ["host", "user"] {
            make_key(&state.join(name));
        }
        fs::rename(state.join("user.pub"), state.join("authorized")).unwrap();
        let configuration = state.join("sshd_config");
        let text = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n\
             SetEnv GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null\n",
            state.display()
        );
        fs::write(&configuration, text).unwrap();
        let mut server = Command::new(PROGRAM);
        server
            .args(["-i", "-e", "-f"])
            .arg(&configuration)
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        Some(Self {
            server: PerConnection::start(server),
            state: state.to_owned(),
        })
    }

    /// Returns the lines of a repository's configuration by which git gets in, whatever user a URL
    /// names.
    pub(crate) fn configuration(&self) -> String {
        let user = user().name;
        format!(
            "[core]\n\tsshCommand = ssh -F none -i {state}/user -l {user} -p {port} \
             -o UserKnownHostsFile={state}/known -o StrictHostKeyChecking=no -o IdentitiesOnly=yes \
             -o BatchMode=yes -o LogLevel=ERROR\n",
            state = self.state.display(),
            port = self.server.port,
        )
    }

    /// Returns host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }
}

fn user() -> User {
    let user = User::from_uid(Uid::effective());
    user.unwrap().expect("who runs the tests has a name")
}

fn make_key(at: &Path) {
    let mut command = Command::new("/usr/bin/ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(at)
        .env_clear()
        .stdin(Stdio::null());
    Ran::of(&mut command).exited(0);
}
