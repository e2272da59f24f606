//! Rules to kernel tables.
//!
//! The kernel finds only the longest prefix that holds an address, so every prefix here carries
//! the rules of all prefixes above it. Three kinds of prefix do not inherit: loopback, which has
//! its own rule; metadata services, which no wide allow opens; and the corner of the IPv6 space
//! in which IPv4 addresses are represented. Ranges of ports are cut into disjoint pieces, each
//! with the one rule that speaks for it: the narrower network first, then the earlier rule.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use egress_common::{Address, Network, PortKey, PortSet, Protocol, RuleId, limits};
use ipnet::IpNet;

use super::{
    net::METADATA,
    port::PortRange,
    rule::{Effect, LOOPBACK, Rule},
};

/// What one policy writes into the kernel.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Address, bits of the 128 that count, and what the prefix allows and denies.
    pub networks: Vec<(Address, u8, Network)>,
    pub ports: Vec<PortEntry>,
}

/// One prefix of the port table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortEntry {
    pub key: PortKey,
    /// [`PortKey::prefix_bits`] of the bits of the port that count.
    pub bits: u32,
    pub rule: RuleId,
}

/// The port sets of one policy generation: the same rules always give the same set.
///
/// Numbers go up from the given start and are never used twice, also when one value serves
/// several policies one after the other.
#[derive(Clone, Debug)]
pub struct PortSets {
    next: u32,
    /// Digest of the policy whose rule ids the keys are.
    policy: Arc<str>,
    by_rules: HashMap<Vec<RuleId>, PortSet>,
    by_pieces: HashMap<Vec<Piece>, PortSet>,
}

impl PortSets {
    pub fn starting_at(first: u32) -> Self {
        Self {
            next: first.max(1),
            policy: Arc::from(""),
            by_rules: HashMap::new(),
            by_pieces: HashMap::new(),
        }
    }

    pub fn next_id(&self) -> u32 {
        self.next
    }

    /// The set for a name that these rules speak about, and the entries to install before it is
    /// used (none when it is known already). Ports that a deny rule among them names are left
    /// out; nothing left is [`PortSet::EMPTY`].
    pub fn for_rules(
        &mut self,
        policy: &super::Policy,
        rules: &[RuleId],
    ) -> (PortSet, Vec<PortEntry>) {
        self.begin(policy.digest_shared());
        if let Some(set) = self.by_rules.get(rules) {
            return (*set, Vec::new());
        }
        let (set, entries) = self.intern(&allowed_pieces(policy.rules(), rules));
        self.by_rules.insert(rules.to_vec(), set);
        (set, entries)
    }

    /// Forgets the sets of another policy: its rule ids mean other rules.
    fn begin(&mut self, policy: &Arc<str>) {
        if self.policy != *policy {
            self.policy = Arc::clone(policy);
            self.by_rules.clear();
            self.by_pieces.clear();
        }
    }

    fn intern(&mut self, pieces: &[Piece]) -> (PortSet, Vec<PortEntry>) {
        if pieces.is_empty() {
            return (PortSet::EMPTY, Vec::new());
        }
        if let Some(set) = self.by_pieces.get(pieces) {
            return (*set, Vec::new());
        }
        // Four thousand million sets on, nothing more is allowed rather than a number reused.
        let Some(next) = self.next.checked_add(1) else {
            return (PortSet::EMPTY, Vec::new());
        };
        let set = PortSet(self.next);
        self.next = next;
        self.by_pieces.insert(pieces.to_vec(), set);
        let entries = pieces.iter().flat_map(|piece| entries(set, piece));
        (set, entries.collect())
    }
}

/// Ports for which one rule speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Piece {
    pub(crate) range: PortRange,
    pub(crate) rule: RuleId,
}

/// Cuts overlapping ranges into disjoint pieces in ascending order; the earlier range wins.
pub(crate) fn resolve(ranges: impl Iterator<Item = (PortRange, RuleId)>) -> Vec<Piece> {
    let ranges: Vec<_> = ranges.collect();
    // Where each range begins and, one past its last port, ends.
    let mut edges: Vec<(Protocol, u32, bool, usize)> = Vec::with_capacity(2 * ranges.len());
    for (priority, (range, _)) in ranges.iter().enumerate() {
        let (first, end) = (u32::from(range.first), u32::from(range.last) + 1);
        edges.push((range.protocol, first, true, priority));
        edges.push((range.protocol, end, false, priority));
    }
    edges.sort_unstable();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut active = BTreeSet::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((protocol, at, begins, priority)) = edges.next() {
        if begins {
            active.insert(priority);
        } else {
            active.remove(&priority);
        }
        // Every range of a protocol ends before the next protocol begins, so that an active
        // range always has an edge after this one.
        let Some(&(_, next, ..)) = edges.peek().filter(|edge| edge.0 == protocol) else {
            continue;
        };
        let winner = active.first().and_then(|first| ranges.get(*first));
        let (Some((_, rule)), Ok(first), Ok(last)) = (
            winner,
            u16::try_from(at),
            u16::try_from(next.saturating_sub(1)),
        ) else {
            continue;
        };
        if next <= at {
            continue;
        }
        match pieces.last_mut() {
            Some(before)
                if before.rule == *rule
                    && before.range.protocol == protocol
                    && u32::from(before.range.last) + 1 == at =>
            {
                before.range.last = last;
            }
            _ => pieces.push(Piece {
                range: PortRange {
                    protocol,
                    first,
                    last,
                },
                rule: *rule,
            }),
        }
    }
    pieces
}

/// What is allowed under these rules, taken together: their ports, less those of the deny rules
/// among them.
pub(crate) fn allowed_pieces(all: &[Rule], ids: &[RuleId]) -> Vec<Piece> {
    let rules = || ids.iter().filter_map(|id| find(all, *id));
    let of = |effect| {
        rules()
            .filter(move |rule: &&Rule| rule.effect == effect)
            .flat_map(|rule| rule.ports.iter().map(|range| (*range, rule.id)))
    };
    let mut pieces = resolve(of(Effect::Deny).chain(of(Effect::Allow)));
    pieces.retain(|piece| find(all, piece.rule).is_some_and(|rule| rule.effect == Effect::Allow));
    pieces
}

pub(crate) fn find(rules: &[Rule], id: RuleId) -> Option<&Rule> {
    let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
    rules.get(index)
}

/// The aligned prefixes that together are one piece.
fn entries(set: PortSet, piece: &Piece) -> impl Iterator<Item = PortEntry> {
    let PortRange {
        protocol,
        first,
        last,
    } = piece.range;
    let rule = piece.rule;
    let mut at = u32::from(first);
    let end = u32::from(last) + 1;
    std::iter::from_fn(move || {
        let port = u16::try_from(at).ok().filter(|_| at < end)?;
        let aligned = if at == 0 { 16 } else { at.trailing_zeros() };
        let fitting = (end - at).ilog2();
        let zeros = aligned.min(fitting).min(16);
        at += 1 << zeros;
        // INVARIANT: `zeros` is at most 16.
        let bits = u8::try_from(16 - zeros).unwrap_or(0);
        Some(PortEntry {
            key: PortKey::new(set.0, protocol, port),
            bits: PortKey::prefix_bits(bits),
            rule,
        })
    })
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
        let set = match known.sets.get(&pieces) {
            Some(set) => *set,
            None => {
                let set = self.sets.len();
                known.entries += pieces
                    .iter()
                    .flat_map(|piece| entries(PortSet::EMPTY, piece))
                    .count();
                if known.entries > PORTS {
                    return Err(TooLarge::Ports);
                }
                known.sets.insert(pieces.clone(), set);
                self.sets.push(pieces);
                set
            }
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
    for rule in rules {
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
pub(crate) fn loopback_rule(source: String, line: u32, ports: Vec<PortRange>) -> Rule {
    let networks = [
        (std::net::IpAddr::from([127, 0, 0, 0]), 8),
        (std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128),
    ];
    Rule {
        id: RuleId::NONE,
        name: LOOPBACK.to_owned(),
        effect: Effect::Allow,
        reason: None,
        source,
        line,
        hosts: Vec::new(),
        networks: networks
            .into_iter()
            .filter_map(|(address, bits)| IpNet::new(address, bits).ok())
            .collect(),
        ports,
    }
}
