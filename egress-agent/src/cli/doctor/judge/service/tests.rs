use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use crate::{
    cli::{
        doctor::{facts::UnitFile, row::State},
        home::Agent,
    },
    control::status::{Audit, Dns, Hook, Policy},
};

fn a_guard() -> Guard {
    Guard {
        cgroup: "agent.slice".to_owned(),
        policy: Policy {
            name: "policy".to_owned(),
            file: "/etc/egressd/policy.json".to_owned(),
            digest: "d1".to_owned(),
        },
        mode: Mode::Enforce,
        dns: Dns::Steer,
        hooks: vec![Hook {
            name: "connect4".to_owned(),
            attached: true,
        }],
        lsm: None,
        proxy: None,
        counters: BTreeMap::new(),
        leases: 0,
        sessions: 1,
        grants: 0,
        waiting: 0,
        lost: 0,
        gaps: Vec::new(),
    }
}

pub(in crate::cli::doctor::judge) fn a_status() -> Status {
    Status {
        version: "1.0".to_owned(),
        pid: 7,
        uptime_ms: 61_000,
        mode: Mode::Enforce,
        guards: vec![a_guard()],
        sessions: Vec::new(),
        audit: Some(Audit {
            file: "/var/log/egressd/audit.jsonl".to_owned(),
            written: 1,
            lost: BTreeMap::new(),
            failure: None,
        }),
        listeners: Vec::new(),
    }
}

#[track_caller]
fn check(row: &Row, state: State, says: &str, mend: Option<&str>) {
    assert_eq!(row.state, state, "{row:?}");
    assert!(row.says.contains(says), "{row:?}");
    match (mend, &row.mend) {
        (Some(mend), Some(found)) => assert!(found.contains(mend), "{row:?}"),
        (None, None) => {}
        (_, _) => panic!("{row:?}"),
    }
}

#[test]
fn a_daemon_is_there_and_of_this_version() {
    let units = Units {
        systemd: true,
        ..Units::default()
    };
    let ask = |found: Result<Status, NoDaemon>, version: &str, units: &Units| {
        daemon(&found.map(Box::new), version, units)
    };
    check(
        &ask(Ok(a_status()), "1.0", &units),
        State::Pass,
        "pid 7",
        None,
    );
    let older = ask(Ok(a_status()), "1.1", &units);
    check(&older, State::Warn, "1.0 runs", Some("restart"));
    let absent = NoDaemon::Absent("not running".to_owned());
    let row = ask(Err(absent.clone()), "1.0", &units);
    check(
        &row,
        State::Fail,
        "not running",
        Some("systemctl enable --now"),
    );
    let row = ask(Err(absent), "1.0", &Units::default());
    check(&row, State::Fail, "not running", Some("egressd run"));
    let row = ask(Err(NoDaemon::NotAllowed("uid 5".to_owned())), "1.0", &units);
    check(&row, State::Warn, "uid 5", Some("sudo"));
    let row = ask(Err(NoDaemon::Strange("what".to_owned())), "1.0", &units);
    check(&row, State::Fail, "what", Some("restart"));
}

#[test]
fn a_guard_is_whole_or_says_what_is_missing() {
    check(
        &guard(&a_guard()),
        State::Pass,
        "whole, with 1 session",
        None,
    );
    let mut off = a_guard();
    off.hooks[0].attached = false;
    check(
        &guard(&off),
        State::Fail,
        "without connect4",
        Some("restart"),
    );
    let none = Guard {
        hooks: Vec::new(),
        ..a_guard()
    };
    check(&guard(&none), State::Fail, "any program", Some("restart"));
    let gaps = Guard {
        gaps: vec!["no LSM".to_owned()],
        ..a_guard()
    };
    check(&guard(&gaps), State::Warn, "no LSM", None);
    let observed = Guard {
        mode: Mode::Observe,
        ..a_guard()
    };
    check(
        &guard(&observed),
        State::Warn,
        "only observed",
        Some("enforce"),
    );
    let nothing = Status {
        guards: Vec::new(),
        ..a_status()
    };
    check(&guards(&nothing)[0], State::Fail, "guards no cgroup", None);
}

#[test]
fn a_policy_is_valid_and_the_one_in_force() {
    let file = |read: Result<(&str, usize), &str>, digest: Option<&str>| PolicyFile {
        file: PathBuf::from("/p.json"),
        read: read
            .map(|(digest, warnings)| (digest.to_owned(), warnings))
            .map_err(str::to_owned),
        in_force: digest.map(|digest| ("agent.slice".to_owned(), digest.to_owned())),
    };
    let row = policy(&file(Ok(("d1", 0)), Some("d1")));
    check(&row, State::Pass, "in force for agent.slice", None);
    let row = policy(&file(Ok(("d2", 0)), Some("d1")));
    check(
        &row,
        State::Warn,
        "changed since agent.slice",
        Some("egressctl reload"),
    );
    check(
        &policy(&file(Ok(("d1", 0)), None)),
        State::Pass,
        "valid",
        None,
    );
    let row = policy(&file(Ok(("d1", 2)), None));
    check(
        &row,
        State::Warn,
        "2 warnings",
        Some("policy check /p.json"),
    );
    let row = policy(&file(Err("/p.json:1:2: bad"), Some("d1")));
    check(&row, State::Fail, "bad", Some("policy check"));
    let row = policy(&file(Err("cannot read: No such file or directory"), None));
    check(&row, State::Fail, "No such file", Some("egressctl init"));
}

#[test]
fn the_log_has_room_and_is_written() {
    let room = |free: u64| Disk {
        file: PathBuf::from("/var/log/a"),
        free: free << 20,
        wanted: 576 << 20,
    };
    let status = a_status();
    let of = |disk: Option<Disk>, status: &Status| disk_row(disk.as_ref(), Some(status));
    check(
        &of(Some(room(9000)), &status),
        State::Pass,
        "9000 MiB left",
        None,
    );
    check(
        &of(Some(room(100)), &status),
        State::Warn,
        "may grow to 576",
        None,
    );
    check(
        &of(Some(room(10)), &status),
        State::Fail,
        "10 MiB",
        Some("journalctl"),
    );
    check(&of(None, &status), State::Warn, "cannot be told", None);
    let mut failing = a_status();
    let audit = failing.audit.as_mut().unwrap();
    audit.failure = Some("no space".to_owned());
    check(
        &of(Some(room(9000)), &failing),
        State::Fail,
        "no space",
        Some("df"),
    );
    let mut lossy = a_status();
    let audit = lossy.audit.as_mut().unwrap();
    audit.lost.insert(crate::audit::record::Layer::Dns, 3);
    check(
        &of(Some(room(9000)), &lossy),
        State::Warn,
        "lacks 3",
        Some("verify"),
    );
}

fn disk_row(disk: Option<&Disk>, status: Option<&Status>) -> Row {
    super::disk(disk, status)
}

#[test]
fn clocks_are_set_kept_and_the_kernel_s_own() {
    let base = Clock {
        now: "2026-11-26T10:00:00Z".parse().unwrap(),
        is_kept: Some(true),
        boot: Duration::from_hours(2),
        awake: Duration::from_hours(1),
        offsets: Some(
            "monotonic           0         0\nboottime            0         0\n".to_owned(),
        ),
    };
    check(
        &clock(&base),
        State::Pass,
        "2026-11-26 10:00:00 UTC, kept",
        None,
    );
    check(&boot_clock(&base), State::Pass, "1h 0m of it asleep", None);
    let unkept = Clock {
        is_kept: Some(false),
        ..base.clone()
    };
    check(
        &clock(&unkept),
        State::Warn,
        "nothing keeps it",
        Some("set-ntp"),
    );
    let unset = Clock {
        now: "1970-01-01T00:01:00Z".parse().unwrap(),
        ..base.clone()
    };
    check(&clock(&unset), State::Fail, "not set", Some("set-ntp"));
    let shifted = Clock {
        offsets: Some("monotonic 0 0\nboottime 86400 0\n".to_owned()),
        ..base
    };
    check(&boot_clock(&shifted), State::Fail, "time namespace", None);
    let behind = Clock {
        boot: Duration::from_secs(10),
        ..base
    };
    check(
        &boot_clock(&behind),
        State::Fail,
        "does not count",
        Some("reboot"),
    );
}

#[test]
fn units_are_there_current_and_enabled() {
    let unit = |name, at: Option<&str>, is_current| UnitFile {
        name,
        at: at.map(PathBuf::from),
        is_current,
    };
    let whole = Units {
        systemd: true,
        files: vec![unit("egressd.service", Some("/etc/a"), true)],
        is_enabled: true,
    };
    check(&units(&whole, true), State::Pass, "enabled", None);
    check(
        &units(&Units::default(), false),
        State::Pass,
        "by hand",
        None,
    );
    let missing = Units {
        files: vec![unit("agent.slice", None, false)],
        ..whole
    };
    check(
        &units(&missing, false),
        State::Fail,
        "agent.slice",
        Some("egressctl init"),
    );
    check(
        &units(&missing, true),
        State::Warn,
        "agent.slice",
        Some("egressctl init"),
    );
    let old = Units {
        files: vec![unit("agent.slice", Some("/etc/a"), false)],
        ..whole
    };
    check(&units(&old, true), State::Warn, "/etc/a", Some("--replace"));
    let disabled = Units {
        is_enabled: false,
        ..whole
    };
    check(
        &units(&disabled, true),
        State::Warn,
        "not started",
        Some("enable"),
    );
    check(&group(true), State::Pass, "egressd", None);
    check(&group(false), State::Warn, "no group", Some("groupadd"));
}

#[test]
fn hooks_are_there_and_current() {
    let seen = |agent, found, file: Option<&str>| SeenHook {
        agent,
        file: file.map(PathBuf::from),
        found,
        changes: Vec::new(),
    };
    let one = |found| hook(&seen(Agent::ClaudeCode, found, Some("/s.json")));
    check(
        &one(Found::Current),
        State::Pass,
        "Claude Code: installed",
        None,
    );
    check(
        &one(Found::Old),
        State::Warn,
        "not as this version",
        Some("hook install claude"),
    );
    check(
        &one(Found::Absent),
        State::Warn,
        "not installed",
        Some("hook install claude"),
    );
    check(
        &one(Found::Broken("x".to_owned())),
        State::Fail,
        "/s.json: x",
        None,
    );
    let none = hook(&seen(Agent::Cursor, Found::NoHook, None));
    check(&none, State::Pass, "Cursor: there is none", None);
    check(&hooks(&Ok(Vec::new()))[0], State::Pass, "no agent", None);
    check(&hooks(&Err("why".to_owned()))[0], State::Warn, "why", None);
}
