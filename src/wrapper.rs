//! What runs as `safe-rm` and its kin: the pipeline from argv to the real command.

mod caller;
mod refusal;
pub(crate) mod rm;
