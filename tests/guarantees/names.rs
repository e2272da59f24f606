//! Names: what is allowed connects at the first try, what is denied is never asked for.

use serde_json::json;
use xtask::world::{World, place::EDGE_V4};

use crate::{agent::Agent, harness::TestWorld};

#[test]
fn ten_thousand_fresh_names_connect_at_once_and_none_is_refused() {
    const NAMES: u64 = 10_000;
    let policy = json!({
        "version": 1,
        "network": { "allow": [{ "name": "bulk", "hosts": ["*.bulk.test"], "ports": ["80/tcp"] }] },
        "dns": { "wildcard_names": 65536 },
    });
    let world = TestWorld::build(World::builder().policy(policy).bulk_names(10_000));
    // Two at a time, in sessions of their own.
    let mut agents = [Agent::start(&world), Agent::start(&world)];
    let lines = ["names 0 5000 80", "names 5000 5000 80"];
    for (agent, line) in agents.iter_mut().zip(lines) {
        agent.begins(line);
    }
    for (agent, line) in agents.iter_mut().zip(lines) {
        let counts = agent.ends_counting(line);
        // Every name has an address of each family.
        assert_eq!(
            counts.get("ok"),
            Some(&NAMES),
            "{counts:?}\n{}",
            world.report()
        );
        assert_eq!(counts.len(), 1, "{counts:?}\n{}", world.report());
    }
}

#[test]
fn a_denied_name_never_leaves_the_machine() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": {
            "allow": [
                { "name": "wild", "hosts": ["*.wild.test"], "ports": ["80/tcp"] },
            ],
            "deny": [{ "name": "never", "hosts": ["never.wild.test"] }],
        },
        "dns": { "wildcard_names": 4 },
    }));
    let capture = world.capture("port 53");
    let ways: [&[&str]; 6] = [
        &[],
        &["+tcp"],
        &["+noedns"],
        &["+bufsize=4096", "+cookie", "+subnet=192.0.2.0/24"],
        &["@198.51.100.53"],
        &["@2001:db8:ff::53", "+tcp"],
    ];
    let denied = [
        ("web.denied.test", "A"),
        ("web.denied.test", "AAAA"),
        ("web.denied.test", "TXT"),
        ("never.wild.test", "A"),
        // Looks like carried data.
        ("x7f3k9q2m4z8w1p6v0t5r3n8b2c7d1.wild.test", "A"),
        // Not one label.
        ("a.b.wild.test", "A"),
        ("wild.test", "A"),
    ];
    for way in ways {
        for (name, kind) in denied {
            refused(&world, &[way, &[kind, name]].concat());
        }
    }
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());

    // The budget belongs to a session: one process asks for all.
    let mut agent = Agent::start(&world);
    for number in 0..4 {
        agent.expect(
            &format!("lookup within{number}.wild.test"),
            "2001:db8:64::64 203.0.113.100",
        );
    }
    let capture = world.capture("port 53");
    for number in 0..20 {
        agent.expect(&format!("lookup beyond{number}.wild.test"), "EAI_AGAIN");
    }
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
    agent.expect("lookup within0.wild.test", "2001:db8:64::64 203.0.113.100");
    agent.expect(&format!("connect {EDGE_V4} 80"), "ok");
    for reason in [
        "name-denied",
        "denied-by-rule",
        "suspicious-name",
        "name-budget",
    ] {
        world.records_a_denial_of(reason);
    }
}

#[track_caller]
fn refused(world: &TestWorld, words: &[&str]) {
    let run = world.run(&[&["dig", "+tries=1", "+time=3"], words].concat());
    run.works().says("status: REFUSED");
}
