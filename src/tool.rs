//! One file a wrapped command: its words, read as the real program reads them, become an
//! operation.

pub(crate) mod argv;
pub(crate) mod rm;
