//! From what a run was denied to a policy under which it is denied nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Run, TestWorld};

/// What a developer's day begins with, against the mirrors of the small internet.
const WORK: &str = "cd $(mktemp -d) \
    && git clone -q https://git.denied.test/git/project.git && cat project/README \
    && pip3 install -q --no-input --retries 0 --disable-pip-version-check --no-cache-dir --target pip \
       --index-url https://pip.denied.test/simple/ tinypkg && cat pip/tinypkg.py \
    && npm install --silent --no-audit --no-fund --fetch-retries 0 --cache cache --prefix npm \
       --registry https://registry.denied.test/npm/ tinypkg && ls npm/node_modules \
    && echo over and out | nc -N raw.denied.test 9000";

/// As the agents' user, outside of the guard.
fn work<'w>(world: &'w TestWorld, options: &[&str]) -> Run<'w> {
    let daemon = world.daemon().expect("a daemon");
    let socket = daemon.files().socket.display().to_string();
    let words = [
        &["egressctl", "--socket", &socket, "run"],
        options,
        &["--", "sh", "-c", WORK],
    ]
    .concat();
    let client = world.unguarded(&words).within(Duration::from_mins(1));
    world.finish(client.run())
}

fn denials(world: &TestWorld, session: &str) -> Vec<Value> {
    let mut records = world.daemon().expect("a daemon").audit();
    records.retain(|record| record["session"] == session && record["verdict"] == "deny");
    records
}

#[test]
fn what_was_observed_becomes_a_policy_that_fits() {
    let world = TestWorld::guarded(json!({ "version": 1 }));
    let file = world.daemon().expect("a daemon").files().policy.clone();
    let file = file.display().to_string();
    let refused = work(&world, &["--session", "before"]);
    refused.must(!refused.outcome.succeeded(), "should have been refused");
    work(&world, &["--observe", "--session", "seen"]).works();
    assert!(!denials(&world, "seen").is_empty());

    // It says what it would change, and changes nothing.
    let suggest = ["policy", "suggest", &file, "--session", "seen"];
    let shown = world.ctl(&suggest);
    for host in [
        "git.denied.test",
        "pip.denied.test",
        "registry.denied.test",
        "npm.allowed.test",
        "9000/tcp",
    ] {
        shown.works().says(host);
    }
    let before = std::fs::read_to_string(&file).expect("the policy");
    assert!(!before.contains("denied.test"), "{before}");

    world.ctl(&[&suggest[..], &["--write"]].concat()).works();
    world.ctl(&["policy", "check", &file]).works();
    world.ctl(&["reload"]).works();
    work(&world, &["--session", "after"]).works();
    let left = denials(&world, "after");
    assert!(left.is_empty(), "still denied: {left:#?}");
    // What nobody asked for stays denied.
    world
        .run(&["curl", "-sS", "-m", "5", "https://other.denied.test/"])
        .fails_within(Duration::from_secs(5));

    world.ctl(&suggest).works().says("nothing to add");
}
