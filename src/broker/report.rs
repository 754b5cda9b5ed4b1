use super::{Broker, BrokerError};
use crate::audit::entry::{Entry, Record};
use crate::audit::event::{Kind, Outcome};
use crate::audit::{self, EntryRef};
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::grant::{Grant, Shortfall, WindowState};
use crate::model::scope::PathScope;
use crate::model::time::Moment;
use crate::sys::{clock, path};
use crate::vault::{entries, grants};

/// How far back the last refusals are looked for.
const RECENT_ENTRIES: u32 = 2000;

/// Whether a scope is granted now, and by what.
#[derive(Debug)]
pub(crate) enum Coverage {
    Granted(Box<Grant>),
    /// The covering grants that fell short, and why.
    Denied(Vec<(Grant, Shortfall)>),
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
        scope: &PathScope,
        action: Action,
        agent: &Agent,
    ) -> Result<Coverage, BrokerError> {
        let now = clock::now()?;
        let reading = self.vault.read()?;
        let mut short = Vec::new();
        for level in scope.ancestors() {
            for grant in grants::on_scope(&reading, &level)? {
                let root_unchanged = grant
                    .pin
                    .is_none_or(|pin| path::pin(level.as_path()).is_ok_and(|there| there == pin));
                match grant.shortfall(agent, action, root_unchanged, &now) {
                    None => return Ok(Coverage::Granted(Box::new(grant))),
                    Some(shortfall) => short.push((grant, shortfall)),
                }
            }
        }
        Ok(Coverage::Denied(short))
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
