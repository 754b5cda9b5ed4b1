use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use super::format::{Row, rows, write};
use super::remove_as;
use crate::support::Scene;

/// A vault with six entries that is edited behind pvm's back, again and again.
struct Victim {
    scene: Scene,
    untouched: Vec<u8>,
}

impl Victim {
    fn new() -> Self {
        let scene = Scene::new();
        for number in 2..=6 {
            remove_as(&scene, "a", &[format!("x{number}").as_ref()]).denied();
        }
        let victim = Self {
            scene,
            untouched: Vec::new(),
        };
        // The last connection puts the write-ahead log into the file and removes it.
        victim.edit("SELECT 1");
        let untouched = fs::read(victim.scene.vault()).unwrap();
        assert_eq!(rows(&victim.scene).len(), 6);
        Self {
            untouched,
            ..victim
        }
    }

    fn connection(&self) -> Connection {
        let vault = Connection::open(self.scene.vault()).unwrap();
        vault
            .execute_batch("PRAGMA ignore_check_constraints = ON")
            .unwrap();
        vault
    }

    fn edit(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap();
    }

    fn restore(&self) {
        let mut log = self.scene.vault().into_os_string();
        log.push("-wal");
        fs::write(log, b"").unwrap();
        fs::write(self.scene.vault(), &self.untouched).unwrap();
    }

    fn verdict(&self) -> Value {
        let ran = self.scene.pvm(["audit", "verify", "--json"]);
        let verdict = ran.json();
        ran.exited(if verdict["intact"] == true { 0 } else { 2 });
        assert_eq!(ran.stderr, b"");
        verdict
    }

    /// Asserts that the trail is broken at an entry, and puts it right again.
    #[track_caller]
    fn is_broken_at(&self, entry: i64, fault: &str, what: &str) {
        let verdict = self.verdict();
        assert_eq!(verdict["intact"], false, "{what}");
        assert_eq!(
            (&verdict["entry"], &verdict["fault"]),
            (&entry.into(), &fault.into()),
            "{what}"
        );
        self.shows_without_panic(what);
        self.restore();
    }

    #[track_caller]
    fn shows_without_panic(&self, what: &str) {
        for words in [
            &["audit"][..],
            &["audit", "--json", "--scope", "/nowhere"],
            &["audit", "export", "--format", "csv"],
        ] {
            let ran = self.scene.pvm(words);
            assert_eq!(ran.code, Some(0), "{what}: {ran}");
        }
        // These need the last entry, and may refuse; they never panic.
        for words in [&["status"][..], &["audit", "head"]] {
            let ran = self.scene.pvm(words);
            assert!(matches!(ran.code, Some(0 | 2 | 125)), "{what}: {ran}");
        }
    }
}

#[test]
fn aud_03_a_change_of_any_column_names_the_entry() {
    let victim = Victim::new();
    for change in [
        "at = at + 1",
        "uptime = uptime - 1",
        "kind = 'EXECUTION'",
        "decision = 'GRANTED'",
        "agent = 'b'",
        "agent = agent || char(0)",
        "uid = uid + 1",
        "pid = pid + 4294967296",
        "action = 'trash'",
        "action = NULL",
        "action = ''",
        "detail = CAST(detail || x'0700000000' AS BLOB)",
        "detail = x''",
        "hash = zeroblob(32)",
        "hash = (SELECT hash FROM audit WHERE seq = 3)",
        "kind = kind || decision, decision = ''",
    ] {
        victim.edit(&format!("UPDATE audit SET {change} WHERE seq = 4"));
        victim.is_broken_at(4, "broken_link", change);
    }
    victim.scene.assert_trail_intact();
}

#[test]
fn aud_03_a_flip_of_any_byte_of_detail_and_hash_names_the_entry() {
    let victim = Victim::new();
    let row = rows(&victim.scene).remove(3);
    for (column, bytes) in [("detail", row.detail), ("hash", row.hash)] {
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            let sql = format!("UPDATE audit SET {column} = ?1 WHERE seq = 4");
            victim.connection().execute(&sql, [flipped]).unwrap();
            let verdict = victim.verdict();
            assert_eq!(verdict["entry"], 4, "{column} {index}: {verdict}");
        }
        let sql = format!("UPDATE audit SET {column} = ?1 WHERE seq = 4");
        victim.connection().execute(&sql, [bytes]).unwrap();
        victim.scene.assert_trail_intact();
    }
}

/// An edit, the entry that it breaks, and the fault.
type Edit = (&'static str, i64, &'static str);

const REMOVALS: [Edit; 4] = [
    ("DELETE FROM audit WHERE seq = 3", 4, "gap"),
    ("DELETE FROM audit WHERE seq = 1", 2, "gap"),
    (
        "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
        3,
        "broken_link",
    ),
    ("DELETE FROM audit", 1, "empty"),
];

const MOVES: [Edit; 2] = [
    ("UPDATE audit SET seq = 7 WHERE seq = 3", 4, "gap"),
    (
        "UPDATE audit SET seq = 99 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;
         UPDATE audit SET seq = 4 WHERE seq = 99",
        3,
        "broken_link",
    ),
];

/// Copies an entry to another number.
fn copies() -> [(String, i64, &'static str); 4] {
    let rest = "at, uptime, kind, decision, agent, uid, pid, action, detail, hash FROM audit";
    let copy = |from: i64, to: i64, fault| {
        (
            format!("INSERT INTO audit SELECT {to}, {rest} WHERE seq = {from}"),
            to,
            fault,
        )
    };
    [
        copy(3, 7, "broken_link"),
        copy(6, i64::MAX, "gap"),
        copy(1, 0, "gap"),
        copy(1, i64::MIN, "gap"),
    ]
}

#[test]
fn aud_03_removal_reorder_duplication_and_insertion_name_the_first_bad_entry() {
    let victim = Victim::new();
    let edits = REMOVALS.iter().chain(&MOVES);
    let edits = edits.map(|(sql, entry, fault)| ((*sql).to_owned(), *entry, *fault));
    for (sql, entry, fault) in edits.chain(copies()) {
        victim.edit(&sql);
        let line = victim
            .scene
            .pvm(["audit", "verify"])
            .exited(2)
            .stdout_text();
        assert!(
            line.starts_with(&format!("BROKEN at entry {entry}: ")),
            "{sql}: {line}"
        );
        let listed = victim
            .scene
            .pvm(["audit", "--json"])
            .succeeded()
            .stdout_text();
        let shown = listed.lines().count();
        assert_eq!(
            shown,
            rows(&victim.scene).len(),
            "{sql}: an entry is hidden"
        );
        victim.is_broken_at(entry, fault, &sql);
    }
}

type Change<'a> = &'a dyn Fn(&mut Row);

/// Writes the trail again from some entry on, with hashes that fit.
fn write_again(victim: &Victim, from: i64, change: impl Fn(&mut Row)) {
    let rows = rows(&victim.scene);
    let vault = victim.connection();
    let mut before = vec![0; 32];
    for mut row in rows {
        if row.seq == from {
            change(&mut row);
        }
        before = write(&vault, &before, row).hash;
    }
}

#[test]
fn aud_04_and_05_a_cut_end_and_a_new_trail_show_against_an_anchor_only() {
    let victim = Victim::new();
    let scene = &victim.scene;
    let anchor = scene.work("anchors");
    let head = scene.pvm(["audit", "head"]).succeeded().stdout_text();
    let fifth = data_encoding::HEXLOWER.encode(&rows(scene)[4].hash);
    let verify = || scene.pvm(["audit", "verify", "--json", "--anchor", "anchors"]);

    fs::write(
        &anchor,
        format!("# kept by hand\n\n{head}5 {fifth}\n{head}"),
    )
    .unwrap();
    let verdict = verify().succeeded().json();
    assert_eq!(
        (&verdict["anchored"], &verdict["unanchored"]),
        (&6.into(), &0.into())
    );

    victim.edit("DELETE FROM audit WHERE seq > 4");
    assert_eq!(
        victim.verdict()["unanchored"],
        4,
        "no anchor, and nothing shows"
    );
    let verdict = verify().exited(2).json();
    assert_eq!(
        (&verdict["entry"], &verdict["fault"]),
        (&5.into(), &"cut_off".into())
    );
    victim.restore();

    write_again(&victim, 2, |row| row.agent = "somebody-else".to_owned());
    assert_eq!(
        victim.verdict()["intact"],
        true,
        "no anchor, and nothing shows"
    );
    let verdict = verify().exited(2).json();
    assert_eq!(
        (&verdict["entry"], &verdict["fault"]),
        (&5.into(), &"other_than_anchored".into())
    );
    victim.restore();

    fs::write(&anchor, format!("5 {fifth}")).unwrap();
    let verdict = verify().succeeded().json();
    assert_eq!(
        (&verdict["anchored"], &verdict["unanchored"]),
        (&5.into(), &1.into())
    );
    let text = scene
        .pvm(["audit", "verify", "--anchor", "anchors"])
        .succeeded()
        .stdout_text();
    assert!(
        text.contains("anchored: up to entry 5\nnot anchored: 1 entry; removal"),
        "{text}"
    );
    assert!(text.contains("pvm audit head >> "), "{text}");
}

#[test]
fn aud_04_what_is_not_anchored_is_said_and_is_not_enough_where_an_anchor_is_required() {
    let victim = Victim::new();
    let scene = &victim.scene;
    let text = scene.pvm(["audit", "verify"]).succeeded().stdout_text();
    assert!(
        text.contains("not anchored: 6 entries; removal of entries at the end"),
        "{text}"
    );
    scene.pvm(["audit", "verify", "--require-anchor"]).exited(3);
    // Somebody who can empty the file of anchors gets nothing for it.
    fs::write(scene.work("empty"), "# nothing\n").unwrap();
    scene
        .pvm(["audit", "verify", "--anchor", "empty"])
        .exited(3);
    let zeros = "0".repeat(64);
    for (text, line) in [
        ("6", 1),
        ("# x\n6 abc", 2),
        (&format!("0 {zeros}"), 1),
        ("6\u{1b}[0m 1", 1),
    ] {
        fs::write(scene.work("bad"), text).unwrap();
        let ran = scene.pvm(["audit", "verify", "--anchor", "bad"]);
        ran.exited(125).says(&format!("bad, line {line}: "));
        assert_eq!(ran.stdout, b"");
    }
    scene
        .pvm(["audit", "verify", "--anchor", "none"])
        .exited(125)
        .says("cannot read the anchors in none");
    victim.edit("UPDATE audit SET pid = 1 WHERE seq = 2");
    scene.pvm(["audit", "verify", "--require-anchor"]).exited(2);
}

#[test]
fn an_anchor_of_another_trail_is_found_out() {
    let (victim, other) = (Victim::new(), Victim::new());
    let head = other.scene.pvm(["audit", "head"]).succeeded().stdout_text();
    fs::write(victim.scene.work("anchors"), head).unwrap();
    let ran = victim.scene.pvm(["audit", "verify", "--anchor", "anchors"]);
    assert!(
        ran.exited(2)
            .stdout_text()
            .starts_with("BROKEN at entry 6: "),
        "{ran}"
    );
}

#[test]
fn aud_16_entries_that_pvm_never_writes_are_named_and_shown_even_with_hashes_that_fit() {
    let victim = Victim::new();
    let long = [&[1, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat();
    let cases: [(&str, Change); 7] = [
        ("unknown kind", &|row| row.kind = "NONSENSE".to_owned()),
        ("unknown decision", &|row| row.decision = "MAYBE".to_owned()),
        ("empty kind", &|row| row.kind = String::new()),
        ("unknown field", &|row| row.detail = vec![99, 0, 0, 0, 0]),
        ("field zero", &|row| row.detail.extend([0; 5])),
        ("cut detail", &|row| {
            row.detail.pop();
        }),
        ("a length past the end", &|row| row.detail.clone_from(&long)),
    ];
    for (what, change) in cases {
        write_again(&victim, 4, change);
        let filtered = victim.scene.pvm(["audit", "--json", "--agent", "nobody"]);
        let shown = filtered.succeeded().json();
        assert_eq!(shown["entry"], 4, "{what}");
        assert!(shown["malformed"].is_string(), "{what}");
        let csv = victim
            .scene
            .pvm(["audit", "export", "--format", "csv"])
            .succeeded()
            .stdout_text();
        assert!(
            csv.lines()
                .any(|line| line.starts_with("4,,,") && !line.ends_with(',')),
            "{csv}"
        );
        victim.is_broken_at(4, "malformed", what);
    }
}

#[test]
fn aud_16_text_that_is_none_and_a_detail_without_measure_are_named_and_shown() {
    let victim = Victim::new();
    for change in [
        "agent = CAST(x'ff' AS TEXT)",
        "kind = CAST(x'c328' AS TEXT)",
        "action = CAST(x'80' AS TEXT)",
        "detail = zeroblob(16777217)",
        "agent = printf('%.*c', 17000000, 'a')",
    ] {
        victim.edit(&format!("UPDATE audit SET {change} WHERE seq = 4"));
        let text = victim.scene.pvm(["audit"]).succeeded().stdout_text();
        assert!(
            text.lines()
                .any(|line| line.contains("4  ?") && line.contains("BAD")),
            "{text}"
        );
        victim.is_broken_at(4, "malformed", change);
    }
    // Short enough to be read, and every value as odd as it can be.
    victim
        .edit("UPDATE audit SET at = 9223372036854775807, uptime = -1, uid = -9223372036854775808");
    victim.edit("UPDATE audit SET hash = x'00' WHERE seq = 6");
    victim.is_broken_at(1, "broken_link", "odd numbers");
}

#[test]
fn a_vault_that_somebody_edited_is_still_written_on() {
    let victim = Victim::new();
    victim.edit("UPDATE audit SET agent = 'b' WHERE seq = 2");
    remove_as(&victim.scene, "a", &["y".as_ref()]).denied();
    assert_eq!(victim.scene.trail().len(), 7);
    victim.is_broken_at(2, "broken_link", "later entries do not heal it");
}

#[test]
fn aud_03_a_trail_that_was_emptied_is_not_begun_again() {
    let victim = Victim::new();
    victim.scene.files(["f"]).grant(victim.scene.work(""));
    victim.edit("DELETE FROM audit");
    let emptied = "the trail is empty: its entries were removed";
    victim.scene.safe_rm(["f"]).exited(125).says(emptied);
    assert!(victim.scene.work("f").exists());
    victim.scene.pvm(["init", "--yes"]);
    let scope = victim.scene.work("");
    let words = ["grant", "--scope", scope.to_str().unwrap()];
    victim.scene.pvm(words).exited(125).says(emptied);
    assert_eq!(victim.verdict()["intact"], false);
}
