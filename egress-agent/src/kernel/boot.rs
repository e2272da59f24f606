//! Boot time: the clock that leases are measured in. It runs on through suspension and is never
//! set, so neither a sleeping laptop nor a changed wall clock lengthens a lease.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` in nanoseconds, as `bpf_ktime_get_boot_ns` gives it.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
