//! What the programs need to know about the running policy besides its tables.

use crate::Address;

/// The guard resolver listens on this many ports, one for each server address that one socket
/// may ask: the port tells which server's answer it pretends to be. resolv.conf(5) names at most
/// three.
pub const RESOLVER_SLOTS: usize = 4;

/// What a denial does. The raw value 0 is neither: it denies everything.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Enforce = 1,
    /// Decide and record, refuse nothing.
    Observe = 2,
}

#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnsMode {
    Steer = 1,
    Snoop = 2,
}

/// One generation of the settings. Raw integers: the map may hold anything.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Cgroup id of the guarded cgroup: pins whose cgroup was removed are told from live ones.
    pub guard: u64,
    pub abi: u32,
    /// Counts up with every policy that is installed; part of every network and lease key.
    pub generation: u32,
    /// [`Mode`].
    pub mode: u32,
    /// [`DnsMode`].
    pub dns: u32,
    /// What connect and sendmsg return for a denial, as a positive errno.
    pub denial_errno: u32,
    /// 1: listeners of the same session on loopback are reachable.
    pub session_loopback: u32,
    /// 1: listeners of the session may answer clients on this machine's loopback device.
    pub inbound_loopback: u32,
    /// 1: allowed flows are reported as events too.
    pub report_allowed: u32,
    /// Steer: the guard resolver's ports on 127.0.0.1 and `::1`. Snoop: the ports of
    /// `resolver_addresses`. Host order; 0 for none.
    pub resolver_ports: [u16; RESOLVER_SLOTS],
    /// Snoop: the resolvers that are trusted, and may be asked.
    pub resolver_addresses: [Address; RESOLVER_SLOTS],
    /// The proxy's port on 127.0.0.1 and `::1` for clients that ask it by themselves. Host order;
    /// 0 for none.
    pub proxy_port: u16,
    /// The proxy's port for flows that the kernel turns to it. Host order; 0 for none.
    pub steer_port: u16,
    pub reserved: u32,
}

const _: () = assert!(size_of::<Config>() == 120);

impl Config {
    /// What an unset map entry holds. It denies everything.
    pub const UNSET: Self = Self {
        guard: 0,
        abi: 0,
        generation: 0,
        mode: 0,
        dns: 0,
        denial_errno: 0,
        session_loopback: 0,
        inbound_loopback: 0,
        report_allowed: 0,
        resolver_ports: [0; RESOLVER_SLOTS],
        resolver_addresses: [Address::UNSPECIFIED; RESOLVER_SLOTS],
        proxy_port: 0,
        steer_port: 0,
        reserved: 0,
    };

    /// Which of the guard resolver's ports this is.
    #[inline(always)]
    pub fn resolver_slot(&self, port: u16) -> Option<usize> {
        if port == 0 {
            return None;
        }
        let [a, b, c, d] = self.resolver_ports;
        if port == a {
            Some(0)
        } else if port == b {
            Some(1)
        } else if port == c {
            Some(2)
        } else if port == d {
            Some(3)
        } else {
            None
        }
    }

    /// Whether this is where names are resolved: the guard resolver, or one that is trusted.
    #[inline(always)]
    pub fn is_resolver(&self, address: &Address, port: u16) -> bool {
        if self.dns == DnsMode::Steer as u32 {
            return address.is_resolver() && self.resolver_slot(port).is_some();
        }
        if self.dns != DnsMode::Snoop as u32 || port == 0 {
            return false;
        }
        let [a, b, c, d] = &self.resolver_addresses;
        let [port_a, port_b, port_c, port_d] = self.resolver_ports;
        (port == port_a && a.is(address))
            || (port == port_b && b.is(address))
            || (port == port_c && c.is(address))
            || (port == port_d && d.is(address))
    }

    /// Whether this is the proxy, for clients that ask it by themselves.
    #[inline(always)]
    pub fn is_proxy(&self, address: &Address, port: u16) -> bool {
        port != 0 && port == self.proxy_port && address.is_resolver()
    }

    /// Whether this is the proxy, for flows that the kernel turned to it.
    #[inline(always)]
    pub fn is_steered(&self, address: &Address, port: u16) -> bool {
        port != 0 && port == self.steer_port && address.is_resolver()
    }

    pub const fn is_observing(&self) -> bool {
        self.mode == Mode::Observe as u32
    }
}
