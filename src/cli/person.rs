//! Who may answer. In advisory mode an agent and its person share a uid, so an answer is taken
//! only where nothing tells that an agent is calling. This stops accidents and honest agents; a
//! hostile process under the same uid can take every one of these marks off.

use std::os::unix::ffi::OsStrExt;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};

use super::context::Context;
use crate::failure::{ExitStatus, Failure};
use crate::sys::{env, process, prompt, random};
use crate::text::escape::shown;

/// Variables that agents set for the commands they run.
const MARKERS: [&str; 16] = [
    "PVM_AGENT_ID",
    "AGENT_ID",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "GEMINI_CLI",
    "CURSOR_AGENT",
    "COPILOT_AGENT",
    "OPENCODE",
    "AIDER_AGENT",
    "CLINE_ACTIVE",
    "ROO_ACTIVE",
    "AMP_AGENT",
    "GOOSE_TERMINAL",
    "QWEN_CODE",
    "KIMI_CLI",
    "AI_AGENT",
];
const MARKER_PREFIXES: [&str; 1] = ["CODEX_"];

/// Refuses where it can be told that an agent is calling, and asks for the passphrase where one is
/// set.
pub(crate) fn require(context: &Context, verb: &str) -> Result<(), Failure> {
    if !context.config.unattended
        && let Some(sign) = sign_of_an_agent()
    {
        return Err(Failure::new(
            ExitStatus::Denied,
            format!("permission denied: only a person may {verb}, and {sign}"),
        )
        .hint("run it yourself, in a terminal of your own")
        .hint("for scripts of your own, set approver.unattended = true in pvm.toml"));
    }
    match &context.config.passphrase {
        Some(hash) => check_passphrase(hash.as_str()),
        None => Ok(()),
    }
}

/// Returns what tells that an agent is calling, if something does.
pub(crate) fn sign_of_an_agent() -> Option<String> {
    let marked = env::names().into_iter().find_map(|name| {
        let known = MARKERS
            .iter()
            .any(|marker| name.as_bytes() == marker.as_bytes())
            || MARKER_PREFIXES
                .iter()
                .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
        known.then(|| shown(name.as_bytes()))
    });
    if let Some(name) = marked {
        return Some(format!(
            "{name} in the environment says that an agent calls"
        ));
    }
    if process::has_no_new_privileges() {
        return Some("this process is in a sandbox (no_new_privs is set)".to_owned());
    }
    if !process::has_controlling_terminal() {
        return Some("there is no controlling terminal".to_owned());
    }
    None
}

fn check_passphrase(hash: &str) -> Result<(), Failure> {
    let hash = PasswordHash::new(hash).map_err(|error| {
        Failure::internal(format!("approver.passphrase cannot be used: {error}"))
            .hint("make a new one:  pvm init")
    })?;
    let typed = prompt::secret("pvm passphrase: ").map_err(|error| {
        Failure::new(
            ExitStatus::Denied,
            format!("permission denied: cannot ask for the passphrase: {error}"),
        )
        .hint("run it in a terminal")
    })?;
    Argon2::default()
        .verify_password(typed.as_bytes(), &hash)
        .map_err(|_| {
            Failure::new(
                ExitStatus::Denied,
                "permission denied: that is not the passphrase",
            )
        })
}

/// Returns the argon2id hash of a passphrase, as the configuration keeps it.
pub(crate) fn hash_passphrase(typed: &str) -> Result<String, Failure> {
    let salt: [u8; 16] = random::bytes().map_err(Failure::internal)?;
    Argon2::default()
        .hash_password_with_salt(typed.as_bytes(), &salt)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(|error| Failure::internal(format!("cannot hash the passphrase: {error}")))
}
