use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::bind;
use crate::support::machine::program;
use crate::support::repositories::{git_says, real_git};

const PROGRAM: &str = "/usr/sbin/lighttpd";
const BACKEND: &str = "git-http-backend";

/// `git http-backend` behind lighttpd, with a user and a password.
#[derive(Debug)]
pub(crate) struct Http {
    server: Child,
    port: u16,
}

impl Http {
    pub(crate) const USER: &str = "pusher";
    pub(crate) const PASSWORD: &str = "s3cret-w0rd";

    /// Serves the repositories below `base`, with its own files in `state`. Nothing comes back where
    /// there is no server; what is skipped is printed then.
    pub(crate) fn start(base: &Path, state: &Path) -> Option<Self> {
        if !program(PROGRAM) {
            return None;
        }
        fs::create_dir_all(state).unwrap();
        let (listener, port) = bind();
        let users = state.join("users");
        fs::write(&users, format!("{}:{}\n", Self::USER, Self::PASSWORD)).unwrap();
        let configuration = state.join("lighttpd.conf");
        let backend = Path::new(&git_says(base, ["--exec-path"])).join(BACKEND);
        // Standard input is the listener, which lighttpd takes for what it would have bound.
        let text = format!(
            r#"
server.modules = ( "mod_auth", "mod_authn_file", "mod_alias", "mod_setenv", "mod_cgi" )
server.document-root = "{state}"
server.bind = "/dev/stdin"
server.port = {port}
server.upload-dirs = ( "{state}" )
alias.url = ( "" => "{backend}" )
cgi.assign = ( "" => "" )
setenv.set-environment = (
  "GIT_PROJECT_ROOT" => "{base}", "GIT_HTTP_EXPORT_ALL" => "1", "PATH" => "{path}:/usr/bin:/bin",
  "HOME" => "/nonexistent", "GIT_CONFIG_NOSYSTEM" => "1"
)
auth.backend = "plain"
auth.backend.plain.userfile = "{users}"
auth.require = ( "/" => ( "method" => "basic", "realm" => "git", "require" => "valid-user" ) )
"#,
            state = state.display(),
            backend = backend.display(),
            base = base.display(),
            users = users.display(),
            path = real_git().parent().unwrap().display(),
        );
        fs::write(&configuration, text).unwrap();
        let errors = fs::File::create(state.join("errors")).unwrap();
        let server = Command::new(PROGRAM)
            .args(["-D", "-f"])
            .arg(&configuration)
            .env_clear()
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        Some(Self { server, port })
    }

    /// Returns host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns user, password, host and port, as they stand in a URL.
    pub(crate) fn with_credentials(&self) -> String {
        format!("{}:{}@{}", Self::USER, Self::PASSWORD, self.authority())
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _may_have_ended = self.server.kill();
        let _reaped = self.server.wait();
    }
}
