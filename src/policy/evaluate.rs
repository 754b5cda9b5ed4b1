use super::matching::{self, Question, Subject};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::{Grant, Shortfall};
use crate::model::id::Id;
use crate::model::operation::{Objects, Operation, TargetKind};
use crate::model::protected::ProtectedPlace;
use crate::model::rule::{Effect, Policy, Rule};
use crate::model::scope::{PathScope, Scope};
use crate::model::time::Moment;

pub(crate) use super::matching::{Site, Sites};

/// A grant whose scope covers something that the operation would touch, and what the file system
/// says of its pin.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) grant: Grant,
    pub(crate) root_unchanged: bool,
}

/// Everything that a decision is made of.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) now: &'a Moment,
    pub(crate) protected: &'a [ProtectedPlace],
    pub(crate) policy: &'a Policy,
    /// Where the scopes of rules that forbid are.
    pub(crate) sites: &'a Sites,
    /// Every grant whose scope covers at least one of the things that would be touched.
    pub(crate) candidates: &'a [Candidate],
}

/// What allowed one of the things that an operation would touch.
#[derive(Clone, Debug)]
pub(crate) enum Basis {
    /// The grant at this place in [`Allowed::grants`].
    Grant(usize),
    Rule(Box<Rule>),
    /// What holds without a rule.
    Default,
}

/// Proof that the policy allowed one operation. Only [`evaluate`] makes it.
#[derive(Debug)]
pub(crate) struct Allowed {
    grants: Vec<Grant>,
    /// One for each thing that would be touched, in order.
    bases: Vec<Basis>,
}

impl Allowed {
    /// Returns the grants that are used, each once.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Returns the rules that allowed something, each once.
    pub(crate) fn rules(&self) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = Vec::new();
        for basis in &self.bases {
            if let Basis::Rule(rule) = basis
                && !rules.contains(&rule.as_ref())
            {
                rules.push(rule);
            }
        }
        rules
    }

    /// Returns what allowed the thing at `index`.
    pub(crate) fn basis(&self, index: usize) -> Option<&Basis> {
        self.bases.get(index)
    }

    /// Returns the scope that allowed the thing at `index`, where it was one.
    pub(crate) fn scope_for(&self, index: usize) -> Option<&Scope> {
        match self.bases.get(index)? {
            Basis::Grant(place) => self.grants.get(*place).map(|grant| &grant.scope),
            Basis::Rule(rule) => rule.scope(),
            Basis::Default => None,
        }
    }
}

/// Why an operation is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// A target is, holds or lies in a place that no grant reaches.
    Protected {
        scope: PathScope,
        what: &'static str,
    },
    /// A rule forbids it, whatever the grants say.
    Rule {
        /// Nothing for a command that runs in `/`.
        scope: Option<Scope>,
        origin: String,
        reason: String,
    },
    /// Nothing permits these. The first is named; the shortfall is that of the grant that comes
    /// nearest to permitting it.
    Uncovered {
        scope: Option<Scope>,
        others: usize,
        nearest: Option<(Id, Shortfall)>,
        /// Whether the same operands could go to the trash now.
        trash_instead: bool,
    },
}

/// The result of evaluating one operation now.
#[must_use]
#[derive(Debug)]
pub(crate) enum Decision {
    Allow(Allowed),
    Deny(Denial),
}

/// Decides one operation. Everything that it would touch must be permitted; one that is not
/// denies all of them.
pub(crate) fn evaluate(operation: &Operation, facts: &Facts<'_>) -> Decision {
    for target in operation.targets() {
        if let Some(place) = facts.protected.iter().find(|place| place.is_hit_by(target)) {
            return Decision::Deny(Denial::Protected {
                scope: target.scope.clone(),
                what: place.what,
            });
        }
    }
    let mut allowed = Allowed {
        grants: Vec::new(),
        bases: Vec::new(),
    };
    let mut uncovered: Vec<Subject<'_>> = Vec::new();
    for subject in subjects(operation) {
        let question = Question {
            action: operation.action,
            agent: facts.agent,
            subject,
        };
        let rule = matching::strongest(facts.policy, facts.sites, question);
        let effect = rule.map_or(facts.policy.otherwise(operation.action), |rule| rule.effect);
        match (effect, rule) {
            (Effect::Deny, rule) => return Decision::Deny(forbidden(subject, rule)),
            (Effect::Allow, Some(rule)) if !needs_a_grant(subject) => {
                allowed.bases.push(Basis::Rule(Box::new(rule.clone())));
            }
            (Effect::Allow, None) => allowed.bases.push(Basis::Default),
            _ => match best(operation, subject, facts) {
                Some(grant) => allowed.choose(grant),
                None => uncovered.push(subject),
            },
        }
    }
    match uncovered.split_first() {
        None => Decision::Allow(allowed),
        Some((first, others)) => Decision::Deny(Denial::Uncovered {
            scope: first.scope(),
            others: others.len(),
            nearest: nearest(operation, *first, facts),
            trash_instead: operation.action == Action::Rm && is_allowed_to_trash(operation, facts),
        }),
    }
}

fn is_allowed_to_trash(operation: &Operation, facts: &Facts<'_>) -> bool {
    let mut targets = operation.targets().to_vec();
    for target in &mut targets {
        // A directory goes with all that is in it.
        target.recursive = target.kind == TargetKind::Directory;
    }
    let operation = Operation {
        action: Action::Trash,
        objects: Objects::Paths(targets),
        ..operation.clone()
    };
    matches!(evaluate(&operation, facts), Decision::Allow(_))
}

/// What the rules say of an operation that touches one thing, grants aside.
#[derive(Clone, Debug)]
pub(crate) struct Opinion {
    pub(crate) effect: Effect,
    /// The rule that decides; nothing where none matches.
    pub(crate) by: Option<Rule>,
    /// Every rule that matches, in their order.
    pub(crate) matching: Vec<Rule>,
}

/// Asks the rules about an operation. Of several things that it would touch, the strictest answer
/// counts.
pub(crate) fn consult(
    operation: &Operation,
    policy: &Policy,
    sites: &Sites,
    agent: &Agent,
) -> Opinion {
    let action = operation.action;
    let opinions = subjects(operation).into_iter().map(|subject| {
        let question = Question {
            action,
            agent,
            subject,
        };
        let by = matching::strongest(policy, sites, question);
        let effect = by.map_or(policy.otherwise(action), |rule| rule.effect);
        Opinion {
            effect: match effect {
                Effect::Allow if needs_a_grant(subject) => Effect::Ask,
                effect => effect,
            },
            by: by.cloned(),
            matching: matching::all(policy, sites, question)
                .into_iter()
                .cloned()
                .collect(),
        }
    });
    opinions
        .max_by_key(|opinion| opinion.effect)
        .unwrap_or_else(|| Opinion {
            effect: policy.otherwise(action),
            by: None,
            matching: Vec::new(),
        })
}

fn subjects(operation: &Operation) -> Vec<Subject<'_>> {
    match &operation.objects {
        Objects::Paths(targets) => targets.iter().map(Subject::Path).collect(),
        Objects::Repositories(repositories) => {
            repositories.iter().map(Subject::Repository).collect()
        }
        Objects::Command(command) => vec![Subject::Command(command)],
    }
}

/// A program that its owner could change is not what a rule was written for.
fn needs_a_grant(subject: Subject<'_>) -> bool {
    matches!(subject, Subject::Command(command) if command.digest.is_some())
}

fn forbidden(subject: Subject<'_>, rule: Option<&Rule>) -> Denial {
    Denial::Rule {
        scope: subject.scope(),
        origin: rule.map_or_else(
            || "the configuration".to_owned(),
            |rule| rule.origin.clone(),
        ),
        reason: rule.map(|rule| rule.reason.clone()).unwrap_or_default(),
    }
}

impl Allowed {
    fn choose(&mut self, grant: &Grant) {
        let known = self.grants.iter().position(|chosen| chosen.id == grant.id);
        self.bases
            .push(Basis::Grant(known.unwrap_or(self.grants.len())));
        if known.is_none() {
            self.grants.push(grant.clone());
        }
    }
}

fn covering<'a>(subject: Subject<'_>, facts: &Facts<'a>) -> impl Iterator<Item = &'a Candidate> {
    let scope = subject.scope();
    facts.candidates.iter().filter(move |candidate| {
        scope
            .as_ref()
            .is_some_and(|scope| candidate.grant.scope.covers(scope))
    })
}

/// Picks the grant that costs least: one that need not be counted before one that must, one that
/// a ruleset can express before one that it cannot, then the one that lasts longest.
fn best<'a>(operation: &Operation, subject: Subject<'_>, facts: &Facts<'a>) -> Option<&'a Grant> {
    covering(subject, facts)
        .filter(|candidate| shortfall(operation, candidate, facts).is_none())
        .map(|candidate| &candidate.grant)
        .max_by_key(|grant| {
            (
                is_confinable(subject, grant),
                grant.uses_left.is_none(),
                grant.window.expires_at,
                grant.id.clone(),
            )
        })
}

fn is_confinable(subject: Subject<'_>, grant: &Grant) -> bool {
    match (subject, grant.scope.path()) {
        (Subject::Path(target), Some(scope)) => {
            target.kind != TargetKind::Entry || scope.covers_strictly(&target.scope)
        }
        // A grant for this very command is what a person looked at.
        (Subject::Command(_), _) => grant.operation.is_some(),
        _ => true,
    }
}

/// Returns why a grant does not permit an operation that it covers.
pub(crate) fn shortfall(
    operation: &Operation,
    candidate: &Candidate,
    facts: &Facts<'_>,
) -> Option<Shortfall> {
    let grant = &candidate.grant;
    let command = grant.falls_short_of(operation);
    // That a grant for one command is over matters only to that command.
    let is_command = matches!(operation.objects, Objects::Command(_));
    if is_command && command == Some(Shortfall::OtherCommand) {
        return command;
    }
    grant
        .shortfall(
            facts.agent,
            operation.action,
            candidate.root_unchanged,
            facts.now,
        )
        .or(command)
}

/// Returns the shortfall that a person would most likely want to hear of.
fn nearest(
    operation: &Operation,
    subject: Subject<'_>,
    facts: &Facts<'_>,
) -> Option<(Id, Shortfall)> {
    let rank = |shortfall: Shortfall| match shortfall {
        Shortfall::ClockSetBack => 0,
        Shortfall::Replaced => 1,
        Shortfall::NotYet => 2,
        Shortfall::UsedUp => 3,
        Shortfall::Expired => 4,
        Shortfall::Revoked => 5,
        Shortfall::Changeable => 6,
        Shortfall::OtherCommand => 7,
        Shortfall::OtherAction => 8,
        Shortfall::OtherAgent => 9,
    };
    covering(subject, facts)
        .filter_map(|candidate| {
            let shortfall = shortfall(operation, candidate, facts)?;
            Some((candidate.grant.id.clone(), shortfall))
        })
        .min_by_key(|(_, shortfall)| rank(*shortfall))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};
    use std::rc::Rc;

    use super::*;
    use crate::model::action::ActionSet;
    use crate::model::grant::tests::{agent, grant, moment};
    use crate::model::operation::{Invocation, Target};
    use crate::model::repository::RepositoryScope;
    use crate::model::rule::{Matter, Words};

    fn target(path: &str, kind: TargetKind) -> Target {
        Target {
            operand: OsString::from(path),
            position: 1,
            scope: PathScope::new(Path::new(path)).unwrap(),
            kind,
            identity: None,
            lineage: Rc::from([]),
            recursive: false,
        }
    }

    fn operation(paths: &[&str]) -> Operation {
        Operation {
            action: Action::Rm,
            objects: Objects::Paths(
                paths
                    .iter()
                    .map(|path| target(path, TargetKind::Entry))
                    .collect(),
            ),
            argv: Vec::new(),
            cwd: PathBuf::from("/"),
        }
    }

    fn decide(paths: &[&str], grants: Vec<Grant>) -> Decision {
        judge(&operation(paths), Vec::new(), grants)
    }

    fn judge(operation: &Operation, rules: Vec<Rule>, grants: Vec<Grant>) -> Decision {
        let candidates: Vec<_> = grants
            .into_iter()
            .map(|grant| Candidate {
                grant,
                root_unchanged: true,
            })
            .collect();
        let (agent, now) = (agent(), moment(20_000));
        let policy = Policy {
            rules,
            ..Policy::default()
        };
        let facts = Facts {
            agent: &agent,
            now: &now,
            protected: &[],
            policy: &policy,
            sites: &Sites::default(),
            candidates: &candidates,
        };
        evaluate(operation, &facts)
    }

    fn rule(effect: Effect, actions: &[Action], matter: Matter) -> Rule {
        Rule {
            effect,
            actions: ActionSet::of(actions).unwrap(),
            matter,
            agent: None,
            reason: String::new(),
            recorded_at: None,
            number: Some(1),
            origin: format!("the {effect} rule"),
        }
    }

    fn on_path(effect: Effect, path: &str) -> Rule {
        let scope = PathScope::new(Path::new(path)).unwrap();
        rule(effect, &[Action::Rm], Matter::Scope(scope.into()))
    }

    fn allowed(paths: &[&str], grants: Vec<Grant>) -> Allowed {
        match decide(paths, grants) {
            Decision::Allow(allowed) => allowed,
            Decision::Deny(denial) => panic!("{denial:?}"),
        }
    }

    fn denied(paths: &[&str], grants: Vec<Grant>) -> Denial {
        match decide(paths, grants) {
            Decision::Deny(denial) => denial,
            Decision::Allow(allowed) => panic!("{allowed:?}"),
        }
    }

    #[test]
    fn arg_23_one_target_out_of_scope_denies_all() {
        let denial = denied(&["/a/f", "/b/f", "/b/g"], vec![grant("/a")]);
        let scope = PathScope::new(Path::new("/b/f")).unwrap();
        let scope = Some(Scope::Path(scope));
        assert_eq!(
            denial,
            Denial::Uncovered {
                scope,
                others: 1,
                nearest: None,
                trash_instead: false,
            }
        );
    }

    #[test]
    fn several_grants_together_allow_and_each_is_used_once() {
        let allowed = allowed(&["/a/f", "/b/f", "/a/g"], vec![grant("/a"), grant("/b")]);
        assert_eq!(allowed.grants().len(), 2);
        assert_eq!(
            allowed.scope_for(2).unwrap().path().unwrap().as_path(),
            Path::new("/a")
        );
        assert!(allowed.scope_for(3).is_none());
    }

    #[test]
    fn a_grant_without_a_count_is_used_before_one_with() {
        let counted = Grant {
            uses_left: Some(1),
            ..grant("/a/b")
        };
        let allowed = allowed(&["/a/b/f"], vec![counted, grant("/a")]);
        assert_eq!(allowed.grants()[0].uses_left, None);
    }

    #[test]
    fn a_file_is_removed_under_a_grant_that_a_ruleset_can_express() {
        let allowed = allowed(
            &["/a/f"],
            vec![
                grant("/a/f"),
                Grant {
                    uses_left: Some(3),
                    ..grant("/a")
                },
            ],
        );
        assert_eq!(
            allowed.scope_for(0).unwrap().path().unwrap().as_path(),
            Path::new("/a")
        );
    }

    #[test]
    fn the_denial_names_the_grant_that_came_nearest() {
        let spent = Grant {
            uses_left: Some(0),
            ..grant("/a")
        };
        let other = Grant {
            agent: Some(crate::model::agent::AgentName::parse("b").unwrap()),
            ..grant("/a/x")
        };
        let Denial::Uncovered {
            nearest: Some((id, why)),
            ..
        } = denied(&["/a/x/f"], vec![other, spent.clone()])
        else {
            panic!("a covering grant is named")
        };
        assert_eq!((id, why), (spent.id, Shortfall::UsedUp));
    }

    #[test]
    fn a_protected_place_is_denied_whatever_the_grant() {
        let place = ProtectedPlace {
            what: "the vault",
            path: PathScope::new(Path::new("/a/vault")).unwrap(),
            ancestry: Vec::new(),
        };
        let candidates = [Candidate {
            grant: grant("/a"),
            root_unchanged: true,
        }];
        let (agent, now) = (agent(), moment(20_000));
        let facts = Facts {
            agent: &agent,
            now: &now,
            protected: &[place],
            policy: &Policy::default(),
            sites: &Sites::default(),
            candidates: &candidates,
        };
        let decision = evaluate(&operation(&["/a/f", "/a/vault/vault.db"]), &facts);
        assert!(matches!(
            decision,
            Decision::Deny(Denial::Protected {
                what: "the vault",
                ..
            })
        ));
    }

    #[test]
    fn a_command_that_touches_nothing_needs_no_grant() {
        assert!(allowed(&[], vec![]).grants().is_empty());
    }

    #[test]
    fn v_d19_an_allow_needs_every_path_and_a_deny_any() {
        let both = operation(&["/a/f", "/b/f"]);
        let one = vec![on_path(Effect::Allow, "/a")];
        let Decision::Deny(Denial::Uncovered { scope, .. }) = judge(&both, one, vec![]) else {
            panic!("only one of two is allowed")
        };
        assert_eq!(scope.unwrap().as_bytes(), b"/b/f");
        let all = || vec![on_path(Effect::Allow, "/a"), on_path(Effect::Allow, "/b")];
        assert!(matches!(judge(&both, all(), vec![]), Decision::Allow(_)));
        let mut denied = all();
        denied.push(on_path(Effect::Deny, "/b/f"));
        assert!(matches!(
            judge(&both, denied, vec![]),
            Decision::Deny(Denial::Rule { origin, .. }) if origin == "the deny rule"
        ));
    }

    #[test]
    fn a_deny_beats_a_grant_and_an_ask_leaves_it_to_one() {
        let file = operation(&["/a/f"]);
        let rules = |effect| vec![on_path(Effect::Allow, "/a"), on_path(effect, "/a/f")];
        let granted = judge(&file, rules(Effect::Deny), vec![grant("/a")]);
        assert!(matches!(granted, Decision::Deny(Denial::Rule { .. })));
        let asked = judge(&file, rules(Effect::Ask), vec![]);
        assert!(matches!(asked, Decision::Deny(Denial::Uncovered { .. })));
        let Decision::Allow(allowed) = judge(&file, rules(Effect::Ask), vec![grant("/a")]) else {
            panic!("the grant permits it")
        };
        assert!(allowed.rules().is_empty() && allowed.grants().len() == 1);
    }

    #[test]
    fn a_rule_and_a_grant_together_allow_and_both_are_named() {
        let both = operation(&["/a/f", "/b/f"]);
        let rules = vec![on_path(Effect::Allow, "/a")];
        let Decision::Allow(allowed) = judge(&both, rules, vec![grant("/b")]) else {
            panic!("each is permitted by one")
        };
        assert!(matches!(allowed.basis(0), Some(Basis::Rule(_))));
        assert!(matches!(allowed.basis(1), Some(Basis::Grant(0))));
        assert_eq!(allowed.rules().len(), 1);
    }

    #[test]
    fn no_rule_reaches_what_belongs_to_pvm() {
        let place = ProtectedPlace {
            what: "the vault",
            path: PathScope::new(Path::new("/a/vault")).unwrap(),
            ancestry: Vec::new(),
        };
        let (agent, now) = (agent(), moment(20_000));
        let policy = Policy {
            rules: vec![on_path(Effect::Allow, "/a")],
            ..Policy::default()
        };
        let facts = Facts {
            agent: &agent,
            now: &now,
            protected: &[place],
            policy: &policy,
            sites: &Sites::default(),
            candidates: &[],
        };
        let decision = evaluate(&operation(&["/a/vault/vault.db"]), &facts);
        assert!(matches!(decision, Decision::Deny(Denial::Protected { .. })));
        assert!(matches!(
            evaluate(&operation(&["/a/f"]), &facts),
            Decision::Allow(_)
        ));
    }

    fn run(digest: Option<[u8; 32]>) -> Operation {
        Operation {
            action: Action::Exec,
            objects: Objects::Command(Invocation {
                words: vec!["cargo".into(), "fmt".into()],
                program: PathBuf::from("/usr/bin/cargo"),
                digest,
                ..Invocation::default()
            }),
            ..operation(&[])
        }
    }

    #[test]
    fn a_rule_does_not_allow_a_program_that_its_owner_can_change() {
        let words = Words::parse(&["cargo", "fmt"]).unwrap();
        let matter = Matter::Command {
            words,
            within: None,
        };
        let rules = || vec![rule(Effect::Allow, &[Action::Exec], matter.clone())];
        assert!(matches!(
            judge(&run(None), rules(), vec![]),
            Decision::Allow(_)
        ));
        let changeable = judge(&run(Some([1; 32])), rules(), vec![]);
        assert!(matches!(
            changeable,
            Decision::Deny(Denial::Uncovered { .. })
        ));
        let policy = Policy {
            rules: rules(),
            ..Policy::default()
        };
        let asked = consult(&run(Some([1; 32])), &policy, &Sites::default(), &agent());
        assert_eq!(asked.effect, Effect::Ask);
    }

    #[test]
    fn a_plain_push_is_as_the_configuration_says() {
        let repository = RepositoryScope::parse(b"github.com/o/r").unwrap();
        let push = |action| Operation {
            action,
            objects: Objects::Repositories(vec![repository.clone()]),
            ..operation(&[])
        };
        let said = |effect, action| {
            let policy = Policy {
                rules: Vec::new(),
                plain_push: effect,
            };
            consult(&push(action), &policy, &Sites::default(), &agent()).effect
        };
        for effect in Effect::ALL {
            assert_eq!(said(effect, Action::GitPush), effect);
            assert_eq!(said(effect, Action::GitPushForce), Effect::Ask);
        }
        let decision = judge(&push(Action::GitPush), Vec::new(), vec![]);
        let Decision::Allow(allowed) = decision else {
            panic!("it is allowed")
        };
        assert!(matches!(allowed.basis(0), Some(Basis::Default)));
    }
}
