//! What must hold for any bytes in the place of a message.

use serde_json::Value;

use super::{
    glimpse::{Glimpse, Glimpsed},
    message::{Framing, Incoming, Kind, Message, read},
};

/// Two readers of a message agree; what is only glimpsed is what is read.
pub(crate) fn message(bytes: &[u8]) {
    match read(bytes, Framing::Line) {
        Ok(Incoming::One(message)) => agreed(&message, bytes),
        Ok(Incoming::Batch(parts)) => {
            for (place, part) in parts {
                let element = bytes.get(place).unwrap_or_default();
                assert!(serde_json::from_slice::<Value>(element).is_ok());
                if let Ok(message) = part {
                    agreed(&message, element);
                }
            }
        }
        Ok(Incoming::Blank) => assert!(bytes.trim_ascii().is_empty()),
        Err(invalid) => assert!(!invalid.to_string().is_empty() && invalid.number() < -32000),
    }
}

fn agreed(message: &Message, bytes: &[u8]) {
    let other: Option<Value> = serde_json::from_slice(bytes).ok();
    assert_eq!(
        other.as_ref().and_then(Value::as_object),
        Some(message.document())
    );
    // Keys with escapes are not glimpsed.
    let glimpsed = Glimpse::of(bytes);
    match (&message.kind, glimpsed) {
        (Kind::Request { id, .. }, Glimpsed::Request(seen) | Glimpsed::Answer(seen)) => {
            assert_eq!(*id, seen);
        }
        (Kind::Result { id } | Kind::Error { id: Some(id) }, Glimpsed::Answer(seen)) => {
            assert_eq!(*id, seen);
        }
        (_, Glimpsed::Unknown) => {}
        (kind, seen) => assert_eq!(format!("{kind:?}"), format!("{seen:?}"), "they disagree"),
    }
}
