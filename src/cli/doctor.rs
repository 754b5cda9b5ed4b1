mod environment;
mod log;
mod place;
mod probe;
mod wrappers;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{self, Stop};
use super::person;
use crate::broker::Broker;
use crate::config::{Config, ConfigError};
use crate::confine;
use crate::failure::ExitStatus;
use crate::model::confinement::Mode;
use crate::sys::account::Account;
use crate::sys::{clock, fs, process, trust};
use crate::text::escape::shown;

/// Say what is enforced right now, and prove it
///
/// Checks the configuration, the program, the kernel, the clock, the vault, the JSON log and the
/// environment, and runs every wrapper on a file of its own, which it has to refuse: that leaves refusals of an agent
/// 'pvm-doctor' in the trail. Exit status 1 when something is wrong.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }

    fn style(self) -> Style {
        let colour = match self {
            Self::Ok => AnsiColor::Green,
            Self::Warn => AnsiColor::Yellow,
            Self::Fail => AnsiColor::Red,
        };
        Style::new().fg_color(Some(colour.into()))
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    level: Level,
    check: &'static str,
    message: String,
    hint: Option<String>,
}

impl Finding {
    fn new(level: Level, check: &'static str, message: impl Into<String>) -> Self {
        Self {
            level,
            check,
            message: message.into(),
            hint: None,
        }
    }

    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, message)
    }

    fn warn(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warn, check, message)
    }

    fn fail(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Fail, check, message)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitStatus, Stop> {
        let findings = examine();
        let fails = findings.iter().any(|found| found.level == Level::Fail);
        if self.json {
            output::json(&to_json(&findings, !fails))?;
        } else {
            show(&findings)?;
        }
        Ok(if fails {
            ExitStatus::Denied
        } else {
            ExitStatus::Success
        })
    }
}

fn to_json(findings: &[Finding], ok: bool) -> serde_json::Value {
    json!({
        "mode": "advisory",
        "ok": ok,
        "findings": findings.iter().map(|found| json!({
            "level": found.level.name().to_ascii_lowercase(),
            "check": found.check,
            "message": found.message,
            "hint": found.hint,
        })).collect::<Vec<_>>(),
    })
}

fn show(findings: &[Finding]) -> Result<(), Stop> {
    output::line(super::status::MODE)?;
    output::line("")?;
    for found in findings {
        let (level, style) = (found.level.name(), found.level.style());
        output::line(format!(
            "{style}{level:<4}{style:#}  {}: {}",
            found.check, found.message
        ))?;
        if let Some(hint) = &found.hint {
            output::line(format!("        hint: {hint}"))?;
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

fn examine() -> Vec<Finding> {
    let mut findings = Vec::new();
    let loaded = Config::load();
    configuration(&loaded, &mut findings);
    findings.push(program());
    findings.push(match clock::now() {
        Ok(_) => Finding::ok("clock", "plausible"),
        Err(error) => Finding::fail("clock", error.to_string()).hint("set it"),
    });
    let Ok((config, account)) = loaded else {
        return findings;
    };
    let context = Context { config, account };
    findings.push(answers(&context));
    findings.push(landlock(context.config.landlock));
    let broker = vault(&context, &mut findings);
    let mark = log::mark(&context);
    let probed = wrappers::look(&context, broker.as_ref(), &mut findings);
    findings.push(log::look(&context, mark.as_ref(), probed));
    findings
}

fn configuration(loaded: &Result<(Config, Account), ConfigError>, findings: &mut Vec<Finding>) {
    const CHECK: &str = "configuration";
    let config = match loaded {
        Ok((config, _)) => config,
        Err(error) => {
            let finding = Finding::fail(CHECK, format!("{error}; every wrapper refuses"));
            findings.push(finding.hint("see where it is looked for:  pvm config path"));
            return;
        }
    };
    findings.push(match &config.source {
        Some(path) => Finding::ok(CHECK, format!("{} is in force", name(path))),
        None => Finding::ok(CHECK, "there is no file, the defaults are in force"),
    });
    for directory in &config.trusted_directories {
        if !directory.is_dir() {
            let text = format!(
                "resolver.trusted_dirs has {}, which is no directory",
                name(directory)
            );
            findings.push(Finding::warn(CHECK, text).hint("take it out: who makes it is trusted"));
        }
    }
    let readable = |path: &Path| std::fs::metadata(path).is_ok_and(|at| at.mode() & 0o044 != 0);
    if let Some(path) = config.source.as_deref()
        && config.passphrase.is_some()
        && readable(path)
    {
        let text = format!("others can read {}, and guess the passphrase", name(path));
        findings.push(Finding::warn(CHECK, text).hint(format!("chmod 600 {}", name(path))));
    }
}

/// Looks at who can replace the program that runs.
fn program() -> Finding {
    const CHECK: &str = "program";
    let path = match trust::own_program() {
        Ok(path) => path,
        Err(error) => return Finding::fail(CHECK, error.to_string()),
    };
    let owners = [0, process::uid()];
    match fs::open_trusted(&path, &owners).and_then(|_| fs::check_directories_above(&path)) {
        Ok(()) => Finding::ok(CHECK, format!("nobody else can replace {}", name(&path))),
        Err(suspicion) => Finding::fail(CHECK, suspicion.to_string())
            .hint("install pvm where only you or root can write"),
    }
}

/// Says whether a grant could be given from here.
fn answers(context: &Context) -> Finding {
    const CHECK: &str = "answers";
    let asked = match &context.config.passphrase {
        Some(_) => "; the passphrase is asked for",
        None => "",
    };
    if context.config.unattended {
        let text = format!("any process of yours can give grants, agents too{asked}");
        return Finding::warn(CHECK, text).hint("set approver.unattended = false in pvm.toml");
    }
    Finding::ok(
        CHECK,
        match person::sign_of_an_agent() {
            None => format!("grants can be given from here{asked}"),
            Some(sign) => format!("no grant can be given from here: {sign}"),
        },
    )
}

fn landlock(mode: Mode) -> Finding {
    const CHECK: &str = "landlock";
    let abi = match (confine::kernel_abi(), mode) {
        (_, Mode::Off) => {
            return Finding::warn(CHECK, "switched off: commands run unconfined")
                .hint("set exec.landlock = \"auto\" in pvm.toml");
        }
        (Err(error), Mode::Required) => {
            return Finding::fail(
                CHECK,
                format!("{error}, and it is required: every wrapper refuses"),
            )
            .hint("a newer kernel, or exec.landlock = \"auto\" in pvm.toml");
        }
        (Err(error), Mode::Auto) => {
            return Finding::warn(
                CHECK,
                format!("{error}: operands are pinned instead, for GNU rm only"),
            );
        }
        (Ok(abi), _) => abi,
    };
    match place::Scratch::new(None).and_then(|scratch| probe::landlock(&scratch)) {
        Ok(()) => Finding::ok(
            CHECK,
            format!("ABI {abi}; a ruleset refused a removal just now"),
        ),
        Err(error) => Finding::fail(CHECK, format!("ABI {abi}, but {error}")),
    }
}

/// Opens the vault as every command does, which checks owners, modes and schema.
fn vault(context: &Context, findings: &mut Vec<Finding>) -> Option<Broker> {
    const CHECK: &str = "vault";
    let path = name(&context.config.vault);
    let opened = Broker::open(context.settings())
        .and_then(|broker| broker.snapshot(0).map(|snapshot| (broker, snapshot)));
    let (broker, snapshot) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let finding = Finding::fail(CHECK, format!("{error}; every wrapper refuses"));
            let advice = error.advice().filter(|advice| !advice.contains("doctor"));
            findings.push(match advice {
                Some(advice) => finding.hint(advice),
                None => finding,
            });
            return None;
        }
    };
    findings.push(Finding::ok(
        CHECK,
        format!(
            "{path}: yours alone, schema as made, live grants: {}, trail at entry {}",
            snapshot.live.len(),
            snapshot.head.seq
        ),
    ));
    for suspicion in companions(&broker) {
        findings.push(Finding::fail(CHECK, suspicion).hint("make it yours alone:  chmod 600"));
    }
    Some(broker)
}

/// Checks what stands beside the vault under its name: the journal, the lock.
fn companions(broker: &Broker) -> Vec<String> {
    let vault = broker.vault();
    let own = vault.path().file_name().unwrap_or_default().as_bytes();
    let entries = match std::fs::read_dir(vault.directory()) {
        Ok(entries) => entries,
        Err(error) => return vec![format!("{}: {error}", name(vault.directory()))],
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_bytes().starts_with(own))
        .filter_map(|entry| match fs::check_private_file(&entry.path()) {
            // It may be gone by now, like a draft or a journal.
            Err(suspicion) if !suspicion.is_missing() => Some(suspicion.to_string()),
            _ => None,
        })
        .collect()
}
