//! What must hold for any line on the control socket.

use serde_json::Value;

use super::message::{Request, VERSION, parse_reply, reply_line};

/// A line that is a request is one again when it is written, and says its version.
pub(crate) fn request(bytes: &[u8]) {
    match Request::parse(bytes) {
        Ok(request) => {
            let line = request.line().unwrap_or_default();
            let whole = line.strip_suffix(b"\n").unwrap_or_default();
            assert!(!whole.contains(&b'\n'), "a request is one line");
            let value: Option<Value> = serde_json::from_slice(bytes).ok();
            // Only the arguments of a tool may have fractions.
            if value.as_ref().is_some_and(has_fraction) {
                assert!(Request::parse(whole).is_ok());
            } else {
                assert_eq!(Request::parse(whole), Ok(request));
            }
            let version = value.and_then(|value| value.get("v")?.as_u64());
            assert_eq!(version, Some(VERSION));
        }
        Err(failure) => {
            // It goes back to whoever sent it.
            assert!(!failure.message.is_empty());
            let line = reply_line(Err(&failure)).unwrap_or_default();
            assert_eq!(parse_reply(&line), Ok(Err(failure)));
        }
    }
}

/// A line that is a reply is the same one again when it is written; but for fractions, of which
/// egressd has none, and which `serde_json` reads to the last digit only when it is told to.
pub(crate) fn reply(bytes: &[u8]) {
    match parse_reply(bytes) {
        Ok(reply) => {
            let line = reply_line(reply.as_ref()).unwrap_or_default();
            let whole = line.strip_suffix(b"\n").unwrap_or_default();
            assert!(!whole.contains(&b'\n'), "a reply is one line");
            let again = parse_reply(whole);
            if serde_json::from_slice(bytes).is_ok_and(|value| has_fraction(&value)) {
                return assert!(again.is_ok());
            }
            assert_eq!(again, Ok(reply));
        }
        Err(failure) => assert!(!failure.message.is_empty()),
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(elements) => elements.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
