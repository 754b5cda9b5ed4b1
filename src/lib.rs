//! `sudo` for AI agents: a command that can destroy something runs only under a grant that a
//! person gave, and every decision is an entry in a hash-chained trail.

mod audit;
mod broker;
mod cli;
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

pub use entry::start;
pub use sys::start::arguments;
