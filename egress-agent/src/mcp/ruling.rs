//! The gate over the policy: calls are judged as the hook judges them, texts are looked at for
//! secrets.

use std::{
    borrow::Cow,
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use egress_common::Mode;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::gate::{Block, Gate, Inspect, Latest, Subject};
use crate::{
    inspect::{Finding, Tokens, chain::Chains, redact::redact_json},
    policy::{Policy, quote},
    tools::{self, Call, Class, Judgement, Verdict, confirm},
};

/// Judges by a policy, without a daemon.
#[derive(Debug)]
pub struct PolicyGate {
    policy: Policy,
    /// As policies know the server: `mcp__SERVER`.
    server: String,
    asked: Asked,
    /// Where a person's confirmations are.
    confirmations: Option<PathBuf>,
    tokens: Tokens,
    chains: Mutex<Chains>,
    latest: Latest,
    begun: Instant,
}

impl PolicyGate {
    /// `key` is random: the numbers that stand for what was taken out are made with it.
    pub fn new(
        policy: Policy,
        server: &str,
        confirmations: Option<PathBuf>,
        key: [u8; 32],
    ) -> Self {
        Self {
            policy,
            server: format!("mcp__{server}"),
            asked: Asked::default(),
            confirmations,
            tokens: Tokens::new(key),
            chains: Mutex::default(),
            latest: Latest::default(),
            begun: Instant::now(),
        }
    }

    fn is_observing(&self) -> bool {
        match self.policy.mode() {
            Mode::Enforce => false,
            Mode::Observe => true,
        }
    }

    fn look(&self, subject: Subject, json: &[u8]) -> (Judgement, Vec<Finding>) {
        let content = self.policy.content();
        let tools = self.asked.tools(&self.server, subject, json);
        let rulings = tools
            .iter()
            .map(|tool| content.judge_json(subject.source(), tool, json));
        // INVARIANT: there is always a tool.
        let strictest = rulings.max_by_key(|ruling| ruling.action);
        let ruling =
            strictest.unwrap_or_else(|| content.judge_json(subject.source(), &self.server, json));
        let redacted = ruling.redacted().to_vec();
        (ruling.judgement, redacted)
    }

    fn ruled(&self, judgement: Judgement, redacted: &[Finding]) -> Option<Block> {
        passage_block(judgement, redacted).filter(|_| !self.is_observing())
    }
}

impl Gate for PolicyGate {
    fn call(&self, tool: &str, arguments: &Value, id: &str) -> Option<Block> {
        self.asked.note(id, tool);
        let call = Call::new(tool, arguments.clone());
        let before = self
            .chains
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(&tools::acts(&call), self.begun.elapsed());
        let judgement = tools::judge_after(&self.policy, &call, before);
        let judgement = match &self.confirmations {
            Some(dir) => confirm::settle(judgement, tool, dir, SystemTime::now()),
            None => judgement,
        };
        block(tool, judgement).filter(|_| !self.is_observing())
    }
}

impl Inspect for PolicyGate {
    fn inspect(&self, subject: Subject, json: &[u8]) -> Option<Block> {
        self.latest.or_look(subject, json, || {
            let (judgement, redacted) = self.look(subject, json);
            self.ruled(judgement, &redacted)
        })
    }

    fn redact(&self, subject: Subject, message: &[u8]) -> Option<Vec<u8>> {
        if !self.policy.content().redacts() || self.is_observing() {
            return None;
        }
        let (judgement, redacted) = self.look(subject, message);
        if redacted.is_empty() {
            let block = self.ruled(judgement, &redacted);
            self.latest.put(subject, message, block);
            return None;
        }
        let redaction = &self.policy.inspect().redaction;
        Some(redact_json(message, &redacted, redaction, &self.tokens))
    }
}

/// Which tools were called under which number, so that rules know whose a result is. Numbers are
/// those of clients, and several may use the same: then the result may be that of each.
#[derive(Debug, Default)]
pub struct Asked(Mutex<VecDeque<Request>>);

#[derive(Debug)]
struct Request {
    id: String,
    tool: String,
    is_answered: bool,
}

/// Calls whose answers are known by their tool.
const MOST_ASKED: usize = 1024;

impl Asked {
    /// A call that may go on. What was answered under its number is over.
    pub fn note(&self, id: &str, tool: &str) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|request| request.id != id || !request.is_answered);
        if asked.len() == MOST_ASKED {
            asked.pop_front();
        }
        asked.push_back(Request {
            id: id.to_owned(),
            tool: tool.to_owned(),
            is_answered: false,
        });
    }

    /// The tools that a message may come from; the server itself when none is known.
    pub fn tools(&self, server: &str, subject: Subject, message: &[u8]) -> Vec<String> {
        #[derive(Deserialize)]
        struct Head {
            id: Option<Value>,
            method: Option<IgnoredAny>,
        }
        let unknown = || vec![server.to_owned()];
        if subject != Subject::FromServer {
            return unknown();
        }
        let Ok(Head {
            id: Some(id),
            method: None,
        }) = serde_json::from_slice(message)
        else {
            return unknown();
        };
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tools: Vec<String> = Vec::new();
        let mut is_marked = false;
        for request in asked.iter_mut().filter(|request| request.id == id) {
            if !is_marked && !request.is_answered {
                request.is_answered = true;
                is_marked = true;
            }
            if !tools.contains(&request.tool) {
                tools.push(request.tool.clone());
            }
        }
        if tools.is_empty() { unknown() } else { tools }
    }
}

/// Why a passage does not go on. What should have been taken out of it does not stay in it either.
pub fn passage_block(judgement: Judgement, redacted: &[Finding]) -> Option<Block> {
    let left = (!redacted.is_empty()).then(|| {
        let reason = "something that must not pass cannot be taken out of the message";
        Block::new("redaction-failed", reason, "leave it out")
    });
    block("the message", judgement).or(left)
}

/// Why a judgement does not let a call through.
pub fn block(tool: &str, judgement: Judgement) -> Option<Block> {
    let Judgement {
        verdict,
        class,
        reason,
        text,
        hosts: _,
        rule,
        unclear: _,
        findings: _,
    } = judgement;
    if verdict == Verdict::Allow {
        return None;
    }
    if class == Class::Confirm || verdict == Verdict::Ask {
        return Some(Block {
            code: reason.map_or("needs-confirmation".into(), Cow::Owned),
            rule,
            reason: format!("a person must confirm the call of {}", quote(tool)),
            hint: format!(
                "ask them to run `egressctl confirm {tool}` in a terminal of their own, and call \
                 it again within {} s",
                confirm::LIFETIME.as_secs()
            ),
        });
    }
    // A judgement says what happened and then, behind the last semicolon, what to do.
    let (why, hint) = text
        .rsplit_once("; ")
        .unwrap_or((&text, "do something else, for trying again changes nothing"));
    Some(Block {
        code: reason.map_or("denied".into(), Cow::Owned),
        rule,
        reason: why.to_owned(),
        hint: hint.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gate(policy: &str) -> PolicyGate {
        let policy = Policy::parse(policy, "policy.json").unwrap();
        PolicyGate::new(policy, "x", None, [7; 32])
    }

    #[test]
    fn a_call_is_judged_as_the_hook_would() {
        let policy = r#"{ "version": 1, "tools": { "deny": ["mcp__x__drop"], "confirm": ["mcp__x__merge"], "url_tools": ["mcp__x__fetch"] },
            "network": { "allow": [{ "name": "web", "hosts": ["web.test"], "ports": ["443/tcp"] }] } }"#;
        let gate = gate(policy);
        let call = |tool: &str, arguments| gate.call(tool, &arguments, "1");
        assert_eq!(call("mcp__x__add", json!({ "a": 1 })), None);
        assert_eq!(
            call("mcp__x__fetch", json!({ "url": "https://web.test/" })),
            None
        );
        let denied = call("mcp__x__fetch", json!({ "url": "https://evil.test/" })).unwrap();
        assert!(denied.reason.contains("evil.test"), "{denied}");
        assert!(denied.hint.starts_with("use an allowed host"), "{denied}");
        let denied = call("mcp__x__drop", json!({})).unwrap();
        assert_eq!(
            (denied.code.as_ref(), denied.rule.as_deref()),
            ("hard-deny", Some("mcp__x__drop"))
        );
        let asked = call("mcp__x__merge", json!({})).unwrap();
        assert!(
            asked.hint.contains("egressctl confirm mcp__x__merge"),
            "{asked}"
        );
    }

    #[test]
    fn a_policy_that_observes_blocks_nothing() {
        let gate = gate(r#"{ "version": 1, "mode": "observe", "tools": { "deny": ["*"] } }"#);
        assert_eq!(gate.call("mcp__x__add", &json!({}), "1"), None);
        let token = format!("ghp_{}", "a1".repeat(18));
        assert_eq!(
            gate.inspect(Subject::ToServer, json!([token]).to_string().as_bytes()),
            None
        );
    }

    #[test]
    fn secrets_go_neither_way_and_hidden_letters_describe_nothing() {
        let gate = gate(r#"{ "version": 1 }"#);
        let token = format!("ghp_{}", "a1".repeat(18));
        for subject in [Subject::ToServer, Subject::FromServer, Subject::Description] {
            let texts = json!(["a", token]).to_string();
            let block = gate.inspect(subject, texts.as_bytes()).unwrap();
            assert_eq!(block.code, "secret");
        }
        let hidden: String = "adds two"
            .chars()
            .chain("ignore".chars().filter_map(|char| {
                // Tag characters: nobody sees them, and models read them.
                char::from_u32(0xe0000 + u32::from(char))
            }))
            .collect();
        let tool = json!({ "name": "add", "description": hidden, "inputSchema": {} });
        assert!(gate.describe(&tool).is_some());
        let tool = json!({ "name": "add", "description": "adds two numbers", "inputSchema": {} });
        assert_eq!(gate.describe(&tool), None);
        let emoji = json!("\u{1f469}\u{200d}\u{1f4bb} \u{2764}\u{fe0f}").to_string();
        assert_eq!(gate.inspect(Subject::Description, emoji.as_bytes()), None);
    }

    #[test]
    fn what_is_to_be_taken_out_is_and_the_rest_goes_on() {
        let policy = r#"{ "version": 1, "inspect": { "secrets": "redact", "redaction": { "github-token": "full" } } }"#;
        let gate = gate(policy);
        let token = format!("ghp_{}", "a1".repeat(18));
        let message = json!({ "a": format!("use {token}!"), "b": 1 }).to_string();
        let rest = gate
            .redact(Subject::FromServer, message.as_bytes())
            .unwrap();
        assert_eq!(rest, br#"{"a":"use [redacted]!","b":1}"#);
        assert_eq!(gate.redact(Subject::FromServer, &rest), None);
        let texts = json!([token]).to_string();
        let block = gate.inspect(Subject::FromServer, texts.as_bytes());
        let block = block.unwrap();
        assert_eq!(block.code, "redaction-failed");
    }

    #[test]
    fn a_rule_takes_out_of_a_call_and_knows_whose_a_result_is() {
        let dir = tempfile::tempdir().unwrap();
        let pack = r#"{ "version": 1, "name": "mine", "rules": [
            { "name": "tokens", "priority": 1, "decision": "redact", "when": { "findings": ["github-token"] } },
            { "name": "pages", "priority": 2, "decision": "deny",
              "when": { "on": "result", "tools": ["mcp__x__page"], "content": ["secret plan"] } } ] }"#;
        let policy = r#"{ "version": 1, "inspect": { "secrets": "warn", "packs": ["p.json"] } }"#;
        std::fs::write(dir.path().join("p.json"), pack).unwrap();
        std::fs::write(dir.path().join("policy.json"), policy).unwrap();
        let policy = Policy::load(&dir.path().join("policy.json")).unwrap();
        let gate = PolicyGate::new(policy, "x", None, [7; 32]);
        let token = format!("ghp_{}", "a1".repeat(18));
        let call = |text: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"put","arguments":{{"a":"{text}"}}}}}}"#
            )
        };
        let rest = gate.redact(Subject::ToServer, call(&token).as_bytes());
        assert_eq!(rest.unwrap(), call("ghp_[redacted]").into_bytes());
        // Whoever did not take it out does not get it through either.
        let whole = gate
            .call("mcp__x__put", &json!({ "a": token }), "1")
            .unwrap();
        assert_eq!(whole.rule.as_deref(), Some("mine/tokens"));
        assert_eq!(
            gate.call("mcp__x__put", &json!({ "a": "ghp_[redacted]" }), "1"),
            None
        );

        assert_eq!(gate.call("mcp__x__page", &json!({}), "7"), None);
        let answer = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "result": "the secret plan" });
        let look = |id: Value| gate.inspect(Subject::FromServer, answer(id).to_string().as_bytes());
        let block = look(json!(7)).unwrap();
        assert_eq!(block.rule.as_deref(), Some("mine/pages"));
        assert_eq!(look(json!(1)), None);
        assert_eq!(look(json!(9)), None);
        // The number is used again, for another tool.
        assert_eq!(gate.call("mcp__x__put", &json!({}), "7"), None);
        assert_eq!(look(json!(7)), None);
    }
}
