//! What somebody wants opened, as one rule, and what a person should know before. Pure.

use std::collections::BTreeSet;

use egress_common::Protocol;
use serde_json::{Value, json};

use super::{
    METADATA, NamePattern, Policy, PortRange, Rule, Shared, net, problem::quote, rule::Effect,
    suggest::free_name,
};

/// `HOST[:PORT[/PROTO]]`, where the host is a name, a pattern, an address or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    host: String,
    is_network: bool,
    ports: PortRange,
}

/// Why a text is not something that can be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWanted {
    #[error("{} is a URL; write `HOST[:PORT[/PROTO]]`, such as `github.com` or `192.0.2.1:53/udp`", quote(.0))]
    Url(String),
    #[error("{} is not a port; write `HOST[:PORT[/PROTO]]`, such as `github.com:443` or `192.0.2.1:53/udp`", quote(.0))]
    Port(String),
    #[error("{} is not a name, a pattern, an address or a network: {why}", quote(.host))]
    Host { host: String, why: String },
}

const HTTPS: PortRange = PortRange {
    protocol: Protocol::TCP,
    first: 443,
    last: 443,
};

impl std::str::FromStr for Wanted {
    type Err = InvalidWanted;

    fn from_str(text: &str) -> Result<Self, InvalidWanted> {
        if text.contains("://") {
            return Err(InvalidWanted::Url(text.to_owned()));
        }
        // A bare IPv6 address or network ends in what looks like a port.
        let (host, ports) = if net::parse(text).is_ok() {
            (text, None)
        } else if let Some((host, rest)) =
            text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            match rest.strip_prefix(':') {
                Some(ports) => (host, Some(ports)),
                None if rest.is_empty() => (host, None),
                None => return Err(InvalidWanted::Port(rest.to_owned())),
            }
        } else {
            match text.rsplit_once(':') {
                Some((host, ports)) => (host, Some(ports)),
                None => (text, None),
            }
        };
        let ports = match ports {
            Some(ports) => ports
                .parse()
                .map_err(|_no_detail| InvalidWanted::Port(ports.to_owned()))?,
            None => HTTPS,
        };
        let refused = |why: String| InvalidWanted::Host {
            host: host.to_owned(),
            why,
        };
        let is_network = match (net::parse(host), NamePattern::parse(host)) {
            (Ok(_), _) => true,
            (Err(_), Ok(_)) => false,
            // What has a slash is no name.
            (Err(error), Err(_)) if host.contains(['/', ':']) => {
                return Err(refused(format!("{error}; {}", error.help())));
            }
            (Err(_), Err(error)) => return Err(refused(error.to_string())),
        };
        Ok(Self {
            host: host.to_owned(),
            is_network,
            ports,
        })
    }
}

impl Wanted {
    /// As it would stand in `network.allow`, under this name.
    pub fn rule(&self, name: &str, multi_tenant: bool) -> Value {
        let key = if self.is_network { "cidrs" } else { "hosts" };
        let mut rule = json!({
            "name": name,
            key: [self.host],
            "ports": [self.ports.to_string()],
        });
        if multi_tenant
            && !self.is_network
            && let Some(members) = rule.as_object_mut()
        {
            members.insert("multi_tenant".to_owned(), json!(true));
        }
        rule
    }

    /// A name for the rule that no rule of the policy has.
    pub fn name(&self, policy: &Policy) -> String {
        let rules = policy.rules().iter();
        let mut taken: BTreeSet<String> = rules.map(|rule| rule.name.clone()).collect();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let base: String = self
            .host
            .trim_start_matches("*.")
            .trim_start_matches("**.")
            .chars()
            .map(|c| if is_plain(&c) { c } else { '-' })
            .collect();
        let ports = self.ports.to_string();
        free_name(&base, &BTreeSet::from([ports.as_str()]), &mut taken)
    }
}

impl Policy {
    /// The deny rule that takes away all that this rule would open.
    pub fn denying(&self, rule: &Rule) -> Option<&Rule> {
        let mut rules = self.rules().iter();
        rules.find(|known| known.effect == Effect::Deny && covers(known, rule))
    }

    /// The rule of the file that allows all of it already.
    pub fn permitting(&self, rule: &Rule) -> Option<&Rule> {
        let mut rules = self.rules().iter();
        rules.find(|known| {
            known.effect == Effect::Allow && !known.is_granted() && covers(known, rule)
        })
    }

    /// What a person should know before this is opened.
    pub fn notes(&self, rule: &Rule) -> Vec<String> {
        let mut notes = Vec::new();
        for pattern in &rule.hosts {
            notes.extend(risks(pattern));
        }
        for network in &rule.networks {
            let host_bits = network.max_prefix_len() - network.prefix_len();
            if METADATA.iter().any(|address| *address == network.addr()) && host_bits == 0 {
                notes.push(format!(
                    "risky: {} is a metadata service, which may hand out credentials of this machine",
                    network.addr()
                ));
            } else if host_bits == 0 {
                notes.push(format!(
                    "{} is reached without a name: nothing says whose it is",
                    network.addr()
                ));
            } else {
                notes.push(format!("{network} holds 2^{host_bits} addresses"));
            }
        }
        for known in self.rules() {
            if known.effect == Effect::Deny && !covers(known, rule) && touches(known, rule) {
                notes.push(format!(
                    "rule `{}` ({}:{}) still denies a part of it",
                    known.name, known.source, known.line
                ));
            }
        }
        notes
    }
}

/// Why to look twice at what this opens.
fn risks(pattern: &NamePattern) -> Vec<String> {
    let shared = Shared::of(pattern).map(|shared| format!("risky: {shared}"));
    let wide = !pattern.is_exact();
    let wide = wide.then(|| format!("it opens every name that {pattern} covers"));
    shared.into_iter().chain(wide).collect()
}

/// Whether a rule speaks of everything that another speaks of.
fn covers(known: &Rule, rule: &Rule) -> bool {
    let ports = rule.ports.iter().all(|range| {
        known.ports.iter().any(|over| {
            over.protocol == range.protocol && over.first <= range.first && range.last <= over.last
        })
    });
    let hosts = rule.hosts.iter().all(|pattern| {
        let mut patterns = known.hosts.iter();
        patterns.any(|over| is_under(over, pattern))
    });
    let networks = rule.networks.iter().all(|network| {
        let mut networks = known.networks.iter();
        networks.any(|over| over.contains(network))
    });
    ports && hosts && networks
}

/// Whether a rule speaks of something that another speaks of.
fn touches(known: &Rule, rule: &Rule) -> bool {
    let ports = rule.ports.iter().any(|range| {
        known.ports.iter().any(|other| {
            other.protocol == range.protocol
                && other.first <= range.last
                && range.first <= other.last
        })
    });
    let hosts = rule.hosts.iter().any(|pattern| {
        let mut patterns = known.hosts.iter();
        patterns.any(|other| is_under(other, pattern) || is_under(pattern, other))
    });
    let networks = rule.networks.iter().any(|network| {
        let mut networks = known.networks.iter();
        networks.any(|other| other.contains(network) || network.contains(other))
    });
    ports && (hosts || networks)
}

/// Whether every name of `pattern` is one of `over`.
fn is_under(over: &NamePattern, pattern: &NamePattern) -> bool {
    let is_below = |above: &str, name: &str| {
        name == above
            || name
                .strip_suffix(above)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    match (over, pattern) {
        (_, NamePattern::Exact(name)) => over.covers(name.as_str()),
        (NamePattern::One(above), NamePattern::One(base)) => above == base,
        (NamePattern::Many(above), NamePattern::One(base) | NamePattern::Many(base)) => {
            is_below(above.as_str(), base.as_str())
        }
        (NamePattern::Exact(_), NamePattern::One(_) | NamePattern::Many(_))
        | (NamePattern::One(_), NamePattern::Many(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(text: &str) -> Result<Wanted, InvalidWanted> {
        text.parse()
    }

    #[track_caller]
    fn is_read(text: &str, key: &str, host: &str, ports: &str) {
        let rule = wanted(text).unwrap().rule("r", false);
        let expected = json!({ "name": "r", key: [host], "ports": [ports] });
        assert_eq!(rule, expected, "{text}");
        let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
        assert!(policy.read_rule(&rule).is_ok(), "{text}");
    }

    #[test]
    fn hosts_of_every_kind_are_read() {
        is_read("github.com", "hosts", "github.com", "443/tcp");
        is_read("github.com:22", "hosts", "github.com", "22/tcp");
        is_read("**.example.com:53/udp", "hosts", "**.example.com", "53/udp");
        is_read("a.test:8000-8099/tcp", "hosts", "a.test", "8000-8099/tcp");
        is_read("192.0.2.1", "cidrs", "192.0.2.1", "443/tcp");
        is_read("192.0.2.0/24:22/tcp", "cidrs", "192.0.2.0/24", "22/tcp");
        is_read("192.0.2.0/24", "cidrs", "192.0.2.0/24", "443/tcp");
        is_read("2001:db8::1", "cidrs", "2001:db8::1", "443/tcp");
        is_read("2001:db8::/32", "cidrs", "2001:db8::/32", "443/tcp");
        is_read("[2001:db8::1]:53/udp", "cidrs", "2001:db8::1", "53/udp");
        is_read("[2001:db8::/32]:22", "cidrs", "2001:db8::/32", "22/tcp");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_a_reason() {
        for (text, says) in [
            ("https://github.com", "is a URL"),
            ("github.com:https", "is not a port"),
            ("github.com:0", "is not a port"),
            ("[2001:db8::1]443", "is not a port"),
            ("192.0.2.1/24", "is not a name"),
            ("not a name", "is not a name"),
            ("github.com/path", "is not a name"),
            ("", "is not a name"),
            ("*", "is not a name"),
        ] {
            let error = wanted(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    fn policy(network: &Value) -> Policy {
        let text = json!({ "version": 1, "network": network }).to_string();
        Policy::parse(&text, "p").unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    #[test]
    fn a_deny_rule_over_all_of_it_and_an_allow_rule_over_all_of_it_are_found() {
        let policy = policy(&json!({
            "allow": [
                { "name": "code", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] },
                { "name": "lab", "cidrs": ["192.0.2.0/24"], "ports": ["1-1000/tcp"] },
            ],
            "deny": [
                { "name": "bad", "hosts": ["**.bad.test"] },
                { "name": "mail", "cidrs": ["198.51.100.0/24"], "ports": ["25/tcp"] },
                { "name": "one", "hosts": ["x.good.test"] },
            ],
        }));
        let check = |text: &str, denied: Option<&str>, allowed: Option<&str>, part: bool| {
            let rule = policy
                .read_rule(&wanted(text).unwrap().rule("r", true))
                .unwrap();
            let name = |rule: Option<&Rule>| rule.map(|rule| rule.name.clone());
            assert_eq!(name(policy.denying(&rule)).as_deref(), denied, "{text}");
            assert_eq!(name(policy.permitting(&rule)).as_deref(), allowed, "{text}");
            let notes = policy.notes(&rule);
            let told = notes.iter().any(|note| note.contains("still denies"));
            assert_eq!(told, part, "{text}: {notes:?}");
        };
        check("github.com", None, Some("code"), false);
        check("github.com:22", None, None, false);
        check("api.github.com", None, Some("code"), false);
        check("*.github.com", None, Some("code"), false);
        check("**.github.com", None, None, false);
        check("a.bad.test", Some("bad"), None, false);
        check("*.bad.test", Some("bad"), None, false);
        check("**.a.bad.test:53/udp", Some("bad"), None, false);
        check("bad.test", None, None, false);
        check("*.good.test", None, None, true);
        check("192.0.2.7:22", None, Some("lab"), false);
        check("192.0.0.0/16:22", None, None, false);
        check("198.51.100.7:25", Some("mail"), None, false);
        check("198.51.100.0/24:20-30/tcp", None, None, true);
    }

    #[test]
    fn what_is_risky_is_said() {
        let policy = policy(&json!({}));
        for (text, says) in [
            ("webhook.site", "drop box (request-bin)"),
            ("someone.github.io", "anybody can have a name beside it"),
            ("storage.googleapis.com", "drop box (object-storage)"),
            ("*.github.io", "anybody can have a name below github.io"),
            ("**.example.com", "every name that **.example.com covers"),
            ("169.254.169.254", "metadata service"),
            ("192.0.2.1", "nothing says whose it is"),
            ("192.0.2.0/24", "2^8 addresses"),
        ] {
            let rule = policy
                .read_rule(&wanted(text).unwrap().rule("r", true))
                .unwrap();
            let notes = policy.notes(&rule).join("; ");
            assert!(notes.contains(says), "{text}: {notes}");
        }
        let rule = wanted("docs.example.com").unwrap().rule("r", false);
        let rule = policy.read_rule(&rule).unwrap();
        assert!(policy.notes(&rule).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}") {
            if let Ok(wanted) = wanted(&text) {
                let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
                let rule = wanted.rule(&wanted.name(&policy), true);
                if let Ok(rule) = policy.read_rule(&rule) {
                    policy.notes(&rule);
                }
            }
        }
    }
}
