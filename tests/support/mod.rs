//! A scene: an installation under a prefix of its own, with its own vault, configuration and files.

mod scene;

pub use scene::{Ran, Scene};
