//! From what a run was denied to a policy under which it is denied nothing.

use std::{path::Path, process::Command, time::Duration};

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

/// A clone that is then built, from a mirror of the registry that cargo knows by itself.
const BUILD: &str = r#"cd $(mktemp -d) \
    && export CARGO_HOME=$PWD/cargo PATH=$HOME/rust/bin:$PATH CARGO_HTTP_CAINFO=$SSL_CERT_FILE CARGO_NET_RETRY=0 \
    && mkdir cargo && printf '%s\n' '[source.crates-io]' 'replace-with = "mirror"' \
       '[source.mirror]' 'registry = "sparse+https://index.denied.test/crates/"' > cargo/config.toml \
    && git clone -q https://git.denied.test/git/project.git && cd project \
    && cargo build && target/debug/project"#;

/// As the agents' user, outside of the guard.
fn work<'w>(world: &'w TestWorld, options: &[&str], work: &str) -> Run<'w> {
    let daemon = world.daemon().expect("a daemon");
    let socket = daemon.files().socket.display().to_string();
    let words = [
        &["egressctl", "--socket", &socket, "run"],
        options,
        &["--", "sh", "-c", work],
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
    let refused = work(&world, &["--session", "before"], WORK);
    refused.must(!refused.outcome.succeeded(), "should have been refused");
    work(&world, &["--observe", "--session", "seen"], WORK).works();
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
    work(&world, &["--session", "after"], WORK).works();
    let left = denials(&world, "after");
    assert!(left.is_empty(), "still denied: {left:#?}");
    // What nobody asked for stays denied.
    world
        .run(&["curl", "-sS", "-m", "5", "https://other.denied.test/"])
        .fails_within(Duration::from_secs(5));

    world.ctl(&suggest).works().says("nothing to add");
}

/// The programs of the toolchain that runs this, where the agents' user can read them.
fn give_rust(home: &Path) {
    let rust = home.join("rust");
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(sysroot.expect("rustc").stdout).expect("a path");
    std::fs::create_dir_all(rust.join("bin")).expect("a directory");
    // Links take no room; they cannot lead to another file system.
    let copy = |words: &[&str]| {
        let copied = Command::new("sh")
            .args(["-c", "cp -al \"$@\" 2>/dev/null || cp -a \"$@\"", "cp"])
            .args(words)
            .status();
        assert!(copied.expect("cp").success(), "{words:?}");
    };
    let (sysroot, rust) = (sysroot.trim(), rust.display());
    for name in ["bin/cargo", "bin/rustc", "lib"] {
        copy(&[&format!("{sysroot}/{name}"), &format!("{rust}/{name}")]);
    }
}

#[test]
fn a_clone_and_its_build_become_a_policy_that_fits() {
    let world = TestWorld::guarded(json!({ "version": 1 }));
    give_rust(&world.agent_home());
    let file = world.daemon().expect("a daemon").files().policy.clone();
    let file = file.display().to_string();
    let refused = work(&world, &["--session", "before"], BUILD);
    refused.must(!refused.outcome.succeeded(), "should have been refused");
    work(&world, &["--observe", "--session", "seen"], BUILD)
        .works()
        .says("a tiny project");

    let suggest = ["policy", "suggest", &file, "--session", "seen"];
    let shown = world.ctl(&suggest);
    for host in [
        "git.denied.test",
        "index.denied.test",
        "crates.allowed.test",
    ] {
        shown.works().says(host);
    }
    world.ctl(&[&suggest[..], &["--write"]].concat()).works();
    world.ctl(&["reload"]).works();
    work(&world, &["--session", "after"], BUILD)
        .works()
        .says("a tiny project");
    let left = denials(&world, "after");
    assert!(left.is_empty(), "still denied: {left:#?}");
}
