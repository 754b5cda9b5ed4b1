use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::refusal;
use super::run::{Run, Stopped};
use crate::broker::{Attempt, TrashWords, Work};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::sys::env;
use crate::sys::trust::{Program, TrustedProgram};
use crate::text::escape::brief;
use crate::tool::trash::{self, Options, Refused, Resolved};

/// Runs `safe-trash`: moves the operands to the trash where that is allowed, or says why not.
///
/// `argv` is what was typed, the program's name first; `name` is that name.
pub(crate) fn run(name: &str, argv: &[OsString]) -> ExitStatus {
    match pipeline(name, argv) {
        Ok(status) => status,
        Err(stopped) => stopped.print(name),
    }
}

fn pipeline(name: &str, argv: &[OsString]) -> Result<ExitStatus, Stopped> {
    let run = Run::begin(Action::Trash, argv)?;
    let words = argv.get(1..).unwrap_or_default();
    let command = trash::parse(words).map_err(|refused| run.recorded(usage(refused)))?;
    if command.options.informational {
        return Ok(help(name));
    }
    run.changed
        .make_room_for(command.operands.len())
        .map_err(Failure::internal)?;
    let cwd = run.working_directory()?;
    let resolved =
        trash::resolve(&command, argv, cwd).map_err(|refused| run.recorded(usage(refused)))?;
    let attempt = match run.config.trash_tool.as_deref() {
        Some([tool, first @ ..]) => {
            let program = run.find_tool("trash.tool", tool)?;
            by_tool(&run, resolved, (tool, first), program)
        }
        _ => by_pvm(&run, name, resolved),
    };
    run.carry_out(attempt, |refusal, _| {
        refusal::explain(refusal, Action::Trash, run.config.default_ttl)
    })
}

/// The tool gets its own first words, `-f` where that was asked for, and the operands as they were
/// typed, each so that it cannot be taken for an option.
fn by_tool(
    run: &Run<'_>,
    resolved: Resolved,
    (tool, first): (&OsString, &[OsString]),
    program: TrustedProgram,
) -> Attempt {
    let Resolved {
        options,
        operation,
        pins,
    } = resolved;
    let mut argv = vec![tool.clone()];
    argv.extend_from_slice(first);
    argv.extend(options.force.then(|| OsString::from("-f")));
    argv.push(OsString::from("--"));
    let operands = operation.targets().iter();
    argv.extend(operands.map(|target| no_option(&target.operand)));
    Attempt {
        agent: run.agent.clone(),
        operation,
        pins,
        program: Some(Program::Trusted(program)),
        argv,
        environment: env::rebuilt(&run.account),
        work: Work::Run,
    }
}

/// GLib's parser leaves `--` among the operands when one of them begins with a dash
/// (g_option_context_parse), and gio would take that for a file as well.
fn no_option(operand: &OsStr) -> OsString {
    let mut word = OsString::from(if operand.as_bytes().starts_with(b"-") {
        "./"
    } else {
        ""
    });
    word.push(operand);
    word
}

fn by_pvm(run: &Run<'_>, name: &str, resolved: Resolved) -> Attempt {
    let Resolved {
        options: Options { force, verbose, .. },
        operation,
        pins,
    } = resolved;
    let words = TrashWords {
        program: name.to_owned(),
        home: run.account.home.clone(),
        uid: run.account.uid,
        force,
        verbose,
    };
    Attempt {
        agent: run.agent.clone(),
        argv: operation.argv.clone(),
        operation,
        pins,
        program: None,
        environment: env::rebuilt(&run.account),
        work: Work::Trash(words),
    }
}

fn usage(refused: Refused) -> Failure {
    let denied =
        |what: String| Failure::new(ExitStatus::Denied, format!("permission denied: {what}"));
    match refused {
        Refused::Usage(error) => {
            Failure::usage(error.to_string()).hint("see how it is used:  safe-trash --help")
        }
        Refused::ChoosesTrash(_) | Refused::Interactive => denied(refused.to_string()),
        Refused::TooMany { .. } => {
            denied(refused.to_string()).hint("split the command:  xargs -n 1000")
        }
        Refused::Operand { operand, reason } => {
            let operand = brief(operand.as_bytes());
            denied(format!("'{operand}' cannot be trashed: {reason}"))
        }
    }
}

/// There is no other program whose help it could be.
fn help(name: &str) -> ExitStatus {
    let text = format!(
        "Usage: {name} [-dfrRv] [--] FILE...\n\
         Move files and directories to the trash, where pvm allows it.\n\n\
         \x20 -f, --force      pass over files that do not exist\n\
         \x20 -v, --verbose    say what was moved\n\
         \x20 -d, -r, -R       accepted and ignored, as by trash-put\n\n\
         See safe-trash(1). To undo it:  pvm undo ENTRY\n"
    );
    let _unheard = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    ExitStatus::Success
}
