use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// Returns the arguments that the kernel handed to `main`, as they came.
///
/// std's own start-up code does not run in this program: it would ignore SIGPIPE and forget what
/// the caller had set, and a wrapper has to pass on the signal state it found.
///
/// # Safety
///
/// `argc` and `argv` must be what the C runtime passed to `main`.
#[expect(unsafe_code, reason = "main's arguments are C strings")]
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    let mut words = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the caller passes main's own argv, which has argc entries.
        let word = unsafe { *argv.add(index) };
        if word.is_null() {
            break;
        }
        // SAFETY: each entry before the null is a C string that lives as long as the process.
        let bytes = unsafe { CStr::from_ptr(word) }.to_bytes();
        words.push(OsStr::from_bytes(bytes).to_owned());
    }
    words
}
