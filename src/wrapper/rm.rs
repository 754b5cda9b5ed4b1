use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::caller::{self, Changed};
use super::refusal;
use crate::broker::exec::Ended;
use crate::broker::{Attempt, Broker, BrokerError, RemovalWords, Ruling, Settings};
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::operation::Operation;
use crate::sys::trust::{Distrust, Found, Search, Searcher, TrustedProgram};
use crate::sys::{Errno, account::Account, env, trust};
use crate::text::escape::{brief, quoted, shell_word, shown};
use crate::tool::rm::{self, Refused, Resolved};

const REAL_NAME: &str = "rm";

/// Runs `safe-rm`: becomes the real `rm` under a grant, or says why not.
///
/// `argv` is what was typed, the program's name first; `name` is that name.
pub(crate) fn run(name: &str, argv: &[OsString]) -> ExitStatus {
    match pipeline(argv) {
        Ok(status) => status,
        Err(stopped) => {
            refusal::print(&stopped.failure, name, stopped.operation.as_deref());
            stopped.failure.status
        }
    }
}

/// A failure, and the operation it befell if it came that far.
struct Stopped {
    failure: Failure,
    operation: Option<Box<Operation>>,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            operation: None,
        }
    }
}

impl From<BrokerError> for Stopped {
    fn from(error: BrokerError) -> Self {
        failed(&error).into()
    }
}

fn failed(error: &BrokerError) -> Failure {
    let failure = Failure::internal(error);
    match error.advice() {
        Some(advice) => failure.hint(advice),
        None => failure,
    }
}

fn pipeline(argv: &[OsString]) -> Result<ExitStatus, Stopped> {
    let changed = Changed::prepare().map_err(Failure::internal)?;
    let (config, account) = Config::load().map_err(|error| {
        Failure::internal(error).hint("see what is wrong with it:  pvm config check")
    })?;
    let settings = Settings::new(
        &config.vault,
        config.max_ttl,
        config.landlock,
        config.source.as_deref(),
    );
    let broker = Broker::for_one_command(settings)?;
    let agent = caller::agent().map_err(|error| {
        let failure = Failure::usage(error.to_string());
        recorded(&broker, &caller::nameless(), argv, failure)
    })?;
    let words = argv.get(1..).unwrap_or_default();
    let command =
        rm::parse(words).map_err(|refused| recorded(&broker, &agent, argv, usage(refused)))?;
    changed
        .make_room_for(command.operands.len())
        .map_err(Failure::internal)?;
    let cwd = std::env::current_dir().map_err(|error| {
        let failure = Failure::new(
            ExitStatus::Denied,
            format!("permission denied: the working directory cannot be named: {error}"),
        );
        recorded(&broker, &agent, argv, failure)
    })?;
    let resolved = rm::resolve(&command, argv, cwd)
        .map_err(|refused| recorded(&broker, &agent, argv, usage(refused)))?;
    let program = find_program(&broker, &config, &agent, argv)?;
    let attempt = attempt(resolved, program, agent.clone(), &account);
    let ruling = broker
        .decide(attempt)
        .map_err(|error| undecided(&broker, &agent, argv, &error))?;
    let permit = match ruling {
        Ruling::Permitted(permit) => permit,
        Ruling::Refused { refusal, operation } => {
            let failure = refusal::explain(&refusal, Action::Rm, config.default_ttl);
            return Err(Stopped {
                failure,
                operation: Some(operation),
            });
        }
    };
    match broker.execute(*permit, &agent, &changed)? {
        Ended::Status(code) => Ok(ExitStatus::Command(code)),
        Ended::Unrecorded { status, error } => {
            let what = format!("the result of the removal could not be recorded: {error}");
            Err(Failure::new(ExitStatus::Command(status), what).into())
        }
        Ended::NotStarted { program, error } => {
            let status = match error {
                Errno::ENOENT => ExitStatus::NotFound,
                _ => ExitStatus::NotExecutable,
            };
            let what = format!("cannot execute {}: {}", program.display(), error.desc());
            Err(Failure::new(status, what).into())
        }
    }
}

/// Records a refusal that came before there was an operation to decide; it stands even when it
/// cannot be recorded, because nothing runs.
fn recorded(broker: &Broker, agent: &Agent, argv: &[OsString], failure: Failure) -> Failure {
    match broker.record_refusal(agent, Action::Rm, argv, &failure.message) {
        Ok(()) => failure,
        Err(error) => failure.hint(format!("this refusal could not be recorded: {error}")),
    }
}

/// What could not be decided is refused, and recorded where the vault is not what failed.
fn undecided(broker: &Broker, agent: &Agent, argv: &[OsString], error: &BrokerError) -> Failure {
    match error {
        BrokerError::Vault(_) | BrokerError::Clock(_) => failed(error),
        _ => recorded(broker, agent, argv, failed(error)),
    }
}

fn usage(refused: Refused) -> Failure {
    match refused {
        Refused::Usage(error) => {
            Failure::usage(error.to_string()).hint("pvm passes on only what it knows; see rm(1)")
        }
        Refused::NoPreserveRoot => Failure::new(
            ExitStatus::Denied,
            "permission denied: '--no-preserve-root' is never allowed",
        ),
        Refused::TooMany { .. } => {
            Failure::new(ExitStatus::Denied, format!("permission denied: {refused}"))
                .hint("split the command:  xargs -n 1000")
        }
        Refused::Operand { operand, reason } => {
            let operand = brief(operand.as_bytes());
            Failure::new(
                ExitStatus::Denied,
                format!("permission denied: '{operand}' cannot be removed: {reason}"),
            )
        }
    }
}

/// Finds the real `rm`: the first on PATH that is not pvm, and only if it is trusted.
fn find_program(
    broker: &Broker,
    config: &Config,
    agent: &Agent,
    argv: &[OsString],
) -> Result<TrustedProgram, Stopped> {
    let own = trust::own_identity().map_err(Failure::internal)?;
    let searcher = Searcher::new(own, &config.trusted_directories);
    match searcher.search(REAL_NAME, env::bytes("PATH").as_deref()) {
        Search::Trusted(program) => Ok(program),
        Search::NotFound => {
            let failure = Failure::new(
                ExitStatus::NotFound,
                "there is no other rm on PATH than pvm's own",
            )
            .hint("see what was looked at:  pvm resolve rm");
            Err(recorded(broker, agent, argv, failure).into())
        }
        Search::Hijacked {
            found:
                Found {
                    hit,
                    distrust: Some(Distrust::NotLookedAt { error }),
                    ..
                },
            ..
        } => {
            let hit = shown(hit.as_os_str().as_bytes());
            let failure = Failure::internal(format!("cannot look at {hit}: {error}"));
            Err(recorded(broker, agent, argv, failure).into())
        }
        Search::Hijacked { found, instead } => {
            let why = found
                .distrust
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let hit = shown(found.hit.as_os_str().as_bytes());
            let why = shown(why.as_bytes());
            let mut failure = Failure::new(
                ExitStatus::NotExecutable,
                format!("the rm that PATH gives is not trusted: {hit}: {why}"),
            );
            if let Some(instead) = &instead {
                failure = failure.hint(format!("a trusted search gives {}", instead.display()));
            }
            failure = failure.hint(trust_hint(&found.hit));
            if let Err(error) =
                broker.record_hijack(agent, Action::Rm, argv, &found, instead.as_deref())
            {
                failure = failure.hint(format!("this refusal could not be recorded: {error}"));
            }
            Err(failure.into())
        }
    }
}

fn trust_hint(hit: &Path) -> String {
    let directory = hit.parent().unwrap_or(hit).as_os_str();
    format!(
        "to trust it, a person adds to resolver.trusted_dirs:  {}",
        shell_word(directory.as_bytes())
    )
}

fn attempt(
    resolved: Resolved,
    program: TrustedProgram,
    agent: Agent,
    account: &Account,
) -> Attempt {
    let Resolved {
        options,
        operation,
        pins,
    } = resolved;
    let words = RemovalWords {
        name: operation
            .targets
            .first()
            .map(|target| quoted(target.operand.as_bytes(), env::speaks_utf8()))
            .unwrap_or_default(),
        prompt: options.prompt,
        recursive: options.recursive,
        verbose: options.verbose,
    };
    let mut argv = operation.argv.clone();
    if let Some(first) = argv.first_mut() {
        *first = OsString::from(REAL_NAME);
    }
    Attempt {
        agent,
        operation,
        pins,
        program,
        argv,
        environment: env::rebuilt(account),
        empty_directories: options.directories,
        words,
    }
}
