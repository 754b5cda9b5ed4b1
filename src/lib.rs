//! `sudo` for AI agents: a command that can destroy something runs only under a grant that a
//! person gave, and every decision is an entry in a hash-chained trail.
//!
//! The program is `pvm`, with the wrappers that are put on an agent's `PATH`. This library is for
//! agents and tools written in Rust that want to know beforehand what a wrapper would decide, to ask a
//! person for a grant, and to wait for the answer. It cannot execute anything, and nothing that it
//! returns is a permission: the command is run through the wrapper, which decides again.
//!
//! ```
//! use pvm::{Answer, Basis, Client, Command, Decision, ErrorKind};
//! use std::time::Duration;
//!
//! # let directory = std::env::temp_dir().join(format!("pvm-doctest-{}", std::process::id()));
//! # std::fs::create_dir_all(directory.join("work"))?;
//! # let directory = directory.canonicalize()?;
//! # let work = directory.join("work");
//! # let rules = format!(
//! #     "[[permissions.rules]]\neffect = \"allow\"\nop = \"rm\"\nscope = \"{0}/scratch\"\n\
//! #      [[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{0}/precious\"\nreason = \"no copy\"\n",
//! #     work.display()
//! # );
//! // An installation of its own; a program would call Client::open().
//! let client = Client::for_tests(&directory.join("pvm"), &rules)?;
//! let remove = |what: &str| Command::new("rm", &work).args(["-r", "--", what]).agent("claude");
//!
//! // A rule of the configuration allows it, another denies it, and for the rest a person is asked.
//! assert!(client.check(&remove("scratch"))?.is_allowed());
//! let Decision::Denied { reason, .. } = client.check(&remove("precious"))? else { panic!() };
//! assert!(reason.contains("no copy"));
//! let Decision::AskFirst { hint, .. } = client.check(&remove("build"))? else { panic!() };
//! assert!(hint.starts_with("pvm grant --op rm --scope /"));
//!
//! // Each answer was recorded; these are not, and the second one is remembered.
//! # std::thread::sleep(Duration::from_millis(100)); // the configuration is new
//! client.clear_cache();
//! let before = client.cache_statistics().hits;
//! assert_eq!(client.evaluate(&remove("build"))?, client.evaluate(&remove("build"))?);
//! assert_eq!(client.cache_statistics().hits, before + 1);
//!
//! let request = client.request(&remove("build"), "left by a test", Duration::from_secs(600))?;
//! let answer = client.wait(&request, Duration::from_millis(10))?;
//! assert_eq!(answer, Answer::TimedOut, "nobody has decided yet");
//! let needless = client.request(&remove("scratch"), "", Duration::from_secs(600));
//! assert_eq!(needless.unwrap_err().kind(), ErrorKind::AlreadyAllowed);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod broker;
mod cli;
mod client;
mod config;
mod confine;
mod entry;
mod failure;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod model;
mod policy;
mod sys;
mod text;
mod tool;
mod vault;
mod wrapper;

pub use client::{
    Answer, Basis, Client, Command, Decision, Error, ErrorKind, RequestId, Statistics,
};
#[doc(hidden)]
pub use entry::start;
#[doc(hidden)]
pub use sys::start::arguments;
