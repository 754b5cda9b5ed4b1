use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::operation::{FileIdentity, Invocation, Target, TargetKind};
use crate::model::repository::RepositoryScope;
use crate::model::rule::{Effect, Matter, Policy, Rule, WordPattern, Words};
use crate::model::scope::{PathScope, Scope};

/// One thing that an operation would touch, and that has to be allowed for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Path(&'a Target),
    Repository(&'a RepositoryScope),
    Command(&'a Invocation),
}

impl Subject<'_> {
    /// Returns what a grant has to cover; nothing for a command that runs in `/`.
    pub(super) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Path(target) => Some(Scope::Path(target.scope.clone())),
            Self::Repository(repository) => Some(Scope::Repository((*repository).clone())),
            Self::Command(command) => command.directory.clone().map(Scope::Path),
        }
    }
}

/// What the file system says of the scope of a rule that forbids: operands are known by what it
/// calls them.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The rule's place in the policy.
    pub(crate) rule: usize,
    /// Its other names.
    pub(crate) names: Vec<PathScope>,
    /// The directory that it is, and those above where the operation takes whole trees along; a bind
    /// mount gives a directory a second name, and these find it under any.
    pub(crate) ancestry: Vec<FileIdentity>,
    /// Which of [`Invocation::commands`] start the very file that the first pattern names, under
    /// whatever name.
    pub(crate) commands: Vec<usize>,
}

/// At most one for each rule, in the order of the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites(Vec<Site>);

impl Sites {
    pub(crate) fn new(mut sites: Vec<Site>) -> Self {
        sites.sort_by_key(|site| site.rule);
        Self(sites)
    }

    /// Gives everything that tells these from others to `take`, piece by piece; each piece has a
    /// length that is fixed, or given before it.
    pub(crate) fn each(&self, mut take: impl FnMut(&[u8])) {
        for site in &self.0 {
            let lengths = [site.names.len(), site.ancestry.len(), site.commands.len()];
            for number in [site.rule].iter().chain(&lengths).chain(&site.commands) {
                take(&(*number as u64).to_be_bytes());
            }
            for name in &site.names {
                take(&(name.as_bytes().len() as u64).to_be_bytes());
                take(name.as_bytes());
            }
            for FileIdentity { device, inode } in &site.ancestry {
                take(&device.to_be_bytes());
                take(&inode.to_be_bytes());
            }
        }
    }
}

impl Site {
    fn is_touched_by(&self, target: &Target) -> bool {
        let within = self.ancestry.first().is_some_and(|own| {
            let is_it = target.kind == TargetKind::Directory && target.identity == Some(*own);
            is_it || target.lineage.contains(own)
        });
        let holds = |identity| target.recursive && self.ancestry.contains(&identity);
        within
            || target.identity.is_some_and(holds)
            || self.names.iter().any(|scope| touches(scope, target, true))
    }
}

/// What one rule is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) action: Action,
    pub(crate) agent: &'a Agent,
    pub(crate) subject: Subject<'a>,
}

/// Returns the rule that decides, if one matches: a deny before an ask before an allow. Of several
/// allows it is the one that leaves the least to the operation, wherever it stands; of equals it is
/// the first.
pub(super) fn strongest<'p>(
    policy: &'p Policy,
    sites: &Sites,
    question: Question<'_>,
) -> Option<&'p Rule> {
    let mut best: Option<&Rule> = None;
    for (rule, site) in with_sites(policy, sites) {
        let stronger = best.is_none_or(|best| {
            let allow = rule.effect == Effect::Allow && best.effect == Effect::Allow;
            rule.effect > best.effect
                || (allow
                    && narrowness(rule, question.subject) > narrowness(best, question.subject))
        });
        if stronger && matches(rule, site, question) {
            best = Some(rule);
            if rule.effect == Effect::Deny {
                break;
            }
        }
    }
    best
}

/// Orders the allows that match one thing by how far the kernel is told to confine what they allow:
/// by a scope rather than not at all, by the innermost, and one without the right to remove first.
fn narrowness(rule: &Rule, subject: Subject<'_>) -> (bool, usize, bool) {
    let confines = match (rule.scope(), subject) {
        (None, _) => false,
        // The right to remove a file is one to the directory that holds it.
        (Some(Scope::Path(scope)), Subject::Path(target)) => {
            target.kind != TargetKind::Entry || scope.covers_strictly(&target.scope)
        }
        (Some(_), _) => true,
    };
    let length = rule.scope().map_or(0, |scope| scope.as_bytes().len());
    (confines, length, !rule.actions.contains(Action::Rm))
}

/// Returns every rule that matches, in their order.
pub(super) fn all<'p>(policy: &'p Policy, sites: &Sites, question: Question<'_>) -> Vec<&'p Rule> {
    with_sites(policy, sites)
        .filter(|(rule, site)| matches(rule, *site, question))
        .map(|(rule, _)| rule)
        .collect()
}

fn with_sites<'a, 'p>(
    policy: &'p Policy,
    sites: &'a Sites,
) -> impl Iterator<Item = (&'p Rule, Option<&'a Site>)> {
    let mut left = sites.0.iter().peekable();
    policy
        .rules
        .iter()
        .enumerate()
        .map(move |(place, rule)| (rule, left.next_if(|site| site.rule == place)))
}

fn matches(rule: &Rule, site: Option<&Site>, question: Question<'_>) -> bool {
    if !rule.actions.contains(question.action) {
        return false;
    }
    let named = rule.agent.as_ref();
    if named.is_some_and(|name| *name != question.agent.name) {
        return false;
    }
    let forbids = rule.effect != Effect::Allow;
    let site = site.filter(|_| forbids);
    match (&rule.matter, question.subject) {
        (Matter::Anything, _) => true,
        (Matter::Scope(Scope::Path(scope)), Subject::Path(target)) => {
            touches(scope, target, forbids) || site.is_some_and(|site| site.is_touched_by(target))
        }
        (Matter::Below(Scope::Path(scope)), Subject::Path(target)) => {
            scope.covers_strictly(&target.scope)
        }
        (Matter::Scope(Scope::Repository(scope)), Subject::Repository(repository)) => {
            // A push to refs that are not known yet may reach the one that is forbidden.
            scope.covers(repository) || (forbids && repository.covers(scope))
        }
        (Matter::Scope(Scope::Path(scope)), Subject::Command(command)) => {
            runs_in(scope, site, command)
        }
        (Matter::Command { words, within }, Subject::Command(command)) => {
            let in_scope = match within {
                None => true,
                Some(Scope::Path(scope)) => runs_in(scope, site, command),
                Some(Scope::Repository(_)) => false,
            };
            in_scope && fits(words, site, command, forbids)
        }
        _ => false,
    }
}

/// An allow covers what lies in it. What forbids also holds for a directory that would go with
/// everything below, when the forbidden place is among that.
fn touches(scope: &PathScope, target: &Target, forbids: bool) -> bool {
    scope.covers(&target.scope) || (forbids && target.recursive && target.scope.covers(scope))
}

fn runs_in(scope: &PathScope, site: Option<&Site>, command: &Invocation) -> bool {
    let Some(directory) = &command.directory else {
        return false;
    };
    let names = site.map(|site| site.names.as_slice()).unwrap_or_default();
    let itself = site.and_then(|site| site.ancestry.first());
    scope.covers(directory)
        || names.iter().any(|scope| scope.covers(directory))
        || itself.is_some_and(|itself| command.lineage.contains(itself))
}

/// A program is forbidden by any name it has, and by what a command like `env` would run (V-D23,
/// V-D25).
fn fits(words: &Words, site: Option<&Site>, command: &Invocation, forbids: bool) -> bool {
    let Some((typed, arguments)) = command.words.split_first() else {
        return false;
    };
    let program = command.program.as_os_str().as_bytes();
    if !forbids {
        let allowed = |first| is_allowed_name(first, typed.as_bytes(), program);
        return words.first().is_none_or(allowed) && words.fit_arguments(arguments, false);
    }
    let same_file = site
        .map(|site| site.commands.as_slice())
        .unwrap_or_default();
    command.commands().enumerate().any(|(place, spoken)| {
        let named = words.first().is_none_or(|first| {
            is_name(first, spoken.name.as_bytes())
                || (place == 0 && is_name(first, program))
                || same_file.contains(&place)
        });
        named
            && if spoken.is_cut {
                words.begin_arguments(spoken.arguments)
            } else {
                words.fit_arguments(spoken.arguments, true)
            }
    })
}

/// A name allows what PATH has under it, a path the file itself: `git` is not `/tmp/evil/git`, and
/// `/usr/bin/../../tmp/evil/git` is not in `/usr/bin` (V-D25).
fn is_allowed_name(pattern: &WordPattern, typed: &[u8], program: &[u8]) -> bool {
    if !pattern.text().contains('/') {
        return !typed.contains(&b'/') && pattern.matches(typed, false);
    }
    let is_plain = |path| PathScope::new(Path::new(OsStr::from_bytes(path))).is_ok();
    let fits = |path| pattern.matches(path, false) && is_plain(path);
    is_plain(program) && (fits(program) || fits(typed))
}

fn is_name(pattern: &WordPattern, word: &[u8]) -> bool {
    let base = word.rsplit(|byte| *byte == b'/').next().unwrap_or(word);
    pattern.matches(word, true) || pattern.matches(base, true)
}

#[cfg(test)]
mod tests;
