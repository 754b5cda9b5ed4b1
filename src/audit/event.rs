use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};

use crate::model::action::Action;
use crate::model::agent::Agent;

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Approval,
    Denial,
    GrantCheck,
    Revocation,
    Execution,
    Expiry,
    Config,
    Hijack,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Request,
        Self::Approval,
        Self::Denial,
        Self::GrantCheck,
        Self::Revocation,
        Self::Execution,
        Self::Expiry,
        Self::Config,
        Self::Hijack,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Approval => "APPROVAL",
            Self::Denial => "DENIAL",
            Self::GrantCheck => "GRANT_CHECK",
            Self::Revocation => "REVOCATION",
            Self::Execution => "EXECUTION",
            Self::Expiry => "EXPIRY",
            Self::Config => "CONFIG",
            Self::Hijack => "HIJACK",
        }
    }
}

/// How what an entry records came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Granted,
    Denied,
    Expired,
    Revoked,
    /// Authorised and about to execute.
    Success,
    /// The command did not start.
    Failed,
    /// What pvm did itself, or waited for, ended like this.
    Result,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Pending,
        Self::Granted,
        Self::Denied,
        Self::Expired,
        Self::Revoked,
        Self::Success,
        Self::Failed,
        Self::Result,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Granted => "GRANTED",
            Self::Denied => "DENIED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Result => "RESULT",
        }
    }
}

/// What one part of an entry's detail is. The numbers are part of the format and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    Argv = 1,
    Cwd = 2,
    Operand = 3,
    Scope = 4,
    Program = 5,
    Reason = 6,
    Approver = 7,
    Confinement = 8,
    Error = 9,
    By = 10,
    Status = 11,
    Request = 12,
    Grant = 13,
    Actions = 14,
    Ttl = 15,
    Uses = 16,
    Instead = 17,
    Truncated = 18,
    Note = 19,
    NotBefore = 20,
    For = 21,
    Of = 22,
    GrantReason = 23,
    File = 24,
    Rule = 25,
    Kept = 26,
    Digest = 27,
    Trashed = 28,
    Executed = 29,
    Remote = 30,
    Repository = 31,
    Cached = 32,
    Refusals = 33,
}

impl Field {
    pub(crate) const ALL: [Self; 33] = [
        Self::Argv,
        Self::Cwd,
        Self::Operand,
        Self::Scope,
        Self::Program,
        Self::Reason,
        Self::Approver,
        Self::Confinement,
        Self::Error,
        Self::By,
        Self::Status,
        Self::Request,
        Self::Grant,
        Self::Actions,
        Self::Ttl,
        Self::Uses,
        Self::Instead,
        Self::Truncated,
        Self::Note,
        Self::NotBefore,
        Self::For,
        Self::Of,
        Self::GrantReason,
        Self::File,
        Self::Rule,
        Self::Kept,
        Self::Digest,
        Self::Trashed,
        Self::Executed,
        Self::Remote,
        Self::Repository,
        Self::Cached,
        Self::Refusals,
    ];

    /// Returns the name under which JSON and CSV show the field.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Argv => "argv",
            Self::Cwd => "cwd",
            Self::Operand => "operands",
            Self::Scope => "scopes",
            Self::Program => "resolved_path",
            Self::Reason => "reason",
            Self::Approver => "approved_by",
            Self::Confinement => "confinement",
            Self::Error => "error",
            Self::By => "by",
            Self::Status => "status",
            Self::Request => "request_id",
            Self::Grant => "grant_ids",
            Self::Actions => "ops",
            Self::Ttl => "ttl_seconds",
            Self::Uses => "uses",
            Self::Instead => "instead",
            Self::Truncated => "truncated",
            Self::Note => "notes",
            Self::NotBefore => "not_before",
            Self::For => "for",
            Self::Of => "of_entry",
            Self::GrantReason => "grant_reasons",
            Self::File => "file",
            Self::Rule => "rules",
            Self::Kept => "kept_refs",
            Self::Digest => "program_sha256",
            Self::Trashed => "trashed",
            Self::Executed => "executed",
            Self::Remote => "remote",
            Self::Repository => "repository",
            Self::Cached => "cached",
            Self::Refusals => "refusals",
        }
    }

    /// Says whether an entry may hold the field several times.
    pub(crate) const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Argv
                | Self::Operand
                | Self::Scope
                | Self::Grant
                | Self::GrantReason
                | Self::Approver
                | Self::Truncated
                | Self::Note
                | Self::Rule
                | Self::Kept
                | Self::Trashed
                | Self::Executed
        )
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| *field as u8 == number)
    }
}

/// The most bytes that one list in an entry takes; what is over it is counted and hashed (AUD-09).
const LONGEST_LIST: usize = 64 * 1024;
/// The most bytes that one value outside a list takes; a path is never longer.
const LONGEST_VALUE: usize = 4096;

/// Something to record.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    pub(crate) agent: Agent,
    pub(crate) action: Option<Action>,
    detail: Vec<u8>,
}

impl Event {
    pub(crate) fn new(kind: Kind, outcome: Outcome, agent: &Agent) -> Self {
        Self {
            kind,
            outcome,
            agent: agent.clone(),
            action: None,
            detail: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    #[must_use]
    pub(crate) fn text(self, field: Field, value: impl fmt::Display) -> Self {
        self.bytes(field, value.to_string().as_bytes())
    }

    /// Adds a value; of one that is too long the beginning, with its whole length and SHA-256.
    #[must_use]
    pub(crate) fn bytes(mut self, field: Field, value: &[u8]) -> Self {
        self.push(field, value.get(..LONGEST_VALUE).unwrap_or(value));
        if value.len() > LONGEST_VALUE {
            self.note_cut(field, std::iter::once(value));
        }
        self
    }

    #[must_use]
    pub(crate) fn path(self, field: Field, value: impl AsRef<OsStr>) -> Self {
        self.bytes(field, value.as_ref().as_bytes())
    }

    /// Adds a list; one that is too long is cut, with its whole length and SHA-256 beside it.
    #[must_use]
    pub(crate) fn list<'a>(
        mut self,
        field: Field,
        values: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Self {
        let mut room = LONGEST_LIST;
        let mut cut = false;
        for value in values.clone() {
            cut = cut || value.len() > room;
            if !cut {
                room -= value.len();
                self.push(field, value);
            }
        }
        if cut {
            self.note_cut(field, values);
        }
        self
    }

    #[must_use]
    pub(crate) fn words(self, field: Field, words: &[OsString]) -> Self {
        self.list(field, words.iter().map(|word| word.as_bytes()))
    }

    fn note_cut<'a>(&mut self, field: Field, values: impl IntoIterator<Item = &'a [u8]>) {
        let mut digest = Sha256::new();
        let (mut count, mut bytes) = (0_u64, 0_u64);
        for value in values {
            count += 1;
            bytes += value.len() as u64;
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value);
        }
        let digest = data_encoding::HEXLOWER.encode(&digest.finalize());
        let note = format!(
            "{} count={count} bytes={bytes} sha256={digest}",
            field.name()
        );
        self.push(Field::Truncated, note.as_bytes());
    }

    fn push(&mut self, field: Field, value: &[u8]) {
        // A single value is shorter than the kernel's limit on one argument, so it fits.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.detail.push(field as u8);
        self.detail.extend(length.to_be_bytes());
        self.detail.extend(value);
    }

    /// Returns the encoded detail: for each part its field number, its length in four bytes, the
    /// most significant first, and its bytes.
    pub(crate) fn detail(&self) -> &[u8] {
        &self.detail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns number, name and whether it is a list, from the table of the documentation.
    fn documented() -> Vec<(u8, String, bool)> {
        let text = include_str!("../../docs/audit-format.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
        rows.filter_map(|row| {
            let mut cells = row.split(" | ");
            let number = cells.next()?.parse().ok()?;
            let name = cells.next()?.trim_matches('`').to_owned();
            Some((number, name, cells.next()? == "list"))
        })
        .collect()
    }

    #[test]
    fn the_documentation_has_every_field() {
        let known = Field::ALL.map(|f| (f as u8, f.name().to_owned(), f.is_list()));
        assert_eq!(documented(), known);
    }

    #[test]
    fn field_numbers_and_names_are_distinct_and_read_back() {
        for field in Field::ALL {
            assert_eq!(Field::from_number(field as u8), Some(field));
            let same = Field::ALL
                .iter()
                .filter(|other| other.name() == field.name())
                .count();
            assert_eq!(same, 1, "{}", field.name());
        }
        assert_eq!(Field::from_number(0), None);
        assert_eq!(Field::from_number(200), None);
    }
}
