//! Bytes, split at NUL, as the words after `git push`.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use pvm::internals::git;

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<OsString> = bytes
        .split(|byte| *byte == 0)
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    if let Some(at) = git::subcommand(&words) {
        assert!(at < words.len(), "the subcommand is one of the words");
    }
    let Some(push) = git::parse_push(&words) else {
        return;
    };
    if push.informational {
        return;
    }
    for operand in &push.operands {
        let is_value = words.iter().any(|word| word.as_bytes().ends_with(operand.as_bytes()));
        assert!(is_value, "an operand is a word or the value of --repo");
    }
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let given = &words[..end];
    let says = |text: &str| given.iter().any(|word| word == text);
    let takes_back = given.iter().any(|word| word.as_bytes().starts_with(b"--no-"));
    // What stands behind one of these may be its value.
    let swallows = ["--repo", "--receive-pack", "--exec", "--push-option", "--recurse-submodules", "-o"];
    let swallowed = given.iter().any(|word| {
        let word = word.as_bytes();
        let abbreviated = |name: &&str| word.len() > 2 && name.as_bytes().starts_with(word);
        swallows.iter().any(abbreviated) || (!word.starts_with(b"--") && word.contains(&b'o'))
    });
    for text in ["-f", "--force", "--mirror", "--prune", "--delete", "-d", "--force-with-lease"] {
        assert!(
            !says(text) || push.forced || takes_back || swallowed,
            "{text} forces"
        );
    }
});
