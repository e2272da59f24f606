//! `decide` against a reference that knows no order, no tables and no short cuts.

use egress_common::{
    Address, Config, DnsMode, Flow, Lease, LeaseGrant, Mode, Network, PortSet, Protocol, Reason,
    RuleId, Rules, Stage, Verdict, decide,
};
use proptest::prelude::*;

/// The tables as plain lists.
#[derive(Clone, Debug)]
struct World {
    networks: Vec<(Address, u8, Network)>,
    ports: Vec<(u32, u8, u16, u16, u32)>,
    leases: Vec<(Address, Lease)>,
    listeners: Vec<u16>,
    now: u64,
}

impl Rules for World {
    fn network(&self, address: &Address) -> Option<Network> {
        self.networks
            .iter()
            .filter(|(prefix, bits, _)| covers(prefix, *bits, address))
            .max_by_key(|(_, bits, _)| *bits)
            .map(|(_, _, network)| *network)
    }

    fn port(&self, set: PortSet, protocol: Protocol, port: u16) -> Option<RuleId> {
        self.ports
            .iter()
            .find(|(id, of, low, high, _)| {
                *id == set.0 && *of == protocol.0 && (*low..=*high).contains(&port)
            })
            .map(|(_, _, _, _, rule)| RuleId(*rule))
    }

    fn lease(&self, address: &Address) -> Option<&Lease> {
        self.leases
            .iter()
            .find(|(leased, _)| leased == address)
            .map(|(_, lease)| lease)
    }

    fn session_receives(&self, flow: &Flow) -> bool {
        self.listeners.contains(&flow.port)
    }

    fn now(&self) -> u64 {
        self.now
    }
}

fn covers(prefix: &Address, bits: u8, address: &Address) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    let number = |address: &Address| u128::from_be_bytes(address.octets());
    number(prefix) & mask == number(address) & mask
}

/// The page "Order of the decision" as one sentence each, without early returns.
fn reference(config: &Config, world: &World, flow: &Flow, stage: Stage) -> bool {
    let transport = matches!(flow.protocol.0, 6 | 17);
    let Ok(address) = flow.destination.canonical() else {
        return false;
    };
    let first = address.octets()[0];
    let multicast = first == 0xff
        || address
            .as_v4()
            .is_some_and(|v4| v4 == [255; 4] || (224..240).contains(&v4[0]));
    let loopback = address.is_loopback();
    let resolver = config.dns == DnsMode::Steer as u32
        && flow.port != 0
        && config.resolver_ports.contains(&flow.port)
        && (address == Address::LOOPBACK_V4 || address == Address::LOOPBACK_V6);
    let trusted = config.dns == DnsMode::Snoop as u32
        && flow.port != 0
        && std::iter::zip(config.resolver_ports, config.resolver_addresses)
            .any(|resolver| resolver == (flow.port, address));
    let resolver = resolver || trusted;
    let network = world.network(&address).unwrap_or_default();
    let holds = |set: u32| set != 0 && world.port(PortSet(set), flow.protocol, flow.port).is_some();
    let denied = holds(network.deny);
    let allowed = holds(network.allow);
    let own = loopback && config.session_loopback == 1 && world.listeners.contains(&flow.port);
    let leased = !loopback
        && world.lease(&address).is_some_and(|lease| {
            lease.grants.iter().any(|grant| {
                holds(grant.set) && (stage == Stage::Established || world.now < grant.expires)
            })
        });
    transport && !multicast && (resolver || (!denied && (allowed || own || leased)))
}

/// Few distinct values, so that rules, leases and flows meet.
fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        (0_u8..4).prop_map(|last| Address::from_v4([203, 0, 113, last])),
        (0_u8..3).prop_map(|last| Address::from_v4([10, 20, last, 1])),
        Just(Address::from_v4([0, 0, 0, 0])),
        Just(Address::LOOPBACK_V4),
        Just(Address::LOOPBACK_V6),
        Just(Address::UNSPECIFIED),
        Just(Address::from_v4([127, 9, 9, 9])),
        Just(Address::from_v4([224, 0, 0, 251])),
        Just(Address::from_v4([255; 4])),
        (0_u8..4).prop_map(|last| Address::from_v6([
            0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last
        ])),
        (0_u8..4).prop_map(|last| Address::from_v6([
            0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 203, 0, 113, last
        ])),
        any::<[u8; 16]>().prop_map(Address::from_v6),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let network = (
        address(),
        prop_oneof![Just(128_u8), 96..=128_u8, 0..=128_u8],
        0..4_u32,
        0..4_u32,
    )
        .prop_map(|(address, bits, deny, allow)| (address, bits, Network { deny, allow }));
    let port = (
        1..4_u32,
        prop_oneof![Just(6_u8), Just(17)],
        0..6_u16,
        0..6_u16,
        1..9_u32,
    )
        .prop_map(|(set, protocol, a, b, rule)| (set, protocol, a.min(b), a.max(b), rule));
    let grant = (0..20_u64, 0..4_u32).prop_map(|(expires, set)| LeaseGrant {
        expires,
        set,
        reserved: 0,
    });
    let lease = (address(), prop::array::uniform4(grant))
        .prop_map(|(address, grants)| (address, Lease { grants }));
    (
        prop::collection::vec(network, 0..6),
        prop::collection::vec(port, 0..6),
        prop::collection::vec(lease, 0..4),
        prop::collection::vec(0..6_u16, 0..3),
        0..20_u64,
    )
        .prop_map(|(networks, ports, leases, listeners, now)| World {
            networks,
            ports,
            leases,
            listeners,
            now,
        })
}

fn config() -> impl Strategy<Value = Config> {
    let ports = prop::array::uniform4(0..6_u16);
    let resolvers = prop::array::uniform4(address());
    (1..3_u32, 0..2_u32, ports, resolvers).prop_map(|(dns, session, ports, resolvers)| Config {
        mode: Mode::Enforce as u32,
        dns,
        session_loopback: session,
        resolver_ports: ports,
        resolver_addresses: resolvers,
        ..Config::UNSET
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_the_reference(
        config in config(),
        world in world(),
        destination in address(),
        port in 0..6_u16,
        protocol in prop_oneof![4 => Just(6_u8), 4 => Just(17), 1 => any::<u8>()],
        established in any::<bool>(),
    ) {
        let flow = Flow::new(Protocol(protocol), destination, port);
        let stage = if established { Stage::Established } else { Stage::New };
        let verdict = decide(&config, &world, &flow, stage);
        prop_assert_eq!(verdict.is_allow(), reference(&config, &world, &flow, stage));
    }

    /// Whatever is decided, a denial has a reason, and a lease's grant says when it ends.
    #[test]
    fn an_expired_lease_admits_no_new_flow(
        config in config(),
        world in world(),
        destination in address(),
        port in 0..6_u16,
    ) {
        let flow = Flow::new(Protocol::TCP, destination, port);
        if let Verdict::Allow(grant) = decide(&config, &world, &flow, Stage::New) {
            prop_assert!(grant.expires > world.now);
        }
    }
}

#[test]
fn empty_tables_allow_nothing() {
    let world = World {
        networks: Vec::new(),
        ports: Vec::new(),
        leases: Vec::new(),
        listeners: Vec::new(),
        now: 0,
    };
    let flow = Flow::new(Protocol::TCP, Address::from_v4([203, 0, 113, 1]), 443);
    assert_eq!(
        decide(&Config::UNSET, &world, &flow, Stage::New),
        Verdict::deny(Reason::NoRule)
    );
}
