//! Port sets: which rule speaks for which port, and the kernel entries that say so.
//!
//! Overlapping ranges are cut into disjoint pieces, each with the one rule that wins it; a piece
//! becomes the fewest prefixes of the port number. The same pieces are one set.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use egress_common::{PortKey, PortSet, Protocol, RuleId};

use super::{
    file::Level,
    port::PortRange,
    rule::{Effect, Levels, Rule},
};

/// One prefix of the port table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortEntry {
    pub key: PortKey,
    /// [`PortKey::prefix_bits`] of the bits of the port that count.
    pub bits: u32,
    /// Asks for the proxy where [`RuleId::is_proxied`].
    pub rule: RuleId,
}

/// The port sets of one policy generation: the same rules always give the same set.
///
/// Numbers go up from the given start and are never used twice, also when one value serves
/// several policies one after the other.
#[derive(Clone, Debug)]
pub struct PortSets {
    next: u32,
    /// Edition of the policy whose rule ids the keys are.
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
        self.begin(policy.edition());
        if let Some(set) = self.by_rules.get(rules) {
            return (*set, Vec::new());
        }
        let pieces = allowed_pieces(policy.rules(), rules);
        let (set, entries) = self.intern(&led(policy.rules(), &pieces));
        self.by_rules.insert(rules.to_vec(), set);
        (set, entries)
    }

    /// Forgets the sets of another policy: its rule ids mean other rules.
    pub(super) fn begin(&mut self, policy: &Arc<str>) {
        if self.policy != *policy {
            self.policy = Arc::clone(policy);
            self.by_rules.clear();
            self.by_pieces.clear();
        }
    }

    pub(super) fn intern(&mut self, pieces: &[Piece]) -> (PortSet, Vec<PortEntry>) {
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
    if let [(range, rule)] = *ranges {
        return vec![Piece { range, rule }];
    }
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
    pieces_of(Effect::Allow, all, ids)
}

/// The same for another effect.
pub(crate) fn pieces_of(effect: Effect, all: &[Rule], ids: &[RuleId]) -> Vec<Piece> {
    let rules = || ids.iter().filter_map(|id| find(all, *id));
    let of = |effect| {
        rules()
            .filter(move |rule: &&Rule| rule.effect == effect)
            .flat_map(|rule| rule.ports.iter().map(|range| (*range, rule.id)))
    };
    let mut pieces = resolve(of(Effect::Deny).chain(of(effect)));
    pieces.retain(|piece| find(all, piece.rule).is_some_and(|rule| rule.effect == effect));
    pieces
}

/// The same pieces, cut where the proxy is to be asked; [`RuleId::is_proxied`] says where.
fn led(all: &[Rule], pieces: &[Piece]) -> Vec<Piece> {
    let mut led = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let levels = find(all, piece.rule).map_or(Levels::ADDRESS, |rule| rule.levels);
        if piece.range.protocol != Protocol::TCP || levels == Levels::ADDRESS {
            led.push(*piece);
            continue;
        }
        let mut push = |first: u16, last: u16| {
            let rule = match levels.at(first) {
                Level::Address => piece.rule,
                Level::Name | Level::Http => piece.rule.through_proxy(),
            };
            let range = PortRange {
                first,
                last,
                ..piece.range
            };
            led.push(Piece { range, rule });
        };
        // The level changes at the ports of HTTP and nowhere else.
        let (mut from, last) = (piece.range.first, piece.range.last);
        for port in [80, 443] {
            if (from..=last).contains(&port) {
                if from < port {
                    push(from, port - 1);
                }
                push(port, port);
                from = port + 1;
            }
        }
        if from <= last {
            push(from, last);
        }
    }
    led
}

pub(crate) fn find(rules: &[Rule], id: RuleId) -> Option<&Rule> {
    let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
    rules.get(index)
}

/// The aligned prefixes that together are one piece.
pub(crate) fn entries(set: PortSet, piece: &Piece) -> impl Iterator<Item = PortEntry> {
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
