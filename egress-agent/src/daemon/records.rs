//! From what happened to audit records.

use std::{borrow::Cow, cell::RefCell, net::IpAddr, rc::Rc, sync::Arc};

use egress_common::{Event, Hook, Protocol, Reason, RuleId};
use hickory_proto::rr::RecordType;
use tokio::task::spawn_local;

use super::{
    approvals::Waiting,
    host::World,
    rows::{Rows, Seen},
};
use crate::{
    audit::{
        record::{Egress, Flow, Kind, Layer, Mode, Process, Record, Rule, Socket, Time, Verdict},
        sink::Sink,
    },
    dns::{Decision, Leases, Outcome},
    kernel::events::Decided,
    policy::{Host, Level, Name, Policy, suggest},
    proxy::{Told, Traffic, told::Outcome as Passed},
};

/// Makes records and hands them to the log.
#[derive(Debug)]
pub struct Records {
    sink: Sink,
    /// Made, and handed to the log by the next task that runs, or before anything else is.
    waiting: Rc<RefCell<Vec<Record>>>,
    /// Of everything that happened with a host, recorded or not.
    rows: RefCell<Rows>,
}

impl Records {
    pub fn new(sink: Sink) -> Self {
        Self {
            sink,
            waiting: Rc::default(),
            rows: RefCell::default(),
        }
    }

    /// The rows of a session that has ended. They are kept for a while.
    pub fn end_rows(&self, session: u64, name: &str) -> Vec<Egress> {
        self.rows.borrow_mut().end(session, name)
    }

    /// The rows of a session that runs.
    pub fn running_rows(&self, session: u64) -> Vec<Egress> {
        self.rows.borrow().running(session)
    }

    /// The rows of the last session of this name that ended, and its cgroup id.
    pub fn ended_rows(&self, name: &str) -> Option<(u64, Vec<Egress>)> {
        self.rows.borrow().ended(name)
    }

    fn add_row(&self, world: &World, session: u64, seen: &Seen<'_>) {
        let runs = world.sessions.borrow().by_id(session).is_some();
        self.rows.borrow_mut().add(session, runs, seen);
    }

    pub fn sink(&self) -> &Sink {
        hand_over(&self.waiting, &self.sink);
        &self.sink
    }

    /// A record of the daemon's own life.
    pub fn life(&self, kind: Kind, change: impl FnOnce(&mut Record)) {
        let mut record = Record::new(now(), Layer::Daemon, kind);
        change(&mut record);
        self.sink().record(record);
    }

    /// Something waits for a person, or was settled.
    pub(super) fn approval(&self, waiting: &Waiting, verdict: Verdict, message: Option<String>) {
        self.life(Kind::Approval, |record| {
            record.verdict = Some(verdict);
            record.guard = Some(waiting.guard.clone());
            record.session = Some(waiting.session.1.clone());
            record.process.clone_from(&waiting.process);
            record.name = Some(waiting.host.to_string());
            record.rule = Some(Rule {
                name: waiting.rule.clone(),
                line: None,
            });
            record.count = waiting.count;
            record.message = message;
        });
    }

    /// A decision of the kernel.
    pub fn event(&self, world: &World, leases: &Leases, decided: &Decided) {
        let Decided { event, unix } = decided;
        let policy = world.policy();
        let hook = Hook::from_number(event.hook);
        let kind = match hook {
            Some(Hook::SockCreate | Hook::Lsm) => Kind::Socket,
            Some(Hook::Connect | Hook::Sendmsg | Hook::Egress) | None => Kind::Flow,
        };
        let mut record = of_session(world, Layer::Kernel, kind, event.session);
        record.boot_ns = Some(event.time);
        record.process = Some(Process::from(event.process));
        record.hook = hook.map(Into::into);
        record.mode = Some(mode(event.observed == 1));
        record.rule = rule(&policy, RuleId(event.rule));
        if hook == Some(Hook::Lsm) {
            record.socket = Some(Socket::new(event.family, unix.as_deref()));
        } else {
            record.flow = Some(Flow::from(event.flow));
        }
        let held = leases.name(event.session, event.flow.destination);
        record.name = held.map(|held| held.name.to_string());
        if event.allowed == 1 {
            record.verdict = Some(Verdict::Allow);
        } else {
            record.verdict = Some(Verdict::Deny);
            let reason = Reason::from_number(event.reason).unwrap_or(Reason::Malformed);
            record.reason = Some(Cow::Borrowed(reason.code()));
            record.message = reason_text(&policy, RuleId(event.rule));
            if reason == Reason::UnixSocket
                && let Some(path) = record.socket.as_ref().and_then(|one| one.path.as_ref())
            {
                record.message = Some(format!(
                    "to allow it, add to session.unix_sockets: {}",
                    serde_json::Value::from(path.as_str())
                ));
            }
            if is_allowable(reason) && event.flow.protocol.is_tcp_or_udp() {
                let name = record
                    .name
                    .as_deref()
                    .and_then(|name| Name::parse(name).ok());
                let host = name.map_or_else(
                    || Host::Address(IpAddr::from(event.flow.destination)),
                    Host::Name,
                );
                record.allow_with = allow_with(&host, event.flow.port, event.flow.protocol);
            }
        }
        if kind == Kind::Flow && !is_told_by_others(&policy, event) {
            let address = IpAddr::from(event.flow.destination).to_string();
            let seen = Seen {
                host: record.name.as_deref().unwrap_or(&address),
                verdict: record.verdict.unwrap_or(Verdict::Deny),
                connections: 1,
                traffic: None,
            };
            self.add_row(world, event.session, &seen);
        }
        self.sink().record(record);
    }

    /// A question to the guard resolver. Must run in a [`tokio::task::LocalSet`].
    pub fn question(&self, world: &World, outcome: &Outcome<'_>) {
        let policy = world.policy();
        let session = outcome.client.map_or(0, |client| client.session);
        let mut record = of_session(world, Layer::Dns, Kind::Question, session);
        record.process = outcome.client.map(|client| Process::from(client.process));
        record.name = (!outcome.name.is_empty()).then(|| outcome.name.to_owned());
        record.qtype = (outcome.kind != 0).then(|| RecordType::from(outcome.kind).to_string());
        record.answers = outcome
            .addresses
            .iter()
            .map(|address| IpAddr::from(*address))
            .collect();
        record.mode = Some(mode(outcome.observed));
        match outcome.decision {
            Decision::Allow { rules } => {
                record.verdict = Some(Verdict::Allow);
                record.rule = rules.first().and_then(|id| rule(&policy, *id));
            }
            Decision::Deny { reason, rule: id } => {
                record.verdict = Some(Verdict::Deny);
                record.reason = Some(Cow::Borrowed(reason.code()));
                record.rule = rule(&policy, id);
                record.message = reason_text(&policy, id);
                if is_about_name(reason) {
                    let seen = Seen {
                        host: outcome.name,
                        verdict: Verdict::Deny,
                        connections: 0,
                        traffic: None,
                    };
                    self.add_row(world, session, &seen);
                }
                if matches!(reason, Reason::NameDenied | Reason::NeedsApproval)
                    && let Ok(name) = Name::parse(outcome.name)
                {
                    record.allow_with = allow_with(&Host::Name(name), 443, Protocol::TCP);
                }
            }
        }
        self.later(record);
    }

    /// What the proxy did with a flow. One that passed is recorded where the policy asks for it.
    pub fn proxied(&self, world: &World, told: &Told) {
        let policy = world.policy();
        let (verdict, reason, id) = match told.outcome {
            Passed::Allowed(rule) | Passed::Noted(rule) => (Verdict::Allow, None, rule),
            Passed::Denied(reason, rule) => (Verdict::Deny, Some(reason), rule),
        };
        let address = told
            .destination
            .map(|destination| destination.ip().to_string());
        let seen = Seen {
            host: told
                .host
                .as_deref()
                .or(address.as_deref())
                .unwrap_or_default(),
            verdict,
            connections: 1,
            traffic: Some(told.traffic),
        };
        self.add_row(world, told.session, &seen);
        if matches!(told.outcome, Passed::Allowed(_)) && !policy.audit().allowed {
            return;
        }
        let mut record = of_session(world, Layer::Proxy, Kind::Request, told.session);
        record.process = Some(Process::from(told.process));
        record.mode = Some(mode(told.observed));
        record.verdict = Some(verdict);
        record.reason = reason.map(|reason| Cow::Borrowed(reason.code()));
        record.rule = rule(&policy, id);
        record.name.clone_from(&told.host);
        record.flow = told.destination.map(|destination| Flow {
            protocol: Cow::Borrowed("tcp"),
            address: destination.ip(),
            port: destination.port(),
        });
        record.message = told.message.clone().or_else(|| reason_text(&policy, id));
        record.findings = told.findings.iter().map(Into::into).collect();
        record.allow_with.clone_from(&told.allow_with);
        let is_allowable = matches!(reason, Some(Reason::NameDenied | Reason::PortNotAllowed));
        if is_allowable
            && let Some(destination) = told.destination
            && let Some(Ok(name)) = told.host.as_deref().map(Name::parse)
        {
            record.allow_with = allow_with(&Host::Name(name), destination.port(), Protocol::TCP);
        }
        if matches!(told.outcome, Passed::Allowed(_)) {
            let Traffic { up, down, duration } = told.traffic;
            record.message = Some(format!(
                "{up} bytes up, {down} bytes down in {} ms",
                duration.as_millis()
            ));
        }
        self.later(record);
    }

    /// A reply waits for its record to be made, but not for the writer of the log to be woken,
    /// which takes longer.
    fn later(&self, record: Record) {
        self.waiting.borrow_mut().push(record);
        if self.waiting.borrow().len() == 1 {
            let (waiting, sink) = (Rc::clone(&self.waiting), self.sink.clone());
            spawn_local(async move { hand_over(&waiting, &sink) });
        }
    }
}

/// Whether a flow of the kernel's events is egressd's own, or one that the proxy tells of when it
/// ends.
fn is_told_by_others(policy: &Policy, event: &Event) -> bool {
    if event.allowed != 1 {
        return false;
    }
    let is_proxied = |rule: &crate::policy::Rule| {
        event.flow.protocol == Protocol::TCP && rule.levels.at(event.flow.port) != Level::Address
    };
    policy.rule(RuleId(event.rule)).is_none_or(is_proxied)
}

/// Whether a name was refused for what it is or leads to, and not for the trouble of resolving it.
const fn is_about_name(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NameDenied
            | Reason::DeniedByRule
            | Reason::SuspiciousName
            | Reason::NameBudget
            | Reason::PrivateAnswer
            | Reason::NeedsApproval
    )
}

fn hand_over(waiting: &RefCell<Vec<Record>>, sink: &Sink) {
    for record in waiting.take() {
        sink.record(record);
    }
}

fn of_session(world: &World, layer: Layer, kind: Kind, session: u64) -> Record {
    let mut record = Record::new(now(), layer, kind);
    record.guard = Some(world.cgroup.clone());
    record.session = world.sessions.borrow().name_of(session);
    record
}

pub(super) fn now() -> Time {
    Time::new(jiff::Timestamp::now())
}

/// Whether one more allow rule would have made the difference.
fn is_allowable(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoRule | Reason::PortNotAllowed | Reason::LeaseExpired | Reason::Revoked
    )
}

fn allow_with(target: &Host, port: u16, protocol: Protocol) -> Option<serde_json::Value> {
    serde_json::from_str(&suggest(target, port, protocol)).ok()
}

/// A rule by its name and place. egressd's own allowances have names too.
fn rule(policy: &Arc<Policy>, id: RuleId) -> Option<Rule> {
    let own = |name: &str| {
        Some(Rule {
            name: name.to_owned(),
            line: None,
        })
    };
    match id {
        RuleId::NONE => None,
        RuleId::RESOLVER => own("resolver"),
        RuleId::SESSION => own("session"),
        RuleId::INBOUND => own("inbound"),
        RuleId::PROXY => own("proxy"),
        id => policy.rule(id).map(|rule| Rule {
            name: rule.name.clone(),
            line: (!rule.is_granted()).then_some(rule.line),
        }),
    }
}

fn reason_text(policy: &Arc<Policy>, id: RuleId) -> Option<String> {
    policy.rule(id).and_then(|rule| rule.reason.clone())
}

const fn mode(observed: bool) -> Mode {
    if observed {
        Mode::Observe
    } else {
        Mode::Enforce
    }
}
