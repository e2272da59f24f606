//! The memory that only a start needs.

/// Gives freed memory back to the kernel. Loading programs reads the types of the whole kernel,
/// some 20 MiB in small pieces that the allocator would keep for good.
#[expect(unsafe_code, reason = "no safe wrapper of malloc_trim(3) is at hand")]
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
