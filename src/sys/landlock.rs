use nix::errno::Errno;

/// Returns the Landlock ABI of the running kernel.
#[expect(
    unsafe_code,
    reason = "the landlock crate does not tell the ABI before it restricts"
)]
pub(crate) fn abi() -> Result<u32, Errno> {
    const VERSION: u32 = 1;
    // SAFETY: a null attribute of size zero with this flag only asks for the version.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    let answer = Errno::result(answer)?;
    u32::try_from(answer).map_err(|_| Errno::EOVERFLOW)
}
