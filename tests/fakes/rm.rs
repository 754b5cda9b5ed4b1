//! A stand-in for `rm` that turns on whoever runs it: carries out the orders in the file `orders`
//! beside it, one a line with tabs between the words, and prints what the kernel answered to each.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a part of the tests: it stops where something is not as they expect"
)]

use std::fs::{self, OpenOptions};
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

fn main() {
    let program = fs::read_link("/proc/self/exe").unwrap();
    let orders = fs::read_to_string(program.with_file_name("orders")).unwrap();
    for order in orders.lines() {
        let words: Vec<&str> = order.split('\t').collect();
        match carry_out(&words) {
            Ok(()) => println!("ok"),
            Err(error) => println!("{:?}", Errno::from_raw(error.raw_os_error().unwrap())),
        }
    }
}

fn carry_out(words: &[&str]) -> io::Result<()> {
    match *words {
        ["unlink", path] => fs::remove_file(path),
        ["rmdir", path] => fs::remove_dir(path),
        ["write", path] => OpenOptions::new().append(true).open(path).map(drop),
        ["create", path] => OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map(drop),
        ["truncate", path] => Ok(nix::unistd::truncate(path, 0)?),
        ["mkdir", path] => fs::create_dir(path),
        ["rename", from, to] => fs::rename(from, to),
        ["link", from, to] => fs::hard_link(from, to),
        ["symlink", to, at] => symlink(Path::new(to), at),
        ["read", path] => fs::read(path).map(drop),
        ["signal", pid] => Ok(kill(Pid::from_raw(pid.parse().unwrap()), None)?),
        ["connect", address] => TcpStream::connect(address).map(drop),
        _ => panic!("an order that is not known: {words:?}"),
    }
}
