//! URLs held against `git fetch-pack --diag-url`, which says how git takes one apart.

use std::fs;
use std::path::Path;

use super::{Apart, Place, canonical, local, taken_apart};
use crate::sys::path;
use crate::tool::git::real::{Numbers, gits, run};

/// Pieces that URLs are made of, and some that make git stumble.
const PIECES: [&str; 27] = [
    "ssh://",
    "git://",
    "file://",
    "git+ssh://",
    "git@",
    "alice@",
    "h",
    "host.x",
    "[::1]",
    "[h:22]",
    "[h]",
    ":22",
    ":",
    "/",
    "/",
    "~",
    "~bob",
    "a",
    "a.git",
    "@[",
    "]",
    "%61",
    "%5b",
    "x/y",
    ":a~b",
    "@",
    "-",
];

fn url(numbers: &mut Numbers) -> String {
    let pieces = 2 + numbers.below(6);
    (0..pieces)
        .map(|_| PIECES[numbers.below(PIECES.len())])
        .collect()
}

/// Returns the lines that git would print.
fn expected(place: &Place) -> Vec<String> {
    let user = place.user.as_ref().map_or(String::new(), |user| {
        format!("{}@", String::from_utf8_lossy(user))
    });
    let host = String::from_utf8_lossy(&place.host).into_owned();
    let path = format!("Diag: path={}", String::from_utf8_lossy(&place.path));
    if place.scheme == super::Scheme::Git {
        return vec![format!("Diag: hostandport={user}{host}"), path];
    }
    let (host, port) = canonical::split_port(&place.host, place.scheme).unwrap();
    let host = host.trim_matches(['[', ']']);
    let port = port.map_or("NONE".to_owned(), |port| port.to_string());
    vec![
        format!("Diag: userandhost={user}{host}"),
        format!("Diag: port={port}"),
        path,
    ]
}

#[test]
fn what_is_taken_apart_is_taken_apart_as_git_does() {
    let directory = tempfile::tempdir().unwrap();
    for git in gits() {
        run(&git, directory.path(), &["init", "-q"]);
        let mut numbers = Numbers(41);
        let mut compared = 0;
        while compared < 150 {
            let url = url(&mut numbers);
            let lines = match taken_apart(url.as_bytes()) {
                Ok(Apart::Remote(place)) if canonical::repository(&place).is_ok() => {
                    expected(&place)
                }
                Ok(Apart::Local(path)) => {
                    vec![format!("Diag: path={}", String::from_utf8_lossy(&path))]
                }
                _ => continue,
            };
            compared += 1;
            let output = run(&git, directory.path(), &["fetch-pack", "--diag-url", &url]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            for line in &lines {
                assert!(said.lines().any(|l| l == line), "{url}: {lines:?}\n{said}");
            }
        }
    }
}

/// The places where git looks for `r`.
const PLACES: [&str; 4] = ["r/.git", "r", "r.git/.git", "r.git"];

/// Makes a repository with one tag, which says where it is.
fn make(git: &Path, top: &Path, place: usize) {
    let directory = top.join(PLACES[place]);
    fs::create_dir_all(&directory).unwrap();
    run(git, &directory, &["init", "-q", "--bare", "."]);
    let tree = run(git, &directory, &["write-tree"]).stdout;
    let tree = String::from_utf8(tree).unwrap();
    let commit = run(git, &directory, &["commit-tree", "-m", "x", tree.trim()]).stdout;
    fs::write(directory.join(format!("refs/tags/{place}")), commit).unwrap();
}

#[test]
fn a_path_is_opened_where_git_opens_it() {
    for git in gits() {
        for mask in 0_usize..16 {
            let directory = tempfile::tempdir().unwrap();
            let top = path::canonical(directory.path()).unwrap();
            let here: Vec<usize> = (0..4).filter(|place| mask & (1 << place) != 0).collect();
            for place in &here {
                make(&git, &top, *place);
            }
            fs::create_dir_all(top.join("r.git")).unwrap();
            let path = top.join("r");
            let output = run(&git, &top, &["ls-remote".as_ref(), path.as_os_str()]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let tag = said.trim().rsplit('/').next().unwrap();
            let ours = local::repository(&path).ok();
            let theirs = tag
                .parse::<usize>()
                .ok()
                .map(|place| top.join(PLACES[place]));
            assert_eq!(ours, theirs, "{here:?}\n{output:?}");
            assert_eq!(theirs.is_some(), mask != 0, "{output:?}");
        }
    }
}
