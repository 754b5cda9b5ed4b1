use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{open, refused, scene};
use crate::support::Scene;

#[test]
fn db_13_a_newer_schema_is_refused_and_an_older_one_too() {
    for (version, says) in [
        (99, "the vault has schema 99"),
        (0, "not the one that pvm made"),
    ] {
        let scene = scene();
        open(&scene)
            .pragma_update(None, "user_version", version)
            .unwrap();
        refused(&scene, "another version", says);
        if version == 99 {
            scene.safe_rm(["file"]).says("install a newer pvm");
        }
    }
}

#[test]
fn db_15_what_was_smuggled_into_the_schema_is_refused() {
    for sql in [
        "CREATE TRIGGER t AFTER UPDATE ON grants BEGIN UPDATE grants SET uses_left = 9; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE INDEX i ON audit (at)",
        "CREATE INDEX i ON grants (lower(reason))",
        "CREATE TABLE more (a)",
        "ALTER TABLE requests ADD COLUMN more TEXT",
        "DROP INDEX grants_live",
        "DROP TABLE verdicts",
    ] {
        let scene = scene();
        open(&scene).execute_batch(sql).unwrap();
        refused(
            &scene,
            sql,
            "the vault's schema is not the one that pvm made",
        );
    }
}

/// Writes a value past the checks of the table.
fn force(scene: &Scene, column: &str, value: &str) {
    let vault = open(scene);
    vault
        .execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    vault
        .execute_batch(&format!("UPDATE grants SET {column} = {value}"))
        .unwrap();
}

#[test]
fn db_16_and_17_a_value_that_pvm_never_writes_is_refused() {
    for (column, value) in [
        ("id", "'X'"),
        ("request", "'nothing of that kind'"),
        ("agent", "'bad name!'"),
        ("agent", "'a' || char(0) || 'b'"),
        ("uid", "-1"),
        ("uid", "4294967296"),
        ("actions", "0"),
        ("actions", "64"),
        ("actions", "1000"),
        ("pin", "x'00'"),
        ("reason", "CAST(x'ff00fe' AS TEXT)"),
        ("boot", "x'00'"),
        ("uses_left", "-1"),
        ("uses_left", "5000000000"),
        ("approved_by", "CAST(x'c3' AS TEXT)"),
        ("ended_by", "'revoked'"),
    ] {
        let scene = scene();
        force(&scene, column, value);
        let ran = scene.safe_rm(["file"]);
        ran.exited(125).says("the vault");
        assert!(scene.work("file").exists(), "{column} = {value}");
        for verb in [&["status"][..], &["revoke", "--all"]] {
            scene.pvm(verb).exited(125);
        }
    }
}

#[test]
fn db_16_a_scope_that_is_no_scope_grants_nothing() {
    for value in ["'/'", "''", "'relative'", "'/tmp/../tmp'", "x'2f00'"] {
        let scene = scene();
        force(&scene, "scope", &format!("CAST({value} AS BLOB)"));
        scene.safe_rm(["file"]).denied();
        scene.pvm(["status"]).exited(125);
        assert!(scene.work("file").exists(), "{value}");
    }
}

/// A word sorts after every number, so that an expiry 'never' would outlast all.
#[test]
fn db_16_a_word_where_a_number_belongs_is_refused() {
    let scene = scene();
    let rewrite = |from: &str, to: &str| {
        let vault = open(&scene);
        vault.pragma_update(None, "writable_schema", true).unwrap();
        let sql = "UPDATE sqlite_schema SET sql = replace(sql, ?1, ?2) WHERE name = 'grants'";
        assert_eq!(vault.execute(sql, [from, to]).unwrap(), 1);
    };
    rewrite(") STRICT, WITHOUT ROWID", ") WITHOUT ROWID");
    open(&scene)
        .execute_batch("UPDATE grants SET expires_at = 'never'")
        .unwrap();
    rewrite(") WITHOUT ROWID", ") STRICT, WITHOUT ROWID");
    scene.safe_rm(["file"]).exited(125).says("the vault");
    assert!(scene.work("file").exists());
}

#[test]
fn time_13_a_grant_from_the_future_grants_nothing() {
    let scene = scene();
    let later = "issued_at = issued_at + 3600000, not_before = not_before + 3600000, \
        expires_at = expires_at + 3600000";
    open(&scene)
        .execute_batch(&format!("UPDATE grants SET {later}"))
        .unwrap();
    scene
        .safe_rm(["file"])
        .denied()
        .says("the clock was set back");
    assert!(scene.work("file").exists());
}

#[test]
fn db_22_sql_in_names_reasons_and_ids_is_only_text() {
    let scene = scene();
    let names: [&[u8]; 7] = [
        b"'; DROP TABLE grants; --",
        b"\" OR 1=1 --",
        b"x'2f'",
        b"%",
        b"?1",
        b"a\n'); DELETE FROM audit; --",
        b"\xff' OR '1'='1",
    ];
    for name in names {
        let name = OsString::from_vec(name.to_vec());
        let directory = scene.work(&name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(&name), "").unwrap();
        scene.safe_rm([directory.join(&name)]).succeeded();
        let outside = scene.path(&name);
        std::fs::write(&outside, "").unwrap();
        scene.safe_rm([&outside]).denied();
        let mut grant = scene.command("pvm");
        grant.args([
            "grant",
            "--ttl",
            "1m",
            "--uses",
            "1",
            "--reason",
            "'); DROP TABLE audit; --",
            "--scope",
        ]);
        crate::support::Ran::of(grant.arg(&outside)).succeeded();
        scene.safe_rm([&outside]).succeeded();
    }
    for id in ["%", "_", "' OR 1=1 --", "*"] {
        let ran = scene.pvm(["revoke", id]);
        assert_ne!(ran.code, Some(0), "{ran}");
    }
    scene.safe_rm(["file"]).succeeded();
    scene.assert_trail_intact();
}
