//! Strings that people read.

pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod instant;
pub(crate) mod json;
pub(crate) mod redact;
