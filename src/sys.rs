//! The operating system: the only home of nix, libc and unsafe code.

pub(crate) mod account;
pub(crate) mod clock;
pub(crate) mod env;
pub(crate) mod exec;
pub(crate) mod fs;
pub(crate) mod heap;
pub(crate) mod landlock;
pub(crate) mod lines;
pub(crate) mod mounts;
pub(crate) mod notices;
pub(crate) mod path;
pub(crate) mod process;
pub(crate) mod prompt;
pub(crate) mod random;
pub(crate) mod scratch;
pub(crate) mod stamp;
pub(crate) mod start;
pub(crate) mod terminal;
pub(crate) mod trash;
pub(crate) mod trust;

pub(crate) use nix::errno::Errno;
