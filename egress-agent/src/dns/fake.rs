//! A world in memory: policy, kernel and records of the tests.

use crate::policy::Name;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    sync::Arc,
    time::Duration,
};

use egress_common::{Address, Client, ClientKey, Lease, PortSet, Protocol, Reason, RuleId};
use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{
    Changes, Decision, Host, NameVerdict, Names, Outcome, Settings, Terms, answer::wire_name,
};

pub(super) const SESSION: u64 = 42;
pub(super) const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub(super) struct FakeNames {
    /// Pattern and rule.
    pub(super) allow: Vec<(String, u32)>,
    pub(super) deny: Vec<(String, u32)>,
    pub(super) private: Vec<String>,
    pub(super) settings: Settings,
}

impl FakeNames {
    pub(super) fn new(allow: &[(&str, u32)]) -> Self {
        Self {
            allow: allow
                .iter()
                .map(|(pattern, rule)| ((*pattern).to_owned(), *rule))
                .collect(),
            deny: vec![("gist.example.com".to_owned(), 99)],
            private: vec!["intern.example.com".to_owned()],
            settings: Settings {
                terms: Terms {
                    ttl_min: Duration::from_secs(20),
                    ttl_max: Duration::from_mins(5),
                    grace: Duration::from_secs(10),
                    addresses_per_name: 64,
                },
                wildcard_names: 3,
                extra_types: vec![16],
                refuse_with_nxdomain: false,
                observe: false,
                alone: None,
            },
        }
    }
}

impl Names for FakeNames {
    fn decide_name(&self, name: &str) -> NameVerdict {
        if let Some((_, rule)) = self.deny.iter().find(|(pattern, _)| pattern == name) {
            return NameVerdict::Deny {
                reason: Reason::DeniedByRule,
                rule: RuleId(*rule),
            };
        }
        for (pattern, rule) in &self.allow {
            let wildcard = pattern
                .strip_prefix("**")
                .filter(|suffix| name.ends_with(*suffix));
            if pattern == name || wildcard.is_some() {
                return NameVerdict::Allow {
                    until: u64::MAX,
                    rules: vec![RuleId(*rule)],
                    wildcard: wildcard.map(|_| pattern.clone()),
                };
            }
        }
        NameVerdict::Deny {
            reason: Reason::NameDenied,
            rule: RuleId::NONE,
        }
    }

    fn is_private_allowed(&self, name: &str) -> bool {
        self.private.iter().any(|private| private == name)
    }

    fn is_metadata(&self, address: &Address) -> bool {
        *address == Address::from_v4([100, 100, 100, 200])
            || *address == Address::from_v4([203, 0, 113, 254])
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn denial_text(&self, rule: RuleId) -> Option<String> {
        (rule == RuleId(99)).then(|| "use a pull request".to_owned())
    }
}

/// An [`Outcome`] that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) kind: u16,
    /// `None` for allowed.
    pub(super) reason: Option<Reason>,
    pub(super) observed: bool,
    pub(super) cached: bool,
    pub(super) addresses: Vec<String>,
    pub(super) upstream: bool,
}

#[derive(Debug)]
pub(super) struct FakeHost {
    pub(super) names: RefCell<Arc<FakeNames>>,
    pub(super) now: Cell<u64>,
    /// `install` fails.
    pub(super) is_broken: Cell<bool>,
    pub(super) kernel: RefCell<BTreeMap<(u64, Address), Lease>>,
    pub(super) installs: Cell<usize>,
    pub(super) records: RefCell<Vec<Kept>>,
    /// UDP source ports below this belong to nobody.
    pub(super) strangers: u16,
    /// The session is the source port.
    pub(super) session_per_port: bool,
}

impl FakeHost {
    pub(super) fn new(names: FakeNames) -> Self {
        Self {
            names: RefCell::new(Arc::new(names)),
            now: Cell::new(1000 * SECOND),
            is_broken: Cell::new(false),
            kernel: RefCell::default(),
            installs: Cell::new(0),
            records: RefCell::default(),
            strangers: 10,
            session_per_port: false,
        }
    }

    pub(super) fn set_names(&self, names: FakeNames) {
        self.names.replace(Arc::new(names));
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds * SECOND);
    }

    /// (set, seconds from now) of each live grant of the session.
    pub(super) fn grants(&self, session: u64, address: &str) -> Vec<(u32, u64)> {
        let address: std::net::IpAddr = address.parse().unwrap();
        let kernel = self.kernel.borrow();
        let Some(lease) = kernel.get(&(session, address.into())) else {
            return Vec::new();
        };
        let live = lease
            .grants
            .iter()
            .filter(|grant| grant.set != 0 && grant.expires > self.now.get());
        live.map(|grant| (grant.set, (grant.expires - self.now.get()) / SECOND))
            .collect()
    }

    pub(super) fn last(&self) -> Kept {
        self.records
            .borrow()
            .last()
            .cloned()
            .expect("nothing was recorded")
    }
}

impl Host for FakeHost {
    type Names = FakeNames;

    fn client(&self, key: &ClientKey) -> Option<Client> {
        (key.port >= self.strangers).then(|| Client {
            session: if self.session_per_port {
                u64::from(key.port)
            } else {
                SESSION
            },
            ..Client::default()
        })
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn names(&self) -> Arc<FakeNames> {
        Arc::clone(&self.names.borrow())
    }

    fn port_set(&self, rules: &[RuleId]) -> io::Result<PortSet> {
        rules
            .first()
            .map(|rule| PortSet(rule.0))
            .ok_or_else(|| io::Error::other("no rules"))
    }

    fn install(&self, changes: &Changes) -> io::Result<()> {
        self.installs.set(self.installs.get() + 1);
        if self.is_broken.get() {
            return Err(io::Error::other("map full"));
        }
        let mut kernel = self.kernel.borrow_mut();
        for (session, address) in &changes.remove {
            kernel.remove(&(*session, *address));
        }
        for (session, address, lease) in &changes.write {
            kernel.insert((*session, *address), *lease);
        }
        Ok(())
    }

    fn record(&self, outcome: &Outcome<'_>) {
        self.records.borrow_mut().push(Kept {
            name: outcome.name.to_owned(),
            kind: outcome.kind,
            reason: match outcome.decision {
                Decision::Allow { .. } => None,
                Decision::Deny { reason, .. } => Some(reason),
            },
            observed: outcome.observed,
            cached: outcome.cached,
            addresses: outcome.addresses.iter().map(ToString::to_string).collect(),
            upstream: outcome.upstream.is_some(),
        });
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn client(port: u16) -> ClientKey {
    ClientKey::new(Protocol::UDP, Address::from_v4([127, 0, 0, 1]), port)
}

pub(super) fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(wire_name(owner).unwrap(), ttl, data)
}

pub(super) fn a(owner: &str, ttl: u32, address: &str) -> Record {
    record(
        owner,
        ttl,
        match address.parse().unwrap() {
            std::net::IpAddr::V4(v4) => RData::A(v4.into()),
            std::net::IpAddr::V6(v6) => RData::AAAA(v6.into()),
        },
    )
}

pub(super) fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    record(
        owner,
        ttl,
        RData::CNAME(hickory_proto::rr::rdata::CNAME(wire_name(target).unwrap())),
    )
}

pub(super) fn soa(owner: &str, ttl: u32, minimum: u32) -> Record {
    let host = wire_name("ns.example.com").unwrap();
    record(
        owner,
        ttl,
        RData::SOA(hickory_proto::rr::rdata::SOA::new(
            host.clone(),
            host,
            1,
            2,
            3,
            4,
            minimum,
        )),
    )
}

/// An upstream's answer.
pub(super) fn message(name: &str, kind: u16, code: ResponseCode, answers: Vec<Record>) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.metadata.response_code = code;
    message.add_query(Query::query(
        wire_name(name).unwrap(),
        RecordType::from(kind),
    ));
    message.answers = answers;
    message
}

/// A question as clients send it: id 7, recursion desired.
pub(super) fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// The same with EDNS of this size, version and options.
pub(super) fn query_edns(name: &str, kind: u16, size: u16, version: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = query(name, kind);
    bytes[11] = 1;
    bytes.extend([0, 0, 41]);
    bytes.extend(size.to_be_bytes());
    bytes.extend([0, version, 0, 0]);
    bytes.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    bytes.extend(options);
    bytes
}
