//! What one run of a session did.

use std::fmt::Write as _;

use super::super::{
    DenialRow, FindingRow, HostRow, NameRow, Session, Span, Tally, ToolRow,
    table::{Rows, clip},
    timeline::Growing,
};
use crate::audit::record::{Egress, Flow, Kind, Record, Socket, Time, Verdict};

/// Buckets of the timeline of one session.
const BUCKETS: i64 = 60;

#[derive(Debug)]
pub(super) struct Gathered {
    name: Option<String>,
    guard: Option<String>,
    begun: Option<Time>,
    ended: Option<Time>,
    span: Span,
    command: Option<String>,
    observed: bool,
    policy: Option<String>,
    records: u64,
    tally: Tally,
    hosts_are_counted: bool,
    hosts: Rows<HostRow>,
    denials: Rows<DenialRow>,
    tools: Rows<ToolRow>,
    findings: Rows<FindingRow>,
    names: Rows<NameRow>,
    timeline: Growing,
}

impl Gathered {
    pub(super) fn new(name: Option<&str>, first: &Record) -> Self {
        Self {
            name: name.map(str::to_owned),
            guard: first.guard.as_deref().map(|guard| clip(guard).to_owned()),
            begun: None,
            ended: None,
            span: Span::of(first.time),
            command: None,
            observed: false,
            policy: None,
            records: 0,
            tally: Tally::default(),
            hosts_are_counted: false,
            hosts: Rows::default(),
            denials: Rows::default(),
            tools: Rows::default(),
            findings: Rows::default(),
            names: Rows::default(),
            timeline: Growing::new(BUCKETS),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn begun(&mut self, record: &Record, policy: Option<String>) {
        self.note(record);
        self.begun.get_or_insert(record.time);
        self.observed |= record.mode.is_some();
        self.policy = policy;
        let command = record.message.as_deref().map(clip);
        self.command = command.map(str::to_owned);
    }

    /// What the daemon counted is all that happened, recorded or not.
    pub(super) fn ended(&mut self, record: &Record, room: &mut usize) {
        self.note(record);
        self.ended = Some(record.time);
        self.observed |= record.mode.is_some();
        self.hosts.empty(room);
        self.hosts_are_counted = true;
        for row in &record.egress {
            let Egress {
                host,
                verdict,
                connections,
                bytes_up,
                bytes_down,
                duration_ms,
            } = row;
            self.hosts.row(host, *connections, room, || HostRow {
                host: clip(host).to_owned(),
                verdict: *verdict,
                connections: *connections,
                bytes_up: *bytes_up,
                bytes_down: *bytes_down,
                duration_ms: *duration_ms,
            });
        }
    }

    pub(super) fn decided(&mut self, record: &Record, room: &mut usize) {
        self.note(record);
        self.tally.add(record.verdict, record.mode, record.count);
        self.timeline
            .at(record.time)
            .add(record.verdict, record.mode, record.count);
        if record.verdict == Some(Verdict::Deny) {
            self.denied(record, room);
        }
        match record.event {
            Kind::Question => self.asked(record, room),
            Kind::ToolCall | Kind::Message => self.called(record, room),
            Kind::Flow | Kind::Request => self.reached(record, room),
            Kind::Socket
            | Kind::Start
            | Kind::Stop
            | Kind::PolicyLoaded
            | Kind::PolicyRefused
            | Kind::SessionBegin
            | Kind::SessionEnd
            | Kind::GuardAttached
            | Kind::GuardLost
            | Kind::GuardReleased
            | Kind::SettingChanged
            | Kind::GrantAdded
            | Kind::GrantEnded
            | Kind::Approval
            | Kind::Lost
            | Kind::Mended => {}
        }
        for finding in &record.findings {
            let key = format!("{}\0{}", finding.detector, record.layer.code());
            let row = self.findings.row(&key, record.count, room, || FindingRow {
                detector: clip(&finding.detector).to_owned(),
                layer: record.layer,
                count: 0,
                first: record.time,
                last: record.time,
            });
            if let Some(row) = row {
                row.count = row.count.saturating_add(record.count);
                row.first = row.first.min(record.time);
                row.last = row.last.max(record.time);
            }
        }
    }

    pub(super) fn finish(self, most: usize) -> Session {
        Session {
            name: self.name,
            guard: self.guard,
            begun: self.begun,
            ended: self.ended,
            span: self.span,
            command: self.command,
            observed: self.observed,
            policy: self.policy,
            records: self.records,
            tally: self.tally,
            hosts_are_counted: self.hosts_are_counted,
            hosts: self.hosts.top(most, |row| row.connections),
            denials: self.denials.top(most, |row| row.count),
            // Calls that were not simply allowed are what a reviewer looks for.
            tools: self.tools.top(most, |row| {
                let refused = row.tally.total() - row.tally.allowed;
                refused
                    .saturating_mul(1 << 32)
                    .saturating_add(row.tally.allowed)
            }),
            findings: self.findings.top(most, |row| row.count),
            names: self.names.top(most, |row| row.tally.total()),
            timeline: self.timeline.finish(),
        }
    }

    fn note(&mut self, record: &Record) {
        self.records += 1;
        self.span.note(record.time);
        if self.guard.is_none() {
            self.guard = record.guard.as_deref().map(|guard| clip(guard).to_owned());
        }
    }

    fn denied(&mut self, record: &Record, room: &mut usize) {
        let what = what(record);
        let reason = record.reason.as_deref().unwrap_or("no reason");
        let key = format!("{}\0{}\0{reason}", record.layer.code(), clip(&what));
        let row = self.denials.row(&key, record.count, room, || DenialRow {
            what: clip(&what).to_owned(),
            layer: record.layer,
            reason: clip(reason).to_owned(),
            rule: record.rule.as_ref().map(|rule| clip(&rule.name).to_owned()),
            count: 0,
            observed: 0,
            first: record.time,
            last: record.time,
            allow_with: None,
            message: None,
        });
        let Some(row) = row else { return };
        row.count = row.count.saturating_add(record.count);
        if record.mode == Some(crate::audit::record::Mode::Observe) {
            row.observed = row.observed.saturating_add(record.count);
        }
        row.first = row.first.min(record.time);
        row.last = row.last.max(record.time);
        if row.allow_with.is_none() {
            row.allow_with.clone_from(&record.allow_with);
        }
        if row.message.is_none() {
            row.message = record.message.as_deref().map(|text| clip(text).to_owned());
        }
    }

    fn asked(&mut self, record: &Record, room: &mut usize) {
        let Some(name) = record.name.as_deref() else {
            return;
        };
        let row = self.names.row(name, record.count, room, || NameRow {
            name: clip(name).to_owned(),
            tally: Tally::default(),
        });
        if let Some(row) = row {
            row.tally.add(record.verdict, record.mode, record.count);
        }
    }

    fn called(&mut self, record: &Record, room: &mut usize) {
        let Some(tool) = &record.tool else { return };
        let class = tool.class.as_deref();
        let key = format!("{}\0{}", tool.name, class.unwrap_or_default());
        let row = self.tools.row(&key, record.count, room, || ToolRow {
            tool: clip(&tool.name).to_owned(),
            class: class.map(|class| clip(class).to_owned()),
            tally: Tally::default(),
        });
        if let Some(row) = row {
            row.tally.add(record.verdict, record.mode, record.count);
        }
    }

    /// Only until the daemon's own count comes, at the end.
    fn reached(&mut self, record: &Record, room: &mut usize) {
        if self.hosts_are_counted {
            return;
        }
        let address = record.flow.as_ref().map(|flow| flow.address.to_string());
        let Some(host) = record.name.as_deref().or(address.as_deref()) else {
            return;
        };
        let verdict = record.verdict.unwrap_or(Verdict::Deny);
        let row = self.hosts.row(host, record.count, room, || HostRow {
            host: clip(host).to_owned(),
            verdict,
            connections: 0,
            bytes_up: None,
            bytes_down: None,
            duration_ms: None,
        });
        if let Some(row) = row {
            row.connections = row.connections.saturating_add(record.count);
            if verdict == Verdict::Deny {
                row.verdict = verdict;
            }
        }
    }
}

/// What was denied, in the words that `why` takes where it is a destination.
fn what(record: &Record) -> String {
    let mut text = String::new();
    if let Some(tool) = &record.tool {
        text.push_str(&tool.name);
    } else if let Some(Socket { family, path }) = &record.socket {
        text = format!("{family} socket {}", path.as_deref().unwrap_or_default());
        text.truncate(text.trim_end().len());
    } else if let Some(flow) = &record.flow {
        let Flow {
            protocol,
            address,
            port,
        } = flow;
        text = match &record.name {
            Some(name) => format!("{name}:{port}"),
            None => std::net::SocketAddr::new(*address, *port).to_string(),
        };
        if protocol != "tcp" {
            // Writing into a string does not fail.
            write!(text, "/{protocol}").unwrap_or_default();
        }
    } else if let Some(name) = &record.name {
        text.push_str(name);
    }
    if text.is_empty() {
        record.event.code().clone_into(&mut text);
    }
    text
}
