//! The one integration binary: the built program, under its real names, on real files.
#![cfg(test)]
#![allow(
    clippy::missing_panics_doc,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test panics, prints what it skips, and makes files that pvm then finds"
)]

mod support;

mod architecture;
mod audit;
mod cli;
mod client;
mod concurrency;
mod config;
mod confinement;
mod crash;
mod demo;
mod documents;
mod entry;
mod environment;
mod exec;
mod git;
mod grants;
mod hostile;
mod oracle;
mod other_users;
mod paths;
mod process;
mod race;
mod rm;
mod rules;
mod time;
mod trash;
mod vault;
