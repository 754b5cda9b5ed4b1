use std::collections::BTreeMap;

use crate::model::action::{Action, ActionSet};
use crate::model::agent::AgentName;
use crate::model::rule::{Effect, Matter, Rule, Words};
use crate::model::scope::Scope;

/// The rules that were read so far, by what they say, so that each new one is compared with the few
/// that could decide in its place.
#[derive(Default)]
pub(super) struct Known {
    // A hash map takes random numbers, and the process dies where there are none.
    rules: BTreeMap<(Option<AgentName>, Subject), Vec<Before>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Anything,
    Scope(Scope),
    Below(Scope),
    Command(Vec<String>, Option<Scope>),
}

struct Before {
    effect: Effect,
    actions: ActionSet,
    scope: Option<Scope>,
    origin: String,
}

impl Before {
    fn decides(&self, rule: &Rule) -> bool {
        self.effect >= rule.effect
            && self.actions.covers(rule.actions)
            && (self.effect > rule.effect || self.confines_like(rule))
    }

    /// Of two allows for commands the narrower counts, because it confines them to less.
    fn confines_like(&self, rule: &Rule) -> bool {
        let removes = |actions: ActionSet| actions.contains(Action::Rm);
        rule.effect != Effect::Allow
            || !rule.actions.contains(Action::Exec)
            || (self.scope.as_ref() == rule.scope()
                && removes(self.actions) == removes(rule.actions))
    }
}

impl Known {
    /// Takes a rule in, or says which rule before it decides everything that it is about.
    pub(super) fn add(&mut self, rule: &Rule) -> Result<(), String> {
        if let Some(before) = self.decider(rule) {
            return Err(format!(
                "it can never decide: {} says {} to all that it is about",
                before.origin, before.effect
            ));
        }
        let subject = match &rule.matter {
            Matter::Anything => Subject::Anything,
            Matter::Scope(scope) => Subject::Scope(scope.clone()),
            Matter::Below(scope) => Subject::Below(scope.clone()),
            Matter::Command { words, within } => {
                Subject::Command(words.texts().map(str::to_owned).collect(), within.clone())
            }
        };
        let before = Before {
            effect: rule.effect,
            actions: rule.actions,
            scope: rule.scope().cloned(),
            origin: rule.origin.clone(),
        };
        let key = (rule.agent.clone(), subject);
        self.rules.entry(key).or_default().push(before);
        Ok(())
    }

    fn decider(&self, rule: &Rule) -> Option<&Before> {
        let mut key = (None, Subject::Anything);
        for subject in holding(rule) {
            key.1 = subject;
            for agent in [None, rule.agent.clone()] {
                key.0 = agent;
                let found = self
                    .rules
                    .get(&key)
                    .and_then(|list| list.iter().find(|before| before.decides(rule)));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }
}

/// Returns everything that, where a rule is about it, holds all that `rule` is about. Words are
/// compared as they are written.
fn holding(rule: &Rule) -> Vec<Subject> {
    let mut subjects = vec![Subject::Anything];
    match &rule.matter {
        Matter::Anything => {}
        Matter::Scope(scope) => subjects.extend(around(scope, rule.effect).map(Subject::Scope)),
        Matter::Below(scope) => {
            subjects.extend(around(scope, rule.effect).map(Subject::Scope));
            subjects.extend(around(scope, rule.effect).map(Subject::Below));
        }
        Matter::Command { words, within } => {
            let scopes: Vec<Scope> = within
                .iter()
                .flat_map(|scope| around(scope, rule.effect))
                .collect();
            for words in prefixes(words) {
                let within = scopes.iter().cloned().map(Some).chain([None]);
                subjects.extend(within.map(|scope| Subject::Command(words.clone(), scope)));
            }
            subjects.extend(scopes.into_iter().map(Subject::Scope));
        }
    }
    subjects
}

/// A scope that forbids holds under every name it has, so one above it that is written otherwise
/// need not reach all of it.
fn around(scope: &Scope, effect: Effect) -> impl Iterator<Item = Scope> + use<> {
    let levels = match effect {
        Effect::Allow => usize::MAX,
        Effect::Ask | Effect::Deny => 1,
    };
    scope.ancestors().into_iter().take(levels)
}

/// Returns the patterns themselves, and every beginning of them with any rest.
fn prefixes(words: &Words) -> Vec<Vec<String>> {
    let texts: Vec<String> = words.texts().map(str::to_owned).collect();
    let mut all = vec![texts.clone()];
    for length in 0..=texts.len() {
        let mut start: Vec<String> = texts.iter().take(length).cloned().collect();
        start.push("**".to_owned());
        all.push(start);
    }
    all
}
