//! What must hold for any bytes in the place of a message, or of a stream of events.

use serde_json::Value;

use super::{
    glimpse::{Glimpse, Glimpsed},
    message::{Framing, Incoming, Kind, Message, read},
    sse::Events,
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

/// Nothing of a stream is lost or invented, however it comes in pieces.
pub(crate) fn stream(bytes: &[u8]) {
    let read = |size: usize| {
        let mut events = Events::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(size) {
            all.extend(events.take(piece).into_iter().flatten());
        }
        all.extend(events.end());
        all
    };
    let (whole, pieces) = (read(bytes.len().max(1)), read(1));
    let raw: Vec<u8> = whole.iter().flat_map(|event| event.raw.clone()).collect();
    assert!(bytes.starts_with(&raw));
    let data = |event: &super::sse::Event| event.data.clone();
    let texts = |events: &[super::sse::Event]| events.iter().filter_map(data).collect::<Vec<_>>();
    assert_eq!(texts(&whole), texts(&pieces));
}
