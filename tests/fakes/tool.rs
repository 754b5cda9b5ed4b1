#![no_main]
//! A stand-in for a real command: prints argv, environment, directory and signal state as JSON.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a part of the tests: it stops where something is not as they expect"
)]

use std::ffi::{OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::{env, fs};

/// std's start-up code does not run, because it would change the signals that are to be printed.
#[expect(unsafe_code, reason = "the C runtime calls main by its symbol")]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: these are the arguments that the C runtime passed to main.
    let arguments = unsafe { pvm::arguments(argc, argv) };
    print_record(arguments);
    0
}

fn print_record(arguments: Vec<OsString>) {
    let hex = |word: OsString| data_encoding::HEXLOWER.encode(word.as_bytes());
    let argv: Vec<String> = arguments.into_iter().map(hex).collect();
    let environment: Vec<(String, String)> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), hex(value)))
        .collect();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut descriptors: Vec<i32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect();
    // The one that the list was read through is closed by now.
    descriptors.retain(|number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let record = serde_json::json!({
        "argv_hex": argv,
        "env_hex": environment,
        "cwd": env::current_dir().ok(),
        "sig_blocked": field("SigBlk:"),
        "sig_ignored": field("SigIgn:"),
        "umask": field("Umask:"),
        "no_new_privs": field("NoNewPrivs:"),
        "open_files": open_files.and_then(|line| line.split_whitespace().next()),
        "descriptors": descriptors,
    });
    // The ruleset forbids files to be made, so the record goes to standard output.
    println!("{record}");
}
