//! From the record of a judged call one comes to what the kernel and the resolver refused of the
//! same attempt: they bear the same session, and no other session's.

use std::{fmt::Write as _, fs, thread};

use serde_json::{Value, json};
use xtask::world::place::{DENIED_V4, STRANGER_V4};

use super::{hook::bash, policy};
use crate::harness::{Run, TestWorld};

/// Two agents at the same time, with the same number for their call, each to a place of its own.
#[test]
fn the_kernels_record_of_an_attempt_is_found_from_the_record_of_the_call() {
    let world = TestWorld::guarded(policy());
    let agents = [
        Agent {
            session: "left",
            other: "right",
            address: DENIED_V4.to_string(),
            name: "left.denied.test",
        },
        Agent {
            session: "right",
            other: "left",
            address: STRANGER_V4.to_string(),
            name: "right.denied.test",
        },
    ];
    thread::scope(|scope| {
        let runs = agents.each_ref().map(|agent| {
            let world = &world;
            scope.spawn(move || {
                agent.run(world).works();
            })
        });
        for run in runs {
            run.join().expect("the agent worked");
        }
    });

    for agent in &agents {
        let calls = log(&world, &["--layer", "hook"]);
        let mut calls = calls.iter().filter(|call| call["session"] == agent.session);
        let call = calls.next().expect("the call is recorded");
        assert_eq!(calls.next(), None, "one call, one record");
        assert_eq!(call["event"], "tool-call");
        assert_eq!(call["verdict"], "allow");
        assert_eq!(
            call["tool"],
            json!({ "name": "Bash", "class": "shell", "call": "t1" })
        );

        // All that is taken from the record is its session.
        let session = call["session"].as_str().expect("a session");
        let denials = log(&world, &["--session", session, "--denied"]);
        let of = |layer: &str| -> Vec<&Value> {
            let all = denials.iter();
            all.filter(|record| record["layer"] == layer).collect()
        };
        let (kernel, dns) = (of("kernel"), of("dns"));
        assert!(!kernel.is_empty() && !dns.is_empty(), "{denials:#?}");
        assert_eq!(denials.len(), kernel.len() + dns.len(), "{denials:#?}");
        for record in kernel {
            assert_eq!(record["flow"]["address"], agent.address, "{record}");
        }
        for record in dns {
            assert_eq!(record["name"], agent.name, "{record}");
        }
        for record in &denials {
            assert_eq!(record["guard"], call["guard"]);
            assert!(record["seq"].as_u64() > call["seq"].as_u64(), "{record}");
            assert!(record["time"].as_str() > call["time"].as_str(), "{record}");
        }

        // What the agent is told is of its session too.
        let answer = world.agent_home().join(format!("{}.after", agent.session));
        let told = fs::read_to_string(answer).expect("it was answered");
        assert!(
            told.contains(&agent.address) && told.contains(agent.name),
            "{told}"
        );
        assert!(!told.contains(&format!("{}.denied.test", agent.other)));
    }
}

/// Denied and let through alike, in the order in which they were asked about.
#[test]
fn every_decision_is_recorded_with_the_session_that_asked() {
    let world = TestWorld::guarded(policy());
    let denied = bash("PreToolUse", "t1", "curl http://left.denied.test:9000/");
    let allowed = bash("PreToolUse", "t2", "make");
    let secret = bash("PreToolUse", "t3", "cat ~/.ssh/id_rsa");
    let home = world.agent_home();
    let socket = world.daemon().expect("an egressd").files().socket.clone();
    let mut script = format!("export EGRESSD_SOCKET={}\n", socket.display());
    for (name, event) in [
        ("denied", &denied),
        ("allowed", &allowed),
        ("secret", &secret),
    ] {
        fs::write(home.join(name), event.to_string()).expect("the agent has a home");
        writeln!(script, "egressctl hook < {name} > {name}.out || exit 9").expect("it is text");
    }
    for session in ["first", "second"] {
        let words = [
            "run",
            "--quiet",
            "--session",
            session,
            "--",
            "sh",
            "-c",
            &script,
        ];
        run_in(&world, &words).works();
    }
    let calls = log(&world, &["--layer", "hook"]);
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            [
                &call["session"],
                &call["tool"]["call"],
                &call["verdict"],
                &call["reason"],
            ]
            .map(text)
        })
        .collect();
    let of = |session: &'static str| {
        [
            [session, "t1", "deny", "name-denied"],
            [session, "t2", "allow", "-"],
            [session, "t3", "deny", "credential-path"],
        ]
    };
    assert_eq!(told, [of("first"), of("second")].concat());
    assert_eq!(calls[0]["hosts"], json!(["left.denied.test"]));
    assert!(calls.iter().all(|call| call["process"]["pid"].is_u64()));
}

struct Agent {
    session: &'static str,
    other: &'static str,
    address: String,
    name: &'static str,
}

impl Agent {
    /// Asks, waits until the other has asked, tries, waits until the other has tried, asks again.
    fn run<'world>(&self, world: &'world TestWorld) -> Run<'world> {
        let Self {
            session,
            other,
            address,
            name,
        } = self;
        for (file, event) in [("first", "PreToolUse"), ("last", "PostToolUse")] {
            let file = world.agent_home().join(format!("{session}.{file}"));
            let event = bash(event, "t1", "./build.sh").to_string();
            fs::write(file, event).expect("the agent has a home");
        }
        let script = format!(
            "export EGRESSD_SOCKET={socket}
             wait_for() {{ until [ -e $1 ]; do sleep 0.02; done; }}
             egressctl hook < {session}.first > {session}.before || exit 9
             touch {session}.asked; wait_for {other}.asked
             curl -sS -m 5 http://{address}:9000/ && exit 9
             curl -sS -m 5 http://{name}:9000/ && exit 9
             touch {session}.tried; wait_for {other}.tried
             egressctl hook < {session}.last > {session}.after || exit 9
             test ! -s {session}.before",
            socket = world.daemon().expect("an egressd").files().socket.display(),
        );
        let words = [
            "run",
            "--quiet",
            "--session",
            session,
            "--",
            "sh",
            "-c",
            &script,
        ];
        run_in(world, &words)
    }
}

/// Runs `egressctl` as the agent's user.
#[track_caller]
fn run_in<'world>(world: &'world TestWorld, words: &[&str]) -> Run<'world> {
    let socket = world.daemon().expect("an egressd").files().socket.clone();
    let socket = socket.display().to_string();
    let words = [&["egressctl", "--socket", &socket], words].concat();
    world.run_unguarded(&words)
}

/// Records of the log, as `egressctl log` finds them.
#[track_caller]
fn log(world: &TestWorld, filter: &[&str]) -> Vec<Value> {
    let run = world.ctl(&[&["log", "--json"], filter].concat());
    let lines = run.works().outcome.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect()
}
