//! Decisions that a process remembers which lives on. What was resolved is never among them: each
//! time the operands are looked at anew, and what was found is in the key.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::decide::Attempt;
use super::foretell::{Foretold, Judged, Remembered};
use super::permit::Work;
use super::watch::Seen;
use super::{BrokerError, sites};
use crate::model::operation::{FileIdentity, Objects, Target, TargetKind};
use crate::model::recording::CacheSettings;
use crate::model::rule::Policy;
use crate::model::time::Moment;

const MOST_ENTRIES: usize = 4096;

/// What a decision is for: the operation's key, who attempts it, and what the file system said of
/// the operands and of the places that rules forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(attempt: &Attempt, policy: &Policy) -> Result<Self, BrokerError> {
        let sites = sites::look(policy, &attempt.operation, &attempt.agent)?;
        let mut key = Sha256::new();
        key.update(attempt.operation.key());
        key.update(attempt.agent.uid.to_be_bytes());
        // Each part has a length that is fixed or said, so that no two readings are one.
        for part in [
            attempt.agent.name.as_str().as_bytes(),
            attempt.program_path().as_os_str().as_encoded_bytes(),
        ] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        let empties = matches!(
            &attempt.work,
            Work::Remove {
                empty_directories: true,
                ..
            }
        );
        key.update([u8::from(attempt.walks()), u8::from(empties)]);
        for target in attempt.operation.targets() {
            add_target(&mut key, target);
        }
        if let Objects::Command(command) = &attempt.operation.objects {
            key.update((command.lineage.len() as u64).to_be_bytes());
            for identity in &command.lineage {
                add_identity(&mut key, *identity);
            }
        }
        sites.each(|bytes| key.update(bytes));
        Ok(Self(key.finalize().into()))
    }
}

fn add_target(key: &mut Sha256, target: &Target) {
    let kind = match target.kind {
        TargetKind::Missing => 0_u8,
        TargetKind::Directory => 1,
        TargetKind::Entry => 2,
    };
    key.update([kind, u8::from(target.identity.is_some())]);
    key.update((target.lineage.len() as u64).to_be_bytes());
    for identity in target.identity.iter().chain(target.lineage.iter()) {
        add_identity(key, *identity);
    }
}

fn add_identity(key: &mut Sha256, FileIdentity { device, inode }: FileIdentity) {
    key.update(device.to_be_bytes());
    key.update(inode.to_be_bytes());
}

#[derive(Debug)]
struct Entry {
    judged: Judged,
    /// Its place in the order in which entries were made.
    number: u64,
    /// Milliseconds since the boot, after which it is not believed any more.
    until: i64,
}

/// What a cache has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// How often something changed and all that was remembered was forgotten.
    pub(crate) invalidations: u64,
    pub(crate) entries: usize,
}

/// Decisions, each for a limited time, and only as long as nothing is seen to change.
#[derive(Debug)]
pub(crate) struct Cache {
    settings: CacheSettings,
    entries: HashMap<Key, Entry>,
    /// The keys, the oldest entry's first.
    order: BTreeMap<u64, Key>,
    next: u64,
    /// What was seen when the entries were made.
    seen: Option<Seen>,
    counts: Statistics,
}

impl Cache {
    pub(crate) fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            seen: None,
            counts: Statistics::default(),
        }
    }

    /// Returns the decision for a key, if it still holds. What was decided before something changed is
    /// forgotten.
    pub(crate) fn find(&mut self, key: Key, seen: &Seen, now: &Moment) -> Option<Remembered> {
        if self.seen.as_ref() != Some(seen) {
            self.invalidate();
            self.seen = Some(seen.clone());
        }
        let holds = |entry: &&Entry| {
            now.uptime.milliseconds < entry.until && entry.judged.span.includes(now)
        };
        let found = self.entries.get(&key).filter(holds);
        let judged = found.map(|entry| entry.judged.clone());
        if judged.is_none() {
            self.remove(key);
        }
        let count = if judged.is_some() {
            &mut self.counts.hits
        } else {
            &mut self.counts.misses
        };
        *count = count.saturating_add(1);
        Some(Remembered {
            judged: judged?,
            seen: seen.clone(),
        })
    }

    /// Remembers what was decided, and that what was recorded of it changed the vault and no decision.
    pub(crate) fn learn(&mut self, key: Key, foretold: &Foretold) {
        if self.seen.as_ref() != Some(&foretold.seen) {
            self.invalidate();
        }
        self.seen = Some(foretold.seen_after.clone());
        if foretold.cached || !foretold.judged.lasting || !self.settings.enabled {
            return;
        }
        self.remove(key);
        if self.entries.len() >= MOST_ENTRIES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let lifetime = i64::from(self.settings.ttl_seconds) * 1000;
        let entry = Entry {
            judged: foretold.judged.clone(),
            number: self.next,
            until: foretold.now.uptime.milliseconds.saturating_add(lifetime),
        };
        self.order.insert(self.next, key);
        self.entries.insert(key, entry);
        self.next = self.next.wrapping_add(1);
    }

    /// Forgets everything that was decided, because it may hold no more.
    pub(crate) fn invalidate(&mut self) {
        if !self.entries.is_empty() {
            self.counts.invalidations = self.counts.invalidations.saturating_add(1);
        }
        self.clear();
    }

    /// Forgets everything that was decided.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
        self.seen = None;
    }

    /// Goes on under other settings, with nothing remembered.
    pub(crate) fn reconfigure(&mut self, settings: CacheSettings) {
        self.invalidate();
        self.settings = settings;
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            entries: self.entries.len(),
            ..self.counts
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.order.remove(&entry.number);
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::audit::event::{Event, Kind, Outcome};
    use crate::broker::foretell::Allowance;
    use crate::broker::{Broker, Settings, Watch};
    use crate::model::agent::{Agent, AgentName};
    use crate::model::confinement::Mode;
    use crate::model::recording::Recording;
    use crate::model::time::{Span, Timestamp, Ttl, Uptime};
    use crate::sys::process;

    /// A vault to look at, and its watch.
    struct Plot {
        _directory: tempfile::TempDir,
        broker: Broker,
        watch: Watch,
    }

    fn agent() -> Agent {
        Agent {
            name: AgentName::default(),
            uid: process::uid(),
            pid: process::pid(),
        }
    }

    impl Plot {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let vault = directory.path().join("state/vault.db");
            let recording = Recording::standard(directory.path().join("log"));
            let ttl = Ttl::minutes(10);
            let policy = Policy::default();
            let settings = Settings::new(&vault, ttl, Mode::Auto, policy, recording, &[], &[]);
            let (broker, _) = Broker::open_or_create(settings, &agent()).unwrap();
            Self {
                _directory: directory,
                watch: broker.watch().unwrap(),
                broker,
            }
        }

        fn look(&mut self) -> Seen {
            self.watch.look().unwrap()
        }

        fn change(&self) {
            self.broker
                .record(&Event::new(Kind::Config, Outcome::Granted, &agent()))
                .unwrap();
        }
    }

    fn key(number: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Key(key)
    }

    fn at(seconds: i64) -> Moment {
        Moment {
            wall: Timestamp(1_000_000 + seconds * 1000),
            uptime: Uptime {
                boot: [1; 16],
                milliseconds: seconds * 1000,
            },
        }
    }

    fn allowed(seen: &Seen, now: Moment) -> Foretold {
        Foretold {
            judged: Judged {
                outcome: Ok(Allowance {
                    grants: Vec::new(),
                    rules: Vec::new(),
                }),
                span: Span::of_boot(&now),
                lasting: true,
            },
            cached: false,
            now,
            seen: seen.clone(),
            seen_after: seen.clone(),
        }
    }

    fn cache(ttl_seconds: u16) -> Cache {
        Cache::new(CacheSettings {
            enabled: true,
            ttl_seconds,
        })
    }

    #[test]
    fn v_d7_a_decision_is_forgotten_when_its_time_is_over() {
        let mut plot = Plot::new();
        let seen = plot.look();
        let mut cache = cache(3);
        cache.learn(key(1), &allowed(&seen, at(10)));
        assert!(cache.find(key(1), &seen, &at(12)).is_some());
        assert!(cache.find(key(2), &seen, &at(12)).is_none());
        assert!(cache.find(key(1), &seen, &at(13)).is_none());
        let counts = cache.statistics();
        assert_eq!((counts.hits, counts.misses, counts.entries), (1, 2, 0));
    }

    #[test]
    fn p_d57_a_decision_ends_with_its_grant_and_with_the_clock_set_back() {
        let mut plot = Plot::new();
        let seen = plot.look();
        let mut cache = cache(300);
        let mut until = allowed(&seen, at(10));
        until.judged.span = Span::of_boot(&at(10))
            .cut_at(at(12).wall, &at(10))
            .cut_at(at(5).wall, &at(10));
        cache.learn(key(1), &until);
        assert!(cache.find(key(1), &seen, &at(11)).is_some());
        let set_back = Moment {
            wall: at(4).wall,
            ..at(11)
        };
        assert!(cache.find(key(1), &seen, &set_back).is_none());
        cache.learn(key(1), &until);
        assert!(cache.find(key(1), &seen, &at(12)).is_none());
    }

    #[test]
    fn v_d9_everything_is_forgotten_when_the_vault_changes() {
        let mut plot = Plot::new();
        let seen = plot.look();
        let mut cache = cache(300);
        cache.learn(key(1), &allowed(&seen, at(1)));
        cache.learn(key(2), &allowed(&seen, at(1)));
        assert!(cache.find(key(1), &seen, &at(1)).is_some());
        plot.change();
        let changed = plot.look();
        assert!(cache.find(key(1), &changed, &at(1)).is_none());
        let counts = cache.statistics();
        assert_eq!((counts.invalidations, counts.entries), (1, 0));
        // What was decided before the change came to be known is not remembered after it.
        cache.learn(key(1), &allowed(&seen, at(1)));
        assert!(cache.find(key(1), &changed, &at(1)).is_none());
    }

    #[test]
    fn what_one_recorded_oneself_forgets_nothing() {
        let mut plot = Plot::new();
        let seen = plot.look();
        plot.change();
        let seen_after = plot.look();
        let mut cache = cache(300);
        cache.learn(
            key(1),
            &Foretold {
                seen_after: seen_after.clone(),
                ..allowed(&seen, at(1))
            },
        );
        assert!(cache.find(key(1), &seen_after, &at(1)).is_some());
        assert_eq!(cache.statistics().invalidations, 0);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_some_are_never_taken() {
        let mut plot = Plot::new();
        let seen = plot.look();
        let mut cache = cache(300);
        let most = u16::try_from(MOST_ENTRIES).unwrap();
        for number in 0..most + 10 {
            cache.learn(key(number), &allowed(&seen, at(1)));
        }
        assert_eq!(cache.statistics().entries, MOST_ENTRIES);
        assert_eq!(cache.order.len(), MOST_ENTRIES);
        assert!(cache.find(key(9), &seen, &at(1)).is_none());
        assert!(cache.find(key(10), &seen, &at(1)).is_some());
        cache.clear();
        let mut fleeting = allowed(&seen, at(1));
        fleeting.judged.lasting = false;
        cache.learn(key(1), &fleeting);
        assert_eq!(cache.statistics().entries, 0);
        cache.reconfigure(CacheSettings {
            enabled: false,
            ttl_seconds: 300,
        });
        cache.learn(key(1), &allowed(&seen, at(1)));
        assert_eq!(cache.statistics().entries, 0);
    }
}
