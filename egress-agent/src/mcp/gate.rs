//! The questions that a session asks of whoever decides.

use std::{borrow::Cow, fmt};

use serde_json::{Value, json};

use crate::content::Source;

/// The number of the JSON-RPC error with which a call is denied: of those that the specification
/// leaves to implementations.
pub const DENIED: i64 = -32001;
/// The number of the error with which a server that is gone, or does not answer, is told.
pub const NO_ANSWER: i64 = -32000;

/// Which way a text goes, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Leaves the machine, or at least the agent.
    ToServer,
    /// Comes to the model.
    FromServer,
    /// Describes a tool, a prompt or a resource, or tells the model how to use the server.
    Description,
}

impl Subject {
    pub fn source(self) -> Source {
        match self {
            Self::ToServer => Source::Agent,
            Self::FromServer => Source::Server,
            Self::Description => Source::Description,
        }
    }
}

/// What is wrong with a text.
pub trait Inspect: Send + Sync {
    /// The texts of one message: every string and every key, in order.
    fn inspect(&self, subject: Subject, texts: &[Cow<'_, str>]) -> Option<Block>;

    /// What is wrong with a tool as the server describes it.
    fn describe(&self, tool: &Value) -> Option<Block> {
        self.inspect(Subject::Description, &texts(tool))
    }

    /// The same message without what must not pass, where that is to be taken out.
    fn redact(&self, _subject: Subject, _message: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Decides about calls and texts.
pub trait Gate: Inspect {
    /// Judges a call. `tool` is the name by which policies know it: `mcp__SERVER__TOOL`.
    fn call(&self, tool: &str, arguments: &Value, id: &str) -> Option<Block>;
}

/// Why something does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// A stable code such as `host-denied`.
    pub code: Cow<'static, str>,
    /// The rule or the detector that decided.
    pub rule: Option<String>,
    /// One line: what happened and why.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

impl Block {
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            rule: None,
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// For what went on without a part of it.
    pub fn redacted() -> Self {
        Self::new(
            "redacted",
            "what must not pass was taken out of the message",
            "name the variable or file that holds it instead",
        )
    }

    /// The JSON-RPC error.
    pub fn error(&self, number: i64) -> Value {
        let Self {
            code,
            rule,
            reason,
            hint,
        } = self;
        json!({
            "code": number,
            "message": format!("egressd: {self}"),
            "data": { "code": code, "rule": rule, "reason": reason, "hint": hint },
        })
    }

    /// The result of a tool that did not get through, as the model reads it.
    pub fn tool_result(&self) -> Value {
        let text = format!("egressd removed the result of this tool: {self}");
        json!({ "content": [{ "type": "text", "text": text }], "isError": true })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            rule: _,
            reason,
            hint,
        } = self;
        write!(f, "{reason} ({code}); {hint}")
    }
}

/// Every text of a value, keys included, in order. Long numbers are texts too: cards are numbers.
pub fn texts(value: &Value) -> Vec<Cow<'_, str>> {
    const SHORTEST_NUMBER: usize = 9;
    let mut texts = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => texts.push(Cow::Borrowed(text.as_str())),
            Value::Number(number) => {
                let text = number.to_string();
                if text.len() >= SHORTEST_NUMBER {
                    texts.push(Cow::Owned(text));
                }
            }
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Object(fields) => {
                texts.extend(fields.keys().map(|key| Cow::Borrowed(key.as_str())));
                open.extend(fields.values().rev());
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
    texts
}
