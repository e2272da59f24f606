//! The policies that are measured.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::stage::{SERVE_PORT, SINK_PORT};

/// Ten networks; the one that the load talks to is among them.
pub(crate) fn ten_networks() -> Vec<String> {
    let mut networks = vec!["203.0.113.64/26".to_owned()];
    networks.extend((1..10).map(|n| format!("10.{n}.0.0/16")));
    networks
}

/// Ten rules for networks and one for names.
pub(crate) fn usual() -> Value {
    let mut allow: Vec<Value> = ten_networks()
        .iter()
        .enumerate()
        .map(|(n, network)| rule(&format!("network-{n}"), &[network]))
        .collect();
    allow.push(json!({ "name": "names", "hosts": ["*.allowed.test"], "ports": ports() }));
    json!({
        "version": 1,
        "name": "bench",
        "network": { "allow": allow },
        "dns": { "wildcard_names": 65536 },
    })
}

/// So many names and so many networks in rules of a thousand each, and the ten networks before them.
pub(crate) fn large(count: u32) -> Value {
    let mut policy = usual();
    if let Some(allow) = policy
        .pointer_mut("/network/allow")
        .and_then(Value::as_array_mut)
    {
        let numbers: Vec<u32> = (0..count).collect();
        for (n, thousand) in numbers.chunks(1000).enumerate() {
            let hosts: Vec<String> = thousand.iter().map(|n| format!("n{n}.bulk.test")).collect();
            let networks: Vec<String> = thousand.iter().copied().map(network).collect();
            allow.push(json!({ "name": format!("many-{n}"), "hosts": hosts, "cidrs": networks, "ports": ports() }));
        }
    }
    policy
}

fn rule(name: &str, networks: &[&str]) -> Value {
    json!({ "name": name, "cidrs": networks, "ports": ports() })
}

fn ports() -> Value {
    json!([
        format!("{SERVE_PORT}-{SINK_PORT}/tcp"),
        format!("{SERVE_PORT}-{SINK_PORT}/udp")
    ])
}

/// The `n`th of many networks: a /28 of 11.0.0.0/8 and what follows.
fn network(n: u32) -> String {
    let address = Ipv4Addr::from_bits((11 << 24) + (n << 5));
    format!("{address}/28")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_networks_are_distinct() {
        let networks: BTreeSet<String> = (0..100_000).map(network).collect();
        assert_eq!(networks.len(), 100_000);
        assert_eq!(network(1), "11.0.0.32/28");
    }

    #[test]
    fn a_large_policy_has_all_of_them() {
        let policy = large(2500);
        let rules = policy["network"]["allow"].as_array().expect("a list");
        let hosts: usize = rules
            .iter()
            .filter_map(|rule| rule["hosts"].as_array())
            .map(Vec::len)
            .sum();
        assert_eq!(hosts, 2501);
    }
}
