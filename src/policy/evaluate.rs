use crate::model::agent::Agent;
use crate::model::grant::{Grant, Shortfall};
use crate::model::id::Id;
use crate::model::operation::{Operation, Target, TargetKind};
use crate::model::protected::ProtectedPlace;
use crate::model::scope::PathScope;
use crate::model::time::Moment;

/// A grant whose scope covers a target, and what the file system says of its pin.
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
    /// Every grant whose scope covers at least one target.
    pub(crate) candidates: &'a [Candidate],
}

/// Proof that the policy allowed one operation. Only [`evaluate`] makes it.
#[derive(Debug)]
pub(crate) struct Allowed {
    grants: Vec<Grant>,
    /// For each target, the place of its grant in `grants`.
    chosen: Vec<usize>,
}

impl Allowed {
    /// Returns the grants that are used, each once.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Returns the scope that allowed the target at `index`.
    pub(crate) fn scope_for(&self, index: usize) -> Option<&PathScope> {
        self.chosen
            .get(index)
            .and_then(|chosen| self.grants.get(*chosen))
            .map(|grant| &grant.scope)
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
    /// No grant permits these targets. The first is named; the shortfall is that of the grant that
    /// comes nearest to permitting it.
    Uncovered {
        scope: PathScope,
        others: usize,
        nearest: Option<(Id, Shortfall)>,
    },
}

/// The result of evaluating one operation now.
#[must_use]
#[derive(Debug)]
pub(crate) enum Decision {
    Allow(Allowed),
    Deny(Denial),
}

/// Decides one operation. Every target must be permitted; one that is not denies all of them.
pub(crate) fn evaluate(operation: &Operation, facts: &Facts<'_>) -> Decision {
    for target in &operation.targets {
        if let Some(place) = facts.protected.iter().find(|place| place.is_hit_by(target)) {
            return Decision::Deny(Denial::Protected {
                scope: target.scope.clone(),
                what: place.what,
            });
        }
    }
    let mut allowed = Allowed {
        grants: Vec::new(),
        chosen: Vec::new(),
    };
    let mut uncovered: Vec<&Target> = Vec::new();
    for target in &operation.targets {
        match best(operation, target, facts) {
            Some(grant) => allowed.choose(grant),
            None => uncovered.push(target),
        }
    }
    match uncovered.split_first() {
        None => Decision::Allow(allowed),
        Some((first, others)) => Decision::Deny(Denial::Uncovered {
            scope: first.scope.clone(),
            others: others.len(),
            nearest: nearest(operation, first, facts),
        }),
    }
}

impl Allowed {
    fn choose(&mut self, grant: &Grant) {
        let known = self.grants.iter().position(|chosen| chosen.id == grant.id);
        self.chosen.push(known.unwrap_or(self.grants.len()));
        if known.is_none() {
            self.grants.push(grant.clone());
        }
    }
}

fn covering<'a>(target: &Target, facts: &Facts<'a>) -> impl Iterator<Item = &'a Candidate> {
    let scope = target.scope.clone();
    facts
        .candidates
        .iter()
        .filter(move |candidate| candidate.grant.scope.covers(&scope))
}

/// Picks the grant that costs least: one that need not be counted before one that must, one that
/// a ruleset can express before one that it cannot, then the one that lasts longest.
fn best<'a>(operation: &Operation, target: &Target, facts: &Facts<'a>) -> Option<&'a Grant> {
    covering(target, facts)
        .filter(|candidate| shortfall(operation, candidate, facts).is_none())
        .map(|candidate| &candidate.grant)
        .max_by_key(|grant| {
            let confinable =
                target.kind != TargetKind::Entry || grant.scope.covers_strictly(&target.scope);
            (
                confinable,
                grant.uses_left.is_none(),
                grant.window.expires_at,
                grant.id.clone(),
            )
        })
}

fn shortfall(operation: &Operation, candidate: &Candidate, facts: &Facts<'_>) -> Option<Shortfall> {
    candidate.grant.shortfall(
        facts.agent,
        operation.action,
        candidate.root_unchanged,
        facts.now,
    )
}

/// Returns the shortfall that a person would most likely want to hear of.
fn nearest(operation: &Operation, target: &Target, facts: &Facts<'_>) -> Option<(Id, Shortfall)> {
    let rank = |shortfall: Shortfall| match shortfall {
        Shortfall::ClockSetBack => 0,
        Shortfall::Replaced => 1,
        Shortfall::NotYet => 2,
        Shortfall::UsedUp => 3,
        Shortfall::Expired => 4,
        Shortfall::Revoked => 5,
        Shortfall::OtherAction => 6,
        Shortfall::OtherAgent => 7,
    };
    covering(target, facts)
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
    use crate::model::action::Action;
    use crate::model::grant::tests::{agent, grant, moment};

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
            targets: paths
                .iter()
                .map(|path| target(path, TargetKind::Entry))
                .collect(),
            argv: Vec::new(),
            cwd: PathBuf::from("/"),
        }
    }

    fn decide(paths: &[&str], grants: Vec<Grant>) -> Decision {
        let candidates: Vec<_> = grants
            .into_iter()
            .map(|grant| Candidate {
                grant,
                root_unchanged: true,
            })
            .collect();
        let (agent, now) = (agent(), moment(20_000));
        let facts = Facts {
            agent: &agent,
            now: &now,
            protected: &[],
            candidates: &candidates,
        };
        evaluate(&operation(paths), &facts)
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
        assert_eq!(
            denial,
            Denial::Uncovered {
                scope,
                others: 1,
                nearest: None
            }
        );
    }

    #[test]
    fn several_grants_together_allow_and_each_is_used_once() {
        let allowed = allowed(&["/a/f", "/b/f", "/a/g"], vec![grant("/a"), grant("/b")]);
        assert_eq!(allowed.grants().len(), 2);
        assert_eq!(allowed.scope_for(2).unwrap().as_path(), Path::new("/a"));
        assert_eq!(allowed.scope_for(3), None);
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
        assert_eq!(allowed.scope_for(0).unwrap().as_path(), Path::new("/a"));
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
}
