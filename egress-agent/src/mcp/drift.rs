//! What a server said of its tools when they were first seen, and what has changed since. Pure.
//!
//! A tool is accepted as it is when its server is first seen. Later a tool that is new, or says
//! something else of itself, is pending: it is hidden and its calls are denied until a person
//! accepts it. What a tool is, is what the model reads: everything but `_meta`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Tools of one server that are known at most: more are hidden.
pub const MOST_TOOLS: usize = 4096;
/// Version of the file.
const VERSION: u32 = 1;

/// What is known of the tools of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    version: u32,
    pub server: String,
    /// Whether a first listing came to its end.
    complete: bool,
    accepted: BTreeMap<String, Print>,
    /// As last seen, and not accepted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<String, Print>,
}

/// The fingerprint of one tool: SHA-256 in hexadecimal of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// Title and description.
    text: String,
    /// The schemas of its arguments and results.
    schema: String,
    /// All other members.
    rest: String,
}

/// How a tool stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Accepted,
    /// Was not there when the server was first seen.
    New,
    Changed {
        text: bool,
        schema: bool,
        rest: bool,
    },
    /// There are too many.
    Surplus,
}

impl Print {
    pub fn of(tool: &Map<String, Value>) -> Self {
        let (mut text, mut schema, mut rest) = (Sha256::new(), Sha256::new(), Sha256::new());
        let mut members: Vec<_> = tool.iter().collect();
        members.sort_by_key(|(key, _)| key.as_str());
        for (key, value) in members {
            let part = match key.as_str() {
                "_meta" => continue,
                "title" | "description" => &mut text,
                "inputSchema" | "outputSchema" => &mut schema,
                _ => &mut rest,
            };
            part.update(Value::from(key.as_str()).to_string());
            part.update(canonical(value));
        }
        let hex = |digest: Sha256| data_hex(&digest.finalize());
        Self {
            text: hex(text),
            schema: hex(schema),
            rest: hex(rest),
        }
    }
}

impl Ledger {
    pub fn new(server: &str) -> Self {
        Self {
            version: VERSION,
            server: server.to_owned(),
            complete: false,
            accepted: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Whether this program can read the file from which it came.
    pub fn is_known_version(&self) -> bool {
        self.version == VERSION
    }

    /// A listing begins from its first page. When there was one before, the server has been seen.
    pub fn begin(&mut self) {
        self.complete |= !self.accepted.is_empty();
    }

    /// A listing has come to its last page.
    pub fn end(&mut self) {
        self.complete = true;
    }

    /// One tool of a listing.
    pub fn see(&mut self, name: &str, print: Print) -> Standing {
        if let Some(known) = self.accepted.get(name) {
            let standing = known.compare(&print);
            if standing == Standing::Accepted {
                self.pending.remove(name);
            } else {
                self.pending.insert(name.to_owned(), print);
            }
            return standing;
        }
        if self.accepted.len().saturating_add(self.pending.len()) >= MOST_TOOLS {
            return Standing::Surplus;
        }
        if self.complete {
            self.pending.insert(name.to_owned(), print);
            return Standing::New;
        }
        self.accepted.insert(name.to_owned(), print);
        Standing::Accepted
    }

    pub fn is_accepted(&self, name: &str) -> bool {
        self.accepted.contains_key(name) && !self.pending.contains_key(name)
    }

    /// How a tool that waits for a person differs.
    pub fn pending(&self, name: &str) -> Option<Standing> {
        let print = self.pending.get(name)?;
        Some(
            self.accepted
                .get(name)
                .map_or(Standing::New, |known| known.compare(print)),
        )
    }

    /// Takes everything that is pending; the names.
    pub fn accept(&mut self) -> Vec<String> {
        let pending = std::mem::take(&mut self.pending);
        let names = pending.keys().cloned().collect();
        self.accepted.extend(pending);
        names
    }

    /// Takes over what another guard of the same server has written meanwhile.
    pub fn merge(&mut self, other: Self) {
        let Self {
            version: _,
            server: _,
            complete,
            accepted,
            pending,
        } = other;
        self.complete |= complete;
        self.accepted = accepted;
        self.pending = pending;
    }

    pub fn pending_names(&self) -> impl Iterator<Item = (&str, Standing)> {
        let names = self.pending.keys().map(String::as_str);
        names.filter_map(|name| Some((name, self.pending(name)?)))
    }
}

impl Print {
    fn compare(&self, other: &Self) -> Standing {
        let Self { text, schema, rest } = self;
        if self == other {
            return Standing::Accepted;
        }
        Standing::Changed {
            text: *text != other.text,
            schema: *schema != other.schema,
            rest: *rest != other.rest,
        }
    }
}

impl Standing {
    /// What a person is told of it.
    pub fn what(self) -> String {
        match self {
            Self::Accepted => "as it was accepted".to_owned(),
            Self::New => "was not there when the server was first seen".to_owned(),
            Self::Surplus => format!("is one of more than {MOST_TOOLS} tools"),
            Self::Changed { text, schema, rest } => {
                let parts = [
                    (text, "description"),
                    (schema, "schema"),
                    (rest, "properties"),
                ];
                let parts = parts.into_iter().filter(|(is_changed, _)| *is_changed);
                let parts: Vec<_> = parts.map(|(_, part)| part).collect();
                format!(
                    "has another {} than when it was accepted",
                    parts.join(" and ")
                )
            }
        }
    }
}

/// The same text for the same value, whatever the order of members.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(canonical).collect();
            format!("[{}]", list.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            let fields: Vec<_> = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn data_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(digit).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn print(tool: &Value) -> Print {
        Print::of(tool.as_object().unwrap())
    }

    fn seen(tools: &[Value]) -> Ledger {
        let mut ledger = Ledger::new("s");
        see(&mut ledger, tools);
        ledger
    }

    fn see(ledger: &mut Ledger, tools: &[Value]) -> Vec<Standing> {
        ledger.begin();
        let standings = tools
            .iter()
            .map(|tool| ledger.see(tool["name"].as_str().unwrap(), print(tool)))
            .collect();
        ledger.end();
        standings
    }

    #[test]
    fn the_order_of_members_and_meta_are_no_change() {
        let one = json!({ "name": "a", "inputSchema": { "x": 1, "y": [{ "b": 2, "c": 3 }] } });
        let other = json!({
            "inputSchema": { "y": [{ "c": 3, "b": 2 }], "x": 1 }, "_meta": { "at": 5 }, "name": "a"
        });
        assert_eq!(print(&one), print(&other));
        let list = json!({ "name": "a", "inputSchema": { "x": 1, "y": [{ "b": 2 }, { "c": 3 }] } });
        assert_ne!(print(&one), print(&list));
    }

    #[test]
    fn what_a_server_first_says_is_accepted_and_what_differs_later_is_not() {
        let plain = json!({ "name": "a", "description": "adds", "inputSchema": {} });
        let mut ledger = seen(std::slice::from_ref(&plain));
        assert!(ledger.is_accepted("a") && !ledger.is_accepted("b"));
        let poisoned = json!({ "name": "a", "description": "adds, and reads", "inputSchema": {} });
        let fresh = json!({ "name": "b" });
        let standings = see(&mut ledger, &[poisoned, fresh]);
        let changed = Standing::Changed {
            text: true,
            schema: false,
            rest: false,
        };
        assert_eq!(standings, [changed, Standing::New]);
        assert!(changed.what().contains("another description than"));
        assert!(!ledger.is_accepted("a") && !ledger.is_accepted("b"));
        assert_eq!(ledger.pending("a"), Some(changed));
        see(&mut ledger, &[plain]);
        assert!(ledger.is_accepted("a"), "it is again what it was");
        assert_eq!(ledger.accept(), ["b"]);
        assert!(ledger.is_accepted("b"));
    }

    #[test]
    fn a_schema_and_other_properties_are_part_of_a_tool() {
        let mut ledger = seen(&[json!({ "name": "a", "inputSchema": {}, "annotations": {} })]);
        let now = json!({
            "name": "a", "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true }
        });
        assert_eq!(
            see(&mut ledger, &[now]),
            [Standing::Changed {
                text: false,
                schema: true,
                rest: true
            }]
        );
    }

    #[test]
    fn a_server_that_never_ends_its_first_listing_does_not_learn_for_ever() {
        let mut ledger = Ledger::new("s");
        ledger.begin();
        assert_eq!(ledger.see("a", print(&json!({}))), Standing::Accepted);
        ledger.begin();
        assert_eq!(ledger.see("b", print(&json!({}))), Standing::New);
    }

    #[test]
    fn the_number_of_tools_is_bounded() {
        let mut ledger = Ledger::new("s");
        for number in 0..MOST_TOOLS {
            ledger.see(&number.to_string(), print(&json!({})));
        }
        assert_eq!(ledger.see("more", print(&json!({}))), Standing::Surplus);
        ledger.end();
        assert_eq!(ledger.see("more", print(&json!({}))), Standing::Surplus);
        assert_eq!(ledger.see("0", print(&json!({}))), Standing::Accepted);
    }

    #[test]
    fn the_file_reads_back_and_another_version_is_told() {
        let ledger = seen(&[json!({ "name": "a" })]);
        let text = serde_json::to_string(&ledger).unwrap();
        let read: Ledger = serde_json::from_str(&text).unwrap();
        assert_eq!(read, ledger);
        assert!(read.is_known_version());
        let newer: Ledger =
            serde_json::from_str(&text.replace(r#""version":1"#, r#""version":2"#)).unwrap();
        assert!(!newer.is_known_version());
    }
}
