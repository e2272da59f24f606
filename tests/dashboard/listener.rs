//! Who gets an answer, and who gets none.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    Watched,
    http::{Answer, ask, ask_socket, connect},
    link, policy,
};
use crate::{agent::Agent, harness::TestWorld};

#[test]
fn only_the_right_name_the_right_token_and_questions_are_answered() {
    let watched = Watched::start(policy());
    let (world, address) = (&watched.world, watched.address);
    let host = format!("Host: {address}");
    let bearer = format!("Authorization: Bearer {}", watched.token);
    let status = |lines: &[&str]| ask(world, address, lines).status;

    let page = ask(world, address, &["GET / HTTP/1.1", &host]);
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>"));
    assert!(!page.body.contains(&watched.token));
    let csp = page.header("content-security-policy").expect("a policy");
    assert!(
        csp.starts_with("default-src 'none'; script-src 'sha256-"),
        "{csp}"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "deny"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    assert_eq!(page.header("access-control-allow-origin"), None);
    assert_eq!(page.header("set-cookie"), None);

    for path in [
        "/api/overview",
        "/api/policy",
        "/api/timeline",
        "/api/why?target=www.allowed.test:443",
        "/metrics",
    ] {
        let line = format!("GET {path} HTTP/1.1");
        assert_eq!(status(&[&line, &host]), 401, "{path}");
        assert_eq!(
            status(&[&line, &host, "Authorization: Bearer x"]),
            401,
            "{path}"
        );
        let told = ask(world, address, &[&line, &host, &bearer]);
        assert_eq!(told.status, 200, "{path}: {told:?}");
        let foreign = [&*line, "Host: evil.test", &bearer];
        assert_eq!(status(&foreign), 403, "{path}");
        let other = [&*line, &host, &bearer, "Origin: http://evil.test"];
        assert_eq!(status(&other), 403, "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
            let line = format!("{method} {path} HTTP/1.1");
            assert_eq!(status(&[&line, &host, &bearer]), 405, "{line}");
        }
    }
    let error = watched.get("/api/why?target=nonsense").json();
    assert!(error["error"]["message"].is_string(), "{error}");
    let line = "GET /api/overview HTTP/1.1";
    assert_eq!(status(&[line, &host, &bearer, "Content-Length: 5"]), 413);
    let long = format!("X: {}", "x".repeat(40_000));
    assert_eq!(status(&[line, &host, &bearer, &long]), 431);
    // Nothing of it is in the log of the daemon.
    let log = world.daemon().expect("a daemon").log();
    assert!(!log.contains(&watched.token));
    let said = world.ctl(&["status"]);
    said.says(&format!("dashboard  http://{address}/"));
    assert!(!said.outcome.said().contains(&watched.token));
}

#[test]
fn who_says_nothing_or_takes_nothing_costs_nobody_else_anything() {
    let watched = Watched::start(policy());
    let (world, address) = (&watched.world, watched.address);
    // All the room there is, held by silence.
    let silent: Vec<_> = (0..64).map(|_| connect(world, address)).collect();
    let begun = Instant::now();
    let answered = xtask::world::wait_for("an answer", Duration::from_secs(20), || {
        let mut stream = connect(world, address);
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").ok();
        let mut first = [0; 12];
        stream.read_exact(&mut first).is_ok() && first == *b"HTTP/1.1 200"
    });
    answered.expect("silence ends");
    // Streams have room of their own, and it ends with the client.
    drop(silent);
    let begin = |path: &str| {
        let mut stream = connect(world, address);
        let token = &watched.token;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .expect("a request");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        (stream, String::from_utf8_lossy(&first).into_owned())
    };
    let streams: Vec<_> = (0..16).map(|_| begin("/api/events")).collect();
    assert!(streams.iter().all(|(_, first)| first == "HTTP/1.1 200"));
    let (mut refused, first) = begin("/api/events");
    assert_eq!(first, "HTTP/1.1 503");
    drop(Answer::read(&mut refused));
    drop(streams);
    let again = xtask::world::wait_for("a free stream", Duration::from_secs(20), || {
        begin("/api/events").1 == "HTTP/1.1 200"
    });
    again.expect("streams end with their clients");
    // Decisions went on all the while.
    assert!(begun.elapsed() < Duration::from_mins(1));
    world
        .run(&["curl", "-sS", "-m", "10", "https://www.allowed.test/"])
        .works();
}

/// The kernel denies it the port; where the policy opens the port, it has no token; and neither the
/// file, nor the control socket, nor the socket for metrics tells it anything.
#[test]
fn a_guarded_process_learns_nothing() {
    let watched = Watched::start(policy());
    let port = watched.address.port();
    let mut agent = Agent::start(&watched.world);
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
        agent.expect(&format!("connect {address} {port}"), "EPERM");
    }
    watched.world.records_a_denial_of("loopback");
    drop(agent);

    let mut open = policy();
    open["network"]["loopback"] = json!({ "allow": ["1024-65535/tcp"] });
    let watched = Watched::start(open);
    let url = format!("{}api/overview", watched.url());
    let said = watched.world.run(&["curl", "-sS", "-m", "10", &url]);
    said.works().says("the token is missing");
    let file = watched.token_file();
    let text = fs::read_to_string(&file).expect("the token");
    assert_eq!(text.trim(), watched.token);
    let read = watched.world.run(&["cat", &file.display().to_string()]);
    assert!(
        !read.outcome.said().contains(&watched.token),
        "{}",
        read.outcome
    );
    let socket = watched
        .world
        .daemon()
        .expect("a daemon")
        .files()
        .socket
        .display()
        .to_string();
    let asked = watched
        .world
        .run(&["egressctl", "--socket", &socket, "dashboard"]);
    asked.says("a guarded process sees no more than its own session");
    assert!(!asked.outcome.said().contains(&watched.token));
    // As if its mode let everybody in.
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(&watched.metrics, everybody).expect("a mode");
    let home = watched.metrics.parent().expect("a directory");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(home, everybody).expect("a mode");
    let metrics = watched.metrics.display().to_string();
    let words = [
        "curl",
        "-sS",
        "-m",
        "10",
        "--unix-socket",
        &metrics,
        "http://localhost/metrics",
    ];
    let told = watched.world.run(&words);
    assert!(
        !told.outcome.said().contains("egressd_"),
        "{}",
        told.outcome
    );
    let outside = watched.world.run_unguarded(&words);
    outside.works().says("egressd_build_info");
}

#[test]
fn a_port_that_is_taken_is_a_gap_and_no_reason_not_to_guard() {
    let mut world = TestWorld::guarded(policy());
    let daemon = world.daemon().expect("a daemon");
    // Without one that was asked for, it says how to get one.
    world.ctl(&["dashboard"]).says("--dashboard 127.0.0.1:9440");
    assert!(
        !daemon
            .files()
            .socket
            .with_file_name("dashboard.token")
            .exists()
    );
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it stops");
    let taken = world
        .machine()
        .run(|| Ok(TcpListener::bind("127.0.0.1:0")?));
    let taken = taken.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let arguments = ["--dashboard", &address];
    let started = world.with_daemon(0, |daemon, world| {
        daemon.add_arguments(&arguments);
        daemon.start(world)
    });
    started.expect("it guards");
    let status = world.ctl(&["status"]);
    status.says("gap: no dashboard").says(&address);
    assert_eq!(status.outcome.status, 1, "{}", status.outcome);
    world.ctl(&["dashboard"]).says(&address);
    world
        .run(&["curl", "-sS", "-m", "5", "https://other.denied.test/"])
        .fails_within(Duration::from_secs(5));
    drop(taken);
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it stops");
    let started = world.with_daemon(0, xtask::world::daemon::Daemon::start);
    started.expect("it guards");
    assert_eq!(link(&world).0.to_string(), address);
}

#[test]
fn an_address_of_the_network_is_refused_with_what_to_do() {
    for address in ["0.0.0.0:9440", "192.0.2.2:9440", "[::]:9440"] {
        let output = Command::new(env!("CARGO_BIN_EXE_egressd"))
            .args([
                "run",
                "--cgroup",
                "x",
                "--policy",
                "y",
                "--dashboard",
                address,
            ])
            .output()
            .expect("egressd runs");
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("ssh -L"), "{said}");
    }
}

#[test]
fn the_token_goes_with_the_daemon() {
    let mut watched = Watched::start(policy());
    let file = watched.token_file();
    let before = watched.token.clone();
    assert!(file.exists() && watched.metrics.exists());
    let stopped = watched.world.with_daemon(0, |daemon, _| daemon.stop());
    stopped.expect("it stops");
    assert!(!file.exists() && !watched.metrics.exists());
    let started = watched
        .world
        .with_daemon(0, xtask::world::daemon::Daemon::start);
    started.expect("it starts");
    let (address, token) = link(&watched.world);
    assert_ne!(token, before);
    (watched.address, watched.token) = (address, before);
    assert_eq!(watched.get("/api/overview").status, 401);
    let metrics = ask_socket(&watched.metrics, &["GET /metrics HTTP/1.1", "Host: x"]);
    assert_eq!(metrics.status, 200);
}
