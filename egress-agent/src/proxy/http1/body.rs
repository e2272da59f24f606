//! The body of a request, as its framing says (RFC 9112, sections 6 and 7); and chunks, written.

use std::io::Write as _;

use super::{
    error::BadBody,
    fields::{self, Framing, LONGEST_BODY, trim},
};

/// Bytes of all trailers.
pub const LONGEST_TRAILERS: usize = 8 << 10;
pub const MOST_TRAILERS: usize = 32;
/// Hexadecimal digits of the size of a chunk.
const MOST_DIGITS: u8 = 16;

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Nothing: all bytes are used up. Try again with those that come after them.
    More,
    /// Bytes of the body, at least one.
    Data(&'a [u8]),
    /// The body is complete. Bytes that are left are the next request.
    End,
}

/// Takes a body apart, in whatever pieces it comes.
///
/// Extensions of chunks are refused: no client sends them, and they are a place to hide things in.
/// Trailers are checked and left out, which a proxy may do (RFC 9110, section 6.5.1); none of them
/// may be a field that a head would be read by.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    trailers: Trailers,
}

#[derive(Clone, Debug)]
enum State {
    /// Bytes of the whole body that are still to come.
    Length(u64),
    /// In the size of a chunk, with what its digits say so far.
    Size {
        digits: u8,
        size: u64,
    },
    /// After the CR of a size.
    SizeEnd(u64),
    /// Bytes of the chunk that are still to come; its CR is next when there are none.
    Data(u64),
    /// After the CR that comes after a chunk.
    DataLf,
    /// In the lines after the last chunk.
    Trailer,
    /// After the CR of such a line.
    TrailerLf,
    End,
    /// Nothing can be said of what comes after bytes that were refused.
    Bad(BadBody),
}

#[derive(Clone, Debug, Default)]
struct Trailers {
    /// The line that is being read.
    line: Vec<u8>,
    bytes: usize,
    count: usize,
}

const SIZE: State = State::Size { digits: 0, size: 0 };

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None => State::End,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => SIZE,
        };
        Self {
            state,
            trailers: Trailers::default(),
        }
    }

    /// The next piece, and how many of the bytes it took: call again with the rest, until it says
    /// [`Piece::More`] or [`Piece::End`]. An error comes again with every call after it.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Piece<'a>), BadBody> {
        let decoded = self.advance(bytes);
        if let Err(bad) = decoded {
            self.state = State::Bad(bad);
        }
        decoded
    }

    /// Whether the body is complete. When the client stops before, the request is to be given up.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::End | State::Length(0))
    }

    /// Trailers that were left out.
    pub fn trailers(&self) -> usize {
        self.trailers.count
    }

    fn advance<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Piece<'a>), BadBody> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match &mut self.state {
                State::End | State::Length(0) => return Ok((at, Piece::End)),
                State::Bad(bad) => return Err(*bad),
                State::Length(left) | State::Data(left) if *left > 0 => {
                    let data = up_to(rest, *left);
                    if data.is_empty() {
                        return Ok((at, Piece::More));
                    }
                    *left = left.saturating_sub(data.len() as u64);
                    return Ok((at + data.len(), Piece::Data(data)));
                }
                State::Size { .. }
                | State::SizeEnd(_)
                | State::Length(_)
                | State::Data(_)
                | State::DataLf
                | State::Trailer
                | State::TrailerLf => {}
            }
            let Some(byte) = rest.first() else {
                return Ok((at, Piece::More));
            };
            self.step(*byte)?;
            at += 1;
        }
    }

    /// One byte of what stands around the chunks.
    fn step(&mut self, byte: u8) -> Result<(), BadBody> {
        self.state = match self.state {
            State::Size { digits, size } => match byte {
                b'\r' if digits > 0 => State::SizeEnd(size),
                b';' if digits > 0 => return Err(BadBody::Extension),
                b'\n' if digits > 0 => return Err(BadBody::LineEnd),
                _ if digits == MOST_DIGITS => return Err(BadBody::Size),
                _ => {
                    let digit = char::from(byte).to_digit(16).ok_or(BadBody::Size)?;
                    let size = size << 4 | u64::from(digit);
                    let digits = digits + 1;
                    State::Size { digits, size }
                }
            },
            State::SizeEnd(_) if byte != b'\n' => return Err(BadBody::LineEnd),
            State::SizeEnd(0) => State::Trailer,
            State::SizeEnd(size) if size > LONGEST_BODY => return Err(BadBody::TooLarge),
            State::SizeEnd(size) => State::Data(size),
            State::Data(_) => match byte {
                b'\r' => State::DataLf,
                _ => return Err(BadBody::ChunkEnd),
            },
            State::DataLf => match byte {
                b'\n' => SIZE,
                _ => return Err(BadBody::ChunkEnd),
            },
            State::Trailer => match byte {
                b'\r' => State::TrailerLf,
                b'\n' => return Err(BadBody::LineEnd),
                byte => {
                    self.trailers.push(byte)?;
                    State::Trailer
                }
            },
            State::TrailerLf if byte != b'\n' => return Err(BadBody::LineEnd),
            State::TrailerLf => {
                if self.trailers.end_line()? {
                    State::End
                } else {
                    State::Trailer
                }
            }
            State::Bad(bad) => return Err(bad),
            State::Length(_) | State::End => return Ok(()),
        };
        Ok(())
    }
}

impl Trailers {
    fn push(&mut self, byte: u8) -> Result<(), BadBody> {
        self.bytes += 1;
        if self.bytes > LONGEST_TRAILERS {
            return Err(BadBody::TooManyTrailers);
        }
        self.line.push(byte);
        Ok(())
    }

    /// Whether this was the empty line after the last one.
    fn end_line(&mut self) -> Result<bool, BadBody> {
        if self.line.is_empty() {
            return Ok(true);
        }
        self.count += 1;
        if self.count > MOST_TRAILERS {
            return Err(BadBody::TooManyTrailers);
        }
        let (name, value) = fields::line(&self.line).ok().ok_or(BadBody::Trailer)?;
        if http::HeaderValue::from_bytes(trim(value)).is_err() {
            return Err(BadBody::Trailer);
        }
        if fields::decides(&name) {
            return Err(BadBody::TrailerName);
        }
        self.line.clear();
        Ok(false)
    }
}

/// At most `count` of the bytes.
fn up_to(bytes: &[u8], count: u64) -> &[u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    bytes.get(..count).unwrap_or(bytes)
}

/// What comes after the bytes of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// What comes after all chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What comes before the bytes of a chunk. Nothing for an empty one, which would end the body:
/// then [`CHUNK_END`] must not come either, so prefer [`chunk`] unless the bytes are not to be
/// copied.
pub fn chunk_start(length: usize, out: &mut Vec<u8>) {
    if length > 0 {
        // Writing to a vector cannot fail.
        write!(out, "{length:x}\r\n").unwrap_or_default();
    }
}

/// A chunk with these bytes; nothing when there are none.
pub fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    chunk_start(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}
