//! The hook and the network give the same verdict on a host, however it is spelled.
//!
//! Each spelling goes two ways. The hook reads it ([`host`]) and asks the policy ([`standing`]). A
//! client makes a question of it, by IDNA and percent-decoding that know nothing of ours, and that
//! question goes through the resolver's own [`Engine`], from the bytes on; or it makes an address of
//! it, which stands in the table as it was worked out by hand, and the tables of the kernel decide.

use std::{cell::RefCell, collections::BTreeSet, io, net::IpAddr, sync::Arc};

use egress_common::{
    Address, Client, ClientKey, Flow, PortSet, Protocol, RESOLVER_SLOTS, Reason, RuleId, Verdict,
};

use super::host::PolicyNames;
use crate::{
    dns::{Changes, Decision, Engine, Host as World, Leases, Outcome, Step},
    policy::{Host, Policy},
    tools::{Place, Reading, Standing, host, links, standing},
};

const POLICY: &str = r#"{ "version": 1, "network": {
  "allow": [
    { "name": "github", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] },
    { "name": "deep", "hosts": ["**.deep.example"], "ports": ["443/tcp", "80/tcp"] },
    { "name": "books", "hosts": ["bücher.example", "xn--fa-hia.example"], "ports": ["443/tcp"] },
    { "name": "odd", "hosts": ["_srv.odd.example", "a--b.example", "1st.example"], "ports": ["443/tcp"] },
    { "name": "lan", "cidrs": ["10.0.0.0/8", "2001:db8:5::/48"], "ports": ["5432/tcp"] },
    { "name": "one", "cidrs": ["203.0.113.7"], "ports": ["443/tcp"] }
  ],
  "deny": [
    { "name": "gists", "hosts": ["gist.github.com", "**.never.deep.example"] },
    { "name": "primary", "cidrs": ["10.9.0.0/16"] }
  ],
  "loopback": { "allow": ["session"] } },
  "dns": { "wildcard_names": 65536 } }"#;

/// One session that asks, and a kernel that takes everything.
struct OneSession {
    names: Arc<PolicyNames>,
    denied: RefCell<Option<Reason>>,
}

impl World for OneSession {
    type Names = PolicyNames;

    fn client(&self, _key: &ClientKey) -> Option<Client> {
        Some(Client {
            session: 7,
            ..Client::default()
        })
    }

    fn now(&self) -> u64 {
        1
    }

    fn names(&self) -> Arc<PolicyNames> {
        Arc::clone(&self.names)
    }

    fn port_set(&self, rules: &[RuleId]) -> io::Result<PortSet> {
        Ok(PortSet(rules.first().map_or(0, |rule| rule.0)))
    }

    fn install(&self, _changes: &Changes) -> io::Result<()> {
        Ok(())
    }

    fn record(&self, outcome: &Outcome<'_>) {
        if let Decision::Deny { reason, .. } = outcome.decision {
            self.denied.replace(Some(reason));
        }
    }
}

/// What was decided about a name.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Allowed,
    /// With the code of its reason.
    Denied(&'static str),
    /// It is this machine itself.
    Loopback,
}

/// The resolver's word on the question that a client would send.
fn resolver(policy: &Arc<Policy>, asked: &str) -> Said {
    let world = OneSession {
        names: Arc::new(PolicyNames::new(Arc::clone(policy))),
        denied: RefCell::default(),
    };
    let Some(message) = question(asked) else {
        // No program can ask.
        return Said::Denied(Reason::BadQuestion.code());
    };
    let from = ClientKey::new(Protocol::UDP, Address::from_v4([127, 0, 0, 1]), 4711);
    let mut engine =
        Engine::<PolicyNames, ()>::new(Leases::new(crate::dns::leases::Bounds::default()));
    let mut reply = Vec::new();
    match engine.ask(&world, from, &message, &mut reply, || ()) {
        Step::Ask(_) => Said::Allowed,
        Step::Reply => match world.denied.borrow().as_ref() {
            Some(reason) => Said::Denied(reason.code()),
            // RFC 1035 section 4.1.1: the low half of the fourth octet; 3 is no such name.
            None if reply[3] & 0xf == 3 => Said::Denied(Reason::NameDenied.code()),
            None => Said::Loopback,
        },
        Step::Silent | Step::Wait | Step::Approve { .. } => panic!("{asked}: no answer"),
    }
}

/// The bytes of a question for an A record (RFC 1035 section 4.1); `None` if it has none.
fn question(name: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|n| (1..64).contains(n))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    (bytes.len() <= 12 + 255 + 4).then_some(bytes)
}

/// What a client puts into its question for a host as somebody wrote it.
fn asked(written: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(written)
        .decode_utf8()
        .ok()?;
    if decoded.is_ascii() {
        // As it stands, in its case: nothing is folded before it is on the wire.
        return Some(decoded.into_owned());
    }
    idna::domain_to_ascii(&decoded).ok()
}

fn hook(policy: &Policy, host: Option<Host>) -> Said {
    let Some(host) = host else {
        return Said::Denied("unreadable");
    };
    match standing(policy, &Place { host, port: None }) {
        Standing::Allowed { .. } => Said::Allowed,
        Standing::Kernel(_) => Said::Loopback,
        Standing::Denied(denial) => Said::Denied(denial.code),
    }
}

/// Both say the same, and for the same reason where both could read the name.
#[track_caller]
fn agree(policy: &Arc<Policy>, written: &str) -> Said {
    let read = host(written);
    assert!(
        !matches!(read, Some(Host::Address(_))),
        "{written:?} is an address"
    );
    let is_read = read.is_some();
    let hook = hook(policy, read);
    let resolver = match asked(written) {
        Some(asked) => resolver(policy, &asked),
        None => Said::Denied("unreadable"),
    };
    let is_same = match (&hook, &resolver) {
        (Said::Denied(_), Said::Denied(_)) if !is_read => true,
        (hook, resolver) => hook == resolver,
    };
    assert!(is_same, "{written:?}: hook {hook:?}, resolver {resolver:?}");
    hook
}

/// Names, and what both must say: the table is no mirror of the code.
const NAMES: &[(&str, &str)] = &[
    ("github.com", "allowed"),
    ("api.github.com", "allowed"),
    ("a_b.github.com", "allowed"),
    ("xn--bcher-kva.github.com", "allowed"),
    ("my-feature-branch-preview-42.github.com", "allowed"),
    ("a.b.github.com", "name-denied"),
    ("gist.github.com", "denied-by-rule"),
    ("x.gist.github.com", "name-denied"),
    (
        "x7f3k9q2m4z8w1p6v0t5r3n8b2c7d1.github.com",
        "suspicious-name",
    ),
    ("d2f1c8b07a9e4435b6d0aa17.github.com", "suspicious-name"),
    ("github.com.evil.example", "name-denied"),
    ("evilgithub.com", "name-denied"),
    ("github.co", "name-denied"),
    ("com", "name-denied"),
    ("deep.example", "name-denied"),
    ("x.deep.example", "allowed"),
    ("a.b.c.d.deep.example", "allowed"),
    ("never.deep.example", "allowed"),
    ("x.never.deep.example", "denied-by-rule"),
    ("a.b.never.deep.example", "denied-by-rule"),
    (
        "a.x7f3k9q2m4z8w1p6v0t5r3n8b2c7d1.deep.example",
        "suspicious-name",
    ),
    ("xn--bcher-kva.example", "allowed"),
    ("xn--fa-hia.example", "allowed"),
    ("xn--gthub-n2e.com", "name-denied"),
    ("_srv.odd.example", "allowed"),
    ("a--b.example", "allowed"),
    ("1st.example", "allowed"),
    ("evil.example", "name-denied"),
    ("use-application-dns.net", "name-denied"),
    ("metadata.google.internal", "name-denied"),
    ("localhost", "loopback"),
    ("x.localhost", "loopback"),
];

/// Ways to write one and the same name.
fn spellings(name: &str) -> Vec<String> {
    let mixed = |(at, c): (usize, char)| {
        if at % 2 == 0 {
            c.to_ascii_uppercase()
        } else {
            c
        }
    };
    let wide = |c: char| match c {
        'a'..='z' => char::from_u32(u32::from(c) - 0x61 + 0xff41).unwrap(),
        c => c,
    };
    let percent = |c: char| match c {
        'a'..='z' => format!("%{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    // IDNA leaves A-labels alone only where they are written in ASCII.
    let is_plain = !name.split('.').any(|label| label.starts_with("xn--"));
    let mut spellings = vec![
        name.to_owned(),
        format!("{name}."),
        name.to_uppercase(),
        name.char_indices().map(mixed).collect(),
        name.replace('.', "%2e"),
        name.chars().map(percent).collect(),
        name.replace('.', "\u{3002}"),
        name.replace('.', "\u{ff0e}"),
        name.replace('.', "\u{ff61}"),
    ];
    if is_plain {
        spellings.push(name.chars().map(wide).collect());
        spellings.push(
            name.replacen('m', "\u{24dc}", 1)
                .replacen('e', "\u{24d4}", 1),
        );
        // Ignored by IDNA.
        for (at, ignored) in [(1, '\u{ad}'), (2, '\u{200b}')] {
            let (before, after) = name.split_at(at);
            spellings.push(format!("{before}{ignored}{after}"));
        }
    }
    spellings
}

#[test]
fn the_hook_and_the_resolver_give_the_same_verdict_on_every_spelling_of_a_name() {
    let policy = Arc::new(Policy::parse(POLICY, "p").unwrap());
    let mut compared = BTreeSet::new();
    for (name, expected) in NAMES {
        for spelling in spellings(name) {
            let said = match agree(&policy, &spelling) {
                Said::Allowed => "allowed",
                Said::Denied(code) => code,
                Said::Loopback => "loopback",
            };
            assert_eq!(said, *expected, "{spelling:?}");
            compared.insert(spelling);
        }
    }
    assert!(compared.len() >= 200, "{}", compared.len());
}

/// What looks like another name is another name, and what is none, nobody resolves.
#[test]
fn the_hook_and_the_resolver_deny_what_only_looks_like_an_allowed_name() {
    let policy = Arc::new(Policy::parse(POLICY, "p").unwrap());
    let (long, longer) = ("a".repeat(63), "a".repeat(64));
    let many = format!("{}github.com", "a.".repeat(121));
    let too_many = format!("{}deep.example", "a.".repeat(122));
    for written in [
        // Cyrillic, Greek, Latin and small-capital look-alikes.
        "g\u{456}thub.com",
        "github.c\u{43e}m",
        "g\u{131}thub.com",
        "g\u{ec}thub.com",
        "gi\u{3c4}hub.com",
        "\u{501}eep.example",
        "\u{261}ithub.com",
        "github.com\u{338}",
        "githu\u{184}.com",
        "github\u{2024}com.evil.example",
        "bucher.example",
        "fass.example",
        // Bytes that stand in no name.
        "git hub.com",
        "github.com:443",
        "user@github.com",
        "evil.example\\@github.com",
        "github.com/x",
        "github.com\\x",
        "github.com#x",
        "github.com?x",
        "*.github.com",
        "git*.github.com",
        "github.com%00",
        "github.com%00.evil.example",
        "github.com%2f.evil.example",
        "github.com%40evil.example",
        "%67ithub%2ecom%2fx",
        "github.com%",
        "github.com%zz",
        "git\u{0}hub.com",
        "github.com\u{7f}",
        "github%ff.com",
        // Labels of the wrong length.
        "",
        ".",
        "github..com",
        ".github.com",
        "github.com..",
        "github.com\u{3002}.",
        &format!("{long}.evil.example"),
        &format!("{longer}.github.com"),
        &format!("{long}.github.com"),
        &many,
        &too_many,
        &"a.".repeat(600),
        // A-labels that stand for nothing.
        "xn--.github.com",
        "xn--a.github.com",
        "xn--github-.com",
        "XN--A.github.com",
    ] {
        let said = agree(&policy, written);
        assert!(matches!(said, Said::Denied(_)), "{written:?}: {said:?}");
    }
}

/// A URL and the host that its client asks for.
#[test]
fn the_hook_and_the_resolver_agree_on_the_hosts_of_urls() {
    let policy = Arc::new(Policy::parse(POLICY, "p").unwrap());
    for (url, asked) in [
        ("https://github.com/", "github.com"),
        ("https://GITHUB.com.:443/", "GITHUB.com"),
        ("https://api.github.com@evil.example/", "evil.example"),
        ("https://github.com:443@evil.example/", "evil.example"),
        ("https://evil.example@github.com/", "github.com"),
        ("https://a:b@c@github.com/", "github.com"),
        ("https://evil.example\\@github.com/", "evil.example"),
        ("https://evil.example/@github.com/", "evil.example"),
        ("https://evil.example#@github.com/", "evil.example"),
        ("https://evil.example?@github.com/", "evil.example"),
        ("https://github.com%2f@evil.example/", "evil.example"),
        ("https:github.com", "github.com"),
        ("https:evil.example", "evil.example"),
        ("https:/\\evil.example/", "evil.example"),
        ("//evil.example/x", "evil.example"),
        ("\\\\evil.example\\x", "evil.example"),
        ("ht\ntps://ev\til.example", "evil.example"),
        ("https://git%68ub.com/", "github.com"),
        ("https://g\u{131}thub.com/", "xn--gthub-n4a.com"),
        ("https://gist\u{3002}github\u{ff0e}com/", "gist.github.com"),
        ("https://a.b.c.deep.example./", "a.b.c.deep.example"),
        ("https://a.never.deep.example/", "a.never.deep.example"),
        ("wss://API.github.com/x", "API.github.com"),
        ("ssh://git@github.com/x", "github.com"),
        ("git+https://github.com/x", "github.com"),
    ] {
        let found = links(&serde_json::json!({ "url": url }), Reading::Goes);
        let host = found.places.first().map(|place| place.host.clone());
        assert!(host.is_some(), "{url:?}: {found:?}");
        let (hook, resolver) = (hook(&policy, host), resolver(&policy, asked));
        assert_eq!(hook, resolver, "{url:?}");
    }
}

/// Spellings of addresses, as `inet_aton(3)`, RFC 4291 and WHATWG's URL standard read them.
const ADDRESSES: &[(&str, &str)] = &[
    ("10.1.2.3", "10.1.2.3"),
    ("10.1.2.3.", "10.1.2.3"),
    ("10.1.515", "10.1.2.3"),
    ("10.66051", "10.1.2.3"),
    ("167838211", "10.1.2.3"),
    ("0x0a010203", "10.1.2.3"),
    ("0X0A010203", "10.1.2.3"),
    ("0xa.0x1.0x2.0x3", "10.1.2.3"),
    ("0x0a.1.2.3", "10.1.2.3"),
    ("012.1.2.3", "10.1.2.3"),
    ("012.01.02.03", "10.1.2.3"),
    ("00012.1.2.3", "10.1.2.3"),
    ("01200201003", "10.1.2.3"),
    ("%31%30.1.2.3", "10.1.2.3"),
    ("\u{ff11}\u{ff10}.1.2.3", "10.1.2.3"),
    ("\u{2460}0\u{3002}1\u{3002}2\u{3002}3", "10.1.2.3"),
    ("10\u{ff0e}1\u{ff0e}2\u{ff0e}3", "10.1.2.3"),
    ("10.9.0.1", "10.9.0.1"),
    ("0xa090001", "10.9.0.1"),
    ("10.589825", "10.9.0.1"),
    ("11.0.0.1", "11.0.0.1"),
    ("013.0.0.1", "11.0.0.1"),
    ("203.0.113.7", "203.0.113.7"),
    ("0xcb007107", "203.0.113.7"),
    ("3405803783", "203.0.113.7"),
    ("203.0.113.8", "203.0.113.8"),
    ("6.6.6.6", "6.6.6.6"),
    ("101058054", "6.6.6.6"),
    ("169.254.169.254", "169.254.169.254"),
    ("0xa9fea9fe", "169.254.169.254"),
    ("2852039166", "169.254.169.254"),
    ("255.255.255.255", "255.255.255.255"),
    ("224.0.0.1", "224.0.0.1"),
    ("[2001:db8:5::1]", "2001:db8:5::1"),
    ("2001:db8:5::1", "2001:db8:5::1"),
    ("[2001:0DB8:0005:0000:0000:0000:0000:0001]", "2001:db8:5::1"),
    ("2001:DB8:5:0:0:0:0:1", "2001:db8:5::1"),
    ("[2001:db8:5::0.0.0.1]", "2001:db8:5::1"),
    ("[2001:db8:6::1]", "2001:db8:6::1"),
    ("[::ffff:10.1.2.3]", "::ffff:10.1.2.3"),
    ("[::ffff:a01:203]", "::ffff:10.1.2.3"),
    ("::ffff:10.9.0.1", "::ffff:10.9.0.1"),
    ("[::ffff:6.6.6.6]", "::ffff:6.6.6.6"),
    ("[64:ff9b::a01:203]", "64:ff9b::10.1.2.3"),
    ("[64:ff9b::10.9.0.1]", "64:ff9b::a09:1"),
    ("[2002:a01:203::1]", "2002:a01:203::1"),
    ("[::10.1.2.3]", "::a01:203"),
    ("[fe80::1]", "fe80::1"),
    ("[fd00::1]", "fd00::1"),
    ("[ff02::1]", "ff02::1"),
    ("[fd00:ec2::254]", "fd00:ec2::254"),
];

#[test]
fn the_hook_and_the_kernel_give_the_same_verdict_on_every_spelling_of_an_address() {
    let policy = Policy::parse(POLICY, "p").unwrap();
    let tables = policy.table_rules();
    let config = policy.config(1, [0; RESOLVER_SLOTS]);
    let mut allowed = 0;
    for (written, address) in ADDRESSES {
        let address: IpAddr = address.parse().unwrap();
        let read = host(written).unwrap_or_else(|| panic!("{written}"));
        assert_eq!(read, Host::Address(address), "{written}");
        for port in [22, 80, 443, 5432] {
            let flow = Flow::new(Protocol::TCP, address.into(), port);
            let kernel = match tables.decide(&config, &flow) {
                Verdict::Allow(_) => None,
                Verdict::Deny(reason, _) => Some(reason.code()),
            };
            let place = Place {
                host: read.clone(),
                port: Some(port),
            };
            let hook = match standing(&policy, &place) {
                Standing::Allowed { .. } => None,
                Standing::Denied(denial) => Some(denial.code),
                Standing::Kernel(why) => panic!("{written} {port}: {why}"),
            };
            assert_eq!(hook, kernel, "{written} {port}");
            allowed += u32::from(kernel.is_none());
        }
    }
    assert!(allowed > 20, "{allowed}");
    // What programs read differently, or with a zone, is no host, and so denied.
    for written in [
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "256.1.1.1",
        "1.2.3.4.5",
        "0x1.0x2.0x3.0x4.0x5",
        "08.1.1.1",
        "4294967296",
        "0x100000000",
        "[::1",
        "[10.1.2.3]",
        "[2001:db8::1::2]",
        "[v1.x]",
        "10.1.2.3%2f",
        "-1.1.1.1",
    ] {
        let read = host(written);
        assert!(!matches!(read, Some(Host::Address(_))), "{written}");
        let said = hook(&policy, read);
        assert!(matches!(said, Said::Denied(_)), "{written}: {said:?}");
    }
}
