//! Memory for SQLite in a process that soon becomes another program.

use std::ffi::c_int;
use std::num::NonZeroUsize;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// Address space, of which only what is used becomes memory. A trail entry with the most operands
/// takes less than two of these sixteen mebibytes.
const SIZE: usize = 16 * 1024 * 1024;
const SMALLEST_ALLOCATION: c_int = 64;

/// Gives SQLite one block for everything it allocates, in place of a system call for every few
/// pages. To be called once, before SQLite is used; where SQLite was built without the allocator
/// for it, it goes on without.
#[expect(
    unsafe_code,
    reason = "mmap, and sqlite3_config with its variable arguments"
)]
pub(crate) fn give_sqlite_one_block() {
    let (Ok(length), Some(wanted)) = (c_int::try_from(SIZE), NonZeroUsize::new(SIZE)) else {
        return;
    };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice.
    let block = unsafe { mmap_anonymous(None, wanted, access, MapFlags::MAP_PRIVATE) };
    let Ok(block) = block else { return };
    // SAFETY: the block is never unmapped nor used otherwise, and SQLite is not initialised yet;
    // if it were, the call would refuse.
    let _unsupported = unsafe {
        rusqlite::ffi::sqlite3_config(
            rusqlite::ffi::SQLITE_CONFIG_HEAP,
            block.as_ptr(),
            length,
            SMALLEST_ALLOCATION,
        )
    };
}
