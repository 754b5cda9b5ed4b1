use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::broker::{Alone, Denial, Refusal};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::grant::Shortfall;
use crate::model::operation::Operation;
use crate::model::scope::{PathScope, Scope};
use crate::model::time::Ttl;
use crate::sys::{env, process};
use crate::text::escape::{shell_word, shown};
use crate::text::json;

/// Returns what an agent reads when an operation was refused: what is missing, and the exact
/// command with which a person can give it.
pub(super) fn explain(refusal: &Refusal, action: Action, ttl: Ttl) -> Failure {
    match refusal {
        Refusal::Denied(denial) => explain_denial(denial, action, ttl),
        Refusal::Mounted { scope, point } => denied(format!(
            "{} is mounted at or below {}",
            shown(point.as_os_str().as_bytes()),
            path(scope)
        ))
        .hint("unmount it first; removal would reach into what is mounted"),
        Refusal::Moved { scope } => denied(format!(
            "{} was renamed while it was looked at",
            path(scope)
        )),
        Refusal::Split { scope, why } => denied(format!(
            "{} {} and goes alone",
            path(scope),
            match why {
                Alone::WholeScope => "is the whole scope of its grant",
                Alone::BesideOwn => "has what belongs to pvm below its directory",
                Alone::BesideMount => "has something mounted below its directory",
            }
        ))
        .hint("remove it in a command of its own, and the other operands in another"),
        Refusal::TooMany { most, instead } => {
            let why = explain(instead, action, ttl);
            let message = format!(
                "permission denied: too many refusals; this one is beyond {most} in a minute and \
                 only counted"
            );
            let reason = why.message.trim_start_matches("permission denied: ");
            let failure = Failure::new(why.status, message).hint(reason);
            why.hints.into_iter().fold(failure, Failure::hint)
        }
        Refusal::NotGnu { program, why } => Failure::new(
            ExitStatus::Failed,
            format!(
                "cannot confine {}: no Landlock, and it is not GNU rm",
                program.display()
            ),
        )
        .hint(format!("this kernel lacks Landlock: {why}")),
        Refusal::NotConfined { why } => Failure::new(
            ExitStatus::Failed,
            format!("the command cannot be confined: {why}"),
        )
        .hint("see what the kernel has:  pvm doctor"),
        Refusal::HoldsOwn { scope, what } => denied(format!(
            "{} holds {what} or lies in it, and a right to a directory reaches all of it",
            path(scope)
        ))
        .hint("a grant for another directory, or for exactly this command, can permit it"),
        Refusal::Keeps {
            scope,
            action,
            effect,
            origin,
        } => denied(format!(
            "{} has {effect} {action} for {} or a part of it, and a right to remove reaches all of it",
            shown(origin.as_bytes()),
            path(scope)
        ))
        .hint("a grant without rm permits the command to write there, but not to remove:  --op exec"),
    }
}

fn denied(reason: impl std::fmt::Display) -> Failure {
    Failure::new(ExitStatus::Denied, format!("permission denied: {reason}"))
}

fn explain_denial(denial: &Denial, action: Action, ttl: Ttl) -> Failure {
    match denial {
        Denial::Protected { scope, what } => denied(format!(
            "{} is {what}, holds it, or lies in it",
            path(scope)
        ))
        .hint("no grant reaches what belongs to pvm"),
        Denial::Rule {
            scope,
            origin,
            reason,
        } => {
            let what = scope.as_ref().map_or_else(|| action.to_string(), named);
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(": {}", shown(reason.as_bytes()))
            };
            denied(format!(
                "{} denies {action} on {what}{why}",
                shown(origin.as_bytes())
            ))
            .hint("no grant overrides a rule; a person can change it:  pvm rules list")
        }
        Denial::Uncovered {
            scope,
            others,
            nearest,
            trash_instead,
        } => {
            let what = match scope {
                Some(scope) if action == Action::Exec => {
                    format!("this command in {}", named(scope))
                }
                Some(scope) => named(scope),
                None => "this command".to_owned(),
            };
            let mut failure = denied(format!("no active grant covers {what}"));
            if *others > 0 {
                let plural = if *others == 1 {
                    "operand is"
                } else {
                    "operands are"
                };
                failure = failure.hint(format!("{others} more {plural} not covered; nothing ran"));
            }
            if let Some((id, shortfall)) = nearest {
                failure = failure.hint(format!("grant {} {}", id.short(), why(*shortfall)));
            }
            if *trash_instead && let Some(scope) = scope {
                failure = failure.hint(trash_hint(scope, *others));
            }
            match scope {
                // What permits a command is more than its directory.
                Some(scope) if action != Action::Exec => {
                    failure.hint(grant_hint(action, scope, ttl))
                }
                _ => failure,
            }
        }
    }
}

fn path(scope: &PathScope) -> String {
    shown(scope.as_bytes())
}

fn named(scope: &Scope) -> String {
    shown(scope.as_bytes())
}

fn trash_hint(scope: &Scope, others: usize) -> String {
    if others == 0 {
        let operand = shell_word(scope.as_bytes());
        format!("the trash would take it:  safe-trash -- {operand}")
    } else {
        "the trash would take all of them:  safe-trash, with the same operands".to_owned()
    }
}

fn grant_hint(action: Action, scope: &Scope, ttl: Ttl) -> String {
    let ttl = ttl.to_string().replace(' ', "");
    let scope = shell_word(scope.as_bytes());
    format!("a person can allow it:  pvm grant --op {action} --scope {scope} --ttl {ttl}")
}

fn why(shortfall: Shortfall) -> &'static str {
    match shortfall {
        Shortfall::OtherAgent => "covers it, for another agent",
        Shortfall::OtherAction => "covers it, for another operation",
        Shortfall::Revoked => "covered it and was revoked",
        Shortfall::Expired => "covered it and has expired",
        Shortfall::NotYet => "covers it and has not begun",
        Shortfall::ClockSetBack => "covers it, but the clock was set back since it was given",
        Shortfall::UsedUp => "covered it and has no use left",
        Shortfall::OtherCommand => {
            "covers this directory, for another command or for the program as it was before"
        }
        Shortfall::Changeable => {
            "covers this directory, but not a program that its owner can change"
        }
        Shortfall::Replaced => "covers it, but the directory it was pinned to was replaced",
    }
}

/// Says whether the caller wants JSON on standard error.
pub(super) fn speaks_json() -> bool {
    env::text("PVM_JSON").as_deref() == Some("1")
}

/// Writes a failure to standard error: lines for people, or with `PVM_JSON=1` one JSON object.
/// Nobody may be listening, which changes nothing.
pub(super) fn print(failure: &Failure, program: &str, operation: Option<&Operation>) {
    // No command follows, so a closed pipe may be an error instead of a death.
    let _unchanged = process::ignore_broken_pipes();
    let text = if speaks_json() {
        object(failure, operation)
    } else {
        failure.lines(program)
    };
    let _unheard = std::io::stderr().write_all(text.as_bytes());
}

fn object(failure: &Failure, operation: Option<&Operation>) -> String {
    let decision = match failure.status {
        ExitStatus::Denied | ExitStatus::Usage => "denied",
        _ => "error",
    };
    let scopes = operation.map(Operation::scopes).unwrap_or_default();
    let scopes: Vec<serde_json::Value> = scopes
        .iter()
        .map(|scope| json::bytes(scope.as_bytes()))
        .collect();
    let object = serde_json::json!({
        "decision": decision,
        "reason": failure.message,
        "request_id": null,
        "scopes": scopes,
        "hint": failure.hints.join("; "),
    });
    format!("{object}\n")
}
