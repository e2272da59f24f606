//! Which session and process a hook runs for.

use aya_ebpf::helpers::generated as bpf;
use egress_common::Process;

/// Cgroup id of the guarded cgroup. Set by the loader.
#[unsafe(no_mangle)]
static GUARD_ID: u64 = 0;
/// Depth of the guarded cgroup below the root of the hierarchy. Set by the loader.
#[unsafe(no_mangle)]
static GUARD_LEVEL: u32 = 0;

#[inline(always)]
pub(crate) fn guard() -> (u64, i32) {
    // SAFETY: both are statics in read-only data; volatile, because the loader changes them.
    let id = unsafe { core::ptr::read_volatile(&raw const GUARD_ID) };
    // SAFETY: as above.
    let level = unsafe { core::ptr::read_volatile(&raw const GUARD_LEVEL) };
    (id, level.cast_signed())
}

/// The session of the running task: the child of the guarded cgroup that it is in, or the
/// guarded cgroup itself.
#[inline(always)]
pub(crate) fn of_current() -> u64 {
    let (id, level) = guard();
    // SAFETY: takes a number, returns a number; 0 when there is no such ancestor.
    let child = unsafe { bpf::bpf_get_current_ancestor_cgroup_id(level + 1) };
    if child == 0 { id } else { child }
}

/// Whether the running task is under guard.
#[inline(always)]
pub(crate) fn holds_current() -> bool {
    let (id, level) = guard();
    // SAFETY: takes a number, returns a number; 0 when there is no such ancestor.
    let ancestor = unsafe { bpf::bpf_get_current_ancestor_cgroup_id(level) };
    ancestor == id && id != 0
}

/// The session that a packet's socket belongs to.
#[inline(always)]
pub(crate) fn of_skb(skb: *mut aya_ebpf::bindings::__sk_buff) -> u64 {
    let (id, level) = guard();
    // SAFETY: the context pointer of the running program.
    let child = unsafe { bpf::bpf_skb_ancestor_cgroup_id(skb, level + 1) };
    if child == 0 { id } else { child }
}

/// The session that a looked-up socket belongs to; a socket outside the guard gives a cgroup that
/// is no session, or 0.
#[inline(always)]
pub(crate) fn of_sk(sk: *mut core::ffi::c_void) -> u64 {
    let (id, level) = guard();
    // SAFETY: a full socket, checked by the caller; 0 when there is no such ancestor.
    let child = unsafe { bpf::bpf_sk_ancestor_cgroup_id(sk, level + 1) };
    if child != 0 {
        return child;
    }
    // SAFETY: as above.
    let own = unsafe { bpf::bpf_sk_ancestor_cgroup_id(sk, level) };
    if own == id { id } else { 0 }
}

/// Thread group id of the running task.
#[inline(always)]
pub(crate) fn pid() -> u32 {
    // SAFETY: takes nothing and returns a number.
    (unsafe { bpf::bpf_get_current_pid_tgid() } >> 32) as u32
}

#[inline(always)]
pub(crate) fn process() -> Process {
    let mut process = Process {
        pid: pid(),
        // SAFETY: takes nothing and returns a number.
        uid: unsafe { bpf::bpf_get_current_uid_gid() } as u32,
        comm: [0; 16],
    };
    // SAFETY: writes at most the 16 bytes of the field. On failure it writes zeros.
    unsafe { bpf::bpf_get_current_comm(process.comm.as_mut_ptr().cast(), 16) };
    process
}
