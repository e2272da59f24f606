//! Warnings: what a policy may say, and probably does not mean.

use std::collections::{BTreeSet, HashMap};

use egress_common::{Protocol, RuleId};
use ipnet::IpNet;

use super::{
    check::Checker,
    file::{self, File},
    name::Name,
    pattern::{NamePattern, PatternTable},
    port::PortRange,
    portset,
    rule::{Effect, Rule},
    shared::Shared,
    text::Place,
};

/// Resolvers that answer over HTTPS. Whoever may reach one resolves any name through it, and a
/// question can carry data out. Sorted.
const DOH: &[&str] = &[
    "1dot1dot1dot1.cloudflare-dns.com",
    "chrome.cloudflare-dns.com",
    "cloudflare-dns.com",
    "dns.adguard-dns.com",
    "dns.google",
    "dns.google.com",
    "dns.mullvad.net",
    "dns.nextdns.io",
    "dns.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns9.quad9.net",
    "doh.cleanbrowsing.org",
    "doh.dns.sb",
    "doh.opendns.com",
    "mozilla.cloudflare-dns.com",
    "security.cloudflare-dns.com",
];

/// Warns about the allow rules of one file. `own` are these rules in their order; `rules` are all
/// that hold.
pub(crate) fn check(c: &mut Checker<'_>, file: &File, own: &[Rule], rules: &[Rule]) {
    let denied = Denied::new(rules);
    let root = Place::ROOT;
    let network = root.key("network");
    let allow = network.key("allow");
    for (index, rule) in own.iter().enumerate() {
        let place = allow.index(index);
        hosts(c, rule, &denied, &place.key("hosts"));
        shared(c, rule, &denied, &place);
        networks(c, rule, &denied, &place.key("cidrs"));
        let is_plain = |range: &PortRange| range.contains(Protocol::TCP, 80);
        if rule.http.credential.is_some() && rule.ports.iter().any(is_plain) {
            c.warn(
                &place.key("credential"),
                "the secret goes over plain HTTP too, where whoever is on the way reads it",
                Some("take `80/tcp` out of the ports"),
            );
        }
    }
    if file.mode == Some(file::Mode::Observe) {
        let help = "write `enforce` once the records show what the agent needs";
        c.warn(
            &root.key("mode"),
            "nothing is refused in `observe` mode",
            Some(help),
        );
    }
    if file
        .dns
        .as_ref()
        .is_some_and(|dns| dns.mode == file::DnsMode::Snoop)
    {
        let message =
            "in `snoop` mode denied names are still asked for, and a first connect may be refused";
        let help = "`steer` has neither fault";
        c.warn(&root.key("dns").key("mode"), message, Some(help));
    }
}

/// What rules deny on every port.
#[derive(Default)]
struct Denied<'r> {
    hosts: PatternTable<RuleId>,
    networks: HashMap<IpNet, &'r str>,
    /// Prefix lengths among `networks`.
    lengths: BTreeSet<u8>,
    rules: &'r [Rule],
}

impl<'r> Denied<'r> {
    fn new(rules: &'r [Rule]) -> Self {
        let mut denied = Self {
            rules,
            ..Self::default()
        };
        for rule in rules {
            if rule.effect != Effect::Deny || !rule.covers_every_port() {
                continue;
            }
            denied.hosts.extend(&rule.hosts, rule.id);
            for network in &rule.networks {
                denied.networks.insert(*network, &rule.name);
                denied.lengths.insert(network.prefix_len());
            }
        }
        denied
    }

    /// The rule that denies every name of a pattern.
    fn host(&self, pattern: &NamePattern) -> Option<&'r str> {
        let id = match pattern {
            NamePattern::Exact(name) => self.hosts.find(name).flat_map(|hit| hit.values()).next(),
            // `**.a` covers `*.a`, `*.b.a` and `**.b.a`.
            NamePattern::One(base) | NamePattern::Many(base) => {
                self.hosts.get(pattern).or_else(|| self.hosts.above(base))
            }
        };
        portset::find(self.rules, id?).map(|rule| rule.name.as_str())
    }

    /// The rule that denies a whole range.
    fn network(&self, network: &IpNet) -> Option<&'r str> {
        let lengths = self.lengths.range(..=network.prefix_len());
        lengths
            .filter_map(|bits| IpNet::new(network.addr(), *bits).ok())
            .find_map(|wider| self.networks.get(&wider.trunc()))
            .copied()
    }
}

fn hosts(c: &mut Checker<'_>, rule: &Rule, denied: &Denied<'_>, place: &Place<'_>) {
    for (index, pattern) in rule.hosts.iter().enumerate() {
        let at = place.index(index);
        let is_doh = match pattern {
            NamePattern::Exact(name) => DOH.binary_search(&name.as_str()).is_ok(),
            NamePattern::One(_) | NamePattern::Many(_) => {
                DOH.iter().any(|name| pattern.covers(name))
            }
        };
        if is_doh {
            let message = format!(
                "`{pattern}` answers DNS over HTTPS: it resolves every name and carries data out"
            );
            let help = "take it out; the guard resolver answers for allowed names";
            c.warn(&at, message, Some(help));
        }
        if pattern.base().as_str() == "localhost" {
            let help = "list the ports in `network.loopback.allow`";
            c.warn(&at, "`localhost` is not asked of the DNS", Some(help));
        }
        if let Some(by) = denied.host(pattern) {
            let message = format!("`{pattern}` is never allowed: rule `{by}` denies it");
            c.warn(&at, message, Some("take out one of the two"));
        }
    }
}

/// What strangers share has to be meant, and what is marked as such has to be there: a mark that
/// says nothing now would hide what is added later.
fn shared(c: &mut Checker<'_>, rule: &Rule, denied: &Denied<'_>, place: &Place<'_>) {
    let is_denied = |name: &Name| denied.host(&NamePattern::Exact(name.clone())).is_some();
    let section = place.key("hosts");
    let mut is_shared = false;
    for (index, pattern) in rule.hosts.iter().enumerate() {
        let Some(shared) = Shared::of_all(pattern, &is_denied) else {
            continue;
        };
        is_shared = true;
        if shared.needs_mark() && !rule.is_shared {
            let help = if pattern.is_exact() {
                "take it out, or add `\"multi_tenant\": true` to the rule if it is meant"
            } else {
                "name the hosts that are needed, or add `\"multi_tenant\": true` to the rule if it is meant"
            };
            c.warn(
                &section.index(index),
                format!("`{pattern}`: {shared}"),
                Some(help),
            );
        }
    }
    if rule.is_shared && !is_shared {
        let message = "nothing in this rule is known to be shared with strangers";
        let help = "take `multi_tenant` out; it would hide what is added later";
        c.warn(&place.key("multi_tenant"), message, Some(help));
    }
}

fn networks(c: &mut Checker<'_>, rule: &Rule, denied: &Denied<'_>, place: &Place<'_>) {
    for (index, network) in rule.networks.iter().enumerate() {
        let at = place.index(index);
        if network.prefix_len() == 0 {
            let message = format!("`{network}` allows the whole internet on these ports");
            c.warn(
                &at,
                message,
                Some("name the hosts, or the ranges that are needed"),
            );
        }
        if let Some(by) = denied.network(network) {
            let message = format!("`{network}` is never allowed: rule `{by}` denies it");
            c.warn(&at, message, Some("take out one of the two"));
        }
    }
}
