//! What stands in each pane: rows of text, made from values. Pure.
//!
//! Names, commands and paths are foreign: what is kept of them is bounded, and holds nothing that a
//! terminal obeys or that takes no room on it.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    panes::Pane,
    words::{age, bounded, bytes, number, short},
};
use crate::{
    audit::record::{Kind, Mode, Record, Time, Verdict},
    control::{
        overview::{Flow, HeldLease, Overview, Through},
        status::Session,
    },
};

/// How a row is to be seen; never only the colour says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
}

/// One thing in a pane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    /// Stays the same as long as the thing does.
    pub(super) key: String,
    /// One for each column of the pane.
    pub(super) cells: Vec<String>,
    pub(super) tone: Tone,
    pub(super) session: Option<String>,
    pub(super) guard: Option<String>,
    /// What `why` is asked.
    pub(super) target: Option<String>,
    /// All that is known, for the explanation.
    pub(super) details: Vec<String>,
}

impl Pane {
    pub(super) fn rows(self, overview: &Overview) -> Vec<Row> {
        match self {
            Self::Sessions => sessions(overview),
            Self::Flows => flows(overview),
            Self::Denials => overview
                .denials
                .iter()
                .rev()
                .map(|record| denial(record, overview.time))
                .collect(),
            Self::Leases => {
                let leases = overview.leases.iter();
                leases
                    .map(|one| Row {
                        guard: guard_of(overview, one.session.as_deref()),
                        ..lease(one)
                    })
                    .collect()
            }
            Self::Questions => questions(overview),
        }
    }
}

impl Row {
    /// Whether `word`, in lower case, is in it.
    pub(super) fn has(&self, word: &str) -> bool {
        self.cells
            .iter()
            .any(|cell| cell.to_lowercase().contains(word))
    }
}

fn sessions(overview: &Overview) -> Vec<Row> {
    let mut sessions: Vec<&Session> = overview.status.sessions.iter().collect();
    sessions.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    sessions
        .into_iter()
        .map(|session| {
            let command = session.command.join(" ");
            let age = age(session.started, overview.time);
            let observes = session.mode == Mode::Observe;
            Row {
                key: session.id.clone(),
                cells: vec![
                    cell(&session.id),
                    (if observes { "observe" } else { "enforce" }).to_owned(),
                    session.uid.to_string(),
                    age.clone(),
                    number(session.denials),
                    number(session.leases),
                    cell(&command),
                ],
                tone: if observes { Tone::Warn } else { Tone::Plain },
                session: Some(session.id.clone()),
                guard: Some(session.guard.clone()),
                target: None,
                details: vec![
                    detail("session", &session.id),
                    detail("guard", &session.guard),
                    detail(
                        "process",
                        &format!("{} of uid {}", session.pid, session.uid),
                    ),
                    detail("began", &format!("{age} ago")),
                    detail("command", &command),
                ],
            }
        })
        .collect()
}

fn flows(overview: &Overview) -> Vec<Row> {
    let mut flows: Vec<&Flow> = overview.flows.iter().collect();
    flows.sort_by(|a, b| order(a).cmp(&order(b)));
    flows
        .into_iter()
        .map(|one| Row {
            guard: guard_of(overview, Some(&one.session)),
            ..flow(one)
        })
        .collect()
}

fn guard_of(overview: &Overview, session: Option<&str>) -> Option<String> {
    let mut sessions = overview.status.sessions.iter();
    let session = sessions.find(|one| Some(one.id.as_str()) == session)?;
    Some(session.guard.clone())
}

fn order(flow: &Flow) -> (&str, Option<&str>, SocketAddr, SocketAddr) {
    (&flow.session, flow.name.as_deref(), flow.remote, flow.local)
}

fn flow(flow: &Flow) -> Row {
    let via = match flow.through {
        None => "direct",
        Some(Through::Proxy) => "proxy",
        Some(Through::Resolver) => "resolver",
    };
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), bytes);
    let target = target(
        flow.name.as_deref(),
        flow.remote.ip(),
        flow.remote.port(),
        &flow.protocol,
    );
    let exact = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    Row {
        key: flow_key(flow),
        cells: vec![
            cell(&flow.session),
            cell(&target),
            via.to_owned(),
            cell(&flow.state),
            count(flow.sent),
            count(flow.received),
            flow.pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        ],
        tone: if flow.state == "established" {
            Tone::Good
        } else {
            Tone::Plain
        },
        session: Some(flow.session.clone()),
        guard: None,
        details: vec![
            detail("flow", &format!("{} -> {}", flow.local, flow.remote)),
            detail("session", &flow.session),
            detail(
                "name",
                flow.name.as_deref().unwrap_or("none: no lease led there"),
            ),
            detail("state", &format!("{}, {via}", flow.state)),
            detail(
                "bytes",
                &format!(
                    "{} sent, {} received",
                    exact(flow.sent),
                    exact(flow.received)
                ),
            ),
        ],
        target: Some(target),
    }
}

/// What is one flow as long as it lasts.
pub(super) fn flow_key(flow: &Flow) -> String {
    format!("{} {} {}", flow.protocol, flow.local, flow.remote)
}

fn denial(record: &Record, now: Time) -> Row {
    let what = what(record);
    let reason = record.reason.as_deref().unwrap_or("-");
    let observed = record.mode == Some(Mode::Observe);
    let process = process(record);
    let mut details = vec![
        detail("what", &what),
        detail(
            "reason",
            &if observed {
                format!("{reason} (observed only: it went on)")
            } else {
                reason.to_owned()
            },
        ),
        detail("layer", record.layer.code()),
        detail(
            "last",
            &format!("{} ago, {} times", age(record.time, now), record.count),
        ),
    ];
    details.extend(record.session.as_deref().map(|one| detail("session", one)));
    details.extend((!process.is_empty()).then(|| detail("process", &process)));
    details.extend(record.rule.as_ref().map(|rule| detail("rule", &rule.name)));
    details.extend(
        record
            .message
            .as_deref()
            .map(|text| detail("message", text)),
    );
    details.extend(
        record
            .allow_with
            .as_ref()
            .map(|rule| detail("allow with", &rule.to_string())),
    );
    Row {
        key: denial_key(record),
        cells: vec![
            age(record.time, now),
            format!("x{}", number(record.count)),
            cell(record.session.as_deref().unwrap_or("-")),
            cell(&what),
            cell(reason),
            cell(&process),
        ],
        tone: if observed { Tone::Warn } else { Tone::Bad },
        session: record.session.clone(),
        guard: record.guard.clone(),
        target: asked(record),
        details,
    }
}

/// What the daemon folds into one record.
pub(super) fn denial_key(record: &Record) -> String {
    format!(
        "{} {} {} {} {} {}",
        record.session.as_deref().unwrap_or_default(),
        record.layer.code(),
        what(record),
        record.qtype.as_deref().unwrap_or_default(),
        record.reason.as_deref().unwrap_or_default(),
        record
            .process
            .as_ref()
            .map_or("", |process| process.comm.as_str()),
    )
}

/// What a record is about, in a few words.
pub(super) fn what(record: &Record) -> String {
    if let Some(tool) = &record.tool {
        return match &tool.server {
            Some(server) => format!("{} of {server}", tool.name),
            None => tool.name.clone(),
        };
    }
    if let Some(flow) = &record.flow {
        return target(
            record.name.as_deref(),
            flow.address,
            flow.port,
            &flow.protocol,
        );
    }
    if let Some(socket) = &record.socket {
        return match &socket.path {
            Some(path) => format!("{} {path}", socket.family),
            None => format!("a socket of family {}", socket.family),
        };
    }
    match &record.name {
        Some(name) => format!("{name} (DNS)"),
        None => record.event.code().to_owned(),
    }
}

/// How `why` is asked about a record.
fn asked(record: &Record) -> Option<String> {
    if let Some(flow) = &record.flow {
        let is_asked = flow.protocol == "tcp" || flow.protocol == "udp";
        let name = record.name.as_deref();
        return is_asked.then(|| target(name, flow.address, flow.port, &flow.protocol));
    }
    let name = record
        .name
        .as_deref()
        .filter(|_| record.event == Kind::Question)?;
    Some(format!("{name}:443"))
}

/// `HOST:PORT`, with the protocol where it is not TCP, as `why` reads it.
fn target(name: Option<&str>, address: IpAddr, port: u16, protocol: &str) -> String {
    let host = match (name, address) {
        (Some(name), _) => format!("{name}:{port}"),
        (None, address) => SocketAddr::new(address, port).to_string(),
    };
    if protocol == "tcp" {
        host
    } else {
        format!("{host}/{protocol}")
    }
}

pub(super) fn process(record: &Record) -> String {
    record.process.as_ref().map_or_else(String::new, |process| {
        format!("{}[{}]", process.comm, process.pid)
    })
}

fn lease(lease: &HeldLease) -> Row {
    let left = short(Duration::from_millis(lease.expires_in_ms));
    Row {
        key: lease_key(lease),
        cells: vec![
            cell(lease.session.as_deref().unwrap_or("-")),
            cell(&lease.name),
            lease.address.to_string(),
            left.clone(),
        ],
        tone: Tone::Plain,
        session: lease.session.clone(),
        guard: None,
        target: Some(format!("{}:443", lease.name)),
        details: vec![
            detail("name", &lease.name),
            detail("address", &lease.address.to_string()),
            detail(
                "lease",
                &format!(
                    "learnt {} ago, ends in {left}",
                    short(Duration::from_millis(lease.age_ms))
                ),
            ),
        ],
    }
}

/// What is one lease as long as it lasts.
pub(super) fn lease_key(lease: &HeldLease) -> String {
    format!(
        "{} {} {}",
        lease.session.as_deref().unwrap_or_default(),
        lease.name,
        lease.address
    )
}

/// Equal ones are one row with a count, the latest first.
fn questions(overview: &Overview) -> Vec<Row> {
    let mut folded: Vec<(&Record, u64)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for record in overview.questions.iter().rev() {
        let key = question_key(record);
        let place = places.get(&key).copied();
        if let Some((_, count)) = place.and_then(|place| folded.get_mut(place)) {
            *count += record.count;
        } else {
            places.insert(key, folded.len());
            folded.push((record, record.count));
        }
    }
    folded
        .into_iter()
        .map(|(record, count)| question(record, count, overview.time))
        .collect()
}

fn question_key(record: &Record) -> String {
    format!(
        "{} {} {} {:?}",
        record.session.as_deref().unwrap_or_default(),
        record.name.as_deref().unwrap_or_default(),
        record.qtype.as_deref().unwrap_or_default(),
        record.verdict,
    )
}

fn question(record: &Record, count: u64, now: Time) -> Row {
    let is_denied = record.verdict == Some(Verdict::Deny);
    let name = record.name.as_deref().unwrap_or("-");
    let answer = if is_denied {
        format!("denied: {}", record.reason.as_deref().unwrap_or("-"))
    } else {
        match record.answers.as_slice() {
            [] => "no address".to_owned(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first} +{}", rest.len()),
        }
    };
    let all: Vec<String> = record.answers.iter().map(ToString::to_string).collect();
    let kind = record.qtype.as_deref().unwrap_or("-");
    Row {
        key: question_key(record),
        cells: vec![
            age(record.time, now),
            format!("x{}", number(count)),
            cell(record.session.as_deref().unwrap_or("-")),
            cell(name),
            cell(kind),
            cell(&answer),
        ],
        tone: if is_denied { Tone::Bad } else { Tone::Plain },
        session: record.session.clone(),
        guard: record.guard.clone(),
        target: record.name.as_ref().map(|name| format!("{name}:443")),
        details: vec![
            detail("question", &format!("{name} {kind}")),
            detail("answer", &if is_denied { answer } else { all.join(" ") }),
            detail("process", &process(record)),
        ],
    }
}

fn detail(name: &str, value: &str) -> String {
    let value = if value.is_empty() { "-" } else { value };
    format!("{name:<10} {}", bounded(value, 600))
}

/// A foreign text, safe to print and not endless.
fn cell(text: &str) -> String {
    let text = bounded(text, 300);
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_what_why_reads() {
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        for (text, protocol) in [
            ("[2001:db8::1]:443", "tcp"),
            ("[2001:db8::1]:443/udp", "udp"),
        ] {
            let made = target(None, address, 443, protocol);
            assert_eq!(made, text);
            assert!(made.parse::<crate::policy::Target>().is_ok());
        }
        let named = target(Some("x.test"), address, 53, "udp");
        assert!(named.parse::<crate::policy::Target>().is_ok());
    }
}
