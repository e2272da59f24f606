//! What must hold for any bytes that a client, an upstream or a wire carries.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use egress_common::{Address, Client, Headers, Protocol, Reason, RuleId};
use hickory_proto::{
    op::{Message, OpCode},
    rr::{
        RData, Record,
        rdata::{SVCB, svcb::SvcParamValue},
    },
};

use super::{
    NameVerdict, Names, Settings, Snoop, Terms,
    answer::{Filter, wire_name},
    is_special,
    query::{Query, Response},
    question::{self, BadQuestion, Key, Question},
    reply::{self, Ede, Head, Rcode, Template, UDP_MAX},
    resolv_conf,
    snoop::packet::Datagram,
    wire::Reader,
};
use crate::policy::Name;

/// A question is what another reader of DNS takes it for; whatever else came is refused in a
/// reply that can be read.
pub(crate) fn question(bytes: &[u8]) {
    for is_tcp in [false, true] {
        match question::parse(bytes, is_tcp) {
            Ok(question) => understood(&question, bytes),
            Err(BadQuestion::Silent) => {}
            Err(BadQuestion::Reply(head, rcode, why)) => {
                assert_ne!(rcode, Rcode::NO_ERROR);
                let mut out = Vec::new();
                reply::error(&mut out, &head, rcode, Some((Ede::PROHIBITED, why)));
                repeated(&out, &head);
            }
        }
    }
}

fn understood(question: &Question<'_>, bytes: &[u8]) {
    let Question { head, key, kind } = question;
    let is_lower = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    assert!(key.name().bytes().all(is_lower), "{key:?}");
    assert_eq!(bytes.get(12..12 + head.question.len()), Some(head.question));
    if let Ok(message) = Message::from_vec(bytes) {
        let [theirs] = message.queries.as_slice() else {
            return assert_eq!(message.queries.len(), 1);
        };
        let labels: Vec<&[u8]> = theirs.name.iter().collect();
        let name = labels.join(&b'.').to_ascii_lowercase();
        assert_eq!(name, key.name().as_bytes());
        assert_eq!(u16::from(theirs.query_type), *kind);
    }
    let mut out = Vec::new();
    if let Some(template) = wire_name(key.name())
        .and_then(|name| Template::new(&name, *kind, Rcode::NO_ERROR, vec![], vec![]).ok())
    {
        reply::answer(&mut out, head, &template, 60);
        repeated(&out, head);
    }
    // Our own question for the same name is read as the same question.
    if let Ok(name) = Name::parse(key.name()) {
        assert_eq!(Name::parse(&name).as_ref(), Ok(&name));
        let own = Query::new(head.id, &name, *kind);
        let read = question::parse(own.bytes(), false);
        let asked = read.as_ref().map(|own| own.key.as_bytes()).ok();
        let wanted = Key::new(&name, *kind);
        assert_eq!(asked, wanted.as_ref().map(Key::as_bytes));
    }
}

/// A reply can be read, and is one to this question.
fn repeated(out: &[u8], head: &Head<'_>) {
    assert!(head.is_tcp || out.len() <= usize::from(UDP_MAX));
    let mut reader = Reader::new(out);
    assert_eq!(reader.u16(), Some(head.id));
    assert_eq!(out.get(12..12 + head.question.len()), Some(head.question));
    if head.opcode == 0 {
        let read = Message::from_vec(out);
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(
            read.map(|message| message.metadata.op_code).ok(),
            Some(OpCode::Query)
        );
    }
}

/// Whatever an upstream answers, no client sees and no lease gets an address that the name may
/// not lead to.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((id, name, kind)) = asked_by(bytes) else {
        return;
    };
    let query = Query::new(id, &name, kind);
    match query.judge(bytes) {
        Response::Answer(message) => {
            for keep_private in [false, true] {
                filtered(&message, &name, kind, keep_private);
            }
        }
        Response::Foreign => assert!(
            bytes.get(2).is_none_or(|high| high & 0xf8 != 0x80) || bytes.get(4..6) != Some(&[0, 1]),
            "an answer to our own question is foreign"
        ),
        Response::Truncated | Response::Unreadable => {}
    }
}

/// The question that these bytes would be an answer to.
fn asked_by(bytes: &[u8]) -> Option<(u16, Name, u16)> {
    let mut reader = Reader::new(bytes);
    let id = reader.u16()?;
    reader.take(10)?;
    let section = reader.rest();
    reader.skip_name()?;
    reader.take(4)?;
    let length = section.len() - reader.rest().len();
    let mut asked = id.to_be_bytes().to_vec();
    asked.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    asked.extend(section.get(..length)?);
    let Question { key, kind, .. } = question::parse(&asked, false).ok()?;
    let name = Name::parse(key.name()).ok()?;
    (name.as_str() == key.name()).then_some((id, name, kind))
}

const MAX_ADDRESSES: usize = 8;
const TTL_MAX: u32 = 300;

fn filtered(message: &Message, name: &Name, kind: u16, keep_private: bool) {
    let names = Everything(settings());
    let filter = Filter {
        names: &names,
        keep_private,
        max_addresses: MAX_ADDRESSES,
        ttl_max: TTL_MAX,
    };
    let Some(wire) = wire_name(name) else { return };
    let Ok(left) = filter.apply(message, &wire, kind) else {
        return;
    };
    let (addresses, ttl) = (left.addresses, left.ttl);
    assert!(addresses.len() <= MAX_ADDRESSES && ttl <= TTL_MAX);
    for address in &addresses {
        assert_eq!(address.canonical(), Ok(*address));
        assert!(keep_private || !is_special(address), "{address}");
        assert!(!names.is_metadata(address), "{address}");
    }
    let Ok(template) = Template::new(&wire, kind, left.rcode, left.answers, left.authorities)
    else {
        return;
    };
    let asked = Query::new(7, name, kind);
    let question = question::parse(asked.bytes(), true);
    let Ok(Question { head, .. }) = question else {
        return assert!(question.is_ok());
    };
    let mut out = Vec::new();
    reply::answer(&mut out, &head, &template, ttl);
    let sent = Message::from_vec(&out);
    assert!(
        sent.is_ok(),
        "the client gets what cannot be read: {sent:?}"
    );
    for record in sent.iter().flat_map(|sent| &sent.answers) {
        assert_eq!(record.ttl, ttl);
        for address in carried(record) {
            let reached = address.canonical();
            assert!(
                reached.is_ok_and(|reached| addresses.contains(&reached)),
                "{address} reaches the client without a lease"
            );
            assert!(keep_private || !is_special(&address), "{address}");
        }
    }
}

/// Every address in a record, hints included. Asserts that no encrypted hello is in it.
fn carried(record: &Record) -> Vec<Address> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these types carry addresses"
    )]
    match &record.data {
        RData::A(a) => vec![Address::from_v4(a.0.octets())],
        RData::AAAA(aaaa) => vec![Address::from_v6(aaaa.0.octets())],
        RData::HTTPS(https) => hints(&https.0),
        RData::SVCB(svcb) => hints(svcb),
        _ => Vec::new(),
    }
}

fn hints(service: &SVCB) -> Vec<Address> {
    let mut addresses = Vec::new();
    for (_, value) in &service.svc_params {
        assert!(
            !matches!(
                value,
                SvcParamValue::EchConfigList(_) | SvcParamValue::Unknown(_)
            ),
            "{value:?} reaches the client"
        );
        match value {
            SvcParamValue::Ipv4Hint(hints) => {
                addresses.extend(hints.0.iter().map(|hint| Address::from_v4(hint.0.octets())));
            }
            SvcParamValue::Ipv6Hint(hints) => {
                addresses.extend(hints.0.iter().map(|hint| Address::from_v6(hint.0.octets())));
            }
            SvcParamValue::Mandatory(_)
            | SvcParamValue::Alpn(_)
            | SvcParamValue::NoDefaultAlpn
            | SvcParamValue::Port(_)
            | SvcParamValue::EchConfigList(_)
            | SvcParamValue::Unknown(_) => {}
        }
    }
    addresses
}

/// Allows every name.
#[derive(Debug)]
struct Everything(Settings);

impl Names for Everything {
    fn decide_name(&self, _name: &str) -> NameVerdict {
        NameVerdict::Allow {
            until: u64::MAX,
            rules: vec![RuleId(1)],
            wildcard: None,
        }
    }

    fn is_private_allowed(&self, _name: &str) -> bool {
        false
    }

    fn is_metadata(&self, address: &Address) -> bool {
        crate::policy::METADATA.contains(&IpAddr::from(*address))
    }

    fn settings(&self) -> &Settings {
        &self.0
    }

    fn denial_text(&self, _rule: RuleId) -> Option<String> {
        None
    }
}

fn settings() -> Settings {
    Settings {
        terms: Terms {
            ttl_min: Duration::from_secs(20),
            ttl_max: Duration::from_secs(TTL_MAX.into()),
            grace: Duration::ZERO,
            addresses_per_name: MAX_ADDRESSES,
        },
        wildcard_names: 3,
        extra_types: Vec::new(),
        refuse_with_nxdomain: false,
        observe: false,
        alone: None,
    }
}

/// A question and an answer that pass by: two bytes of length, the first packet, the second one.
/// An answer counts once, and only to who asked it of whom.
pub(crate) fn snoop(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Some(first) = reader
        .u16()
        .and_then(|length| reader.take(usize::from(length)))
    else {
        return;
    };
    let second = reader.rest();
    same_as_the_kernel(first);
    same_as_the_kernel(second);
    let Some(asked) = Datagram::parse(first) else {
        return;
    };
    // Whoever was asked is trusted, so that the answer decides.
    let server = SocketAddr::new(asked.destination.0.into(), asked.destination.1);
    let mut snoop = Snoop::new(&[server]);
    let client = Client {
        session: 42,
        ..Client::default()
    };
    let is_question = snoop.observe_query(first, client, 1);
    assert!(!is_question || snoop.asker(first).is_some());
    assert!(snoop.observe_answer(first, 1).is_none() || asked.source == asked.destination);
    let Some(seen) = snoop.observe_answer(second, 2) else {
        return;
    };
    assert!(is_question, "an answer to no question counts");
    assert_eq!(Some(seen.from), snoop.asker(first));
    assert_eq!(seen.client.session, 42);
    let answered = Datagram::parse(second);
    assert_eq!(
        answered.map(|answer| (answer.source, answer.destination)),
        Some((asked.destination, asked.source))
    );
    assert!(snoop.observe_answer(second, 3).is_none(), "it counts twice");
}

/// The kernel's reader of packets and this one agree about every UDP datagram.
fn same_as_the_kernel(packet: &[u8]) {
    let Some(datagram) = Datagram::parse(packet) else {
        return;
    };
    let (words, _) = packet.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_ne_bytes(*word));
    let parsed = if packet.first().is_some_and(|first| first >> 4 == 4) {
        let words: Vec<u32> = words.take(6).collect();
        words
            .as_array()
            .map(|words| egress_common::parse(&Headers::V4(words)))
    } else {
        let words: Vec<u32> = words.take(11).collect();
        words
            .as_array()
            .map(|words| egress_common::parse(&Headers::V6(words)))
    };
    match parsed {
        Some(Ok(packet)) => {
            assert_eq!(packet.flow.protocol, Protocol::UDP);
            assert_eq!((packet.source, packet.source_port), datagram.source);
            assert_eq!(
                (packet.flow.destination, packet.flow.port),
                datagram.destination
            );
        }
        // Answers may carry options; questions of a session never get out with them.
        Some(Err((reason, _))) => assert_eq!(reason, Reason::IpOptions),
        None => assert!(packet.len() < 44, "{}", packet.len()),
    }
}

/// At most three servers, each once; written out they are read again.
pub(crate) fn resolv(bytes: &[u8]) {
    let servers = resolv_conf(&String::from_utf8_lossy(bytes));
    assert!(servers.len() <= 3);
    assert!(servers.iter().all(|server| server.port() == 53));
    let lines: Vec<String> = servers
        .iter()
        .map(|server| format!("nameserver {}", server.ip()))
        .collect();
    assert_eq!(resolv_conf(&lines.join("\n")), servers);
}
