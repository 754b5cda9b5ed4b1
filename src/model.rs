//! Values and their rules. No input or output happens here.

pub(crate) mod action;
pub(crate) mod agent;
pub(crate) mod confinement;
pub(crate) mod grant;
pub(crate) mod id;
pub(crate) mod operation;
pub(crate) mod protected;
pub(crate) mod recording;
pub(crate) mod repository;
pub(crate) mod request;
pub(crate) mod rule;
pub(crate) mod scope;
pub(crate) mod tally;
pub(crate) mod time;
