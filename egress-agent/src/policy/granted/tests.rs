//! A policy with grants decides as its file would with the same rules.

use egress_common::{Flow, Verdict};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::policy::{Answer, Explainer, Target};

fn policy(text: &Value) -> Policy {
    Policy::parse(&text.to_string(), "p").unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn given(policy: &Policy, rule: &Value, session: Option<u64>) -> Given {
    Given {
        rule: policy.read_rule(rule).unwrap(),
        session,
        until: 100,
    }
}

fn told(policy: &Policy, target: &str) -> (Answer, Option<String>) {
    let target: Target = target.parse().unwrap();
    let told = Explainer::new(policy).explain(&target);
    (told.verdict, told.rule)
}

#[test]
fn a_session_alone_has_what_it_was_granted() {
    let file = policy(&json!({ "version": 1, "network": { "allow": [
        { "name": "all", "hosts": ["all.test"], "ports": ["443/tcp"] },
    ] } }));
    let one = json!({ "name": "g1", "hosts": ["one.test"], "ports": ["443/tcp"] });
    let both = json!({ "name": "g2", "hosts": ["both.test"], "ports": ["443/tcp"] });
    let granted = file
        .with_grants(&[given(&file, &one, Some(7)), given(&file, &both, None)])
        .unwrap();
    let allowed = |policy: &Policy, host: &str| told(policy, host).0 == Answer::Allow;
    let (seven, eight) = (granted.for_session(7), granted.for_session(8));
    for (host, of_seven, of_others) in [
        ("one.test:443", true, false),
        ("one.test:22", false, false),
        ("both.test:443", true, true),
        ("all.test:443", true, true),
        ("none.test:443", false, false),
    ] {
        assert_eq!(allowed(&seven, host), of_seven, "{host}");
        assert_eq!(allowed(&eight, host), of_others, "{host}");
        assert_eq!(allowed(&granted, host), of_others, "{host}");
    }
    assert_eq!(granted.sessions().collect::<Vec<_>>(), [7]);
    assert_eq!(seven.session_alone(), Some(7));
    // Rules have the same numbers for everybody, and no other policy's edition.
    assert_eq!(seven.rules(), granted.rules());
    assert_ne!(granted.edition(), file.edition());
    let NameDecision::Allow(name) = seven.decide_name(&Name::parse("one.test").unwrap()) else {
        panic!("it is granted");
    };
    assert_eq!(name.until, 100);
    let back = granted.with_grants(&[]).unwrap();
    assert!(!allowed(&back, "both.test:443") && back.edition() == file.edition());
}

#[test]
fn an_address_is_granted_to_nobody_alone() {
    let file = policy(&json!({ "version": 1 }));
    let rule = json!({ "name": "g", "cidrs": ["192.0.2.1"], "ports": ["443/tcp"] });
    let refused = file.with_grants(&[given(&file, &rule, Some(7))]);
    assert_eq!(refused.unwrap_err(), CannotGrant::AddressForSession);
    let granted = file.with_grants(&[given(&file, &rule, None)]).unwrap();
    assert_eq!(told(&granted, "192.0.2.1:443").0, Answer::Allow);
    assert_eq!(told(&granted, "192.0.2.2:443").0, Answer::Deny);
    assert_eq!(told(&file, "192.0.2.1:443").0, Answer::Deny);
}

fn asking() -> Policy {
    policy(&json!({ "version": 1, "network": {
        "allow": [
            { "name": "web", "hosts": ["web.test"], "ports": ["443/tcp"] },
            { "name": "net", "cidrs": ["192.0.2.0/25"], "ports": ["443/tcp"] },
        ],
        "deny": [
            { "name": "never", "hosts": ["never.asked.test"], "cidrs": ["192.0.2.200"] },
            { "name": "mail", "hosts": ["**.asked.test"], "ports": ["25/tcp"] },
        ],
        "ask": [
            { "name": "perhaps", "hosts": ["**.asked.test", "web.test"], "ports": ["443/tcp", "22/tcp", "25/tcp"], "deadline": "20s" },
            { "name": "mx", "hosts": ["mx.asked2.test"], "ports": ["25/tcp"] },
            { "name": "far", "cidrs": ["192.0.2.0/24", "169.254.0.0/16"], "ports": ["443/tcp"] },
        ],
    } }))
}

#[test]
fn deny_beats_allow_beats_ask_beats_nothing() {
    let policy = asking();
    for (target, verdict, rule) in [
        ("a.asked.test:443", Answer::Ask, Some("perhaps")),
        ("a.asked.test:22", Answer::Ask, Some("perhaps")),
        ("a.asked.test:25", Answer::Deny, None),
        ("a.asked.test:80", Answer::Deny, None),
        ("never.asked.test:443", Answer::Deny, Some("never")),
        ("web.test:443", Answer::Allow, Some("web")),
        ("web.test:22", Answer::Ask, Some("perhaps")),
        ("other.test:443", Answer::Deny, None),
        ("192.0.2.1:443", Answer::Allow, Some("net")),
        ("192.0.2.129:443", Answer::Ask, Some("far")),
        ("192.0.2.129:80", Answer::Deny, None),
        ("192.0.2.200:443", Answer::Deny, Some("never")),
        // What no wide rule opens, no wide rule asks about.
        ("169.254.169.254:443", Answer::Deny, None),
        ("169.254.1.1:443", Answer::Ask, Some("far")),
        ("127.0.0.1:443", Answer::Deny, None),
    ] {
        let told = told(&policy, target);
        if rule.is_some() || told.0 != Answer::Deny {
            assert_eq!(told, (verdict, rule.map(str::to_owned)), "{target}");
        }
        assert_eq!(told.0, verdict, "{target}");
    }
    let perhaps = policy.rules().iter().find(|rule| rule.name == "perhaps");
    assert_eq!(
        perhaps.unwrap().deadline,
        std::time::Duration::from_secs(20)
    );
    assert!(policy.asks());
    // All ports that it asks about are denied: nobody is asked.
    let name = Name::parse("mx.asked2.test").unwrap();
    assert!(matches!(
        policy.decide_name(&name),
        NameDecision::Deny {
            reason: Reason::NeedsApproval,
            ..
        }
    ));
}

#[test]
fn what_is_approved_is_what_was_asked_for_and_no_more() {
    let policy = asking();
    let id = |name: &str| {
        let mut rules = policy.rules().iter();
        rules.find(|rule| rule.name == name).unwrap().id
    };
    let host = Host::Name(Name::parse("a.asked.test").unwrap());
    let rule = policy.approvable(&host, id("perhaps")).unwrap();
    let given = Given {
        rule,
        session: Some(7),
        until: 9,
    };
    let approved = policy.with_grants(&[given]).unwrap().for_session(7);
    for (target, verdict) in [
        ("a.asked.test:443", Answer::Allow),
        ("a.asked.test:25", Answer::Deny),
        ("b.asked.test:443", Answer::Ask),
        ("192.0.2.129:443", Answer::Ask),
    ] {
        assert_eq!(told(&approved, target).0, verdict, "{target}");
    }
    let host = Host::Address("192.0.2.129".parse().unwrap());
    let rule = policy.approvable(&host, id("far")).unwrap();
    let given = Given {
        rule,
        session: None,
        until: 9,
    };
    let approved = policy.with_grants(&[given]).unwrap();
    assert_eq!(told(&approved, "192.0.2.129:443").0, Answer::Allow);
    assert_eq!(told(&approved, "192.0.2.130:443").0, Answer::Ask);
    assert!(policy.approvable(&host, id("web")).is_none());
}

fn host() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a.test",
        "b.a.test",
        "c.b.a.test",
        "*.a.test",
        "**.a.test",
        "**.b.a.test",
        "*.b.a.test",
    ])
}

fn network() -> impl Strategy<Value = &'static str> {
    select(vec![
        "192.0.2.0/24",
        "192.0.2.0/25",
        "192.0.2.7",
        "169.254.169.254",
        "0.0.0.0/1",
        "2001:db8::/32",
    ])
}

fn rule() -> impl Strategy<Value = Value> {
    let ports = select(vec!["443/tcp", "22/tcp", "400-500/tcp", "443/udp"]);
    prop_oneof![
        (host(), ports.clone())
            .prop_map(|(host, ports)| json!({ "hosts": [host], "ports": [ports] })),
        (network(), ports).prop_map(|(net, ports)| json!({ "cidrs": [net], "ports": [ports] })),
    ]
}

fn named(rules: &[Value], prefix: &str) -> Vec<Value> {
    let rules = rules.iter().enumerate();
    rules
        .map(|(index, rule)| {
            let mut rule = rule.clone();
            rule["name"] = json!(format!("{prefix}{index}"));
            rule
        })
        .collect()
}

proptest! {
    /// Granted or written at the end of the file: the same is decided, by the same rule.
    #[test]
    fn a_grant_decides_what_a_rule_of_the_file_would(
        allow in prop::collection::vec(rule(), 0..4),
        deny in prop::collection::vec(rule(), 0..3),
        ask in prop::collection::vec(rule(), 0..3),
        grants in prop::collection::vec(rule(), 0..4),
    ) {
        let (allow, grants) = (named(&allow, "a"), named(&grants, "g"));
        let file = |allow: &[Value]| json!({ "version": 1, "network": {
            "allow": allow, "deny": named(&deny, "d"), "ask": named(&ask, "q"),
        } });
        let Ok(base) = Policy::parse(&file(&allow).to_string(), "p") else {
            return Ok(());
        };
        let both: Vec<Value> = allow.iter().chain(&grants).cloned().collect();
        let Ok(written) = Policy::parse(&file(&both).to_string(), "p") else {
            return Ok(());
        };
        let list: Vec<Given> = grants.iter().map(|rule| given(&base, rule, None)).collect();
        let granted = base.with_grants(&list).unwrap();
        for name in ["a.test", "b.a.test", "c.b.a.test", "x.b.a.test", "z.test"] {
            let name = Name::parse(name).unwrap();
            for (port, protocol) in [(443, Protocol::TCP), (443, Protocol::UDP), (22, Protocol::TCP), (80, Protocol::TCP)] {
                let rule = |policy: &Policy| {
                    let decided = policy.decide_host(&name, protocol, port);
                    let name_of = |id| policy.rule(id).map(|rule| rule.name.clone());
                    decided.map(name_of).map_err(|(reason, id)| (reason, name_of(id)))
                };
                prop_assert_eq!(rule(&granted), rule(&written), "{} {}", name, port);
            }
        }
        for address in ["192.0.2.7", "192.0.2.200", "169.254.169.254", "10.1.2.3", "2001:db8::1", "127.0.0.1"] {
            let address: IpAddr = address.parse().unwrap();
            for (port, protocol) in [(443, Protocol::TCP), (443, Protocol::UDP), (22, Protocol::TCP)] {
                let rule = |policy: &Policy| {
                    let flow = Flow::new(protocol, address.into(), port);
                    let name_of = |id| policy.rule(id).map(|rule: &Rule| rule.name.clone());
                    match policy.decide_address(&flow) {
                        Verdict::Allow(grant) => Ok(name_of(grant.rule)),
                        Verdict::Deny(reason, id) => Err((reason, name_of(id))),
                    }
                };
                prop_assert_eq!(rule(&granted), rule(&written), "{} {}", address, port);
            }
        }
    }
}
