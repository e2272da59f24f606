//! Property tests: the compiled tables against a scan over the rules as they are written, and
//! the parser against any text.

use egress_common::{
    Address, Flow, Lease, LeaseGrant, Mode, PortSet, Protocol, RESOLVER_SLOTS, Reason, RuleId,
    Verdict,
};
use ipnet::IpNet;
use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::{
    Answer, Effect, Explainer, Explanation, Host, METADATA, Policy, PortSets, Rule, TableRules,
    Target,
};

/// One rule before it is text.
#[derive(Clone, Debug)]
struct Written {
    is_deny: bool,
    cidrs: Vec<String>,
    ports: Vec<String>,
}

/// Ranges that meet: nested, equal, disjoint, around IPv4 and metadata.
fn cidr() -> impl Strategy<Value = String> {
    let v4 = (
        select(vec![
            0x0a00_0000_u32,
            0x0a01_0200,
            0x0a01_02ff,
            0xcb00_7100,
            0xa9fe_a9fe,
        ]),
        0..=32u8,
    )
        .prop_map(|(base, bits)| {
            let address = std::net::Ipv4Addr::from(base);
            ipnet::Ipv4Net::new(address, bits)
                .unwrap()
                .trunc()
                .to_string()
        });
    let bases = vec![
        "::",
        "2001:db8::",
        "2001:db8:0:1::7",
        "fd00:ec2::254",
        "fe80::1",
    ];
    let v6 = (select(bases), 0..=128u8).prop_map(|(base, bits)| {
        let address: std::net::Ipv6Addr = base.parse().unwrap();
        ipnet::Ipv6Net::new(address, bits)
            .unwrap()
            .trunc()
            .to_string()
    });
    prop_oneof![3 => v4, 2 => v6].prop_filter("special", |text| super::net::parse(text).is_ok())
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![
        select(vec![
            1u16, 2, 22, 53, 80, 443, 8080, 0x7fff, 0x8000, 65534, 65535
        ]),
        1..=65535u16
    ]
}

fn ports() -> impl Strategy<Value = String> {
    (port(), port(), any::<bool>(), select(vec!["tcp", "udp"])).prop_map(|(a, b, single, proto)| {
        let (first, last) = (a.min(b), a.max(b));
        if single {
            format!("{first}/{proto}")
        } else {
            format!("{first}-{last}/{proto}")
        }
    })
}

fn written() -> impl Strategy<Value = Written> {
    let cidrs = prop::collection::vec(cidr(), 1..4);
    let ports = prop::collection::vec(ports(), 0..4);
    (any::<bool>(), cidrs, ports).prop_map(|(is_deny, cidrs, mut ports)| {
        if !is_deny && ports.is_empty() {
            ports.push("443/tcp".to_owned());
        }
        Written {
            is_deny,
            cidrs,
            ports,
        }
    })
}

fn policy_text(rules: &[Written], loopback: &[String]) -> String {
    let section = |is_deny: bool| -> Vec<_> {
        let rules = rules.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.is_deny == is_deny)
            .map(|(index, rule)| {
                let mut value = json!({ "name": format!("r{index}"), "cidrs": rule.cidrs });
                if !rule.ports.is_empty() {
                    value["ports"] = json!(rule.ports);
                }
                value
            })
            .collect()
    };
    json!({
        "version": 1,
        "network": { "allow": section(false), "deny": section(true), "loopback": { "allow": loopback } },
    })
    .to_string()
}

fn address() -> impl Strategy<Value = Address> {
    let near = select(vec![
        "10.0.0.0",
        "10.1.2.0",
        "10.1.2.255",
        "203.0.113.0",
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "::",
        "0.0.0.0",
        "2001:db8::",
        "2001:db8:0:1::7",
        "fd00:ec2::254",
        "fe80::1",
        "8.8.8.8",
        "224.0.0.1",
        "ff02::1",
        "64:ff9b::a01:2ff",
        "2002:a01:2ff::1",
        "64:ff9b::7f00:1",
    ]);
    let near = (near, any::<u8>(), 0..128u32).prop_map(|(base, flip, bit)| {
        let address = Address::from(base.parse::<std::net::IpAddr>().unwrap());
        let number = u128::from_be_bytes(address.octets());
        let number = if flip < 128 {
            number
        } else {
            number ^ (1 << bit)
        };
        Address::from_v6(number.to_be_bytes())
    });
    prop_oneof![8 => near, 1 => any::<[u8; 16]>().prop_map(Address::from_v6)]
}

/// The contract of the format, with no table and no trie.
fn expected(policy: &Policy, flow: &Flow) -> Result<RuleId, (Reason, RuleId)> {
    let address = match flow.destination.canonical() {
        Ok(address) => address,
        Err(Verdict::Deny(reason, rule)) => return Err((reason, rule)),
        Err(Verdict::Allow(_)) => panic!("an error that allows"),
    };
    if address.is_multicast() {
        return Err((Reason::Multicast, RuleId::NONE));
    }
    let ip = std::net::IpAddr::from(address);
    let is_metadata = METADATA.contains(&ip);
    // The narrowest network of each rule that holds the address.
    let width = |rule: &Rule| {
        let fits = |network: &&IpNet| {
            network.contains(&ip)
                && (!address.is_loopback() || rule.name == "loopback")
                && (!is_metadata
                    || rule.effect == Effect::Deny
                    || network.prefix_len() == network.max_prefix_len())
        };
        rule.networks
            .iter()
            .filter(fits)
            .map(IpNet::prefix_len)
            .max()
    };
    let winner = |effect: Effect| {
        let rules = policy.rules().iter().filter(|rule| rule.effect == effect);
        rules
            .filter(|rule| {
                rule.ports
                    .iter()
                    .any(|r| r.contains(flow.protocol, flow.port))
            })
            .filter_map(|rule| Some((width(rule)?, rule)))
            .max_by_key(|(width, rule)| (*width, std::cmp::Reverse(rule.id)))
            .map(|(_, rule)| rule.id)
    };
    if let Some(rule) = winner(Effect::Deny) {
        return Err((Reason::DeniedByRule, rule));
    }
    if let Some(rule) = winner(Effect::Allow) {
        return Ok(rule);
    }
    if address.is_loopback() {
        return Err((Reason::Loopback, RuleId::NONE));
    }
    let is_allowed_elsewhere = policy
        .rules()
        .iter()
        .any(|rule| rule.effect == Effect::Allow && width(rule).is_some());
    let reason = if is_allowed_elsewhere {
        Reason::PortNotAllowed
    } else {
        Reason::NoRule
    };
    Err((reason, RuleId::NONE))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_compiled_tables_decide_as_the_rules_are_written(
        rules in prop::collection::vec(written(), 0..8),
        loopback in prop::collection::vec(ports(), 0..3),
        flows in prop::collection::vec((address(), port(), select(vec![Protocol::TCP, Protocol::UDP])), 40),
    ) {
        let text = policy_text(&rules, &loopback);
        let policy = Policy::parse(&text, "p").unwrap();
        let tables = policy.compile(&mut PortSets::starting_at(5));
        let table = TableRules::new(&tables);
        let config = policy.config(1, [0; RESOLVER_SLOTS]);
        for (address, port, protocol) in flows {
            let flow = Flow::new(protocol, address, port);
            let got = match table.decide(&config, &flow) {
                Verdict::Allow(grant) => Ok(grant.rule),
                Verdict::Deny(reason, rule) => Err((reason, rule)),
            };
            prop_assert_eq!(got, expected(&policy, &flow), "{:?} under {}", flow, text);
        }
    }

    #[test]
    fn a_lease_opens_what_the_rules_of_its_name_open(
        allow in prop::collection::vec(prop::collection::vec(ports(), 1..4), 1..5),
        deny in prop::collection::vec(prop::collection::vec(ports(), 1..3), 0..3),
        asked in prop::collection::vec((port(), select(vec![Protocol::TCP, Protocol::UDP])), 30),
    ) {
        let section = |prefix: &str, rules: &[Vec<String>]| -> Vec<_> {
            let rules = rules.iter().enumerate();
            rules.map(|(i, ports)| json!({ "name": format!("{prefix}{i}"), "hosts": ["a.example"], "ports": ports })).collect()
        };
        let text = json!({ "version": 1, "network": { "allow": section("a", &allow), "deny": section("d", &deny) } });
        let policy = Policy::parse(&text.to_string(), "p").unwrap();
        let mut sets = PortSets::starting_at(1);
        let mut table = TableRules::new(&policy.compile(&mut sets));
        let address = Address::from_v4([198, 51, 100, 7]);
        let name = super::Name::parse("a.example").unwrap();
        let decision = policy.decide_name(&name);
        if let super::NameDecision::Allow(grant) = &decision {
            let (set, entries) = sets.for_rules(&policy, &grant.rules);
            prop_assert!(set != PortSet::EMPTY);
            table.add_ports(&entries);
            let mut lease = Lease::default();
            lease.grants[0] = LeaseGrant { expires: u64::MAX, set: set.0, reserved: 0 };
            table.set_lease(address, lease);
        }
        let config = policy.config(1, [0; RESOLVER_SLOTS]);
        let explainer = Explainer::new(&policy);
        for (port, protocol) in asked {
            let first = |effect| {
                let rules = policy.rules().iter().filter(move |rule: &&Rule| rule.effect == effect);
                let mut rules = rules.filter(|rule| rule.ports.iter().any(|r| r.contains(protocol, port)));
                rules.next().map(|rule| (rule.id, rule.name.clone()))
            };
            let denied = first(Effect::Deny);
            let allowed = first(Effect::Allow).filter(|_| denied.is_none());
            let got = match table.decide(&config, &Flow::new(protocol, address, port)) {
                Verdict::Allow(grant) => Some(grant.rule),
                Verdict::Deny(..) => None,
            };
            prop_assert_eq!(got, allowed.as_ref().map(|(id, _)| *id));
            let told = explainer.explain(&Target { host: Host::Name(name.clone()), port, protocol });
            let verdict = if allowed.is_some() { Answer::Allow } else { Answer::Deny };
            prop_assert_eq!(told.verdict, verdict);
            if let super::NameDecision::Deny { rule, .. } = decision {
                // No port is left, so that no question about one is answered.
                prop_assert_eq!(told.rule.as_ref(), policy.rule(rule).map(|rule| &rule.name));
                continue;
            }
            prop_assert_eq!(told.rule, allowed.or(denied).map(|(_, name)| name));
        }
    }

    #[test]
    fn a_suggestion_allows_what_it_was_made_for(
        rules in prop::collection::vec(written(), 0..5),
        address in address(),
        port in port(),
        protocol in select(vec![Protocol::TCP, Protocol::UDP]),
    ) {
        let text = policy_text(&rules, &[]);
        let policy = Policy::parse(&text, "p").unwrap();
        let target = Target { host: Host::Address(address.into()), port, protocol };
        let Explanation { suggestion, verdict, help, .. } = Explainer::new(&policy).explain(&target);
        prop_assert!(verdict == Answer::Allow || suggestion.is_some() || help.is_some());
        if let Some(suggestion) = suggestion {
            let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
            let rule: serde_json::Value = serde_json::from_str(&suggestion).unwrap();
            file["network"]["allow"].as_array_mut().unwrap().push(rule);
            let wider = Policy::parse(&file.to_string(), "p").unwrap();
            prop_assert_eq!(Explainer::new(&wider).explain(&target).verdict, Answer::Allow);
        }
    }

    #[test]
    fn a_valid_policy_is_still_valid_after_it_was_written_again(
        rules in prop::collection::vec(written(), 0..8),
        loopback in prop::collection::vec(ports(), 0..3),
    ) {
        let policy = Policy::parse(&policy_text(&rules, &loopback), "p").unwrap();
        let file: super::file::File = serde_json::from_str(&policy_text(&rules, &loopback)).unwrap();
        let again = Policy::parse(&serde_json::to_string_pretty(&file).unwrap(), "p").unwrap();
        let told = |policy: &Policy| -> Vec<_> {
            policy.rules().iter().map(|rule| Rule { line: 0, ..rule.clone() }).collect()
        };
        prop_assert_eq!(told(&policy), told(&again));
        prop_assert_eq!(policy.dns(), again.dns());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Err(invalid) = Policy::parse(&text, "p") {
            prop_assert!(!invalid.problems().is_empty());
            prop_assert!(!invalid.picture(false).is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_policy_makes_the_parser_panic(
        rules in prop::collection::vec(written(), 0..4),
        at in any::<prop::sample::Index>(),
        length in 0..12usize,
        put in select(vec!["", "\"", "{", "]", ",", "null", "-1", "1e9", "\"//\":", "é", "\\u12", "\"*.com\""]),
    ) {
        let text = policy_text(&rules, &[]);
        let (before, after) = text.split_at(at.index(text.len()));
        let after = after.get(length..).unwrap_or_default();
        let damaged = format!("{before}{put}{after}");
        if let Err(invalid) = Policy::parse(&damaged, "p") {
            prop_assert!(!invalid.problems().is_empty());
            prop_assert!(!invalid.picture(false).is_empty());
        }
    }
}

#[test]
fn observing_changes_no_decision() {
    let text = r#"{ "version": 1, "mode": "observe" }"#;
    let policy = Policy::parse(text, "p").unwrap();
    let config = policy.config(1, [0; RESOLVER_SLOTS]);
    assert_eq!(config.mode, Mode::Observe as u32);
    let table = TableRules::new(&policy.compile(&mut PortSets::starting_at(1)));
    let flow = Flow::new(Protocol::TCP, Address::from_v4([192, 0, 2, 1]), 443);
    assert_eq!(table.decide(&config, &flow), Verdict::deny(Reason::NoRule));
}
