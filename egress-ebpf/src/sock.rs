//! `sock_create`: only TCP and UDP over IP may exist, and every socket gets a note of its maker.

use aya_ebpf::{helpers::generated as bpf, programs::SockContext};
use egress_common::{Address, Counter, Flow, Hook, Protocol, Reason, Ruling};

use crate::{
    connect::{ALLOW, set_errno},
    events::{self, Subject},
    maps,
    note::Note,
    session,
};

const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_MPTCP: u32 = 262;
/// Clients that ask for MPTCP first fall back to TCP on this one.
const EPROTONOSUPPORT: u32 = 93;

#[inline(always)]
pub(crate) fn create(ctx: &SockContext) -> i32 {
    let Some(config) = maps::config() else {
        return 0;
    };
    // SAFETY: the context of the running program.
    let (kind, protocol) = unsafe { ((*ctx.sock).type_, (*ctx.sock).protocol) };
    let process = session::process();
    let is_plain = (kind == SOCK_STREAM && protocol == IPPROTO_TCP)
        || (kind == SOCK_DGRAM && protocol == IPPROTO_UDP);
    let session = session::of_current();
    if let Some(note) = Note::of_sock(ctx) {
        note.session = session;
        note.process = process;
    } else {
        aya_log_ebpf::error!(ctx, "a socket got no note: out of memory");
    }
    if is_plain {
        return ALLOW;
    }
    let shown = if protocol > 255 { 255 } else { protocol as u8 };
    let flow = Flow::new(Protocol(shown), Address::UNSPECIFIED, 0);
    let subject = Subject {
        hook: Hook::SockCreate,
        session,
        // SAFETY: the context of the running program.
        cookie: unsafe { bpf::bpf_get_socket_cookie(ctx.sock.cast()) },
        process: &process,
        flow: &flow,
    };
    maps::count(Counter::SocketDenied);
    if protocol != IPPROTO_MPTCP {
        // MPTCP is tried first by many clients that are then content with TCP: no denial to tell.
        events::report(config, &subject, Ruling::deny(Reason::UnsupportedProtocol));
    }
    if maps::observes(config, session) {
        return ALLOW;
    }
    set_errno(if protocol == IPPROTO_MPTCP {
        EPROTONOSUPPORT
    } else {
        config.denial_errno
    });
    0
}
