//! What of an upstream answer may reach a client and become leases.
//!
//! An answer is untrusted. Exactly one CNAME chain counts, the one that begins at the question;
//! of the rest only the asked type at the chain's end. Addresses in private space are taken out
//! unless the policy lets the name lead there, and so is what could lead a client past the guard:
//! encrypted hellos, hints and targets that no rule allows.

use std::collections::{HashMap, HashSet};

use egress_common::Address;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        DNSClass, Name as WireName, RData, Record, RecordType,
        rdata::{
            CNAME, SVCB,
            svcb::{IpHint, SvcParamKey, SvcParamValue},
        },
    },
};

use super::{Names, question::is_name_byte, reply::Rcode, special::is_special};
use crate::policy::Name;

/// CNAME records that are followed.
const LONGEST_CHAIN: usize = 16;
/// Addresses that are taken of one answer, and records of the types without addresses.
pub(super) const MAX_RECORDS: usize = 256;
/// Longest that "there is no such thing" is believed, in seconds (RFC 2308 5).
const NEGATIVE_TTL: u32 = 60;
/// A TTL with its highest bit set counts as 0 (RFC 2181 8).
const MAX_TTL: u32 = 0x7fff_ffff;

pub(super) const TYPE_A: u16 = 1;
pub(super) const TYPE_CNAME: u16 = 5;
pub(super) const TYPE_AAAA: u16 = 28;
pub(super) const TYPE_SVCB: u16 = 64;
pub(super) const TYPE_HTTPS: u16 = 65;

/// What is left of an answer.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) rcode: Rcode,
    pub(super) answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub(super) authorities: Vec<Record>,
    /// What the answer leads to, as packets will have it.
    pub(super) addresses: Vec<Address>,
    /// Seconds; the least of all records that are left.
    pub(super) ttl: u32,
    /// The answer had addresses, all of them in private space.
    pub(super) is_private: bool,
}

/// The answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Useless {
    #[error("the upstream resolver answered with code {0}; look at its log")]
    Code(u16),
    #[error(
        "the answer's aliases form a loop or are more than {LONGEST_CHAIN}; the zone must be mended"
    )]
    Chain,
}

/// By what an answer is filtered.
#[derive(Debug)]
pub(super) struct Filter<'a, N> {
    pub(super) names: &'a N,
    /// The question may lead into private space.
    pub(super) keep_private: bool,
    pub(super) max_addresses: usize,
    /// Seconds.
    pub(super) ttl_max: u32,
}

/// A name as hickory has it. Its own reader of text refuses a leading `-`, which the DNS does not.
pub(super) fn wire_name(name: &str) -> Option<WireName> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    WireName::from_labels(labels.map(str::as_bytes)).ok()
}

/// A name of hickory's as the policy has it; `None` when it is no host name. Its own text form
/// writes a backslash where none belongs, before a leading `-`.
pub(super) fn host_name(wire: &WireName) -> Option<Name> {
    let mut text = String::new();
    for label in wire {
        if !label.iter().copied().all(is_name_byte) {
            return None;
        }
        text.push_str(str::from_utf8(label).ok()?);
        text.push('.');
    }
    Name::parse(&text).ok()
}

impl<N: Names> Filter<'_, N> {
    /// Filters the answer to (`name`, `kind`). Linear in the answer.
    pub(super) fn apply(
        &self,
        message: &Message,
        name: &WireName,
        kind: u16,
    ) -> Result<Filtered, Useless> {
        let code = message.metadata.response_code;
        if code != ResponseCode::NoError && code != ResponseCode::NXDomain {
            return Err(Useless::Code(u16::from(code)));
        }
        let rcode = Rcode(u16::from(code));
        let mut left = Filtered {
            rcode,
            answers: Vec::new(),
            authorities: Vec::new(),
            addresses: Vec::new(),
            ttl: self.ttl_max,
            is_private: false,
        };
        let owner = if kind == TYPE_CNAME {
            name.clone()
        } else {
            chain(message, name, &mut left)?
        };
        let before = left.answers.len();
        let mut sieve = Sieve {
            filter: self,
            owner: &owner,
            seen: HashSet::new(),
            private: 0,
            public: 0,
        };
        for record in &message.answers {
            if record.name == owner
                && record.dns_class == DNSClass::IN
                && u16::from(record.record_type()) == kind
            {
                sieve.pass(record, &mut left);
            }
        }
        left.is_private =
            matches!(kind, TYPE_A | TYPE_AAAA) && sieve.private > 0 && sieve.public == 0;
        if left.answers.len() == before {
            negative(message, &owner, &mut left);
        }
        Ok(left)
    }

    fn is_private(&self, address: &Address) -> bool {
        is_special(address) || self.names.is_metadata(address)
    }
}

/// Follows the aliases from the question on and keeps them; the owner at the end.
fn chain(message: &Message, name: &WireName, left: &mut Filtered) -> Result<WireName, Useless> {
    let mut aliases: HashMap<&WireName, (&WireName, u32)> = HashMap::new();
    for record in &message.answers {
        if let RData::CNAME(CNAME(target)) = &record.data
            && record.dns_class == DNSClass::IN
        {
            // One owner has one alias (RFC 2181 10.1); the first one counts.
            aliases.entry(&record.name).or_insert((target, record.ttl));
        }
    }
    let mut owner = name;
    while let Some((target, ttl)) = aliases.get(owner) {
        if left.answers.len() == LONGEST_CHAIN {
            return Err(Useless::Chain);
        }
        left.keep(owner, *ttl, RData::CNAME(CNAME(target.to_lowercase())));
        owner = target;
    }
    Ok(owner.to_lowercase())
}

/// Keeps the SOA above `owner` and bounds how long the negative answer is believed.
fn negative(message: &Message, owner: &WireName, left: &mut Filtered) {
    let soa = message.authorities.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else {
            return None;
        };
        record.name.zone_of(owner).then_some((record, soa))
    });
    let Some((record, soa)) = soa else {
        left.ttl = 0;
        return;
    };
    left.ttl = left
        .ttl
        .min(sane(record.ttl))
        .min(sane(soa.minimum))
        .min(NEGATIVE_TTL);
    let record = Record::from_rdata(record.name.to_lowercase(), 0, RData::SOA(soa.clone()));
    left.authorities.push(record);
}

impl Filtered {
    fn has_room(&self) -> bool {
        self.answers.len() < LONGEST_CHAIN + MAX_RECORDS
    }

    fn keep(&mut self, owner: &WireName, ttl: u32, data: RData) {
        self.ttl = self.ttl.min(sane(ttl));
        self.answers
            .push(Record::from_rdata(owner.to_lowercase(), 0, data));
    }
}

const fn sane(ttl: u32) -> u32 {
    if ttl > MAX_TTL { 0 } else { ttl }
}

/// The records of the asked type, one after the other.
struct Sieve<'a, N> {
    filter: &'a Filter<'a, N>,
    owner: &'a WireName,
    seen: HashSet<Address>,
    /// Addresses that were met, in private space and elsewhere.
    private: usize,
    public: usize,
}

impl<N: Names> Sieve<'_, N> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "types without addresses are all alike, future ones too"
    )]
    fn pass(&mut self, record: &Record, left: &mut Filtered) {
        match &record.data {
            RData::A(a) => {
                let address = Address::from_v4(a.0.octets());
                if self.take(address, false, left) && left.has_room() {
                    left.keep(self.owner, record.ttl, record.data.clone());
                }
            }
            RData::AAAA(aaaa) => {
                let address = Address::from_v6(aaaa.0.octets());
                // A mapped address in an AAAA record is IPv4 in disguise.
                if self.take(address, address.as_v4().is_some(), left) && left.has_room() {
                    left.keep(self.owner, record.ttl, record.data.clone());
                }
            }
            RData::HTTPS(https) => {
                if let Some(service) = self.service(&https.0, left) {
                    let mut https = https.clone();
                    https.0 = service;
                    left.keep(self.owner, record.ttl, RData::HTTPS(https));
                }
            }
            RData::SVCB(svcb) => {
                if let Some(service) = self.service(svcb, left) {
                    left.keep(self.owner, record.ttl, RData::SVCB(service));
                }
            }
            other => {
                if left.has_room() {
                    left.keep(self.owner, record.ttl, other.clone());
                }
            }
        }
    }

    /// Whether the client may see the address; then it is to be learnt as well.
    fn take(&mut self, address: Address, is_disguised: bool, left: &mut Filtered) -> bool {
        let is_private = is_disguised || self.filter.is_private(&address);
        self.private += usize::from(is_private);
        self.public += usize::from(!is_private);
        if is_private && !self.filter.keep_private {
            return false;
        }
        // What no packet may carry anyway must not become a lease of something else.
        let Ok(address) = address.canonical() else {
            return false;
        };
        // No name leads to instance metadata, whatever `dns.private` says: that takes a CIDR rule.
        let names = self.filter.names;
        if names.is_metadata(&address) && !names.settings().observe {
            return false;
        }
        if self.seen.contains(&address) {
            return true;
        }
        if self.seen.len() >= self.filter.max_addresses.min(MAX_RECORDS) {
            return false;
        }
        self.seen.insert(address);
        left.addresses.push(address);
        true
    }

    /// A service binding (RFC 9460) without what leads past the guard, or nothing of it.
    fn service(&mut self, service: &SVCB, left: &mut Filtered) -> Option<SVCB> {
        let target = &service.target_name;
        let is_own = target.is_root() || target == self.owner;
        if !left.has_room() || !(is_own || self.is_allowed(target)) {
            return None;
        }
        let before = left.addresses.len();
        let mut parameters = Vec::new();
        for (key, value) in &service.svc_params {
            let kept = match value {
                SvcParamValue::Ipv4Hint(IpHint(hints)) if is_own => {
                    let hints: Vec<_> = hints
                        .iter()
                        .filter(|hint| self.take(Address::from_v4(hint.0.octets()), false, left))
                        .copied()
                        .collect();
                    (!hints.is_empty()).then_some(SvcParamValue::Ipv4Hint(IpHint(hints)))
                }
                SvcParamValue::Ipv6Hint(IpHint(hints)) if is_own => {
                    let hints: Vec<_> = hints
                        .iter()
                        .filter(|hint| {
                            let address = Address::from_v6(hint.0.octets());
                            self.take(address, address.as_v4().is_some(), left)
                        })
                        .copied()
                        .collect();
                    (!hints.is_empty()).then_some(SvcParamValue::Ipv6Hint(IpHint(hints)))
                }
                // Hints of another name: the client asks for that name, and gets leases for it.
                SvcParamValue::Ipv4Hint(_) | SvcParamValue::Ipv6Hint(_) => None,
                SvcParamValue::EchConfigList(_) | SvcParamValue::Unknown(_) => None,
                SvcParamValue::Mandatory(_)
                | SvcParamValue::Alpn(_)
                | SvcParamValue::NoDefaultAlpn
                | SvcParamValue::Port(_) => Some(value.clone()),
            };
            if let Some(value) = kept {
                parameters.push((*key, value));
            }
        }
        if is_complete(&parameters) {
            return Some(SVCB::new(
                service.svc_priority,
                target.to_lowercase(),
                parameters,
            ));
        }
        for address in left.addresses.drain(before..) {
            self.seen.remove(&address);
        }
        None
    }

    fn is_allowed(&self, target: &WireName) -> bool {
        host_name(target).is_some_and(|name| {
            matches!(
                self.filter.names.decide_name(&name),
                super::NameVerdict::Allow { .. }
            )
        })
    }
}

/// Whether every parameter that the record calls mandatory is still there (RFC 9460 8).
fn is_complete(parameters: &[(SvcParamKey, SvcParamValue)]) -> bool {
    parameters.iter().all(|(_, value)| match value {
        SvcParamValue::Mandatory(mandatory) => mandatory
            .0
            .iter()
            .all(|wanted| parameters.iter().any(|(key, _)| key == wanted)),
        SvcParamValue::Alpn(_)
        | SvcParamValue::NoDefaultAlpn
        | SvcParamValue::Port(_)
        | SvcParamValue::Ipv4Hint(_)
        | SvcParamValue::EchConfigList(_)
        | SvcParamValue::Ipv6Hint(_)
        | SvcParamValue::Unknown(_) => true,
    })
}

/// Whether the number names no record but a question, a transfer or a mechanism (RFC 6895 3.1).
/// No policy opens these.
pub(super) fn is_meta(kind: u16) -> bool {
    kind == 0 || kind == u16::from(RecordType::OPT) || (128..=255).contains(&kind)
}

#[cfg(test)]
mod tests;
