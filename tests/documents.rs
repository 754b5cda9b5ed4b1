//! Holds what the documents say: commands that run, links that lead somewhere, names that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::architecture::{Source, files};
use crate::support::Scene;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FOLDERS: [&str; 5] = ["docs", "wrappers", "man", "bench", "fuzz"];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// Returns what people read, each file with its path from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in FOLDERS.into_iter().chain([""]) {
        let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let ending = path.extension().unwrap_or_default().to_str().unwrap();
            if path.is_file() && ["md", "sh", "1", "5"].contains(&ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(ROOT).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.iter().any(|(path, _)| path == Path::new("README.md")));
    found
}

/// Returns the fenced blocks of a Markdown text whose info string is `info`.
fn blocks(text: &str, info: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(opening) = line.strip_prefix("```") {
            let body = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(str::to_owned);
            let body: Vec<String> = body.collect();
            if opening == info {
                blocks.push(body);
            }
        }
    }
    blocks
}

/// Takes a block apart into commands and the output that is shown for each.
fn transcript(block: &[String]) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.clone()),
            (None, None) => panic!("a block of the tour begins with output: {line}"),
        }
    }
    commands
}

/// Blanks out ids, which are random: runs of 8 or 26 characters of their alphabet.
fn without_ids(line: &str) -> String {
    let in_id =
        |character: char| character.is_ascii_lowercase() || ('2'..='7').contains(&character);
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(in_id) {
        let length = rest[start..]
            .find(|c| !in_id(c))
            .unwrap_or(rest.len() - start);
        let run = &rest[start..start + length];
        out.push_str(&rest[..start]);
        out.push_str(if [8, 26].contains(&run.len()) {
            "ID"
        } else {
            run
        });
        rest = &rest[start + length..];
    }
    out + rest
}

/// Compares output with what is shown for it; a line `...` stands for any lines.
fn agrees(shown: &[String], got: &[String]) -> bool {
    match (shown.split_first(), got.split_first()) {
        (None, _) => got.is_empty(),
        (Some((first, rest)), _) if first == "..." => {
            (0..=got.len()).any(|skipped| agrees(rest, &got[skipped..]))
        }
        (Some((first, rest)), Some((line, others))) => {
            without_ids(first) == without_ids(line) && agrees(rest, others)
        }
        (Some(_), None) => false,
    }
}

#[test]
fn the_tour_of_the_readme_runs_as_shown() {
    let scene = Scene::bare();
    let here = scene.work("tour").display().to_string();
    let mut ran = 0;
    for (command, shown) in blocks(&read("README.md"), "console tour")
        .iter()
        .flat_map(|block| transcript(block))
    {
        let output = Command::new("/bin/sh")
            .args([
                "-c",
                &format!("exec 2>&1; {}", command.replace("/tmp/tour", &here)),
            ])
            .env_clear()
            .env("PATH", scene.search_path())
            .current_dir(scene.work(""))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout)
            .unwrap()
            .replace(&here, "/tmp/tour");
        let got: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(
            agrees(&shown, &got),
            "$ {command}\nshown: {shown:#?}\ngot: {got:#?}"
        );
        ran += 1;
    }
    assert!(ran > 8, "only {ran} commands were found");
    assert!(!scene.work("tour/build").exists());
    assert!(scene.work("tour/build-old").exists());
}

#[test]
fn output_that_is_not_as_shown_is_noticed() {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    assert!(agrees(
        &lines("a 5yhk3w2a b\n..."),
        &lines("a zzzzzzzz b\nc\nd")
    ));
    assert!(!agrees(&lines("a"), &lines("b")));
    assert!(!agrees(&lines("a"), &lines("a\nb")));
    assert!(!agrees(&lines("a\n..."), &lines("")));
    assert!(!agrees(&[], &lines("an error nobody expected")));
}

#[test]
fn the_readme_has_the_one_command_that_tests_everything() {
    let all: Vec<String> = blocks(&read("README.md"), "sh")
        .into_iter()
        .flatten()
        .collect();
    let tests: Vec<&String> = all
        .iter()
        .filter(|line| line.contains("cargo test"))
        .collect();
    assert_eq!(tests, ["cargo test"]);
}

#[test]
fn every_relative_link_leads_to_a_file() {
    for (file, text) in documents() {
        let folder = Path::new(ROOT).join(file.parent().unwrap());
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let target = rest.split(')').next().unwrap().split('#').next().unwrap();
            let elsewhere = target.contains("://") || target.is_empty();
            let exists = folder.join(target).exists();
            assert!(
                elsewhere || exists,
                "{}: there is no {target}",
                file.display()
            );
        }
    }
}

#[test]
fn the_changelog_has_the_current_version() {
    let heading = format!("\n## [{}] - ", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").contains(&heading), "no{heading}");
}

/// Returns the subcommands that `pvm --help` lists.
fn verbs() -> BTreeSet<String> {
    let help = Scene::bare().pvm(["--help"]).succeeded().stdout_text();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    commands
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn the_readme_lists_every_subcommand_and_no_other() {
    let text = read("README.md");
    let (_, table) = text.split_once("| command | does |\n|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("| `pvm "));
    let named = rows.map(|row| row["| `pvm ".len()..].split('`').next().unwrap().to_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), verbs());
}

/// Every `pvm VERB` in a document is a subcommand, and its long options are options of it.
#[test]
fn every_pvm_command_in_the_documents_exists() {
    let scene = Scene::bare();
    let verbs = verbs();
    for (file, text) in documents() {
        let spans = text.split('`').filter(|span| !span.contains('\n'));
        let typed = text.lines().filter_map(|line| line.strip_prefix("$ "));
        for command in spans
            .chain(typed)
            .filter_map(|span| span.strip_prefix("pvm "))
        {
            let words: Vec<&str> = command.split_whitespace().collect();
            let verb = words.first().copied().unwrap_or_default();
            if verb.starts_with('-') || verb == "COMMAND" || verb == "VERB" {
                continue;
            }
            let place = format!("{}: pvm {command}", file.display());
            assert!(verbs.contains(verb), "{place}");
            let inner = words
                .get(1)
                .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
            let path: Vec<&str> = [verb].into_iter().chain(inner.copied()).collect();
            let mut ran = scene.pvm(path.iter().chain(&["--help"]));
            if ran.code != Some(0) {
                ran = scene.pvm([verb, "--help"]);
            }
            let help = ran.stdout_text();
            for option in words
                .iter()
                .filter(|word| word.starts_with("--") && word.len() > 2)
            {
                let name = option
                    .split('=')
                    .next()
                    .unwrap()
                    .trim_end_matches([',', ')', ']']);
                assert!(help.contains(name), "{place}: no {name} in its help");
            }
        }
    }
}

#[test]
fn the_files_of_wrappers_are_explained() {
    let text = read("README.md") + &read("wrappers/README.md");
    for entry in fs::read_dir(Path::new(ROOT).join("wrappers")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&name), "nothing explains wrappers/{name}");
    }
}

#[test]
fn the_documents_claim_nothing_that_cannot_be_and_name_no_machine() {
    let forbidden = [
        concat!("tamper-", "proof"),
        concat!("tamper", "proof"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("bullet", "proof"),
        concat!("/wo", "rk/main"),
        concat!("/wo", "rk/shared"),
        concat!("/ro", "ot/.cargo"),
    ];
    let sources = files("src", ".rs").into_iter().chain(files("tests", ".rs"));
    for (file, text) in documents().into_iter().chain(sources) {
        let lower = text.to_lowercase();
        for word in forbidden {
            let said = text.contains(word) || (!word.contains('/') && lower.contains(word));
            assert!(!said, "{} says {word}", file.display());
        }
    }
}

/// A protection that is said to be held by a test is: each such name in the threat model exists.
#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let sources = files("src", ".rs").into_iter().chain(files("tests", ".rs"));
    let known: BTreeSet<String> = sources
        .flat_map(|(_, text)| Source::read(&text).test_names())
        .collect();
    let text = read("docs/threat-model.md");
    let is_name = |span: &&str| {
        let letters = span
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
        letters && span.matches('_').count() > 2
    };
    let named: Vec<&str> = text.split('`').filter(is_name).collect();
    assert!(named.len() > 20, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(**name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
