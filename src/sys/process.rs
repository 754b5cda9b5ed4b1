use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork, getpid};

/// Returns the effective user id.
pub(crate) fn uid() -> u32 {
    Uid::effective().as_raw()
}

pub(crate) fn pid() -> u32 {
    getpid().as_raw().unsigned_abs()
}

/// Says whether this process or one above it gave up gaining privileges for good, as every
/// Landlock sandbox does.
pub(crate) fn has_no_new_privileges() -> bool {
    nix::sys::prctl::get_no_new_privs().unwrap_or(true)
}

/// Says whether there is a controlling terminal to ask a person on.
pub(crate) fn has_controlling_terminal() -> bool {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .is_ok()
}

/// Says whether the kernel marked this start as one with raised privileges (setuid, file
/// capabilities). pvm is never installed like that.
#[expect(unsafe_code, reason = "getauxval has no safe wrapper")]
pub(crate) fn runs_with_raised_privileges() -> bool {
    // SAFETY: getauxval reads the vector that the kernel put on the stack and has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Opens `/dev/null` on every standard stream that came closed, so that no file of the vault gets
/// such a number (PROC-01).
pub(crate) fn open_closed_standard_streams() -> io::Result<()> {
    for wanted in 0..3 {
        if fcntl(borrow(&wanted), FcntlArg::F_GETFD).is_ok() {
            continue;
        }
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        if null.as_raw_fd() != wanted {
            return Err(io::Error::other(
                "a standard stream is closed and cannot be opened",
            ));
        }
        // std opened it close-on-exec; the real command shall have it.
        keep_on_exec(&null)?;
        let _kept_open = null.into_raw_fd();
    }
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "asking whether a number is an open descriptor needs no owner"
)]
fn borrow(number: &i32) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: only F_GETFD is called on it, which reports EBADF for a number that is not open.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) }
}

/// Marks every descriptor from 3 up close-on-exec, the caller's leaked ones too (PROC-04).
#[expect(unsafe_code, reason = "nix has no close_range")]
pub(crate) fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: setting a flag on descriptors closes nothing in this process.
    let status = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets the program that this process becomes have a descriptor.
pub(crate) fn keep_on_exec(descriptor: &impl AsFd) -> io::Result<()> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// A signal's disposition as it was found.
#[derive(Debug)]
pub(crate) struct SavedSignal(Signal, SigAction);

/// Ignores SIGXFSZ, so that a write past RLIMIT_FSIZE is an error and not a death (ENV-29).
pub(crate) fn ignore_file_size_signal() -> io::Result<SavedSignal> {
    set_handler(Signal::SIGXFSZ, SigHandler::SigIgn)
}

/// Ignores SIGPIPE; for output that no command follows (PROC-02).
pub(crate) fn ignore_broken_pipes() -> io::Result<SavedSignal> {
    set_handler(Signal::SIGPIPE, SigHandler::SigIgn)
}

#[expect(
    unsafe_code,
    reason = "sigaction is unsafe for handlers; none is installed here"
)]
fn set_handler(signal: Signal, handler: SigHandler) -> io::Result<SavedSignal> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: only SIG_IGN is passed, so no code runs in signal context.
    let before = unsafe { sigaction(signal, &action) }?;
    Ok(SavedSignal(signal, before))
}

impl SavedSignal {
    /// Puts the disposition back that the caller had set.
    #[expect(
        unsafe_code,
        reason = "sigaction is unsafe for handlers; none is installed here"
    )]
    pub(crate) fn restore(&self) -> io::Result<()> {
        // SAFETY: the action is the one that was found at start, when no handler of ours existed.
        unsafe { sigaction(self.0, &self.1) }?;
        Ok(())
    }
}

/// The limit on open files as it was found.
#[derive(Debug)]
pub(crate) struct SavedLimit(u64, u64);

/// Raises the soft limit on open files to the hard one; many operands need many descriptors.
pub(crate) fn raise_open_files() -> io::Result<SavedLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(SavedLimit(soft, hard))
}

impl SavedLimit {
    pub(crate) fn restore(&self) -> io::Result<()> {
        Ok(setrlimit(Resource::RLIMIT_NOFILE, self.0, self.1)?)
    }
}

/// Runs a child process to its end, and returns its exit status, or 128 and the number of the
/// signal that killed it. What a terminal sends to end a command is the child's to answer.
///
/// There must be no other thread. `work` ends in another program, or with a status of its own.
#[expect(
    unsafe_code,
    reason = "nix marks fork unsafe for programs with threads"
)]
pub(crate) fn run_child(work: impl FnOnce() -> u8) -> io::Result<u8> {
    let ignored = [Signal::SIGINT, Signal::SIGQUIT]
        .into_iter()
        .map(|signal| set_handler(signal, SigHandler::SigIgn))
        .collect::<io::Result<Vec<_>>>()?;
    // SAFETY: pvm never starts a thread, so the child's memory is in no half-changed state.
    let status = match unsafe { fork() }? {
        ForkResult::Child => {
            let restored = ignored.iter().try_for_each(SavedSignal::restore);
            let status = if restored.is_ok() { work() } else { 125 };
            // SAFETY: ends the child at once, without flushing what the parent has buffered.
            unsafe { libc::_exit(status.into()) }
        }
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, status)) => {
                    break u8::try_from(status).unwrap_or(u8::MAX);
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    break u8::try_from(signal as i32)
                        .unwrap_or_default()
                        .saturating_add(128);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        },
    };
    ignored.iter().try_for_each(SavedSignal::restore)?;
    Ok(status)
}

/// Does something irrevocable in a child process, and returns the exit status that it chose.
///
/// There must be no other thread: the child has only the one that calls.
#[expect(
    unsafe_code,
    reason = "nix marks fork unsafe for programs with threads"
)]
pub(crate) fn in_child(work: impl FnOnce() -> u8) -> io::Result<u8> {
    // SAFETY: pvm never starts a thread, so the child's memory is in no half-changed state.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let status = work();
            // SAFETY: ends the child at once, without flushing what the parent has buffered.
            unsafe { libc::_exit(status.into()) }
        }
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, status)) => {
                    return Ok(u8::try_from(status).unwrap_or(u8::MAX));
                }
                Ok(other) => return Err(io::Error::other(format!("{other:?}"))),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        },
    }
}
