//! What is remembered about one socket: who made it, and which flow was admitted.
//!
//! The packet hook runs without the socket's lock for UDP, so a UDP socket's note is read and
//! written under a lock of its own: half of one admitted flow and half of another would be a flow
//! that nobody admitted. TCP sends only while its socket is locked (`tcp_transmit_skb` runs in the
//! owner of the lock, or in softirq under it), as every connect hook does; its notes need no other.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_spin_lock},
    helpers::generated as bpf,
    programs::{SockAddrContext, SockContext},
};
use core::ffi::c_void;
use egress_common::{Address, Flow, Process, Protocol};

use crate::maps::NOTES;

/// A flow as three words: compared with three loads, and never by a call to `memcmp`, which the
/// verifier forbids under a lock.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FlowWords {
    high: u64,
    low: u64,
    rest: u64,
}

impl FlowWords {
    #[inline(always)]
    pub(crate) fn new(flow: &Flow, address: Address) -> Self {
        let [a, b, c, d] = address.words();
        Self {
            high: u64::from(a) << 32 | u64::from(b),
            low: u64::from(c) << 32 | u64::from(d),
            rest: u64::from(flow.port) << 16 | u64::from(flow.protocol.0),
        }
    }
}

impl FlowWords {
    #[inline(always)]
    const fn is_udp(&self) -> bool {
        self.rest & 0xff == Protocol::UDP.0 as u64
    }
}

/// Value of the note map.
#[repr(C)]
pub(crate) struct Note {
    lock: bpf_spin_lock,
    /// Generation that admitted `flow`; 0 for none.
    generation: u32,
    flow: FlowWords,
    /// When an unconnected UDP flow needs a live lease again; boot time in nanoseconds.
    expires: u64,
    /// The last flow whose denial was reported, and the generation that denied it.
    denied: FlowWords,
    denied_generation: u32,
    reserved: u32,
    pub(crate) session: u64,
    pub(crate) process: Process,
}

/// What a note says of a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not the flow that was admitted.
    Unknown,
    /// Admitted under another generation; the time as below.
    Older(u64),
    /// Admitted under this generation; the time until which an unconnected flow may go on.
    Admitted(u64),
}

impl Note {
    /// The note of a socket, made when there is none. Fails when memory is short.
    #[inline(always)]
    pub(crate) fn of_socket(sk: *mut c_void) -> Option<&'static mut Self> {
        Self::get(sk, u64::from(BPF_SK_STORAGE_GET_F_CREATE))
    }

    /// The note of a socket that has one.
    #[inline(always)]
    pub(crate) fn existing(sk: *mut c_void) -> Option<&'static mut Self> {
        Self::get(sk, 0)
    }

    #[inline(always)]
    pub(crate) fn of_sock_addr(ctx: &SockAddrContext) -> Option<&'static mut Self> {
        Self::of_socket(sk_of(ctx))
    }

    #[inline(always)]
    pub(crate) fn of_sock(ctx: &SockContext) -> Option<&'static mut Self> {
        Self::of_socket(ctx.as_ptr())
    }

    #[inline(always)]
    fn get(sk: *mut c_void, flags: u64) -> Option<&'static mut Self> {
        if sk.is_null() {
            return None;
        }
        // SAFETY: `sk` is a socket pointer from a context or a look-up, checked for null; the
        // helper returns null or a value of this map's type.
        unsafe {
            bpf::bpf_sk_storage_get(
                (&raw const NOTES).cast_mut().cast(),
                sk,
                core::ptr::null_mut(),
                flags,
            )
            .cast::<Self>()
            .as_mut()
        }
    }

    /// Notes who uses the socket, when that is another process than before.
    #[inline(always)]
    pub(crate) fn touch(&mut self) {
        if self.process.pid != crate::session::pid() {
            self.process = crate::session::process();
        }
    }

    #[inline(always)]
    pub(crate) fn standing(&mut self, flow: &FlowWords, generation: u32) -> Standing {
        let (same, admitted_by, expires) = if flow.is_udp() {
            self.lock();
            let seen = (self.holds(flow), self.generation, self.expires);
            self.unlock();
            seen
        } else {
            (self.holds(flow), self.generation, self.expires)
        };
        if !same || admitted_by == 0 {
            Standing::Unknown
        } else if admitted_by == generation {
            Standing::Admitted(expires)
        } else {
            Standing::Older(expires)
        }
    }

    #[inline(always)]
    fn holds(&self, flow: &FlowWords) -> bool {
        self.flow.high == flow.high && self.flow.low == flow.low && self.flow.rest == flow.rest
    }

    #[inline(always)]
    pub(crate) fn admit(&mut self, flow: &FlowWords, generation: u32, expires: u64) {
        if flow.is_udp() {
            self.lock();
            self.write(flow, generation, expires);
            self.unlock();
        } else {
            self.write(flow, generation, expires);
        }
    }

    #[inline(always)]
    fn write(&mut self, flow: &FlowWords, generation: u32, expires: u64) {
        self.flow.high = flow.high;
        self.flow.low = flow.low;
        self.flow.rest = flow.rest;
        self.generation = generation;
        self.expires = expires;
    }

    /// Whether some flow was admitted on this socket: it connected, or sent.
    #[inline(always)]
    pub(crate) fn has_flow(&self) -> bool {
        self.generation != 0
    }

    /// Notes a denial; false when this very denial was noted before.
    #[inline(always)]
    pub(crate) fn deny(&mut self, flow: &FlowWords, generation: u32) -> bool {
        self.lock();
        let again = self.denied.high == flow.high
            && self.denied.low == flow.low
            && self.denied.rest == flow.rest
            && self.denied_generation == generation;
        self.denied.high = flow.high;
        self.denied.low = flow.low;
        self.denied.rest = flow.rest;
        self.denied_generation = generation;
        self.unlock();
        !again
    }

    #[inline(always)]
    fn lock(&mut self) {
        // SAFETY: the field is the one spin lock of a map value; the verifier checks that it is
        // released on every path.
        unsafe { bpf::bpf_spin_lock(&raw mut self.lock) };
    }

    #[inline(always)]
    fn unlock(&mut self) {
        // SAFETY: as in `lock`.
        unsafe { bpf::bpf_spin_unlock(&raw mut self.lock) };
    }
}

/// Until when an unconnected UDP flow may go on: its lease, or the idle time, whichever is later.
#[inline(always)]
pub(crate) fn idle_deadline(expires: u64, now: u64) -> u64 {
    let idle = now.saturating_add(egress_common::limits::UDP_IDLE_NS);
    if expires > idle { expires } else { idle }
}

/// The socket of a connect, sendmsg, recvmsg or getpeername context.
#[inline(always)]
pub(crate) fn sk_of(ctx: &SockAddrContext) -> *mut c_void {
    // SAFETY: the kernel hands every sock_addr program a context with a socket.
    unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk.cast() }
}
