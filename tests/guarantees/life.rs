//! Guards and sessions from their beginning to their end: apart from each other, and gone when they
//! are over.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use xtask::world::{
    daemon::Daemon,
    place::{ALLOWED_V4, NAMELESS_V4},
    wait_for,
};

use super::{only, service::Service};
use crate::{agent::Agent, harness::TestWorld};

#[test]
fn enforcement_stays_after_a_clean_end_until_it_is_released() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let pins = world
        .daemon()
        .expect("one")
        .files()
        .pins
        .display()
        .to_string();
    let seen = world.machine().path(Path::new(&pins));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it ends");
    assert!(!world.daemon().expect("one").files().socket.exists());
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    agent.expect("talk live", "ok");
    world
        .ctl(&["release", "--pin-dir", &pins])
        .works()
        .says("no longer guarded");
    agent.becomes(&format!("connect {ALLOWED_V4} 9000"), "ok");
    assert_eq!(fs::read_dir(&seen).map_or(0, Iterator::count), 0);
    let again = world.ctl(&["release", "--pin-dir", &pins]);
    again.must(again.outcome.status == 2, "should have ended with status 2");
    again.says("nothing is pinned");
}

#[test]
fn a_release_through_the_daemon_ends_the_guard_and_the_daemon() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    world.ctl(&["release"]).works().says("no longer guarded");
    agent.becomes(&format!("connect {ALLOWED_V4} 9000"), "ok");
    let daemon = world.daemon().expect("there is an egressd");
    wait_for("the end of egressd", Duration::from_secs(5), || {
        !daemon.files().socket.exists()
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    assert!(
        daemon
            .audit()
            .iter()
            .any(|record| record["event"] == "guard-released")
    );
}

#[test]
fn two_cgroups_of_one_egressd_never_mix() {
    let world = TestWorld::unguarded();
    let mut service = Service::new(&world, "two");
    let allow = |name: &str| {
        json!({ "version": 1, "network": { "allow": [
        { "name": "one", "hosts": [name], "ports": ["9000/tcp", "4/tcp"] },
    ] } })
    };
    let [one, two] = ["one", "two"].map(|name| {
        let policy = service.policy(
            &format!("{name}.json"),
            &allow(&format!("{name}.allowed.test")),
        );
        (format!("{}/{name}", world.cgroup().name()), policy)
    });
    service.start(
        &world,
        &[
            "--cgroup",
            &format!("{}={}", one.0, one.1),
            "--cgroup",
            &format!("{}={}", two.0, two.1),
        ],
    );
    let mut a = Agent::at(&world, &service.socket, &["--guard", &one.0]);
    let mut b = Agent::at(&world, &service.socket, &["--guard", &two.0]);
    let mut c = Agent::at(&world, &service.socket, &["--guard", &one.0]);
    assert_eq!(a.does("lookup two.allowed.test"), "EAI_AGAIN");
    assert_eq!(b.does("lookup one.allowed.test"), "EAI_AGAIN");
    // The same address, leased to one session: nobody else may use it.
    a.does("lookup one.allowed.test");
    a.expect(&format!("open live {ALLOWED_V4} 9000"), "ok");
    for other in [&mut b, &mut c] {
        other.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    }
    b.does("lookup two.allowed.test");
    b.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    c.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    // A reload of one leaves the other alone.
    service.policy("two.json", &allow("three.allowed.test"));
    service.ctl(&world, &["reload", "--guard", &two.0]).works();
    a.expect("talk live", "ok");
    a.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    b.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    service.ctl(&world, &["release", "--guard", &two.0]).works();
    b.becomes(&format!("connect {ALLOWED_V4} 9000"), "ok");
    c.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    service.ctl(&world, &["release"]).works();
}

#[test]
fn a_session_that_ended_without_a_daemon_is_taken_away_by_the_next() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let agent = Agent::start(&world);
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it runs");
    drop(agent);
    world.with_daemon(0, Daemon::start).expect("it starts");
    let left = || {
        let list = world.ctl(&["session", "list", "--json"]);
        list.works().outcome.stdout.contains("agent.py")
    };
    wait_for("the end of the session", Duration::from_secs(5), || !left())
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
}

#[test]
fn a_session_name_that_is_taken_or_is_none_is_refused() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let socket = world.daemon().expect("one").files().socket.clone();
    let _agent = Agent::at(&world, &socket, &["--session", "taken"]);
    let socket = socket.display().to_string();
    for name in ["taken", "../outside", "a/b", ".", ""] {
        let words = [
            "egressctl",
            "--socket",
            &socket,
            "run",
            "--session",
            name,
            "--",
            "true",
        ];
        let run = world.run_unguarded(&words);
        run.must(
            run.outcome.status == 125,
            "should have ended with status 125",
        );
    }
}

#[test]
fn a_cgroup_that_is_removed_under_the_daemon_is_made_anew_and_guarded() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mount = xtask::world::cgroup::mount_point().expect("there is one");
    let cgroup = mount.join(daemon.cgroup());
    // Twice: what was made anew is watched like the first.
    for _ in 0..2 {
        fs::remove_dir(&cgroup).expect("nothing runs in it");
        is_guarded_again(&world);
        let mut agent = Agent::start(&world);
        agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
        agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
        drop(agent);
        wait_for("the end of the session", Duration::from_secs(5), || {
            fs::read_dir(&cgroup).is_ok_and(|entries| {
                !entries
                    .flatten()
                    .any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            })
        })
        .expect("it ends");
    }
    let events: Vec<_> = daemon
        .audit()
        .iter()
        .filter_map(|record| Some(record["event"].as_str()?.to_owned()))
        .filter(|event| event.starts_with("guard-"))
        .collect();
    assert_eq!(
        events,
        [
            "guard-attached",
            "guard-lost",
            "guard-attached",
            "guard-lost",
            "guard-attached"
        ]
    );
}

#[test]
fn a_cgroup_that_somebody_else_made_anew_is_guarded_with_who_is_in_it() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mount = xtask::world::cgroup::mount_point().expect("there is one");
    let cgroup = mount.join(daemon.cgroup());
    let mut agent = Agent::unguarded(&world);
    let (pid, _, _) = agent.identity();
    // Whoever is quicker makes it; the process is in it before or while the programs are attached.
    fs::remove_dir(&cgroup).expect("nothing runs in it");
    fs::create_dir(&cgroup).unwrap_or_default();
    fs::write(cgroup.join("cgroup.procs"), pid.to_string()).expect("we are root");
    is_guarded_again(&world);
    agent.becomes(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    let told = daemon.audit().iter().any(|record| {
        record["event"] == "guard-lost"
            && record["message"]
                .as_str()
                .is_some_and(|message| message.contains(&pid.to_string()))
    });
    assert!(
        told,
        "nobody tells that {pid} was inside: {}",
        world.report()
    );
}

/// The guard is whole, on the cgroup that is there now.
#[track_caller]
fn is_guarded_again(world: &TestWorld) {
    let whole = wait_for("a whole guard", Duration::from_secs(5), || {
        let audit = world.daemon().expect("there is an egressd").audit();
        let count = |event: &str, message: &str| {
            let is_meant = |record: &&Value| {
                record["event"] == event
                    && record["message"]
                        .as_str()
                        .is_some_and(|text| text.contains(message))
            };
            audit.iter().filter(is_meant).count()
        };
        let lost = count("guard-lost", "was removed") >= count("guard-attached", "");
        !lost && world.ctl(&["status"]).outcome.status == 0
    });
    whole.unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
}

#[test]
fn a_release_when_idle_leaves_the_guard_on_under_what_runs() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let pins = world.daemon().expect("one").files().pins.clone();
    let pins = pins.display().to_string();
    let release = ["release", "--when-idle", "--pin-dir", &pins];
    let refused = |world: &TestWorld| {
        let run = world.ctl(&release);
        run.must(run.outcome.status == 1, "should have ended with status 1");
        run.says("left on: processes run in");
    };
    let mut agent = Agent::start(&world);
    refused(&world);
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it ends");
    refused(&world);
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    drop(agent);
    let released = wait_for("an idle guard", Duration::from_secs(5), || {
        world.ctl(&release).outcome.status == 0
    });
    released.unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    let seen = world.machine().path(Path::new(&pins));
    assert_eq!(fs::read_dir(&seen).map_or(0, Iterator::count), 0);
    // Nothing to take off is nothing to refuse: a package is removed on a machine without guards.
    world.ctl(&release).works().says("nothing is guarded");
}
