//! What a policy says about one connection, and what to write to change that.
//!
//! Names go through the look-up that the guard resolver uses, addresses through the function and
//! the tables that the kernel uses. It does not know what names resolve to.

use std::{fmt, net::IpAddr, str::FromStr};

use egress_common::{
    ABI_VERSION, Address, Config, Flow, Protocol, RESOLVER_SLOTS, Reason, RuleId, Verdict,
};
use serde::Serialize;

use super::{InvalidName, METADATA, Name, Policy, PortRange, Shared, problem::quote, suggest};

/// A connection that somebody asks about: `HOST:PORT[/PROTO]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub host: Host,
    pub port: u16,
    pub protocol: Protocol,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    Name(Name),
    Address(IpAddr),
}

/// Why a text is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("{} has no port; write `HOST:PORT`, such as `github.com:443`", quote(.0))]
    NoPort(String),
    #[error("{} is not a port; write `HOST:PORT[/PROTO]`, such as `github.com:443` or `192.0.2.1:53/udp`", quote(.0))]
    Port(String),
    #[error("{} is a URL; write `HOST:PORT`, such as `github.com:443`", quote(.0))]
    Url(String),
    #[error("{} is not a host: {source}", quote(.host))]
    Host {
        host: String,
        #[source]
        source: InvalidName,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Allow,
    Deny,
    /// Denied until a person approves it.
    Ask,
}

/// What happens to a connection, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub target: String,
    pub verdict: Answer,
    /// [`Reason::code`] of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The name of the rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that rule is written: the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of the file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the deny rule says about its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The rule that would allow it, to add to `network.allow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// What is known of a host that one party does not hold alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What else there is to know or to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Explains one connection. The first question compiles the policy.
pub fn explain_connect(policy: &Policy, target: &Target) -> Explanation {
    Explainer::new(policy).explain(target)
}

/// Explains by one policy.
#[derive(Debug)]
pub struct Explainer<'p> {
    policy: &'p Policy,
}

impl<'p> Explainer<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy }
    }

    pub fn explain(&self, target: &Target) -> Explanation {
        match &target.host {
            Host::Name(name) if is_localhost(name) => {
                self.explain_address(target, IpAddr::from(std::net::Ipv4Addr::LOCALHOST))
            }
            Host::Name(name) => self.explain_name(target, name),
            Host::Address(address) => self.explain_address(target, *address),
        }
    }

    fn explain_name(&self, target: &Target, name: &Name) -> Explanation {
        match self.policy.decide_host(name, target.protocol, target.port) {
            Ok(rule) => self.allowed(target, rule),
            Err((reason, rule)) => self.denied(target, reason, rule),
        }
    }

    fn explain_address(&self, target: &Target, address: IpAddr) -> Explanation {
        let flow = Flow::new(target.protocol, address.into(), target.port);
        match self.policy.decide_address(&flow) {
            Verdict::Allow(grant) => self.allowed(target, grant.rule),
            Verdict::Deny(reason, rule) => self.denied(target, reason, rule),
        }
    }

    fn allowed(&self, target: &Target, rule: RuleId) -> Explanation {
        self.explanation(target, Answer::Allow, None, rule)
    }

    fn denied(&self, target: &Target, reason: Reason, rule: RuleId) -> Explanation {
        let answer = if reason == Reason::NeedsApproval {
            Answer::Ask
        } else {
            Answer::Deny
        };
        let mut explanation = self.explanation(target, answer, Some(reason), rule);
        let Target {
            host,
            port,
            protocol,
        } = target;
        let (can_allow, help) = advise(target, reason, self.policy.rule(rule));
        explanation.help = help;
        if can_allow {
            let suggestion = suggest::unique(self.policy, host, *port, *protocol);
            explanation.suggestion = Some(suggestion);
        }
        explanation
    }

    fn explanation(
        &self,
        target: &Target,
        verdict: Answer,
        reason: Option<Reason>,
        rule: RuleId,
    ) -> Explanation {
        let rule = self.policy.rule(rule);
        Explanation {
            target: target.to_string(),
            verdict,
            reason: reason.map(Reason::code),
            rule: rule.map(|rule| rule.name.clone()),
            file: rule
                .filter(|rule| !rule.is_granted())
                .map(|rule| rule.source.to_string()),
            line: rule.filter(|rule| !rule.is_granted()).map(|rule| rule.line),
            text: rule.and_then(|rule| rule.reason.clone()),
            suggestion: None,
            shared: shared(&target.host),
            help: None,
        }
    }
}

impl Policy {
    /// The settings of the kernel programs for this policy.
    pub fn config(&self, generation: u32, resolver_ports: [u16; RESOLVER_SLOTS]) -> Config {
        Config {
            abi: ABI_VERSION,
            generation,
            mode: self.mode() as u32,
            dns: self.dns().mode as u32,
            denial_errno: self.denial_errno(),
            session_loopback: u32::from(self.session_loopback()),
            inbound_loopback: u32::from(self.inbound_loopback()),
            report_allowed: u32::from(self.audit().allowed),
            resolver_ports,
            ..Config::UNSET
        }
    }
}

/// What is known of a host that one party does not hold alone.
fn shared(host: &Host) -> Option<String> {
    match host {
        Host::Name(name) => Shared::of_name(name).map(|shared| shared.to_string()),
        Host::Address(_) => None,
    }
}

/// Whether one more allow rule would help, and what else to say.
fn advise(target: &Target, reason: Reason, rule: Option<&super::Rule>) -> (bool, Option<String>) {
    let port = PortRange {
        protocol: target.protocol,
        first: target.port,
        last: target.port,
    };
    match reason {
        Reason::DeniedByRule => {
            let place = rule.map(|rule| {
                format!(
                    "change rule `{}` ({}:{})",
                    rule.name, rule.source, rule.line
                )
            });
            let place = place.unwrap_or_default();
            (
                false,
                Some(format!(
                    "deny beats allow, so that no new rule helps: {place}"
                )),
            )
        }
        Reason::Loopback => {
            let help = format!(
                "add \"{port}\" to `network.loopback.allow`, or \"session\" for listeners that the \
                 session itself opens"
            );
            (false, Some(help))
        }
        Reason::Multicast => (
            false,
            Some("multicast and broadcast are always denied".to_owned()),
        ),
        Reason::EmbeddedAddress => {
            let help = "the address carries an IPv4 address that no translator may reach; it is \
                        always denied";
            (false, Some(help.to_owned()))
        }
        Reason::UnsupportedProtocol => (false, Some("only TCP and UDP can be allowed".to_owned())),
        Reason::NoRule | Reason::PortNotAllowed => {
            let help = match target.host {
                Host::Address(address) if METADATA.contains(&canonical(address)) => Some(
                    "a metadata service may hand out credentials of this machine; only a CIDR for \
                     exactly this address opens it",
                ),
                Host::Address(_) => Some(
                    "it is also allowed while an allowed name resolves to it, on that name's ports",
                ),
                Host::Name(_) => None,
            };
            (true, help.map(str::to_owned))
        }
        Reason::NameDenied => (true, None),
        Reason::NeedsApproval => {
            let help = "it waits for a person: see `egressctl approve`";
            (true, Some(help.to_owned()))
        }
        Reason::LeaseExpired
        | Reason::Fragment
        | Reason::IpOptions
        | Reason::ExtensionHeader
        | Reason::Malformed
        | Reason::WrongDevice
        | Reason::NotConfigured
        | Reason::Inbound
        | Reason::Revoked
        | Reason::SocketFamily
        | Reason::OutsideSocket
        | Reason::UnixSocket
        | Reason::TypeDenied
        | Reason::PrivateAnswer
        | Reason::NameBudget
        | Reason::SuspiciousName
        | Reason::BadQuestion
        | Reason::UpstreamFailed
        | Reason::UnknownClient
        | Reason::LeaseFailed
        | Reason::TooManyQuestions
        | Reason::NotProxied
        | Reason::NoServerName
        | Reason::EncryptedHello
        | Reason::NameMismatch
        | Reason::UnreadableRequest
        | Reason::RequestDenied
        | Reason::ContentDenied
        | Reason::HostBudget
        | Reason::DialFailed
        | Reason::TlsFailed
        | Reason::TooSlow
        | Reason::ProxyFull
        | Reason::BodyTooLarge
        | Reason::CredentialMisplaced => (false, None),
    }
}

pub(super) fn canonical(address: IpAddr) -> IpAddr {
    let address = Address::from(address);
    address.canonical().unwrap_or(address).into()
}

/// RFC 6761 section 6.3: these never reach a resolver.
fn is_localhost(name: &Name) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if text.contains("://") {
            return Err(InvalidTarget::Url(text.to_owned()));
        }
        // A bare IPv6 address ends in what looks like a port.
        if text.parse::<IpAddr>().is_ok() {
            return Err(InvalidTarget::NoPort(text.to_owned()));
        }
        let (host, ports) = text
            .rsplit_once(':')
            .ok_or_else(|| InvalidTarget::NoPort(text.to_owned()))?;
        let range = match ports.parse::<PortRange>() {
            Ok(range) if range.first == range.last => range,
            Ok(_) | Err(_) => return Err(InvalidTarget::Port(ports.to_owned())),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => Host::Address(address),
            Err(std::net::AddrParseError { .. }) => {
                Host::Name(Name::parse(host).map_err(|source| InvalidTarget::Host {
                    host: host.to_owned(),
                    source,
                })?)
            }
        };
        Ok(Self {
            host,
            port: range.first,
            protocol: range.protocol,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}")?,
            Host::Address(IpAddr::V4(v4)) => write!(f, "{v4}")?,
            Host::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]")?,
        }
        write!(f, ":{}/{}", self.port, self.protocol)
    }
}
