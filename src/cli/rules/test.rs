use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{named, to_json, what};
use crate::broker::{self, Opinion};
use crate::cli::context::Context;
use crate::cli::output::{self, Stop};
use crate::cli::{scope, values};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::agent::AgentName;
use crate::model::operation::{Invocation, Objects, Operation};
use crate::model::rule::Effect;
use crate::model::scope::PathScope;
use crate::sys::trust::{self, Searcher};
use crate::sys::{env, path};
use crate::text::escape::{shell_line, shown};
use crate::tool::exec::{self, Refused, runs};

/// Say which rule decides about a command or an operation
///
/// Grants are not looked at, nothing runs and nothing is recorded. Exit status 0 when a rule, or
/// git.plain_push, allows it, 1 when it is denied or only a grant permits it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm rules test -- cargo build --release
  pvm rules test --op git-push-force --scope github.com/owner/name")]
pub(super) struct Test {
    /// The operation
    #[arg(long = "op", value_name = "OP", value_parser = values::action, requires = "scope",
          default_value_if("scope", clap::builder::ArgPredicate::IsPresent, "rm"))]
    action: Option<Action>,
    /// The path, or for the git operations the repository
    #[arg(long, value_name = "SCOPE", value_hint = clap::ValueHint::AnyPath,
          required_unless_present = "words")]
    scope: Option<OsString>,
    /// The agent that would do it [default: that of PVM_AGENT_ID, or default]
    #[arg(long, value_name = "NAME", value_parser = values::agent)]
    agent: Option<AgentName>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// The command, as pvm exec would be given it
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "scope")]
    words: Vec<OsString>,
}

/// What is asked about, and what there is to say of it besides.
struct Question {
    operation: Operation,
    what: String,
    notes: Vec<String>,
}

impl Test {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let question = match (&self.scope, self.action) {
            (Some(text), Some(action)) => {
                let scope = scope::resolve_for(text, &[action])?.scope;
                Question {
                    what: format!("{action} {}", shown(scope.as_bytes())),
                    operation: broker::on_scope(&scope, action),
                    notes: Vec::new(),
                }
            }
            _ => command(context, &self.words)?,
        };
        let agent = context.agent(self.agent.as_ref());
        let opinion = broker::opinion(&context.config.policy, &question.operation, &agent)?;
        if self.json {
            output::json(&json!({
                "decision": opinion.effect.name(),
                "rule": opinion.by.as_ref().map(to_json),
                "matching": opinion.matching.iter().map(to_json).collect::<Vec<_>>(),
                "notes": question.notes,
            }))?;
        } else {
            show(&question, &opinion)?;
        }
        Ok(match opinion.effect {
            Effect::Allow => ExitStatus::Success,
            Effect::Ask | Effect::Deny => ExitStatus::Denied,
        })
    }
}

fn show(question: &Question, opinion: &Opinion) -> Result<(), Stop> {
    let verdict = opinion.effect.name().to_uppercase();
    let subject = &question.what;
    let first = match (&opinion.by, opinion.effect) {
        (Some(rule), Effect::Ask) if rule.effect == Effect::Allow => format!(
            "{verdict} {subject}: {} allows it, but not a program that its owner can change",
            named(rule)
        ),
        (Some(rule), _) if rule.reason.is_empty() => {
            format!("{verdict} {subject} by {}", named(rule))
        }
        (Some(rule), _) => {
            let reason = shown(rule.reason.as_bytes());
            format!("{verdict} {subject} by {}: {reason}", named(rule))
        }
        (None, Effect::Ask) if question.operation.action != Action::GitPush => {
            format!("{verdict} {subject}: no rule matches, so only a grant permits it")
        }
        (None, _) => format!("{verdict} {subject}: no rule matches; by git.plain_push"),
    };
    output::line(first)?;
    if !opinion.matching.is_empty() {
        output::line("matching:")?;
    }
    for rule in &opinion.matching {
        let (effect, actions) = (rule.effect, rule.actions);
        let decides = if opinion.by.as_ref() == Some(rule) {
            "  (decides)"
        } else {
            ""
        };
        let whom = rule
            .agent
            .as_ref()
            .map_or_else(String::new, |name| format!(" for {name}"));
        output::line(format!(
            "  {}: {effect} {actions} on {}{whom}{decides}",
            named(rule),
            what(rule)
        ))?;
    }
    for note in &question.notes {
        output::line(format!("note: {note}"))?;
    }
    Ok(())
}

/// Looks at a command as `pvm exec` does. One that it would not find is compared by its words.
fn command(context: &Context, words: &[OsString]) -> Result<Question, Stop> {
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::internal(format!("the working directory cannot be named: {error}"))
    })?;
    let mut notes = Vec::new();
    let operation = if context.config.resolve_commands {
        let own = trust::own_identity().map_err(Failure::internal)?;
        let searcher = Searcher::new(own, &context.config.trusted_directories);
        let search_path = env::bytes("PATH");
        match exec::resolve(words, &searcher, search_path.as_deref(), cwd.clone()) {
            Ok(resolved) => resolved.operation,
            Err(refused @ (Refused::NoCommand | Refused::Guarded { .. })) => {
                return Err(Failure::usage(refused.to_string())
                    .hint("its rules are about what it reaches:  pvm rules test --op OP --scope SCOPE")
                    .into());
            }
            Err(refused) => {
                notes.push(format!("pvm exec would refuse it: {refused}"));
                by_words(words, &cwd)
            }
        }
    } else {
        by_words(words, &cwd)
    };
    if let Objects::Command(invocation) = &operation.objects {
        notes.extend(runs::describe(invocation, &cwd));
    }
    Ok(Question {
        operation,
        what: shell_line(words.iter().map(|word| word.as_bytes())),
        notes,
    })
}

fn by_words(words: &[OsString], cwd: &Path) -> Operation {
    let program = words.first().map(PathBuf::from).unwrap_or_default();
    Operation {
        action: Action::Exec,
        objects: Objects::Command(Invocation {
            words: words.to_vec(),
            inner: runs::inner(words, &program),
            pieces: runs::pieces(words, &program),
            program,
            directory: PathScope::new(cwd).ok(),
            lineage: path::ancestry(cwd).unwrap_or_default(),
            ..Invocation::default()
        }),
        argv: words.to_vec(),
        cwd: cwd.to_owned(),
    }
}
