#![no_main]
//! One binary; the name it is executed under selects what it does.

use std::ffi::{c_char, c_int};

// musl's allocator gives memory back at every turn, which is a third of a wrapper's system calls.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[expect(unsafe_code, reason = "the C runtime calls main by its symbol")]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: these are the arguments that the C runtime passed to main.
    let arguments = unsafe { pvm::arguments(argc, argv) };
    pvm::start(&arguments).into()
}
