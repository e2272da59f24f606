//! Frames of a WebSocket (RFC 6455 section 5), whole messages at a time. Pure.
//!
//! A secret can be split over fragments, and a fragment that was passed on cannot be taken back. So
//! the frames of a message are held until its last one has come: then the message is told together
//! with the bytes that carried it, and the caller passes exactly those on, or ends the connection.
//! What is longer than the limit is refused at the header that says so, not cut. Pings, pongs and
//! closes may stand between fragments (section 5.4); they are told at once and may overtake the
//! fragments before them, so a long message does not silence a connection.
//!
//! Extensions give other meanings to payloads (RFC 7692: compression). The caller takes
//! `Sec-WebSocket-Extensions` out of the handshake; a frame that uses one is refused here.

use std::{mem, ops::Range};

/// Bytes that headers of fragments may take beside the payload of a message.
const MOST_HEADERS: usize = 64 << 10;
/// Bytes of payload in a control frame (RFC 6455 section 5.5).
const LONGEST_CONTROL: usize = 125;

/// Who sends the frames. A client masks them, a server does not (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Client,
    Server,
}

/// Something whole that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub said: Said,
    /// The frames as they came, masked if they were: what to pass on.
    pub raw: Vec<u8>,
}

/// What an [`Event`] says, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Nothing may follow.
    Close(Option<(u16, String)>),
}

/// Why the bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    #[error("a frame uses an extension, and none was agreed on")]
    Reserved,
    #[error("a frame has opcode {0}, which means nothing")]
    Opcode(u8),
    #[error("a client sent a frame without a mask")]
    NotMasked,
    #[error("a server sent a frame with a mask")]
    Masked,
    #[error("a frame does not give its length in the shortest form")]
    Length,
    #[error("a control frame has more than {LONGEST_CONTROL} bytes")]
    ControlTooLong,
    #[error("a control frame is fragmented")]
    ControlFragmented,
    #[error("a fragment continues no message")]
    Continuation,
    #[error("a message begins before the last one has ended")]
    Interrupted,
    #[error("a message has more than {0} bytes, which is more than can be judged")]
    TooLong(usize),
    #[error("the fragments of a message have more than {} KiB of headers", MOST_HEADERS >> 10)]
    Fragments,
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("a close has a payload of one byte")]
    CloseLength,
    #[error("a close has code {0}, which must not be sent")]
    CloseCode(u16),
    #[error("something follows a close")]
    AfterClose,
}

/// Takes what one side sends apart.
#[derive(Debug)]
pub struct Frames {
    from: Sender,
    /// Bytes of payload in a message.
    longest: usize,
    /// Whole frames of a message, and the frame that has begun.
    held: Vec<u8>,
    /// The frame that has begun: where in `held`.
    start: usize,
    /// Its header, once that is whole.
    header: Option<Header>,
    /// The message that has begun.
    message: Option<Kind>,
    payloads: Vec<Payload>,
    /// Bytes of them all.
    carried: usize,
    has_closed: bool,
    broken: Option<InvalidFrame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Begin(Kind),
    Close,
    Ping,
    Pong,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    is_last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the header.
    size: usize,
    /// Bytes of the payload.
    length: usize,
}

/// The payload of a frame, in `held`.
#[derive(Debug)]
struct Payload {
    place: Range<usize>,
    mask: [u8; 4],
}

impl Frames {
    /// Messages of more than `longest` bytes are refused.
    pub const fn new(from: Sender, longest: usize) -> Self {
        Self {
            from,
            longest,
            held: Vec::new(),
            start: 0,
            header: None,
            message: None,
            payloads: Vec::new(),
            carried: 0,
            has_closed: false,
            broken: None,
        }
    }

    /// Adds what these bytes make whole to `events`, up to the first mistake. After a mistake
    /// there is no way on: the caller sends [`close`] with [`InvalidFrame::close_code`].
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), InvalidFrame> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let fed = self.feed_all(bytes, events);
        self.broken = fed.err();
        fed
    }

    /// Bytes that wait for the rest of their message.
    pub const fn held(&self) -> usize {
        self.held.len()
    }

    fn feed_all(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), InvalidFrame> {
        let mut rest = bytes;
        while !rest.is_empty() || self.header.is_some() {
            if self.has_closed {
                return Err(InvalidFrame::AfterClose);
            }
            let Some(header) = self.header else {
                let (next, after) = rest.split_at(1);
                self.held.extend_from_slice(next);
                rest = after;
                self.header = self.read_header()?;
                continue;
            };
            let end = self.start + header.size + header.length;
            let missing = end - self.held.len();
            let (taken, after) = rest.split_at(missing.min(rest.len()));
            self.held.extend_from_slice(taken);
            rest = after;
            if self.held.len() < end {
                return Ok(());
            }
            self.header = None;
            events.extend(self.frame_ends(header)?);
        }
        Ok(())
    }

    /// The header of the frame that has begun; `None` while some of it is missing.
    fn read_header(&self) -> Result<Option<Header>, InvalidFrame> {
        let bytes = self.held.get(self.start..).unwrap_or_default();
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let is_last = first & 0x80 != 0;
        let opcode = self.opcode(*first)?;
        let Some((second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let is_masked = second & 0x80 != 0;
        match self.from {
            Sender::Client if !is_masked => return Err(InvalidFrame::NotMasked),
            Sender::Server if is_masked => return Err(InvalidFrame::Masked),
            Sender::Client | Sender::Server => {}
        }
        let is_control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        let short = second & 0x7f;
        if is_control && usize::from(short) > LONGEST_CONTROL {
            return Err(InvalidFrame::ControlTooLong);
        }
        let Some((length, rest)) = read_length(short, rest)? else {
            return Ok(None);
        };
        let longest = self.longest;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| is_control || *length <= longest.saturating_sub(self.carried))
            .ok_or(InvalidFrame::TooLong(longest))?;
        if self.start.saturating_sub(self.carried) > MOST_HEADERS {
            return Err(InvalidFrame::Fragments);
        }
        let (mask, rest) = match (is_masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((mask, rest))) => (*mask, rest),
            (true, None) => return Ok(None),
        };
        Ok(Some(Header {
            is_last,
            opcode,
            mask,
            size: bytes.len() - rest.len(),
            length,
        }))
    }

    fn opcode(&self, first: u8) -> Result<Opcode, InvalidFrame> {
        if first & 0x70 != 0 {
            return Err(InvalidFrame::Reserved);
        }
        let is_last = first & 0x80 != 0;
        let control = |opcode| {
            if is_last {
                Ok(opcode)
            } else {
                Err(InvalidFrame::ControlFragmented)
            }
        };
        let begin = |kind| match self.message {
            None => Ok(Opcode::Begin(kind)),
            Some(_) => Err(InvalidFrame::Interrupted),
        };
        match first & 0x0f {
            0 if self.message.is_none() => Err(InvalidFrame::Continuation),
            0 => Ok(Opcode::Continuation),
            1 => begin(Kind::Text),
            2 => begin(Kind::Binary),
            8 => control(Opcode::Close),
            9 => control(Opcode::Ping),
            10 => control(Opcode::Pong),
            other => Err(InvalidFrame::Opcode(other)),
        }
    }

    /// What became whole with the frame of this header.
    fn frame_ends(&mut self, header: Header) -> Result<Option<Event>, InvalidFrame> {
        let payload = Payload {
            place: self.start + header.size..self.held.len(),
            mask: header.mask,
        };
        let control = |said: fn(Vec<u8>) -> Said, frames: &mut Self| {
            let said = said(payload.unmasked(&frames.held));
            let raw = frames.held.split_off(frames.start);
            Ok(Some(Event { said, raw }))
        };
        match header.opcode {
            Opcode::Ping => return control(Said::Ping, self),
            Opcode::Pong => return control(Said::Pong, self),
            Opcode::Close => {
                let said = Said::Close(read_close(&payload.unmasked(&self.held))?);
                let raw = self.held.split_off(self.start);
                self.has_closed = true;
                return Ok(Some(Event { said, raw }));
            }
            Opcode::Begin(kind) => self.message = Some(kind),
            Opcode::Continuation => {}
        }
        self.carried += payload.place.len();
        self.payloads.push(payload);
        self.start = self.held.len();
        if !header.is_last {
            return Ok(None);
        }
        let raw = mem::take(&mut self.held);
        let payloads = mem::take(&mut self.payloads);
        self.start = 0;
        let mut whole = Vec::with_capacity(mem::take(&mut self.carried));
        for payload in &payloads {
            payload.unmask(&raw, &mut whole);
        }
        let said = match self.message.take() {
            Some(Kind::Text) => Said::Text(text(whole)?),
            Some(Kind::Binary) => Said::Binary(whole),
            None => return Err(InvalidFrame::Continuation),
        };
        Ok(Some(Event { said, raw }))
    }
}

impl Payload {
    fn unmask(&self, held: &[u8], into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(held.get(self.place.clone()).unwrap_or_default());
        for part in into.get_mut(start..).unwrap_or_default().chunks_mut(4) {
            for (byte, key) in part.iter_mut().zip(self.mask) {
                *byte ^= key;
            }
        }
    }

    fn unmasked(&self, held: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.place.len());
        self.unmask(held, &mut bytes);
        bytes
    }
}

/// The length of a payload and what follows it; `None` while some of it is missing.
fn read_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, InvalidFrame> {
    let (length, least, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), 1 << 16, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if length < least || length >> 63 != 0 {
        return Err(InvalidFrame::Length);
    }
    Ok(Some((length, rest)))
}

/// RFC 6455 sections 5.5.1 and 7.4.
fn read_close(payload: &[u8]) -> Result<Option<(u16, String)>, InvalidFrame> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload
        .split_first_chunk()
        .ok_or(InvalidFrame::CloseLength)?;
    let code = u16::from_be_bytes(*code);
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some((code, text(reason.to_vec())?))),
        _ => Err(InvalidFrame::CloseCode(code)),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, InvalidFrame> {
    String::from_utf8(bytes).map_err(|_not_text| InvalidFrame::Utf8)
}

impl InvalidFrame {
    /// A stable code, for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Reserved => "ws-extension",
            Self::Opcode(_) => "ws-opcode",
            Self::NotMasked => "ws-not-masked",
            Self::Masked => "ws-masked",
            Self::Length => "ws-length",
            Self::ControlTooLong => "ws-control-too-long",
            Self::ControlFragmented => "ws-control-fragmented",
            Self::Continuation => "ws-continuation",
            Self::Interrupted => "ws-interrupted",
            Self::TooLong(_) => "ws-message-too-long",
            Self::Fragments => "ws-too-many-fragments",
            Self::Utf8 => "ws-utf8",
            Self::CloseLength => "ws-close-length",
            Self::CloseCode(_) => "ws-close-code",
            Self::AfterClose => "ws-after-close",
        }
    }

    /// What to close the connection with.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLong(_) | Self::Fragments => TOO_BIG,
            Self::Utf8 => INVALID_PAYLOAD,
            Self::Reserved
            | Self::Opcode(_)
            | Self::NotMasked
            | Self::Masked
            | Self::Length
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::Continuation
            | Self::Interrupted
            | Self::CloseLength
            | Self::CloseCode(_)
            | Self::AfterClose => PROTOCOL_ERROR,
        }
    }
}

/// Codes of a close (RFC 6455 section 7.4.1).
pub const PROTOCOL_ERROR: u16 = 1002;
pub const INVALID_PAYLOAD: u16 = 1007;
pub const POLICY_VIOLATION: u16 = 1008;
pub const TOO_BIG: u16 = 1009;

/// A close. Towards a server it takes a mask of random bytes; towards a client it takes none. Of
/// the reason as much is sent as a control frame can hold.
pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let most = reason.floor_char_boundary(LONGEST_CONTROL - 2);
    let reason = reason.get(..most).unwrap_or_default();
    let payload: Vec<u8> = code
        .to_be_bytes()
        .into_iter()
        .chain(reason.bytes())
        .collect();
    let length = u8::try_from(payload.len()).unwrap_or_default();
    let mut frame = vec![0x88];
    match mask {
        None => {
            frame.push(length);
            frame.extend(payload);
        }
        Some(mask) => {
            frame.push(0x80 | length);
            frame.extend(mask);
            let key = mask.iter().cycle();
            frame.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        }
    }
    frame
}

/// Whatever is sent: the pieces make no difference, and nothing is lost, changed or held without
/// bound.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    const LONGEST: usize = 1000;
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let from = if first & 1 == 0 {
        Sender::Client
    } else {
        Sender::Server
    };
    let read = |size: usize| {
        let (mut frames, mut events) = (Frames::new(from, LONGEST), Vec::new());
        let mut ended = Ok(());
        for piece in bytes.chunks(size) {
            ended = ended.and_then(|()| frames.feed(piece, &mut events));
            assert!(frames.held() <= LONGEST + MOST_HEADERS + 30);
        }
        (events, ended, frames.held())
    };
    let whole = read(bytes.len().max(1));
    for size in [1, 2, 7] {
        assert!(read(size) == whole, "pieces of {size}");
    }
    let (events, ended, held) = whole;
    let raw: usize = events.iter().map(|event| event.raw.len()).sum();
    assert!(ended.is_err() || raw + held == bytes.len());
    for Event { said, raw } in events {
        let (mut frames, mut again) = (Frames::new(from, LONGEST), Vec::new());
        assert_eq!(frames.feed(&raw, &mut again), Ok(()));
        assert_eq!(again, [Event { said, raw }]);
    }
}

#[cfg(test)]
mod tests;
