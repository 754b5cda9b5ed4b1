//! Standard output: how wide it is where it is a terminal, and whether somebody still reads it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Returns how many columns standard output has, if it is a terminal that says so.
pub(crate) fn width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(width.0.into())
}

/// Waits, but no longer than until the reader of standard output goes away.
///
/// Returns whether there still is one.
pub(crate) fn wait_with_reader(pause: Duration) -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
    // A signal that did not end the process ends the pause, which does no harm.
    !matches!(poll(&mut watched, timeout), Ok(gone) if gone > 0)
}
