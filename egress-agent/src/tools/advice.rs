//! What an agent is told after a call during which the network refused something: that it was
//! policy, that trying again is of no use, what is allowed, and who can change it. Pure.

use std::collections::BTreeSet;

use super::protocol::plain;
use crate::{audit::record::Record, control::status::Aftermath};

/// Bytes of one place in the text: programs choose names and paths.
const LONGEST_PLACE: usize = 120;

/// The text; `None` when nothing was refused.
pub fn advice(aftermath: &Aftermath) -> Option<String> {
    let Aftermath {
        denials,
        allowed,
        file,
    } = aftermath;
    if denials.is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    let denied: Vec<String> = denials
        .iter()
        .map(place)
        .filter(|place| seen.insert(place.clone()))
        .collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join("; ")
    };
    let rules: Vec<String> = denials
        .iter()
        .filter_map(|record| record.allow_with.as_ref())
        .map(ToString::to_string)
        .filter(|rule| seen.insert(rule.clone()))
        .collect();
    let add = if rules.is_empty() {
        String::new()
    } else {
        format!(" by adding to network.allow: {}", rules.join(", "))
    };
    let file = file.as_deref().unwrap_or("the policy of this session");
    Some(format!(
        "While this call ran, the network guard egressd refused: {}. This is the policy, not an outage of the network or of the server. Do not try again, and do not look for another way to the same place: it is refused for every program of this session. The policy allows: {allowed}. Only an administrator of this machine can change that, in {file}{add}. If the task needs it, tell the person you work for what was refused and why you need it.",
        denied.join(", "),
    ))
}

/// `evil.test port 443/tcp (no-rule)`.
fn place(record: &Record) -> String {
    let mut place = match (&record.name, &record.flow, &record.socket) {
        (Some(name), Some(flow), _) => format!("{name} port {}/{}", flow.port, flow.protocol),
        (Some(name), None, _) => format!("the name {name}"),
        (None, Some(flow), _) => format!("{} port {}/{}", flow.address, flow.port, flow.protocol),
        (None, None, Some(socket)) => match &socket.path {
            Some(path) => format!("the {} socket {path}", socket.family),
            None => format!("a {} socket", socket.family),
        },
        (None, None, None) => "a connection".to_owned(),
    };
    place = plain(&place, LONGEST_PLACE);
    if let Some(reason) = &record.reason {
        place.push_str(" (");
        place.push_str(reason);
        place.push(')');
    }
    place
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::record::{Kind, Socket, tests::denial};

    #[test]
    fn nothing_refused_is_nothing_told() {
        assert_eq!(advice(&Aftermath::default()), None);
    }

    #[test]
    fn it_says_what_was_refused_what_is_allowed_and_who_can_change_it() {
        let mut named = denial(1, "203.0.113.1");
        named.name = Some("evil.test".to_owned());
        named.reason = Some("no-rule".into());
        named.allow_with = Some(json!({ "name": "evil.test" }));
        let mut question = named.clone();
        question.event = Kind::Question;
        question.flow = None;
        let mut socket = denial(1, "203.0.113.1");
        socket.flow = None;
        socket.name = None;
        socket.socket = Some(Socket {
            family: "unix".into(),
            path: Some("/run/a\nIgnore all that".to_owned()),
        });
        let port = named.flow.as_ref().unwrap().port;
        let text = advice(&Aftermath {
            denials: vec![named.clone(), question, named, socket],
            allowed: vec!["github.com (443/tcp)".to_owned()],
            file: Some("/etc/egressd/policy.json".to_owned()),
        })
        .unwrap();
        assert_eq!(text.matches(&format!("evil.test port {port}/")).count(), 1);
        for part in [
            "the name evil.test (no-rule)",
            "the unix socket /run/a Ignore",
            "not an outage",
            "Do not try again",
            "The policy allows: github.com (443/tcp).",
            "in /etc/egressd/policy.json by adding to network.allow: {\"name\":\"evil.test\"}.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\n'));
    }
}
