use super::{Broker, BrokerError, sites, subject};
use crate::audit::entry::{Entry, Record};
use crate::audit::event::{Kind, Outcome};
use crate::audit::{self, EntryRef};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::{Grant, Shortfall, WindowState};
use crate::model::rule::Rule;
use crate::model::scope::Scope;
use crate::model::time::Moment;
use crate::policy::evaluate::{
    Basis, Candidate, Decision, Denial, Facts, consult, evaluate, shortfall,
};
use crate::sys::{clock, path};
use crate::vault::{entries, grants};

/// How far back the last refusals are looked for.
const RECENT_ENTRIES: u32 = 2000;

/// Whether an action on a scope would be permitted now, and by what.
#[derive(Debug)]
pub(crate) enum Coverage {
    Granted(Box<Grant>),
    Rule(Box<Rule>),
    /// No rule matches, and none is needed.
    Default,
    Denied {
        denial: Denial,
        /// The rule that wants a grant for it, where one does.
        asked_by: Option<Box<Rule>>,
        /// The covering grants that fell short, and why.
        short: Vec<(Grant, Shortfall)>,
    },
}

/// The state of the vault at one instant.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) now: Moment,
    /// Grants that permit something now or will.
    pub(crate) live: Vec<Grant>,
    /// The newest refusals, the last one first.
    pub(crate) refusals: Vec<Entry>,
    pub(crate) head: EntryRef,
}

impl Broker {
    /// Says whether an action on a scope would be permitted to an agent now. Nothing is used up
    /// and nothing recorded.
    pub(crate) fn check(
        &self,
        scope: &Scope,
        action: Action,
        agent: &Agent,
    ) -> Result<Coverage, BrokerError> {
        let now = clock::now()?;
        let operation = subject::on_scope(scope, action);
        let policy = &self.settings.policy;
        let sites = sites::look(policy, &operation, agent)?;
        let candidates = self.covering(scope)?;
        let facts = Facts {
            agent,
            now: &now,
            protected: &self.protected_places()?,
            policy,
            sites: &sites,
            candidates: &candidates,
        };
        let denial = match evaluate(&operation, &facts) {
            Decision::Allow(allowed) => {
                return Ok(match allowed.basis(0) {
                    Some(Basis::Rule(rule)) => Coverage::Rule(rule.clone()),
                    _ => match allowed.grants().first() {
                        Some(grant) => Coverage::Granted(Box::new(grant.clone())),
                        None => Coverage::Default,
                    },
                });
            }
            Decision::Deny(denial) => denial,
        };
        let short = candidates.iter().filter_map(|candidate| {
            let shortfall = shortfall(&operation, candidate, &facts)?;
            Some((candidate.grant.clone(), shortfall))
        });
        Ok(Coverage::Denied {
            denial,
            short: short.collect(),
            asked_by: consult(&operation, policy, &sites, agent).by.map(Box::new),
        })
    }

    /// Returns the grants on a scope and on all that cover it, the nearest first.
    fn covering(&self, scope: &Scope) -> Result<Vec<Candidate>, BrokerError> {
        let reading = self.vault.read()?;
        let mut candidates = Vec::new();
        for level in scope.ancestors() {
            for grant in grants::on_scope(&reading, &level)? {
                let is_there = |pin| {
                    let root = level.path();
                    root.is_some_and(|root| {
                        path::pin(root.as_path()).is_ok_and(|there| there == pin)
                    })
                };
                let root_unchanged = grant.pin.is_none_or(is_there);
                candidates.push(Candidate {
                    grant,
                    root_unchanged,
                });
            }
        }
        Ok(candidates)
    }

    /// Returns what `pvm status` shows, with up to `refusals` of the newest refusals.
    pub(crate) fn snapshot(&self, refusals: usize) -> Result<Snapshot, BrokerError> {
        let now = clock::now()?;
        let reading = self.vault.read()?;
        let mut live = grants::unended(&reading)?;
        live.retain(|grant| {
            grant.uses_left != Some(0) && grant.window.state(&now) != WindowState::Expired
        });
        let recent = entries::before(&reading, i64::MAX, RECENT_ENTRIES)?;
        let refused = |entry: &Entry| {
            entry.kind == Kind::Hijack
                || (entry.kind == Kind::GrantCheck && entry.outcome == Outcome::Denied)
        };
        let refusals = recent
            .into_iter()
            .filter_map(|row| Record::from(row).entry.ok())
            .filter(refused)
            .take(refusals)
            .collect();
        Ok(Snapshot {
            now,
            live,
            refusals,
            head: audit::head(&reading)?,
        })
    }
}
