//! The rule that would allow a flow, as one line to add to `network.allow`.

use std::{collections::BTreeSet, net::IpAddr};

use egress_common::{Address, Protocol};
use serde_json::json;

use super::{explain::Host, port::PortRange};

/// Length of a rule name that is made from a host.
const LONGEST: usize = 48;

/// The narrowest rule that allows this flow:
/// `{"name":"example.com","hosts":["example.com"],"ports":["443/tcp"]}`.
pub fn suggest(host: &Host, port: u16, protocol: Protocol) -> String {
    named(&rule_name(host, port, protocol), host, port, protocol)
}

/// The same under a name that no rule has yet.
pub(crate) fn unique(policy: &super::Policy, host: &Host, port: u16, protocol: Protocol) -> String {
    let base = rule_name(host, port, protocol);
    let is_taken = |name: &str| policy.rules().iter().any(|rule| rule.name == name);
    let numbered = (2..).map(|number: u32| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    let free = names.find(|name| !is_taken(name)).unwrap_or(base);
    named(&free, host, port, protocol)
}

fn named(name: &str, host: &Host, port: u16, protocol: Protocol) -> String {
    let ports = PortRange {
        protocol,
        first: port,
        last: port,
    };
    // Written by hand to keep the keys in the order in which people write them.
    let (key, value) = match host {
        Host::Name(name) => ("hosts", name.to_string()),
        Host::Address(address) => ("cidrs", reached(*address).to_string()),
    };
    let text = |text: &str| json!(text).to_string();
    format!(
        "{{\"name\": {}, \"{key}\": [{}], \"ports\": [{}]}}",
        text(name),
        text(&value),
        text(&ports.to_string())
    )
}

fn rule_name(host: &Host, port: u16, protocol: Protocol) -> String {
    let host = match host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => reached(*address).to_string().replace(':', "-"),
    };
    let host = tail(&host);
    match (protocol, port) {
        (Protocol::TCP, 443) => host.to_owned(),
        (Protocol::TCP, port) => format!("{host}-{port}"),
        (protocol, port) => format!("{host}-{port}-{protocol}"),
    }
}

/// A name for a rule about this host and these ports, which is taken from then on.
pub(crate) fn free_name(
    host: &str,
    ports: &BTreeSet<&str>,
    taken: &mut BTreeSet<String>,
) -> String {
    let mut base = tail(host).to_owned();
    if !ports.iter().eq([&"443/tcp"]) {
        for port in ports {
            let port = port.strip_suffix("/tcp").unwrap_or(port);
            base.push('-');
            base.push_str(&port.replace('/', "-"));
        }
    }
    let numbered = (2..).map(|number: u32| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or(base);
    taken.insert(free.clone());
    free
}

/// The end of a host that is too long for a name.
fn tail(host: &str) -> &str {
    let from = host.len().saturating_sub(LONGEST);
    host.get(from..).unwrap_or("host")
}

/// The address by which rules judge this one.
fn reached(address: IpAddr) -> IpAddr {
    let address = Address::from(address);
    address.canonical().unwrap_or(address).into()
}
