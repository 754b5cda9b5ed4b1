//! Standing rules: what they allow, ask about and deny with the real wrapper, and how they are
//! written.

mod change;
mod check;
mod decide;
mod list;

use std::path::Path;

use serde_json::Value;

use crate::support::Scene;

/// One rule as the file has it; `keys` are parted by semicolons.
fn rule(keys: &str) -> String {
    format!("[[permissions.rules]]\n{}\n", keys.replace("; ", "\n"))
}

/// Configures a scene with these rules and nothing else.
fn with_rules(scene: &Scene, rules: &[String]) {
    scene.configure(&rules.concat());
}

fn scope(path: impl AsRef<Path>) -> String {
    let path = path.as_ref().to_str().unwrap().trim_end_matches('/');
    format!("scope = \"{path}\"")
}

/// Returns the entry's field that names the rules.
fn named(entry: &Value) -> String {
    entry["rules"].to_string()
}
