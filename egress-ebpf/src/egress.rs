//! `cgroup_skb/egress`, the enforcement point: every IP packet of every socket of the session.

use aya_ebpf::{bindings::__sk_buff, helpers::generated as bpf, programs::SkBuffContext};
use core::ffi::c_void;
use egress_common::{
    Client, ClientKey, Config, Counter, Flow, Headers, Hook, Packet, Process, Protocol, Reason,
    Ruling, Stage, is_jumbogram, parse, rule_on,
};

use crate::{
    events::{self, Subject},
    loopback::Receiver,
    maps::{self, CLIENTS, Tables},
    note::{FlowWords, Note, Standing, idle_deadline},
    session,
};

pub(crate) const PASS: i32 = 1;
pub(crate) const DROP: i32 = 0;
/// The loopback device's index in every network namespace (`include/net/flow.h`, `LOOPBACK_IFINDEX`).
pub(crate) const LOOPBACK_IFINDEX: u32 = 1;
const ETH_P_IP: u32 = 0x0800;
const ETH_P_IPV6: u32 = 0x86dd;

#[inline(always)]
pub(crate) fn egress(ctx: &SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    let Some(config) = maps::config() else {
        return DROP;
    };
    // Nothing is read of the socket here. The storage helper refuses one that is not full, such as
    // the request that a SYN-ACK belongs to (net/core/bpf_sk_storage.c, bpf_sk_storage_get).
    // SAFETY: the context of the running program; null when the packet has no socket.
    let sk: *mut c_void = unsafe { (*skb).__bindgen_anon_2.sk.cast() };
    let note = Note::of_socket(sk);
    let packet = match read(ctx) {
        Ok(packet) => packet,
        Err((reason, flow)) => return drop(skb, config, note, &flow, Ruling::deny(reason)),
    };
    let Ok(address) = packet.flow.destination.canonical() else {
        return drop(
            skb,
            config,
            note,
            &packet.flow,
            Ruling::deny(Reason::EmbeddedAddress),
        );
    };
    // SAFETY: the context of the running program.
    if address.is_loopback() && unsafe { (*skb).ifindex } != LOOPBACK_IFINDEX {
        return drop(
            skb,
            config,
            note,
            &packet.flow,
            Ruling::deny(Reason::WrongDevice),
        );
    }
    let words = FlowWords::new(&packet.flow, address);
    let Some(note) = note else {
        return judge_without_note(skb, config, &packet);
    };
    if note.session == 0 {
        note.session = session::of_skb(skb);
    }
    remember_client(skb, config, note, &packet);
    let stage = match note.standing(&words, config.generation) {
        Standing::Admitted(_) => return PASS,
        Standing::Older(_) => Stage::Established,
        Standing::Unknown => Stage::New,
    };
    let tables = Tables {
        config,
        session: note.session,
        receiver: Receiver::of_packet(skb, &packet),
    };
    let mut ruling = hold_to_proxy(
        rule_on(config, &tables, &packet.flow, stage),
        &packet,
        stage,
    );
    if ruling.is_allow() {
        // Only a flow that a call admitted, or none, gives way: a packet must not displace the
        // flow of a connected socket.
        if stage == Stage::Established || !note.has_flow() {
            let expires = if ruling.expires == u64::MAX {
                u64::MAX
            } else {
                // SAFETY: takes nothing and returns a number.
                idle_deadline(ruling.expires, unsafe { bpf::bpf_ktime_get_boot_ns() })
            };
            note.admit(&words, config.generation, expires);
        }
        return PASS;
    }
    let is_answer = packet.flow.protocol.0 == Protocol::TCP.0 && !note.has_flow();
    if is_answer && answers_inbound(config, address.is_loopback()) {
        return PASS;
    }
    ruling.reason = explain(ruling.reason, stage, is_answer);
    drop(skb, config, Some(note), &packet.flow, ruling)
}

/// A packet whose socket is not a full one: a SYN-ACK of a listener, mostly.
#[inline(always)]
fn judge_without_note(skb: *mut __sk_buff, config: &Config, packet: &Packet) -> i32 {
    let tables = Tables {
        config,
        session: session::of_skb(skb),
        receiver: Receiver::of_packet(skb, packet),
    };
    let ruling = rule_on(config, &tables, &packet.flow, Stage::New);
    let mut ruling = hold_to_proxy(ruling, packet, Stage::New);
    if ruling.is_allow() {
        return PASS;
    }
    let is_answer = packet.flow.protocol.0 == Protocol::TCP.0;
    if is_answer && answers_inbound(config, packet.flow.destination.is_loopback()) {
        return PASS;
    }
    ruling.reason = explain(ruling.reason, Stage::New, is_answer);
    drop(skb, config, None, &packet.flow, ruling)
}

/// Denies a connection that the proxy has to look at and that goes past it: one that no connect
/// call turned. A connection that began under another policy goes on.
#[inline(always)]
fn hold_to_proxy(ruling: Ruling, packet: &Packet, stage: Stage) -> Ruling {
    let is_proxied = ruling.is_allow() && ruling.rule.is_proxied();
    if is_proxied && stage == Stage::New && packet.flow.protocol.0 == Protocol::TCP.0 {
        return Ruling::deny(Reason::NotProxied);
    }
    Ruling {
        rule: ruling.rule.plain(),
        ..ruling
    }
}

/// Whether a TCP socket that never connected may answer: a client on this machine's loopback
/// device reached a listener of the session, and the policy lets it.
#[inline(always)]
fn answers_inbound(config: &Config, to_loopback: bool) -> bool {
    config.inbound_loopback == 1 && to_loopback
}

/// The reason as a person would put it.
#[inline(always)]
fn explain(reason: u32, stage: Stage, is_answer: bool) -> u32 {
    if stage == Stage::Established {
        return Reason::Revoked as u32;
    }
    let is_default = reason == Reason::NoRule as u32
        || reason == Reason::PortNotAllowed as u32
        || reason == Reason::Loopback as u32;
    if is_answer && is_default {
        Reason::Inbound as u32
    } else {
        reason
    }
}

/// Drops one packet and reports it, once for each socket, flow and generation.
#[inline(always)]
pub(crate) fn drop(
    skb: *mut __sk_buff,
    config: &Config,
    note: Option<&'static mut Note>,
    flow: &Flow,
    ruling: Ruling,
) -> i32 {
    let mut process = Process {
        pid: 0,
        uid: 0,
        comm: [0; 16],
    };
    let mut is_new = true;
    let mut owner = 0;
    if let Some(note) = note {
        process = note.process;
        owner = note.session;
        is_new = note.deny(&FlowWords::new(flow, flow.destination), config.generation);
    }
    maps::count(if is_new {
        Counter::PacketDenied
    } else {
        Counter::PacketDeniedAgain
    });
    let session = if owner == 0 {
        session::of_skb(skb)
    } else {
        owner
    };
    if is_new {
        let subject = Subject {
            hook: Hook::Egress,
            session,
            // SAFETY: the context of the running program.
            cookie: unsafe { bpf::bpf_get_socket_cookie(skb.cast()) },
            process: &process,
            flow,
        };
        events::report(config, &subject, ruling);
    }
    if maps::observes(config, session) {
        PASS
    } else {
        DROP
    }
}

/// Writes down who asks a resolver or the proxy, before the packet can reach it.
#[inline(always)]
fn remember_client(skb: *mut __sk_buff, config: &Config, note: &Note, packet: &Packet) {
    let (destination, port) = (&packet.flow.destination, packet.flow.port);
    let is_asked = config.is_resolver(destination, port)
        || config.is_steered(destination, port)
        || config.is_proxy(destination, port);
    if !is_asked {
        return;
    }
    let key = ClientKey::new(packet.flow.protocol, packet.source, packet.source_port);
    // SAFETY: the context of the running program.
    let cookie = unsafe { bpf::bpf_get_socket_cookie(skb.cast()) };
    // SAFETY: only compared; a value that changes under us is written again below.
    if let Some(known) = unsafe { CLIENTS.get(key) }
        && known.cookie == cookie
        && known.session == note.session
    {
        return;
    }
    let client = Client {
        session: note.session,
        cookie,
        process: note.process,
    };
    // A client that does not fit is unknown to the resolver, which refuses it, and says so.
    let _unknown = CLIENTS.insert(key, client, 0);
}

/// Reads the headers of the packet.
#[inline(always)]
pub(crate) fn read(ctx: &SkBuffContext) -> Result<Packet, (Reason, Flow)> {
    // SAFETY: the context of the running program.
    let protocol = u32::from(u16::from_be(unsafe { (*ctx.skb.skb).protocol } as u16));
    let unreadable = |_| (Reason::Malformed, Flow::NONE);
    if protocol == ETH_P_IP {
        let bytes = ctx.load::<[u32; 6]>(0).map_err(unreadable)?;
        parse(&Headers::V4(&bytes))
    } else if protocol == ETH_P_IPV6 {
        let bytes = ctx.load::<[u32; 11]>(0).map_err(unreadable)?;
        if is_jumbogram(&bytes) {
            let bytes = ctx.load::<[u32; 13]>(0).map_err(unreadable)?;
            return parse(&Headers::Jumbogram(&bytes));
        }
        parse(&Headers::V6(&bytes))
    } else {
        Err((Reason::Malformed, Flow::NONE))
    }
}
