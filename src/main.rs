#![no_main]
//! One binary; the name it is executed under selects what it does.

use std::ffi::{c_char, c_int};

#[expect(unsafe_code, reason = "the C runtime calls main by its symbol")]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: these are the arguments that the C runtime passed to main.
    let arguments = unsafe { pvm::arguments(argc, argv) };
    pvm::start(&arguments).into()
}
