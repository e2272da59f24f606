//! Where a tool call goes, and what the policy says about it.
//!
//! Hosts are read by the WHATWG parser, as browsers and fetch tools read them, and then by the
//! policy's own parser of names: what either refuses is no host. The verdict on a place is the one
//! that the resolver gives for names and the kernel for addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use egress_common::{Address, Protocol, Reason};

use crate::{
    dns::suspicious_label,
    policy::{
        Answer, Effect, Explainer, Explanation, Host, Name, NameDecision, Policy, Target, quote,
    },
};

/// No spelling of a host is longer; bounds the work on hostile text.
const LONGEST: usize = 1024;

/// A host, and the port if it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub host: Host,
    pub port: Option<u16>,
}

/// What the policy says about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Allowed {
        rule: Option<String>,
    },
    /// The kernel decides, for this reason.
    Kernel(&'static str),
    Denied(Box<Denial>),
}

/// Why a place is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// [`Reason::code`].
    pub code: &'static str,
    pub rule: Option<String>,
    /// What the rule says to whoever is denied; without a rule, why there is no better answer.
    pub text: Option<String>,
    /// The rule that would allow it.
    pub suggestion: Option<String>,
}

/// Reads a host in any spelling that a program would take: numeric, octal and hexadecimal
/// addresses, IPv6 with or without brackets, percent-encoding, Unicode.
pub fn host(text: &str) -> Option<Host> {
    if text.len() > LONGEST {
        return None;
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Host::Address(address.into()));
    }
    match url::Host::parse(text).ok()? {
        url::Host::Domain(name) => Name::parse(&name).ok().map(Host::Name),
        url::Host::Ipv4(address) => Some(Host::Address(address.into())),
        url::Host::Ipv6(address) => Some(Host::Address(address.into())),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}"),
            Host::Address(address) => write!(f, "{address}"),
        }
    }
}

/// What `policy` says about `place`. Without a port, any port that is allowed is enough: the
/// kernel knows the port.
pub fn standing(policy: &Policy, place: &Place) -> Standing {
    if let Host::Name(name) = &place.host
        && let Some(denial) = suspicion(policy, name)
    {
        return Standing::Denied(Box::new(denial));
    }
    let explainer = Explainer::new(policy);
    let explain = |port| {
        explainer.explain(&Target {
            host: place.host.clone(),
            port,
            protocol: Protocol::TCP,
        })
    };
    let explanation = match (place.port, &place.host) {
        (Some(port), _) => explain(port),
        (None, Host::Name(name)) if !is_localhost(name) => {
            return of_name(policy, name, || explain(443));
        }
        (None, Host::Name(_) | Host::Address(_)) => {
            let tried = ports(policy).map(explain);
            let first = explain(443);
            tried
                .filter(|explanation| explanation.verdict == Answer::Allow)
                .fold(first, |_, allowed| allowed)
        }
    };
    decide(policy, &place.host, explanation)
}

/// What a wildcard allows, the resolver refuses all the same where a label looks like data.
fn suspicion(policy: &Policy, name: &Name) -> Option<Denial> {
    let NameDecision::Allow(grant) = policy.decide_name(name) else {
        return None;
    };
    let pattern = grant.wildcard?.to_string();
    let label = suspicious_label(name, &pattern)?;
    let text = format!(
        "{} looks like data; name the host itself in the policy if it is one",
        quote(label)
    );
    Some(Denial {
        code: Reason::SuspiciousName.code(),
        rule: None,
        text: Some(text),
        suggestion: None,
    })
}

fn of_name(policy: &Policy, name: &Name, explain: impl FnOnce() -> Explanation) -> Standing {
    match policy.decide_name(name) {
        NameDecision::Allow(grant) => Standing::Allowed {
            rule: grant
                .rules
                .first()
                .and_then(|rule| policy.rule(*rule))
                .map(|rule| rule.name.clone()),
        },
        // The network waits for the person; the call that leads there may begin.
        NameDecision::Deny {
            reason: Reason::NeedsApproval,
            rule,
        } => Standing::Allowed {
            rule: policy.rule(rule).map(|rule| rule.name.clone()),
        },
        NameDecision::Deny { .. } => denied(explain()),
    }
}

fn decide(policy: &Policy, host: &Host, explanation: Explanation) -> Standing {
    match explanation.verdict {
        Answer::Allow | Answer::Ask => Standing::Allowed {
            rule: explanation.rule,
        },
        Answer::Deny
            if policy.session_loopback()
                && is_loopback(host)
                && explanation.reason == Some(Reason::Loopback.code()) =>
        {
            Standing::Kernel("only the kernel knows which listeners on loopback are the session's")
        }
        Answer::Deny => denied(explanation),
    }
}

fn denied(explanation: Explanation) -> Standing {
    Standing::Denied(Box::new(Denial {
        code: explanation.reason.unwrap_or(Reason::NoRule.code()),
        rule: explanation.rule,
        text: explanation.text,
        suggestion: explanation.suggestion,
    }))
}

/// One port of each range that an allow rule opens: addresses have no verdict without a port.
fn ports(policy: &Policy) -> impl Iterator<Item = u16> {
    let allow = policy
        .rules()
        .iter()
        .filter(|rule| rule.effect == Effect::Allow && !rule.networks.is_empty());
    allow
        .flat_map(|rule| &rule.ports)
        .filter(|range| range.protocol == Protocol::TCP)
        .map(|range| range.first)
        .take(256)
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => is_localhost(name),
        Host::Address(address) => {
            let address = Address::from(*address);
            let address = address.canonical().unwrap_or(address);
            address.is_loopback() || IpAddr::from(address).is_unspecified()
        }
    }
}

fn is_localhost(name: &Name) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let got = host(text).map(|host| Place { host, port: None }.to_string());
        assert_eq!(got.as_deref(), expected, "{text}");
    }

    #[test]
    fn every_spelling_of_a_host_is_one_host() {
        for text in [
            "github.com",
            "GitHub.COM.",
            "git%68ub.com",
            "\u{ff47}ithub.com",
            "github\u{3002}com",
            "github\u{ff0e}com",
        ] {
            check(text, Some("github.com"));
        }
        for text in [
            "6.6.6.6",
            "0x6060606",
            "06.06.06.06",
            "101058054",
            "6.394758",
            "0x6.0x6.1542",
            "6.6.6.6.",
        ] {
            check(text, Some("6.6.6.6"));
        }
        check("[::1]", Some("::1"));
        check("::1", Some("::1"));
        check("g\u{456}thub.com", Some("xn--gthub-n2e.com"));
    }

    #[test]
    fn what_no_program_reads_alike_is_no_host() {
        for text in [
            "",
            "a b",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "256.256.256.256",
            "a..b",
            "xn--a",
            "1.2.3.4.5",
            "ex*mple.com",
            "a%00b",
        ] {
            check(text, None);
        }
        check(&"a.".repeat(600), None);
    }

    const POLICY: &str = r#"{ "version": 1, "network": {
      "allow": [ { "name": "github", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] },
                 { "name": "lan", "cidrs": ["10.0.0.0/8"], "ports": ["5432/tcp"] } ],
      "deny": [ { "name": "gists", "hosts": ["gist.github.com"], "reason": "No drop boxes." } ],
      "loopback": { "allow": ["session"] } } }"#;

    #[track_caller]
    fn stands(host: &str, port: Option<u16>, expected: &str) {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let place = Place {
            host: super::host(host).unwrap(),
            port,
        };
        let got = match standing(&policy, &place) {
            Standing::Allowed { rule } => format!("allow {}", rule.unwrap_or_default()),
            Standing::Kernel(_) => "kernel".to_owned(),
            Standing::Denied(denial) => format!("deny {}", denial.code),
        };
        assert_eq!(got, expected, "{host} {port:?}");
    }

    #[test]
    fn the_policy_decides_with_and_without_a_port() {
        stands("github.com", Some(443), "allow github");
        stands("github.com", Some(80), "deny port-not-allowed");
        stands("github.com", None, "allow github");
        stands("gist.github.com", None, "deny denied-by-rule");
        stands("evil.example", None, "deny name-denied");
        let data = "x7f3k9q2m4z8w1p6v0t5r3n8b2c7d1.github.com";
        stands(data, None, "deny suspicious-name");
        stands(data, Some(443), "deny suspicious-name");
        stands("10.1.2.3", None, "allow lan");
        stands("10.1.2.3", Some(443), "deny port-not-allowed");
        stands("0x0a010203", Some(5432), "allow lan");
        stands("6.6.6.6", None, "deny no-rule");
        stands("localhost", None, "kernel");
        stands("127.1", Some(3000), "kernel");
        stands("0.0.0.0", Some(3000), "kernel");
        stands("[::ffff:127.0.0.1]", Some(1), "kernel");
        stands("169.254.169.254", Some(80), "deny no-rule");
    }
}
