//! What a session did with each host, sessions that are only observed, and tools behind shims.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::{Value, json};

use super::AT_ONCE;
use crate::harness::{Run, TestWorld};

fn policy() -> Value {
    json!({
        "version": 1,
        "network": { "allow": [
            { "name": "one", "hosts": ["one.allowed.test"], "ports": ["443/tcp", "80/tcp"] },
            { "name": "raw", "hosts": ["raw.allowed.test"], "ports": ["9000/tcp"] },
        ] },
    })
}

fn socket(world: &TestWorld) -> String {
    let daemon = world.daemon().expect("a daemon");
    daemon.files().socket.display().to_string()
}

/// `egressctl` as the agents' user, outside of the guard.
#[track_caller]
fn ctl<'w>(world: &'w TestWorld, words: &[&str]) -> Run<'w> {
    let socket = socket(world);
    world.run_unguarded(&[&["egressctl", "--socket", &socket], words].concat())
}

#[track_caller]
fn rows(run: &Run<'_>) -> Vec<Value> {
    let said = &run.outcome.stderr;
    let line = said.lines().find(|line| line.starts_with('['));
    let rows = line.and_then(|line| serde_json::from_str(line).ok());
    rows.unwrap_or_else(|| panic!("no rows in {}", run.outcome))
}

#[track_caller]
fn row<'r>(rows: &'r [Value], host: &str) -> &'r Value {
    let mut found = rows.iter().filter(|row| row["host"] == host);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("no {host} in {rows:#?}"));
    assert!(found.next().is_none(), "{host} twice in {rows:#?}");
    row
}

fn records(world: &TestWorld, session: &str) -> Vec<Value> {
    let mut records = world.daemon().expect("a daemon").audit();
    records.retain(|record| record["session"] == session);
    records
}

#[test]
fn each_host_of_a_run_has_a_row_with_its_bytes() {
    let world = TestWorld::guarded(policy());
    let script = "curl -sS https://one.allowed.test/ http://one.allowed.test/
        curl -sS -m 5 https://web.denied.test/
        curl -sS -m 5 --connect-to two.allowed.test:443:one.allowed.test:443 https://two.allowed.test/
        echo no | nc -N -w 2 raw.allowed.test 9001
        true";
    let words = ["--json", "run", "--rows", "--session", "counted", "--"];
    let run = ctl(&world, &[&words[..], &["sh", "-c", script]].concat());
    run.works().says("hello from one.allowed.test");
    let rows = rows(&run);
    let one = row(&rows, "one.allowed.test");
    assert_eq!(
        (&one["verdict"], &one["connections"]),
        (&json!("allow"), &json!(2))
    );
    // A handshake has more than this, and both pages together less.
    let bytes = |name: &str| one[name].as_u64().expect("a number");
    assert!((300..20_000).contains(&bytes("bytes_up")), "{one}");
    assert!((500..40_000).contains(&bytes("bytes_down")), "{one}");
    assert!(bytes("duration_ms") < 20_000, "{one}");
    let denied = row(&rows, "web.denied.test");
    assert_eq!(
        (&denied["verdict"], &denied["connections"]),
        (&json!("deny"), &json!(0))
    );
    let fronted = row(&rows, "two.allowed.test");
    assert_eq!(
        (&fronted["verdict"], &fronted["bytes_down"]),
        (&json!("deny"), &json!(0))
    );
    // The kernel does not count bytes.
    let raw = row(&rows, "raw.allowed.test");
    assert_eq!(raw["verdict"], "deny");
    assert!(raw["connections"].as_u64() >= Some(1), "{raw}");
    assert!(raw.get("bytes_up").is_none(), "{raw}");
    // The same in the record of its end, and for whoever asks afterwards.
    let asked = ctl(&world, &["--json", "session", "egress", "counted"]);
    let asked: Vec<Value> = serde_json::from_str(&asked.works().outcome.stdout).expect("rows");
    assert_eq!(asked, rows);
    let ended = |record: &Value| record["event"] == "session-end";
    xtask::world::wait_for("the end", Duration::from_secs(5), || {
        records(&world, "counted").iter().any(ended)
    })
    .expect("the session ends");
    let end = records(&world, "counted").into_iter().find(ended);
    assert_eq!(end.expect("there")["egress"], json!(rows));
    // A table, and only for who wants one.
    let quiet = ctl(
        &world,
        &["run", "--", "curl", "-sS", "https://one.allowed.test/"],
    );
    assert!(
        !quiet.works().outcome.said().contains("VERDICT"),
        "{}",
        quiet.outcome
    );
    ctl(&world, &["session", "egress", "counted"])
        .works()
        .says("VERDICT")
        .says("two.allowed.test");
    ctl(&world, &["session", "egress", "nobody"]).says("no session `nobody`");
}

/// The policy enforces; this run alone is observed, by every layer alike.
#[test]
fn an_observed_session_reaches_what_is_denied_and_every_record_says_so() {
    let world = TestWorld::guarded(policy());
    let get = ["curl", "-sS", "-m", "10", "https://web.denied.test/"];
    let words = ["--json", "run", "--observe", "--session", "seen", "--"];
    let run = ctl(&world, &[&words[..], &get].concat());
    run.works().says("hello from web.denied.test");
    let rows = rows(&run);
    let denied = row(&rows, "web.denied.test");
    assert_eq!(
        (&denied["verdict"], &denied["connections"]),
        (&json!("deny"), &json!(1))
    );
    assert!(denied["bytes_down"].as_u64() > Some(300), "{denied}");
    let records = records(&world, "seen");
    let of = |layer: &str| {
        let of_layer = |record: &&Value| record["layer"] == layer && record["verdict"] == "deny";
        records.iter().filter(of_layer).collect::<Vec<_>>()
    };
    let [flow] = of("proxy")[..] else {
        panic!("one record of the proxy in {records:#?}");
    };
    assert_eq!(
        (&flow["mode"], &flow["name"]),
        (&json!("observe"), &json!("web.denied.test"))
    );
    assert!(of("kernel").is_empty(), "told twice: {records:#?}");
    assert!(of("dns").iter().all(|record| record["mode"] == "observe"));
    // What does not go through the proxy is observed too.
    let echo = "echo over and out | nc -N web.denied.test 9000";
    ctl(&world, &["run", "--observe", "--", "sh", "-c", echo])
        .works()
        .says("over and out");
    // Nobody else gains anything by it, not even from what was resolved.
    world.run(&get).fails_within(AT_ONCE);
    world
        .run(&["curl", "-sS", "-m", "5", "http://198.51.100.10/"])
        .is_refused_within(AT_ONCE);
}

#[test]
fn nobody_inside_and_no_run_against_the_policy_is_observed() {
    let world = TestWorld::guarded(policy());
    let socket = socket(&world);
    let inside = [
        "egressctl",
        "--socket",
        &socket,
        "run",
        "--observe",
        "--",
        "true",
    ];
    let run = world.run(&inside);
    run.fails_within(AT_ONCE);
    run.says("a guarded process cannot change a guard");
    let mut strict = policy();
    strict["session"] = json!({ "observe": false });
    let world = TestWorld::guarded(strict);
    let run = ctl(&world, &["run", "--observe", "--", "true"]);
    run.fails_within(AT_ONCE);
    run.says("wants every session enforced");
    ctl(&world, &["run", "--", "true"]).works();
}

/// Under a policy that observes, the proxy sees names and bytes of what no rule allows.
#[test]
fn a_policy_that_observes_leads_the_web_to_the_proxy() {
    let mut observing = policy();
    observing["mode"] = json!("observe");
    let world = TestWorld::guarded(observing);
    let script = "curl -sS https://web.denied.test/ && curl -sS http://198.51.100.10/";
    let words = ["--json", "run", "--rows", "--session", "seen", "--"];
    let run = ctl(&world, &[&words[..], &["sh", "-c", script]].concat());
    run.works().says("hello from web.denied.test");
    let rows = rows(&run);
    assert!(row(&rows, "web.denied.test")["bytes_down"].as_u64() > Some(300));
    assert!(row(&rows, "198.51.100.10")["bytes_down"].as_u64() > Some(50));
    let records = records(&world, "seen");
    let flows = records.iter().filter(|record| record["event"] == "flow");
    assert_eq!(flows.count(), 0, "told twice: {records:#?}");
}

#[test]
fn a_tool_behind_a_shim_is_pinned_to_its_registry() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "registry", "hosts": ["pip.allowed.test"], "ports": ["443/tcp"] },
        ] },
        "session": { "observe": false },
    }));
    let home = world.agent_home();
    let guard = world.daemon().expect("a daemon").cgroup().to_owned();
    let (tools, shims) = (home.join("tools"), home.join("shims"));
    fs::create_dir(&tools).expect("a directory");
    fs::write(
        tools.join("pip"),
        "#!/bin/sh\nexec /usr/bin/python3 -m pip \"$@\"\n",
    )
    .expect("pip");
    fs::set_permissions(tools.join("pip"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = [&shims, &tools, &world.home().join("bin")].map(|path| path.display().to_string());
    let path = format!("{}:/usr/bin:/bin", path.join(":"));
    let shell = |line: &str| {
        let client = world
            .unguarded(&["sh", "-c", line])
            .env("PATH", &*path)
            .env("EGRESSD_SOCKET", socket(&world))
            .within(Duration::from_secs(40));
        world.finish(client.run())
    };
    let dir = shims.display().to_string();
    let install = format!("egressctl wrap install pip --dir {dir} --guard {guard}");
    shell(&install).works().says(&guard);
    // Once more changes nothing, and what is no shim is left alone.
    shell(&install).works();
    shell(&format!(
        "egressctl wrap install pip --dir {} --guard {guard}",
        tools.display()
    ))
    .says("is no shim");
    shell(&format!("egressctl wrap list --dir {dir}"))
        .works()
        .says("enforce");
    let fetch = |host: &str| {
        format!(
            "cd $(mktemp -d) && pip --isolated --disable-pip-version-check --no-cache-dir --retries 0 \
             --timeout 10 install --no-deps --target . --index-url https://{host}/simple/ tinypkg && cat tinypkg.py"
        )
    };
    shell(&fetch("pip.allowed.test"))
        .works()
        .says("word = 'tiny'");
    let denied = shell(&fetch("pip.denied.test"));
    denied.must(!denied.outcome.succeeded(), "should have failed");
    denied.says("add to network.allow");
    world.records_a_denial_of("pip.denied.test");
    // Inside a guard it is the tool itself, in the session that is there.
    shell("egressctl run --session outer -- pip --version")
        .works()
        .says("pip ");
    let begun = |record: &Value| record["event"] == "session-begin";
    let audit = world.daemon().expect("a daemon").audit();
    let after = audit.iter().rev().find(|record| begun(record));
    assert_eq!(after.expect("a session")["session"], "outer");
    // Without its guard no tool begins, and a person reads what would add it.
    let missing = shell(&format!("egressctl wrap install npm --dir {dir}"));
    missing.fails_within(AT_ONCE);
    missing.says("--cgroup tool_npm.slice=/usr/share/egressd/profiles/npm.json");
    assert_eq!(
        missing.outcome.stderr.lines().count(),
        1,
        "{}",
        missing.outcome
    );
    shell(&format!("egressctl wrap uninstall --dir {dir}")).works();
    assert_eq!(fs::read_dir(&shims).expect("the directory").count(), 0);
    shell(&fetch("pip.denied.test"))
        .works()
        .says("word = 'tiny'");
}
