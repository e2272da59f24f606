//! Rules to kernel tables.
//!
//! The kernel finds only the longest prefix that holds an address, so every prefix here carries
//! the rules of all prefixes above it. Three kinds of prefix do not inherit: loopback, which has
//! its own rule; metadata services, which no wide allow opens; and the corner of the IPv6 space
//! in which IPv4 addresses are represented. Ranges of ports are cut into disjoint pieces, each
//! with the one rule that speaks for it: the narrower network first, then the earlier rule.

use std::{collections::HashMap, sync::Arc};

use egress_common::{Address, Network, PortSet, RuleId, limits};
use ipnet::IpNet;

use super::{
    net::METADATA,
    port::PortRange,
    portset::{Piece, PortEntry, PortSets, entries, find, resolve},
    rule::{Effect, LOOPBACK, Rule},
};

/// What one policy writes into the kernel.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Address, bits of the 128 that count, and what the prefix allows and denies.
    pub networks: Vec<(Address, u8, Network)>,
    pub ports: Vec<PortEntry>,
}

/// Why a policy does not fit into the kernel tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLarge {
    #[error("more than {} address ranges", NETWORKS)]
    Networks,
    #[error("its rules overlap in more than {} port ranges", PORTS)]
    Ports,
}

/// A reload holds two generations at a time.
const NETWORKS: usize = limits::NETWORKS as usize / 2;
/// As above.
const PORTS: usize = limits::PORTS as usize / 2;

/// The tables of one policy before its port sets have numbers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    networks: Vec<Planned>,
    /// Disjoint pieces; the first set is empty.
    sets: Vec<Vec<Piece>>,
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    prefix: Prefix,
    /// Indexes of `Plan::sets`.
    deny: usize,
    allow: usize,
}

/// Bits of the 128-bit address space. Sorting puts a prefix right before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Prefix {
    address: u128,
    bits: u8,
}

impl Prefix {
    fn new(network: &IpNet) -> Self {
        let bits = match network {
            IpNet::V4(v4) => v4.prefix_len() + 96,
            IpNet::V6(v6) => v6.prefix_len(),
        };
        let address = Address::from(network.network());
        Self {
            address: u128::from_be_bytes(address.octets()),
            bits,
        }
    }

    fn covers(self, other: Self) -> bool {
        let beyond = 128 - u32::from(self.bits);
        self.bits <= other.bits
            && (self.address ^ other.address)
                .checked_shr(beyond)
                .unwrap_or(0)
                == 0
    }
}

/// What a prefix takes from the ones above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Inherits {
    Nothing,
    Deny,
    Everything,
}

const LOOPBACK_V4: Prefix = Prefix {
    address: 0xffff_7f00_0000,
    bits: 104,
};
const LOOPBACK_V6: Prefix = Prefix {
    address: 1,
    bits: 128,
};
/// `::ffff:0:0/96`: IPv4, on which no IPv6 rule has a say.
const IPV4: Prefix = Prefix {
    address: 0xffff_0000_0000,
    bits: 96,
};

impl Plan {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, TooLarge> {
        let mut nodes = nodes(rules);
        nodes.sort_unstable();
        let mut plan = Self {
            networks: Vec::new(),
            sets: vec![Vec::new()],
        };
        let mut known = Known::default();
        let mut above: Vec<Planned> = Vec::new();
        for group in nodes.chunk_by(|a, b| a.prefix == b.prefix) {
            let Some(Node {
                prefix, inherits, ..
            }) = group.first().copied()
            else {
                continue;
            };
            while above.last().is_some_and(|node| !node.prefix.covers(prefix)) {
                above.pop();
            }
            let (deny, allow) = above.last().map_or((0, 0), |node| (node.deny, node.allow));
            let (deny, allow) = match inherits {
                Inherits::Nothing => (0, 0),
                Inherits::Deny => (deny, 0),
                Inherits::Everything => (deny, allow),
            };
            let of = |effect| {
                let ids = group.iter().filter_map(move |node| match node.rule {
                    Some((of, id)) if of == effect => Some(id),
                    Some(_) | None => None,
                });
                let mut ids: Vec<_> = ids.collect();
                ids.dedup();
                ids
            };
            let node = Planned {
                prefix,
                deny: plan.union(&mut known, rules, deny, of(Effect::Deny))?,
                allow: plan.union(&mut known, rules, allow, of(Effect::Allow))?,
            };
            plan.networks.push(node);
            if plan.networks.len() > NETWORKS {
                return Err(TooLarge::Networks);
            }
            above.push(node);
        }
        Ok(plan)
    }

    /// Gives every set its number and writes the entries out.
    pub(crate) fn number(&self, policy: &Arc<str>, sets: &mut PortSets) -> Tables {
        sets.begin(policy);
        let mut ports = Vec::new();
        let mut numbers = Vec::with_capacity(self.sets.len());
        for pieces in &self.sets {
            let (set, entries) = sets.intern(pieces);
            numbers.push(set.0);
            ports.extend(entries);
        }
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let networks = self.networks.iter().map(|node| {
            let network = Network {
                deny: number(node.deny),
                allow: number(node.allow),
            };
            let address = Address::from_v6(node.prefix.address.to_be_bytes());
            (address, node.prefix.bits, network)
        });
        Tables {
            networks: networks.collect(),
            ports,
        }
    }

    /// The set of `own` rules laid over the set `inherited`.
    fn union(
        &mut self,
        known: &mut Known,
        rules: &[Rule],
        inherited: usize,
        own: Vec<RuleId>,
    ) -> Result<usize, TooLarge> {
        if own.is_empty() {
            return Ok(inherited);
        }
        let unions = known.unions.entry(inherited).or_default();
        if let Some(set) = unions.get(&own) {
            return Ok(*set);
        }
        let own_ranges = own
            .iter()
            .filter_map(|id| find(rules, *id))
            .flat_map(|rule| rule.ports.iter().map(|range| (*range, rule.id)));
        let below = self.sets.get(inherited).map_or(&[][..], Vec::as_slice);
        let below = below.iter().map(|piece| (piece.range, piece.rule));
        let pieces = resolve(own_ranges.chain(below));
        let set = if let Some(set) = known.sets.get(&pieces) {
            *set
        } else {
            let set = self.sets.len();
            let entries = pieces
                .iter()
                .flat_map(|piece| entries(PortSet::EMPTY, piece));
            known.entries += entries.count();
            if known.entries > PORTS {
                return Err(TooLarge::Ports);
            }
            known.sets.insert(pieces.clone(), set);
            self.sets.push(pieces);
            set
        };
        unions.insert(own, set);
        Ok(set)
    }
}

#[derive(Default)]
struct Known {
    /// Inherited set and own rules to set.
    unions: HashMap<usize, HashMap<Vec<RuleId>, usize>>,
    sets: HashMap<Vec<Piece>, usize>,
    /// Port prefixes so far.
    entries: usize,
}

/// One rule at one prefix, or none where the prefix itself matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Node {
    prefix: Prefix,
    inherits: Inherits,
    rule: Option<(Effect, RuleId)>,
}

fn nodes(rules: &[Rule]) -> Vec<Node> {
    let bare = |prefix, inherits| Node {
        prefix,
        inherits,
        rule: None,
    };
    let mut special = vec![
        bare(LOOPBACK_V4, Inherits::Nothing),
        bare(LOOPBACK_V6, Inherits::Nothing),
    ];
    let mut is_ipv4_covered = false;
    special.extend(
        METADATA
            .iter()
            .map(|address| bare(Prefix::new(&IpNet::from(*address)), Inherits::Deny)),
    );
    let mut nodes = Vec::new();
    for rule in rules.iter().filter(|rule| rule.effect != Effect::Ask) {
        for network in &rule.networks {
            let prefix = Prefix::new(network);
            is_ipv4_covered |= prefix.bits < IPV4.bits && prefix.covers(IPV4);
            nodes.push(Node {
                prefix,
                inherits: Inherits::Everything,
                rule: Some((rule.effect, rule.id)),
            });
        }
    }
    if is_ipv4_covered {
        special.push(bare(IPV4, Inherits::Nothing));
    }
    let inherits: HashMap<_, _> = special
        .iter()
        .map(|node| ((node.prefix.address, node.prefix.bits), node.inherits))
        .collect();
    for node in &mut nodes {
        if let Some(inherits) = inherits.get(&(node.prefix.address, node.prefix.bits)) {
            node.inherits = *inherits;
        }
    }
    nodes.extend(special);
    nodes
}

/// The rule that stands for `network.loopback.allow`, still without a number.
pub(crate) fn loopback_rule(source: Arc<str>, line: u32, ports: Vec<PortRange>) -> Rule {
    let networks = [
        (std::net::IpAddr::from([127, 0, 0, 0]), 8),
        (std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128),
    ];
    Rule {
        id: RuleId::NONE,
        name: LOOPBACK.to_owned(),
        effect: Effect::Allow,
        description: String::new(),
        is_shared: false,
        reason: None,
        source,
        line,
        hosts: Vec::new(),
        networks: networks
            .into_iter()
            .filter_map(|(address, bits)| IpNet::new(address, bits).ok())
            .collect(),
        ports,
        levels: super::rule::Levels::ADDRESS,
        http: Arc::default(),
        deadline: std::time::Duration::ZERO,
    }
}
