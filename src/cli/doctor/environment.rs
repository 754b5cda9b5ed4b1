//! What in the environment of the caller decides which program a name means, or what it does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, name};
use crate::cli::context::Context;
use crate::sys::trust::{self, Searcher};
use crate::sys::{env, fs as sys_fs, process};
use crate::text::escape::{shell_line, shown};

/// The names that pvm answers to.
const NAMES: [&str; 8] = [
    "safe-rm",
    "safe-git-push",
    "safe-trash",
    "pvm",
    "rm",
    "git",
    "trash",
    "trash-put",
];
/// Those of commands that pvm only stands in for where somebody wants that.
const OPT_IN: [&str; 4] = ["rm", "git", "trash", "trash-put"];

/// Variables that decide what programs do: a name for them, and who obeys.
const GROUPS: [(&str, &str, &[&str]); 4] = [
    (
        "the loader",
        "the loader obeys in every program",
        &["LD_", "GLIBC_TUNABLES"],
    ),
    (
        "shells",
        "shells obey, also in scripts",
        &[
            "BASH_ENV",
            "ENV",
            "SHELLOPTS",
            "BASHOPTS",
            "PS4",
            "IFS",
            "CDPATH",
            "BASH_FUNC_",
        ],
    ),
    ("git", "git obeys", &["GIT_"]),
    (
        "interpreters",
        "interpreters obey",
        &[
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONSTARTUP",
            "PYTHONUSERBASE",
            "PERL5LIB",
            "PERL5OPT",
            "PERL5DB",
            "RUBYLIB",
            "RUBYOPT",
            "NODE_OPTIONS",
            "NODE_PATH",
            "LUA_PATH",
            "LUA_INIT",
            "JAVA_TOOL_OPTIONS",
        ],
    ),
];

pub(super) fn look(context: &Context, searcher: &Searcher, findings: &mut Vec<Finding>) {
    let path = env::bytes("PATH").unwrap_or_default();
    let entries: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|entry| entry.is_absolute())
        .collect();
    let before = findings.len();
    let mut seen = BTreeSet::new();
    for entry in entries.iter().filter(|entry| seen.insert(*entry)) {
        findings.extend(odd_directory(entry));
    }
    findings.extend(ahead_of_pvm(searcher, &entries));
    if findings.len() == before && !entries.is_empty() {
        let text = "nobody else can put a command into its directories";
        findings.push(Finding::ok("PATH", text));
    }
    for directory in entries.iter().chain(own_links().as_ref()) {
        findings.extend(stale_links(searcher, directory));
    }
    findings.extend(shadowed(searcher, &entries));
    findings.extend(installations(searcher, &entries));
    variables(context, findings);
}

/// Says what is wrong with a directory on PATH, if something is.
fn odd_directory(entry: &Path) -> Option<Finding> {
    const CHECK: &str = "PATH";
    let shown = name(entry);
    let status = match fs::metadata(entry) {
        Err(error) => {
            let text = format!("{shown}: {error}; whoever can make it decides what commands mean");
            return Some(Finding::warn(CHECK, text).hint("take it out"));
        }
        Ok(status) if !status.is_dir() => {
            let text = format!("{shown} is not a directory");
            return Some(Finding::warn(CHECK, text).hint("take it out"));
        }
        Ok(status) => status,
    };
    // The sticky bit keeps others from taking names away, not from adding some.
    let mode = status.mode() & 0o7777;
    let why = if mode & 0o022 != 0 {
        format!("{shown} can be written by others (mode {mode:04o})")
    } else if status.uid() != 0 && status.uid() != process::uid() {
        format!("{shown} belongs to uid {}", status.uid())
    } else {
        sys_fs::check_directories_above(&entry.join("x"))
            .err()?
            .to_string()
    };
    let text = format!("{why}: others can put commands there");
    Some(Finding::warn(CHECK, text).hint(format!(
        "take it out, or:  chmod go-w {}",
        shell_line([entry.as_os_str().as_bytes()])
    )))
}

/// Looks for directories before pvm's own where the caller, and so its agent, can put a command.
fn ahead_of_pvm(searcher: &Searcher, entries: &[PathBuf]) -> Option<Finding> {
    let holds_own = |entry: &&PathBuf| {
        let guarded = OPT_IN.iter().any(|name| searcher.is_own(&entry.join(name)));
        guarded || searcher.is_own(&entry.join("safe-rm"))
    };
    let own = entries.iter().position(|entry| holds_own(&entry))?;
    // Root can write everywhere.
    let mine = |status: Metadata| status.uid() == process::uid() && process::uid() != 0;
    let ahead = entries
        .iter()
        .take(own)
        .find(|entry| fs::metadata(entry).is_ok_and(mine))?;
    let own = entries.get(own)?;
    let text = format!(
        "{} comes before {}, and you can write it: an agent of yours can put an rm there",
        name(ahead),
        name(own)
    );
    Some(Finding::warn("PATH", text).hint("put pvm's directory first"))
}

/// Returns the directory of the links that an agent's PATH begins with, if there is one.
fn own_links() -> Option<PathBuf> {
    let program = trust::own_program().ok()?;
    let links = program.parent()?.parent()?.join("libexec/pvm/agent-bin");
    links.is_dir().then_some(links)
}

/// Looks for links under pvm's names that lead nowhere, or to another program than they should.
fn stale_links(searcher: &Searcher, directory: &Path) -> Vec<Finding> {
    const CHECK: &str = "links";
    let mut found = Vec::new();
    for link in NAMES.map(|name| directory.join(name)) {
        let is_link = fs::symlink_metadata(&link).is_ok_and(|status| status.is_symlink());
        if !is_link || searcher.is_own(&link) {
            continue;
        }
        let target = fs::read_link(&link).unwrap_or_default();
        let remove = format!("rm {}", shell_line([link.as_os_str().as_bytes()]));
        if fs::metadata(&link).is_err() {
            let text = format!(
                "{} leads to {}, where nothing is: a shell goes on to the next one on PATH",
                name(&link),
                name(&target)
            );
            found.push(Finding::warn(CHECK, text).hint(remove));
        } else if own_links().as_deref() == Some(directory) {
            let text = format!(
                "{} leads to {}, not to this pvm",
                name(&link),
                name(&target)
            );
            found.push(Finding::fail(CHECK, text).hint("install pvm again:  ./install.sh"));
        }
    }
    found
}

/// Looks for commands that have a link of pvm's on PATH, behind something else of that name. What
/// comes first for `rm` is looked at in any case.
fn shadowed(searcher: &Searcher, entries: &[PathBuf]) -> Vec<Finding> {
    let guarded = NAMES
        .into_iter()
        .filter(|name| !["rm", "safe-rm", "pvm"].contains(name));
    let shadow = |wanted: &'static str| {
        let hits = entries.iter().map(|entry| entry.join(wanted));
        let hits: Vec<PathBuf> = hits.filter(|hit| hit.is_file()).collect();
        let own = hits.iter().find(|hit| searcher.is_own(hit))?;
        let first = hits.first()?;
        Some(if first == own {
            Finding::ok(wanted, format!("{} comes first on PATH", name(own)))
        } else {
            let text = format!("{} comes before {} on PATH", name(first), name(own));
            Finding::fail(wanted, format!("{text}: calls are not guarded"))
                .hint("put pvm's directory first")
        })
    };
    guarded.filter_map(shadow).collect()
}

/// Says so when PATH leads to several programs called pvm, which have vaults of their own.
fn installations(searcher: &Searcher, entries: &[PathBuf]) -> Option<Finding> {
    let hits = entries.iter().map(|entry| entry.join("pvm"));
    let others: Vec<String> = hits
        .filter(|hit| hit.is_file() && !searcher.is_own(hit))
        .map(|hit| name(&hit))
        .collect();
    if others.is_empty() {
        return None;
    }
    let own = trust::own_program().unwrap_or_default();
    let text = format!(
        "another pvm is on PATH: {}; this one is {}",
        others.join(", "),
        name(&own)
    );
    Some(Finding::warn("installations", text).hint("each may have a vault of its own; keep one"))
}

fn variables(context: &Context, findings: &mut Vec<Finding>) {
    const CHECK: &str = "environment";
    let set = env::names();
    let before = findings.len();
    for (what, obeyed, names) in GROUPS {
        let hits: Vec<&OsString> = set.iter().filter(|name| is_in(name, names)).collect();
        if hits.is_empty() {
            continue;
        }
        let list: Vec<String> = hits.iter().map(|name| shown(name.as_bytes())).collect();
        let text = format!(
            "{}, which {obeyed}: {}",
            list.join(", "),
            consequence(context, what, &hits)
        );
        findings.push(Finding::warn(CHECK, text).hint(unset(&hits)));
    }
    findings.extend(set.iter().filter_map(function_for_a_guarded_name));
    if findings.len() == before {
        let text =
            "no variable is set that changes what the loader, shells, git or interpreters do";
        findings.push(Finding::ok(CHECK, text));
    }
}

fn is_in(variable: &OsString, names: &[&str]) -> bool {
    names.iter().any(|name| {
        let bytes = variable.as_bytes();
        bytes == name.as_bytes() || (name.ends_with('_') && bytes.starts_with(name.as_bytes()))
    })
}

/// Says what pvm does with such variables, by looking at what it would hand on.
fn consequence(context: &Context, what: &str, hits: &[&OsString]) -> String {
    let environments = [
        env::for_command(&context.account, &context.config.trusted_directories),
        env::for_git(&context.account, &[]),
    ];
    let handed_on = |variable: &&&OsString| {
        let start = [variable.as_bytes(), b"="].concat();
        let mut words = environments.iter().flatten();
        words.any(|word| word.as_bytes().starts_with(&start))
    };
    if let Some(variable) = hits.iter().find(handed_on) {
        return format!(
            "the commands that pvm starts get {}",
            shown(variable.as_bytes())
        );
    }
    match what {
        "the loader" if !cfg!(target_feature = "crt-static") => {
            "pvm itself was loaded with it, and the commands that pvm starts get none of it"
                .to_owned()
        }
        _ => "the commands that pvm starts get none of it".to_owned(),
    }
}

/// pvm's own wrappers/agent-path.sh is meant for `BASH_ENV`, so that one may stay.
fn unset(hits: &[&OsString]) -> String {
    // A shell has no name for its exported functions that unset takes as it is.
    let words = hits.iter().map(|name| match function(name) {
        Some(function) => [b"-f ", function].concat(),
        None => name.as_bytes().to_vec(),
    });
    let words: Vec<String> = words.map(|word| shown(&word)).collect();
    let unless = if hits.iter().any(|name| *name == "BASH_ENV") {
        ", unless BASH_ENV is pvm's agent-path.sh"
    } else {
        ""
    };
    format!("unset {}{unless}", words.join("; unset "))
}

/// Returns the name of the function that bash makes of a variable (bash(1), "export -f").
fn function(variable: &OsString) -> Option<&[u8]> {
    let name = variable.as_bytes().strip_prefix(b"BASH_FUNC_")?;
    Some(name.strip_suffix(b"%%").unwrap_or(name))
}

fn function_for_a_guarded_name(variable: &OsString) -> Option<Finding> {
    let guarded = function(variable)
        .filter(|function| NAMES.iter().any(|name| name.as_bytes() == *function))?;
    let function = shown(guarded);
    let text = format!("a shell function comes before any {function} on PATH in every bash");
    Some(Finding::fail("environment", text).hint(format!("unset -f {function}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_10_variables_are_told_by_whole_names_and_families() {
        let group = |what: &str| {
            let (_, _, names) = GROUPS.into_iter().find(|(name, ..)| *name == what).unwrap();
            move |variable: &str| is_in(&OsString::from(variable), names)
        };
        for name in ["LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES"] {
            assert!(group("the loader")(name), "{name}");
        }
        assert!(!group("the loader")("OLD_LD_PRELOAD"));
        assert!(group("shells")("ENV") && group("shells")("BASH_FUNC_rm%%"));
        assert!(!group("shells")("ENVIRONMENT"));
        assert!(group("git")("GIT_DIR") && !group("git")("GITHUB_TOKEN"));
        assert!(!group("interpreters")("PYTHONUNBUFFERED"));
    }

    #[test]
    fn an_exported_function_of_a_guarded_name_is_named() {
        let finding = function_for_a_guarded_name(&OsString::from("BASH_FUNC_rm%%")).unwrap();
        assert_eq!(finding.hint.as_deref(), Some("unset -f rm"));
        assert!(function_for_a_guarded_name(&OsString::from("BASH_FUNC_rmdir%%")).is_none());
    }
}
