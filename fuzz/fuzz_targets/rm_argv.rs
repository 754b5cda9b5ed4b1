//! Bytes, split at NUL, as the words after `rm`.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<OsString> = bytes
        .split(|byte| *byte == 0)
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    let Some(parsed) = pvm::internals::parse_rm(&words) else {
        return;
    };
    if parsed.informational {
        assert!(parsed.operands.is_empty(), "--help looks at no operand");
        return;
    }
    assert!(!parsed.operands.is_empty(), "no operand is wrong usage");
    let mut next = 0;
    for (position, word) in &parsed.operands {
        assert_eq!(
            words.get(*position),
            Some(word),
            "an operand is a word as it was given"
        );
        assert!(
            *position >= next,
            "operands keep their order, and none counts twice"
        );
        next = position + 1;
    }
    let end = words
        .iter()
        .position(|word| word == "--")
        .unwrap_or(words.len());
    for (position, word) in words.iter().enumerate() {
        let operand = parsed.operands.iter().any(|(known, _)| *known == position);
        let dashed = word.len() > 1 && word.as_bytes().starts_with(b"-");
        assert_eq!(
            operand,
            position > end || (position < end && !dashed),
            "{word:?}"
        );
    }
    let given = &words[..end];
    let refused = |word: &&OsString| {
        // `--no` is the shortest spelling that is not some other option's as well.
        word.as_bytes().starts_with(b"--n") && b"--no-preserve-root".starts_with(word.as_bytes())
    };
    assert!(
        !given.iter().any(|word| refused(&word)),
        "--no-preserve-root is never accepted"
    );
});
