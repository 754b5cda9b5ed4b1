//! A second implementation of docs/audit-format.md, from the page alone.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::eventful;
use crate::support::Scene;

const PAGE: &str = include_str!("../../docs/audit-format.md");

/// A row of the table `audit`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) uptime: i64,
    pub(crate) kind: String,
    pub(crate) decision: String,
    pub(crate) agent: String,
    pub(crate) uid: i64,
    pub(crate) pid: i64,
    pub(crate) action: Option<String>,
    pub(crate) detail: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

pub(crate) fn rows(scene: &Scene) -> Vec<Row> {
    let vault = Connection::open(scene.vault()).unwrap();
    let mut statement = vault.prepare("SELECT * FROM audit ORDER BY seq").unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Row {
            seq: row.get("seq")?,
            at: row.get("at")?,
            uptime: row.get("uptime")?,
            kind: row.get("kind")?,
            decision: row.get("decision")?,
            agent: row.get("agent")?,
            uid: row.get("uid")?,
            pid: row.get("pid")?,
            action: row.get("action")?,
            detail: row.get("detail")?,
            hash: row.get("hash")?,
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// "The hash".
pub(crate) fn hash(before: &[u8], row: &Row) -> Vec<u8> {
    let numbers = [row.seq, row.at, row.uptime, row.uid, row.pid].map(i64::to_be_bytes);
    let [seq, at, uptime, uid, pid] = &numbers;
    let strings: [Option<&[u8]>; 12] = [
        Some(b"pvm audit entry v1"),
        Some(before),
        Some(seq),
        Some(at),
        Some(uptime),
        Some(row.kind.as_bytes()),
        Some(row.decision.as_bytes()),
        Some(row.agent.as_bytes()),
        Some(uid),
        Some(pid),
        row.action.as_ref().map(String::as_bytes),
        Some(&row.detail),
    ];
    let mut digest = Sha256::new();
    for string in strings {
        digest.update(string.map_or(u64::MAX, |s| s.len() as u64).to_be_bytes());
        digest.update(string.unwrap_or_default());
    }
    digest.finalize().to_vec()
}

/// Writes a row behind pvm's back, with a hash that fits to the row before.
pub(crate) fn write(vault: &Connection, before: &[u8], mut row: Row) -> Row {
    row.hash = hash(before, &row);
    vault
        .execute(
            "INSERT OR REPLACE INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            rusqlite::params![
                row.seq,
                row.at,
                row.uptime,
                row.kind,
                row.decision,
                row.agent,
                row.uid,
                row.pid,
                row.action,
                row.detail,
                row.hash
            ],
        )
        .unwrap();
    row
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    list: bool,
    json: &'static str,
}

/// The table of "The detail".
fn fields() -> BTreeMap<u8, Field> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [number, name, how_many, json, _] = cells.as_slice() else {
            return None;
        };
        let name = name.trim_matches('`');
        Some((
            number.parse().ok()?,
            Field {
                name,
                list: *how_many == "list",
                json,
            },
        ))
    })
    .collect()
}

/// Reads a detail: the parts in order.
fn parts(mut detail: &[u8]) -> Vec<(u8, &[u8])> {
    let mut parts = Vec::new();
    while let [number, a, b, c, d, rest @ ..] = detail {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        parts.push((*number, &rest[..length]));
        detail = &rest[length..];
    }
    assert!(detail.is_empty(), "{detail:?}");
    parts
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": data_encoding::BASE64.encode(bytes) }),
    }
}

fn instant(milliseconds: i64) -> Value {
    let since = Duration::from_millis(milliseconds.try_into().unwrap());
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since)
        .to_string()
        .into()
}

fn value(field: &Field, bytes: &[u8]) -> Value {
    let number = || std::str::from_utf8(bytes).unwrap().parse::<i64>().unwrap();
    match field.json {
        "number" => number().into(),
        "instant" => instant(number()),
        "names" => std::str::from_utf8(bytes).unwrap().split(',').collect(),
        "text" => text(bytes),
        other => panic!("{other}"),
    }
}

/// "JSON".
fn object(row: &Row, fields: &BTreeMap<u8, Field>) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value| object.insert(name.to_owned(), value);
    put("entry", row.seq.into());
    put("timestamp", instant(row.at));
    put("uptime_ms", row.uptime.into());
    put("event_type", row.kind.as_str().into());
    put("decision", row.decision.as_str().into());
    put("agent", row.agent.as_str().into());
    put("uid", row.uid.into());
    put("pid", row.pid.into());
    put("op", row.action.as_deref().into());
    put("hash", data_encoding::HEXLOWER.encode(&row.hash).into());
    for (number, bytes) in parts(&row.detail) {
        let field = &fields[&number];
        let value = value(field, bytes);
        if field.list {
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            list.as_array_mut().unwrap().push(value);
        } else {
            assert_eq!(
                object.insert(field.name.to_owned(), value),
                None,
                "{}",
                field.name
            );
        }
    }
    Value::Object(object)
}

#[test]
fn aud_03_the_hashes_are_what_the_documentation_says() {
    let scene = eventful();
    let mut before = vec![0; 32];
    let rows = rows(&scene);
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(row.seq, number);
        assert_eq!(row.hash, hash(&before, row), "entry {number}");
        before.clone_from(&row.hash);
    }
    let head = format!(
        "{} {}\n",
        rows.len(),
        data_encoding::HEXLOWER.encode(&before)
    );
    assert_eq!(scene.pvm(["audit", "head"]).succeeded().stdout_text(), head);
    scene.assert_trail_intact();
}

#[test]
fn the_json_is_what_the_documentation_says() {
    let scene = eventful();
    let fields = fields();
    let expected: Vec<Value> = rows(&scene)
        .iter()
        .map(|row| object(row, &fields))
        .collect();
    let printed = scene.trail();
    for (printed, expected) in printed.iter().zip(&expected) {
        assert_eq!(printed, expected);
    }
    assert_eq!(printed.len(), expected.len());
    let seen: Vec<&str> = fields
        .values()
        .map(|field| field.name)
        .filter(|name| !printed.iter().any(|entry| entry.get(name).is_some()))
        .collect();
    let elsewhere = [
        "error",
        "rules",
        "kept_refs",
        "program_sha256",
        "trashed",
        "executed",
        "remote",
        "repository",
        "cached",
        "refusals",
    ];
    assert_eq!(seen, elsewhere, "what the scene does not show");
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let example = Row {
        seq: 1,
        at: 2,
        uptime: 3,
        kind: "EXECUTION".to_owned(),
        decision: "SUCCESS".to_owned(),
        agent: "a".to_owned(),
        uid: 4,
        pid: 5,
        action: Some("rm".to_owned()),
        detail: vec![1, 2, 3],
        hash: Vec::new(),
    };
    let hex = data_encoding::HEXLOWER.encode(&hash(&[0; 32], &example));
    assert!(PAGE.lines().any(|line| line == hex), "{hex}");
}

#[test]
fn aud_09_the_note_on_a_list_that_was_cut_is_what_the_documentation_says() {
    let scene = eventful();
    let entry = scene
        .trail()
        .into_iter()
        .find(|entry| entry.get("truncated").is_some())
        .unwrap();
    let typed = (0..3000)
        .map(|number| format!("{number:050}").into_bytes())
        .collect::<Vec<_>>();
    let mut digest = Sha256::new();
    for word in &typed {
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word);
    }
    let digest = data_encoding::HEXLOWER.encode(&digest.finalize());
    let note = format!("operands count=3000 bytes=150000 sha256={digest}");
    let notes = entry["truncated"].as_array().unwrap();
    assert!(notes.contains(&note.as_str().into()), "{notes:?}");
    assert_eq!(entry["operands"].as_array().unwrap().len(), 65536 / 50);
}
