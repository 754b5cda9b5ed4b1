//! What programs that use this crate call. Nothing here can execute anything or gives a permission
//! away: what a client says is what the wrappers would decide now.

mod answer;
mod command;
mod error;
mod request;
mod resolve;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::broker::{Broker, Settings, Wish};
use crate::config::{self, Config};
use crate::model::agent::{Agent, AgentName};
use crate::model::grant::{Window, WindowState};
use crate::model::request::RequestState;
use crate::model::time::Ttl;
use crate::sys::account::{self, Account};
use crate::sys::{clock, fs, process};
use resolve::{Prepared, Stopped};
use state::State;

pub use answer::{Basis, Decision};
pub use command::Command;
pub use error::{Error, ErrorKind};
pub use request::{Answer, RequestId};

/// Where `install.sh` puts pvm, besides `~/.local/bin`.
const SYSTEM_PROGRAMS: [&str; 2] = ["/usr/local/bin/pvm", "/usr/bin/pvm"];
/// How often a request is looked at.
const PAUSE: Duration = Duration::from_millis(100);
/// The most bytes that a person is asked to read as the reason of a request.
const LONGEST_REASON: usize = 1000;

/// What the cache of a [`Client`] has done since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How many decisions were remembered.
    pub hits: u64,
    /// How many were not, and were made.
    pub misses: u64,
    /// How often something changed and everything remembered was forgotten.
    pub invalidations: u64,
    /// How many decisions are remembered now.
    pub entries: usize,
}

impl Statistics {
    /// Returns the share of decisions that were remembered, from 0 to 1; nothing before the first.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    pub fn hit_rate(&self) -> Option<f64> {
        let all = self.hits.saturating_add(self.misses);
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

/// Asks one installation of pvm, as one user, what its wrappers would decide.
///
/// A client remembers decisions for as long as `permissions.cache_ttl_seconds` says. What it
/// remembers is forgotten at once when the vault, the configuration or a mount changes, so a
/// revocation or a new rule is in the very next answer; and a grant ends in it when it ends. The
/// operands are resolved anew for each answer.
///
/// It can be shared between threads, which then wait for each other. Nothing is read from the
/// environment: the home directory is the one in the password database.
#[derive(Debug)]
pub struct Client {
    state: Mutex<State>,
}

impl Client {
    /// Opens the pvm that is installed in `/usr/local/bin`, `/usr/bin` or `~/.local/bin`, in this
    /// order, with the same configuration and vault as its wrappers.
    ///
    /// # Errors
    ///
    /// When none is installed, when its configuration is not understood in full, or when there is no
    /// vault that is safe to use.
    pub fn open() -> Result<Self, Error> {
        let account = own_account()?;
        let program = SYSTEM_PROGRAMS
            .into_iter()
            .map(PathBuf::from)
            .chain([account.home.join(".local/bin/pvm")])
            .find(|program| program.is_file());
        match program {
            Some(program) => Self::with(&program, account),
            None => Err(not_installed("no pvm is installed where it is looked for")),
        }
    }

    /// Opens the pvm whose program is at `program`, like `/opt/pvm/bin/pvm`, for an installation under
    /// a prefix of its own. This gives no authority: what the wrappers permit does not depend on whom
    /// a client asks.
    ///
    /// # Errors
    ///
    /// As for [`Client::open`].
    pub fn of_installation(program: impl AsRef<Path>) -> Result<Self, Error> {
        Self::with(program.as_ref(), own_account()?)
    }

    /// Makes an installation below `directory` for the tests of a program that uses this crate, with a
    /// vault and a trail of its own, and opens it. `configuration` is the text of its `pvm.toml`, which
    /// names no vault. Its decisions concern nobody else.
    ///
    /// # Errors
    ///
    /// When `directory` is not an absolute path to a new or empty directory that nobody else can
    /// write, or the configuration is not understood.
    pub fn for_tests(directory: impl AsRef<Path>, configuration: &str) -> Result<Self, Error> {
        let account = own_account()?;
        let program = install_for_tests(directory.as_ref(), configuration, &account)?;
        Self::with(&program, account)
    }

    fn with(program: &Path, account: Account) -> Result<Self, Error> {
        let program = crate::sys::path::canonical(program)
            .ok()
            .filter(|program| program.is_file())
            .ok_or_else(|| not_installed(format!("there is no pvm at {}", program.display())))?;
        let mut state = State::new(program, account)?;
        // A vault that is missing is an error now, and not at the first question.
        state.look()?;
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    /// Says what the wrapper would decide about a command now, and records in the trail that it was
    /// asked and what was said: one entry, durable before this returns. No use of a grant is taken.
    ///
    /// An answer that was remembered is recorded as such, together with what it was.
    ///
    /// # Errors
    ///
    /// When there is no answer, or it cannot be recorded. Nothing is allowed by an error.
    pub fn check(&self, command: &Command) -> Result<Decision, Error> {
        self.decide(command, true)
    }

    /// Says what the wrapper would decide about a command now, as [`Client::check`] does, and records
    /// nothing. For plans, prompts and completions.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn evaluate(&self, command: &Command) -> Result<Decision, Error> {
        self.decide(command, false)
    }

    fn decide(&self, command: &Command, record: bool) -> Result<Decision, Error> {
        let mut state = self.lock();
        state.refresh()?;
        match state.prepare(command)? {
            Prepared::Unguarded => Ok(Decision::Allowed {
                by: vec![Basis::Unguarded],
            }),
            Prepared::Stopped(stopped) => {
                if record {
                    record_stopped(&state.broker()?, &stopped)?;
                }
                Ok(stopped.decision)
            }
            Prepared::Attempt(attempt) => {
                let judged = state.decide(&attempt, record)?;
                Ok(Decision::tell(&judged, &attempt, state.config.default_ttl))
            }
        }
    }

    /// Asks a person for a grant for exactly this command, to hold for `ttl`. A request of the same
    /// agent for the same command that is still pending is joined. It ends after an hour if nobody
    /// decides it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyAllowed`] and [`ErrorKind::Refused`] where a request would be to no purpose;
    /// [`ErrorKind::Invalid`] when `ttl` is less than a second or more than the configuration allows,
    /// or the reason is too long; [`ErrorKind::TooManyRequests`]; and whatever makes
    /// [`Client::check`] fail.
    pub fn request(
        &self,
        command: &Command,
        reason: &str,
        ttl: Duration,
    ) -> Result<RequestId, Error> {
        let invalid = |what: String| Error::new(ErrorKind::Invalid, what);
        if reason.len() > LONGEST_REASON {
            return Err(invalid(format!(
                "the reason is longer than {LONGEST_REASON} bytes"
            )));
        }
        let ttl = Ttl::from_seconds(ttl.as_secs()).map_err(|error| invalid(error.to_string()))?;
        let mut state = self.lock();
        state.refresh()?;
        let attempt = match state.prepare(command)? {
            Prepared::Attempt(attempt) => attempt,
            Prepared::Unguarded => {
                return Err(Error::new(
                    ErrorKind::AlreadyAllowed,
                    "pvm does not guard the command",
                ));
            }
            Prepared::Stopped(stopped) => {
                return Err(Error::new(ErrorKind::Refused, stopped.decision));
            }
        };
        let reason = reason.to_owned();
        let filed = state.broker()?.file(&attempt, Wish { reason, ttl })?;
        Ok(RequestId {
            id: filed.id,
            command: command.clone(),
        })
    }

    /// Waits until a request is decided or over, or its command is allowed by something else, for
    /// `timeout` at most. A request that is decided is answered at once, however long ago that was.
    ///
    /// # Errors
    ///
    /// When it cannot be told; [`ErrorKind::UnknownRequest`] when the vault does not know the request.
    pub fn wait(&self, request: &RequestId, timeout: Duration) -> Result<Answer, Error> {
        let begun = Instant::now();
        let mut known = None;
        loop {
            if let Some(answer) = self.answer(request, &mut known)? {
                return Ok(answer);
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Answer::TimedOut);
            }
            std::thread::sleep(left.min(PAUSE));
        }
    }

    /// Returns the answer to a request if there is one. `known` is what was seen when it was pending.
    fn answer(
        &self,
        request: &RequestId,
        known: &mut Option<(crate::broker::Seen, Window)>,
    ) -> Result<Option<Answer>, Error> {
        let mut state = self.lock();
        state.refresh()?;
        let seen = state.look()?;
        let now = clock::now()?;
        let unchanged = known.as_ref().is_some_and(|(before, window)| {
            *before == seen && window.state(&now) != WindowState::Expired
        });
        if !unchanged {
            let name = request.command.agent_name().unwrap_or_default();
            let found = state.broker()?.request_state(&request.id, &caller(name))?;
            let unknown = || Error::new(ErrorKind::UnknownRequest, "the vault has no such request");
            let (request, window) = found.ok_or_else(unknown)?;
            match request {
                RequestState::Pending => *known = Some((seen, window)),
                RequestState::Approved => return Ok(Some(Answer::Granted)),
                RequestState::Denied => return Ok(Some(Answer::Denied)),
                RequestState::Expired => return Ok(Some(Answer::Expired)),
                RequestState::Cancelled => return Ok(Some(Answer::Cancelled)),
            }
        }
        let allowed = match state.prepare(&request.command)? {
            Prepared::Attempt(attempt) => state.decide(&attempt, false)?.outcome.is_ok(),
            Prepared::Stopped(_) => false,
            Prepared::Unguarded => true,
        };
        Ok(allowed.then_some(Answer::Granted))
    }

    /// Returns what the cache of this client has done.
    pub fn cache_statistics(&self) -> Statistics {
        self.lock().statistics()
    }

    /// Forgets every decision that is remembered. The next ones are made anew; the counts go on.
    pub fn clear_cache(&self) {
        self.lock().clear_cache();
    }

    /// Returns how long each of so many decisions takes once the command is resolved, nothing recorded.
    #[cfg(feature = "internals")]
    pub(crate) fn time_decisions(
        &self,
        command: &Command,
        rounds: usize,
    ) -> Result<Vec<Duration>, Error> {
        let mut state = self.lock();
        let Prepared::Attempt(attempt) = state.prepare(command)? else {
            return Err(Error::new(ErrorKind::Invalid, "nothing has to be decided"));
        };
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let begun = Instant::now();
            state.refresh()?;
            state.decide(&attempt, false)?;
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // Somebody panicked in the middle of something; what was decided is not believed.
            let mut state = PoisonError::into_inner(poisoned);
            state.clear_cache();
            state
        })
    }
}

fn own_account() -> Result<Account, Error> {
    account::own().map_err(|error| Error::new(ErrorKind::System, error))
}

fn not_installed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotInstalled, what).hint("say where it is: Client::of_installation")
}

fn caller(name: AgentName) -> Agent {
    Agent {
        name,
        uid: process::uid(),
        pid: process::pid(),
    }
}

fn record_stopped(broker: &Broker, stopped: &Stopped) -> Result<(), Error> {
    let reason = stopped.decision.to_string();
    let reason = reason.trim_start_matches("denied: ");
    let words = (stopped.argv.as_slice(), stopped.cwd.as_path());
    Ok(broker.record_foretold_refusal(&stopped.agent, stopped.action, words, reason)?)
}

/// Makes what [`Client::for_tests`] opens, and returns where its program stands: a file that nobody
/// can execute.
fn install_for_tests(
    directory: &Path,
    configuration: &str,
    account: &Account,
) -> Result<PathBuf, Error> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::System,
            format!("cannot make {}: {error}", path.display()),
        )
    };
    if !directory.is_absolute() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the directory is not an absolute path",
        ));
    }
    let make = |name: &str| {
        let path = directory.join(name);
        fs::make_private_directory(&path).map_err(|error| failed(&path, &error))?;
        Ok::<_, Error>(path)
    };
    let program = make("bin")?.join("pvm");
    let vault = make("state")?.join("vault.db");
    let file = make("etc/pvm")?.join("pvm.toml");
    let not_text = || Error::new(ErrorKind::Invalid, "the directory's name is not UTF-8");
    let vault = toml_edit::Value::from(vault.to_str().ok_or_else(not_text)?);
    let text = format!("vault.path = {vault}\n{configuration}\n");
    for (path, text) in [(&program, ""), (&file, text.as_str())] {
        fs::write_whole(path, text.as_bytes(), 0o600, false)
            .map_err(|error| failed(path, &error))?;
    }
    let places = config::places(&program, account);
    let config = Config::first_of(&places, account)?;
    if config.source.as_deref() != Some(file.as_path()) {
        let what = "this machine has a configuration that holds for every installation";
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    let settings = Settings::new(
        &config.vault,
        config.max_ttl,
        config.landlock,
        config.policy,
        config.recording,
        &config.places,
        &config.trusted_directories,
    );
    Broker::open_or_create(settings, &caller(AgentName::person()))?;
    Ok(program)
}
