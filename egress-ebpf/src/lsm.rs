//! The second layer: what cgroup hooks never see, for tasks of the guarded cgroup alone.
//!
//! A socket is inside when the cgroup of the task that made it is: the kernel keeps that cgroup in
//! every socket, whatever its family, and an accepted connection has its listener's. It is what the
//! packet hook goes by too, so nothing has to be remembered here, and a socket that is older than
//! these programs is judged like any other.

use aya_ebpf::{helpers::bpf_probe_read_kernel, helpers::generated as bpf, programs::LsmContext};
use egress_common::{
    Config, Counter, Flow, Hook, Layout, Reason, Ruling, UNIX_PATH_BYTES, UnixKey,
};

use crate::{
    events::{self, Subject},
    maps::{self, UNIX_PATHS},
    session,
};

pub(crate) const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;

/// One offset. Volatile, because the loader changes it.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a static in read-only data.
        unsafe { core::ptr::read_volatile(&raw const LAYOUT.$field) }
    }};
}

/// To a structure of the kernel.
type Pointer = *const u8;

const ALLOW: i32 = 0;
const EPERM: i32 = 1;

/// Set by the loader.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout {
    socket_sk: 0,
    sock_family: 0,
    sock_kernel: 0,
    sock_kernel_mask: 0,
    sock_cgroup: 0,
    cgroup_level: 0,
    cgroup_ancestors: 0,
    cgroup_node: 0,
    node_id: 0,
    unix_address: 0,
    unix_peer: 0,
    address_length: 0,
    address_name: 0,
};

/// `socket(2)`: families that some hook holds, and no other.
#[inline(always)]
pub(crate) fn create(ctx: &LsmContext) -> i32 {
    if !session::holds_current() {
        return ALLOW;
    }
    let (family, kernel): (u32, u32) = (ctx.arg(0), ctx.arg(3));
    if kernel != 0 || is_held(family) {
        return ALLOW;
    }
    deny_socket(Reason::SocketFamily, family)
}

/// connect, send, listen and accept: an Internet socket must have been made inside, and one of a
/// family that may not be made may not be used either.
#[inline(always)]
pub(crate) fn use_socket(ctx: &LsmContext) -> i32 {
    if !session::holds_current() {
        return ALLOW;
    }
    let sk = sk_of(ctx.arg(0));
    if sk.is_null() {
        return deny_socket(Reason::OutsideSocket, 0);
    }
    let family = u32::from(field::<u16>(sk, offset!(sock_family)));
    if family == AF_UNIX || family == AF_NETLINK {
        return ALLOW;
    }
    let mut reason = Reason::SocketFamily;
    if family == AF_INET || family == AF_INET6 {
        if is_inside(sk) {
            return ALLOW;
        }
        reason = Reason::OutsideSocket;
    }
    if is_of_kernel(sk) {
        return ALLOW;
    }
    deny_socket(reason, family)
}

/// A connection to a listening UNIX socket.
#[inline(always)]
pub(crate) fn connect_unix(ctx: &LsmContext) -> i32 {
    if !session::holds_current() {
        return ALLOW;
    }
    reach_unix(ctx.arg(0), ctx.arg(1))
}

/// A datagram, or the connection that datagrams will take, to a UNIX socket.
///
/// A socket that is connected already was judged when it connected, or was handed in like that: a
/// pair of the service manager's, through which systemd starts a unit.
#[inline(always)]
pub(crate) fn send_unix(ctx: &LsmContext) -> i32 {
    if !session::holds_current() {
        return ALLOW;
    }
    let (sk, other) = (sk_of(ctx.arg(0)), sk_of(ctx.arg(1)));
    if !sk.is_null() && read(sk as u64, offset!(unix_peer)) == Some(other as u64) {
        return ALLOW;
    }
    reach_unix(sk, other)
}

#[inline(always)]
fn reach_unix(sk: Pointer, other: Pointer) -> i32 {
    if sk.is_null() || other.is_null() {
        return -EPERM;
    }
    if is_inside(other) || is_of_kernel(sk) {
        return ALLOW;
    }
    let Some(config) = maps::config() else {
        return -EPERM;
    };
    let mut key = UnixKey {
        session: session::of_current(),
        generation: config.generation,
        path: [0; UNIX_PATH_BYTES],
    };
    let length = bound_path(other as u64, &mut key.path);
    if length != 0 {
        if is_listed(&key) {
            return ALLOW;
        }
        key.session = 0;
        if is_listed(&key) {
            return ALLOW;
        }
    }
    let name = (length, &key.path);
    tell(|subject| {
        events::report_unix(config, subject, Ruling::deny(Reason::UnixSocket), name);
    });
    errno(config)
}

#[inline(always)]
fn is_listed(key: &UnixKey) -> bool {
    // SAFETY: entries are added and removed whole, and never changed.
    unsafe { UNIX_PATHS.get(key) }.is_some()
}

/// Copies the name that a UNIX socket is bound to; 0 for a socket without one.
#[inline(always)]
fn bound_path(sk: u64, path: &mut [u8; UNIX_PATH_BYTES]) -> u32 {
    /// The family stands before the path in `struct sockaddr_un`.
    const FAMILY_BYTES: u32 = 2;
    let Some(address) = read::<u64>(sk, offset!(unix_address)) else {
        return 0;
    };
    if address == 0 {
        return 0;
    }
    let length = read::<u32>(address, offset!(address_length)).unwrap_or(0);
    if length <= FAMILY_BYTES {
        return 0;
    }
    let mut length = length - FAMILY_BYTES;
    // The kernel adds a NUL to a path that fills the whole field.
    if length > UNIX_PATH_BYTES as u32 {
        length = UNIX_PATH_BYTES as u32;
    }
    let from = address + u64::from(offset!(address_name)) + u64::from(FAMILY_BYTES);
    // SAFETY: `length` is at most the size of the field; a bad source address is an error.
    let failed =
        unsafe { bpf::bpf_probe_read_kernel(path.as_mut_ptr().cast(), length, from as *const _) };
    if failed == 0 { length } else { 0 }
}

const fn is_held(family: u32) -> bool {
    matches!(family, AF_UNIX | AF_INET | AF_INET6 | AF_NETLINK)
}

/// A socket of the kernel's own, such as that of a network file system which the task reads.
#[inline(always)]
fn is_of_kernel(sk: Pointer) -> bool {
    u32::from(field::<u8>(sk, offset!(sock_kernel))) & offset!(sock_kernel_mask) != 0
}

/// Whether the task that made the socket was under guard.
#[inline(always)]
fn is_inside(sk: Pointer) -> bool {
    let cgroup: Pointer = field(sk, offset!(sock_cgroup));
    if cgroup.is_null() {
        return false;
    }
    let node: Pointer = field(cgroup, offset!(cgroup_node));
    // Most sockets are used where they were made.
    if !node.is_null() && field::<u64>(node, offset!(node_id)) == session::of_current() {
        return true;
    }
    let (guard, level) = session::guard();
    let level = level.cast_unsigned();
    if field::<u32>(cgroup, offset!(cgroup_level)) < level {
        return false;
    }
    // The verifier does not follow the pointers of an array that grows.
    let owner = || {
        let ancestor = read::<u64>(cgroup as u64, offset!(cgroup_ancestors) + 8 * level)?;
        let node = read::<u64>(ancestor, offset!(cgroup_node))?;
        read::<u64>(node, offset!(node_id))
    };
    owner() == Some(guard)
}

#[inline(always)]
fn sk_of(socket: Pointer) -> Pointer {
    field(socket, offset!(socket_sk))
}

/// A member of a structure whose type the verifier knows: it checks that something of this kind is
/// there. Volatile, so that the offset, a constant to the verifier alone, stays apart.
#[inline(always)]
fn field<T>(base: Pointer, offset: u32) -> T {
    // SAFETY: the verifier refuses a read outside of the structure; where the structure is gone,
    // the read gives zeros.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}

#[inline(always)]
fn read<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address, and every `T` here is a plain integer.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

#[inline(always)]
fn deny_socket(reason: Reason, family: u32) -> i32 {
    let Some(config) = maps::config() else {
        return -EPERM;
    };
    tell(|subject| events::report_socket(config, subject, Ruling::deny(reason), family));
    errno(config)
}

#[inline(always)]
fn tell(report: impl FnOnce(&Subject<'_>)) {
    maps::count(Counter::LsmDenied);
    report(&Subject {
        hook: Hook::Lsm,
        session: session::of_current(),
        cookie: 0,
        process: &session::process(),
        flow: &Flow::NONE,
    });
}

/// What the refused call returns. Written out: the verifier of Linux 6.12 wants to see that it is
/// an errno, and loses track of a number that is negated.
#[inline(always)]
fn errno(config: &Config) -> i32 {
    if maps::observes(config, session::of_current()) {
        return ALLOW;
    }
    match config.denial_errno {
        13 => -13,
        111 => -111,
        _ => -EPERM,
    }
}
