//! Packets and the decision about them, as the kernel programs make it.

use std::{net::IpAddr, sync::OnceLock};

use egress_common::{
    Address, Config, DnsMode, Flow, Headers, Lease, LeaseGrant, Protocol, Stage, decide,
    is_jumbogram, parse, rule_on,
};

use crate::policy::{Name, NameDecision, Policy, PortSets, TableRules};

const RESOLVER: u16 = 5300;
/// The lease's end, in boot time.
const END: u64 = 1000;

/// The first byte says the family that the device names, the stage and whether the lease is over.
/// The rest is the packet.
pub(super) fn check(bytes: &[u8]) {
    let Some((flags, packet)) = bytes.split_first() else {
        return;
    };
    let (parsed, plain) = if flags & 1 == 0 {
        let Some(words) = words::<6>(packet) else {
            return;
        };
        (parse(&Headers::V4(&words)), plain_v4(packet))
    } else {
        let Some(fixed) = words::<11>(packet) else {
            return;
        };
        // As the kernel program does.
        let parsed = if is_jumbogram(&fixed) {
            let Some(all) = words::<13>(packet) else {
                return;
            };
            parse(&Headers::Jumbogram(&all))
        } else {
            parse(&Headers::V6(&fixed))
        };
        (parsed, plain_v6(packet))
    };
    let flow = match parsed {
        Ok(packet) => {
            assert_eq!(Some((packet.flow, packet.source_port)), plain);
            packet.flow
        }
        // The record's flow is decided too: nothing but the reason may keep it from being allowed.
        Err((_, known)) => {
            assert_eq!(plain, None, "a plain packet is refused");
            assert_eq!(known.port, 0);
            known
        }
    };
    let stage = if flags & 2 == 0 {
        Stage::New
    } else {
        Stage::Established
    };
    let now = if flags & 4 == 0 { END - 1 } else { END };
    let (config, mut tables) = ground();
    tables.set_now(now);
    let verdict = decide(config, &tables, &flow, stage);
    assert_eq!(rule_on(config, &tables, &flow, stage).verdict(), verdict);
    let is_live = stage == Stage::Established || now < END;
    assert_eq!(verdict.is_allow(), is_allowed(&flow, is_live), "{flow:?}");
}

/// [`POLICY`] and one lease, as compiled.
const POLICY: &str = r#"{ "version": 1, "network": {
    "allow": [
        { "name": "v4", "cidrs": ["203.0.113.0/24"], "ports": ["443/tcp", "8000-8099/tcp"] },
        { "name": "v6", "cidrs": ["2001:db8::/32"], "ports": ["53/udp"] },
        { "name": "name", "hosts": ["www.example.com"], "ports": ["443/tcp"] }
    ],
    "deny": [{ "name": "thirteen", "cidrs": ["203.0.113.13"], "reason": "it is thirteen" }]
} }"#;

/// The same, told without tables.
fn is_allowed(flow: &Flow, is_live: bool) -> bool {
    let (is_tcp, is_udp) = (flow.protocol.0 == 6, flow.protocol.0 == 17);
    let Ok(address) = flow.destination.canonical() else {
        return false;
    };
    match IpAddr::from(address) {
        ip if ip.is_loopback() => {
            (is_tcp || is_udp)
                && flow.port == RESOLVER
                && ["127.0.0.1", "::1"].contains(&&*ip.to_string())
        }
        IpAddr::V4(ip) => match ip.octets() {
            [203, 0, 113, 13] => false,
            [203, 0, 113, _] => is_tcp && (flow.port == 443 || (8000..8100).contains(&flow.port)),
            [198, 51, 100, 7] => is_tcp && flow.port == 443 && is_live,
            _ => false,
        },
        IpAddr::V6(ip) => matches!(ip.segments(), [0x2001, 0xdb8, ..]) && is_udp && flow.port == 53,
    }
}

fn ground() -> (&'static Config, TableRules) {
    static GROUND: OnceLock<(Config, TableRules)> = OnceLock::new();
    let (config, tables) = GROUND.get_or_init(|| {
        let policy = Policy::parse(POLICY, "policy.json").map_err(|invalid| invalid.to_string());
        let name = Name::parse("www.example.com").map_err(|invalid| invalid.to_string());
        let made = policy.and_then(|policy| name.map(|name| tables(&policy, &name)));
        assert!(made.is_ok(), "{made:?}");
        let config = Config {
            dns: DnsMode::Steer as u32,
            resolver_ports: [RESOLVER, 0, 0, 0],
            ..Config::UNSET
        };
        (config, made.unwrap_or_default())
    });
    (config, tables.clone())
}

fn tables(policy: &Policy, name: &Name) -> TableRules {
    let mut sets = PortSets::starting_at(1);
    let mut tables = TableRules::new(&policy.compile(&mut sets));
    let rules = match policy.decide_name(name) {
        NameDecision::Allow(grant) => grant.rules,
        NameDecision::Deny { .. } => Vec::new(),
    };
    let (set, entries) = sets.for_rules(policy, &rules);
    tables.add_ports(&entries);
    let mut lease = Lease::default();
    lease.grants[0] = LeaseGrant {
        expires: END,
        set: set.0,
        reserved: 0,
    };
    tables.set_lease(Address::from_v4([198, 51, 100, 7]), lease);
    tables
}

/// The first bytes as the kernel program loads them.
fn words<const N: usize>(packet: &[u8]) -> Option<[u32; N]> {
    let mut words = [0; N];
    let (chunks, _) = packet.as_chunks::<4>();
    if chunks.len() < N {
        return None;
    }
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u32::from_ne_bytes(*chunk);
    }
    Some(words)
}

/// RFC 791 3.1: no options, no fragment, TCP or UDP. Flow and source port.
fn plain_v4(packet: &[u8]) -> Option<(Flow, u16)> {
    let (header, rest) = packet.split_first_chunk::<20>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let [0x45, _, _, _, _, _, high, low, _, protocol, ..] = *header else {
        return None;
    };
    let fragment = u16::from_be_bytes([high, low]);
    let is_plain = fragment.is_multiple_of(1 << 14) && matches!(protocol, 6 | 17);
    let destination = Address::from_v4(*header.last_chunk()?);
    let flow = Flow::new(Protocol(protocol), destination, port(*ports, 2));
    is_plain.then_some((flow, port(*ports, 0)))
}

/// RFC 8200 3: the transport header comes next, or RFC 2675: behind the length of a jumbogram.
fn plain_v6(packet: &[u8]) -> Option<(Flow, u16)> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let [first, _, _, _, high, low, mut next, ..] = *header;
    let mut transport = rest;
    if let (0, 0, 0, [6, 0, 0xc2, 4, length @ ..]) = (high, low, next, rest)
        && let Some((length, behind)) = length.split_first_chunk::<4>()
        && u32::from_be_bytes(*length) >= 1 << 16
    {
        (next, transport) = (6, behind);
    }
    let (ports, _) = transport.split_first_chunk::<4>()?;
    let destination = Address::from_v6(*header.last_chunk()?);
    let is_plain = first >> 4 == 6 && matches!(next, 6 | 17);
    let flow = Flow::new(Protocol(next), destination, port(*ports, 2));
    is_plain.then_some((flow, port(*ports, 0)))
}

/// RFC 768, RFC 9293 3.1: the source first, then the destination.
fn port(ports: [u8; 4], at: usize) -> u16 {
    let number = u32::from_be_bytes(ports) >> (16 - 8 * at);
    u16::try_from(number & 0xffff).unwrap_or(0)
}
