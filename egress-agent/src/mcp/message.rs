//! One JSON-RPC message, read so that nobody can read it otherwise.
//!
//! What two parsers could understand differently is not a message here: members that stand twice
//! or differ only in their case, text that is not UTF-8, text behind the end, a carriage return
//! that some readers of lines take for the end of one. The bytes themselves stay with the caller,
//! who forwards them as they came. Framing: JSON-RPC 2.0 and the base protocol of MCP.

use std::{cell::RefCell, fmt, ops::Range};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

/// Bytes of the longest message.
pub const LONGEST: usize = 16 << 20;
/// Bytes of an event that carries a message.
pub const LONGEST_EVENT: usize = LONGEST + (64 << 10);
/// Lists and objects inside each other.
pub const DEEPEST: usize = 100;
/// Values of one message: what it takes in memory is bounded by them.
pub const MOST_VALUES: usize = 1 << 19;
/// Messages of one batch.
pub const MOST_IN_BATCH: usize = 256;
/// Bytes of an id, or of a method.
pub const LONGEST_ID: usize = 512;

/// `Parse error` and `Invalid Request` of JSON-RPC 2.0.
pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;

/// The number or word by which a request and its answer belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    Number(i128),
    Text(String),
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Request {
        id: Id,
        method: String,
    },
    Notification {
        method: String,
    },
    Result {
        id: Id,
    },
    /// Without an id it answers something that could not be read.
    Error {
        id: Option<Id>,
    },
}

/// A message that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub kind: Kind,
    document: Map<String, Value>,
}

/// What one line or body holds.
#[derive(Debug)]
pub enum Incoming {
    /// Only white space.
    Blank,
    One(Message),
    /// Every element with its place in the bytes.
    Batch(Vec<(Range<usize>, Result<Message, Invalid>)>),
}

/// How messages are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One on each line.
    Line,
    /// By the transport.
    Body,
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the message has more than {} MB", LONGEST >> 20)]
    TooLong,
    #[error("the message is not UTF-8")]
    NotUtf8,
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    #[error("the member `{0}` stands twice in one object")]
    Duplicate(String),
    #[error("the message is nested more than {DEEPEST} deep")]
    TooDeep,
    #[error("the message has more than {MOST_VALUES} values")]
    TooManyValues,
    #[error("a carriage return stands inside the line")]
    CarriageReturn,
    #[error("the member `{found}` differs from `{known}` only in its case")]
    Variant { found: String, known: &'static str },
    #[error("it is no JSON-RPC message: {0}")]
    NotMessage(&'static str),
    #[error("the batch is empty or has more than {MOST_IN_BATCH} messages")]
    BatchSize,
}

/// The members of a message.
const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// Reads the bytes of one line or body.
pub fn read(bytes: &[u8], framing: Framing) -> Result<Incoming, Invalid> {
    if bytes.len() > LONGEST {
        return Err(Invalid::TooLong);
    }
    let text = std::str::from_utf8(bytes).ok().ok_or(Invalid::NotUtf8)?;
    let text = text.trim_end_matches(is_space);
    if text.is_empty() {
        return Ok(Incoming::Blank);
    }
    // Readers with universal newlines would find another message behind it.
    if framing == Framing::Line && text.contains('\r') {
        return Err(Invalid::CarriageReturn);
    }
    let document = parse(text)?;
    let Value::Array(elements) = document else {
        return message(document).map(Incoming::One);
    };
    if elements.is_empty() || elements.len() > MOST_IN_BATCH {
        return Err(Invalid::BatchSize);
    }
    let parts = elements.into_iter().map(message);
    let places = places(text.as_bytes()).into_iter();
    Ok(Incoming::Batch(places.zip(parts).collect()))
}

/// A JSON text in which no object has a member twice.
pub fn parse(text: &str) -> Result<Value, Invalid> {
    let watch = RefCell::new(Watch {
        left: MOST_VALUES,
        fault: None,
    });
    let mut source = serde_json::Deserializer::from_str(text);
    let read = Strict {
        watch: &watch,
        depth: 0,
    }
    .deserialize(&mut source);
    let read = read.and_then(|value| source.end().map(|()| value));
    read.map_err(|error| {
        let fault = watch.into_inner().fault;
        fault.unwrap_or_else(|| Invalid::NotJson(error.to_string()))
    })
}

impl Message {
    /// The parameters; `Null` when there are none.
    pub fn params(&self) -> &Value {
        self.document.get("params").unwrap_or(&Value::Null)
    }

    /// The result of an answer; `Null` in other messages.
    pub fn result(&self) -> &Value {
        self.document.get("result").unwrap_or(&Value::Null)
    }

    /// All of it.
    pub fn document(&self) -> &Map<String, Value> {
        &self.document
    }
}

impl Id {
    /// `None` for what may not be an id: fractions, `null`, lists, words without end.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => (text.len() <= LONGEST_ID).then(|| Self::Text(text.clone())),
            Value::Number(number) => number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .map(Self::Number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => i64::try_from(*number).map_or_else(
                |_| u64::try_from(*number).map_or(Value::Null, Value::from),
                Value::from,
            ),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Invalid {
    /// The number of the JSON-RPC error.
    pub const fn number(&self) -> i64 {
        match self {
            Self::NotUtf8 | Self::NotJson(_) => PARSE_ERROR,
            Self::TooLong
            | Self::Duplicate(_)
            | Self::TooDeep
            | Self::TooManyValues
            | Self::CarriageReturn
            | Self::Variant { .. }
            | Self::NotMessage(_)
            | Self::BatchSize => INVALID_REQUEST,
        }
    }

    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NotUtf8 => "not-utf8",
            Self::NotJson(_) => "not-json",
            Self::Duplicate(_) => "duplicate-key",
            Self::TooDeep => "too-deep",
            Self::TooManyValues => "too-many-values",
            Self::CarriageReturn => "carriage-return",
            Self::Variant { .. } => "ambiguous-key",
            Self::NotMessage(_) => "not-a-message",
            Self::BatchSize => "batch-size",
        }
    }

    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLong | Self::TooManyValues => "send less at a time",
            Self::NotUtf8 | Self::NotJson(_) => "send one JSON-RPC message in UTF-8",
            Self::Duplicate(_) | Self::Variant { .. } => "name every member once",
            Self::TooDeep => "send flatter values",
            Self::CarriageReturn => "end lines with a line feed, and nothing else",
            Self::NotMessage(_) => "send a request, a notification or an answer of JSON-RPC 2.0",
            Self::BatchSize => "send messages one by one",
        }
    }
}

/// Refuses members that only the case tells from those that mean something: some parsers take
/// them for the same.
pub fn refuse_variants(object: &Map<String, Value>, known: &[&'static str]) -> Result<(), Invalid> {
    for key in object.keys() {
        if known.contains(&key.as_str()) {
            continue;
        }
        let folded = fold(key);
        if let Some(known) = known.iter().find(|known| fold(known) == folded) {
            return Err(Invalid::Variant {
                found: clip(key),
                known,
            });
        }
    }
    Ok(())
}

fn message(document: Value) -> Result<Message, Invalid> {
    let Value::Object(document) = document else {
        return Err(Invalid::NotMessage("it is not an object"));
    };
    refuse_variants(&document, ENVELOPE)?;
    if document.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(Invalid::NotMessage("`jsonrpc` is not \"2.0\""));
    }
    let id = match document.get("id") {
        None => None,
        Some(Value::Null) if document.contains_key("error") => None,
        Some(value) => Some(Id::read(value).ok_or(Invalid::NotMessage(
            "`id` is neither an integer nor a short text",
        ))?),
    };
    let parts = (
        document.get("method"),
        document.get("result"),
        document.get("error"),
        id,
    );
    let kind = match parts {
        (Some(method), None, None, id) => {
            let method = method.as_str().filter(|method| method.len() <= LONGEST_ID);
            let method = method.ok_or(Invalid::NotMessage("`method` is not a short text"))?;
            if !matches!(
                document.get("params"),
                None | Some(Value::Null | Value::Object(_))
            ) {
                return Err(Invalid::NotMessage("`params` is not an object"));
            }
            let method = method.to_owned();
            match id {
                Some(id) => Kind::Request { id, method },
                None => Kind::Notification { method },
            }
        }
        (None, Some(_), None, Some(id)) => Kind::Result { id },
        (None, None, Some(Value::Object(_)), id) => Kind::Error { id },
        (None, None, Some(_), _) => return Err(Invalid::NotMessage("`error` is not an object")),
        (None, Some(_), None, None) => return Err(Invalid::NotMessage("the answer has no `id`")),
        (None, None, None, _) => {
            return Err(Invalid::NotMessage("it is neither a request nor an answer"));
        }
        (Some(_), _, _, _) | (None, Some(_), Some(_), _) => {
            return Err(Invalid::NotMessage("it is more than one thing at once"));
        }
    };
    Ok(Message { kind, document })
}

/// The places of the elements of a list that has been parsed.
fn places(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut places, mut depth, mut start) = (Vec::new(), 0_usize, None);
    let (mut in_text, mut escaped) = (false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if in_text {
            match (escaped, byte) {
                (true, _) => escaped = false,
                (false, b'\\') => escaped = true,
                (false, b'"') => in_text = false,
                (false, _) => {}
            }
            continue;
        }
        let before = depth;
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = before == 1 && (*byte == b',' || depth == 0);
        if ends {
            places.extend(start.take().map(|start| trimmed(bytes, start, at)));
        } else if before >= 1 && start.is_none() && !byte.is_ascii_whitespace() {
            start = Some(at);
        }
    }
    places
}

fn trimmed(bytes: &[u8], start: usize, end: usize) -> Range<usize> {
    let element = bytes.get(start..end).unwrap_or_default();
    start..start + element.trim_ascii_end().len()
}

/// Letters as the most generous parser compares them (`EqualFold` of Go): also the long s.
fn fold(text: &str) -> String {
    text.replace('\u{17f}', "s").to_lowercase()
}

const fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

fn clip(text: &str) -> String {
    let end = text.floor_char_boundary(64);
    let text = text.get(..end).unwrap_or_default();
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

struct Watch {
    left: usize,
    fault: Option<Invalid>,
}

/// Reads any value, and stops at what is ambiguous or too much.
#[derive(Clone, Copy)]
struct Strict<'a> {
    watch: &'a RefCell<Watch>,
    depth: usize,
}

impl Strict<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(self.fault(Invalid::TooDeep));
        }
        Ok(Self {
            watch: self.watch,
            depth: self.depth + 1,
        })
    }

    fn fault<E: de::Error>(self, fault: Invalid) -> E {
        let error = E::custom(&fault);
        self.watch.borrow_mut().fault = Some(fault);
        error
    }

    fn count<E: de::Error>(self) -> Result<(), E> {
        let left = self.watch.borrow().left;
        if left == 0 {
            return Err(self.fault(Invalid::TooManyValues));
        }
        self.watch.borrow_mut().left = left - 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        self.count()?;
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = source.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(key) = source.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.fault(Invalid::Duplicate(clip(&key))));
            }
            let value = source.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
