//! The DNS tap: a filter on a packet socket that lets through DNS over UDP and nothing else.
//!
//! It runs on the copies that a packet socket gets, so it can deny nothing: it only keeps
//! userspace from being woken for every packet of the machine.

use aya_ebpf::programs::SkBuffContext;

const UDP: u8 = 17;
const DNS_PORT: [u8; 2] = 53_u16.to_be_bytes();
/// Longest packet that is delivered, in bytes; longer ones are cut and then fail to parse.
const SNAP: i64 = 4096;

/// Bytes to deliver; 0 for none. A `SOCK_DGRAM` packet socket starts at the IP header.
#[inline(always)]
pub(crate) fn filter(ctx: &SkBuffContext) -> i64 {
    let Ok(first) = ctx.load::<u8>(0) else {
        return 0;
    };
    let (protocol_at, ports_at) = match first >> 4 {
        4 => (9, usize::from(first & 0x0f) * 4),
        6 => (6, 40),
        _ => return 0,
    };
    if ctx.load::<u8>(protocol_at) != Ok(UDP) {
        return 0;
    }
    let Ok([a, b, c, d]) = ctx.load::<[u8; 4]>(ports_at) else {
        return 0;
    };
    if [a, b] == DNS_PORT || [c, d] == DNS_PORT {
        SNAP
    } else {
        0
    }
}
