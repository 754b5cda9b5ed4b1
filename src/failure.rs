use std::fmt;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    Success,
    /// Refused; also what `pvm check` answers for a scope that no grant covers.
    Denied,
    /// Wrong usage, or an option that is not known.
    Usage,
    /// The trail is broken.
    Broken,
    /// The trail is intact but not anchored where that was required.
    Unanchored,
    /// pvm itself failed and therefore refused.
    Failed,
    /// The real command was found and is not trusted or cannot be executed.
    NotExecutable,
    NotFound,
    /// What a real command ended with that pvm waited for or stood in for.
    Command(u8),
}

impl From<ExitStatus> for i32 {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Success => 0,
            ExitStatus::Denied => 1,
            ExitStatus::Usage | ExitStatus::Broken => 2,
            ExitStatus::Unanchored => 3,
            ExitStatus::Failed => 125,
            ExitStatus::NotExecutable => 126,
            ExitStatus::NotFound => 127,
            ExitStatus::Command(code) => code.into(),
        }
    }
}

/// An error at the edge: what happened, what to do about it, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: ExitStatus,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Returns a failure of pvm itself.
    pub(crate) fn internal(error: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }

    /// Returns a failure for wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the lines for standard error, the program's name first.
    pub(crate) fn lines(&self, program: &str) -> String {
        let mut out = format!("{program}: {}\n", self.message);
        for hint in &self.hints {
            out.push_str("  hint: ");
            out.push_str(hint);
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_happened_and_hints_follow() {
        let failure = Failure::internal("no vault").hint("make one:  pvm init");
        assert_eq!(
            failure.lines("pvm"),
            "pvm: no vault\n  hint: make one:  pvm init\n"
        );
    }
}
