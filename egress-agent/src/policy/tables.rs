//! Compiled tables in ordinary maps: what the kernel would answer, without a kernel.

use std::collections::{BTreeSet, HashMap};

use egress_common::{
    Address, Config, Flow, Lease, Network, PortKey, PortSet, Protocol, RuleId, Rules, Stage,
    Verdict,
};

use super::{compile::Tables, portset::PortEntry};

/// The tables of one policy as [`egress_common::decide`] reads them, for one session.
#[derive(Clone, Debug, Default)]
pub struct TableRules {
    networks: HashMap<(u8, Address), Network>,
    network_bits: BTreeSet<u8>,
    ports: HashMap<(u32, PortKey), RuleId>,
    leases: HashMap<Address, Lease>,
    session_receives: bool,
    /// Boot time, nanoseconds.
    now: u64,
}

impl TableRules {
    pub fn new(tables: &Tables) -> Self {
        let mut rules = Self::default();
        for (address, bits, network) in &tables.networks {
            rules
                .networks
                .insert((*bits, mask(*address, *bits)), *network);
            rules.network_bits.insert(*bits);
        }
        rules.add_ports(&tables.ports);
        rules
    }

    /// Adds what [`super::PortSets::for_rules`] returned.
    pub fn add_ports(&mut self, entries: &[PortEntry]) {
        let entries = entries
            .iter()
            .map(|entry| ((entry.bits, entry.key), entry.rule));
        self.ports.extend(entries);
    }

    pub fn set_lease(&mut self, address: Address, lease: Lease) {
        self.leases.insert(address, lease);
    }

    /// Whether the session has a listener on every loopback port.
    pub fn set_session_receives(&mut self, receives: bool) {
        self.session_receives = receives;
    }

    /// Boot time in nanoseconds.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// What the kernel decides about a flow that begins.
    pub fn decide(&self, config: &Config, flow: &Flow) -> Verdict {
        egress_common::decide(config, self, flow, Stage::New)
    }
}

impl Rules for TableRules {
    fn network(&self, address: &Address) -> Option<Network> {
        let mut longest_first = self.network_bits.iter().rev();
        longest_first
            .find_map(|bits| self.networks.get(&(*bits, mask(*address, *bits))))
            .copied()
    }

    fn port(&self, set: PortSet, protocol: Protocol, port: u16) -> Option<RuleId> {
        (0..=16u8).rev().find_map(|bits| {
            let beyond = 16 - u32::from(bits);
            let prefix = port
                .checked_shr(beyond)
                .unwrap_or(0)
                .checked_shl(beyond)
                .unwrap_or(0);
            let key = PortKey::new(set.0, protocol, prefix);
            self.ports.get(&(PortKey::prefix_bits(bits), key)).copied()
        })
    }

    fn lease(&self, address: &Address) -> Option<&Lease> {
        self.leases.get(address)
    }

    fn session_receives(&self, _flow: &Flow) -> bool {
        self.session_receives
    }

    fn now(&self) -> u64 {
        self.now
    }
}

fn mask(address: Address, bits: u8) -> Address {
    let beyond = 128u32.saturating_sub(u32::from(bits));
    let number = u128::from_be_bytes(address.octets());
    let kept = number
        .checked_shr(beyond)
        .unwrap_or(0)
        .checked_shl(beyond)
        .unwrap_or(0);
    Address::from_v6(kept.to_be_bytes())
}
