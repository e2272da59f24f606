use super::*;
use crate::{
    audit::record::{Egress, Finding, Gap, Mode, Policy, Rule, Time, Tool, Verdict, tests::denial},
    report::{Chain, Session},
};

fn head() -> Head {
    Head {
        made: time(59),
        machine: "box".to_owned(),
        log: "audit.jsonl".to_owned(),
        since: None,
        until: None,
        session: None,
        chain: Chain::Whole { records: 1 },
    }
}

fn time(second: u32) -> Time {
    denial(second, "::").time
}

fn report(records: &[Record]) -> Report {
    let mut gather = Gather::default();
    for record in records {
        gather.add(record);
    }
    gather.finish(head(), 10)
}

fn life(second: u32, kind: Kind) -> Record {
    Record::new(time(second), Layer::Daemon, kind)
}

fn of(session: &str, mut record: Record) -> Record {
    record.session = Some(session.to_owned());
    record
}

fn begin(second: u32, session: &str) -> Record {
    let mut record = of(session, life(second, Kind::SessionBegin));
    record.guard = Some("agents".to_owned());
    record.message = Some("pid 7 uid 1000: claude".to_owned());
    record
}

fn named(session: &Session) -> Option<&str> {
    session.name.as_deref()
}

#[test]
fn denials_are_grouped_by_destination_layer_and_reason() {
    let mut twice = denial(9, "203.0.113.7");
    twice.count = 2;
    twice.allow_with = Some(serde_json::json!({ "hosts": ["a.test"] }));
    let mut observed = denial(3, "203.0.113.7");
    observed.mode = Some(Mode::Observe);
    let mut other = denial(5, "203.0.113.7");
    other.reason = Some("denied-by-rule".into());
    other.rule = Some(Rule {
        name: "no-gists".to_owned(),
        line: None,
    });
    let report = report(&[denial(5, "203.0.113.7"), twice, observed, other]);
    let [session] = report.sessions.rows.as_slice() else {
        panic!("{:?}", report.sessions)
    };
    let rows = &session.denials.rows;
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].what.as_str(), rows[0].count, rows[0].observed),
        ("203.0.113.7:443", 4, 1)
    );
    assert_eq!((rows[0].first, rows[0].last), (time(3), time(9)));
    assert!(rows[0].allow_with.is_some());
    assert_eq!(rows[1].rule.as_deref(), Some("no-gists"));
    // Three and one were refused, and one only observed.
    assert_eq!((session.tally.denied, session.tally.observed), (4, 1));
    assert_eq!(report.tally, session.tally);
}

#[test]
fn a_session_begins_and_ends_and_its_name_is_used_again() {
    let mut end = of("s1", life(6, Kind::SessionEnd));
    end.egress = vec![Egress {
        host: "a.test".to_owned(),
        verdict: Verdict::Allow,
        connections: 4,
        bytes_up: Some(10),
        bytes_down: Some(20),
        duration_ms: Some(30),
    }];
    let report = report(&[
        begin(1, "s1"),
        denial(2, "203.0.113.7"),
        end,
        begin(7, "s1"),
        denial(8, "203.0.113.8"),
        denial(9, "203.0.113.8"),
    ]);
    let [first, second] = report.sessions.rows.as_slice() else {
        panic!("{:?}", report.sessions)
    };
    assert_eq!((first.begun, first.ended), (Some(time(1)), Some(time(6))));
    assert_eq!(first.command.as_deref(), Some("pid 7 uid 1000: claude"));
    assert!(first.hosts_are_counted);
    // What the daemon counted replaces what single records said.
    let [host] = first.hosts.rows.as_slice() else {
        panic!("{:?}", first.hosts)
    };
    assert_eq!(
        (host.host.as_str(), host.connections, host.bytes_down),
        ("a.test", 4, Some(20))
    );
    assert_eq!((second.begun, second.ended), (Some(time(7)), None));
    assert_eq!(second.hosts.rows[0].connections, 2);
    assert_eq!((first.tally.denied, second.tally.denied), (1, 2));
}

#[test]
fn calls_findings_and_names_have_their_tables() {
    let call = |verdict| {
        let mut record = of("s1", Record::new(time(4), Layer::Hook, Kind::ToolCall));
        record.verdict = Some(verdict);
        record.tool = Some(Tool {
            name: "Bash".to_owned(),
            class: Some("shell".to_owned()),
            server: None,
            call: None,
        });
        record.findings = vec![Finding {
            detector: "aws-key".to_owned(),
            offset: 1,
            length: 2,
        }];
        record
    };
    let mut question = of("s1", Record::new(time(5), Layer::Dns, Kind::Question));
    question.name = Some("a.test".to_owned());
    question.verdict = Some(Verdict::Allow);
    let report = report(&[
        call(Verdict::Allow),
        call(Verdict::Ask),
        call(Verdict::Deny),
        question,
    ]);
    let session = &report.sessions.rows[0];
    let [tool] = session.tools.rows.as_slice() else {
        panic!("{:?}", session.tools)
    };
    assert_eq!(
        (tool.tally.allowed, tool.tally.asked, tool.tally.denied),
        (1, 1, 1)
    );
    assert_eq!(session.findings.rows[0].count, 3);
    assert_eq!(session.names.rows[0].tally.allowed, 1);
    assert_eq!(session.denials.rows[0].what, "Bash");
    assert!(session.hosts.rows.is_empty());
}

#[test]
fn what_the_guard_went_through_is_told() {
    let loaded = |second, name: &str| {
        let mut record = life(second, Kind::PolicyLoaded);
        record.guard = Some("agents".to_owned());
        record.mode = Some(Mode::Enforce);
        record.policy = Some(Policy {
            name: name.to_owned(),
            digest: "ab".repeat(32),
        });
        record
    };
    let mut lost = life(4, Kind::Lost);
    lost.lost = BTreeMap::from([(Layer::Kernel, 3)]);
    let mut mended = life(5, Kind::Mended);
    mended.gap = Some(Gap {
        missing: 7,
        ..Gap::default()
    });
    let mut gather = Gather::default();
    for record in [
        life(1, Kind::Start),
        loaded(2, "one"),
        begin(3, "s1"),
        lost,
        life(5, Kind::Start),
        mended,
        loaded(6, "two"),
        life(7, Kind::Stop),
        life(8, Kind::Start),
    ] {
        gather.add(&record);
    }
    for _ in 0..MOST_UNREADABLE + 2 {
        gather.unreadable("audit.jsonl:3: not a record");
    }
    let report = gather.finish(head(), 10);
    assert_eq!(report.lost, BTreeMap::from([(Layer::Kernel, 3)]));
    assert_eq!((report.missing, report.unclean_starts), (7, 1));
    let in_force: Vec<_> = report
        .policies
        .rows
        .iter()
        .map(|one| one.in_force)
        .collect();
    assert_eq!(in_force, [false, true]);
    assert_eq!(
        report.sessions.rows[0].policy.as_deref(),
        Some("one (abababababab)")
    );
    assert_eq!(report.events.rows.len(), 6);
    assert_eq!(report.unreadable.more, 2);
    let span = report.span.unwrap();
    assert_eq!((span.first, span.last), (time(1), time(8)));
    assert_eq!(report.records, 9);
}

/// An agent that asks for anything, in any number of sessions, fills no memory and hides no sum.
#[test]
fn a_flood_is_bounded_and_counted() {
    let mut gather = Gather::default();
    let long = "x".repeat(5_000);
    let flood = 5_000_u64;
    for number in 0..flood {
        let session = format!("s{number}");
        gather.add(&begin(1, &session));
        let mut record = of(&session, denial(2, "203.0.113.7"));
        record.name = Some(format!("{number}.{long}.test"));
        gather.add(&record);
        let mut record = of("one", denial(3, "203.0.113.7"));
        record.name = Some(format!("{number}.test"));
        gather.add(&record);
    }
    assert!(gather.sessions.len() <= MOST_SESSIONS);
    let report = gather.finish(head(), 10);
    assert_eq!(report.tally.denied, 2 * flood);
    let one = report
        .sessions
        .rows
        .iter()
        .find(|one| named(one) == Some("one"))
        .unwrap();
    assert_eq!(one.tally.denied, flood);
    let denials = &one.denials;
    let shown: u64 = denials.rows.iter().map(|row| row.count).sum();
    assert_eq!(shown + denials.more + denials.uncounted, flood);
    let sessions = u64::try_from(report.sessions.rows.len()).unwrap() + report.sessions.more;
    assert_eq!(sessions, flood + 1);
    assert!(report.sessions.uncounted > 0);
}

#[test]
fn what_was_denied_is_named_as_why_takes_it() {
    let what = |change: fn(&mut Record)| {
        let mut record = denial(1, "2001:db8::1");
        change(&mut record);
        report(&[record]).sessions.rows[0].denials.rows[0]
            .what
            .clone()
    };
    assert_eq!(what(|_| ()), "[2001:db8::1]:443");
    assert_eq!(
        what(|record| record.name = Some("a.test".to_owned())),
        "a.test:443"
    );
    let udp = |record: &mut Record| record.flow.as_mut().unwrap().protocol = "udp".into();
    assert_eq!(what(udp), "[2001:db8::1]:443/udp");
    assert_eq!(what(|record| record.flow = None), "flow");
}
