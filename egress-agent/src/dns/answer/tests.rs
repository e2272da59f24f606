//! What passes the filter, case by case.

use hickory_proto::rr::rdata::{
    A, AAAA, HTTPS, TXT,
    svcb::{Alpn, EchConfigList, Mandatory, Unknown},
};

use super::*;
use crate::dns::fake::{FakeNames, a, cname, message, record, soa};

const Q: &str = "www.example.com";

fn filter(kind: u16, answers: Vec<Record>) -> Result<Filtered, Useless> {
    filter_message(
        kind,
        &message(Q, kind, ResponseCode::NoError, answers),
        false,
        64,
    )
}

fn filter_message(
    kind: u16,
    message: &Message,
    keep_private: bool,
    max_addresses: usize,
) -> Result<Filtered, Useless> {
    let names = FakeNames::new(&[(Q, 1), ("svc.example.net", 2)]);
    let filter = Filter {
        names: &names,
        keep_private,
        max_addresses,
        ttl_max: 300,
    };
    filter.apply(message, &wire_name(Q).unwrap(), kind)
}

#[track_caller]
fn check(
    kind: u16,
    answers: Vec<Record>,
    addresses: &[&str],
    records: usize,
    ttl: u32,
) -> Filtered {
    let left = filter(kind, answers).unwrap();
    let got: Vec<_> = left.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(got, addresses);
    assert_eq!((left.answers.len(), left.ttl), (records, ttl));
    left
}

#[test]
fn addresses_of_the_question_pass_with_the_least_ttl_capped() {
    check(
        1,
        vec![a(Q, 60, "203.0.113.1"), a(Q, 50, "203.0.113.2")],
        &["203.0.113.1", "203.0.113.2"],
        2,
        50,
    );
    check(
        28,
        vec![a(Q, 9999, "2001:db8::1")],
        &["2001:db8::1"],
        1,
        300,
    );
    check(
        1,
        vec![a("WWW.Example.COM", 60, "203.0.113.1")],
        &["203.0.113.1"],
        1,
        60,
    );
    check(
        1,
        vec![a(Q, 0x8000_0001, "203.0.113.1")],
        &["203.0.113.1"],
        1,
        0,
    );
}

#[test]
fn one_chain_from_the_question_counts_in_any_order_and_nothing_else() {
    let chain = || {
        vec![
            a("edge.example.org", 60, "203.0.113.1"),
            cname("mid.example.net", 30, "EDGE.example.org"),
            cname(Q, 90, "mid.example.net"),
        ]
    };
    check(1, chain(), &["203.0.113.1"], 3, 30);
    let mut poisoned = chain();
    poisoned.push(a("api.example.com", 1, "203.0.113.66"));
    poisoned.push(a("mid.example.net", 1, "203.0.113.66"));
    poisoned.push(a(Q, 1, "203.0.113.66"));
    poisoned.push(cname("other.example", 1, "edge.example.org"));
    poisoned.push(cname(Q, 1, "elsewhere.example"));
    poisoned.push(a("edge.example.org", 1, "2001:db8::66"));
    check(1, poisoned, &["203.0.113.1"], 3, 30);
    let left = check(1, vec![cname(Q, 5, "gone.example.net")], &[], 1, 0);
    assert_eq!(left.rcode, Rcode::NO_ERROR);
}

#[test]
fn a_loop_or_an_endless_chain_is_useless() {
    let turn = vec![cname(Q, 5, "b.example"), cname("b.example", 5, Q)];
    assert_eq!(filter(1, turn).unwrap_err(), Useless::Chain);
    assert_eq!(filter(1, vec![cname(Q, 5, Q)]).unwrap_err(), Useless::Chain);
    let chain = |length: usize| -> Vec<_> {
        let link = |number: usize| {
            if number == 0 {
                Q.to_owned()
            } else {
                format!("n{number}.example")
            }
        };
        let mut records: Vec<_> = (0..length)
            .map(|number| cname(&link(number), 5, &link(number + 1)))
            .collect();
        records.push(a(&link(length), 5, "203.0.113.1"));
        records
    };
    check(
        1,
        chain(LONGEST_CHAIN),
        &["203.0.113.1"],
        LONGEST_CHAIN + 1,
        5,
    );
    assert_eq!(
        filter(1, chain(LONGEST_CHAIN + 1)).unwrap_err(),
        Useless::Chain
    );
}

#[test]
fn an_alias_that_is_asked_for_is_not_followed() {
    let left = check(
        5,
        vec![
            cname(Q, 5, "mid.example.net"),
            cname("mid.example.net", 5, "x.example"),
        ],
        &[],
        1,
        5,
    );
    assert!(!left.is_private);
}

#[test]
fn private_space_is_taken_out_and_said_when_nothing_is_left() {
    let private = [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "203.0.113.254",
        "0.0.0.0",
        "224.0.0.1",
    ];
    for address in private {
        let left = check(1, vec![a(Q, 60, address)], &[], 0, 0);
        assert!(left.is_private, "{address}");
        check(
            1,
            vec![a(Q, 60, address), a(Q, 60, "203.0.113.1")],
            &["203.0.113.1"],
            1,
            60,
        );
    }
    for address in [
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:203.0.113.1",
        "64:ff9b::cb00:7101",
        "2002:cb00:7101::1",
        "ff02::1",
    ] {
        assert!(
            check(28, vec![a(Q, 60, address)], &[], 0, 0).is_private,
            "{address}"
        );
    }
}

#[test]
fn a_name_that_may_lead_there_is_leased_what_packets_will_carry() {
    let keep = |kind, address: &str| {
        let left = filter_message(
            kind,
            &message(Q, kind, ResponseCode::NoError, vec![a(Q, 60, address)]),
            true,
            64,
        )
        .unwrap();
        left.addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(keep(1, "10.0.0.1"), ["10.0.0.1"]);
    assert_eq!(keep(28, "64:ff9b::cb00:7101"), ["203.0.113.1"]);
    assert!(keep(28, "64:ff9b::7f00:1").is_empty());
}

#[test]
fn no_more_addresses_are_taken_than_may_be_leased_and_none_twice() {
    let many: Vec<_> = (0..4000_u32)
        .map(|number| {
            a(
                Q,
                60,
                &std::net::Ipv4Addr::from(0xcb00_0000 + number).to_string(),
            )
        })
        .collect();
    let message = message(Q, 1, ResponseCode::NoError, many);
    for (limit, expected) in [(64, 64), (1000, MAX_RECORDS)] {
        let left = filter_message(1, &message, false, limit).unwrap();
        assert_eq!(
            (left.addresses.len(), left.answers.len()),
            (expected, expected)
        );
    }
    check(
        1,
        vec![a(Q, 60, "203.0.113.1"), a(Q, 60, "203.0.113.1")],
        &["203.0.113.1"],
        2,
        60,
    );
    let same = vec![a(Q, 60, "203.0.113.1"); 4000];
    check(1, same, &["203.0.113.1"], LONGEST_CHAIN + MAX_RECORDS, 60);
}

#[test]
fn a_negative_answer_is_believed_for_as_long_as_its_soa_says_up_to_a_minute() {
    let negative = |code, authority: Option<Record>| {
        let mut message = message(Q, 1, code, vec![]);
        message.authorities.extend(authority);
        filter_message(1, &message, false, 64).unwrap()
    };
    for (code, rcode) in [
        (ResponseCode::NXDomain, Rcode::NO_SUCH_NAME),
        (ResponseCode::NoError, Rcode::NO_ERROR),
    ] {
        for (authority, ttl, records) in [
            (Some(soa("example.com", 900, 30)), 30, 1),
            (Some(soa("example.com", 20, 30)), 20, 1),
            (Some(soa("com", 900, 900)), 60, 1),
            (Some(soa("example.net", 900, 900)), 0, 0),
            (None, 0, 0),
        ] {
            let left = negative(code, authority);
            assert_eq!(
                (left.rcode, left.ttl, left.authorities.len()),
                (rcode, ttl, records)
            );
        }
    }
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::FormErr,
    ] {
        let message = message(Q, 1, code, vec![a(Q, 60, "203.0.113.1")]);
        assert_eq!(
            filter_message(1, &message, false, 64).unwrap_err(),
            Useless::Code(code.into())
        );
    }
}

fn service(target: &str, parameters: Vec<(SvcParamKey, SvcParamValue)>) -> Record {
    let target = if target == "." {
        WireName::root()
    } else {
        wire_name(target).unwrap()
    };
    record(Q, 60, RData::HTTPS(HTTPS(SVCB::new(1, target, parameters))))
}

fn hints() -> Vec<(SvcParamKey, SvcParamValue)> {
    let v4 = ["203.0.113.1", "10.0.0.1"].map(|text| A(text.parse().unwrap()));
    let v6 = ["2001:db8::1", "::ffff:203.0.113.9"].map(|text| AAAA(text.parse().unwrap()));
    vec![
        (
            SvcParamKey::Alpn,
            SvcParamValue::Alpn(Alpn(vec!["h2".to_owned()])),
        ),
        (
            SvcParamKey::Ipv4Hint,
            SvcParamValue::Ipv4Hint(IpHint(v4.to_vec())),
        ),
        (
            SvcParamKey::EchConfigList,
            SvcParamValue::EchConfigList(EchConfigList(vec![1, 2, 3])),
        ),
        (
            SvcParamKey::Ipv6Hint,
            SvcParamValue::Ipv6Hint(IpHint(v6.to_vec())),
        ),
        (
            SvcParamKey::Unknown(7),
            SvcParamValue::Unknown(Unknown(vec![1])),
        ),
    ]
}

#[test]
fn a_service_keeps_public_hints_and_loses_what_hides_its_name() {
    for target in [".", Q] {
        let left = check(
            65,
            vec![service(target, hints())],
            &["203.0.113.1", "2001:db8::1"],
            1,
            60,
        );
        let RData::HTTPS(https) = &left.answers[0].data else {
            panic!("not HTTPS: {left:?}");
        };
        let keys: Vec<_> = https.0.svc_params.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys,
            [
                SvcParamKey::Alpn,
                SvcParamKey::Ipv4Hint,
                SvcParamKey::Ipv6Hint
            ]
        );
    }
}

#[test]
fn a_service_elsewhere_needs_a_rule_and_brings_no_addresses() {
    let left = check(65, vec![service("svc.example.net", hints())], &[], 1, 60);
    let RData::HTTPS(https) = &left.answers[0].data else {
        panic!("not HTTPS: {left:?}");
    };
    assert_eq!(https.0.svc_params.len(), 1);
    check(65, vec![service("evil.example.net", hints())], &[], 0, 0);
}

#[test]
fn a_service_that_cannot_do_without_what_was_removed_is_dropped() {
    let mut parameters = hints();
    let mandatory = |key| SvcParamValue::Mandatory(Mandatory(vec![key]));
    parameters.insert(
        0,
        (
            SvcParamKey::Mandatory,
            mandatory(SvcParamKey::EchConfigList),
        ),
    );
    check(65, vec![service(".", parameters.clone())], &[], 0, 0);
    parameters[0].1 = mandatory(SvcParamKey::Alpn);
    check(
        65,
        vec![service(".", parameters)],
        &["203.0.113.1", "2001:db8::1"],
        1,
        60,
    );
}

#[test]
fn other_types_pass_as_they_are_up_to_a_bound() {
    let text = |number: usize| record(Q, 60, RData::TXT(TXT::new(vec![format!("text {number}")])));
    check(
        16,
        vec![text(1), a(Q, 60, "203.0.113.1"), text(2)],
        &[],
        2,
        60,
    );
    check(
        16,
        (0..4000).map(text).collect(),
        &[],
        LONGEST_CHAIN + MAX_RECORDS,
        60,
    );
}
