//! What a client knows between two calls, and how it sees that it is out of date.

use std::path::{Path, PathBuf};

use super::error::{Error, ErrorKind};
use super::resolve::{Installation, Prepared, prepare};
use super::{Command, Statistics};
use crate::broker::{Attempt, Broker, Cache, Judged, Key, Seen, Settings, Watch};
use crate::config::{self, Config, Place};
use crate::model::time::Moment;
use crate::sys::account::Account;
use crate::sys::clock;
use crate::sys::stamp::Stamp;

/// How often a configuration is read that changes while it is read.
const MOST_READINGS: usize = 5;

#[derive(Debug)]
pub(crate) struct State {
    program: PathBuf,
    account: Account,
    places: Vec<Place>,
    pub(super) config: Config,
    settings: Settings,
    /// How the places of the configuration were when it was read.
    stamps: Vec<Stamp>,
    /// Whether another change would show in the stamps.
    settled: bool,
    watch: Option<Watch>,
    cache: Cache,
    started: Moment,
}

impl State {
    pub(super) fn new(program: PathBuf, account: Account) -> Result<Self, Error> {
        let places = config::places(&program, &account);
        let (config, stamps, settled) = read(&places, &account)?;
        Ok(Self {
            settings: settings(&config),
            cache: Cache::new(config.cache),
            program,
            account,
            places,
            config,
            stamps,
            settled,
            watch: None,
            started: clock::now()?,
        })
    }

    /// Reads the configuration again if it may have changed.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        if self.settled && self.is_current()? {
            return Ok(());
        }
        // Until it is read, nothing holds that was decided by the old one.
        self.forget();
        self.settled = false;
        let (config, stamps, settled) = read(&self.places, &self.account)?;
        self.settings = settings(&config);
        self.cache.reconfigure(config.cache);
        (self.config, self.stamps, self.settled) = (config, stamps, settled);
        Ok(())
    }

    /// Says whether nothing has changed at the place of the configuration, or at those before it.
    fn is_current(&self) -> Result<bool, Error> {
        for (place, stamp) in self.places.iter().zip(&self.stamps) {
            if Stamp::of(&place.path).map_err(|error| unseen(&place.path, &error))? != *stamp {
                return Ok(false);
            }
            if self.config.source.as_deref() == Some(place.path.as_path()) {
                break;
            }
        }
        Ok(true)
    }

    pub(super) fn prepare(&self, command: &Command) -> Result<Prepared, Error> {
        let installation = Installation {
            program: &self.program,
            config: &self.config,
            account: &self.account,
        };
        prepare(command, &installation)
    }

    pub(super) fn broker(&self) -> Result<Broker, Error> {
        Ok(Broker::for_onlooker(self.settings.clone(), &self.program)?)
    }

    /// Decides an attempt, or finds what was decided and still holds.
    pub(super) fn decide(&mut self, attempt: &Attempt, record: bool) -> Result<Judged, Error> {
        let decided = self.decide_or_fail(attempt, record);
        if decided.is_err() {
            self.forget();
        }
        decided
    }

    fn decide_or_fail(&mut self, attempt: &Attempt, record: bool) -> Result<Judged, Error> {
        let key = Key::of(attempt, &self.settings.policy)?;
        let seen = self.look()?;
        let now = clock::again(&self.started)?;
        let remembered = self.cache.find(key, &seen, &now);
        if let (Some(remembered), false) = (&remembered, record) {
            return Ok(remembered.judged.clone());
        }
        let broker = self.broker()?;
        let watch = self.watch.as_mut().ok_or_else(unwatched)?;
        let foretold = if record {
            broker.foretell_and_record(attempt, watch, remembered)?
        } else {
            broker.foretell(attempt, watch)?
        };
        // What rules forbid may lie elsewhere by now.
        if Key::of(attempt, &self.settings.policy)? == key {
            self.cache.learn(key, &foretold);
        }
        Ok(foretold.judged)
    }

    /// Looks at everything that decisions go by.
    pub(super) fn look(&mut self) -> Result<Seen, Error> {
        if let Some(watch) = &mut self.watch
            && let Ok(seen) = watch.look()
            && !watch.is_outdated()
        {
            return Ok(seen);
        }
        self.forget();
        let watch = self.broker()?.watch()?;
        Ok(self.watch.insert(watch).look()?)
    }

    fn forget(&mut self) {
        self.cache.invalidate();
        self.watch = None;
    }

    pub(super) fn clear_cache(&mut self) {
        self.cache.clear();
    }

    pub(super) fn statistics(&self) -> Statistics {
        let counts = self.cache.statistics();
        Statistics {
            hits: counts.hits,
            misses: counts.misses,
            invalidations: counts.invalidations,
            entries: counts.entries,
        }
    }
}

fn unwatched() -> Error {
    Error::new(ErrorKind::System, "the vault is not watched")
}

fn settings(config: &Config) -> Settings {
    Settings::new(
        &config.vault,
        config.max_ttl,
        config.landlock,
        config.policy.clone(),
        config.recording.clone(),
        &config.places,
        &config.trusted_directories,
    )
}

fn look(places: &[Place]) -> Result<Vec<Stamp>, Error> {
    let look = |place: &Place| Stamp::of(&place.path).map_err(|error| unseen(&place.path, &error));
    places.iter().map(look).collect()
}

fn unseen(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("cannot look at {}: {error}", path.display());
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the configuration in force, how its places were all the while it was read, and whether
/// another change would show.
fn read(places: &[Place], account: &Account) -> Result<(Config, Vec<Stamp>, bool), Error> {
    for _ in 0..MOST_READINGS {
        let stamps = look(places)?;
        let config = Config::first_of(places, account)?;
        if look(places)? != stamps {
            continue;
        }
        let mut settled = true;
        for (place, stamp) in places.iter().zip(&stamps) {
            settled &= stamp
                .is_settled()
                .map_err(|error| unseen(&place.path, &error))?;
        }
        return Ok((config, stamps, settled));
    }
    let what = "the configuration changes all the time";
    Err(Error::new(ErrorKind::Configuration, what))
}
