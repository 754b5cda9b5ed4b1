use std::fs;

use rusqlite::Connection;

use super::scene::{Ran, Scene};

/// A second installation that gets a copy of a vault as it lies on the disk, log and all. What is
/// looked at there is recovered there, and the vault itself stays as somebody left it.
pub(crate) struct Mirror(Scene);

/// An entry of the trail, the part that the tests of crashes look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) kind: String,
    pub(crate) decision: String,
    pub(crate) pid: u32,
}

impl Mirror {
    pub(crate) fn new() -> Self {
        Self(Scene::new())
    }

    /// Copies the vault, and checks that the chain of the copy holds.
    #[track_caller]
    pub(crate) fn look(&self, scene: &Scene) -> Store {
        for suffix in ["", "-wal", "-journal"] {
            let [from, to] = [scene, &self.0].map(|scene| {
                let mut path = scene.vault().into_os_string();
                path.push(suffix);
                path
            });
            if fs::copy(from, &to).is_err() {
                let _was_not_there_either = fs::remove_file(to);
            }
        }
        let ran: Ran = self.0.pvm(["audit", "verify"]);
        ran.exited(0);
        Store(Connection::open(self.0.vault()).unwrap())
    }
}

/// The rows of a copied vault.
pub(crate) struct Store(Connection);

impl Store {
    fn number(&self, sql: &str) -> i64 {
        self.0.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn head(&self) -> i64 {
        self.number("SELECT max(seq) FROM audit")
    }

    /// Returns the entries after number `seq`.
    pub(crate) fn after(&self, seq: i64) -> Vec<Recorded> {
        let sql = "SELECT kind, decision, pid FROM audit WHERE seq > ?1 ORDER BY seq";
        let mut statement = self.0.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Recorded {
                kind: row.get(0)?,
                decision: row.get(1)?,
                pid: row.get(2)?,
            })
        };
        statement
            .query_map([seq], read)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// Asserts that what the tables say and what the trail says is the same (I2, I4): a grant for
    /// each approval, an end for each revocation, and a use for each execution that came about.
    /// `uses` is how many all grants had at first.
    #[track_caller]
    pub(crate) fn assert_consistent(&self, uses: i64) {
        let entries = |rest: &str| self.number(&format!("SELECT count(*) FROM audit WHERE {rest}"));
        let grants = |rest: &str| self.number(&format!("SELECT count(*) FROM grants {rest}"));
        assert_eq!(grants(""), entries("kind = 'APPROVAL'"));
        assert_eq!(
            grants("WHERE ended_by = 'revoked'"),
            entries("kind = 'REVOCATION'")
        );
        let executions = entries("decision = 'SUCCESS'") - entries("decision = 'FAILED'");
        assert_eq!(
            uses - self.number("SELECT coalesce(sum(uses_left), 0) FROM grants"),
            executions
        );
    }
}
