//! The daemon may be killed at any moment: what it enforced stays, what runs goes on, and the next
//! one takes over where it was.

use std::{fs, process::Stdio, time::Duration};

use xtask::world::{
    daemon::Daemon,
    place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4},
    wait_for, web,
};

use super::{PORTS, only, policy};
use crate::{agent::Agent, harness::TestWorld};

/// What `*.allowed.test` resolves to.
const BOTH: &str = "2001:db8:10::10 203.0.113.10";

#[test]
fn a_killed_daemon_opens_nothing_and_the_next_one_takes_over() {
    let mut world = TestWorld::guarded(policy());
    let mut agent = Agent::start(&world);
    agent.expect("lookup before.allowed.test", BOTH);
    agent.expect(&format!("open live {ALLOWED_V4} 9000"), "ok");
    let capture = world.capture(&format!("host {DENIED_V4}"));
    // Nothing listens on port 4: who is refused by the other side got through.
    agent.expect(&format!("loop allowed {NAMELESS_V4} 4"), "ok");
    agent.expect(&format!("loop denied {DENIED_V4} 4"), "ok");
    for round in 0..4 {
        if round % 2 == 1 {
            signal(&world, "HUP");
        }
        with_daemon(&mut world, |daemon, _| daemon.kill());
        agent.expect("talk live", "ok");
        agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
        agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
        agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
        assert_eq!(agent.does("lookup while-dead.allowed.test"), "EAI_AGAIN");
        with_daemon(&mut world, Daemon::start);
        agent.expect("talk live", "ok");
        // The lease from before the kill, and a new name.
        agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
        agent.expect("lookup after.allowed.test", BOTH);
    }
    let allowed = agent.counts("stop allowed");
    let denied = agent.counts("stop denied");
    assert!(
        allowed.len() == 1 && allowed["ECONNREFUSED"] > 100,
        "{allowed:?}\n{}",
        world.report()
    );
    assert!(
        denied.len() == 1 && denied["EPERM"] > 100,
        "{denied:?}\n{}",
        world.report()
    );
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
    let audit = world
        .daemon()
        .expect("one")
        .files()
        .audit
        .display()
        .to_string();
    world.ctl(&["log", "verify", &audit]).works();
    world
        .ctl(&["why", "after.allowed.test:9000"])
        .works()
        .says("after.allowed.test");
}

#[test]
fn a_restarted_daemon_knows_the_names_behind_the_leases() {
    let mut world = TestWorld::guarded(policy());
    let mut agent = Agent::start(&world);
    agent.does("lookup kept.allowed.test");
    with_daemon(&mut world, |daemon, _| daemon.kill());
    with_daemon(&mut world, Daemon::start);
    world
        .ctl(&["why", "kept.allowed.test:9000"])
        .works()
        .says("kept.allowed.test -> ");
    agent.expect(&format!("connect {ALLOWED_V4} 5432"), "EPERM");
    world.records_a_denial_of("kept.allowed.test");
    let log = world.daemon().expect("one").log();
    assert!(log.contains("taken over"), "{log}");
}

#[test]
fn a_policy_whose_reload_was_killed_leaves_nothing_behind() {
    let own = only(&[NAMELESS_V4]);
    // Large enough that its reload takes a while.
    let mut cidrs: Vec<String> = (0..40_000_u32)
        .map(|n| format!("210.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    cidrs.insert(0, DENIED_V4.to_string());
    let large = serde_json::json!({
        "version": 1,
        "network": { "allow": [{ "name": "large", "cidrs": cidrs, "ports": PORTS }] },
    });
    let mut world = TestWorld::guarded(own.clone());
    let mut agent = Agent::start(&world);
    for round in 0..12 {
        let daemon = world.daemon().expect("there is an egressd");
        daemon.write_policy(&large).expect("the file is ours");
        signal(&world, "HUP");
        // Wherever that meets it.
        std::thread::sleep(Duration::from_millis(100 + 30 * round));
        with_daemon(&mut world, |daemon, _| daemon.kill());
        let daemon = world.daemon().expect("there is an egressd");
        daemon.write_policy(&own).expect("the file is ours");
        with_daemon(&mut world, Daemon::start);
        agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
        agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    }
}

#[test]
fn a_start_that_is_killed_opens_nothing() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let capture = world.capture(&format!("host {DENIED_V4}"));
    agent.expect(&format!("loop allowed {NAMELESS_V4} 4"), "ok");
    agent.expect(&format!("loop denied {DENIED_V4} 4"), "ok");
    with_daemon(&mut world, |daemon, _| daemon.kill());
    let pins = world
        .machine()
        .path(&world.daemon().expect("one").files().pins);
    let mut guard = fs::read_dir(&pins).expect("it is pinned").flatten();
    let guard = guard.next().expect("there is a guard").path();
    for round in 0..16 {
        // Every other start replaces what is pinned.
        if round % 2 == 0 {
            let sets: Vec<_> = fs::read_dir(&guard)
                .expect("it is pinned")
                .flatten()
                .collect();
            for (number, set) in sets.iter().enumerate() {
                let name = format!("abi0-{round:02}{number}");
                fs::rename(set.path(), guard.join(name)).expect("it is pinned");
            }
        }
        let mut child = world
            .daemon()
            .expect("one")
            .spawn(&world)
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(15 * round));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        agent.expect("talk live", "ok");
    }
    with_daemon(&mut world, Daemon::start);
    agent.expect("talk live", "ok");
    let allowed = agent.counts("stop allowed");
    let denied = agent.counts("stop denied");
    let report = || format!("{allowed:?} {denied:?}\n{}", world.report());
    assert!(
        allowed.len() == 1 && allowed.contains_key("ECONNREFUSED"),
        "{}",
        report()
    );
    assert!(
        denied.len() == 1 && denied.contains_key("EPERM"),
        "{}",
        report()
    );
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
    agent.expect("lookup after.allowed.test", "EAI_AGAIN");
    world.ctl(&["status"]).works();
}

#[test]
fn a_transfer_goes_on_over_kill_and_restart() {
    let mut world = TestWorld::guarded(serde_json::json!({
        "version": 1,
        "network": { "allow": [
            // What the proxy carries ends with the daemon.
            { "name": "web", "hosts": ["web.allowed.test"], "ports": ["80/tcp"], "level": "address" },
        ] },
    }));
    let rate = (web::BIG / 3).to_string();
    let fetch = [
        "curl",
        "-sS",
        "--limit-rate",
        &rate,
        "-o",
        "big",
        "-w",
        "%{size_download}",
        "http://web.allowed.test/big",
    ];
    let transfer = world
        .guarded(&fetch)
        .expect("one")
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    let file = world.agent_home().join("big");
    let grown = |size: u64| {
        wait_for("the transfer", Duration::from_secs(10), || {
            fs::metadata(&file).is_ok_and(|file| file.len() > size)
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
        fs::metadata(&file).map_or(0, |file| file.len())
    };
    let begun = grown(0);
    kill_now(&world);
    grown(begun);
    with_daemon(&mut world, |daemon, _| daemon.kill());
    with_daemon(&mut world, Daemon::start);
    let ended = transfer.wait_with_output().expect("it was our child");
    let size = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && size == web::BIG.to_string(),
        "{}: {size} bytes\n{}",
        ended.status,
        world.report()
    );
}

#[track_caller]
fn with_daemon<T>(
    world: &mut TestWorld,
    work: impl FnOnce(&mut Daemon, &xtask::world::World) -> anyhow::Result<T>,
) -> T {
    match world.with_daemon(0, work) {
        Ok(done) => done,
        Err(error) => panic!("{error:#}\n{}", world.report()),
    }
}

fn signal(world: &TestWorld, name: &str) {
    let daemon = world.daemon().expect("there is an egressd");
    daemon.signal(name).expect("it runs");
}

/// SIGKILL without waiting.
fn kill_now(world: &TestWorld) {
    signal(world, "KILL");
}
