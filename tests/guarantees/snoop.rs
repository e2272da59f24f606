//! `dns.mode: snoop`: the machine's resolver is asked as ever, and leases come from its answers.

use serde_json::json;
use xtask::world::place::{ALLOWED_V4, ALLOWED_V6, DENIED_V4, STRANGER_V4};

use crate::{agent::Agent, harness::TestWorld};

#[test]
fn an_answer_of_the_trusted_resolver_becomes_a_lease_and_no_other_does() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "allowed", "hosts": ["*.allowed.test"], "ports": ["9000/tcp"] },
        ] },
        "dns": { "mode": "snoop" },
    }));
    let mut agent = Agent::start(&world);
    let allowed = [
        format!("connect {ALLOWED_V4} 9000"),
        format!("connect {ALLOWED_V6} 9000"),
    ];
    for connect in &allowed {
        agent.expect(connect, "EPERM");
    }

    // The question leaves, as the status says, and its answer opens nothing.
    agent.expect("lookup4 web.denied.test", &DENIED_V4.to_string());
    let both = agent.does("lookup web.allowed.test");
    assert!(both.contains(&ALLOWED_V6.to_string()), "{both}");
    for connect in &allowed {
        // Best effort: the answer may reach the agent before its lease stands.
        agent.becomes(connect, "ok");
    }
    // Answers are taken in the order in which they pass: this one was, before the other.
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    // The lease is for the name's ports only.
    agent.expect(&format!("connect {ALLOWED_V4} 5432"), "EPERM");
    // A server that the machine did not choose is not to be asked.
    agent.expect(&format!("send {STRANGER_V4} 53"), "EPERM");
}

#[test]
fn a_lease_is_of_the_session_that_asked() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "allowed", "hosts": ["*.allowed.test"], "ports": ["9000/tcp"] },
        ] },
        "dns": { "mode": "snoop" },
    }));
    let (mut asker, mut other) = (Agent::start(&world), Agent::start(&world));
    asker.expect("lookup4 web.allowed.test", &ALLOWED_V4.to_string());
    let connect = format!("connect {ALLOWED_V4} 9000");
    asker.becomes(&connect, "ok");
    other.expect(&connect, "EPERM");
}
