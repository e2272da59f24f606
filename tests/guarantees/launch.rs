//! Starting commands under the guard: their status, their signals, their end; and what is left.

use std::{fs, net::UdpSocket, os::fd::OwnedFd, process::Stdio, time::Duration};

use serde_json::json;
use xtask::world::{
    cgroup,
    place::{DENIED_V4, NAMELESS_V4},
    wait_for,
};

use super::policy;
use crate::harness::TestWorld;

#[test]
fn the_status_of_the_command_is_that_of_the_run() {
    let world = TestWorld::guarded(policy());
    for (script, status) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill $$", 143),
    ] {
        let run = world.run(&["sh", "-c", script]);
        run.must(
            run.outcome.status == status,
            &format!("should have ended with {status}"),
        );
    }
    let run = world.run(&["/no/such/program"]);
    run.must(run.outcome.status == 127, "should have ended with 127");
    run.says("/no/such/program");
    let run = world.run(&["/etc/passwd"]);
    run.must(run.outcome.status == 126, "should have ended with 126");
}

#[test]
fn without_a_daemon_no_command_starts() {
    let world = TestWorld::unguarded();
    let run = world.run_unguarded(&[
        "egressctl",
        "--socket",
        "/nowhere/control.sock",
        "run",
        "--",
        "touch",
        "started",
    ]);
    run.must(run.outcome.status == 125, "should have ended with 125");
    run.says("/nowhere/control.sock");
    assert!(!world.agent_home().join("started").exists());
}

#[test]
fn the_end_of_a_run_says_what_was_denied_and_what_would_allow_it() {
    let world = TestWorld::guarded(policy());
    let script = format!(
        "for n in 1 2 3; do nc -w 1 {DENIED_V4} 9000; done; getent hosts web.denied.test; nc -w 1 {NAMELESS_V4} 9000 </dev/null; exit 5"
    );
    let run = world.run(&["sh", "-c", &script]);
    run.must(run.outcome.status == 5, "should have ended with 5");
    run.says("egressd denied")
        .says(&format!("3x {DENIED_V4}:9000/tcp  no-rule"))
        .says(r#"to allow it, add to network.allow: {"name":"198.51.100.10-9000","cidrs":["198.51.100.10"],"ports":["9000/tcp"]}"#)
        .says("web.denied.test")
        .says(r#""hosts":["web.denied.test"]"#);
    let quiet = world.run(&["true"]);
    quiet
        .works()
        .must(quiet.outcome.stderr.is_empty(), "should have said nothing");
}

/// getaddrinfo(3) sorts addresses by connecting UDP sockets to them: nothing is sent, and nothing
/// denied.
#[test]
fn what_is_allowed_leaves_no_denial() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [{ "name": "web", "hosts": ["*.allowed.test"], "ports": ["80/tcp", "443/tcp"] }] },
    }));
    let python =
        "import socket\nfor port in 0, 80: print(socket.getaddrinfo('python.allowed.test', port))";
    let node = "fetch('https://node.allowed.test/').then(answer => answer.text())";
    for words in [
        &[
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "https://curl.allowed.test/",
        ][..],
        &["wget", "-q", "-O", "/dev/null", "http://wget.allowed.test/"],
        &["getent", "ahosts", "getent.allowed.test"],
        &["/usr/bin/python3", "-c", python],
        &["node", "-e", node],
    ] {
        let run = world.run(words);
        run.works()
            .must(run.outcome.stderr.is_empty(), "should have said nothing");
    }
    let records = world.daemon().expect("one").audit();
    let denials: Vec<_> = records
        .iter()
        .filter(|record| record["verdict"] == "deny")
        .collect();
    assert!(denials.is_empty(), "{denials:#?}");
}

#[test]
fn signals_reach_the_command() {
    let world = TestWorld::guarded(policy());
    let script = "trap 'echo got TERM; exit 3' TERM; trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; echo ready >up; while :; do sleep 0.05; done";
    let run = |signals: &[&str]| {
        let up = world.agent_home().join("up");
        drop(fs::remove_file(&up));
        let client = world
            .guarded(&["sh", "-c", script])
            .expect("one")
            .within(Duration::from_secs(20));
        let child = client
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        wait_for("the command", Duration::from_secs(5), || up.exists()).expect("it starts");
        let parent = parent_of_the_run(&world);
        for name in signals {
            let sent = std::process::Command::new("kill")
                .args(["-s", name, &parent])
                .status();
            assert!(sent.expect("kill runs").success());
            std::thread::sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output().expect("it was our child");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (status, said) = run(&["HUP", "USR1", "TERM"]);
    assert_eq!(
        (status, said.as_str()),
        (Some(3), "got HUP\ngot USR1\ngot TERM\n"),
        "{}",
        world.report()
    );
}

#[test]
fn a_session_ends_with_its_last_process_and_leaves_no_cgroup() {
    let world = TestWorld::guarded(policy());
    let guarded = cgroup::mount_point()
        .expect("one")
        .join(world.daemon().expect("one").cgroup());
    let script = r#"sleep 2 & echo "$0" >"$0"; exit 0"#;
    world.run(&["sh", "-c", script, "left"]).works();
    let sessions = || {
        let listing = fs::read_dir(&guarded).expect("it is there");
        listing
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    };
    assert_eq!(sessions(), 1, "sleep still runs");
    wait_for("the end of the session", Duration::from_secs(5), || {
        sessions() == 0
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.report()));
    let ended = || {
        world
            .daemon()
            .expect("one")
            .audit()
            .iter()
            .any(|record| record["event"] == "session-end")
    };
    wait_for("the record", Duration::from_secs(2), ended).expect("the end is recorded");
}

/// The pid of the one `egressctl run` of this world: the parent of the session's shell.
fn parent_of_the_run(world: &TestWorld) -> String {
    let sessions = world.ctl(&["session", "list", "--json"]);
    let list: serde_json::Value =
        serde_json::from_str(&sessions.works().outcome.stdout).expect("it is JSON");
    let pid = list[0]["pid"]
        .as_u64()
        .or_else(|| list["pid"].as_u64())
        .expect("a session");
    let stat = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let parent = stat.lines().find_map(|line| line.strip_prefix("PPid:\t"));
    parent.expect("it has a parent").to_owned()
}

/// A session in a cgroup that somebody else made would share its processes and leases.
#[test]
fn a_session_never_moves_into_a_cgroup_that_is_there_already() {
    let world = TestWorld::guarded(policy());
    let guard = world.daemon().expect("there is an egressd").cgroup();
    let taken = cgroup::mount_point()
        .expect("there is one")
        .join(guard)
        .join("taken");
    fs::create_dir(&taken).expect("a cgroup can be made");
    let run = world.ctl(&["run", "--allow-root", "--session", "taken", "--", "true"]);
    run.must(run.outcome.status == 125, "should have ended with 125");
    run.says("`taken` is there already");
}

/// A datagram socket among the standard streams would send to anyone: no program judges it.
#[test]
fn a_network_socket_does_not_go_along_as_a_standard_stream() {
    let world = TestWorld::guarded(policy());
    let daemon = world.daemon().expect("there is an egressd");
    let socket = daemon.files().socket.display().to_string();
    let words = ["egressctl", "--socket", &socket, "run", "--", "true"];
    let outside = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    let run = world
        .unguarded(&words)
        .command()
        .stdin(Stdio::from(OwnedFd::from(outside)))
        .output()
        .expect("egressctl starts");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(125), "{said}");
    assert!(
        said.contains("standard input is a network socket"),
        "{said}"
    );
}

#[test]
fn who_allows_root_is_told_what_is_not_held() {
    let world = TestWorld::guarded(policy());
    let run = world.ctl(&["run", "--allow-root", "--", "id", "-u"]);
    run.works()
        .says("0\n")
        .says("root is not held: it writes what other programs of root execute later");
    run.must(
        !run.outcome.stderr.contains("is not active"),
        "should have said that every piece is active",
    );
    let refused = world.ctl(&["run", "--", "id", "-u"]);
    refused.must(refused.outcome.status == 125, "should have ended with 125");
}
