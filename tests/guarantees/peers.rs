//! A guarded process looks at its own session and changes nothing, whatever its uid.

use serde_json::Value;

use super::policy;
use crate::{agent::Agent, harness::TestWorld};

#[test]
fn an_agent_cannot_change_its_guard() {
    changes_nothing(&[]);
}

#[test]
fn an_agent_that_is_root_cannot_change_its_guard() {
    changes_nothing(&["--allow-root"]);
}

#[test]
fn root_inside_the_guard_has_no_capability_and_cannot_leave_the_cgroup() {
    let world = TestWorld::guarded(policy());
    let socket = world.daemon().expect("one").files().socket.clone();
    let mut agent = Agent::at(&world, &socket, &["--allow-root"]);
    let (pid, uid, _) = agent.identity();
    assert_eq!(uid, 0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let line = format!("{set}:\t0000000000000000");
        assert!(status.contains(&line), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[test]
fn root_is_refused_unless_it_is_asked_for() {
    let world = TestWorld::guarded(policy());
    let run = world.ctl(&["run", "--", "true"]);
    run.must(
        run.outcome.status == 125,
        "should have ended with status 125",
    );
    run.says("--allow-root");
    let socket = world
        .daemon()
        .expect("one")
        .files()
        .socket
        .display()
        .to_string();
    let words = [
        "egressctl",
        "--socket",
        &socket,
        "run",
        "--user",
        "nobody",
        "--",
        "id",
        "-u",
    ];
    let run = world.finish(world.unguarded(&words).as_root().run());
    run.works().says("65534");
}

#[test]
fn nobody_outside_may_look_and_enter_and_no_more() {
    let world = TestWorld::guarded(policy());
    let socket = world
        .daemon()
        .expect("one")
        .files()
        .socket
        .display()
        .to_string();
    let ctl = |words: &[&str]| {
        world.run_unguarded(&[&["egressctl", "--socket", &socket], words].concat())
    };
    ctl(&["status"]).works();
    ctl(&["session", "list"]).works();
    for words in [&["reload"][..], &["release"]] {
        let run = ctl(words);
        run.must(run.outcome.status == 2, "should have ended with status 2");
        run.says("only root may");
    }
    world.ctl(&["status"]).works();
}

#[track_caller]
fn changes_nothing(options: &[&str]) {
    let world = TestWorld::guarded(policy());
    let socket = &world.daemon().expect("there is an egressd").files().socket;
    let mut agent = Agent::at(&world, socket, &[options, &["--session", "own"]].concat());
    let mut other = Agent::at(&world, socket, &["--session", "other"]);
    other.does("lookup other.allowed.test");
    let mut ask = |request: &str| {
        let answer = agent.does(&format!("control {} {request}", socket.display()));
        serde_json::from_str::<Value>(&answer)
            .unwrap_or_else(|error| panic!("{request}: {answer}: {error}\n{}", world.report()))
    };
    for request in [
        r#"{"v":1,"op":"reload"}"#,
        r#"{"v":1,"op":"release"}"#,
        r#"{"v":1,"op":"enter","command":[]}"#,
        r#"{"v":1,"op":"end","session":"own"}"#,
        r#"{"v":1,"op":"end","session":"other"}"#,
        r#"{"v":1,"op":"verbosity","filter":"off"}"#,
        r#"{"v":1,"op":"sessions"}"#,
        r#"{"v":1,"op":"status","session":"other"}"#,
        r#"{"v":1,"op":"why","target":"a.test:1","session":"other"}"#,
        r#"{"v":1,"op":"denials","session":"other"}"#,
        r#"{"v":1,"op":"log","filter":{},"follow":false}"#,
    ] {
        let answer = ask(request);
        assert_eq!(answer["error"]["code"], "forbidden", "{request}: {answer}");
    }
    let status = ask(r#"{"v":1,"op":"status"}"#);
    let sessions = status["ok"]["status"]["sessions"]
        .as_array()
        .expect("a list");
    let names: Vec<_> = sessions.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(names, ["own"], "{status}");
    let why = ask(r#"{"v":1,"op":"why","target":"web.allowed.test:9000"}"#);
    assert_eq!(why["ok"]["why"]["verdict"], "allow", "{why}");
    // Nothing of the other session shines through.
    let why = ask(r#"{"v":1,"op":"why","target":"203.0.113.10:9000"}"#);
    assert!(!why.to_string().contains("other.allowed.test"), "{why}");
    other.expect("connect 198.51.100.10 9000", "EPERM");
}
