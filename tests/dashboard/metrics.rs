//! Numbers of a real daemon, as Prometheus reads them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use xtask::world::wait_for;

use super::{Watched, http::ask_socket, policy};

#[test]
fn promtool_has_no_complaint_and_numbers_move_with_a_denial() {
    let watched = Watched::start(policy());
    let read = || {
        let answer = ask_socket(&watched.metrics, &["GET /metrics HTTP/1.1", "Host: x"]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        answer.body
    };
    let number = |text: &str, series: &str| -> f64 {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    };
    let questions = r#"egressd_decisions_total{layer="dns",verdict="deny",mode="enforce"}"#;
    let reasons = r#"egressd_denials_total{layer="dns",reason="name-denied"}"#;
    let before = read();
    assert!(number(&before, questions).abs() < f64::EPSILON);

    let curl = ["curl", "-sS", "-m", "5", "https://secret.denied.test/"];
    watched
        .world
        .run(&curl)
        .fails_within(Duration::from_secs(5));
    let moved = [
        questions,
        reasons,
        "egressd_audit_written_bytes_total",
        "egressd_audit_records_total",
        "egressd_sessions_begun_total",
    ];
    let mut after = String::new();
    let waited = wait_for("the numbers", Duration::from_secs(20), || {
        after = read();
        let has_moved = |series: &&str| number(&after, series) > number(&before, series);
        moved.iter().all(has_moved)
    });
    assert!(waited.is_ok(), "numbers that do not move:\n{after}");
    let loaded = number(&after, r#"egressd_policy_loads_total{result="loaded"}"#);
    assert!((loaded - 1.0).abs() < f64::EPSILON, "{after}");
    assert!(!after.contains("denied.test"), "{after}");
    // Over TCP with the token it is the same, but for the time.
    let other = watched.get("/metrics");
    let names = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&other.body), names(&after));

    for text in [&before, &after] {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool (package prometheus; `cargo xtask setup` installs it)");
        let mut stdin = promtool.stdin.take().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("promtool reads");
        drop(stdin);
        let output = promtool.wait_with_output().expect("promtool ends");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    }
}
