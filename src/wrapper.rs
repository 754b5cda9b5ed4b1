//! What runs as `safe-rm` and its kin: the pipeline from argv to the real command.

mod caller;
pub(crate) mod exec;
pub(crate) mod git;
pub(crate) mod git_push;
mod refusal;
pub(crate) mod rm;
mod run;
pub(crate) mod trash;
