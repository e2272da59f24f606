//! The questions that a session asks of whoever decides.

use std::{
    borrow::Cow,
    fmt,
    sync::{Mutex, PoisonError},
};

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
    /// A message, or a part of one, as JSON.
    fn inspect(&self, subject: Subject, json: &[u8]) -> Option<Block>;

    /// What is wrong with a tool as the server describes it.
    fn describe(&self, tool: &Value) -> Option<Block> {
        self.inspect(Subject::Description, tool.to_string().as_bytes())
    }

    /// The same message without what must not pass, where that is to be taken out. Whoever asks
    /// next what is wrong with the same bytes is told what was seen here.
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

/// What was seen of the last message, for the question that follows about the same bytes. It is
/// told once: the same bytes in another message are looked at again.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Option<Sight>>);

#[derive(Debug)]
struct Sight {
    subject: Subject,
    bytes: Vec<u8>,
    block: Option<Block>,
}

/// Longer messages are looked at twice rather than kept.
const LONGEST_KEPT: usize = 64 << 10;

impl Latest {
    pub(crate) fn put(&self, subject: Subject, bytes: &[u8], block: Option<Block>) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = (bytes.len() <= LONGEST_KEPT).then(|| Sight {
            subject,
            bytes: bytes.to_vec(),
            block,
        });
    }

    /// What was seen; what was not seen just now, `look` sees.
    pub(crate) fn or_look(
        &self,
        subject: Subject,
        bytes: &[u8],
        look: impl FnOnce() -> Option<Block>,
    ) -> Option<Block> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = latest.take_if(|seen| seen.subject == subject && seen.bytes == bytes);
        drop(latest);
        seen.map_or_else(look, |seen| seen.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_told_once_and_of_the_same_bytes_only() {
        let latest = Latest::default();
        let found = || Some(Block::redacted());
        let other = || Some(Block::new("looked-again", "", ""));
        let told = |subject, bytes: &[u8]| latest.or_look(subject, bytes, other);
        latest.put(Subject::ToServer, b"a", found());
        assert_eq!(told(Subject::ToServer, b"b"), other());
        assert_eq!(told(Subject::FromServer, b"a"), other());
        assert_eq!(told(Subject::ToServer, b"a"), found());
        assert_eq!(told(Subject::ToServer, b"a"), other());
        latest.put(Subject::ToServer, b"a", found());
        latest.put(Subject::ToServer, &vec![b'a'; LONGEST_KEPT + 1], None);
        assert_eq!(told(Subject::ToServer, b"a"), other());
    }
}
