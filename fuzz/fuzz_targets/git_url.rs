//! Bytes as the URL of a repository, and as a word that may hold one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pvm::internals::git;

fuzz_target!(|bytes: &[u8]| {
    if let Some((name, again)) = git::repository(bytes) {
        assert_eq!(again.as_ref(), Some(&name), "a canonical name stays what it is");
        assert!(!name.iter().any(u8::is_ascii_control));
    }
    // A URL as people write it loses its password, whatever stands around it.
    if !bytes.contains(&b'/') {
        let word = [b"https://user:PASSWORD@host/", bytes].concat();
        let shown = git::redacted(&word);
        assert!(!shown.windows(8).any(|part| part == b"PASSWORD") || bytes.windows(8).any(|part| part == b"PASSWORD"));
    }
    let _either = git::read_config(bytes);
});
