//! What is allowed: a pure function from facts to a decision.

pub(crate) mod evaluate;
