use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{eventful, remove_as};
use crate::support::Scene;

fn records(text: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text);
    let names = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let records = reader
        .records()
        .map(|r| r.unwrap().iter().map(str::to_owned).collect());
    (names, records.collect())
}

#[test]
fn json_lines_are_the_whole_trail() {
    let scene = eventful();
    let exported = scene
        .pvm(["audit", "export", "--format", "jsonl"])
        .succeeded()
        .stdout_text();
    let listed = scene
        .pvm(["audit", "--json", "--limit", "0"])
        .succeeded()
        .stdout_text();
    assert_eq!(exported, listed);
    let some = scene.pvm(["audit", "export", "--format", "jsonl", "--agent", "claude"]);
    let listed = scene.pvm(["audit", "--json", "--limit", "0", "--agent", "claude"]);
    assert_eq!(
        some.succeeded().stdout_text(),
        listed.succeeded().stdout_text()
    );
}

#[test]
fn csv_has_a_record_for_each_entry_and_no_line_break_in_a_cell() {
    let scene = eventful();
    let ran = scene.pvm(["audit", "export", "--format", "csv"]);
    let text = ran.succeeded().stdout_text();
    let (names, records) = records(text.as_bytes());
    let trail = scene.trail();
    assert_eq!(records.len(), trail.len());
    assert_eq!(text.split("\r\n").count(), trail.len() + 2);
    assert!(!text.replace("\r\n", "").contains(char::is_control));
    let column = |name: &str| names.iter().position(|known| known == name).unwrap();
    for (record, entry) in records.iter().zip(&trail) {
        assert_eq!(record[column("entry")], entry["entry"].to_string());
        for name in [
            "timestamp",
            "event_type",
            "decision",
            "hash",
            "cwd",
            "not_before",
        ] {
            let cell = entry.get(name).map_or("", |text| text.as_str().unwrap());
            assert_eq!(record[column(name)], cell, "{name}");
        }
    }
    let shown = records
        .iter()
        .find(|record| record[column("operands")].contains("xff"))
        .unwrap();
    assert_eq!(shown[column("operands")], r"$'\xff\xfe\n\x1b[31m'");
}

#[test]
fn an_agent_cannot_put_a_formula_into_a_spreadsheet() {
    let scene = Scene::bare();
    scene.grant_with(
        scene.work("x"),
        ["--reason", "=HYPERLINK(\"http://x\",\"a\")"],
    );
    remove_as(
        &scene,
        "@SUM",
        &["--".as_ref(), "=cmd|' /C calc'!A0".as_ref()],
    )
    .denied();
    remove_as(
        &scene,
        "a",
        &["--".as_ref(), "-2+3".as_ref(), "@x".as_ref()],
    )
    .denied();
    let text = scene
        .pvm(["audit", "export", "--format", "csv"])
        .succeeded()
        .stdout_text();
    let (_, records) = records(text.as_bytes());
    let cells: Vec<&String> = records.iter().flatten().collect();
    for cell in &cells {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    for cell in ["'=HYPERLINK(\"http://x\",\"a\")", "'@SUM", "'-2+3' @x"] {
        assert!(
            cells.iter().any(|known| *known == cell),
            "{cell}: {cells:?}"
        );
    }
}

#[test]
fn a_file_is_made_closed_to_others_and_never_replaced() {
    let scene = Scene::new();
    let path = scene.work("trail.csv");
    let words = [
        "audit",
        "export",
        "--format",
        "csv",
        "--output",
        "trail.csv",
    ];
    assert_eq!(scene.pvm(words).succeeded().stdout, b"");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let written = fs::read(&path).unwrap();
    assert_eq!(
        written,
        scene
            .pvm(["audit", "export", "--format", "csv"])
            .succeeded()
            .stdout
    );
    scene.pvm(words).exited(2).says("trail.csv exists already");
    assert_eq!(fs::read(&path).unwrap(), written);
    let nowhere = [
        "audit",
        "export",
        "--format",
        "csv",
        "--output",
        "none/trail.csv",
    ];
    scene
        .pvm(nowhere)
        .exited(125)
        .says("cannot make none/trail.csv");
}
