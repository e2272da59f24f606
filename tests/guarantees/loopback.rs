//! Listeners on this machine: those of the own session when the policy says so, and no others;
//! and whom the session's own listeners may answer.

use serde_json::{Value, json};
use xtask::world::place::MACHINE_V4;

use crate::{agent::Agent, harness::TestWorld};

#[test]
fn a_listener_of_the_same_session_is_reachable_and_no_other() {
    let world = TestWorld::guarded(with_loopback(&json!(["session"])));
    let mut agent = Agent::start(&world);
    let mut neighbour = Agent::start(&world);
    let mut outsider = Agent::unguarded(&world);
    for address in ["127.0.0.1", "::1", "127.0.0.9"] {
        let own = agent.does(&format!("listen own{address} {address}"));
        let next = neighbour.does(&format!("listen next{address} {address}"));
        let outer = outsider.does(&format!("listen outer{address} {address}"));
        agent.expect(&format!("open {address} {address} {own}"), "ok");
        agent.expect(&format!("talk {address}"), "ok");
        agent.expect(&format!("connect {address} {next}"), "EPERM");
        agent.expect(&format!("connect {address} {outer}"), "EPERM");
        neighbour.expect(&format!("connect {address} {own}"), "EPERM");
        neighbour.expect(&format!("connect {address} {next}"), "ok");
    }
    world.records_a_denial_of("loopback");
}

#[test]
fn without_a_word_no_listener_on_loopback_is_reachable() {
    let world = TestWorld::guarded(with_loopback(&json!([])));
    let mut agent = Agent::start(&world);
    let own = agent.does("listen own 127.0.0.1");
    agent.expect(&format!("connect 127.0.0.1 {own}"), "EPERM");
    agent.expect(&format!("connect ::ffff:127.0.0.1 {own}"), "EPERM");
    agent.expect(&format!("connect 0.0.0.0 {own}"), "EPERM");
    agent.expect(&format!("connect {MACHINE_V4} {own}"), "EPERM");
}

#[test]
fn a_loopback_port_that_the_policy_opens_is_reachable_whoever_listens() {
    let world = TestWorld::guarded(with_loopback(&json!(["30000-65535/tcp"])));
    let mut agent = Agent::start(&world);
    let mut outsider = Agent::unguarded(&world);
    let port = outsider.does("listen outer 127.0.0.1");
    agent.expect(&format!("open through 127.0.0.1 {port}"), "ok");
    agent.expect("talk through", "ok");
    agent.expect("connect 127.0.0.1 80", "EPERM");
}

#[test]
fn a_listener_of_the_session_answers_nobody_outside() {
    let world = TestWorld::guarded(with_loopback(&json!(["session"])));
    let mut agent = Agent::start(&world);
    let mut outsider = Agent::unguarded(&world);
    for address in ["127.0.0.1", "::1", "192.0.2.2"] {
        let port = agent.does(&format!("listen {address} {address}"));
        outsider.expect(&format!("connect {address} {port}"), "silence");
    }
    world.records_a_denial_of("inbound");
}

#[test]
fn inbound_loopback_answers_this_machine_and_no_other_address() {
    let mut policy = with_loopback(&json!([]));
    policy["network"]["inbound"] = json!("loopback");
    let world = TestWorld::guarded(policy);
    let mut agent = Agent::start(&world);
    let mut outsider = Agent::unguarded(&world);
    for address in ["127.0.0.1", "::1"] {
        let port = agent.does(&format!("listen {address} {address}"));
        outsider.expect(&format!("open {address} {address} {port}"), "ok");
        outsider.expect(&format!("talk {address}"), "ok");
    }
    // From the internet's side of the link.
    let port = agent.does("listen wide 192.0.2.2");
    let script = format!("nc -w 1 192.0.2.2 {port} </dev/null");
    let outside = world
        .internet()
        .command("sh")
        .args(["-c", &script])
        .status()
        .expect("sh runs");
    assert!(!outside.success());
}

fn with_loopback(allow: &Value) -> Value {
    json!({ "version": 1, "network": { "loopback": { "allow": allow } } })
}
