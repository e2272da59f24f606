//! The upstream resolver is dead, slow, lying, truncating, or says too much.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use xtask::world::{
    World,
    place::{ALLOWED_V4, DENIED_V4, INTRANET_V4},
    wait_for,
};

use super::stub::{self, ADDRESS, DEAD, MANY, Stub};
use crate::{agent::Agent, harness::TestWorld};

/// What egressd waits for its upstream, and a little more.
const PATIENCE: Duration = Duration::from_millis(5_500);

#[test]
fn a_dead_upstream_is_a_failure_at_once() {
    let world = world(&[DEAD], &json!({}));
    let run = ask(
        &world,
        "web.allowed.test",
        "SERVFAIL",
        Duration::from_secs(2),
    );
    assert!(run.contains("EDE: 22"), "{run}");
    fails_without_a_lease(&world, "upstream-failed");
}

#[test]
fn the_next_upstream_stands_in_for_a_dead_one() {
    let world = world(&[DEAD, ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    let run = ask(
        &world,
        "web.allowed.test",
        "NOERROR",
        Duration::from_secs(2),
    );
    assert!(run.contains(&ALLOWED_V4.to_string()), "{run}");
}

#[test]
fn a_slow_upstream_is_waited_for_and_holds_up_nobody_else() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    let mut slow = Agent::start(&world);
    let mut quick = Agent::start(&world);
    slow.begins("lookup4 slow.allowed.test");
    let begun = Instant::now();
    quick.expect("lookup4 quick.allowed.test", "203.0.113.10");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(slow.ends("lookup4"), "203.0.113.10", "{}", world.report());
    slow.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
}

#[test]
fn a_silent_upstream_is_a_failure_after_four_seconds() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    ask(&world, "silent.allowed.test", "SERVFAIL", PATIENCE);
    fails_without_a_lease(&world, "upstream-failed");
}

#[test]
fn lies_are_not_listened_to() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    // Every one of them gets a session of its own; all at once, as each takes its time.
    let mut agents = ["wrong-id", "wrong-question", "garbage"].map(|name| {
        let mut agent = Agent::start(&world);
        agent.begins(&format!("lookup4 {name}.allowed.test"));
        agent
    });
    for agent in &mut agents {
        let answer = agent.ends("lookup4");
        assert_eq!(answer, "EAI_AGAIN", "{}", world.report());
        agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
        agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    }
    let mut agent = Agent::start(&world);
    agent.expect("lookup4 forged.allowed.test", "203.0.113.10");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    world.records_a_denial_of("upstream-failed");
}

#[test]
fn a_failing_upstream_is_a_failure_at_once() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    ask(
        &world,
        "failing.allowed.test",
        "SERVFAIL",
        Duration::from_secs(2),
    );
    fails_without_a_lease(&world, "upstream-failed");
}

#[test]
fn a_public_name_does_not_lead_into_private_space() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    let mut agent = Agent::start(&world);
    assert_eq!(
        agent.does("lookup4 private.allowed.test"),
        "EAI_AGAIN",
        "{}",
        world.report()
    );
    agent.expect(&format!("connect {INTRANET_V4} 9000"), "EPERM");
    world.records_a_denial_of("private-answer");
    agent.expect("lookup4 mixed.allowed.test", "203.0.113.10");
    agent.expect(&format!("connect {INTRANET_V4} 9000"), "EPERM");
}

#[test]
fn a_name_that_may_be_private_leads_there() {
    let world = world(&[ADDRESS], &json!({ "private": ["private.allowed.test"] }));
    let _stub = Stub::start(&world);
    let mut agent = Agent::start(&world);
    agent.expect("lookup4 private.allowed.test", "10.20.0.5");
    agent.expect(&format!("connect {INTRANET_V4} 9000"), "ok");
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let world = world(&[ADDRESS], &json!({}));
    let _stub = Stub::start(&world);
    let run = ask(
        &world,
        "truncated.allowed.test",
        "NOERROR",
        Duration::from_secs(2),
    );
    assert!(run.contains(&ALLOWED_V4.to_string()), "{run}");
    // TCP is closed without a word.
    ask(
        &world,
        "cut-short.allowed.test",
        "SERVFAIL",
        Duration::from_secs(2),
    );
}

#[test]
fn of_four_thousand_records_no_more_are_leased_than_are_told() {
    let world = world(&[ADDRESS], &json!({ "addresses_per_name": 16 }));
    let _stub = Stub::start(&world);
    let mut agent = Agent::start(&world);
    let told = agent.does("lookup4 many.allowed.test");
    let told: Vec<&str> = told.split(' ').collect();
    assert!(
        !told.is_empty() && told.len() <= 16,
        "{told:?}\n{}",
        world.report()
    );
    let leases = status(&world)["guards"][0]["leases"].as_u64();
    assert_eq!(leases, Some(told.len() as u64), "{}", world.report());
    // They are routed nowhere: what is allowed leaves, and that is all.
    for address in &told {
        agent.expect(&format!("send {address} 9000"), "ok");
    }
    let untold = (0..MANY)
        .map(|n| stub::many(n).to_string())
        .filter(|address| !told.contains(&address.as_str()));
    for address in untold.step_by(100) {
        agent.expect(&format!("send {address} 9000"), "EPERM");
    }
}

/// A guarded machine whose resolv.conf names these servers.
fn world(upstreams: &[Ipv4Addr], dns: &Value) -> TestWorld {
    let policy = json!({
        "version": 1,
        "network": { "allow": [{ "name": "allowed", "hosts": ["*.allowed.test"], "ports": ["9000/tcp", "9000/udp"] }] },
        "dns": dns,
    });
    let lines: Vec<_> = upstreams
        .iter()
        .map(|address| format!("nameserver {address}"))
        .collect();
    let conf = lines.join(
        "
",
    );
    TestWorld::build(World::builder().policy(policy).resolv_conf(&conf))
}

/// Asks once, for an answer with this status within this time; returns what dig said.
#[track_caller]
fn ask(world: &TestWorld, name: &str, status: &str, limit: Duration) -> String {
    let run = world.run(&["dig", "+tries=1", "+time=8", "A", name]);
    run.works().says(&format!("status: {status}"));
    run.must(
        run.outcome.took < limit,
        &format!("should have been answered within {limit:?}"),
    );
    run.outcome.stdout
}

#[track_caller]
fn fails_without_a_lease(world: &TestWorld, reason: &str) {
    world.records_a_denial_of(reason);
    let settled = wait_for("no leases", Duration::from_secs(2), || {
        status(world)["guards"][0]["leases"] == 0
    });
    assert!(settled.is_ok(), "{}", world.report());
}

#[track_caller]
fn status(world: &TestWorld) -> Value {
    let run = world.ctl(&["status", "--json"]);
    serde_json::from_str(&run.outcome.stdout).expect("it is JSON")
}
