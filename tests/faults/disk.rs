//! The disk of the audit log is full: decisions stay, losses are counted, and the count is recorded.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use xtask::world::{
    place::{DENIED_V4, NAMELESS_V4},
    wait_for,
};

use crate::{
    agent::Agent,
    guarantees::{
        only,
        service::{Service, records},
    },
    harness::TestWorld,
};

#[test]
fn a_full_disk_changes_no_decision_and_every_lost_record_is_counted() {
    let world = TestWorld::unguarded();
    let mut service = Service::new(&world, "full");
    let disk = service.directory.join("disk");
    fs::create_dir(&disk).expect("the directory is ours");
    mount(
        &world,
        &["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs"],
        &disk,
    );
    let audit = disk.join("audit.jsonl");
    let mut policy = only(&[NAMELESS_V4]);
    policy["audit"] = json!({ "file": audit });
    let policy = service.policy("policy.json", &policy);
    let cgroup = format!("{}/full", world.cgroup().name());
    service.start(&world, &["--cgroup", &format!("{cgroup}={policy}")]);
    let mut agent = Agent::at(&world, &service.socket, &[]);
    let counts = agent.counts("flood 2000");
    assert_eq!(
        counts.get("EPERM"),
        Some(&2000),
        "{counts:?}\n{}",
        service.report()
    );

    let status = || {
        let run = service.ctl(&world, &["status", "--json"]);
        serde_json::from_str::<Value>(&run.outcome.stdout).expect("it is JSON")
    };
    let counted = wait_for("lost records", Duration::from_secs(5), || {
        let audit = &status()["audit"];
        audit["lost"]["kernel"].as_u64() > Some(0) && audit["failure"].is_string()
    });
    assert!(counted.is_ok(), "{}\n{}", status(), service.report());
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");

    mount(&world, &["-o", "remount,size=16m"], &disk);
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    let seen = world.machine().path(&audit);
    let mut found = (0, 0);
    let recorded = wait_for(
        "the record of what was lost",
        Duration::from_secs(10),
        || {
            let records = records(&seen);
            let kept = records
                .iter()
                .filter(|record| record["verdict"] == "deny")
                .count() as u64;
            let lost = records
                .iter()
                .filter_map(|record| record["lost"]["kernel"].as_u64())
                .sum();
            found = (kept, lost);
            lost > 0 && kept + lost >= 2002
        },
    );
    assert!(
        recorded.is_ok() && found.0 + found.1 == 2002,
        "{found:?}\n{}",
        service.report()
    );
    service
        .ctl(&world, &["log", "verify", &audit.display().to_string()])
        .works();
    service.ctl(&world, &["release"]).works();
}

#[track_caller]
fn mount(world: &TestWorld, options: &[&str], disk: &std::path::Path) {
    let mounted = world.command("mount").args(options).arg(disk).status();
    assert!(mounted.expect("mount runs").success(), "mount {options:?}");
}
