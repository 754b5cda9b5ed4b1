//! Holds the rules of docs/architecture.md over `src`.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use source::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const LONGEST_FILE: usize = 800;

/// Crates that only some modules may name.
const HOMES: [(&str, &[&str]); 6] = [
    ("nix", &["sys"]),
    ("libc", &["sys"]),
    ("getrandom", &["sys"]),
    ("rusqlite", &["vault", "sys::heap"]),
    ("landlock", &["confine"]),
    ("clap", &["cli"]),
];

/// What a module never says, whatever it may import.
const NEVER: [(&str, &[&str]); 4] = [
    (
        "model",
        &["std::fs", "std::env", "std::net", "std::process"],
    ),
    (
        "policy",
        &["std::fs", "std::env", "std::net", "std::process"],
    ),
    (
        "client",
        &[
            "Permit",
            "Ruling",
            "broker::exec",
            "sys::exec",
            "std::process",
            "sys::env::bytes",
        ],
    ),
    (
        "cli",
        &[
            "audit::begin",
            "Writing",
            "Recorded",
            "entries::insert",
            "grants::insert",
            "grants::end",
            "grants::consume",
            "requests::insert",
            "requests::decide",
        ],
    ),
];

const SQL: [&str; 7] = [
    "SELECT ",
    "INSERT INTO ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "DROP TABLE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

type Table = BTreeMap<String, BTreeSet<String>>;

/// Reads the table "What a module may import" of docs/architecture.md.
fn table() -> Table {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let (_, section) = text
        .split_once("## What a module may import\n")
        .expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let mut table = Table::new();
    for line in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let allowed = cells[1]
            .split(", ")
            .filter(|name| *name != "-")
            .map(str::to_owned);
        let allowed: BTreeSet<String> = allowed.collect();
        for module in cells[0].split(", ") {
            table.insert(module.to_owned(), allowed.clone());
        }
    }
    table
}

/// Returns the files with this ending below a directory, each with its path from the root.
pub(crate) fn files(directory: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(ROOT).join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(ROOT).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there is no {ending} in {directory}");
    found
}

/// Returns the names of the modules around a file, the outermost first.
fn module_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix("src").unwrap().with_extension("");
    inside
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect()
}

/// Returns the top module that a path leads to, seen from the module `from`.
fn top(from: &[String], path: &[String]) -> Option<String> {
    let mut at = from.to_vec();
    for name in path {
        match name.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            _ => {
                at.push(name.clone());
                break;
            }
        }
    }
    at.into_iter().next()
}

fn imports(module: &[String], source: &Source, table: &Table) -> Vec<String> {
    let own = &module[0];
    let Some(allowed) = table.get(own) else {
        return vec![format!("the table does not know the module {own}")];
    };
    let mut tops: BTreeSet<String> = source
        .paths()
        .iter()
        .filter_map(|path| top(module, path))
        .collect();
    if own == "lib" {
        tops.extend(table.keys().filter(|name| source.uses(name)).cloned());
    }
    let stray = |name: &&String| *name != own && !allowed.contains(*name);
    tops.iter()
        .filter(stray)
        .map(|name| format!("{own} may not import {name}"))
        .collect()
}

/// Returns what a file does that the architecture forbids.
fn violations(file: &Path, text: &str, table: &Table) -> Vec<String> {
    let source = Source::read(text);
    let module = module_path(file);
    let own = module[0].as_str();
    let mut found = imports(&module, &source, table);
    let name_of_module = module.join("::");
    for (name, homes) in HOMES {
        let at_home = homes
            .iter()
            .any(|home| own == *home || name_of_module == *home);
        if !at_home && source.uses(name) {
            found.push(format!("{name} belongs to {}", homes.join(" and ")));
        }
    }
    for (_, words) in NEVER.iter().filter(|(name, _)| *name == own) {
        let said = words.iter().filter(|word| source.has_word(word));
        found.extend(said.map(|word| format!("{own} may not say {word}")));
    }
    if !["sys", "main"].contains(&own) && source.has_word("unsafe") {
        found.push("unsafe code belongs to sys".to_owned());
    }
    let sql = source
        .strings
        .iter()
        .filter(|text| SQL.iter().any(|word| text.contains(word)));
    if own != "vault" {
        found.extend(sql.map(|text| format!("SQL belongs to vault: {text}")));
    }
    if text.lines().count() > LONGEST_FILE {
        found.push(format!("it has more than {LONGEST_FILE} lines"));
    }
    found.extend(habits(&source));
    found
}

fn habits(source: &Source) -> Vec<String> {
    let banner = |comment: &&String| {
        ["====", "----", "####", "****", "~~~~"]
            .iter()
            .any(|rule| comment.contains(rule))
    };
    let later = |comment: &&String| {
        [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("XX", "X"),
        ]
        .iter()
        .any(|word| comment.contains(word))
    };
    let banners = source.comments.iter().filter(banner);
    let laters = source.comments.iter().filter(later);
    banners
        .map(|comment| format!("a banner: {comment}"))
        .chain(laters.map(|comment| format!("something left for later: {comment}")))
        .collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = table();
    let mut found = Vec::new();
    for (file, text) in files("src", ".rs") {
        let wrong = violations(&file, &text, &table);
        found.extend(
            wrong
                .into_iter()
                .map(|what| format!("{}: {what}", file.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_table_knows_every_module_and_no_other() {
    let modules: BTreeSet<String> = files("src", ".rs")
        .iter()
        .map(|(file, _)| module_path(file)[0].clone())
        .collect();
    let known: BTreeSet<String> = table().into_keys().collect();
    assert_eq!(modules, known);
}

/// The control arm: a checker that finds nothing in these is broken.
#[test]
fn a_source_that_breaks_a_rule_is_found() {
    let table = table();
    let long = "\n".repeat(LONGEST_FILE + 1);
    let broken = [
        ("src/policy/x.rs", "use crate::sys::fs;"),
        ("src/policy/x.rs", "use crate::{model::id, sys};"),
        (
            "src/policy/x.rs",
            "use crate::{\n    model::{id, time},\n    vault::Vault,\n};",
        ),
        ("src/policy/x.rs", "fn f() { crate::broker::grant() }"),
        ("src/policy/x.rs", "use super::super::vault::Vault;"),
        ("src/policy.rs", "use super::vault;"),
        ("src/model/x.rs", "fn f() { std::fs::read(p) }"),
        ("src/wrapper/x.rs", "use crate::cli::Cli;"),
        ("src/lib.rs", "pub use vault::Vault;"),
        ("src/novel/x.rs", ""),
        ("src/broker/x.rs", "use nix::errno::Errno;"),
        ("src/broker/x.rs", "fn f(e: libc::c_int) {}"),
        ("src/audit/x.rs", "fn f() -> rusqlite::Result<()> { g() }"),
        (
            "src/audit/x.rs",
            "const Q: &str = \"SELECT seq FROM audit\";",
        ),
        (
            "src/audit/x.rs",
            "const Q: &str = r#\"say \"PRAGMA user_version\"\"#;",
        ),
        ("src/cli/x.rs", "fn f(v: &Vault) { audit::begin(v) }"),
        ("src/broker/x.rs", "fn f() { unsafe { g() } }"),
        ("src/broker/x.rs", concat!("// TO", "DO: later")),
        ("src/broker/x.rs", "// ---- helpers ----"),
        ("src/broker/x.rs", &long),
    ];
    for (file, text) in broken {
        assert!(
            !violations(Path::new(file), text, &table).is_empty(),
            "{file}: {text}"
        );
    }
}

#[test]
fn a_source_that_keeps_the_rules_is_left_alone() {
    let table = table();
    let sound = [
        (
            "src/policy/x.rs",
            "use crate::model::{id::Id, time};\nuse super::evaluate;",
        ),
        (
            "src/policy/x.rs",
            "//! See [`crate::vault`].\n/* crate::sys /* nested */ crate::sys */",
        ),
        (
            "src/policy/x.rs",
            "const T: &str = \"crate::vault unsafe // \\\" nix::x\";",
        ),
        (
            "src/policy/x.rs",
            "fn f<'a>(c: &'a char) -> bool { *c == '\"' || *c == '\\'' }",
        ),
        (
            "src/policy/x.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::vault;\n}\n",
        ),
        (
            "src/policy/x.rs",
            "fn f() { other::crate_::x(); my_nix::y(); a::nix::z() }",
        ),
        (
            "src/vault/x.rs",
            "const Q: &str = \"SELECT seq FROM audit\";",
        ),
        ("src/sys/x.rs", "fn f() { unsafe { libc::getpid() } }"),
        ("src/lib.rs", "mod vault;\npub use entry::start;"),
    ];
    for (file, text) in sound {
        let found = violations(Path::new(file), text, &table);
        assert!(found.is_empty(), "{file}: {text}\n{found:?}");
    }
}

#[test]
fn tests_keep_the_habits_and_have_names_of_their_own() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut found = Vec::new();
    for (file, text) in files("src", ".rs").into_iter().chain(files("tests", ".rs")) {
        let source = Source::read(&text);
        found.extend(
            habits(&source)
                .into_iter()
                .map(|what| format!("{}: {what}", file.display())),
        );
        for name in source.test_names() {
            if let Some(other) = seen.insert(name.clone(), file.clone()) {
                let places = [other, file.clone()].map(|path| path.display().to_string());
                found.push(format!(
                    "two tests are called {name}: {}",
                    places.join(", ")
                ));
            }
        }
    }
    assert!(seen.len() > 50, "only {} tests were found", seen.len());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_of_tests_is_in_the_binary() {
    let main = fs::read_to_string(Path::new(ROOT).join("tests/main.rs")).unwrap();
    for entry in fs::read_dir(Path::new(ROOT).join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_module = path.extension().is_some_and(|ending| ending == "rs") && name != "main";
        assert!(
            !is_module || main.contains(&format!("\nmod {name};\n")),
            "{name} is not built"
        );
    }
}
