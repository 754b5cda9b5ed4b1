//! Decisions for processes that only ask: what pvm would decide now. No permit comes of them.

use super::decide::{Attempt, Refusal, candidates};
use super::watch::{Seen, Watch};
use super::{Broker, BrokerError, record};
use crate::audit::Writing;
use crate::model::grant::Grant;
use crate::model::operation::Objects;
use crate::model::time::{Moment, Span};
use crate::policy::evaluate::{Allowed, Basis, Candidate};

/// What allows an operation.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) grants: Vec<Grant>,
    /// Where the rules stand.
    pub(crate) rules: Vec<String>,
}

/// A decision that can be told to others, and perhaps remembered.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) outcome: Result<Allowance, Refusal>,
    /// When it would be decided in the same way, if nothing but time passes.
    pub(super) span: Span,
    /// Whether nothing was looked at that can change without being seen.
    pub(super) lasting: bool,
}

/// A decision that was made before, and what was seen then.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) judged: Judged,
    pub(crate) seen: Seen,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub(crate) struct Foretold {
    pub(crate) judged: Judged,
    /// Whether it was remembered, and not decided now.
    pub(crate) cached: bool,
    /// When it was decided, or found to hold still.
    pub(crate) now: Moment,
    /// What was seen then, and what is to be seen since this was recorded.
    pub(crate) seen: Seen,
    pub(crate) seen_after: Seen,
}

impl Broker {
    /// Decides an attempt as if it were made. Nothing is used up and nothing recorded.
    pub(crate) fn foretell(
        &self,
        attempt: &Attempt,
        watch: &mut Watch,
    ) -> Result<Foretold, BrokerError> {
        let (mut writing, now) = self.begin()?;
        // In one's turn nobody else changes the vault; what changes around it is looked at later.
        let seen = watch.look()?;
        let judged = self.judge_lastingly(&mut writing, attempt, &now)?;
        drop(writing);
        Ok(Foretold {
            judged,
            cached: false,
            now,
            seen_after: seen.clone(),
            seen,
        })
    }

    /// Decides an attempt as if it were made, and records the answer. What is remembered is the
    /// answer where nothing has changed since.
    pub(crate) fn foretell_and_record(
        &self,
        attempt: &Attempt,
        watch: &mut Watch,
        remembered: Option<Remembered>,
    ) -> Result<Foretold, BrokerError> {
        // Up to the last look, so that no change of somebody else's is taken for one's own.
        self.vault.hold_turn()?;
        let foretold = self.foretell_in_turn(attempt, watch, remembered);
        self.vault.give_up_turn();
        foretold
    }

    fn foretell_in_turn(
        &self,
        attempt: &Attempt,
        watch: &mut Watch,
        remembered: Option<Remembered>,
    ) -> Result<Foretold, BrokerError> {
        let found = watch.look()?;
        let (mut writing, now) = self.begin()?;
        let seen = watch.look()?;
        let holds = |remembered: &Remembered| {
            remembered.seen == found && remembered.judged.span.includes(&now)
        };
        let (judged, cached) = match remembered.filter(holds) {
            Some(remembered) => (remembered.judged, true),
            None => (self.judge_lastingly(&mut writing, attempt, &now)?, false),
        };
        let event = record::foretold(attempt, &judged, cached);
        if judged.outcome.is_ok() {
            let entry = writing.append(&event, &now)?;
            writing.commit(entry, ())?;
        } else {
            self.refuse(writing, &event, &now)?;
        }
        Ok(Foretold {
            judged,
            cached,
            now,
            seen: if cached { found } else { seen },
            seen_after: watch.look()?,
        })
    }

    pub(super) fn judge_lastingly(
        &self,
        writing: &mut Writing<'_>,
        attempt: &Attempt,
        now: &Moment,
    ) -> Result<Judged, BrokerError> {
        let candidates = candidates(writing, attempt, now)?;
        let judged = self.judge_by(&candidates, attempt, now)?;
        let span = candidates
            .iter()
            .fold(Span::of_boot(now), |span, candidate| {
                candidate.grant.window.steady(span, now)
            });
        let (outcome, lasting) = match judged {
            Ok((allowed, _)) => {
                let lasting = lasts(&allowed, attempt);
                (Ok(Allowance::from(allowed)), lasting)
            }
            Err(refusal) => {
                let lasting = matches!(refusal, Refusal::Denied(_));
                (Err(refusal), lasting)
            }
        };
        // Which directory a pin is for, only looking at it tells.
        let pinned = |candidate: &Candidate| candidate.grant.pin.is_some();
        Ok(Judged {
            outcome,
            span,
            lasting: lasting && !candidates.iter().any(pinned),
        })
    }
}

/// Says whether an allow may be remembered: not where it takes a use, nor where a command is
/// confined to a directory that has to be looked at.
fn lasts(allowed: &Allowed, attempt: &Attempt) -> bool {
    if allowed
        .grants()
        .iter()
        .any(|grant| grant.uses_left.is_some())
    {
        return false;
    }
    match (&attempt.operation.objects, allowed.basis(0)) {
        (Objects::Command(_), Some(Basis::Rule(rule))) => rule.scope().is_none(),
        (Objects::Command(_), _) => {
            let mut grants = allowed.grants().iter();
            grants.all(|grant| grant.operation.is_some())
        }
        _ => true,
    }
}

impl From<Allowed> for Allowance {
    fn from(allowed: Allowed) -> Self {
        let rules = allowed.rules().into_iter();
        Self {
            rules: rules.map(|rule| rule.origin.clone()).collect(),
            grants: allowed.grants().to_vec(),
        }
    }
}
