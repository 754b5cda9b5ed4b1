use super::output::Stop;
use crate::broker::{Broker, Settings};
use crate::config::Config;
use crate::failure::Failure;
use crate::model::agent::{Agent, AgentName};
use crate::sys::account::Account;
use crate::sys::{env, process};

/// What every subcommand that uses the vault starts from.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) account: Account,
}

impl Context {
    pub(crate) fn load() -> Result<Self, Stop> {
        let (config, account) = Config::load().map_err(|error| {
            Failure::internal(error).hint("see what is wrong with it:  pvm config check")
        })?;
        Ok(Self { config, account })
    }

    pub(crate) fn settings(&self) -> Settings {
        let config = &self.config;
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

    /// Opens the vault; a missing one is an error.
    pub(crate) fn broker(&self) -> Result<Broker, Stop> {
        Ok(Broker::open(self.settings())?)
    }

    /// Opens the vault, and makes one when there is none. Returns whether it was made.
    pub(crate) fn broker_or_new(&self) -> Result<(Broker, bool), Stop> {
        Ok(Broker::open_or_create(self.settings(), &self.caller())?)
    }

    /// Returns the agent that is asked about: the one that was named, or what a command of the caller's
    /// would be attributed to.
    pub(crate) fn agent(&self, named: Option<&AgentName>) -> Agent {
        let own = || env::agent_name().ok().flatten().unwrap_or_default();
        Agent {
            name: named.cloned().unwrap_or_else(own),
            ..self.caller()
        }
    }

    /// Returns the caller as the trail names it: a person, unless it says to be an agent.
    pub(crate) fn caller(&self) -> Agent {
        let name = env::agent_name().ok().flatten();
        Agent {
            name: name.unwrap_or_else(AgentName::person),
            uid: self.account.uid,
            pid: process::pid(),
        }
    }
}
