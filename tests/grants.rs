//! What a person opens by hand, and what waits for one: against the real daemon and kernel.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use xtask::world::{
    place::{DENIED_V4, NAMELESS_V4},
    wait_for,
};

use crate::{agent::Agent, harness::TestWorld};

fn empty() -> TestWorld {
    TestWorld::guarded(json!({ "version": 1 }))
}

/// Names below asked.denied.test wait for a person; a thing or two besides.
fn asking(deadline: &str) -> TestWorld {
    TestWorld::guarded(json!({ "version": 1, "network": {
        "allow": [{ "name": "web", "hosts": ["web.allowed.test"], "ports": ["443/tcp"] }],
        "deny": [{ "name": "never", "hosts": ["never.denied.test"] }],
        "ask": [
            { "name": "perhaps", "hosts": ["**.denied.test"], "ports": ["80/tcp", "443/tcp", "9000/tcp"], "deadline": deadline },
            { "name": "far", "cidrs": ["203.0.113.64/26"], "ports": ["9000/tcp"], "deadline": deadline },
        ],
    } }))
}

fn agent(world: &TestWorld, session: &str) -> Agent {
    let socket = world.daemon().expect("one").files().socket.clone();
    Agent::at(world, &socket, &["--session", session])
}

fn events(world: &TestWorld, event: &str) -> Vec<Value> {
    let mut records = world.daemon().expect("one").audit();
    records.retain(|record| record["event"] == event);
    records
}

#[track_caller]
fn json_of(world: &TestWorld, words: &[&str]) -> Value {
    let run = world.ctl(&[words, &["--json"]].concat());
    let text = run.works().outcome.stdout.clone();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The number of the one thing that waits, once it does.
#[track_caller]
fn waiting(world: &TestWorld) -> Value {
    let mut found = Value::Null;
    let waits = wait_for("something that waits", Duration::from_secs(10), || {
        found = json_of(world, &["approve"])[0].clone();
        !found.is_null()
    });
    assert!(waits.is_ok(), "nothing waits\n{}", world.report());
    found
}

/// A command under the guard, begun and not waited for.
#[track_caller]
fn begin(world: &TestWorld, words: &[&str]) -> Child {
    let client = world.guarded(words).expect("a daemon");
    let mut command = client.within(Duration::from_mins(1)).command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Whether it succeeded, and all that it said.
#[track_caller]
fn end(child: Child) -> (bool, String) {
    let output = child.wait_with_output().expect("it ran");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[track_caller]
fn soon(world: &TestWorld, what: &str, event: impl FnMut() -> bool) {
    let came = wait_for(what, Duration::from_secs(15), event);
    assert!(came.is_ok(), "{what} did not come\n{}", world.report());
}

#[test]
fn a_grant_opens_a_name_at_once_and_closes_it_when_its_time_is_up() {
    let world = empty();
    let mut agent = agent(&world, "one");
    let connect = format!("connect {DENIED_V4} 9000");
    assert!(agent.does("lookup4 web.denied.test").starts_with("EAI"));
    agent.expect(&connect, "EPERM");
    world
        .ctl(&[
            "allow",
            "web.denied.test:9000",
            "--for",
            "8s",
            "--yes",
            "--why",
            "a test of time",
        ])
        .works()
        .says("open: grant 1");
    let begun = Instant::now();
    agent.expect("lookup4 web.denied.test", &DENIED_V4.to_string());
    agent.expect(&format!("open live {DENIED_V4} 9000"), "ok");
    agent.expect("talk live", "ok");
    // Nothing else was opened, and everybody who is asked knows.
    agent.expect(&format!("connect {DENIED_V4} 8000"), "EPERM");
    assert!(agent.does("lookup4 other.denied.test").starts_with("EAI"));
    world
        .ctl(&["why", "web.denied.test:9000"])
        .works()
        .says("granted by uid 0")
        .says("a test of time");
    world
        .ctl(&["allow", "--list"])
        .works()
        .says("web.denied.test (9000/tcp)");
    world
        .ctl(&["status"])
        .works()
        .says("1 beside the policy file");
    soon(&world, "the end of the grant", || {
        agent.does(&connect) == "EPERM"
    });
    assert!(
        begun.elapsed() > Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    agent.expect("talk live 0.5", "silence");
    world.records_a_denial_of("revoked");
    assert!(agent.does("lookup4 web.denied.test").starts_with("EAI"));
    world
        .ctl(&["allow", "--list"])
        .works()
        .says("nothing is granted");
    let added = events(&world, "grant-added");
    assert_eq!(added.len(), 1, "{added:#?}");
    assert_eq!(added[0]["allow_with"]["hosts"], json!(["web.denied.test"]));
    assert!(
        added[0]["message"].to_string().contains("a test of time"),
        "{added:#?}"
    );
    let ended = events(&world, "grant-ended");
    assert!(
        ended.len() == 1 && ended[0]["message"].to_string().contains("time is up"),
        "{ended:#?}"
    );
}

#[test]
fn an_address_is_opened_for_all_and_taken_back() {
    let world = empty();
    let mut agent = agent(&world, "one");
    let place = format!("{NAMELESS_V4}:9000");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    let refused = world.ctl(&["allow", &place, "--session", "one", "--yes"]);
    refused.must(!refused.outcome.succeeded(), "should have been refused");
    refused.says("cannot be granted to one session");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    world
        .ctl(&["allow", &place, "--for", "1h", "--yes"])
        .works();
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    agent.expect("talk live", "ok");
    agent.expect(&format!("connect {NAMELESS_V4} 8000"), "EPERM");
    world.ctl(&["why", &place]).works().says("granted by uid 0");
    // A reload of the file leaves it.
    world.ctl(&["reload"]).works();
    agent.expect("talk live", "ok");
    world.ctl(&["allow", "--remove", "1"]).works();
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    agent.expect("talk live 0.5", "silence");
    let again = world.ctl(&["allow", "--remove", "1"]);
    again.must(!again.outcome.succeeded(), "should have failed");
    again.says("no grant 1 stands");
}

#[test]
fn what_a_session_was_granted_is_for_nobody_else() {
    let world = empty();
    let (mut one, mut two) = (agent(&world, "one"), agent(&world, "two"));
    let connect = format!("connect {DENIED_V4} 9000");
    world
        .ctl(&["allow", "web.denied.test:9000", "--session", "one", "--yes"])
        .works()
        .says("session one");
    // Twice: what is remembered for one is not remembered for the other.
    for _turn in 0..2 {
        one.expect("lookup4 web.denied.test", &DENIED_V4.to_string());
        one.expect(&connect, "ok");
        assert!(two.does("lookup4 web.denied.test").starts_with("EAI"));
        two.expect(&connect, "EPERM");
    }
    let why = |session: &str| world.ctl(&["why", "web.denied.test:9000", "--session", session]);
    why("one").works().says("granted by uid 0");
    let refused = why("two");
    refused.must(refused.outcome.status == 1, "should say deny");
    drop(one);
    soon(&world, "the end of the session", || {
        json_of(&world, &["allow", "--list"]) == json!([])
    });
    let mut again = agent(&world, "one");
    assert!(again.does("lookup4 web.denied.test").starts_with("EAI"));
    again.expect(&connect, "EPERM");
    let ended = events(&world, "grant-ended");
    assert!(
        ended.len() == 1 && ended[0]["message"].to_string().contains("session ended"),
        "{ended:#?}"
    );
}

#[test]
fn a_deny_rule_beats_what_a_person_wants_and_an_allow_rule_spares_it() {
    let world = TestWorld::guarded(json!({ "version": 1, "network": {
        "allow": [{ "name": "web", "hosts": ["web.allowed.test"], "ports": ["443/tcp"] }],
        "deny": [
            { "name": "never", "hosts": ["**.denied.test"] },
            { "name": "far", "cidrs": [NAMELESS_V4.to_string()] },
        ],
    } }));
    for place in ["web.denied.test".to_owned(), format!("{NAMELESS_V4}:9000")] {
        for end in [&["--for", "1h"][..], &[]] {
            let run = world.ctl(&[&["allow", &place, "--yes"], end].concat());
            run.must(run.outcome.status == 1, "should have been denied");
            run.says("deny beats allow").says("policy.json:");
        }
    }
    // The pattern is wider than the rule: what that denies stays denied.
    world
        .ctl(&["allow", "203.0.113.0/24:9000", "--for", "1h", "--yes"])
        .works()
        .says("still denies a part of it");
    let mut agent = agent(&world, "one");
    agent.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    agent.expect("connect 203.0.113.78 9000", "ok");
    world
        .ctl(&["allow", "web.allowed.test", "--for", "1h", "--yes"])
        .works()
        .says("allows it already");
    assert_eq!(events(&world, "grant-added").len(), 1);
}

#[test]
fn for_good_the_policy_file_has_it_and_keeps_its_layout() {
    let world = empty();
    let file = world.daemon().expect("one").files().policy.clone();
    let audit = world.daemon().expect("one").files().audit.clone();
    let audit = audit.display().to_string();
    let text = r#"{
  "//": "a comment of the house",
  "version": 1,
  "audit": { "file": "LOG" },
  "network": {
    "allow": [
      { "name": "one",   "hosts": ["one.allowed.test"], "ports": ["443/tcp"] }
    ]
  }
}
"#
    .replace("LOG", &audit);
    std::fs::write(&file, &text).expect("the file is ours");
    world.ctl(&["reload"]).works();
    let asked = world.ctl(&["allow", "web.denied.test:9000"]);
    asked.must(!asked.outcome.succeeded(), "should have wanted `--yes`");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    world
        .ctl(&[
            "allow",
            "web.denied.test:9000",
            "--yes",
            "--why",
            "for the build",
        ])
        .works()
        .says("it is in force");
    let after = std::fs::read_to_string(&file).expect("it is there");
    for piece in [
        "a comment of the house",
        r#""one",   "hosts""#,
        "allowed by uid 0",
        "for the build",
    ] {
        assert!(after.contains(piece), "{after}");
    }
    let mut agent = agent(&world, "one");
    agent.expect("lookup4 web.denied.test", &DENIED_V4.to_string());
    agent.expect(&format!("connect {DENIED_V4} 9000"), "ok");
    let added = events(&world, "grant-added");
    assert!(
        added[0]["message"].to_string().contains("for the build"),
        "{added:#?}"
    );
    // What egressd refuses is taken back.
    let moved = after.replace(&audit, "/tmp/elsewhere.log");
    std::fs::write(&file, &moved).expect("the file is ours");
    let refused = world.ctl(&["allow", "other.denied.test", "--yes"]);
    refused.must(!refused.outcome.succeeded(), "should have been refused");
    refused.says("as it was before");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), moved);
    assert!(agent.does("lookup4 other.denied.test").starts_with("EAI"));
}

#[test]
fn nobody_inside_opens_anything_not_even_root() {
    let world = asking("60s");
    let socket = world.daemon().expect("one").files().socket.clone();
    let mut root = Agent::at(&world, &socket, &["--session", "one", "--allow-root"]);
    root.begins("lookup4 web.denied.test");
    let id = waiting(&world)["id"].clone();
    let mut other = Agent::at(&world, &socket, &["--session", "two", "--allow-root"]);
    for request in [
        json!({ "v": 1, "op": "allow", "wish": { "target": "web.denied.test", "seconds": 60 }, "act": "grant" }),
        json!({ "v": 1, "op": "allow", "wish": { "target": "web.denied.test" }, "act": "show" }),
        json!({ "v": 1, "op": "approve", "settlement": { "id": id, "verdict": "allow" } }),
        json!({ "v": 1, "op": "pending" }),
        json!({ "v": 1, "op": "grants" }),
        json!({ "v": 1, "op": "revoke", "id": 1 }),
    ] {
        let answer = other.does(&format!("control {} {request}", socket.display()));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["error"]["code"], "forbidden", "{request}: {answer}");
    }
    // Nor does anybody outside who is not root.
    let socket = socket.display().to_string();
    for words in [
        &["allow", "web.denied.test", "--for", "1h", "--yes"][..],
        &["approve"],
    ] {
        let run = world.run_unguarded(&[&["egressctl", "--socket", &socket], words].concat());
        run.must(!run.outcome.succeeded(), "should have been refused");
        run.says("only root may");
    }
    world.ctl(&["approve", "--deny", &id.to_string()]).works();
    assert!(root.ends("lookup4 web.denied.test").starts_with("EAI"));
    assert!(events(&world, "grant-added").is_empty());
}

#[test]
fn a_question_waits_for_a_person_and_gets_through_within_the_patience_of_its_client() {
    let world = asking("60s");
    let curl = begin(
        &world,
        &["curl", "-sS", "-4", "-m", "20", "https://web.denied.test/"],
    );
    let one = waiting(&world);
    assert_eq!(one["host"], "web.denied.test", "{one}");
    assert_eq!(one["rule"], "perhaps", "{one}");
    assert!(one["process"]["pid"].is_u64(), "{one}");
    world.ctl(&["approve"]).works().says("web.denied.test");
    world.ctl(&["status"]).works().says("1 for a person");
    let asked = world.ctl(&["why", "web.denied.test:443"]);
    asked.must(asked.outcome.status == 1, "should not be allowed yet");
    asked.says("needs-approval");
    assert!(!world.resolver().saw("web.denied.test"));
    world
        .ctl(&["approve", &one["id"].to_string(), "--why", "I know it"])
        .works()
        .says("is open for session");
    let (works, said) = end(curl);
    assert!(
        works && said.contains("hello from web.denied.test"),
        "{said}"
    );
    let verdicts: Vec<Value> = events(&world, "approval")
        .iter()
        .map(|record| record["verdict"].clone())
        .collect();
    assert_eq!(verdicts, [json!("ask"), json!("allow")]);
    // It was for that session, and for that name.
    let mut next = agent(&world, "next");
    next.begins("lookup4 web.denied.test");
    let one = waiting(&world);
    assert_eq!(one["session"], "next");
    assert!(!world.resolver().saw("other.denied.test"));
    world
        .ctl(&["approve", "--deny", &one["id"].to_string()])
        .works();
    assert!(next.ends("lookup4 web.denied.test").starts_with("EAI"));
    // A no holds: the second try does not wait.
    let begun = Instant::now();
    assert!(next.does("lookup4 web.denied.test").starts_with("EAI"));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(next.does("lookup4 never.denied.test").starts_with("EAI"));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_nobody_answers_is_denied_and_a_flood_of_it_stays_bounded() {
    let world = asking("3s");
    let mut one = agent(&world, "one");
    let begun = Instant::now();
    assert!(one.does("lookup4 web.denied.test").starts_with("EAI"));
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(40),
        "{took:?}"
    );
    soon(&world, "the record of it", || {
        events(&world, "approval")
            .iter()
            .any(|record| record["verdict"] == "deny" && record["name"] == "web.denied.test")
    });
    assert!(!world.resolver().saw("web.denied.test"));
    let late = world.ctl(&["approve", "1"]);
    late.must(!late.outcome.succeeded(), "should have been too late");
    late.says("may have run out");
    // Many names at once, from one client.
    let flood = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        def q(i):\n    n = b''.join(bytes([len(l)]) + l for l in (b'f%d' % i, b'denied', b'test'))\n    return bytes([i >> 8, i & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + n + b'\\0\\0\\1\\0\\1'\n\
        server = [l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver') and '.' in l][0]\n\
        s.connect((server, 53))\ns.settimeout(5)\n\
        for i in range(2000): s.send(q(i))\n\
        refused = 0\n\
        try:\n    while refused < 1000: refused += s.recv(512)[3] & 15 == 5\n\
        except TimeoutError: pass\n\
        print('refused', refused)";
    let flooding = begin(&world, &["/usr/bin/python3", "-c", flood]);
    waiting(&world);
    let most = json_of(&world, &["approve"]).as_array().map_or(0, Vec::len);
    assert!((1..=17).contains(&most), "{most} wait");
    let (works, said) = end(flooding);
    assert!(works && said.contains("refused 1000"), "{said}");
    // Others are served meanwhile and after.
    one.expect("lookup4 web.allowed.test", "203.0.113.10");
}

#[test]
fn an_address_that_is_asked_about_opens_at_the_next_try() {
    let world = asking("60s");
    let mut one = agent(&world, "one");
    one.expect(&format!("connect {NAMELESS_V4} 9000"), "EPERM");
    let waits = waiting(&world);
    assert_eq!(waits["host"], NAMELESS_V4.to_string());
    assert_eq!(waits["port"], "9000/tcp");
    let id = waits["id"].to_string();
    let refused = world.ctl(&["approve", &id]);
    refused.must(
        !refused.outcome.succeeded(),
        "should have wanted more words",
    );
    refused.says("--all-sessions");
    world
        .ctl(&["approve", &id, "--all-sessions", "--for", "1h"])
        .works();
    one.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    one.expect("connect 203.0.113.78 9000", "EPERM");
}

#[test]
fn the_proxy_waits_for_a_person_as_well() {
    let world = asking("60s");
    let status = json_of(&world, &["status"]);
    let proxy = format!("http://127.0.0.1:{}", status["guards"][0]["proxy"]["port"]);
    let words = [
        "curl",
        "-sS",
        "-m",
        "20",
        "-x",
        &proxy,
        "https://web.denied.test/",
    ];
    let curl = begin(&world, &words);
    let one = waiting(&world);
    assert_eq!(one["host"], "web.denied.test", "{one}");
    world.ctl(&["approve", &one["id"].to_string()]).works();
    let (works, said) = end(curl);
    assert!(
        works && said.contains("hello from web.denied.test"),
        "{said}"
    );
    let curl = begin(&world, &words);
    let one = waiting(&world);
    world
        .ctl(&["approve", "--deny", &one["id"].to_string()])
        .works();
    let (works, said) = end(curl);
    assert!(!works && said.contains("403"), "{said}");
}

#[test]
fn a_daemon_that_is_killed_has_granted_nothing() {
    let mut world = asking("60s");
    let mut one = agent(&world, "one");
    world
        .ctl(&["allow", "web.denied.test:9000", "--for", "1h", "--yes"])
        .works();
    world
        .ctl(&[
            "allow",
            &format!("{NAMELESS_V4}:8000"),
            "--for",
            "1h",
            "--yes",
        ])
        .works();
    one.expect("lookup4 web.denied.test", &DENIED_V4.to_string());
    one.expect(&format!("open live {DENIED_V4} 9000"), "ok");
    one.expect("talk live", "ok");
    one.begins("lookup4 other.denied.test");
    waiting(&world);
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it ran");
    // Whoever waited is not let through.
    assert!(!one.ends("lookup4 other.denied.test").contains('.'));
    world
        .with_daemon(0, xtask::world::daemon::Daemon::start)
        .expect("it starts");
    assert_eq!(json_of(&world, &["allow", "--list"]), json!([]));
    one.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");
    one.expect(&format!("connect {NAMELESS_V4} 8000"), "EPERM");
    one.expect("talk live 0.5", "silence");
}
