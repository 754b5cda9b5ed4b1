//! A scene: an installation under a prefix of its own, with its own vault, configuration and files.

mod faults;
mod forge;
mod held;
mod launch;
mod machine;
mod namespace;
mod random;
mod repositories;
mod scene;
mod started;
mod store;
mod terminal;

pub(crate) use faults::{Fault, count_calls, run_with, tracing};
pub(crate) use forge::{Daemon, Http, Ssh};
pub(crate) use held::Held;
pub(crate) use launch::Launch;
pub(crate) use machine::{is_root, landlock, program, root, until};
pub(crate) use namespace::{in_namespace, mount_namespace};
pub(crate) use random::Random;
pub(crate) use repositories::{
    A, B, C, D, Plot, Refs, append, git, git_says, identity, is_ancestor, only_forward, real_git,
    refs,
};
pub(crate) use scene::{Ran, Running, Scene, copy, copy_all, script, tree};
pub(crate) use started::Started;
pub(crate) use store::Mirror;
pub(crate) use terminal::Terminal;
