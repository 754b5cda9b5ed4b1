//! The settings of what is recorded and remembered, as `pvm config show` prints them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::Value;

use super::super::output;
use crate::config::Config;

/// Returns every key of `[permissions]` that says so, in the order of the manual, and its value.
fn keys(config: &Config) -> [(&'static str, Value); 8] {
    let (log, cache) = (&config.recording.log, &config.cache);
    let directory = output::bytes(log.directory.as_os_str().as_bytes());
    [
        ("audit_enabled", log.enabled.into()),
        ("audit_directory", directory),
        ("log_allowed_commands", log.allowed.into()),
        ("log_denied_commands", log.denied.into()),
        ("retention_days", log.retention_days.into()),
        (
            "denials_per_minute",
            config.recording.denials_per_minute.into(),
        ),
        ("cache_enabled", cache.enabled.into()),
        ("cache_ttl_seconds", cache.ttl_seconds.into()),
    ]
}

/// Adds the keys to the object of `[permissions]`.
pub(super) fn add_to(permissions: &mut Value, config: &Config) {
    if let Some(object) = permissions.as_object_mut() {
        object.extend(keys(config).map(|(key, value)| (key.to_owned(), value)));
    }
}

/// Returns the lines of the keys; `text` quotes a path.
pub(super) fn lines(config: &Config, text: impl Fn(&Path) -> String) -> String {
    let line = |(key, value): (&str, Value)| match key {
        "audit_directory" => format!("{key} = {}\n", text(&config.recording.log.directory)),
        _ => format!("{key} = {value}\n"),
    };
    keys(config).into_iter().map(line).collect()
}
