//! Starting commands under the guard: their status, their signals, their end; and what is left.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;
use xtask::world::{
    cgroup,
    place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4},
    wait_for,
};

use super::{only, policy, service::Service};
use crate::harness::{Run, TestWorld};

#[test]
fn the_status_of_the_command_is_that_of_the_run() {
    let world = TestWorld::guarded(policy());
    for (script, status) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill $$", 143),
    ] {
        let run = world.run(&["sh", "-c", script]);
        run.must(
            run.outcome.status == status,
            &format!("should have ended with {status}"),
        );
    }
    let run = world.run(&["/no/such/program"]);
    run.must(run.outcome.status == 127, "should have ended with 127");
    run.says("/no/such/program");
    let run = world.run(&["/etc/passwd"]);
    run.must(run.outcome.status == 126, "should have ended with 126");
}

#[test]
fn without_a_daemon_no_command_starts() {
    let world = TestWorld::unguarded();
    let run = world.run_unguarded(&[
        "egressctl",
        "--socket",
        "/nowhere/control.sock",
        "run",
        "--",
        "touch",
        "started",
    ]);
    run.must(run.outcome.status == 125, "should have ended with 125");
    run.says("/nowhere/control.sock");
    assert!(!world.agent_home().join("started").exists());
}

#[test]
fn the_end_of_a_run_says_what_was_denied_and_what_would_allow_it() {
    let world = TestWorld::guarded(policy());
    let script = format!(
        "for n in 1 2 3; do nc -w 1 {DENIED_V4} 9000; done; getent hosts web.denied.test; nc -w 1 {NAMELESS_V4} 9000 </dev/null; exit 5"
    );
    let run = world.run(&["sh", "-c", &script]);
    run.must(run.outcome.status == 5, "should have ended with 5");
    run.says("egressd denied")
        .says(&format!("3x {DENIED_V4}:9000/tcp  no-rule"))
        .says(r#"to allow it, add to network.allow: {"name":"198.51.100.10-9000","cidrs":["198.51.100.10"],"ports":["9000/tcp"]}"#)
        .says("web.denied.test")
        .says(r#""hosts":["web.denied.test"]"#);
    let quiet = world.run(&["true"]);
    quiet
        .works()
        .must(quiet.outcome.stderr.is_empty(), "should have said nothing");
}

#[test]
fn signals_reach_the_command() {
    let world = TestWorld::guarded(policy());
    let script = "trap 'echo got TERM; exit 3' TERM; trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; echo ready >up; while :; do sleep 0.05; done";
    let run = |signals: &[&str]| {
        let up = world.agent_home().join("up");
        drop(fs::remove_file(&up));
        let client = world
            .guarded(&["sh", "-c", script])
            .expect("one")
            .within(Duration::from_secs(20));
        let child = client
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        wait_for("the command", Duration::from_secs(5), || up.exists()).expect("it starts");
        let parent = parent_of_the_run(&world);
        for name in signals {
            let sent = std::process::Command::new("kill")
                .args(["-s", name, &parent])
                .status();
            assert!(sent.expect("kill runs").success());
            std::thread::sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output().expect("it was our child");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (status, said) = run(&["HUP", "USR1", "TERM"]);
    assert_eq!(
        (status, said.as_str()),
        (Some(3), "got HUP\ngot USR1\ngot TERM\n"),
        "{}",
        world.report()
    );
}

#[test]
fn a_session_ends_with_its_last_process_and_leaves_no_cgroup() {
    let world = TestWorld::guarded(policy());
    let guarded = cgroup::mount_point()
        .expect("one")
        .join(world.daemon().expect("one").cgroup());
    let script = r#"sleep 0.4 & echo "$0" >"$0"; exit 0"#;
    world.run(&["sh", "-c", script, "left"]).works();
    let sessions = || {
        let listing = fs::read_dir(&guarded).expect("it is there");
        listing
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    };
    assert_eq!(sessions(), 1, "sleep still runs");
    wait_for("the end of the session", Duration::from_secs(5), || {
        sessions() == 0
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    let ended = || {
        world
            .daemon()
            .expect("one")
            .audit()
            .iter()
            .any(|record| record["event"] == "session-end")
    };
    wait_for("the record", Duration::from_secs(2), ended).expect("the end is recorded");
}

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

/// The pid of the one `egressctl run` of this world: the parent of the session's shell.
fn parent_of_the_run(world: &TestWorld) -> String {
    let sessions = world.ctl(&["session", "list", "--json"]);
    let list: serde_json::Value =
        serde_json::from_str(&sessions.works().outcome.stdout).expect("it is JSON");
    let pid = list[0]["pid"]
        .as_u64()
        .or_else(|| list["pid"].as_u64())
        .expect("a session");
    let stat = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let parent = stat.lines().find_map(|line| line.strip_prefix("PPid:\t"));
    parent.expect("it has a parent").to_owned()
}
