//! Streams of events, as the HTML standard reads them (`text/event-stream`). Pure.

use super::message::LONGEST;

/// Bytes of an event beside its message.
const LONGEST_FIELDS: usize = 64 << 10;

/// One event, as it came and as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// All bytes, the blank line at its end included.
    pub raw: Vec<u8>,
    /// Its type; empty when it has none, which means `message`.
    pub kind: String,
    pub id: Option<String>,
    pub retry: Option<String>,
    /// The message; `None` when there is no `data`.
    pub data: Option<Vec<u8>>,
}

/// An event was longer than any message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {} MB", LONGEST >> 20)]
pub struct TooLong;

/// Takes a stream apart, piece by piece.
#[derive(Debug, Default)]
pub struct Events {
    event: Event,
    /// Where the line begins that is being read.
    line: usize,
    /// The last byte was a carriage return: a line feed belongs to it.
    after_return: bool,
    has_begun: bool,
    /// The stream ends its lines with both.
    has_pairs: bool,
    /// An event is whole but for the line feed that belongs to its last carriage return.
    waits: bool,
}

impl Events {
    /// The events that end in these bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut done = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            let follows = std::mem::replace(&mut self.after_return, *byte == b'\r');
            if follows && *byte == b'\n' {
                // The line has ended already.
                self.has_pairs = true;
                self.event.raw.push(*byte);
                self.line = self.event.raw.len();
                done.extend(self.end());
                continue;
            }
            done.extend(self.end());
            self.event.raw.push(*byte);
            if matches!(byte, b'\n' | b'\r') {
                if self.line_ends() {
                    // Some readers wait for the line feed: it goes with its event.
                    let comes = bytes
                        .get(at + 1)
                        .map_or(self.has_pairs, |next| *next == b'\n');
                    self.waits = true;
                    if *byte == b'\n' || !comes {
                        done.extend(self.end());
                    }
                }
            } else if self.event.raw.len() > LONGEST + LONGEST_FIELDS {
                return Err(TooLong);
            }
        }
        Ok(done)
    }

    /// The event that was whole when the stream ended.
    pub fn end(&mut self) -> Option<Event> {
        if !std::mem::take(&mut self.waits) {
            return None;
        }
        self.line = 0;
        Some(std::mem::take(&mut self.event))
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.event.raw.len() + self.event.data.as_ref().map_or(0, Vec::len)
    }

    /// Whether the event has ended too.
    fn line_ends(&mut self) -> bool {
        let end = self.event.raw.len() - 1;
        let line = self.event.raw.get(self.line..end).unwrap_or_default();
        let mut line = line.to_vec();
        self.line = self.event.raw.len();
        if !std::mem::replace(&mut self.has_begun, true)
            && let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf")
        {
            line = rest.to_vec();
        }
        if line.is_empty() {
            return true;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line.as_slice(), &b""[..]),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => match &mut self.event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.event.data = Some(value.to_vec()),
            },
            b"event" => self.event.kind = text(),
            b"id" if !value.contains(&0) => self.event.id = Some(text()),
            b"retry" => self.event.retry = Some(text()),
            _ => {}
        }
        false
    }
}

impl Event {
    /// The same event with another message, or with none.
    pub fn with(&self, message: Option<&[u8]>) -> Vec<u8> {
        let Self {
            raw: _,
            kind,
            id,
            retry,
            data: _,
        } = self;
        let mut bytes = Vec::new();
        let mut field = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        };
        if message.is_some() && !kind.is_empty() {
            field("event", kind.as_bytes());
        }
        if let Some(id) = id {
            field("id", id.as_bytes());
        }
        if let Some(retry) = retry {
            field("retry", retry.as_bytes());
        }
        if let Some(message) = message {
            for line in message.split(|byte| *byte == b'\n') {
                field("data", line);
            }
        }
        if !bytes.is_empty() {
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(bytes: &[u8], at_a_time: usize) -> Vec<Event> {
        let mut events = Events::default();
        let mut all = Vec::new();
        for chunk in bytes.chunks(at_a_time) {
            all.extend(events.take(chunk).unwrap());
        }
        all.extend(events.end());
        all
    }

    fn data(event: &Event) -> Option<String> {
        event
            .data
            .clone()
            .map(|data| String::from_utf8(data).unwrap())
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text = ": hello\n\nevent: message\nid: 7\ndata: {\"a\":\ndata:1}\n\nid\ndata\n\nretry: 5\n\nnot ended";
        for at_a_time in [1, 2, 7, 1000] {
            let events = events(text.as_bytes(), at_a_time);
            assert_eq!(events.len(), 4);
            assert_eq!(data(&events[0]), None);
            assert_eq!(data(&events[1]).as_deref(), Some("{\"a\":\n1}"));
            assert_eq!(
                (events[1].kind.as_str(), events[1].id.as_deref()),
                ("message", Some("7"))
            );
            assert_eq!(
                (data(&events[2]).as_deref(), events[2].id.as_deref()),
                (Some(""), Some(""))
            );
            assert_eq!(events[3].retry.as_deref(), Some("5"));
        }
    }

    #[test]
    fn every_end_of_line_is_one_and_nothing_is_lost() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("\u{feff}data: a{end}{end}data: b{end}data: c{end}{end}");
            for at_a_time in [1, 3, 1000] {
                let events = events(text.as_bytes(), at_a_time);
                let found: Vec<_> = events.iter().filter_map(data).collect();
                assert_eq!(found, ["a", "b\nc"], "{end:?}");
                assert!(
                    events
                        .iter()
                        .all(|event| event.raw.ends_with(end.as_bytes())),
                    "{end:?} {at_a_time}"
                );
                let raw: Vec<u8> = events.into_iter().flat_map(|event| event.raw).collect();
                assert_eq!(raw, text.as_bytes());
            }
        }
    }

    #[test]
    fn an_event_has_a_longest_length() {
        let mut events = Events::default();
        let chunk = vec![b'x'; 1 << 20];
        let fed = (0..1000)
            .take_while(|_| events.take(&chunk).is_ok())
            .count();
        assert_eq!(fed, LONGEST >> 20);
    }

    #[test]
    fn another_message_takes_the_place_of_the_first() {
        let text = "event: message\nid: 7\nretry: 5\ndata: old\n\n";
        let event = events(text.as_bytes(), 100).remove(0);
        let with = |message: Option<&[u8]>| String::from_utf8(event.with(message)).unwrap();
        assert_eq!(
            with(Some(b"new")),
            "event: message\nid: 7\nretry: 5\ndata: new\n\n"
        );
        assert_eq!(with(None), "id: 7\nretry: 5\n\n");
        assert_eq!(Event::default().with(None), b"");
    }

    proptest! {
        #[test]
        fn any_bytes_are_kept_in_order(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1..9_usize) {
            let raw: Vec<u8> = events(&bytes, size).into_iter().flat_map(|event| event.raw).collect();
            prop_assert!(bytes.starts_with(&raw));
        }

        #[test]
        fn the_pieces_make_no_difference(text in "[\r\n:adit ]{0,60}", size in 1..9_usize) {
            let read = |size| events(text.as_bytes(), size).iter().filter_map(data).collect::<Vec<_>>();
            prop_assert_eq!(read(size), read(1000));
        }
    }
}
