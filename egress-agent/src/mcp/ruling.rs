//! The gate over the policy: calls are judged as the hook judges them, texts are looked at for
//! secrets.

use std::{borrow::Cow, path::PathBuf, time::SystemTime};

use egress_common::Mode;
use serde_json::Value;

use super::gate::{Block, Gate, Inspect, Subject};
use crate::{
    policy::{Policy, quote},
    tools::{self, Call, Class, Judgement, Verdict, confirm},
};

/// Judges by a policy, without a daemon.
pub struct PolicyGate {
    pub policy: Policy,
    /// Where a person's confirmations are.
    pub confirmations: Option<PathBuf>,
    pub inspect: Box<dyn Inspect>,
}

impl std::fmt::Debug for PolicyGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyGate")
            .field("policy", &self.policy.name())
            .finish_non_exhaustive()
    }
}

impl PolicyGate {
    fn is_observing(&self) -> bool {
        match self.policy.mode() {
            Mode::Enforce => false,
            Mode::Observe => true,
        }
    }
}

impl Gate for PolicyGate {
    fn call(&self, tool: &str, arguments: &Value, _id: &str) -> Option<Block> {
        let call = Call::new(tool, arguments.clone());
        let judgement = tools::judge(&self.policy, &call);
        let judgement = match &self.confirmations {
            Some(dir) => confirm::settle(judgement, tool, dir, SystemTime::now()),
            None => judgement,
        };
        block(tool, judgement).filter(|_| !self.is_observing())
    }
}

impl Inspect for PolicyGate {
    fn inspect(&self, subject: Subject, texts: &[Cow<'_, str>]) -> Option<Block> {
        let found = self.inspect.inspect(subject, texts);
        found.filter(|_| !self.is_observing())
    }
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

/// Looks for secrets whose form their issuers publish, and in descriptions for letters that
/// nobody sees.
///
/// *What it does*: see `tools::find_secret`; and tag characters, controls of direction and other
/// invisible letters in what describes a tool. *Why it matters*: what a server is told has left,
/// what it tells goes to a model and its maker. *Known gaps*: no orders in plain words, no secrets
/// without a form. *Example*: a description that goes on in U+E0041 and the like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forms;

impl Inspect for Forms {
    fn inspect(&self, subject: Subject, texts: &[Cow<'_, str>]) -> Option<Block> {
        let secret = texts.iter().find_map(|text| tools::find_secret(text));
        if let Some(what) = secret {
            let (reason, hint) = match subject {
                Subject::ToServer => (
                    format!("the message to the server holds {what}"),
                    "name the variable or file that holds it instead, and replace it if it is real",
                ),
                Subject::FromServer | Subject::Description => (
                    format!("the message of the server holds {what}"),
                    "ask for less, or have the secret taken out where it comes from",
                ),
            };
            return Some(Block::new("secret", reason, hint));
        }
        let is_hidden =
            subject == Subject::Description && texts.iter().any(|text| text.contains(is_invisible));
        is_hidden.then(|| {
            Block::new(
                "hidden-text",
                "the description holds letters that nobody sees",
                "ask the person to look at the server",
            )
        })
    }
}

/// Tag characters, variation selectors of the supplement, controls of direction, zero width but
/// for what joins letters and emoji.
const fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{e0000}'..='\u{e01ef}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2064}'
            | '\u{180e}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gate(policy: &str) -> PolicyGate {
        PolicyGate {
            policy: Policy::parse(policy, "policy.json").unwrap(),
            confirmations: None,
            inspect: Box::new(Forms),
        }
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
        assert_eq!(gate.inspect(Subject::ToServer, &[token.into()]), None);
    }

    #[test]
    fn secrets_and_hidden_letters_are_found() {
        let token = format!("ghp_{}", "a1".repeat(18));
        for subject in [Subject::ToServer, Subject::FromServer, Subject::Description] {
            let texts = ["a".into(), token.clone().into()];
            assert_eq!(Forms.inspect(subject, &texts).unwrap().code, "secret");
        }
        let hidden = ["adds\u{e0041}\u{e0042}".into()];
        assert!(Forms.inspect(Subject::Description, &hidden).is_some());
        assert!(Forms.inspect(Subject::FromServer, &hidden).is_none());
        let emoji = ["\u{1f469}\u{200d}\u{1f4bb} \u{2764}\u{fe0f}".into()];
        assert!(Forms.inspect(Subject::Description, &emoji).is_none());
    }
}
