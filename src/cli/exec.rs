use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::output;
use crate::failure::{ExitStatus, Failure};
use crate::model::operation::Objects;
use crate::sys::env;
use crate::sys::trust::{self, Examined, Searcher, Standing};
use crate::text::escape::{shell_line, shown};
use crate::tool::exec::{self, Resolved, runs};
use crate::wrapper;

/// Run a command under a rule or a grant
///
/// The command runs when a rule allows its words, when a grant is for exactly this command in this
/// directory (pvm grant -- COMMAND), or when a grant permits exec in the directory it runs in
/// (pvm grant --op exec --scope DIR). Everything else is refused. Every decision is an entry in the
/// trail. The words are never joined and never read by a shell.
///
/// The program is the first of its name in the absolute directories of PATH, or the file that a name
/// with a slash stands for. One that only root could have changed is trusted, and so is one in
/// a directory of resolver.trusted_dirs. One that you could have changed yourself runs only under a
/// grant for exactly this command, which names the SHA-256 of its content; what it loads when it
/// runs is not looked at. One that somebody else could have changed, that is setuid, setgid
/// or has capabilities, or that is neither ELF nor a script whose interpreter is trusted, never runs.
/// rm, git and trash have wrappers of their own, and do not run here.
///
/// A command that a scope allowed (of a grant, or of a rule) runs under Landlock: it may read
/// and use the network, and make, write and truncate files in that directory and below. It may remove
/// and rename there only when the same grant or rule has rm as well (--op exec,rm), and no rule denies or
/// asks about rm or trash of that directory or of a part of it. The directory must not hold
/// or lie in what belongs to pvm, a place where a configuration would be found, or a directory
/// of resolver.trusted_dirs. Outside it can write
/// only to /dev/null, /dev/zero, /dev/full, /dev/tty and a directory of its own, which is its TMPDIR.
/// Landlock does not look at everything: what your user may do anyway to the mode, times, owner,
/// extended attributes and locks of files outside (chmod, touch, setfattr, flock) it still may. Where
/// the kernel's Landlock cannot do that (ABI 3, Linux 6.2) it is refused. A command that a rule
/// without a scope or a grant for exactly this command allowed is not confined.
///
/// The environment is made anew: HOME, USER and LOGNAME from the password database, PATH with the
/// usual directories and those of resolver.trusted_dirs; TERM, the locale, the proxies and SSH_AUTH_SOCK
/// as they are. LD_*, BASH_ENV, PYTHONPATH, NODE_OPTIONS and everything else are left out.
///
/// Exit status: the command's own when it ran; 1 refused; 2 wrong usage; 125 pvm failed and
/// therefore refused; 126 the program is not trusted or cannot be executed; 127 it was not found.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm exec -- make -j2 check
  pvm exec -- ./deploy.sh staging")]
pub(crate) struct Exec {
    /// The command and its words, as they are
    #[arg(last = true, required = true, value_name = "COMMAND",
          value_hint = clap::ValueHint::CommandName)]
    words: Vec<OsString>,
}

impl Exec {
    /// Becomes the command, or returns why not. Nothing of this process may have been changed yet.
    pub(crate) fn run(self) -> ExitStatus {
        wrapper::exec::run(&self.words)
    }
}

/// Finds what `pvm exec` would run here, with this PATH.
pub(crate) fn resolve(context: &Context, words: &[OsString]) -> Result<Resolved, Failure> {
    let own = trust::own_identity().map_err(Failure::internal)?;
    let searcher = Searcher::new(own, &context.config.trusted_directories);
    let cwd = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the working directory has no name: {error}")))?;
    let search_path = env::bytes("PATH");
    exec::resolve(words, &searcher, search_path.as_deref(), cwd)
        .map_err(|refused| wrapper::exec::failure(&refused, words))
}

/// Returns lines that say what would be run: the words, where, which file, and what it makes of them.
pub(crate) fn describe(resolved: &Resolved) -> Vec<String> {
    let operation = &resolved.operation;
    let words = shell_line(operation.argv.iter().map(|word| word.as_bytes()));
    let program = shown(resolved.program.path().as_os_str().as_bytes());
    let mut lines = vec![
        format!("command:  {words}"),
        format!(
            "directory:  {}",
            shown(operation.cwd.as_os_str().as_bytes())
        ),
        format!("program:  {program}, {}", standing(&resolved.examined)),
    ];
    if let Objects::Command(command) = &operation.objects {
        if let Some(digest) = &command.digest {
            lines.push(format!(
                "sha256:  {}",
                data_encoding::HEXLOWER.encode(digest)
            ));
        }
        lines.extend(runs::describe(command, &operation.cwd));
    }
    lines
}

/// Says in words how far a program is trusted by `pvm exec`.
pub(crate) fn standing(examined: &Examined) -> String {
    let script = match &examined.interpreter {
        Some(interpreter) => {
            format!(
                ", a script for {}",
                shown(interpreter.as_os_str().as_bytes())
            )
        }
        None => String::new(),
    };
    let why = examined
        .found
        .distrust
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let why = shown(why.as_bytes());
    match examined.standing {
        Standing::Trusted(_) => format!("trusted{script}"),
        Standing::Changeable => format!(
            "changeable: yours; only a grant for exactly this file permits it{script} ({why})"
        ),
        Standing::Refused => format!("refused: {why}"),
    }
}

/// Returns what would be run with the field names that every `--json` uses.
pub(crate) fn to_json(resolved: &Resolved) -> Value {
    let operation = &resolved.operation;
    let command = match &operation.objects {
        Objects::Command(command) => Some(command),
        _ => None,
    };
    let digest = command.and_then(|command| command.digest);
    let means = command.map(|command| runs::describe(command, &operation.cwd));
    json!({
        "argv": operation.argv.iter().map(|word| output::bytes(word.as_bytes())).collect::<Vec<_>>(),
        "cwd": output::bytes(operation.cwd.as_os_str().as_bytes()),
        "program": output::bytes(resolved.program.path().as_os_str().as_bytes()),
        "verdict": verdict(&resolved.examined),
        "program_sha256": digest.map(|digest| data_encoding::HEXLOWER.encode(&digest)),
        "means": means.unwrap_or_default(),
    })
}

/// Returns the name of a verdict in JSON.
pub(crate) fn verdict(examined: &Examined) -> &'static str {
    match examined.standing {
        Standing::Trusted(_) => "trusted",
        Standing::Changeable => "changeable",
        Standing::Refused => "refused",
    }
}
