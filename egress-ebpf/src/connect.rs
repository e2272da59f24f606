//! connect and sendmsg: decides early, so that a denial is an error of the call and not a
//! silence, and notes what was admitted for the packet hook.
//!
//! The kernel holds the socket's lock around both (`BPF_CGROUP_RUN_SA_PROG_LOCK`).

use aya_ebpf::{helpers::generated as bpf, programs::SockAddrContext};
use egress_common::{
    Address, Config, Counter, Flow, Hook, Protocol, Reason, Ruling, Stage, rule_on,
};

use crate::{
    events::{self, Subject},
    loopback::Receiver,
    maps::{self, Tables},
    note::{FlowWords, Note, Standing, idle_deadline},
    session, steer,
};

/// Which pair of address fields of the context a hook may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const ALLOW: i32 = 1;
const DENY: i32 = 0;
const DNS_PORT: u16 = 53;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
const EPERM: u32 = 1;

/// A new flow, or a new peer for a UDP socket.
#[inline(always)]
pub(crate) fn connect(ctx: &SockAddrContext, family: Family) -> i32 {
    let flow = flow_of(ctx, family);
    let (config, note) = match begin(ctx, Hook::Connect, &flow) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    note.touch();
    if steer::wants(config, &flow) {
        return steer(ctx, family, config, Hook::Connect, note, &flow);
    }
    judge(ctx, family, config, Hook::Connect, note, &flow, Stage::New)
}

/// One datagram of an unconnected UDP socket.
#[inline(always)]
pub(crate) fn sendmsg(ctx: &SockAddrContext, family: Family) -> i32 {
    let flow = flow_of(ctx, family);
    if flow.port == 0 {
        // A control message without an address on a connected socket: the kernel calls the hook
        // with zeros, and connect has decided. An explicit port 0 is refused before the hook
        // (net/ipv4/udp.c, udp_sendmsg).
        return ALLOW;
    }
    let (config, note) = match begin(ctx, Hook::Sendmsg, &flow) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    if steer::wants(config, &flow) {
        note.touch();
        return steer(ctx, family, config, Hook::Sendmsg, note, &flow);
    }
    let mut stage = Stage::New;
    if let Ok(address) = flow.destination.canonical() {
        let words = FlowWords::new(&flow, address);
        let standing = note.standing(&words, config.generation);
        if let Standing::Admitted(u64::MAX) = standing {
            return ALLOW;
        }
        if let Standing::Admitted(expires) | Standing::Older(expires) = standing {
            // SAFETY: takes nothing and returns a number.
            let now = unsafe { bpf::bpf_ktime_get_boot_ns() };
            if now < expires && matches!(standing, Standing::Admitted(_)) {
                let idle = egress_common::limits::UDP_IDLE_NS;
                if expires - now < idle / 2 {
                    note.admit(&words, config.generation, now + idle);
                }
                return ALLOW;
            }
            if now < expires {
                // It was going on when the policy changed: its lease may have run out since.
                stage = Stage::Established;
            }
        }
    }
    note.touch();
    judge(ctx, family, config, Hook::Sendmsg, note, &flow, stage)
}

/// The settings and the socket's note, or what the call returns without them.
#[inline(always)]
fn begin(
    ctx: &SockAddrContext,
    hook: Hook,
    flow: &Flow,
) -> Result<(&'static Config, &'static mut Note), i32> {
    let Some(config) = maps::config() else {
        return Err(DENY);
    };
    let Some(note) = Note::of_sock_addr(ctx) else {
        let ruling = Ruling::deny(Reason::NotConfigured);
        return Err(refuse(
            ctx,
            config,
            hook,
            session::of_current(),
            flow,
            ruling,
        ));
    };
    if note.session == 0 {
        note.session = session::of_current();
    }
    Ok((config, note))
}

/// Turns DNS to the guard resolver; DNS that cannot be turned is refused.
#[inline(always)]
fn steer(
    ctx: &SockAddrContext,
    family: Family,
    config: &Config,
    hook: Hook,
    note: &mut Note,
    flow: &Flow,
) -> i32 {
    if steer::turn(ctx, family, config, note, flow).is_some() {
        return ALLOW;
    }
    let ruling = Ruling::deny(Reason::NotConfigured);
    refuse(ctx, config, hook, note.session, flow, ruling)
}

/// Decides by the tables, and notes an admission.
#[inline(always)]
fn judge(
    ctx: &SockAddrContext,
    family: Family,
    config: &Config,
    hook: Hook,
    note: &mut Note,
    flow: &Flow,
    stage: Stage,
) -> i32 {
    let tables = Tables {
        config,
        session: note.session,
        receiver: Receiver::of_sock_addr(ctx),
    };
    let mut ruling = rule_on(config, &tables, flow, stage);
    let is_proxied = ruling.is_allow() && ruling.rule.is_proxied();
    ruling.rule = ruling.rule.plain();
    if !ruling.is_allow() {
        // Connecting UDP sends nothing. Resolvers connect to each address that they found, on the
        // port that was asked for, only to see which source the kernel would take (RFC 6724); a
        // denial there would be one that nobody attempted. The packet hook holds what is sent.
        if hook as u8 == Hook::Connect as u8
            && flow.protocol.0 == Protocol::UDP.0
            && (ruling.reason == Reason::PortNotAllowed as u32
                || maps::observes(config, note.session))
        {
            return ALLOW;
        }
        if maps::observes(config, note.session)
            && let Ok(address) = flow.destination.canonical()
        {
            // The proxy sees the name and the bytes, lets it pass, and reports it.
            if is_web(flow) && steer::lead(ctx, family, config, note, flow, ruling).is_some() {
                maps::count(Counter::ConnectDenied);
                return ALLOW;
            }
            // What is only observed is reported here, and not once more for its packets.
            let words = FlowWords::new(flow, address);
            note.admit(&words, config.generation, u64::MAX);
        }
        return refuse(ctx, config, hook, note.session, flow, ruling);
    }
    let Ok(address) = flow.destination.canonical() else {
        return DENY;
    };
    if is_proxied && flow.protocol.0 == Protocol::TCP.0 {
        if steer::lead(ctx, family, config, note, flow, ruling).is_none() {
            let ruling = Ruling::deny(Reason::NotConfigured);
            return refuse(ctx, config, hook, note.session, flow, ruling);
        }
        return admitted(ctx, config, hook, note.session, flow, ruling);
    }
    let expires = if ruling.expires == u64::MAX {
        u64::MAX
    } else {
        // SAFETY: takes nothing and returns a number.
        idle_deadline(ruling.expires, unsafe { bpf::bpf_ktime_get_boot_ns() })
    };
    note.admit(&FlowWords::new(flow, address), config.generation, expires);
    admitted(ctx, config, hook, note.session, flow, ruling)
}

/// Counts an admission, and reports it where the policy asks for that.
#[inline(always)]
fn admitted(
    ctx: &SockAddrContext,
    config: &Config,
    hook: Hook,
    session: u64,
    flow: &Flow,
    ruling: Ruling,
) -> i32 {
    maps::count(match hook {
        Hook::Connect | Hook::Egress | Hook::SockCreate | Hook::Lsm => Counter::ConnectAllowed,
        Hook::Sendmsg => Counter::SendAllowed,
    });
    if config.report_allowed == 1 {
        report(ctx, config, hook, session, flow, ruling);
    }
    ALLOW
}

/// Turns a denial into the error of the call, or only records it when the policy observes.
#[inline(always)]
fn refuse(
    ctx: &SockAddrContext,
    config: &Config,
    hook: Hook,
    session: u64,
    flow: &Flow,
    ruling: Ruling,
) -> i32 {
    maps::count(match hook {
        Hook::Connect | Hook::Egress | Hook::SockCreate | Hook::Lsm => Counter::ConnectDenied,
        Hook::Sendmsg => Counter::SendDenied,
    });
    report(ctx, config, hook, session, flow, ruling);
    if maps::observes(config, session) {
        return ALLOW;
    }
    set_errno(config.denial_errno);
    DENY
}

#[inline(always)]
fn report(
    ctx: &SockAddrContext,
    config: &Config,
    hook: Hook,
    session: u64,
    flow: &Flow,
    ruling: Ruling,
) {
    let subject = Subject {
        hook,
        session,
        // SAFETY: the context of the running program.
        cookie: unsafe { bpf::bpf_get_socket_cookie(ctx.sock_addr.cast()) },
        process: &session::process(),
        flow,
    };
    events::report(config, &subject, ruling);
}

/// 1 when the kernel has `bpf_set_retval` (Linux 5.18). Set by the loader; the verifier removes
/// the call where it is 0.
#[unsafe(no_mangle)]
static HAS_SET_RETVAL: u32 = 0;

/// The greatest number that the kernel takes for an errno (`include/linux/err.h`).
const MAX_ERRNO: u32 = 4095;

/// Makes the refused call return this errno; without it the kernel says EPERM.
#[inline(always)]
pub(crate) fn set_errno(errno: u32) {
    // SAFETY: a static in read-only data; volatile, because the loader changes it.
    let has_set_retval = unsafe { core::ptr::read_volatile(&raw const HAS_SET_RETVAL) };
    // From Linux 7.3 on, the verifier wants to see that the number is an errno: "the register R1
    // has smin=-4294967295 smax=-2 should have been in [-4095, 0]".
    let errno = errno & MAX_ERRNO;
    if has_set_retval == 1 && errno != EPERM && errno != 0 {
        // SAFETY: takes a number. A value that is no errno is replaced with EPERM by the kernel.
        unsafe { bpf::bpf_set_retval(-errno.cast_signed()) };
    }
}

/// The flow that the call asks for.
#[inline(always)]
fn flow_of(ctx: &SockAddrContext, family: Family) -> Flow {
    // SAFETY: the context of the running program; plain 32-bit reads, as the verifier demands.
    let (protocol, port) = unsafe { ((*ctx.sock_addr).protocol, (*ctx.sock_addr).user_port) };
    // MPTCP is 262: cut to a byte it would be TCP.
    let protocol = if protocol > 255 {
        Protocol(255)
    } else {
        Protocol(protocol as u8)
    };
    Flow::new(protocol, address_of(ctx, family), u16::from_be(port as u16))
}

/// The address field of the context.
#[inline(always)]
pub(crate) fn address_of(ctx: &SockAddrContext, family: Family) -> Address {
    match family {
        Family::V4 => {
            // SAFETY: the context of the running program; `user_ip4` may be read in IPv4 hooks.
            Address::from_v4_word(unsafe { (*ctx.sock_addr).user_ip4 })
        }
        Family::V6 => {
            let at = |index: usize| {
                // SAFETY: as above, `user_ip6` in IPv6 hooks; `volatile` keeps the four reads
                // apart: one wide read of a context field is refused by the verifier.
                unsafe {
                    core::ptr::read_volatile(
                        (&raw const (*ctx.sock_addr).user_ip6)
                            .cast::<u32>()
                            .add(index),
                    )
                }
            };
            Address::from_words([at(0), at(1), at(2), at(3)])
        }
    }
}

/// Whether TLS or HTTP is to be expected.
#[inline(always)]
const fn is_web(flow: &Flow) -> bool {
    flow.protocol.0 == Protocol::TCP.0 && (flow.port == HTTPS_PORT || flow.port == HTTP_PORT)
}

pub(crate) const fn is_dns_port(port: u16) -> bool {
    port == DNS_PORT
}
