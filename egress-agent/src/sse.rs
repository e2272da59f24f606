//! Streams of events (`text/event-stream`), as the HTML standard reads them (section 9.2.6). Pure.
//!
//! An event is told with its last byte and passed on as it came, so judging adds no wait but for the
//! event itself. The three ends of a line are told apart without waiting for the byte behind a
//! carriage return, unless the stream has shown that it writes both.

use std::mem;

/// One event, as it came and as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// All bytes, comments and the blank line at its end included: what to pass on.
    pub raw: Vec<u8>,
    /// Its type; empty when it has none, which means `message`.
    pub kind: String,
    pub id: Option<String>,
    pub retry: Option<String>,
    /// The message; `None` when there is no `data`.
    pub data: Option<Vec<u8>>,
}

/// An event was longer than what can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {longest} bytes")]
pub struct TooLong {
    pub longest: usize,
}

/// Takes a stream apart, piece by piece.
#[derive(Debug)]
pub struct Events {
    /// Bytes of an event, as it comes.
    longest: usize,
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
    broken: bool,
}

impl Events {
    /// Events of more than `longest` bytes are refused.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            event: Event::default(),
            line: 0,
            after_return: false,
            has_begun: false,
            has_pairs: false,
            waits: false,
            broken: false,
        }
    }

    /// Adds the events that end in these bytes, up to one that is too long. After that there is
    /// no way on.
    pub fn take(&mut self, bytes: &[u8], done: &mut Vec<Event>) -> Result<(), TooLong> {
        let longest = self.longest;
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            if self.broken {
                return Err(TooLong { longest });
            }
            if mem::take(&mut self.after_return) && *first == b'\n' {
                // The line has ended already.
                self.has_pairs = true;
                self.event.raw.push(b'\n');
                self.line = self.event.raw.len();
                rest = after;
                done.extend(self.end());
                continue;
            }
            done.extend(self.end());
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = after;
            if self.event.raw.len() + line.len() > longest {
                self.broken = true;
                return Err(TooLong { longest });
            }
            self.event.raw.extend_from_slice(line);
            if end.is_none() {
                break;
            }
            self.after_return = line.ends_with(b"\r");
            if self.line_ends(1) {
                // Some readers wait for the line feed: it goes with its event.
                let comes = rest.first().map_or(self.has_pairs, |next| *next == b'\n');
                self.waits = true;
                if !(self.after_return && comes) {
                    done.extend(self.end());
                }
            }
        }
        Ok(())
    }

    /// The event that is whole but for a line feed, which does not come when the stream has ended
    /// or is silent.
    pub fn end(&mut self) -> Option<Event> {
        if !mem::take(&mut self.waits) {
            return None;
        }
        self.line = 0;
        Some(mem::take(&mut self.event))
    }

    /// What is left when the stream has ended: an event without its blank line. The standard has
    /// readers forget it, and many do not, so it is read as if it were whole.
    pub fn rest(mut self) -> Option<Event> {
        if self.broken || self.event.raw.is_empty() {
            return None;
        }
        if !self.waits {
            self.line_ends(0);
        }
        Some(self.event)
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.event.raw.len() + self.event.data.as_ref().map_or(0, Vec::len)
    }

    /// Reads the last line, which ends with as many bytes. Whether the event has ended with it.
    fn line_ends(&mut self, ending: usize) -> bool {
        let Self {
            event,
            line: start,
            has_begun,
            ..
        } = self;
        let end = event.raw.len() - ending;
        let line = event.raw.get(*start..end).unwrap_or_default();
        *start = event.raw.len();
        let is_first = !mem::replace(has_begun, true);
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if is_first => rest,
            Some(_) | None => line,
        };
        if line.is_empty() {
            return true;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => match &mut event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => event.data = Some(value.to_vec()),
            },
            b"event" => event.kind = text(),
            b"id" if !value.contains(&0) => event.id = Some(text()),
            b"retry" => event.retry = Some(text()),
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
            for line in message.split(|byte| matches!(byte, b'\n' | b'\r')) {
                field("data", line);
            }
        }
        if !bytes.is_empty() {
            bytes.push(b'\n');
        }
        bytes
    }
}

/// Nothing of a stream is lost or invented, however it comes in pieces; what is passed on says to
/// its reader what was judged.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    const LONGEST: usize = 500;
    let read = |size: usize| {
        let (mut events, mut all) = (Events::new(LONGEST), Vec::new());
        let mut taken = Ok(());
        for piece in bytes.chunks(size) {
            taken = taken.and_then(|()| events.take(piece, &mut all));
            assert!(events.held() <= 2 * LONGEST + 2);
        }
        let rest = events.rest();
        let raw: Vec<u8> = all
            .iter()
            .chain(&rest)
            .flat_map(|event| &event.raw)
            .copied()
            .collect();
        assert!(bytes.starts_with(&raw));
        assert!(taken.is_err() || raw.len() == bytes.len());
        all.extend(rest);
        let said = |event: Event| (event.kind, event.id, event.retry, event.data);
        let said: Vec<_> = all.into_iter().map(said).collect();
        // A line feed may have come after its event had gone: alone it says nothing.
        let nothing = (String::new(), None, None, None);
        (
            said.into_iter()
                .filter(|event| *event != nothing)
                .collect::<Vec<_>>(),
            taken,
        )
    };
    let whole = read(bytes.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(read(size), whole, "pieces of {size}");
    }
    let (mut events, mut all) = (Events::new(LONGEST), Vec::new());
    if events.take(bytes, &mut all).is_ok() {
        for event in all.iter().filter(|event| event.data.is_some()) {
            let (mut alone, mut again) = (Events::new(2 * LONGEST + 100), Vec::new());
            let written = event.with(event.data.as_deref());
            assert_eq!(alone.take(&written, &mut again), Ok(()));
            let data: Vec<_> = again.iter().map(|event| &event.data).collect();
            assert_eq!(data, [&event.data]);
        }
    }
}

#[cfg(test)]
mod tests;
