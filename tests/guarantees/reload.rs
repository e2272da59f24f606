//! A reload is one instant: before it the old policy holds, after it the new one, and at no time
//! neither.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::{Value, json};
use xtask::world::{
    place::{ALLOWED_V4, DENIED_V4, EDGE_V4, NAMELESS_V4},
    wait_for,
};

use super::{PORTS, only};
use crate::{agent::Agent, harness::TestWorld};

#[test]
fn two_hundred_thousand_connects_never_see_a_mixture_of_policies() {
    const CONNECTS: u64 = 200_000;
    let policies = [
        only(&[NAMELESS_V4, ALLOWED_V4]),
        only(&[NAMELESS_V4, EDGE_V4]),
    ];
    let world = TestWorld::guarded(policies[0].clone());
    let capture = world.capture(&format!("host {DENIED_V4}"));
    let targets: [(&str, Ipv4Addr); 4] = [
        ("both", NAMELESS_V4),
        ("first", ALLOWED_V4),
        ("second", EDGE_V4),
        ("none", DENIED_V4),
    ];
    let mut live = Agent::start(&world);
    live.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let mut agents = targets.map(|(key, address)| {
        let mut agent = Agent::start(&world);
        // Nothing listens on port 4: who is refused by the other side got through.
        agent.expect(&format!("loop {key} {address} 4"), "ok");
        (key, agent)
    });
    let mut reloads = 0;
    loop {
        for policy in policies.iter().rev() {
            reload(&world, policy);
            reloads += 1;
        }
        live.expect("talk live", "ok");
        let counts = agents.each_mut().map(|(key, agent)| {
            let count = agent.does(&format!("count {key}"));
            count.parse::<u64>().expect("a count")
        });
        if counts.iter().sum::<u64>() >= CONNECTS && reloads >= 20 {
            break;
        }
    }
    let outcomes = agents
        .each_mut()
        .map(|(key, agent)| agent.counts(&format!("stop {key}")));
    let [both, first, second, none] = &outcomes;
    let report = || format!("{outcomes:?} after {reloads} reloads\n{}", world.report());
    assert!(
        both.len() == 1 && both.contains_key("ECONNREFUSED"),
        "{}",
        report()
    );
    assert!(
        none.len() == 1 && none.contains_key("EPERM"),
        "{}",
        report()
    );
    // These met both policies: it was a race.
    for one in [first, second] {
        assert!(
            one.contains_key("ECONNREFUSED") && one.contains_key("EPERM"),
            "{}",
            report()
        );
    }
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
}

#[test]
fn a_transfer_ends_when_its_rule_is_revoked() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4, ALLOWED_V4]));
    let mut agent = Agent::start(&world);
    for (key, address) in [("kept", NAMELESS_V4), ("cut", ALLOWED_V4)] {
        agent.expect(&format!("open {key} {address} 9000"), "ok");
        agent.expect(&format!("talk {key}"), "ok");
    }
    reload(&world, &only(&[NAMELESS_V4]));
    let capture = world.capture(&format!("host {ALLOWED_V4}"));
    agent.expect("talk kept", "ok");
    agent.expect("talk cut 0.5", "silence");
    let sent: Vec<_> = world
        .packets(&capture)
        .into_iter()
        .filter(|line| line.contains(&format!("> {ALLOWED_V4}")))
        .collect();
    assert!(sent.is_empty(), "{sent:#?}\n{}", world.report());
    world.records_a_denial_of("revoked");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
}

#[test]
fn a_transfer_outlives_its_lease_and_nothing_new_begins_under_it() {
    let world = TestWorld::guarded(short_leases(&["short.allowed.test"]));
    let mut agent = Agent::start(&world);
    agent.does("lookup short.allowed.test");
    agent.expect(&format!("open live {ALLOWED_V4} 9000"), "ok");
    wait_for("the end of the lease", Duration::from_secs(10), || {
        agent.does(&format!("connect {ALLOWED_V4} 9000")) == "EPERM"
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    world.records_a_denial_of("lease-expired");
    agent.expect("talk live", "ok");
    // A policy that still allows the name changes nothing for it.
    reload(
        &world,
        &short_leases(&["short.allowed.test", "other.allowed.test"]),
    );
    agent.expect("talk live", "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    reload(&world, &short_leases(&["other.allowed.test"]));
    agent.expect("talk live 0.5", "silence");
    world.records_a_denial_of("revoked");
}

#[test]
fn a_bad_policy_leaves_the_old_one_in_force() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mut agent = Agent::start(&world);
    let still = |agent: &mut Agent| {
        agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
        agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    };
    for bad in [
        r#"{ "version": 1, "network": { "allow": [{ "name": "a", "cidrs": ["0.0.0.0/0"] }] } }"#,
        "{ \"version\": 1,\n  \"netwrok\": {} }",
        "not JSON",
        "",
    ] {
        std::fs::write(&daemon.files().policy, bad).expect("the file is ours");
        let run = world.ctl(&["reload"]);
        run.must(run.outcome.status == 3, "should have ended with status 3");
        run.says("old policy stays").says("policy.json:");
        still(&mut agent);
    }
    let before = refusals(&world);
    daemon.signal("HUP").expect("it runs");
    wait_for("the refusal", Duration::from_secs(5), || {
        refusals(&world) > before
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    still(&mut agent);
    reload(&world, &only(&[ALLOWED_V4]));
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
}

#[test]
fn a_hangup_reloads() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    daemon
        .write_policy(&only(&[ALLOWED_V4]))
        .expect("the file is ours");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    daemon.signal("HUP").expect("it runs");
    wait_for("the new policy", Duration::from_secs(5), || {
        agent.does(&format!("connect {ALLOWED_V4} 9000")) == "ok"
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
}

fn refusals(world: &TestWorld) -> usize {
    let records = world.daemon().expect("one").audit();
    records
        .iter()
        .filter(|record| record["event"] == "policy-refused")
        .count()
}

/// Leases that end with the time to live, after a second at most.
fn short_leases(hosts: &[&str]) -> Value {
    json!({
        "version": 1,
        "network": { "allow": [{ "name": "short", "hosts": hosts, "ports": PORTS }] },
        "dns": { "ttl_min": "0s", "ttl_max": "1s", "grace": "0s" },
    })
}

#[track_caller]
fn reload(world: &TestWorld, policy: &Value) {
    let daemon = world.daemon().expect("there is an egressd");
    daemon.write_policy(policy).expect("the file is ours");
    world.ctl(&["reload"]).works();
}
