//! What can be seen of a call before rules are asked: where it goes and what stands in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    category::Category,
    content::Texts,
    rule::{On, Question},
};
use crate::{
    inspect::{Finding, Inspector},
    policy::Host,
    tools::{self, Call, Reading, host, links},
};

/// Keys under which a tool that runs commands takes them.
const COMMAND_KEYS: &[&str] = &["command", "commands", "cmd", "script"];
/// Levels of arguments that are searched for commands.
const LEVELS: usize = 8;

/// What looks for findings in a text.
pub trait Inspect {
    /// Every finding in `bytes`, and whether all of them were looked at.
    fn inspect(&self, bytes: &[u8]) -> (Vec<Finding>, bool);

    /// The same for what leaves: no orders to a model.
    fn outgoing(&self, bytes: &[u8]) -> (Vec<Finding>, bool) {
        self.inspect(bytes)
    }
}

/// What was seen of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub on: On,
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
        Self::with(call, findings, is_complete)
    }

    /// What can be seen of a call in which these things were found.
    pub fn with(call: &Call, findings: Vec<Finding>, is_complete: bool) -> Self {
        let mut seen = Self {
            on: On::Call,
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

    /// What can be seen of a text that comes back from `call.tool`; it stands as `call.input`.
    pub fn coming(on: On, call: &Call, findings: Vec<Finding>, is_complete: bool) -> Self {
        let may = links(&call.input, Reading::May);
        Self {
            on,
            categories: Category::of(&call.tool),
            destinations: may.places.into_iter().map(|place| place.host).collect(),
            is_unreadable: !may.unreadable.is_empty(),
            findings,
            is_complete,
        }
    }

    /// The question for rules.
    pub fn question<'q>(
        &'q self,
        call: &'q Call,
        labels: &'q BTreeMap<String, String>,
        environment: Option<&'q str>,
    ) -> Question<'q> {
        let Self {
            on,
            categories,
            destinations,
            is_unreadable,
            findings,
            is_complete: _,
        } = self;
        Question {
            on: *on,
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

impl Inspect for Inspector {
    /// Everything that it can find, orders to a model too.
    fn inspect(&self, bytes: &[u8]) -> (Vec<Finding>, bool) {
        let report = self.inspect_incoming(bytes);
        (report.findings, report.is_complete)
    }

    fn outgoing(&self, bytes: &[u8]) -> (Vec<Finding>, bool) {
        let report = Self::inspect(self, bytes);
        (report.findings, report.is_complete)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inspect::Options;

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
        let inspector = Inspector::new(Options::default()).unwrap();
        let seen = Seen::new(&call(tool, input), &inspector);
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
}
