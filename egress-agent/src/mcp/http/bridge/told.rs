//! What the request of a line says in its headers. Pure.

use data_encoding::BASE64;
use hyper::header::{HeaderName, HeaderValue};

use super::super::headers;
use crate::mcp::{
    glimpse::{Glimpse, Glimpsed},
    message::{self, Framing, Id, Incoming, Kind},
    revision::{self, Revision},
};

/// What a line is, as far as its request must say it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) id: Option<Id>,
    pub(super) method: Option<String>,
    pub(super) name: Option<String>,
    pub(super) revision: Option<Revision>,
    /// The request that it takes back.
    pub(super) cancels: Option<Id>,
}

impl Told {
    pub(super) fn of(line: &[u8]) -> Self {
        let message = match message::read(line, Framing::Line) {
            Ok(Incoming::One(message)) => message,
            Ok(Incoming::Blank | Incoming::Batch(_)) => return Self::default(),
            Err(_) => {
                return match Glimpse::of(line) {
                    Glimpsed::Request(id) => Self {
                        id: Some(id),
                        ..Self::default()
                    },
                    Glimpsed::Answer(_) | Glimpsed::Unknown => Self::default(),
                };
            }
        };
        let params = message.params();
        let revision = revision::of_request(params).ok().flatten();
        let (id, method) = match message.kind.clone() {
            Kind::Request { id, method } => (Some(id), Some(method)),
            Kind::Notification { method } => (None, Some(method)),
            Kind::Result { .. } | Kind::Error { .. } => (None, None),
        };
        let key = match method.as_deref() {
            Some("tools/call" | "prompts/get") => Some("name"),
            Some("resources/read") => Some("uri"),
            Some(_) | None => None,
        };
        let name = key.and_then(|key| params.get(key)?.as_str());
        let is_cancel = method.as_deref() == Some("notifications/cancelled");
        let cancels = params.get("requestId").filter(|_| is_cancel);
        Self {
            id,
            name: name.map(str::to_owned),
            method,
            revision,
            cancels: cancels.and_then(Id::read),
        }
    }

    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }
}

/// A value of revision 2026-07-28: what no header can carry is coded.
pub(super) fn coded(value: &str) -> Option<HeaderValue> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !value.starts_with("=?");
    if is_plain {
        HeaderValue::from_str(value).ok()
    } else {
        HeaderValue::from_str(&format!("=?base64?{}?=", BASE64.encode(value.as_bytes()))).ok()
    }
}

/// Why a header cannot be sent for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("`{0}` is not the name of a header")]
    Name(String),
    #[error("the header `{0}` is written by the guard itself")]
    Own(String),
    /// The value is not shown: it may be a secret.
    #[error("the value of the header `{0}` cannot stand in a header: look for line feeds")]
    Value(String),
}

/// A header for every request to the server.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed
        .ok()
        .ok_or_else(|| InvalidHeader::Name(name.to_owned()))?;
    if headers::is_own(&parsed) {
        return Err(InvalidHeader::Own(name.to_owned()));
    }
    let value = HeaderValue::from_str(value.trim());
    let mut value = value
        .ok()
        .ok_or_else(|| InvalidHeader::Value(name.to_owned()))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_its_request_must_say() {
        let told = |text: &str| {
            let Told {
                id,
                method,
                name,
                revision,
                cancels: _,
            } = Told::of(text.as_bytes());
            (id, method, name, revision)
        };
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(call),
            (
                Some(Id::Number(1)),
                text("tools/call"),
                text("add"),
                Some(Revision::V2026_07_28)
            )
        );
        let read = r#"{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"x:y","name":"n"}}"#;
        assert_eq!(told(read).2, text("x:y"));
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(
            told(note),
            (None, text("notifications/initialized"), None, None)
        );
        let cancel =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(Told::of(cancel.as_bytes()).cancels, Some(Id::Number(7)));
        let broken = r#"{"jsonrpc":"2.0","id":7,"method":"ping""#;
        assert_eq!(told(broken).0, Some(Id::Number(7)), "its sender is told");
        let twice = r#"{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}"#;
        assert_eq!(told(twice).0, Some(Id::Number(7)), "its sender is told");
    }

    #[test]
    fn values_are_coded_where_a_header_cannot_carry_them() {
        for (value, expected) in [
            ("add two", "add two"),
            ("\u{e4}", "=?base64?w6Q=?="),
            (" a", "=?base64?IGE=?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
            ("a\nb", "=?base64?YQpi?="),
        ] {
            assert_eq!(coded(value).unwrap(), expected);
        }
    }

    #[test]
    fn headers_are_checked_and_their_values_are_not_shown() {
        assert!(header("Authorization", "Bearer x").is_ok());
        assert_eq!(
            header("a b", "x"),
            Err(InvalidHeader::Name("a b".to_owned()))
        );
        for own in [
            "Host",
            "content-type",
            "Mcp-Session-Id",
            "Connection",
            "mcp-param-x",
        ] {
            assert_eq!(header(own, "x"), Err(InvalidHeader::Own(own.to_owned())));
        }
        let refused = header("X-Key", "se\ncret").unwrap_err().to_string();
        assert!(
            !refused.contains("cret\n") && refused.contains("X-Key"),
            "{refused}"
        );
        let (_, value) = header("X-Key", "secret").unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }
}
