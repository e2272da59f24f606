//! egressd starts as it was asked to, or says in one line why not and leaves nothing behind.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use serde_json::json;
use xtask::world::{
    client::{AGENT_GID, AGENT_UID},
    place::{ALLOWED_V4, NAMELESS_V4},
    wait_for,
};

use super::{only, service::Service};
use crate::{
    agent::Agent,
    harness::{Run, TestWorld},
};

#[test]
fn a_rule_that_cannot_be_enforced_is_refused_with_its_place() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "bad");
    let cgroup = format!("{}/bad", world.cgroup().name());
    for (line, place, words) in [
        (
            r#"{ "name": "r", "hosts": ["*.com"], "ports": [443] }"#,
            32,
            "public suffix",
        ),
        (
            r#"{ "name": "r", "hosts": ["a.*.test"], "ports": [443] }"#,
            32,
            "`*`",
        ),
        (
            r#"{ "name": "r", "hosts": ["192.0.2.1"], "ports": [443] }"#,
            32,
            "address",
        ),
        (r#"{ "name": "r", "hosts": ["a.test"] }"#, 7, "ports"),
        (
            r#"{ "name": "r", "hosts": ["a.test"], "ports": ["443/sctp"] }"#,
            0,
            "443/sctp",
        ),
        (
            r#"{ "name": "r", "hosts": ["a.test"], "ports": [0] }"#,
            0,
            "0",
        ),
        (
            r#"{ "name": "r", "cidrs": ["10.0.0.1/8"], "ports": [443] }"#,
            32,
            "10.0.0.0/8",
        ),
        (
            r#"{ "name": "r", "cidrs": ["::ffff:10.0.0.1"], "ports": [443] }"#,
            32,
            "10.0.0.1",
        ),
        (
            r#"{ "name": "r", "host": ["a.test"], "ports": [443] }"#,
            0,
            "hosts",
        ),
        (
            r#"{ "name": "r", "name": "r", "cidrs": ["10.0.0.1"], "ports": [443] }"#,
            0,
            "name",
        ),
    ] {
        let text = format!(
            "{{\n  \"version\": 1,\n  \"network\": {{ \"allow\": [\n      {line}\n  ] }},\n  \"audit\": {{ \"file\": {:?} }}\n}}",
            service.audit
        );
        let policy = service.write("policy.json", &text);
        let run = service.ends(&world, &["--cgroup", &format!("{cgroup}={policy}")]);
        run.must(run.outcome.status == 3, "should have ended with status 3");
        let at = if place == 0 {
            format!("{policy}:4:")
        } else {
            format!("{policy}:4:{place}")
        };
        run.says(&at).says(words);
        leaves_nothing(&world, &service, &run, &cgroup);
    }
}

#[test]
fn every_error_of_every_policy_is_reported_at_once() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "bad");
    let cgroup = format!("{}/bad", world.cgroup().name());
    let one = service.write("one.json", "{ \"version\": 2,\n \"mode\": \"enforced\" }");
    let two = service.write(
        "two.json",
        "{ \"version\": 1, \"network\": { \"allow\": 7 } }",
    );
    let run = service.ends(
        &world,
        &[
            "--cgroup",
            &format!("{cgroup}/one={one}"),
            "--cgroup",
            &format!("{cgroup}/two={two}"),
        ],
    );
    run.must(run.outcome.status == 3, "should have ended with status 3");
    run.says(&format!("{one}:1:"))
        .says(&format!("{one}:2:"))
        .says(&format!("{two}:1:"));
    leaves_nothing(&world, &service, &run, &cgroup);
}

#[test]
fn a_pin_directory_that_is_not_on_a_bpf_file_system_is_refused() {
    let world = TestWorld::unguarded();
    let mut service = Service::new(&world, "plain");
    service.pins = service.directory.join("pins");
    let cgroup = format!("{}/plain", world.cgroup().name());
    let policy = service.policy("policy.json", &only(&[NAMELESS_V4]));
    let run = service.ends(&world, &["--cgroup", &format!("{cgroup}={policy}")]);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["not on a BPF file system", "mount -t bpf"]);
    leaves_nothing(&world, &service, &run, &cgroup);
}

#[test]
fn a_second_egressd_on_the_same_cgroup_is_refused() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let service = Service::new(&world, "second");
    let guard = |policy: &str| format!("{}={policy}", daemon.cgroup());
    let own_log = service.policy("policy.json", &only(&[ALLOWED_V4]));
    let run = service.ends(&world, &["--cgroup", &guard(&own_log)]);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["another egressd", daemon.cgroup()]);
    // Nor does it write into the log of the first one.
    let same_log = daemon.files().policy.display().to_string();
    let run = service.ends(&world, &["--cgroup", &guard(&same_log)]);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
    let audit = daemon.files().audit.display().to_string();
    world.ctl(&["log", "verify", &audit]).works();
}

#[test]
fn cgroups_inside_each_other_are_refused() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "nested");
    let policy = service.policy("policy.json", &json!({ "version": 1 }));
    let cgroup = format!("{}/nested", world.cgroup().name());
    let run = service.ends(
        &world,
        &[
            "--policy",
            &policy,
            "--cgroup",
            &cgroup,
            "--cgroup",
            &format!("{cgroup}/inner"),
        ],
    );
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["inside each other"]);
    leaves_nothing(&world, &service, &run, &cgroup);
}

#[test]
fn without_root_nothing_starts() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "user");
    let policy = service.policy("policy.json", &json!({ "version": 1 }));
    let words = service.words(&["--policy", &policy, "--cgroup", "agent.slice"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let run = world.run_unguarded(&words);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["root", "sudo"]);
}

#[test]
fn a_policy_that_others_can_write_is_refused_with_the_command_that_mends_it() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "open");
    let cgroup = format!("{}/open", world.cgroup().name());
    let policy = service.policy("policy.json", &only(&[NAMELESS_V4]));
    let start = |policy: &str| service.ends(&world, &["--cgroup", &format!("{cgroup}={policy}")]);
    let refused = |run: &Run<'_>, command: &str| {
        run.must(run.outcome.status == 2, "should have ended with status 2");
        is_one_line(run, &[command]);
        leaves_nothing(&world, &service, run, &cgroup);
    };
    let mode = |mode| fs::Permissions::from_mode(mode);

    fs::set_permissions(&policy, mode(0o646)).expect("it is ours");
    refused(&start(&policy), &format!("chmod o-w {policy}"));
    fs::set_permissions(&policy, mode(0o664)).expect("it is ours");
    std::os::unix::fs::chown(&policy, None, Some(AGENT_GID)).expect("we are root");
    refused(&start(&policy), &format!("chmod g-w {policy}"));
    fs::set_permissions(&policy, mode(0o644)).expect("it is ours");
    std::os::unix::fs::chown(&policy, Some(AGENT_UID), None).expect("we are root");
    refused(&start(&policy), &format!("chown root:root {policy}"));

    let home = world.agent_home();
    let below = home.join("policy.json");
    fs::write(&below, json!({ "version": 1 }).to_string()).expect("we are root");
    let mend = format!("chown root:root {}", home.display());
    refused(&start(&below.display().to_string()), &mend);
    let extending = service.policy("extending.json", &json!({ "version": 1, "extends": below }));
    refused(&start(&extending), &mend);
    let link = service.directory.join("link.json");
    std::os::unix::fs::symlink(&below, &link).expect("the directory is ours");
    refused(&start(&link.display().to_string()), &mend);
}

#[test]
fn a_policy_that_others_can_write_is_refused_at_reload_too() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    daemon
        .write_policy(&only(&[ALLOWED_V4]))
        .expect("the file is ours");
    let policy = daemon.files().policy.display().to_string();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o646)).expect("it is ours");
    let run = world.ctl(&["reload"]);
    run.must(run.outcome.status == 3, "should have ended with status 3");
    run.says(&format!("chmod o-w {policy}"));
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "EPERM");
}

#[test]
fn policies_with_different_logs_are_refused() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "logs");
    let cgroup = |name: &str| format!("{}/{name}", world.cgroup().name());
    let one = service.policy("one.json", &json!({ "version": 1 }));
    let log = service.directory.join("other.jsonl");
    let other = json!({ "version": 1, "audit": { "file": log } });
    let two = service.policy("two.json", &other);
    let guards = [
        format!("{}={one}", cgroup("one")),
        format!("{}={two}", cgroup("two")),
    ];
    let run = service.ends(&world, &["--cgroup", &guards[0], "--cgroup", &guards[1]]);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["audit.file"]);
    leaves_nothing(&world, &service, &run, &cgroup("one"));
}

#[test]
fn without_a_known_resolver_nothing_is_made() {
    let world = TestWorld::unguarded();
    let service = Service::new(&world, "mute");
    let cgroup = format!("{}/mute", world.cgroup().name());
    let policy = service.policy("policy.json", &only(&[NAMELESS_V4]));
    let empty = service.write("resolv.conf", "# nothing\n");
    let guard = format!("{cgroup}={policy}");
    let run = service.ends(&world, &["--resolv-conf", &empty, "--cgroup", &guard]);
    run.must(run.outcome.status == 2, "should have ended with status 2");
    is_one_line(&run, &["no DNS server", "dns.upstreams"]);
    leaves_nothing(&world, &service, &run, &cgroup);
}

#[test]
fn a_session_that_ended_without_a_daemon_is_taken_away_by_the_next() {
    let mut world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let agent = Agent::start(&world);
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it runs");
    drop(agent);
    world
        .with_daemon(0, |daemon, world| daemon.start(world))
        .expect("it starts");
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
    assert_eq!(fs::read_dir(&seen).map(Iterator::count).unwrap_or(0), 0);
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
fn what_is_not_enforced_in_full_is_named_in_the_status() {
    let mut policy = only(&[NAMELESS_V4]);
    policy["dns"] = json!({ "mode": "snoop" });
    let world = TestWorld::guarded(policy);
    let run = world.ctl(&["status"]);
    run.must(run.outcome.status == 1, "should have ended with status 1");
    run.says("best effort");
}

#[test]
fn a_cgroup_that_was_removed_under_the_daemon_is_named_and_takes_nobody_in() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let daemon = world.daemon().expect("there is an egressd");
    let mount = xtask::world::cgroup::mount_point().expect("there is one");
    let cgroup = mount.join(daemon.cgroup());
    fs::remove_dir(&cgroup).expect("nothing runs in it");
    fs::create_dir(&cgroup).expect("we are root");
    let run = world.ctl(&["status"]);
    run.must(run.outcome.status == 1, "should have ended with status 1");
    run.says("was removed");
    let run = world.run(&["touch", "entered"]);
    run.must(
        run.outcome.status == 125,
        "should have ended with status 125",
    );
    run.says("was removed");
    assert!(!world.agent_home().join("entered").exists());
}

/// No cgroup, no pins, no socket, no log.
#[track_caller]
fn leaves_nothing(world: &TestWorld, service: &Service, run: &Run<'_>, cgroup: &str) {
    let cgroup = xtask::world::cgroup::mount_point()
        .expect("there is one")
        .join(cgroup);
    for path in [
        &cgroup,
        &world.machine().path(&service.pins),
        &service.socket,
        &service.audit,
    ] {
        run.must(
            !path.exists(),
            &format!("should not have made {}", path.display()),
        );
    }
}

/// One line, with these words.
#[track_caller]
fn is_one_line(run: &Run<'_>, words: &[&str]) {
    let lines: Vec<&str> = run.outcome.stderr.lines().collect();
    run.must(lines.len() == 1, "should have said one line");
    for word in words {
        run.says(word);
    }
}
