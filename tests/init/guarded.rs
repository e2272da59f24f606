//! The policy that init writes, in force on this machine; and what doctor says about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{guarantees::service::Service, harness::TestWorld};

#[test]
fn the_written_policy_guards_and_everything_goes_again() {
    let world = TestWorld::unguarded();
    let mut service = Service::new(&world, "init");
    let root = Root::within(tempfile::tempdir_in(&service.directory).unwrap());
    open(root.path());
    root.write(
        "home/dev/site/.git/config",
        "[remote \"origin\"]\n\turl = https://git.denied.test/git/project.git\n",
    );
    let before = root.snapshot();
    root.init(&["--yes", "--no-units", "--remote-hosts"])
        .ends(0)
        .says("egressd run --cgroup agent.slice");
    // The log of this daemon is its own; every rule is what init wrote.
    let policy = service.policy(
        "policy.json",
        &json!({ "version": 1, "extends": root.at("etc/egressd/policy.json") }),
    );
    let cgroup = format!("{}/init", world.cgroup().name());
    service.start(&world, &["--cgroup", &format!("{cgroup}={policy}")]);
    let run = |host: &str| {
        let socket = service.socket.display().to_string();
        let url = format!("https://{host}/");
        let words = [
            "egressctl",
            "--socket",
            &socket,
            "run",
            "--",
            "curl",
            "-sS",
            "-m",
            "5",
            "-o",
            "/dev/null",
            &url,
        ];
        world.finish(
            world
                .unguarded(&words)
                .within(Duration::from_secs(20))
                .run(),
        )
    };
    run("git.denied.test").works();
    run("pip.denied.test").fails_within(Duration::from_secs(10));
    let denials = crate::guarantees::service::records(&service.audit);
    let is_denial = |record: &Value| {
        record["verdict"] == "deny" && record.to_string().contains("pip.denied.test")
    };
    assert!(denials.iter().any(is_denial), "{denials:#?}");

    doctor_sees(&world, &service, &policy);

    service.ctl(&world, &["release"]).works();
    service.kill();
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);
}

fn doctor_sees(world: &TestWorld, service: &Service, policy: &str) {
    let rows = |name: &str| -> Vec<Value> {
        let said = service.ctl(world, &["doctor", "--json"]);
        let rows: Vec<Value> = serde_json::from_str(&said.outcome.stdout).unwrap();
        for row in &rows {
            assert!(row["says"].is_string() && row["name"].is_string(), "{row}");
            assert!(
                ["pass", "warn", "fail"].contains(&row["state"].as_str().unwrap()),
                "{row}"
            );
        }
        let fails = rows.iter().any(|row| row["state"] == "fail");
        assert_eq!(said.outcome.status, i32::from(fails));
        rows.into_iter().filter(|row| row["name"] == name).collect()
    };
    for name in [
        "kernel",
        "BPF",
        "bpffs",
        "cgroup2",
        "egressd",
        "policy",
        "audit log",
        "clock",
    ] {
        let rows = rows(name);
        assert_eq!(rows.len(), 1, "{name}");
        assert_ne!(rows[0]["state"], "fail", "{rows:?}");
    }
    let guard = rows("guard");
    assert_ne!(guard[0]["state"], "fail", "{guard:?}");
    let text = fs::read_to_string(policy).unwrap();
    fs::write(policy, text.replace("\"version\":1", "\"version\": 1")).unwrap();
    let changed = rows("policy");
    assert_eq!(changed[0]["state"], "warn", "{changed:?}");
    assert_eq!(changed[0]["mend"], "egressctl reload", "{changed:?}");
    service.ctl(world, &["reload"]).works();
    assert_eq!(rows("policy")[0]["state"], "pass");
    fs::write(policy, "{ nonsense").unwrap();
    assert_eq!(rows("policy")[0]["state"], "fail");
    fs::write(policy, text).unwrap();
}

#[test]
fn doctor_without_a_daemon_fails_and_says_what_starts_one() {
    let home = tempfile::tempdir().unwrap();
    let said = egressctl(&["doctor"], home.path());
    said.ends(1).says("FAIL  egressd").says("mend: ");
    for line in said.out.lines().filter(|line| !line.contains("mend: ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
