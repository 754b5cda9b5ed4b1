//! The trail: hash-chained entries, each in the same transaction as what it records.

pub(crate) mod chain;
pub(crate) mod daily;
pub(crate) mod entry;
pub(crate) mod event;
mod log;
pub(crate) mod pages;
pub(crate) mod verify;

pub(crate) use log::{EntryRef, Recorded, Writing, begin, first, head};
