//! Every denial is recorded: who, what, which reason, what would allow it, and at once.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use xtask::world::{
    World,
    place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4},
    wait_for,
};

use super::{only, policy, service::records};
use crate::{agent::Agent, harness::TestWorld};

#[test]
fn a_record_says_who_what_and_why_and_what_would_allow_it() {
    let world = TestWorld::guarded(policy());
    let files = world.daemon().expect("there is an egressd").files();
    let mut agent = Agent::at(&world, &files.socket, &["--session", "told"]);
    let (pid, uid, comm) = agent.identity();
    agent.does("lookup known.allowed.test");

    agent.expect(&format!("connect {ALLOWED_V4} 5432"), "EPERM");
    agent.expect(&format!("send {DENIED_V4} 9000"), "EPERM");
    agent.expect("connect 2001:db8:ff::10 443", "EPERM");
    // UDP-Lite.
    agent.expect("socket 2 2 136", "EPERM");
    assert_eq!(agent.does("lookup web.denied.test"), "EAI_AGAIN");

    let flow = |protocol: &str, address: &str, port: u16| json!({ "protocol": protocol, "address": address, "port": port });
    let rule = |name: &str, key: &str, value: &str, port: &str| json!({ "name": name, key: [value], "ports": [port] });
    let expected = [
        json!({
            "event": "flow", "hook": "connect", "reason": "port-not-allowed", "name": "known.allowed.test",
            "flow": flow("tcp", &ALLOWED_V4.to_string(), 5432),
            "allow_with": rule("known.allowed.test-5432", "hosts", "known.allowed.test", "5432/tcp"),
        }),
        json!({
            "event": "flow", "hook": "sendmsg", "reason": "no-rule",
            "flow": flow("udp", &DENIED_V4.to_string(), 9000),
            "allow_with": rule("198.51.100.10-9000-udp", "cidrs", "198.51.100.10", "9000/udp"),
        }),
        json!({
            "event": "flow", "hook": "connect", "reason": "no-rule",
            "flow": flow("tcp", "2001:db8:ff::10", 443),
            "allow_with": { "cidrs": ["2001:db8:ff::10"], "ports": ["443/tcp"] },
        }),
        json!({
            "event": "socket", "hook": "socket", "reason": "unsupported-protocol",
            "flow": { "protocol": "udplite" },
        }),
        json!({
            "event": "question", "layer": "dns", "reason": "name-denied", "name": "web.denied.test", "qtype": "A",
            "allow_with": rule("web.denied.test", "hosts", "web.denied.test", "443/tcp"),
        }),
    ];
    for part in expected {
        let record = recorded(&world, &part);
        assert_eq!(record["verdict"], "deny", "{record}");
        assert_eq!(record["mode"], "enforce", "{record}");
        assert_eq!(record["session"], "told", "{record}");
        let process = json!({ "pid": pid, "uid": uid, "comm": comm });
        assert_eq!(record["process"], process, "{record}");
        assert!(record["time"].is_string(), "{record}");
    }
}

#[test]
fn what_only_the_packet_hook_sees_is_recorded_too() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4, ALLOWED_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mut agent = Agent::start(&world);
    let (pid, uid, comm) = agent.identity();
    agent.expect(&format!("open cut {ALLOWED_V4} 9000"), "ok");
    daemon
        .write_policy(&only(&[NAMELESS_V4]))
        .expect("the file is ours");
    world.ctl(&["reload"]).works();
    agent.expect("talk cut 0.3", "silence");
    let record = recorded(&world, &json!({ "hook": "packet", "reason": "revoked" }));
    assert_eq!(
        record["flow"],
        json!({ "protocol": "tcp", "address": ALLOWED_V4, "port": 9000 })
    );
    assert_eq!(
        record["process"],
        json!({ "pid": pid, "uid": uid, "comm": comm })
    );
}

#[test]
fn a_denial_is_in_the_log_within_milliseconds() {
    let world = TestWorld::guarded(policy());
    let audit = &world.daemon().expect("there is an egressd").files().audit;
    let mut agent = Agent::start(&world);
    let mut times: Vec<Duration> = (1..=21)
        .map(|port| {
            agent.expect(&format!("connect {DENIED_V4} {port}"), "EPERM");
            let denied = Instant::now();
            let part = json!({ "flow": { "address": DENIED_V4, "port": port } });
            while !records(audit).iter().any(|record| holds(record, &part)) {
                assert!(
                    denied.elapsed() < Duration::from_secs(2),
                    "{}",
                    world.report()
                );
                std::thread::sleep(Duration::from_micros(500));
            }
            denied.elapsed()
        })
        .collect();
    times.sort_unstable();
    // The machine may be busy once; the median says what is usual.
    assert!(times[10] < Duration::from_millis(20), "{times:?}");
}

#[test]
fn of_a_flood_of_denials_every_one_is_recorded_or_counted() {
    const DENIALS: u64 = 100_000;
    // The audit log must hold them all in one file.
    let directory = tempfile::Builder::new()
        .prefix("egressd-flood-")
        .tempdir_in("/var/lib")
        .expect("the tests run as root");
    let audit = directory.path().join("audit.jsonl");
    let world = TestWorld::build(World::builder().policy(json!({
        "version": 1,
        "audit": { "file": audit, "rotate": "1GiB" },
    })));
    let mut agent = Agent::start(&world);
    let counts = agent.counts(&format!("flood {DENIALS}"));
    assert_eq!(counts.get("EPERM"), Some(&DENIALS), "{counts:?}");
    // While it goes on, the daemon has a turn for others.
    let mut found = (0, 0);
    let settled = wait_for("all denials", Duration::from_secs(30), || {
        let records = records(&audit);
        let kept = records
            .iter()
            .filter(|record| record["verdict"] == "deny")
            .count() as u64;
        let lost = records.iter().filter(|record| record["event"] == "lost");
        let lost = lost
            .filter_map(|record| record["lost"]["kernel"].as_u64())
            .sum::<u64>();
        found = (kept, lost);
        kept + lost >= DENIALS
    });
    assert!(
        settled.is_ok() && found.0 + found.1 == DENIALS,
        "{found:?} {settled:?}\n{}",
        world.report()
    );
    let denied = counter(&world, "connect-denied");
    assert_eq!(denied, DENIALS, "{}", world.report());
    let path = audit.display().to_string();
    world.ctl(&["log", "verify", &path]).works();
    drop(agent);
    fs::remove_file(&audit).expect("it is there");
}

#[test]
fn a_flood_of_one_session_holds_up_no_other_and_no_request() {
    let world = TestWorld::guarded(policy());
    let mut flooding = Agent::start(&world);
    let mut other = Agent::start(&world);
    flooding.expect(&format!("loop one {DENIED_V4} 4"), "ok");
    flooding.expect(&format!("loop two {DENIED_V4} 5"), "ok");
    for round in 0..5 {
        let begun = Instant::now();
        other.expect(
            &format!("lookup calm{round}.allowed.test"),
            "2001:db8:10::10 203.0.113.10",
        );
        world.ctl(&["status"]).works();
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(2),
            "{took:?}\n{}",
            world.report()
        );
    }
    for key in ["one", "two"] {
        let counts = flooding.counts(&format!("stop {key}"));
        assert!(counts.len() == 1 && counts["EPERM"] > 100, "{counts:?}");
    }
}

#[test]
fn the_log_has_the_program_of_a_session_and_none_of_its_arguments() {
    let world = TestWorld::guarded(policy());
    world.run(&["true", "--token=hunter2"]).works();
    let begun = recorded(&world, &json!({ "event": "session-begin" }));
    let message = begun["message"].as_str().expect("a text");
    assert!(message.ends_with(": true"), "{message}");
    let daemon = world.daemon().expect("there is an egressd");
    let text = fs::read_to_string(&daemon.files().audit).expect("there is a log");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn observing_refuses_nothing_and_records_everything() {
    let mut observing = policy();
    observing["mode"] = json!("observe");
    let world = TestWorld::guarded(observing);
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {DENIED_V4} 9000"), "ok");
    agent.expect(&format!("ask {DENIED_V4} 9000"), "ok");
    agent.expect("lookup web.denied.test", "198.51.100.10 2001:db8:ff::10");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    for part in [
        json!({ "hook": "connect", "reason": "no-rule", "flow": { "address": DENIED_V4, "protocol": "tcp" } }),
        json!({ "hook": "sendmsg", "reason": "no-rule", "flow": { "address": DENIED_V4, "protocol": "udp" } }),
        json!({ "event": "question", "reason": "name-denied", "name": "web.denied.test" }),
    ] {
        let record = recorded(&world, &part);
        assert_eq!(
            (&record["verdict"], &record["mode"]),
            (&json!("deny"), &json!("observe"))
        );
    }
    world.ctl(&["status"]).says("observ");
}

#[test]
fn the_errno_of_a_denial_is_the_one_that_the_policy_names() {
    for errno in ["EPERM", "EACCES", "ECONNREFUSED"] {
        let mut policy = policy();
        policy["network"]["errno"] = json!(errno);
        let world = TestWorld::guarded(policy);
        let mut agent = Agent::start(&world);
        agent.expect(&format!("connect {DENIED_V4} 9000"), errno);
        agent.expect("connect 2001:db8:ff::10 9000", errno);
        agent.expect(&format!("send {DENIED_V4} 9000"), errno);
        agent.expect("send 2001:db8:ff::10 9000", errno);
    }
}

#[test]
fn allowed_flows_are_recorded_when_the_policy_says_so() {
    let directory = tempfile::Builder::new()
        .prefix("egressd-allowed-")
        .tempdir_in("/var/lib")
        .expect("the tests run as root");
    let audit = directory.path().join("audit.jsonl");
    let mut policy = policy();
    policy["audit"] = json!({ "file": audit, "allowed": true });
    let world = TestWorld::guarded(policy);
    Agent::start(&world).expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    let part = json!({ "verdict": "allow", "flow": { "address": NAMELESS_V4 }, "rule": { "name": "nameless" } });
    wait_for("the record", Duration::from_secs(2), || {
        records(&audit).iter().any(|record| holds(record, &part))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
}

/// Waits for a record that holds `part`.
#[track_caller]
fn recorded(world: &TestWorld, part: &Value) -> Value {
    let daemon = world.daemon().expect("there is an egressd");
    let mut found = None;
    let waited = wait_for("the record", Duration::from_secs(2), || {
        found = daemon
            .audit()
            .into_iter()
            .find(|record| holds(record, part));
        found.is_some()
    });
    assert!(waited.is_ok(), "no record of {part}\n{}", world.report());
    found.expect("it was found")
}

/// Whether every member of `part` is in `record`, objects member by member.
fn holds(record: &Value, part: &Value) -> bool {
    match (record, part) {
        (Value::Object(record), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| record.get(key).is_some_and(|value| holds(value, part))),
        (record, part) => record == part,
    }
}

#[track_caller]
fn counter(world: &TestWorld, name: &str) -> u64 {
    let run = world.ctl(&["status", "--json"]);
    let status: Value = serde_json::from_str(&run.works().outcome.stdout).expect("it is JSON");
    status["guards"][0]["counters"][name]
        .as_u64()
        .expect("a counter")
}
