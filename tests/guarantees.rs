//! What egressd promises, each promise as a test that fails when it is broken.

mod big_tcp;
mod chaos;
mod evasions;
mod hook;
mod hook_join;
mod kill;
mod launch;
mod launch_filter;
mod launch_view;
mod life;
mod loopback;
mod mcp;
mod names;
mod one_shot;
mod oom;
mod peers;
mod records;
mod reload;
pub(crate) mod service;
mod snoop;
mod start;

use serde_json::{Value, json};
use xtask::world::place::{NAMELESS_V4, NAMELESS_V6};

/// Allows `*.allowed.test` and the nameless addresses, on the ports of the echo and of nothing.
pub(crate) fn policy() -> Value {
    json!({
        "version": 1,
        "network": {
            "allow": [
                { "name": "allowed", "hosts": ["*.allowed.test", "edge.cdn.test"], "ports": PORTS },
                { "name": "nameless", "cidrs": [NAMELESS_V4, NAMELESS_V6], "ports": PORTS },
            ],
        },
    })
}

/// A policy that allows one address.
pub(crate) fn only(addresses: &[std::net::Ipv4Addr]) -> Value {
    json!({
        "version": 1,
        "network": { "allow": [{ "name": "only", "cidrs": addresses, "ports": PORTS }] },
    })
}

/// 9000 is the echo; nothing listens on 4.
const PORTS: [&str; 3] = ["9000/tcp", "9000/udp", "4/tcp"];
