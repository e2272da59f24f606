//! Judging a tool call: the web tools of agents, whose URL must name an allowed host.

use serde_json::Value;

use super::{Call, Class, Judgement, Verdict};
use crate::policy::{Name, NameDecision, Policy};

/// Judges a call under a policy.
pub fn judge(policy: &Policy, call: &Call) -> Judgement {
    let mut judgement = Judgement {
        verdict: Verdict::Allow,
        class: Class::Other,
        reason: None,
        text: String::new(),
        hosts: Vec::new(),
        rule: None,
        unclear: Vec::new(),
    };
    if call.tool != "WebFetch" {
        return judgement;
    }
    judgement.class = Class::Url;
    let host = call.input.get("url").and_then(Value::as_str).and_then(host);
    judgement.hosts = host.iter().map(ToString::to_string).collect();
    let is_allowed = host
        .as_ref()
        .is_some_and(|host| matches!(policy.decide_name(host), NameDecision::Allow(_)));
    if !is_allowed {
        judgement.verdict = Verdict::Deny;
        judgement.reason = Some("host-denied".to_owned());
        let host = host.map_or_else(
            || "a URL without a plain host".to_owned(),
            |host| host.to_string(),
        );
        judgement.text = format!(
            "{host} was denied: no rule of the policy allows it; ask the person who runs the session to add it to network.allow"
        );
    }
    judgement
}

fn host(url: &str) -> Option<Name> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    Name::parse(rest.split(['/', '?', '#']).next()?).ok()
}
