//! A rule as the policy means it, and the settings that stand beside the rules.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use egress_common::{DnsMode, Protocol, RuleId};
use hickory_proto::rr::RecordType;
use ipnet::IpNet;

use super::{file::Level, pattern::NamePattern, port::PortRange, portset, requests::Http};

/// Name of the rule that stands for `network.loopback.allow`.
pub const LOOPBACK: &str = "loopback";

/// Names that records use for egressd's own rules.
pub(crate) const RESERVED: &[&str] = &[LOOPBACK, "session", "resolver", "inbound", "proxy"];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Effect {
    Allow,
    Deny,
    /// A person is asked, where no rule allows or denies.
    Ask,
}

/// One rule: what its hosts and networks may be asked for, or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Position in [`super::Policy::rules`], counted from 1.
    pub id: RuleId,
    pub name: String,
    pub effect: Effect,
    /// A text for people.
    pub description: String,
    /// Whether it says that strangers share what it allows, and that this is meant.
    pub is_shared: bool,
    /// Why, for whoever is denied.
    pub reason: Option<String>,
    /// The file that the rule is written in.
    pub source: Arc<str>,
    /// Line of that file, counted from 1.
    pub line: u32,
    pub hosts: Vec<NamePattern>,
    pub networks: Vec<IpNet>,
    /// A deny rule without ports has [`PortRange::EVERY`].
    pub ports: Vec<PortRange>,
    pub levels: Levels,
    /// What may be said to its hosts, at level `http`.
    pub http: Arc<Http>,
    /// How long a person has to answer, where the effect is [`Effect::Ask`].
    pub deadline: Duration,
}

/// What is looked at on the way to the hosts of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Levels {
    /// On 443/tcp and 80/tcp.
    pub http: Level,
    /// On every other TCP port.
    pub other: Level,
}

impl Levels {
    /// The kernel alone decides.
    pub const ADDRESS: Self = Self {
        http: Level::Address,
        other: Level::Address,
    };

    pub const fn at(self, port: u16) -> Level {
        if is_http(port) { self.http } else { self.other }
    }

    /// Whether requests to one of these ports are read.
    pub(crate) fn reads(self, ports: &[PortRange]) -> bool {
        let holds = |port| {
            let mut ports = ports.iter();
            ports.any(|range| range.contains(Protocol::TCP, port))
        };
        self.other == Level::Http
            || self.http == Level::Http && (ports.is_empty() || holds(80) || holds(443))
    }

    /// Whether TLS to one of these ports is opened: to any that requests are read on, but to 80.
    pub(crate) fn opens_tls(self, ports: &[PortRange]) -> bool {
        let may_be_tls = |range: &PortRange| {
            range.protocol == Protocol::TCP && (range.first, range.last) != (80, 80)
        };
        self.reads(ports) && (ports.is_empty() || ports.iter().any(may_be_tls))
    }
}

/// The ports that HTTP is spoken on by default (RFC 9110 sections 4.2.1 and 4.2.2).
pub(crate) const fn is_http(port: u16) -> bool {
    matches!(port, 80 | 443)
}

impl Rule {
    /// Whether it stands in no file.
    pub fn is_granted(&self) -> bool {
        self.line == 0
    }

    /// Whether no port is left over.
    pub(crate) fn covers_every_port(&self) -> bool {
        let pieces = portset::resolve(self.ports.iter().map(|range| (*range, self.id)));
        PortRange::EVERY.iter().all(|every| {
            pieces.iter().any(|piece| {
                piece.range.protocol == every.protocol
                    && piece.range.first <= 1
                    && piece.range.last == every.last
            })
        })
    }
}

/// Section `dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    pub mode: DnsMode,
    /// Whether a denied name is answered with NXDOMAIN instead of REFUSED.
    pub refuse_with_nxdomain: bool,
    /// Asked in this order; at least one.
    pub upstreams: Vec<Upstream>,
    /// Names that may resolve to private, shared and link-local addresses.
    pub private: Vec<NamePattern>,
    /// Distinct names that one session may ask for under one wildcard pattern.
    pub wildcard_names: u32,
    /// How long an address stays allowed after its time to live.
    pub grace: Duration,
    pub ttl_min: Duration,
    /// Not below `ttl_min`.
    pub ttl_max: Duration,
    pub addresses_per_name: usize,
    /// Answered for allowed names besides A, AAAA, CNAME, HTTPS, SVCB and PTR.
    pub types: Vec<RecordType>,
}

/// A server that the guard resolver asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// The servers of resolv.conf when the daemon starts.
    System,
    Address(SocketAddr),
}

/// Section `audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// An absolute path.
    pub file: PathBuf,
    /// Whether allowed flows are recorded too.
    pub allowed: bool,
    pub rotate_bytes: u64,
    /// Finished files that are kept.
    pub keep: u32,
}

/// Section `proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// The level of rules for hosts that name none, on the ports of HTTP.
    pub level: Level,
    /// For secrets in requests; [`OfRequest::Deny`] where section `inspect` asks or redacts.
    pub requests: OfRequest,
    /// For orders to the model in answers.
    pub responses: OfAnswer,
    pub answer_within: Duration,
    /// The directory of the local CA, absolute.
    pub ca: PathBuf,
    /// Hosts whose TLS is not opened.
    pub exempt: Vec<NamePattern>,
}

/// What is done about a secret in a request. Greater is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfRequest {
    Allow,
    /// It is recorded and goes on.
    Warn,
    Deny,
}

/// What is done about orders in an answer. Greater is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfAnswer {
    Allow,
    /// They are recorded and go on.
    Warn,
    /// They are taken out, and the rest goes on.
    Strip,
    Deny,
}
