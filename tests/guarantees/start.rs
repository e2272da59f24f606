//! egressd starts as it was asked to, or says in one line why not and leaves nothing behind.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};
use xtask::world::{
    client::{AGENT_GID, AGENT_UID},
    place::{ALLOWED_V4, NAMELESS_V4},
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
    // Every file of a list is looked at, and a profile is no file.
    let listed = json!({ "version": 1, "extends": ["profile:github", "policy.json", below] });
    fs::set_permissions(&policy, mode(0o644)).expect("it is ours");
    std::os::unix::fs::chown(&policy, Some(0), Some(0)).expect("we are root");
    refused(&start(&service.policy("list.json", &listed)), &mend);
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

/// What a profile allows is enforced as if it stood in the file, and told by the profile's name.
#[test]
fn a_policy_of_profiles_is_enforced_and_says_which_profile_decides() {
    let mut policy = only(&[ALLOWED_V4]);
    policy["extends"] = json!(["profile:github", "profile:python"]);
    let world = TestWorld::guarded(policy);
    let mut agent = Agent::start(&world);
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    let allowed = world.ctl(&["why", "github.com:443"]);
    allowed.must(allowed.outcome.status == 0, "should have said yes");
    allowed.says("github.forge (profile:github:");
    allowed.says("known as a drop box (repository)");
    let denied = world.ctl(&["why", "evil-github.com:443"]);
    denied.must(denied.outcome.status == 1, "should have said no");
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
fn what_is_not_enforced_in_full_is_named_in_the_status() {
    let mut policy = only(&[NAMELESS_V4]);
    policy["dns"] = json!({ "mode": "snoop" });
    let world = TestWorld::guarded(policy);
    let run = world.ctl(&["status"]);
    run.must(run.outcome.status == 1, "should have ended with status 1");
    run.says("best effort");
}

#[test]
fn the_second_layer_stands_or_is_said_to_be_missing_and_can_be_required() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let shown = world.ctl(&["status", "--json"]);
    let status: Value = serde_json::from_str(&shown.works().outcome.stdout).expect("it is JSON");
    let lsm = &status["guards"][0]["lsm"];
    let mut service = Service::new(&world, "strict");
    let cgroup = format!("{}/strict", world.cgroup().name());
    let policy = service.policy("policy.json", &only(&[NAMELESS_V4]));
    let words = ["--require-lsm", "--cgroup", &format!("{cgroup}={policy}")];
    if let Some(why) = lsm["missing"].as_str() {
        world
            .ctl(&["status"])
            .works()
            .says(&format!("not active: {why}"));
        let run = service.ends(&world, &words);
        run.must(run.outcome.status == 2, "should have ended with status 2");
        is_one_line(&run, &["the second layer was asked for", why]);
        leaves_nothing(&world, &service, &run, &cgroup);
    } else {
        assert_eq!(lsm["programs"], 7, "{status:#}");
        service.start(&world, &words);
    }
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
