//! The decision: a pure function of an operation, the rules, the grants and one instant.

pub(crate) mod evaluate;
mod matching;
