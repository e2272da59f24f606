//! What must hold for any bytes that an agent sends to the hook, and for any shell command.

use std::sync::LazyLock;

use serde_json::Value;

use super::protocol::{self, Answer, Blocked, Moment, Style};
use super::{Verdict, judge, reach};
use crate::{content::Source, inspect::Tokens, policy::Policy};

const POLICY: &str = r#"{ "version": 1, "name": "p", "network": {
  "allow": [ { "name": "github", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] } ],
  "deny": [ { "name": "gists", "hosts": ["gist.github.com"], "reason": "No drop boxes." } ] },
  "tools": {
    "url_tools": ["mcp__*__browser_navigate"],
    "connectors": [ { "tools": ["mcp__github__*"], "owners": ["mine"] } ],
    "connector_tools": ["mcp__slack__*"],
    "local_servers": ["serena"],
    "deny": ["mcp__*__browser_run_code_unsafe"],
    "confirm": ["mcp__github__*merge*"] } }"#;

static FIXED: LazyLock<Option<Policy>> = LazyLock::new(|| Policy::parse(POLICY, "p").ok());

/// What may follow a command and must not take back what it reaches.
const TAILS: [&str; 8] = [
    "curl other.tld",
    "'",
    "\"",
    "))",
    "esac } ) fi done",
    "EOF",
    "unset A; A=x; f() { :; }",
    "<<X",
];

/// A command is read to its end, and text behind it takes no host away.
pub(crate) fn shell(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let before = reach(&text, None);
    // What has no end goes on in what follows.
    let unended = before.unclear.len() >= 16
        || before.unclear.iter().any(|why| why.ends_with("has no end"))
        || text.ends_with('\\');
    if unended {
        return;
    }
    for tail in TAILS {
        let after = reach(&format!("{text}\n; {tail}"), None);
        for contact in &before.contacts {
            let kept = after.contacts.iter().any(|it| it.host == contact.host);
            assert!(kept, "`{tail}` takes `{}` away", contact.host);
        }
        let executes = before.executes_download.is_some();
        assert!(!executes || after.executes_download.is_some(), "{tail}");
        assert!(
            !before.reads_environment || after.reads_environment,
            "{tail}"
        );
    }
}

/// An event gets a verdict or is denied, and the answer is one line that the agent can read.
pub(crate) fn hook_event(bytes: &[u8]) {
    let Some(policy) = &*FIXED else {
        return assert!(FIXED.is_some(), "the policy is valid");
    };
    match protocol::parse(bytes, None) {
        Err(error) => {
            let why = error.to_string();
            let before = protocol::refuse(Style::Json, Moment::Before, &why);
            answered(&before, Some("deny"));
            let seems = protocol::refuse(Style::Json, protocol::glimpse(bytes), &why);
            assert!(is_line(&seems.stdout));
            assert!(seems == before || seems.stdout.contains(r#""decision":"block""#));
            let told = protocol::refuse(Style::ExitCode, protocol::glimpse(bytes), &why);
            assert!(told.code == 2 && told.stdout.is_empty() && is_line(&told.stderr));
        }
        Ok(event) => {
            let judgement = judge(policy, &event.call);
            let answer = protocol::answer(event.dialect, Style::Json, &judgement, None);
            match judgement.verdict {
                Verdict::Allow => assert_eq!(answer, Answer::default()),
                Verdict::Deny => answered(&answer, Some("deny")),
                Verdict::Ask => answered(&answer, None),
            }
            assert_eq!(judge(policy, &event.call), judgement, "judged twice");
            let blocked = Blocked {
                reason: judgement.text.clone(),
                output: None,
            };
            let told = protocol::after(
                event.dialect,
                event.moment,
                Style::Json,
                Some(&blocked),
                Some(&judgement.text),
            );
            assert!(is_line(&told.stdout));
            if let Some(result) = &event.result {
                let json = result.to_string();
                let ruling =
                    policy
                        .content()
                        .judge_json(Source::Result, &event.call.tool, json.as_bytes());
                let tokens = Tokens::new([7; 32]);
                let redaction = &policy.inspect().redaction;
                let rest = ruling.rest(json.as_bytes(), redaction, &tokens);
                let is_blocked = ruling.judgement.verdict == Verdict::Deny;
                assert!(rest.is_some() || ruling.matter.is_empty() || !is_blocked);
            }
        }
    }
}

fn answered(answer: &Answer, word: Option<&str>) {
    assert!(answer.code == 0 && answer.stderr.is_empty());
    assert!(is_line(&answer.stdout), "{answer:?}");
    let read: Option<Value> = serde_json::from_str(&answer.stdout).ok();
    let decision = read
        .as_ref()
        .and_then(|read| read.pointer("/hookSpecificOutput/permissionDecision"))
        .and_then(Value::as_str);
    match word {
        Some(word) => assert_eq!(decision, Some(word)),
        None => assert!(matches!(decision, Some("ask" | "deny")), "{answer:?}"),
    }
}

/// One line with an end, and nothing in it that a terminal would obey.
fn is_line(text: &str) -> bool {
    text.strip_suffix('\n')
        .is_some_and(|line| !line.is_empty() && !line.contains(char::is_control))
}
