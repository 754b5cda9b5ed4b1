use std::ffi::OsString;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::Cli;
use super::context::Context;
use super::output::{self, Stop};
use crate::broker::Snapshot;
use crate::failure::{ExitStatus, Failure};
use crate::model::agent::AgentName;
use crate::sys::env;
use crate::text::escape::shown;
use crate::text::instant;

/// Names the shell that asks. It counts only together with `--` as the first word, which no
/// other use of pvm has, so the variable alone changes nothing.
const VARIABLE: &str = "PVM_COMPLETE";

/// Print a shell's completion script
///
/// The script asks pvm itself at every `<Tab>`, so that it knows the ids of the grants that are
/// live. install.sh puts it where each shell looks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm completions bash > ~/.local/share/bash-completion/completions/pvm
  pvm completions zsh > ~/.local/share/zsh/site-functions/_pvm
  pvm completions fish > ~/.config/fish/completions/pvm.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Zsh => &Zsh,
            Self::Fish => &Fish,
        }
    }
}

/// A function that zsh loads from a file runs that file first; this makes the first `<Tab>` count.
const ZSH_FIRST_CALL: &str = "
if [[ $funcstack[1] == _pvm ]]; then
    _clap_dynamic_completer_pvm \"$@\"
fi
";

impl Completions {
    pub(crate) fn run(self) -> Result<ExitStatus, Stop> {
        let mut script = Vec::new();
        self.shell
            .completer()
            .write_registration(VARIABLE, "pvm", "pvm", "pvm", &mut script)
            .map_err(Failure::internal)?;
        if let Shell::Zsh = self.shell {
            script.extend(ZSH_FIRST_CALL.as_bytes());
        }
        output::raw(&script)?;
        Ok(ExitStatus::Success)
    }
}

/// Answers a completion script that asks what could follow, if that is who calls.
pub(super) fn answer(argv: &[OsString]) -> Option<ExitStatus> {
    let words = match argv {
        [_, dashes, words @ ..] if dashes == "--" => words.to_vec(),
        _ => return None,
    };
    let shell = Shell::from_str(&env::text(VARIABLE)?, false).ok()?;
    let directory = std::env::current_dir().ok();
    let mut answer = Vec::new();
    let completed = shell.completer().write_complete(
        &mut Cli::command(),
        words,
        directory.as_deref(),
        &mut answer,
    );
    // A line of complaint would land in the middle of what is being typed.
    if completed.is_err() || output::raw(&answer).is_err() {
        return Some(ExitStatus::Failed);
    }
    Some(ExitStatus::Success)
}

fn snapshot() -> Option<Snapshot> {
    let context = Context::load().ok()?;
    context.broker().ok()?.snapshot(0).ok()
}

/// Returns the ids of the live grants, with what they are for.
pub(super) fn grants() -> Vec<CompletionCandidate> {
    let Some(snapshot) = snapshot() else {
        return Vec::new();
    };
    let now = snapshot.now.wall.0;
    let candidate = |grant: &crate::model::grant::Grant| {
        let whom = grant.agent.as_ref().map_or("any agent", AgentName::as_str);
        let what = format!(
            "{} on {} for {whom}, ends {}",
            grant.actions,
            shown(grant.scope.as_bytes()),
            instant::relative(grant.window.expires_at.0, now),
        );
        CompletionCandidate::new(grant.id.short()).help(Some(what.into()))
    };
    snapshot.live.iter().map(candidate).collect()
}

/// Returns the names of the agents that have live grants.
pub(super) fn agents() -> Vec<CompletionCandidate> {
    let grants = snapshot().map(|snapshot| snapshot.live).unwrap_or_default();
    let mut names: Vec<String> = grants
        .iter()
        .filter_map(|grant| grant.agent.as_ref())
        .map(|agent| agent.as_str().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
