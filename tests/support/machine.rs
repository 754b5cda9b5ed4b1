use std::path::Path;
use std::time::{Duration, Instant};

/// Says whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Says whether the tests run as root; prints what is skipped when they do not.
pub(crate) fn root(what: &str) -> bool {
    if !is_root() {
        println!("skipped: {what} needs root");
    }
    is_root()
}

/// Says whether the kernel's Landlock has this ABI; prints what is skipped when it has not. Where
/// `PVM_REQUIRE_LANDLOCK=1` says that the machine has Landlock, its absence is a failure.
pub(crate) fn landlock(abi: i64) -> bool {
    let there = kernel_abi();
    let required = std::env::var_os("PVM_REQUIRE_LANDLOCK").is_some_and(|value| value == "1");
    assert!(
        there > 0 || !required,
        "PVM_REQUIRE_LANDLOCK=1, and the kernel has no Landlock"
    );
    if there < abi {
        println!("skipped: needs Landlock ABI {abi}, and the kernel has {there}");
    }
    there >= abi
}

/// Says whether a program is installed; prints what is skipped when it is not. Where
/// `PVM_REQUIRE_PROGRAMS=1` says that the machine has all that the tests use, its absence is a failure.
pub(crate) fn program(path: &str) -> bool {
    let there = Path::new(path).exists();
    let required = std::env::var_os("PVM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    assert!(
        there || !required,
        "PVM_REQUIRE_PROGRAMS=1, and {path} is not installed"
    );
    if !there {
        println!("skipped: {path} is not installed");
    }
    there
}

#[expect(unsafe_code, reason = "a plain system call that has no wrapper")]
fn kernel_abi() -> i64 {
    const VERSION: u32 = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: a null attribute of size zero with this flag only asks for the version.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) }
}

/// Waits until something is so, and fails when it does not come about.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what} did not come about"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
