//! One file a wrapped command: its words, read as the real program reads them, become an
//! operation.

pub(crate) mod argv;
pub(crate) mod exec;
pub(crate) mod git;
mod operands;
pub(crate) mod rm;
pub(crate) mod trash;
