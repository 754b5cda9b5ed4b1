//! The one integration binary: the built program, under its real names, on real files.

mod support;

mod architecture;
mod audit;
mod cli;
mod concurrency;
mod config;
mod confinement;
mod crash;
mod documents;
mod entry;
mod environment;
mod grants;
mod hostile;
mod oracle;
mod other_users;
mod paths;
mod race;
mod rm;
mod time;
mod vault;
