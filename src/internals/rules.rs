use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::action::{Action, ActionSet};
use crate::model::agent::{Agent, AgentName};
use crate::model::operation::{FileIdentity, Invocation, Objects, Operation, Target, TargetKind};
use crate::model::repository::RepositoryScope;
use crate::model::rule::{Effect, Matter, Policy, Rule, Words};
use crate::model::scope::{PathScope, Scope};
use crate::model::time::Moment;
use crate::policy::evaluate::{Decision, Denial, Facts, Site, Sites, evaluate};
use crate::sys::clock::{self, ClockError};

/// Rules of every kind, and operations that none of them is about: the whole list is walked.
#[derive(Debug)]
pub struct RuleBench {
    policy: Policy,
    sites: Sites,
    agent: Agent,
    now: Moment,
    path: Operation,
    command: Operation,
    behind_env: Operation,
}

impl RuleBench {
    pub fn new(count: usize) -> Result<Self, String> {
        let rules: Vec<Rule> = (0..count).filter_map(rule).collect();
        let sites = rules.iter().enumerate().filter_map(|(place, rule)| {
            rule.scope()
                .and_then(Scope::path)
                .filter(|_| rule.effect != Effect::Allow)?;
            let inode = u64::try_from(place).ok()?;
            Some(Site {
                rule: place,
                names: Vec::new(),
                ancestry: vec![FileIdentity { device: 9, inode }],
                commands: Vec::new(),
            })
        });
        let words = [
            "tool",
            "build",
            "--release",
            "--target",
            "x86_64-unknown-linux-gnu",
            "-v",
        ];
        let behind = ["env", "A=1", "tool", "build", "--release", "-v"];
        let now = clock::now().map_err(|error: ClockError| error.to_string())?;
        Ok(Self {
            now,
            sites: Sites::new(sites.collect()),
            policy: Policy {
                rules,
                ..Policy::default()
            },
            agent: Agent {
                name: AgentName::default(),
                uid: 1000,
                pid: 1,
            },
            path: removal(),
            command: run(&words, "/usr/bin/tool", Vec::new()),
            behind_env: run(&behind, "/usr/bin/env", (1..behind.len()).collect()),
        })
    }

    /// Decides the removal of a directory, and says whether a rule matched, which none does.
    pub fn path(&self) -> bool {
        self.matches(&self.path)
    }

    pub fn command(&self) -> bool {
        self.matches(&self.command)
    }

    pub fn command_behind_env(&self) -> bool {
        self.matches(&self.behind_env)
    }

    fn matches(&self, operation: &Operation) -> bool {
        let facts = Facts {
            agent: &self.agent,
            now: &self.now,
            protected: &[],
            policy: &self.policy,
            sites: &self.sites,
            candidates: &[],
        };
        let decision = evaluate(operation, &facts);
        !matches!(decision, Decision::Deny(Denial::Uncovered { .. }))
    }
}

/// Four of ten are about paths, four about commands, one is for another agent and one about a
/// repository.
fn rule(number: usize) -> Option<Rule> {
    let effect = Effect::ALL.get(number % Effect::ALL.len()).copied()?;
    let path = format!("/home/somebody/src/project-{number}/target/debug");
    let scope = || PathScope::new(Path::new(&path)).ok().map(Scope::Path);
    let command = |texts: &[&str]| {
        let words = Words::parse(texts).ok()?;
        Some(Matter::Command {
            words,
            within: None,
        })
    };
    let name = format!("tool-{number}");
    let (action, matter) = match number % 10 {
        0..=4 => (Action::Rm, Matter::Scope(scope()?)),
        5 => (Action::Exec, command(&[&name, "build", "**"])?),
        6 => (
            Action::Exec,
            command(&["tool", "build", "*-never-*", "**"])?,
        ),
        7 => (Action::Exec, command(&["t*l", "b*d", "--rel*", "--never"])?),
        8 => (Action::Exec, command(&["tool", &name])?),
        _ => {
            let text = format!("github.com/somebody/project-{number}");
            let repository = RepositoryScope::parse(text.as_bytes()).ok()?;
            (
                Action::GitPushForce,
                Matter::Scope(Scope::Repository(repository)),
            )
        }
    };
    Some(Rule {
        effect,
        actions: ActionSet::of(&[action])?,
        matter,
        agent: (number.is_multiple_of(10)).then(AgentName::person),
        reason: String::new(),
        recorded_at: None,
        number: Some(number + 1),
        origin: String::new(),
    })
}

fn removal() -> Operation {
    let path = "/home/somebody/src/project/target/debug/deps";
    let identity = |inode| FileIdentity { device: 1, inode };
    let target = PathScope::new(Path::new(path)).ok().map(|scope| Target {
        operand: OsString::from(path),
        position: 1,
        scope,
        kind: TargetKind::Directory,
        identity: Some(identity(1)),
        lineage: (2..9).map(identity).collect(),
        recursive: true,
    });
    operation(Action::Rm, Objects::Paths(target.into_iter().collect()))
}

fn run(words: &[&str], program: &str, inner: Vec<usize>) -> Operation {
    let invocation = Invocation {
        words: words.iter().map(OsString::from).collect(),
        program: PathBuf::from(program),
        directory: PathScope::new(Path::new("/home/somebody/src/project")).ok(),
        inner,
        ..Invocation::default()
    };
    operation(Action::Exec, Objects::Command(invocation))
}

fn operation(action: Action, objects: Objects) -> Operation {
    Operation {
        action,
        objects,
        argv: Vec::new(),
        cwd: PathBuf::from("/"),
    }
}
