//! Whether the socket at the other end of a loopback flow belongs to the same session.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock_addr, bpf_sock_tuple},
    helpers::generated as bpf,
    programs::SockAddrContext,
};
use core::ffi::c_void;
use egress_common::{Address, Flow, Packet, Protocol};

use crate::{note::Note, session};

/// Where the question comes from: it decides how the receiving socket is found and known.
#[derive(Clone, Copy)]
pub(crate) enum Receiver {
    /// A call. The source is not known yet; the receiver is a listener, whose note names its
    /// session.
    Call(*mut bpf_sock_addr),
    /// A packet, with its source.
    Packet(*mut __sk_buff, Address, u16),
}

impl Receiver {
    #[inline(always)]
    pub(crate) fn of_sock_addr(ctx: &SockAddrContext) -> Self {
        Self::Call(ctx.sock_addr)
    }

    #[inline(always)]
    pub(crate) fn of_packet(skb: *mut __sk_buff, packet: &Packet) -> Self {
        Self::Packet(skb, packet.source, packet.source_port)
    }
}

const CURRENT_NETNS: u64 = u64::MAX;

#[inline(always)]
pub(crate) fn session_receives(receiver: &Receiver, session: u64, flow: &Flow) -> bool {
    let Ok(destination) = flow.destination.canonical() else {
        return false;
    };
    let (ctx, source, source_port): (*mut c_void, _, _) = match *receiver {
        Receiver::Call(ctx) => (ctx.cast(), destination, 0),
        Receiver::Packet(skb, source, port) => (skb.cast(), source, port),
    };
    // SAFETY: an all-zero tuple is valid.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = match (source.v4_word(), destination.v4_word()) {
        (Some(source), Some(destination)) => {
            tuple.__bindgen_anon_1.ipv4.saddr = source;
            tuple.__bindgen_anon_1.ipv4.daddr = destination;
            tuple.__bindgen_anon_1.ipv4.sport = source_port.to_be();
            tuple.__bindgen_anon_1.ipv4.dport = flow.port.to_be();
            12
        }
        (None, None) => {
            tuple.__bindgen_anon_1.ipv6.saddr = source.words();
            tuple.__bindgen_anon_1.ipv6.daddr = destination.words();
            tuple.__bindgen_anon_1.ipv6.sport = source_port.to_be();
            tuple.__bindgen_anon_1.ipv6.dport = flow.port.to_be();
            36
        }
        (Some(_), None) | (None, Some(_)) => return false,
    };
    // SAFETY: the context of the running program and a tuple on its stack of at least `size`.
    let sk = unsafe {
        if flow.protocol == Protocol::TCP {
            bpf::bpf_sk_lookup_tcp(ctx, &raw mut tuple, size, CURRENT_NETNS, 0)
        } else {
            bpf::bpf_sk_lookup_udp(ctx, &raw mut tuple, size, CURRENT_NETNS, 0)
        }
    };
    if sk.is_null() {
        return false;
    }
    let owner = match receiver {
        Receiver::Call(_) => Note::existing(sk.cast()).map_or(0, |note| note.session),
        Receiver::Packet(..) => session::of_sk(sk.cast()),
    };
    // SAFETY: a socket that a look-up returned, released once.
    unsafe { bpf::bpf_sk_release(sk.cast()) };
    owner == session && session != 0
}
