//! Turns DNS to the guard resolver, and back: a client sends to any server's port 53, reaches
//! egressd on loopback, and sees the answer come from the server that it asked. And leads to the
//! proxy what the proxy has to look at.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::generated as bpf, programs::SockAddrContext,
};
use egress_common::{
    Address, Config, Counter, DnsMode, Flow, Original, Protocol, RESOLVER_SLOTS, Ruling,
};

use crate::{
    connect::{ALLOW, Family, address_of, is_dns_port},
    maps::{self, ORIGINALS, SERVERS},
    note::{FlowWords, Note, sk_of},
};

/// The servers that one socket asked, by the resolver port that stands for each.
///
/// One slot would be wrong: musl asks all its servers at once from one socket, and drops answers
/// of unknown senders.
#[repr(C)]
pub(crate) struct Servers {
    asked: [Address; RESOLVER_SLOTS],
    /// The slot that the next new server takes.
    next: u32,
    reserved: u32,
}

/// Whether this flow is DNS that belongs to the guard resolver.
#[inline(always)]
pub(crate) fn wants(config: &Config, flow: &Flow) -> bool {
    config.dns == DnsMode::Steer as u32
        && is_dns_port(flow.port)
        && (flow.protocol == Protocol::UDP || flow.protocol == Protocol::TCP)
}

/// Rewrites the destination to the guard resolver. `None` when that cannot be done.
#[inline(always)]
pub(crate) fn turn(
    ctx: &SockAddrContext,
    family: Family,
    config: &Config,
    note: &mut Note,
    flow: &Flow,
) -> Option<()> {
    let servers = Servers::of(ctx, u64::from(BPF_SK_STORAGE_GET_F_CREATE))?;
    let slot = servers.slot_for(flow.destination);
    let port = *config.resolver_ports.get(slot)?;
    if port == 0 {
        return None;
    }
    let is_v4 = family == Family::V4 || flow.destination.is_v4();
    let resolver = if is_v4 {
        Address::LOOPBACK_V4
    } else {
        Address::LOOPBACK_V6
    };
    write(ctx, family, resolver, port);
    let turned = Flow::new(flow.protocol, resolver, port);
    note.admit(
        &FlowWords::new(&turned, resolver),
        config.generation,
        u64::MAX,
    );
    maps::count(Counter::Steered);
    Some(())
}

/// Rewrites the destination of a connection to the proxy, which finds it by the socket's cookie.
/// `None` when that cannot be done.
#[inline(always)]
pub(crate) fn lead(
    ctx: &SockAddrContext,
    family: Family,
    config: &Config,
    note: &mut Note,
    flow: &Flow,
    ruling: Ruling,
) -> Option<()> {
    if config.steer_port == 0 {
        return None;
    }
    let original = Original {
        // SAFETY: takes nothing and returns a number.
        time: unsafe { bpf::bpf_ktime_get_boot_ns() },
        session: note.session,
        destination: flow.destination,
        process: note.process,
        rule: ruling.rule.0,
        port: flow.port,
        reserved: 0,
    };
    ORIGINALS.insert(cookie_of(ctx), original, 0).ok()?;
    let is_v4 = family == Family::V4 || flow.destination.is_v4();
    let proxy = if is_v4 {
        Address::LOOPBACK_V4
    } else {
        Address::LOOPBACK_V6
    };
    write(ctx, family, proxy, config.steer_port);
    let turned = Flow::new(flow.protocol, proxy, config.steer_port);
    note.admit(&FlowWords::new(&turned, proxy), config.generation, u64::MAX);
    maps::count(Counter::Proxied);
    Some(())
}

#[inline(always)]
fn cookie_of(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the context of the running program.
    unsafe { bpf::bpf_get_socket_cookie(ctx.sock_addr.cast()) }
}

/// recvmsg and getpeername: shows the server that was asked in place of the guard resolver, and
/// the destination in place of the proxy.
#[inline(always)]
pub(crate) fn undo(ctx: &SockAddrContext, family: Family) -> i32 {
    let Some(config) = maps::config() else {
        return ALLOW;
    };
    // SAFETY: the context of the running program.
    let port = u16::from_be(unsafe { (*ctx.sock_addr).user_port } as u16);
    if config.is_steered(&address_of(ctx, family), port) {
        // SAFETY: written whole before the connection began, by its own socket alone.
        if let Some(original) = unsafe { ORIGINALS.get(cookie_of(ctx)) } {
            write(ctx, family, original.destination, original.port);
        }
        return ALLOW;
    }
    let Some(slot) = config.resolver_slot(port) else {
        return ALLOW;
    };
    if !address_of(ctx, family).is_resolver() {
        return ALLOW;
    }
    if let Some(servers) = Servers::of(ctx, 0)
        && let Some(asked) = servers.asked.get(slot)
        && !asked.is(&Address::UNSPECIFIED)
    {
        write(ctx, family, *asked, 53);
    }
    ALLOW
}

impl Servers {
    #[inline(always)]
    fn of(ctx: &SockAddrContext, flags: u64) -> Option<&'static mut Self> {
        let sk = sk_of(ctx);
        if sk.is_null() {
            return None;
        }
        // SAFETY: the socket of the context, checked for null; the helper returns null or a value
        // of this map's type.
        unsafe {
            bpf::bpf_sk_storage_get(
                (&raw const SERVERS).cast_mut().cast(),
                sk,
                core::ptr::null_mut(),
                flags,
            )
            .cast::<Self>()
            .as_mut()
        }
    }

    /// The slot of this server; a fifth server takes the place of the first.
    #[inline(always)]
    fn slot_for(&mut self, server: Address) -> usize {
        let [a, b, c, d] = &mut self.asked;
        if a.is(&server) {
            return 0;
        }
        if b.is(&server) {
            return 1;
        }
        if c.is(&server) {
            return 2;
        }
        if d.is(&server) {
            return 3;
        }
        let slot = self.next % RESOLVER_SLOTS as u32;
        self.next = slot + 1;
        match slot {
            0 => *a = server,
            1 => *b = server,
            2 => *c = server,
            _ => *d = server,
        }
        slot as usize
    }
}

/// Writes address and port into the context.
#[inline(always)]
fn write(ctx: &SockAddrContext, family: Family, address: Address, port: u16) {
    match family {
        Family::V4 => {
            // SAFETY: the context of the running program; the field may be written in IPv4 hooks.
            unsafe { (*ctx.sock_addr).user_ip4 = address.words()[3] };
        }
        Family::V6 => {
            let words = address.words();
            // SAFETY: as above, for IPv6; `volatile` keeps four separate 32-bit writes.
            unsafe {
                let field = (&raw mut (*ctx.sock_addr).user_ip6).cast::<u32>();
                core::ptr::write_volatile(field, words[0]);
                core::ptr::write_volatile(field.add(1), words[1]);
                core::ptr::write_volatile(field.add(2), words[2]);
                core::ptr::write_volatile(field.add(3), words[3]);
            }
        }
    }
    // SAFETY: as above.
    unsafe { (*ctx.sock_addr).user_port = u32::from(port.to_be()) };
}
