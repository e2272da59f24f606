//! The kernel's tables have an end. What does not fit is refused, and nothing else changes.

use std::time::Duration;

use serde_json::{Value, json};
use xtask::world::place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4};

use crate::{
    agent::Agent,
    guarantees::{only, service::Service},
    harness::TestWorld,
};

#[test]
fn a_policy_that_does_not_fit_leaves_the_old_one_in_force() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let daemon = world.daemon().expect("there is an egressd");
    daemon.write_policy(&too_large()).expect("the file is ours");
    let socket = daemon.files().socket.display().to_string();
    let client = world
        .unguarded(&["egressctl", "--socket", &socket, "reload"])
        .as_root();
    let run = world.finish(client.within(Duration::from_mins(1)).run());
    run.must(run.outcome.status == 3, "should have ended with status 3");
    run.says("old policy stays")
        .says("does not fit into the kernel tables");
    agent.expect("talk live", "ok");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    // There is room again.
    daemon
        .write_policy(&only(&[ALLOWED_V4]))
        .expect("the file is ours");
    world.ctl(&["reload"]).works();
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
}

#[test]
fn a_policy_that_does_not_fit_at_the_start_is_refused() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "large");
    let policy = service.policy("policy.json", &too_large());
    let cgroup = format!("{}/large", world.cgroup().name());
    let words = service.words(&["--cgroup", &format!("{cgroup}={policy}")]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let client = world
        .unguarded(&words)
        .as_root()
        .within(Duration::from_mins(1));
    let run = world.finish(client.run());
    run.must(run.outcome.status == 3, "should have ended with status 3");
    run.says("does not fit into the kernel tables");
    let pins = world.machine().path(&service.pins);
    let left: Vec<_> = walk(&pins);
    run.must(
        left.is_empty(),
        &format!("should have left no pins: {left:?}"),
    );
}

/// An address in the kernel has room for four port sets at a time.
#[test]
fn a_lease_that_does_not_fit_is_no_answer() {
    let rules: Vec<Value> = (0..5)
        .map(|n| {
            json!({
                "name": format!("rule{n}"), "hosts": [format!("name{n}.allowed.test")], "ports": [format!("{}/tcp", 9000 + n)],
            })
        })
        .collect();
    let world = TestWorld::guarded(json!({ "version": 1, "network": { "allow": rules } }));
    let mut agent = Agent::start(&world);
    for n in 0..4 {
        agent.expect(&format!("lookup4 name{n}.allowed.test"), "203.0.113.10");
    }
    assert_eq!(
        agent.does("lookup4 name4.allowed.test"),
        "EAI_AGAIN",
        "{}",
        world.report()
    );
    agent.expect(&format!("connect {ALLOWED_V4} 9004"), "EPERM");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    world.records_a_denial_of("lease-failed");
}

/// More port prefixes than the table has places: a range can take 30 of them.
fn too_large() -> Value {
    let rules: Vec<Value> = (0..9_500)
        .map(|n| {
            let cidr = format!("10.{}.{}.0/24", n / 256, n % 256);
            json!({ "name": format!("rule{n}"), "cidrs": [cidr], "ports": ["1-65534/tcp"] })
        })
        .collect();
    json!({ "version": 1, "network": { "allow": rules } })
}

/// The plain files below a directory.
fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path()),
            _ => vec![entry.path()],
        })
        .collect()
}
