use std::path::PathBuf;

/// How decisions are recorded beside the trail, which is not optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) log: LogSettings,
    /// How many refusals of one user get an entry of their own in one minute.
    pub(crate) denials_per_minute: u32,
}

/// The JSON log: one file a day, one object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) enabled: bool,
    pub(crate) directory: PathBuf,
    /// Whether commands that were allowed are in it.
    pub(crate) allowed: bool,
    /// Whether commands that were refused are in it.
    pub(crate) denied: bool,
    /// How many days a file is kept after the day in its name.
    pub(crate) retention_days: u16,
}

impl Recording {
    /// Returns the defaults, with the log in `directory`.
    pub(crate) fn standard(directory: PathBuf) -> Self {
        Self {
            log: LogSettings {
                enabled: true,
                directory,
                allowed: true,
                denied: true,
                retention_days: 90,
            },
            denials_per_minute: 60,
        }
    }
}

/// How long a process that lives on may remember a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheSettings {
    pub(crate) enabled: bool,
    pub(crate) ttl_seconds: u16,
}

impl CacheSettings {
    pub(crate) const STANDARD: Self = Self {
        enabled: true,
        ttl_seconds: 300,
    };
}
