use std::borrow::Cow;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use super::refusal;
use super::run::{Run, Stopped};
use crate::broker::{Afterwards, Attempt, Work};
use crate::failure::{ExitStatus, Failure};
use crate::model::action::Action;
use crate::model::id::Id;
use crate::model::operation::{Objects, Operation};
use crate::sys::trust::{Program, TrustedProgram};
use crate::sys::{env, exec, random};
use crate::text::escape::{shell_word, shown};
use crate::text::redact;
use crate::tool::git::globals::Globals;
use crate::tool::git::keep::{self, Git, KeepError, Kept};
use crate::tool::git::open::{self, Opened};
use crate::tool::git::options::{self, PushWords};
use crate::tool::git::pin::Pin;
use crate::tool::git::plan::{self, Refused};
use crate::tool::git::push::{Push, Upstream};
use crate::tool::git::refs::HEADS;
use crate::tool::git::remote::default::NoDefault;
use crate::tool::git::words;

pub(super) const REAL_NAME: &str = "git";

/// The caller's variables that would have chosen another repository or configuration.
const IGNORED: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_GLOBAL",
    "GIT_SSH_COMMAND",
    "GIT_SSH",
];

/// Runs `safe-git-push`: `git push`, where a push that could overwrite or delete needs a grant.
///
/// `argv` is what was typed, the program's name first; `name` is that name.
pub(crate) fn run(name: &str, argv: &[OsString]) -> ExitStatus {
    let words = argv.get(1..).unwrap_or_default();
    let nothing = Globals {
        options: Vec::new(),
        words: &[],
        subcommand: None,
        rest: words,
    };
    finish(name, pipeline(name, argv, &nothing))
}

/// Runs `git ... push`, with what stood before and behind `push`.
pub(super) fn run_as_git(argv: &[OsString], globals: &Globals<'_>) -> ExitStatus {
    finish(REAL_NAME, pipeline(REAL_NAME, argv, globals))
}

fn finish(name: &str, outcome: Result<ExitStatus, Stopped>) -> ExitStatus {
    match outcome {
        Ok(status) => status,
        Err(stopped) => stopped.print(name),
    }
}

fn pipeline(name: &str, argv: &[OsString], globals: &Globals<'_>) -> Result<ExitStatus, Stopped> {
    let mut run = Run::begin(Action::GitPush, argv)?;
    run.argv = Cow::Owned(redact::words(argv));
    let asked =
        options::parse(globals.rest).map_err(|error| run.recorded(refused(&error.into())))?;
    let cwd = run.working_directory()?;
    let program = run.find_program(REAL_NAME)?;
    let operation = |action, repositories| Operation {
        action,
        objects: Objects::Repositories(repositories),
        argv: run.argv.to_vec(),
        cwd: cwd.clone(),
    };
    let explain = |action: Action| {
        let ttl = run.config.default_ttl;
        move |refusal: &crate::broker::Refusal, _: &Operation| {
            refusal::explain(refusal, action, ttl)
        }
    };
    if asked.informational {
        let attempt = informational(
            &run,
            operation(Action::GitPush, Vec::new()),
            program,
            globals,
        );
        return run.carry_out(attempt, explain(Action::GitPush));
    }
    let opened = open::open(&globals.options, &cwd, &run.account.home, program.path())
        .map_err(|error| run.recorded(refused(&error)))?;
    let push = plan::plan(&asked, &opened).map_err(|error| run.recorded(refused(&error)))?;
    let action = if push.force {
        Action::GitPushForce
    } else {
        Action::GitPush
    };
    let operation = operation(action, push.scopes());
    let mut draft = Draft {
        run: &run,
        asked: &asked,
        opened: &opened,
        push,
        program,
    };
    if action == Action::GitPush {
        warn_of_ignored(name);
        let attempt = draft.attempt(operation, None)?;
        return run.carry_out(attempt, explain(action));
    }
    // What would be overwritten is kept before it is, but not before it may be.
    let attempt = draft.attempt(operation.clone(), None)?;
    run.foresee(&attempt, explain(action))?;
    warn_of_ignored(name);
    let kept = if asked.dry_run {
        None
    } else {
        Some(draft.keep().map_err(|failure| run.recorded(failure))?)
    };
    let attempt = draft.attempt(operation, kept.as_ref())?;
    run.carry_out(attempt, explain(action))
}

/// A push that was looked at, and everything that running it needs.
struct Draft<'a> {
    run: &'a Run<'a>,
    asked: &'a PushWords,
    opened: &'a Opened,
    push: Push,
    program: TrustedProgram,
}

impl Draft<'_> {
    /// Returns names for one run of git that no earlier one has seen: what that one ran, a hook or
    /// the program behind `core.sshCommand`, may have told them on.
    fn pin(&self) -> Result<Pin, Failure> {
        Pin::new(&self.push, &self.opened.settings).map_err(Failure::internal)
    }

    fn git<'g>(&'g self, environment: &'g [CString]) -> Git<'g> {
        Git {
            program: self.program.path(),
            globals: &self.opened.globals,
            environment,
        }
    }

    /// Keeps what would be overwritten, and names what would be pruned.
    fn keep(&mut self) -> Result<Kept, Failure> {
        let id = random::bytes().map_err(Failure::internal)?;
        let id = Id::from_random(id).map_err(Failure::internal)?;
        let pin = self.pin()?.without_hooks();
        let environment = environment(self.run, self.opened, &pin);
        let git = self.git(&environment);
        let kept = keep::keep(&git, &self.push, &pin, &id).map_err(|error| unkept(&error))?;
        kept.check_leases(&git, &self.push, &self.asked.leases)
            .map_err(|error| unkept(&error))?;
        if self.push.prune {
            let orphans = kept.orphans(&git, &self.push);
            let orphans = orphans.map_err(|error| unkept(&error))?;
            self.push.updates.extend(orphans);
            self.push.prune = false;
        }
        Ok(kept)
    }

    fn attempt(&self, operation: Operation, kept: Option<&Kept>) -> Result<Attempt, Stopped> {
        let leases = kept.map(|kept| kept.leases(&self.push, &self.asked.leases));
        let mut argv = vec![OsString::from(REAL_NAME)];
        argv.extend_from_slice(&self.opened.globals);
        argv.push(OsString::from("push"));
        let pin = self.pin()?;
        let remote = pin.remote();
        argv.extend(words::canonical(
            self.asked,
            &self.push,
            leases.as_deref(),
            remote,
        ));
        Ok(Attempt {
            agent: self.run.agent.clone(),
            operation,
            pins: Vec::new(),
            program: Some(Program::Trusted(self.program.clone())),
            environment: environment(self.run, self.opened, &pin),
            work: Work::Push {
                executed: redact::words(&argv),
                remote: self.push.remote.clone(),
                repository: self.opened.repository.directory().to_owned(),
                kept: kept.map(Kept::lines).unwrap_or_default(),
                afterwards: self.afterwards()?,
            },
            argv,
        })
    }

    /// What `-u` writes: git itself would write the random name of the remote.
    fn afterwards(&self) -> Result<Option<Afterwards>, Stopped> {
        let mut upstreams = self.push.upstreams.clone();
        if self.push.upstream_of_all {
            upstreams.extend(self.branches()?);
        }
        if upstreams.is_empty() {
            return Ok(None);
        }
        let mut afterwards = Afterwards::default();
        for upstream in &upstreams {
            let remote = shown(&self.push.remote);
            let merge = upstream.merge.as_bytes();
            let short = merge.strip_prefix(HEADS).unwrap_or(merge);
            let (branch, short) = (shown(&upstream.branch), shown(short));
            if self.asked.dry_run {
                let line = format!("Would set upstream of '{branch}' to '{short}' of '{remote}'\n");
                afterwards.lines.push_str(&line);
                continue;
            }
            let key =
                |name: &str| [b"branch.", upstream.branch.as_slice(), name.as_bytes()].concat();
            for (key, value) in [
                (key(".remote"), self.push.remote.as_slice()),
                (key(".merge"), merge),
            ] {
                afterwards.commands.push(self.config_command(key, value)?);
            }
            if self.asked.verbosity >= 0 {
                let line = format!("branch '{branch}' set up to track '{remote}/{short}'.\n");
                afterwards.lines.push_str(&line);
            }
        }
        Ok(Some(afterwards))
    }

    fn config_command(&self, key: Vec<u8>, value: &[u8]) -> Result<Vec<CString>, Stopped> {
        let mut words = vec![OsString::from(REAL_NAME)];
        words.extend_from_slice(&self.opened.globals);
        words.extend([
            OsString::from("config"),
            OsString::from("--replace-all"),
            OsString::from_vec(key),
            OsString::from_vec(value.to_vec()),
        ]);
        exec::c_words(&words)
            .ok_or_else(|| Failure::internal("a branch has a NUL byte in its name").into())
    }

    fn branches(&self) -> Result<Vec<Upstream>, Stopped> {
        let environment = env::for_git(&self.run.account, &self.opened.variables);
        let listed = self
            .git(&environment)
            .run(
                &["for-each-ref", "--format=%(refname)", "refs/heads/"],
                &[],
                b"",
            )
            .map_err(Failure::internal)?
            .map_err(|status| {
                Failure::internal(format!("cannot list the branches: git says {status}"))
            })?;
        let upstream = |line: &[u8]| {
            Some(Upstream {
                branch: line.strip_prefix(HEADS)?.to_vec(),
                merge: crate::model::repository::RefName::new(line).ok()?,
            })
        };
        Ok(listed
            .split(|byte| *byte == b'\n')
            .filter_map(upstream)
            .collect())
    }
}

fn environment(run: &Run<'_>, opened: &Opened, pin: &Pin) -> Vec<CString> {
    let mut pinned = opened.variables.clone();
    pinned.extend(pin.variables());
    env::for_git(&run.account, &pinned)
}

/// `git push --help` and `-h` push nothing, whatever stands beside them.
fn informational(
    run: &Run<'_>,
    operation: Operation,
    program: TrustedProgram,
    globals: &Globals<'_>,
) -> Attempt {
    let manual = globals.rest.iter().any(|word| word == "--help");
    let argv = [REAL_NAME, "push", if manual { "--help" } else { "-h" }].map(OsString::from);
    let argv = argv.to_vec();
    Attempt {
        agent: run.agent.clone(),
        operation,
        pins: Vec::new(),
        program: Some(Program::Trusted(program)),
        argv,
        environment: env::for_git(&run.account, &[]),
        work: Work::Run,
    }
}

fn ignored() -> Vec<&'static str> {
    let mut names = IGNORED.to_vec();
    names.retain(|variable| env::bytes(variable).is_some());
    names
}

/// Says what of the caller's environment git does not see. It is no refusal, so a program that reads
/// those as JSON does not get it.
fn warn_of_ignored(name: &str) {
    if refusal::speaks_json() {
        return;
    }
    let set = ignored();
    if !set.is_empty() {
        let line = format!("{name}: ignored: {}\n", set.join(", "));
        let _unheard = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }
}

fn refused(refused: &Refused) -> Failure {
    let what = shown(refused.to_string().as_bytes());
    let denied = Failure::new(ExitStatus::Denied, format!("permission denied: {what}"));
    // git would not push either.
    let failed = Failure::new(ExitStatus::Denied, what.clone());
    match refused {
        Refused::Words(_) | Refused::Refspec(_) => {
            Failure::usage(what).hint("pvm passes on only what it knows; see git-push(1)")
        }
        Refused::ForceAndLease => Failure::usage(what).hint("use one of them"),
        Refused::Mirror => Failure::usage(what).hint("push without refspecs, or to its URL"),
        Refused::WideUpstream(_) => Failure::usage(what).hint("name the branches"),
        Refused::Submodules(_) => {
            denied.hint("push each submodule first, then:  --recurse-submodules=check")
        }
        Refused::NoDefault {
            remote,
            reason: NoDefault::NoUpstream { branch },
        } => failed.hint(format!(
            "push it and set one:  safe-git-push --set-upstream {} {}",
            shell_word(remote),
            shell_word(branch)
        )),
        Refused::NoDefault { .. } => failed.hint("say what to push:  REMOTE BRANCH"),
        Refused::NoSource(_) => failed.hint("see what there is:  git branch --list"),
        Refused::NoRepository { .. } => failed.hint("see where pushes go:  git remote -v"),
        Refused::Repository(_) => match ignored().as_slice() {
            [] => failed,
            set => failed.hint(format!("ignored: {}", set.join(", "))),
        },
        Refused::Destination(_) => denied.hint("write it in full:  refs/heads/NAME"),
        Refused::Random(_) => Failure::internal(what),
        _ => denied.hint("see what can be pushed and what not:  man safe-git-push"),
    }
}

fn unkept(error: &KeepError) -> Failure {
    let what = shown(error.to_string().as_bytes());
    Failure::new(
        ExitStatus::Denied,
        format!("permission denied: what would be overwritten cannot be kept: {what}"),
    )
    .hint("nothing was pushed")
}
