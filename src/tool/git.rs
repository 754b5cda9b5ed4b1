//! `git push`: from its words and git's configuration to the push that would happen, worked out as
//! git does it and without starting git.

pub(crate) mod alias;
pub(crate) mod commands;
pub(crate) mod config;
pub(crate) mod globals;
pub(crate) mod keep;
pub(crate) mod open;
pub(crate) mod options;
mod parse_options;
pub(crate) mod pin;
pub(crate) mod plan;
pub(crate) mod push;
#[cfg(test)]
mod real;
pub(crate) mod refname;
pub(crate) mod refs;
pub(crate) mod refspec;
pub(crate) mod remote;
pub(crate) mod repository;
#[cfg(test)]
mod testing;
pub(crate) mod url;
pub(crate) mod words;
