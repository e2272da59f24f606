//! What can be seen of a call before rules are asked: where it goes and what stands in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{category::Category, content::Texts, rule::Question};
use crate::{
    inspect::{Confidence, Finding, Kind, Severity, View},
    policy::Host,
    tools::{self, Call, Reading, find_secret, host, links},
};

/// Keys under which a tool that runs commands takes them.
const COMMAND_KEYS: &[&str] = &["command", "commands", "cmd", "script"];
/// Levels of arguments that are searched for commands.
const LEVELS: usize = 8;

/// What looks for findings in a text.
pub trait Inspect {
    /// Every finding in `bytes`, and whether all of them were looked at.
    fn inspect(&self, bytes: &[u8]) -> (Vec<Finding>, bool);
}

/// Finds tokens by the forms that their issuers publish, line by line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forms;

/// What was seen of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub categories: Vec<Category>,
    /// Every host that the arguments name, once.
    pub destinations: Vec<Host>,
    /// They name one that cannot be read.
    pub is_unreadable: bool,
    pub findings: Vec<Finding>,
    /// Whether everything was inspected.
    pub is_complete: bool,
}

impl Seen {
    pub fn new(call: &Call, inspect: &dyn Inspect) -> Self {
        let text = Texts::new(&call.input).lines();
        let (findings, is_complete) = inspect.inspect(text.as_bytes());
        let mut seen = Self {
            categories: Category::of(&call.tool),
            destinations: Vec::new(),
            is_unreadable: false,
            findings,
            is_complete,
        };
        // A key such as `url` is an address even without a scheme; only whoever goes there can
        // say that a text under such a key should have been one.
        let may = links(&call.input, Reading::May);
        seen.is_unreadable = !may.unreadable.is_empty();
        let goes = links(&call.input, Reading::Goes);
        let places = may.places.into_iter().chain(goes.places);
        let mut hosts: Vec<_> = places.map(|place| place.host).collect();
        if seen.categories.contains(&Category::Shell) {
            seen.commands(call, &mut hosts);
        }
        let mut known = BTreeSet::new();
        hosts.retain(|host| {
            known.insert(match host {
                Host::Name(name) => (Some(name.clone()), None),
                Host::Address(address) => (None, Some(*address)),
            })
        });
        seen.destinations = hosts;
        seen
    }

    /// The question for rules.
    pub fn question<'q>(
        &'q self,
        call: &'q Call,
        labels: &'q BTreeMap<String, String>,
        environment: Option<&'q str>,
    ) -> Question<'q> {
        let Self {
            categories,
            destinations,
            is_unreadable,
            findings,
            is_complete: _,
        } = self;
        Question {
            tool: &call.tool,
            categories,
            destinations,
            is_unreadable: *is_unreadable,
            arguments: &call.input,
            findings,
            labels,
            environment,
        }
    }

    fn commands(&mut self, call: &Call, hosts: &mut Vec<Host>) {
        let mut open = vec![(false, &call.input, 0)];
        while let Some((is_command, value, level)) = open.pop() {
            match value {
                Value::String(command) if is_command => {
                    for contact in tools::reach(command, call.cwd.as_deref()).contacts {
                        match host(&contact.host) {
                            Some(host) => hosts.push(host),
                            None => self.is_unreadable = true,
                        }
                    }
                }
                Value::Array(list) if level < LEVELS => {
                    open.extend(list.iter().map(|value| (is_command, value, level + 1)));
                }
                Value::Object(members) if level < LEVELS => {
                    let members = members.iter();
                    open.extend(members.map(|(key, value)| {
                        let key = key.to_ascii_lowercase();
                        (COMMAND_KEYS.contains(&key.as_str()), value, level + 1)
                    }));
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => {}
            }
        }
    }
}

impl Inspect for Forms {
    fn inspect(&self, bytes: &[u8]) -> (Vec<Finding>, bool) {
        let mut findings = Vec::new();
        let mut start = 0;
        for line in bytes.split(|b| *b == b'\n') {
            let text = String::from_utf8_lossy(line);
            if let Some(what) = find_secret(&text) {
                let (from, to) = word(line).unwrap_or((0, line.len()));
                findings.push(Finding {
                    detector: detector(what),
                    kind: Kind::Secret,
                    severity: Severity::Critical,
                    confidence: Confidence::High,
                    view: View::Raw,
                    range: start + from..start + to,
                });
            }
            start += line.len() + 1;
        }
        (findings, true)
    }
}

/// The first word of a line that holds a secret by itself.
fn word(line: &[u8]) -> Option<(usize, usize)> {
    let is_end = |b: &u8| b.is_ascii_whitespace() || b"\"'`,;=()[]{}<>".contains(b);
    let mut start = 0;
    for word in line.split(is_end) {
        if find_secret(&String::from_utf8_lossy(word)).is_some() {
            return Some((start, start + word.len()));
        }
        start += word.len() + 1;
    }
    None
}

/// `an AWS access key` is found by `aws-access-key`.
fn detector(what: &str) -> String {
    let what = what.split_once(' ').map_or(what, |(_article, what)| what);
    what.to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(tool: &str, input: Value) -> Call {
        Call {
            tool: tool.to_owned(),
            input,
            cwd: None,
            remotes: Vec::new(),
        }
    }

    #[track_caller]
    fn check(tool: &str, input: Value, hosts: &[&str], is_unreadable: bool) {
        let seen = Seen::new(&call(tool, input), &Forms);
        let mut told: Vec<_> = seen
            .destinations
            .iter()
            .map(|host| match host {
                Host::Name(name) => name.to_string(),
                Host::Address(address) => address.to_string(),
            })
            .collect();
        told.sort();
        assert_eq!(told, hosts);
        assert_eq!(seen.is_unreadable, is_unreadable);
    }

    #[test]
    fn destinations_are_read_from_urls_hosts_and_commands() {
        check(
            "http_post",
            json!({ "url": "https://pastebin.com/api" }),
            &["pastebin.com"],
            false,
        );
        check(
            "http_post",
            json!({ "url": "pastebin.com/api" }),
            &["pastebin.com"],
            false,
        );
        check(
            "x",
            json!({ "text": "see https://a.example and https://b.example" }),
            &["a.example", "b.example"],
            false,
        );
        check(
            "Bash",
            json!({ "command": "curl a.example" }),
            &["a.example"],
            false,
        );
        check(
            "mcp__box__run_shell",
            json!({ "args": { "cmd": ["curl a.example"] } }),
            &["a.example"],
            false,
        );
        check(
            "Bash",
            json!({ "description": "curl a.example" }),
            &[],
            false,
        );
        check(
            "db",
            json!({ "host": "a.example", "port": 443 }),
            &["a.example"],
            false,
        );
        check("x", json!({ "text": "nothing.here" }), &[], false);
        check("x", json!({ "text": "https://a%zz.example/" }), &[], true);
    }

    #[test]
    fn a_token_is_found_where_it_stands() {
        let token = format!("ghp_{}", "a1".repeat(18));
        let text = format!("first\nkey = \"{token}\" # mine\n");
        let (findings, is_complete) = Forms.inspect(text.as_bytes());
        assert!(is_complete);
        let [finding] = findings.as_slice() else {
            panic!("{findings:?}");
        };
        assert_eq!(finding.detector, "github-token");
        assert_eq!(text.get(finding.range.clone()), Some(token.as_str()));
        let header = ["-----BEGIN OPENSSH ", "PRIVATE KEY-----"].concat();
        let (findings, _) = Forms.inspect(header.as_bytes());
        assert_eq!(findings[0].detector, "private-key");
        assert_eq!(findings[0].range, 0..header.len());
        assert!(Forms.inspect(b"\xff\xfe\n\n").0.is_empty());
    }
}
