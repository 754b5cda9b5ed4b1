use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::Scratch;
use super::probe::{self, Answer};
use super::{Finding, environment, name};
use crate::broker::Broker;
use crate::cli::context::Context;
use crate::cli::init::path_line;
use crate::model::agent::{Agent, AgentName};
use crate::sys::trust::{self, Search, Searcher};
use crate::sys::{env, process};

/// The names under which `rm` is guarded.
const NAMES: [&str; 2] = ["safe-rm", "rm"];

/// Looks at the wrappers that are installed and at those that PATH gives, and probes each.
///
/// Returns whether one refused as it should, so that the trail has an entry of it.
pub(super) fn look(
    context: &Context,
    broker: Option<&Broker>,
    findings: &mut Vec<Finding>,
) -> bool {
    let own = match trust::own_identity() {
        Ok(own) => own,
        Err(error) => {
            findings.push(Finding::fail("PATH", error.to_string()));
            return false;
        }
    };
    let searcher = Searcher::new(own, &context.config.trusted_directories);
    let path = env::bytes("PATH").unwrap_or_default();
    findings.push(real_rm(&searcher, &path));
    odd_entries(&path, findings);
    let mut wrappers = installed(&searcher, findings);
    for name in NAMES {
        findings.push(first_on_path(&searcher, name, &path, &mut wrappers));
    }
    environment::look(context, &searcher, findings);
    prove(context, broker, &wrappers, findings)
}

fn real_rm(searcher: &Searcher, path: &OsString) -> Finding {
    const CHECK: &str = "real rm";
    match searcher.search("rm", Some(path)) {
        Search::Trusted(program) => {
            Finding::ok(CHECK, format!("{}, trusted", name(program.path())))
        }
        Search::NotFound => Finding::fail(CHECK, "not on PATH, so safe-rm refuses")
            .hint("see what was looked at:  pvm resolve rm"),
        Search::Hijacked { found, .. } => {
            let why = found.distrust.as_ref().map(ToString::to_string);
            let text = format!(
                "{} is not trusted, so safe-rm refuses: {}",
                name(&found.hit),
                why.unwrap_or_default()
            );
            Finding::fail(CHECK, text).hint("see what was looked at:  pvm resolve rm")
        }
    }
}

fn odd_entries(path: &OsString, findings: &mut Vec<Finding>) {
    let odd = |entry: &PathBuf| !entry.is_absolute();
    let count = std::env::split_paths(path).filter(odd).count();
    if count > 0 && !path.is_empty() {
        let text = format!(
            "{count} of its entries are empty or relative: pvm skips them, a shell looks for \
             commands in the working directory"
        );
        findings.push(Finding::warn("PATH", text).hint("take them out"));
    }
}

/// Returns the wrappers that belong to this installation.
fn installed(searcher: &Searcher, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    const CHECK: &str = "wrappers";
    let Some(directory) = trust::own_program()
        .ok()
        .and_then(|p| p.parent().map(Path::to_owned))
    else {
        return Vec::new();
    };
    let safe = directory.join("safe-rm");
    let link = directory.join("../libexec/pvm/agent-bin/rm");
    let mut wrappers = Vec::new();
    if searcher.is_own(&safe) {
        wrappers.push(safe);
    } else if safe.exists() {
        let text = format!("{} is not this pvm", name(&safe));
        findings.push(Finding::fail(CHECK, text).hint("install pvm again:  ./install.sh"));
    } else {
        let text = format!("there is no {}", name(&safe));
        findings
            .push(Finding::warn(CHECK, text).hint(format!("make it:  ln -s pvm {}", name(&safe))));
    }
    if searcher.is_own(&link) {
        let directory = directory.parent().unwrap_or(&directory);
        wrappers.push(directory.join("libexec/pvm/agent-bin/rm"));
    }
    wrappers
}

/// Says what PATH gives for a name that should be pvm's.
fn first_on_path(
    searcher: &Searcher,
    wanted: &'static str,
    path: &OsString,
    wrappers: &mut Vec<PathBuf>,
) -> Finding {
    let directories = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    let hits: Vec<PathBuf> = directories
        .map(|entry| entry.join(wanted))
        .filter(|hit| hit.is_file())
        .collect();
    let own = hits.iter().find(|hit| searcher.is_own(hit)).cloned();
    if let Some(own) = &own
        && !wrappers.contains(own)
    {
        wrappers.push(own.clone());
    }
    let line = path_line().unwrap_or_default();
    match (hits.first(), own) {
        (Some(first), Some(own)) if *first == own => {
            Finding::ok(wanted, format!("{} comes first on PATH", name(&own)))
        }
        (Some(first), Some(own)) => {
            let text = format!("{} comes before {} on PATH", name(first), name(&own));
            Finding::fail(wanted, format!("{text}: calls are not guarded")).hint(line)
        }
        (Some(first), None) if wanted == "rm" => {
            let text = format!(
                "with this PATH it is {}: only safe-rm is guarded",
                name(first)
            );
            Finding::warn(wanted, text).hint(format!("for an agent:  {line}"))
        }
        (Some(first), None) => {
            let text = format!(
                "with this PATH it is {}, which is not this pvm",
                name(first)
            );
            Finding::fail(wanted, text).hint(line)
        }
        (None, _) => Finding::warn(wanted, "not on PATH").hint(format!("for an agent:  {line}")),
    }
}

fn prove(
    context: &Context,
    broker: Option<&Broker>,
    wrappers: &[PathBuf],
    findings: &mut Vec<Finding>,
) -> bool {
    const CHECK: &str = "probe";
    let agent = Agent {
        name: AgentName::parse(probe::AGENT).unwrap_or_default(),
        uid: process::uid(),
        pid: process::pid(),
    };
    let scratch = match broker {
        Some(broker) => Scratch::uncovered(context, broker, &agent),
        None => Scratch::new(Some(&context.account.home)).map(Some),
    };
    let scratch = match scratch {
        Ok(Some(scratch)) => scratch,
        Ok(None) => {
            let text = "not run: grants cover every place where a file could be put";
            findings.push(Finding::warn(CHECK, text).hint("see them:  pvm status"));
            return false;
        }
        Err(error) => {
            findings.push(Finding::warn(
                CHECK,
                format!("not run: no file can be made: {error}"),
            ));
            return false;
        }
    };
    let mut recorded = false;
    for wrapper in wrappers {
        let shown = name(wrapper);
        findings.push(match probe::wrapper(wrapper, &scratch) {
            Ok(Answer::Refused { counted }) => {
                recorded |= !counted;
                Finding::ok(
                    CHECK,
                    format!(
                        "{shown} refused to remove a file without a grant, and it is still there"
                    ),
                )
            }
            Ok(Answer::Removed) => {
                Finding::fail(CHECK, format!("{shown} REMOVED A FILE WITHOUT A GRANT"))
                    .hint("stop your agents, and see the last entry:  pvm audit --limit 1")
            }
            Ok(Answer::Other { status, said }) => {
                let status = status.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                Finding::fail(
                    CHECK,
                    format!("{shown} refuses everything, with {status}: {said}"),
                )
            }
            Err(error) => Finding::fail(CHECK, format!("{shown} cannot be run: {error}")),
        });
    }
    recorded
}
