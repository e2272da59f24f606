//! What another egressd left pinned.

use std::fs;

use xtask::world::{
    daemon::Daemon,
    place::{DENIED_V4, NAMELESS_V4},
};

use crate::{agent::Agent, guarantees::only, harness::TestWorld};

#[test]
fn pins_of_another_abi_are_replaced_without_a_gap() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let capture = world.capture(&format!("host {DENIED_V4}"));
    agent.expect(&format!("loop allowed {NAMELESS_V4} 4"), "ok");
    agent.expect(&format!("loop denied {DENIED_V4} 4"), "ok");
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it runs");
    let pins = world
        .machine()
        .path(&world.daemon().expect("one").files().pins);
    let guard = only_entry(&pins);
    fs::rename(only_entry(&guard), guard.join("abi0-0123456789ab")).expect("a set is pinned");
    world.with_daemon(0, Daemon::start).expect("it starts");
    let log = world.daemon().expect("one").log();
    assert!(
        log.contains("replaced") && log.contains("abi0-0123456789ab"),
        "{log}"
    );
    agent.expect("talk live", "ok");
    let allowed = agent.counts("stop allowed");
    let denied = agent.counts("stop denied");
    assert!(
        allowed.len() == 1 && allowed.contains_key("ECONNREFUSED"),
        "{allowed:?}\n{log}"
    );
    assert!(
        denied.len() == 1 && denied.contains_key("EPERM"),
        "{denied:?}\n{log}"
    );
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
    let name = only_entry(&guard);
    assert!(!name.ends_with("abi0-0123456789ab"), "{}", name.display());
}

#[test]
fn half_a_set_of_pins_is_replaced() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let mut agent = Agent::start(&world);
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it runs");
    let pins = world
        .machine()
        .path(&world.daemon().expect("one").files().pins);
    let set = only_entry(&only_entry(&pins));
    fs::remove_file(set.join("links/connect4")).expect("it is pinned");
    world.with_daemon(0, Daemon::start).expect("it starts");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    world.ctl(&["status"]).works();
}

#[test]
fn a_cgroup_that_was_removed_and_made_again_is_guarded_again() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it runs");
    let mount = xtask::world::cgroup::mount_point().expect("there is one");
    let cgroup = mount.join(world.daemon().expect("one").cgroup());
    fs::remove_dir(&cgroup).expect("nothing runs in it");
    fs::create_dir(&cgroup).expect("we are root");
    world.with_daemon(0, Daemon::start).expect("it starts");
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
}

#[track_caller]
fn only_entry(directory: &std::path::Path) -> std::path::PathBuf {
    let mut entries = fs::read_dir(directory).expect("it is there").flatten();
    let first = entries.next().expect("it holds something").path();
    assert!(
        entries.next().is_none(),
        "{} holds more",
        directory.display()
    );
    first
}
