//! `cgroup_skb/ingress`: nobody on another machine reaches a listener of the session.
//!
//! What a session may answer is decided on the way out, but not every answer passes there: on older
//! kernels (seen on 6.1, gone in 6.12) the SYN-ACK of an IPv6 listener is sent for the listener while
//! it belongs to the request, and the egress hook is left out (`include/linux/bpf-cgroup.h`,
//! `BPF_CGROUP_RUN_PROG_INET_EGRESS`). What is dropped here needs no answer.

use aya_ebpf::{helpers::generated as bpf, programs::SkBuffContext};
use egress_common::{Flow, Reason, Ruling};

use crate::{
    egress::{self, DROP, LOOPBACK_IFINDEX, PASS},
    maps,
    note::Note,
};

/// `BPF_TCP_LISTEN`, include/uapi/linux/bpf.h.
const LISTEN: u32 = 10;

#[inline(always)]
pub(crate) fn ingress(ctx: &SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the context of the running program.
    if unsafe { (*skb).ifindex } == LOOPBACK_IFINDEX {
        return PASS;
    }
    // SAFETY: the context of the running program; null when the packet has no socket.
    let sk = unsafe { (*skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return PASS;
    }
    // SAFETY: not null.
    let full = unsafe { bpf::bpf_sk_fullsock(sk) };
    // SAFETY: a full socket, if it is one.
    if full.is_null() || unsafe { (*full).state } != LISTEN {
        return PASS;
    }
    let Some(config) = maps::config() else {
        return DROP;
    };
    let flow = match egress::read(ctx) {
        Ok(packet) => Flow::new(packet.flow.protocol, packet.source, packet.source_port),
        Err((_, flow)) => flow,
    };
    let note = Note::of_socket(full.cast());
    egress::drop(skb, config, note, &flow, Ruling::deny(Reason::Inbound))
}
