use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};

/// How a command finds its process: what a caller can set up before it starts the program.
pub(crate) trait Launch {
    fn limited(&mut self, resource: Resource, limit: u64) -> &mut Self;
    /// Starts with a soft limit that is below the hard one.
    fn soft_limited(&mut self, resource: Resource, soft: u64, hard: u64) -> &mut Self;
    fn with_umask(&mut self, mask: u32) -> &mut Self;
    fn with_closed(&mut self, descriptors: &'static [i32]) -> &mut Self;
    /// Hands on the standard error under a number that no program expects.
    fn with_leaked(&mut self, number: i32) -> &mut Self;
    fn with_signals(&mut self, ignored: Signal, blocked: Signal) -> &mut Self;
    /// Answers every Landlock call with an error, as a kernel without Landlock does.
    fn without_landlock(&mut self, error: Errno) -> &mut Self;
    /// Has a filter answer for the kernel that a ruleset is in force, and that nothing is removed.
    fn with_pretended_landlock(&mut self) -> &mut Self;
    /// Puts the process into this many Landlock domains that forbid it nothing of interest.
    fn with_landlock_layers(&mut self, layers: u32) -> &mut Self;
    /// Starts the program with exactly this argv and environment, however odd.
    fn exactly(&mut self, program: &Path, argv: &[&[u8]], environment: &[&[u8]]) -> &mut Self;
}

impl Launch for Command {
    fn limited(&mut self, resource: Resource, limit: u64) -> &mut Self {
        self.soft_limited(resource, limit, limit)
    }

    fn soft_limited(&mut self, resource: Resource, soft: u64, hard: u64) -> &mut Self {
        before_exec(self, move || Ok(setrlimit(resource, soft, hard)?))
    }

    fn with_umask(&mut self, mask: u32) -> &mut Self {
        before_exec(self, move || {
            umask(Mode::from_bits_truncate(mask));
            Ok(())
        })
    }

    fn with_closed(&mut self, descriptors: &'static [i32]) -> &mut Self {
        before_exec(self, move || {
            for descriptor in descriptors {
                nix::unistd::close(*descriptor)?;
            }
            Ok(())
        })
    }

    fn with_leaked(&mut self, number: i32) -> &mut Self {
        before_exec(self, move || {
            system_call(libc::SYS_dup3, [2, number.into(), 0, 0]).map(drop)
        })
    }

    fn with_signals(&mut self, ignored: Signal, blocked: Signal) -> &mut Self {
        before_exec(self, move || {
            ignore(ignored)?;
            let mut mask = SigSet::empty();
            mask.add(blocked);
            Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?)
        })
    }

    fn without_landlock(&mut self, error: Errno) -> &mut Self {
        before_exec(self, move || refuse_landlock(error))
    }

    fn with_pretended_landlock(&mut self) -> &mut Self {
        before_exec(self, || {
            answer_for_kernel(libc::SYS_landlock_restrict_self, 1, 0)?;
            answer_for_kernel(UNLINK, 1, Errno::EACCES as u32)
        })
    }

    fn with_landlock_layers(&mut self, layers: u32) -> &mut Self {
        before_exec(self, move || {
            (0..layers).try_for_each(|_| add_landlock_layer())
        })
    }

    fn exactly(&mut self, program: &Path, argv: &[&[u8]], environment: &[&[u8]]) -> &mut Self {
        let words = |words: &[&[u8]]| -> Vec<CString> {
            words
                .iter()
                .map(|word| CString::new(*word).unwrap())
                .collect()
        };
        let (argv, environment) = (words(argv), words(environment));
        let program = CString::new(program.as_os_str().as_bytes()).unwrap();
        before_exec(self, move || {
            match nix::unistd::execve(&program, &argv, &environment) {
                Err(error) => Err(error.into()),
            }
        })
    }
}

#[expect(
    unsafe_code,
    reason = "the tests need a hold on the child before its program starts"
)]
fn before_exec(
    command: &mut Command,
    change: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> &mut Command {
    // SAFETY: each of the changes above is a few system calls on the child itself.
    unsafe { command.pre_exec(change) }
}

#[expect(
    unsafe_code,
    reason = "signal(2) is unsafe for handlers; none is installed here"
)]
fn ignore(which: Signal) -> io::Result<()> {
    // SAFETY: SIG_IGN runs no code.
    unsafe { signal(which, SigHandler::SigIgn) }?;
    Ok(())
}

#[expect(unsafe_code, reason = "system calls that have no wrapper")]
fn system_call(number: libc::c_long, words: [libc::c_long; 4]) -> io::Result<libc::c_long> {
    let [a, b, c, d] = words;
    // SAFETY: every caller passes what its call takes; what a pointer leads to outlives the call.
    let answer = unsafe { libc::syscall(number, a, b, c, d) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

fn add_landlock_layer() -> io::Result<()> {
    // struct landlock_ruleset_attr of the first ABI: handles MAKE_SOCK alone.
    let handled: u64 = 1 << 9;
    let attribute = &raw const handled as libc::c_long;
    no_new_privileges()?;
    let ruleset = system_call(libc::SYS_landlock_create_ruleset, [attribute, 8, 0, 0])?;
    system_call(libc::SYS_landlock_restrict_self, [ruleset, 0, 0, 0])?;
    system_call(libc::SYS_close, [ruleset, 0, 0, 0]).map(drop)
}

fn no_new_privileges() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// The call by which the library removes a file.
#[cfg(target_arch = "x86_64")]
const UNLINK: libc::c_long = libc::SYS_unlink;
#[cfg(not(target_arch = "x86_64"))]
const UNLINK: libc::c_long = libc::SYS_unlinkat;

fn refuse_landlock(error: Errno) -> io::Result<()> {
    answer_for_kernel(libc::SYS_landlock_create_ruleset, 3, error as u32)
}

/// Has a filter answer so many system calls, from the `first` on, with an error, or with success for 0.
fn answer_for_kernel(first: libc::c_long, count: u32, error: u32) -> io::Result<()> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let statement = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt,
        jf,
        k,
    };
    let filter = [
        // The number of the call stands first in struct seccomp_data.
        statement(LOAD, 0, 0, 0),
        statement(AT_LEAST, 0, 1, first),
        statement(AT_LEAST, 0, 1, first + count),
        statement(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
        statement(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | error),
    ];
    let program = libc::sock_fprog {
        len: 5,
        filter: filter.as_ptr().cast_mut(),
    };
    no_new_privileges()?;
    let program = &raw const program as libc::c_long;
    let filter = libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER);
    system_call(libc::SYS_seccomp, [filter, 0, program, 0]).map(drop)
}
