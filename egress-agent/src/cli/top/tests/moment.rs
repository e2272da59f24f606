//! A usual moment, for pictures of it.

use std::collections::BTreeMap;

use crate::{
    audit::record::{Kind, Layer, Mode, Process, Record, Time, Tool, Verdict, tests::denial},
    control::{
        overview::{Flow, HeldLease, Overview, SessionHosts, Through},
        status::{Audit, Dns, Guard, Hook, Policy, Session, Status},
    },
};

/// So many seconds into the minute that pictures are of.
pub(in crate::cli::top) fn at(second: u32) -> Time {
    Time::new(format!("2026-03-01T10:21:{second:02}Z").parse().unwrap())
}

/// A denied connect, five seconds before.
pub(in crate::cli::top) fn denied(session: &str, address: &str) -> Record {
    let mut record = denial(55, address);
    record.session = Some(session.to_owned());
    record.guard = Some("agent.slice".to_owned());
    record
}

fn session(id: &str, command: &[&str], denials: u64) -> Session {
    Session {
        id: id.to_owned(),
        guard: "agent.slice".to_owned(),
        pid: 4_000,
        uid: 1_000,
        command: command.iter().map(|&word| word.to_owned()).collect(),
        started: Time::new("2026-03-01T09:58:00Z".parse().unwrap()),
        denials,
        leases: 2,
        mode: Mode::Enforce,
        held: None,
    }
}

pub(super) fn flow(
    session: &str,
    remote: &str,
    name: Option<&str>,
    through: Option<Through>,
) -> Flow {
    Flow {
        session: session.to_owned(),
        protocol: "tcp".to_owned(),
        local: "192.0.2.2:40112".parse().unwrap(),
        remote: remote.parse().unwrap(),
        name: name.map(str::to_owned),
        through,
        state: "established".to_owned(),
        sent: Some(1_834),
        received: Some(48 << 20),
        pid: through.map(|_| 4_243),
    }
}

fn question(name: &str, kind: &str, answer: Option<&str>) -> Record {
    let mut record = Record::new(denied("s", "::").time, Layer::Dns, Kind::Question);
    record.session = Some("claude-1".to_owned());
    record.name = Some(name.to_owned());
    record.qtype = Some(kind.to_owned());
    record.verdict = Some(Verdict::Allow);
    if let Some(answer) = answer {
        record.answers = vec![answer.parse().unwrap()];
    } else {
        record.verdict = Some(Verdict::Deny);
        record.reason = Some("name-denied".into());
    }
    record
}

/// What a usual moment looks like.
pub(in crate::cli::top) fn overview() -> Overview {
    let guard = Guard {
        cgroup: "agent.slice".to_owned(),
        policy: Policy {
            name: "work".to_owned(),
            file: "/etc/egressd/policy.json".to_owned(),
            digest: "0".repeat(64),
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
        leases: 2,
        sessions: 2,
        grants: 0,
        waiting: 0,
        lost: 0,
        gaps: vec!["the kernel has no BPF LSM: UNIX sockets are not held".to_owned()],
    };
    let mut socket = flow("s2", "[2001:db8::7]:5432", None, None);
    socket.state = "syn-sent".to_owned();
    (socket.sent, socket.received) = (Some(0), Some(0));
    let mut asking = flow("s2", "127.0.0.1:53", None, Some(Through::Resolver));
    asking.protocol = "udp".to_owned();
    (asking.sent, asking.received, asking.pid) = (None, None, None);
    let mut named = denied("claude-1", "198.51.100.10");
    named.name = Some("telemetry.tracker.example.test".to_owned());
    named.count = 128;
    named.process = Some(Process {
        pid: 4_250,
        uid: 1_000,
        comm: "node".to_owned(),
    });
    let mut tool = Record::new(at(0), Layer::Hook, Kind::ToolCall);
    tool.verdict = Some(Verdict::Deny);
    tool.reason = Some("exfiltration".into());
    tool.session = Some("claude-1".to_owned());
    tool.tool = Some(Tool {
        name: "Bash".to_owned(),
        class: None,
        server: None,
        call: None,
    });
    Overview {
        time: at(0),
        status: Status {
            version: "0.1.0".to_owned(),
            pid: 77,
            uptime_ms: 7_980_000,
            mode: Mode::Enforce,
            guards: vec![guard],
            sessions: vec![
                session("claude-1", &["claude", "--continue"], 130),
                session("s2", &["npm", "test"], 0),
            ],
            audit: Some(Audit {
                file: "/var/log/egressd/audit.jsonl".to_owned(),
                written: 5_000,
                lost: BTreeMap::new(),
                failure: None,
            }),
            listeners: Vec::new(),
        },
        flows: vec![
            flow(
                "claude-1",
                "198.51.100.4:443",
                Some("api.example.test"),
                Some(Through::Proxy),
            ),
            flow(
                "claude-1",
                "198.51.100.5:22",
                Some("git.example.test"),
                None,
            ),
            socket,
            asking,
        ],
        flows_total: 4,
        flows_missing: None,
        leases: ["api.example.test", "git.example.test"]
            .iter()
            .map(|name| HeldLease {
                session: Some("claude-1".to_owned()),
                name: (*name).to_owned(),
                address: "198.51.100.4".parse().unwrap(),
                expires_in_ms: 250_000,
                age_ms: 50_000,
            })
            .collect(),
        leases_total: 2,
        denials: vec![denied("claude-1", "203.0.113.7"), named, tool],
        denials_total: 130,
        questions: vec![
            question("api.example.test", "A", Some("198.51.100.4")),
            question("telemetry.tracker.example.test", "AAAA", None),
            question("api.example.test", "A", Some("198.51.100.4")),
        ],
        questions_total: 3,
        events: 5_000,
        hosts: vec![SessionHosts {
            session: "claude-1".to_owned(),
            hosts: Vec::new(),
            hosts_total: 0,
        }],
    }
}
