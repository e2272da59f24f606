//! What a report says, of a log with known sums and of a daemon that really ran.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use xtask::week;

use crate::harness::TestWorld;

/// Exit status and standard output.
fn egressctl(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_egressctl"))
        .args(words)
        .output()
        .expect("egressctl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

fn report(log: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let log = log.display().to_string();
    let words = [&["report", "--json", "--log", &log], more].concat();
    let (status, said) = egressctl(&words);
    let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    (status, value)
}

#[test]
fn the_sums_of_a_long_log_are_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let week = week::write(directory.path(), 60_000, 3 << 20).expect("a log");
    assert!(week.files.len() > 5, "{week:?}");
    let (status, all) = report(&week.log, &[]);
    assert_eq!(status, Some(0));
    assert_eq!(all["chain"], json!({ "state": "whole", "records": 60_000 }));
    assert_eq!(all["records"], 60_000);
    assert_eq!(all["tally"]["denied"], week.denied);
    assert_eq!(all["tally"]["allowed"], week.allowed);
    let sessions = all["sessions"]["rows"].as_array().expect("sessions");
    assert_eq!(sessions.len() as u64, week.sessions);
    for session in sessions {
        assert_eq!(
            session["hosts"]["rows"][0]["bytes_down"], 8_901_234,
            "{session}"
        );
        let denials = &session["denials"];
        let shown = denials["rows"].as_array().expect("denials").len() as u64;
        assert_eq!(
            shown + denials["more"].as_u64().expect("more"),
            week.denied_hosts
        );
    }

    // What is asked for since a time is all of it, over the files and the clock that was set back.
    let log = week.log.display().to_string();
    let since = |time: &str| {
        let (_, said) = egressctl(&["log", "--json", "--file", &log, "--since", time]);
        said.lines().count() as u64
    };
    assert_eq!(since(&week.late), week.since_late);
    assert_eq!(since("2026-03-01T00:00:00Z"), 60_000);
    let text: String = week
        .files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a file"))
        .collect();
    for time in [
        "2026-03-04T12:30:00",
        "2026-03-04T13:30:00",
        "2026-03-04T14:30:00",
    ] {
        let expected = text
            .lines()
            .filter(|line| line.split_once("\"time\":\"").expect("a time").1 >= time);
        assert_eq!(
            since(&format!("{time}Z")),
            expected.count() as u64,
            "{time}"
        );
    }
    let (_, late) = report(&week.log, &["--since", &week.late, "--no-verify"]);
    assert_eq!(late["records"], week.since_late);
    assert_eq!(late["chain"]["state"], "not-checked");
    let (_, early) = report(&week.log, &["--until", "2026-03-01T23:00:00Z"]);
    assert!(
        early["records"].as_u64() < Some(10_000) && early["records"] != 0,
        "{}",
        early["records"]
    );
}

#[test]
fn a_log_that_was_changed_is_said_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let week = week::write(directory.path(), 2_000, week::FILE).expect("a log");
    let text = fs::read_to_string(&week.log).expect("the log");
    fs::write(&week.log, text.replacen("tracker", "trackee", 1)).expect("a change");
    let page = directory.path().join("report.html");
    let log = week.log.display().to_string();
    let (status, said) = egressctl(&[
        "report",
        "--log",
        &log,
        "--html",
        &page.display().to_string(),
    ]);
    assert_eq!((status, said.as_str()), (Some(1), ""));
    let html = fs::read_to_string(&page).expect("the page");
    let first = html.find("The log is not whole").expect("said");
    assert!(first < html.find("<dl").expect("facts"));
    let (_, text) = egressctl(&["report", "--log", &log]);
    assert!(
        text.lines()
            .nth(1)
            .expect("a line")
            .starts_with("Attention: The log is not whole"),
        "{text}"
    );
}

#[test]
fn a_run_of_the_daemon_is_reported_as_it_was() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "web", "hosts": ["web.allowed.test"], "ports": ["443/tcp"] },
        ] },
    }));
    let socket = world
        .daemon()
        .expect("a daemon")
        .files()
        .socket
        .display()
        .to_string();
    let work = "curl -sS -m 5 https://web.allowed.test/; \
        for i in 1 2 3; do curl -sS -m 5 https://other.denied.test/; done; true";
    let words = [
        "egressctl",
        "--socket",
        &socket,
        "run",
        "--session",
        "seen",
        "--",
        "sh",
        "-c",
        work,
    ];
    world.finish(world.unguarded(&words).run()).works();
    // The end of a session is recorded when its cgroup is empty.
    let ended = xtask::world::wait_for("the end", std::time::Duration::from_secs(5), || {
        let log = world.ctl(&["log", "--json"]);
        log.outcome.stdout.contains("session-end")
    });
    ended.expect("the session's end");
    let home = world.home().join("report");
    let (page, notes) = (home.with_extension("html"), home.with_extension("md"));
    let shown = world.ctl(&[
        "report",
        "--json",
        "--session",
        "seen",
        "--html",
        &page.display().to_string(),
        "--markdown",
        &notes.display().to_string(),
    ]);
    let report: Value = serde_json::from_str(&shown.works().outcome.stdout).expect("JSON");
    assert_eq!(report["chain"]["state"], "whole", "{report:#}");
    let [session] = report["sessions"]["rows"]
        .as_array()
        .expect("sessions")
        .as_slice()
    else {
        panic!("one session: {report:#}");
    };
    assert_eq!(session["name"], "seen");
    assert!(
        session["command"]
            .as_str()
            .is_some_and(|said| said.ends_with(": sh")),
        "{session:#}"
    );
    assert!(!session["ended"].is_null() && session["hosts_are_counted"] == true);
    // The same as the log says by itself.
    let mut records = world.daemon().expect("a daemon").audit();
    records.retain(|record| record["session"] == "seen");
    let denied: u64 = records
        .iter()
        .filter(|record| record["verdict"] == "deny")
        .map(|record| record["count"].as_u64().unwrap_or(1))
        .sum();
    assert!(denied >= 3, "{records:#?}");
    assert_eq!(session["tally"]["denied"], denied);
    let rows = session["denials"]["rows"].as_array().expect("denials");
    let row = rows.iter().find(|row| row["what"] == "other.denied.test");
    assert!(
        row.is_some_and(|row| row["allow_with"]["hosts"][0] == "other.denied.test"),
        "{rows:#?}"
    );
    let hosts = session["hosts"]["rows"].as_array().expect("hosts");
    assert!(
        hosts.iter().any(|host| host["host"] == "web.allowed.test"),
        "{hosts:#?}"
    );
    for file in [&page, &notes] {
        let text = fs::read_to_string(file).expect("written");
        assert!(text.contains("other.denied.test"), "{text}");
    }
}
