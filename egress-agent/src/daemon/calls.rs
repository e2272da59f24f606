//! Tool calls: when each was judged, and what is recorded of it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use egress_common::Mode as PolicyMode;
use serde_json::Value;

use crate::{
    audit::{
        record::{Finding as Found, Kind, Mode, Process, Record, Rule, Time, Tool, Verdict},
        sink::Sink,
    },
    content::Passage,
    control::{message::Reply, peer::Peer, server::Response, status::Judged},
    inspect::{Tokens, chain::Chains},
    policy::Policy,
    tools::{self, Call, Judgement, confirm},
};

/// Calls that are remembered of one session: agents run some at once, not hundreds.
const PER_SESSION: usize = 64;
/// Bytes of a call's number that are kept.
const LONGEST_ID: usize = 128;
/// Bytes of a tool's name, or of a host, that are recorded; and hosts of one call.
const LONGEST_NAME: usize = 256;
const MOST_HOSTS: usize = 32;
/// Denials that an agent is told of.
const MOST_DENIALS: usize = 8;
/// Names and networks that an agent is told it may reach.
const MOST_ALLOWED: usize = 40;

/// When the calls of each session were judged.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Latest last.
    sessions: BTreeMap<String, VecDeque<(String, Time)>>,
    memories: BTreeMap<String, Memory>,
}

/// What is remembered of a session from call to call.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    chains: Arc<Mutex<Chains>>,
    /// For what is taken out; without random numbers nothing is, and is denied instead.
    tokens: Option<Tokens>,
}

impl Memory {
    fn new() -> Self {
        let mut key = [0; 32];
        let filled = getrandom::fill(&mut key);
        Self {
            chains: Arc::default(),
            tokens: filled.is_ok().then(|| Tokens::new(key)),
        }
    }
}

impl Calls {
    pub(super) fn begin(&mut self, session: &str, id: Option<&str>, now: Time) {
        let calls = self.sessions.entry(session.to_owned()).or_default();
        if calls.len() == PER_SESSION {
            calls.pop_front();
        }
        calls.push_back((clip(id.unwrap_or_default(), LONGEST_ID), now));
    }

    /// When a call began; of a call without a known number, when the latest did.
    pub(super) fn begun(&self, session: &str, id: Option<&str>) -> Option<Time> {
        let calls = self.sessions.get(session)?;
        let id = clip(id.unwrap_or_default(), LONGEST_ID);
        let known = calls.iter().rev().find(|(known, _)| *known == id);
        known.or_else(|| calls.back()).map(|(_, time)| *time)
    }

    /// What a session did lately. Calls outside of every session are nobody's chain.
    pub(super) fn memory(&mut self, session: Option<&str>) -> Memory {
        match session {
            Some(session) => self
                .memories
                .entry(session.to_owned())
                .or_insert_with(Memory::new)
                .clone(),
            None => Memory::new(),
        }
    }

    pub(super) fn forget(&mut self, session: &str) {
        self.sessions.remove(session);
        self.memories.remove(session);
    }
}

/// What a hook or the MCP guard asks about.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) call: Call,
    pub(super) id: Option<String>,
    /// The MCP guard asks.
    pub(super) mcp: bool,
    /// Only this message is meant.
    pub(super) passage: Option<Passage>,
    /// Whoever asks can put something else in place of it.
    pub(super) rewrites: bool,
}

/// A tool call with everything that is needed to judge it, away from the one task.
#[derive(Debug)]
pub(super) struct Hearing {
    policy: Arc<Policy>,
    heard: Heard,
    record: Record,
    sink: Sink,
    /// Where a person's confirmations are.
    confirmations: PathBuf,
    memory: Memory,
    /// Time since boot.
    now: Duration,
}

impl Hearing {
    pub(super) fn new(
        policy: Arc<Policy>,
        heard: Heard,
        record: Record,
        sink: Sink,
        confirmations: PathBuf,
        memory: Memory,
        now: Duration,
    ) -> Self {
        Self {
            policy,
            heard,
            record,
            sink,
            confirmations,
            memory,
            now,
        }
    }

    /// Bytes of text in the arguments, about.
    pub(super) fn length(&self) -> usize {
        let passage = self.heard.passage.as_ref();
        text(&self.heard.call.input) + passage.map_or(0, |passage| passage.text.len())
    }

    pub(super) fn judge(self) -> Response {
        let Self {
            policy,
            heard:
                Heard {
                    call,
                    id,
                    mcp: _,
                    passage,
                    rewrites,
                },
            record,
            sink,
            confirmations,
            memory: Memory { chains, tokens },
            now: since_boot,
        } = self;
        let redaction = &policy.inspect().redaction;
        let mut updated = None;
        let (judgement, redacted, notice) = if let Some(passage) = &passage {
            let ruling = policy.content().judge_passage(&call.tool, passage);
            if let Some(tokens) = tokens.filter(|_| rewrites) {
                updated = ruling.rest(passage.text.as_bytes(), redaction, &tokens);
            }
            let redacted = ruling.redacted().to_vec();
            (ruling.judgement, redacted, ruling.notice)
        } else {
            let acts = tools::acts(&call);
            let before = chains
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(&acts, since_boot);
            let judgement = tools::judge_after(&policy, &call, before.clone());
            let now = SystemTime::now();
            let judgement = confirm::settle(judgement, &call.tool, &confirmations, now);
            let tokens = tokens.filter(|_| rewrites);
            let amended = tokens
                .and_then(|tokens| tools::amended(&policy, &call, &judgement, before, &tokens));
            match amended {
                Some((input, judgement)) => {
                    updated = Some(input);
                    (judgement, Vec::new(), None)
                }
                None => (judgement, Vec::new(), None),
            }
        };
        let mode = match policy.mode() {
            PolicyMode::Enforce => Mode::Enforce,
            PolicyMode::Observe => Mode::Observe,
        };
        // A message in which nothing was found is one of thousands.
        if passage.is_none() || !judgement.findings.is_empty() || judgement.reason.is_some() {
            let mut record = recorded(record, &call, id, &judgement, mode, &policy);
            if !redacted.is_empty() || (passage.is_none() && updated.is_some()) {
                record.verdict = Some(Verdict::Redact);
            }
            sink.record(record);
        }
        Response::One(Reply::Judged(Box::new(Judged {
            judgement,
            redacted,
            redaction: redaction.clone(),
            redacts: policy.content().redacts(),
            updated,
            notice,
            mode,
        })))
    }
}

/// The record of a judgement: what was found and decided, never the arguments.
fn recorded(
    mut record: Record,
    call: &Call,
    id: Option<String>,
    judgement: &Judgement,
    mode: Mode,
    policy: &Policy,
) -> Record {
    let Judgement {
        verdict,
        class,
        reason,
        text: _,
        hosts,
        rule,
        unclear: _,
        findings,
    } = judgement;
    record.verdict = Some(match verdict {
        tools::Verdict::Allow => Verdict::Allow,
        tools::Verdict::Deny => Verdict::Deny,
        tools::Verdict::Ask => Verdict::Ask,
    });
    record.mode = Some(mode);
    record.reason = reason.clone().map(Cow::Owned);
    record.tool = Some(Tool {
        name: clip(&call.tool, LONGEST_NAME),
        class: Some(class.code().to_owned()),
        server: server(&call.tool).map(|server| clip(server, LONGEST_NAME)),
        call: id.map(|id| clip(&id, LONGEST_ID)),
    });
    record.hosts = hosts
        .iter()
        .take(MOST_HOSTS)
        .map(|host| clip(host, LONGEST_NAME))
        .collect();
    record.findings = findings.iter().map(Found::from).collect();
    record.rule = rule.as_ref().map(|name| {
        let known = policy.rules().iter().find(|known| known.name == *name);
        Rule {
            name: clip(name, LONGEST_NAME),
            line: known
                .filter(|rule| !rule.is_granted())
                .map(|rule| rule.line),
        }
    });
    record
}

/// Denials of the network, not of a hook, since a time; the latest of them.
pub(super) fn network_denials(denials: &[Arc<Record>], since: Time) -> Vec<Record> {
    let mut denials: Vec<Record> = denials
        .iter()
        .rev()
        .filter(|record| record.time >= since && record.mode != Some(Mode::Observe))
        .filter(|record| matches!(record.event, Kind::Flow | Kind::Socket | Kind::Question))
        .take(MOST_DENIALS)
        .map(|record| (**record).clone())
        .collect();
    denials.reverse();
    denials
}

/// What a policy allows, as a person wrote it, ports included.
pub(super) fn allowed(policy: &Policy) -> Vec<String> {
    let rules = policy.rules().iter();
    let allowing =
        rules.filter(|rule| rule.effect == crate::policy::Effect::Allow && policy.speaks(rule));
    allowing
        .flat_map(|rule| {
            let hosts = rule.hosts.iter().map(ToString::to_string);
            let networks = rule.networks.iter().map(ToString::to_string);
            let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
            let ports = ports.join(", ");
            hosts
                .chain(networks)
                .map(move |place| format!("{place} ({ports})"))
        })
        .take(MOST_ALLOWED)
        .collect()
}

/// The hook, as it is seen now.
pub(super) fn process(peer: &Peer) -> Process {
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", peer.pid)).unwrap_or_default();
    Process {
        pid: peer.pid,
        uid: peer.uid,
        comm: comm.trim_end().to_owned(),
    }
}

/// The server of an MCP tool: `mcp__SERVER__TOOL`.
fn server(tool: &str) -> Option<&str> {
    let (server, _) = tool.strip_prefix("mcp__")?.split_once("__")?;
    Some(server)
}

/// The first characters of a text, within a number of bytes.
fn clip(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default().to_owned()
}

fn text(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(string) => string.len(),
        Value::Array(elements) => elements
            .iter()
            .fold(8, |sum, element| sum.saturating_add(text(element))),
        Value::Object(members) => members.iter().fold(8, |sum, (key, value)| {
            sum.saturating_add(key.len()).saturating_add(text(value))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        audit::record::{Layer, tests::denial},
        tools::Class,
    };

    fn at(second: u32) -> Time {
        denial(second, "::").time
    }

    #[test]
    fn a_call_is_found_by_its_number_and_else_the_latest_is_meant() {
        let mut calls = Calls::default();
        assert_eq!(calls.begun("s", None), None);
        calls.begin("s", Some("one"), at(1));
        calls.begin("s", Some("two"), at(2));
        assert_eq!(calls.begun("s", Some("one")), Some(at(1)));
        assert_eq!(calls.begun("s", Some("other")), Some(at(2)));
        assert_eq!(calls.begun("s", None), Some(at(2)));
        assert_eq!(calls.begun("t", Some("one")), None);
        calls.forget("s");
        assert_eq!(calls.begun("s", Some("one")), None);
    }

    #[test]
    fn calls_and_their_numbers_are_bounded() {
        let mut calls = Calls::default();
        let long = "x".repeat(10_000);
        for number in 0..=PER_SESSION {
            calls.begin("s", Some(&format!("{number}-{long}")), at(1));
        }
        let kept = &calls.sessions["s"];
        assert_eq!(kept.len(), PER_SESSION);
        assert!(kept.iter().all(|(id, _)| id.len() == LONGEST_ID));
        assert_eq!(clip("\u{e4}\u{e4}", 3), "\u{e4}");
    }

    #[test]
    fn the_aftermath_is_what_the_network_denied_since_then() {
        let mut by_hook = denial(9, "203.0.113.1");
        by_hook.event = Kind::ToolCall;
        let mut observed = denial(9, "203.0.113.2");
        observed.mode = Some(Mode::Observe);
        let denials = [
            denial(1, "203.0.113.3"),
            by_hook,
            observed,
            denial(5, "203.0.113.4"),
        ]
        .map(Arc::new);
        let found = network_denials(&denials, at(5));
        assert_eq!(found, [denial(5, "203.0.113.4")]);
    }

    #[test]
    fn a_record_has_what_was_decided_and_none_of_the_arguments() {
        let policy = r#"{ "version": 1, "network": { "allow": [
            { "name": "web", "hosts": ["web.test"], "ports": ["443/tcp"] }
        ] } }"#;
        let policy = Policy::parse(policy, "policy.json").unwrap();
        assert_eq!(allowed(&policy), ["web.test (443/tcp)"]);
        let call = Call::new("mcp__files__put", json!({ "token": "hunter2" }));
        let judgement = Judgement {
            verdict: tools::Verdict::Deny,
            class: Class::CarriesHost,
            reason: Some("host-denied".to_owned()),
            text: "hunter2".to_owned(),
            hosts: vec!["evil.test".to_owned()],
            rule: Some("web".to_owned()),
            unclear: vec!["hunter2".to_owned()],
            findings: Vec::new(),
        };
        let empty = Record::new(at(1), Layer::Hook, Kind::ToolCall);
        let id = Some("t1".to_owned());
        let record = recorded(empty, &call, id, &judgement, Mode::Enforce, &policy);
        let record = serde_json::to_value(record).unwrap();
        assert_eq!(
            record["tool"],
            json!({ "name": "mcp__files__put", "class": "carries-host", "server": "files", "call": "t1" })
        );
        assert_eq!(record["verdict"], "deny");
        assert_eq!(record["reason"], "host-denied");
        assert_eq!(record["hosts"], json!(["evil.test"]));
        assert_eq!(record["rule"]["name"], "web");
        assert!(!record.to_string().contains("hunter2"), "{record}");
    }
}
