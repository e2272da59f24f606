//! `egressd run --policy P -- CMD`: one command under a guard of its own, and nothing left of it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use xtask::world::{
    cgroup,
    place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4},
};

use super::{only, policy, service::Service};
use crate::harness::{Run, TestWorld};

#[test]
fn one_shot_guards_one_command_and_leaves_nothing() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "shot");
    let policy = service.policy("policy.json", &policy());
    let script = format!(
        "nc -w 1 -N {NAMELESS_V4} 9000 </dev/null && echo through; nc -w 1 {DENIED_V4} 9000; getent hosts one.allowed.test; id -u; exit 9"
    );
    let run = shot(
        &world,
        &service,
        &["--policy", &policy, "--user", "nobody"],
        &["sh", "-c", &script],
    );
    run.must(run.outcome.status == 9, "should have ended with 9");
    run.says("through").says("65534").says("one.allowed.test");
    run.says("egressd denied 1 attempt of this run:")
        .says(&format!("1x {DENIED_V4}:9000/tcp  no-rule"))
        .says("to allow it, add to network.allow: ");
    let audit = service.audit.display().to_string();
    let verified = world.finish(
        world
            .unguarded(&["egressctl", "log", "verify", &audit])
            .as_root()
            .run(),
    );
    verified.works();
}

#[test]
fn one_shot_returns_what_happened_to_the_command() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "shot");
    let policy = service.policy("policy.json", &policy());
    let options = ["--policy", policy.as_str(), "--user", "nobody"];
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["/no/such/program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let run = shot(&world, &service, &options, command);
        run.must(
            run.outcome.status == status,
            &format!("should have ended with {status}"),
        );
    }
    let run = shot(&world, &service, &["--policy", &policy], &["true"]);
    run.must(run.outcome.status == 125, "should have refused root");
    run.says("--allow-root");
}

#[test]
fn one_shot_ends_what_the_command_left_running() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "shot");
    let policy = service.policy("policy.json", &policy());
    let script = "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!";
    let begun = Instant::now();
    let run = shot(
        &world,
        &service,
        &["--policy", &policy, "--user", "nobody"],
        &["sh", "-c", script],
    );
    run.works();
    assert!(begun.elapsed() < Duration::from_secs(10), "{}", run.outcome);
    // Gone, or dead and not yet buried by whoever adopted it.
    let pid = run.outcome.stdout.trim();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_dead = status.is_empty() || status.contains("State:\tZ");
    assert!(!pid.is_empty() && is_dead, "{status}\n{}", run.outcome);
}

#[test]
fn one_shot_refuses_a_policy_that_others_can_write_unless_it_is_trusted_by_name() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "shot");
    let path = world.agent_home().join("policy.json");
    let mut policy = only(&[ALLOWED_V4]);
    policy["audit"] = json!({ "file": service.audit });
    fs::write(&path, policy.to_string()).expect("we are root");
    let policy = path.display().to_string();
    let options = ["--policy", policy.as_str(), "--user", "nobody"];
    let run = shot(&world, &service, &options, &["true"]);
    run.must(run.outcome.status == 2, "should have ended with 2");
    run.says("chown root:root");
    let run = shot(
        &world,
        &service,
        &[&options[..], &["--trust-policy"]].concat(),
        &["true"],
    );
    run.works();
}

/// Runs a command with `egressd run`; nothing of the run may stay behind.
#[track_caller]
fn shot<'world>(
    world: &'world TestWorld,
    service: &Service,
    options: &[&str],
    command: &[&str],
) -> Run<'world> {
    let before = left_behind();
    let pins = service.pins.display().to_string();
    let words = [
        &["egressd", "run", "--pin-dir", &pins],
        options,
        &["--"],
        command,
    ]
    .concat();
    let run = world.finish(world.unguarded(&words).as_root().run());
    let pinned = fs::read_dir(world.machine().path(&service.pins)).map(Iterator::count);
    run.must(pinned.unwrap_or(0) == 0, "should have left no pins");
    let left: Vec<_> = left_behind().difference(&before).cloned().collect();
    run.must(
        left.is_empty(),
        &format!("should have left nothing: {left:?}"),
    );
    run
}

/// Cgroups and directories of runs that are over. Other tests have runs of their own; those live.
fn left_behind() -> BTreeSet<PathBuf> {
    let places = [
        cgroup::mount_point().expect("there is one"),
        PathBuf::from("/run"),
    ];
    let entries = places
        .iter()
        .flat_map(|place| fs::read_dir(place).expect("it is there").flatten());
    entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix("egressd-run-");
            pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        })
        .map(|entry| entry.path())
        .collect()
}
