//! The head of a request, from bytes that a client sent (RFC 9112, sections 2 to 5).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};
use memchr::{memchr, memchr3, memrchr};

use super::{
    error::BadRequest,
    fields::{self, Framing, WebSocket},
    target::{self, Authority, Target},
};

/// Bytes of a head, its last empty line included.
pub const LONGEST_HEAD: usize = 64 << 10;
/// Fields of a head.
pub const MOST_FIELDS: usize = 128;
/// Bytes of a request target.
pub const LONGEST_TARGET: usize = 16 << 10;
/// Bytes of a method.
pub const LONGEST_METHOD: usize = 32;

/// Bytes of a request line without its end.
const LONGEST_LINE: usize = LONGEST_METHOD + 1 + LONGEST_TARGET + VERSION.len() + 1;
const VERSION: &[u8] = b"HTTP/1.1";
const END: &[u8] = b"\r\n";

/// How far the bytes reach.
#[expect(
    clippy::large_enum_variant,
    reason = "one value for each request, and it is taken apart at once"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head is not complete, and nothing is wrong so far: try again with more.
    More,
    /// A head, and how many bytes it is: the body begins after them.
    Head { head: Head, length: usize },
}

/// A request without its body. Every question that readers could answer differently is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Upper case.
    pub method: Method,
    pub target: Target,
    /// Whom the request is for: what the target names, and `Host` agrees.
    pub authority: Authority,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All of them, as they came. What goes on is [`Head::forward`]. Credentials and cookies do not
    /// show in `Debug`.
    pub fields: HeaderMap,
    pub framing: Framing,
    /// The client waits for [`super::write::CONTINUE`] before it sends the body.
    pub expects_continue: bool,
    /// The client wants to send another request after this one.
    pub keeps_alive: bool,
    /// Present when the client asks for a WebSocket, and asks properly.
    pub websocket: Option<WebSocket>,
    /// The authority as a field.
    pub(super) host: HeaderValue,
}

impl Head {
    /// The fields for the server: those of the message, without those of the connection (RFC 9110,
    /// section 7.6.1), and without what a proxy answers itself (`Expect`).
    ///
    /// `Host` is the authority that was judged. The framing is written out, so that hyper's client
    /// sends a body with any method; whoever changes the body must change it. `Connection` and
    /// `Upgrade` are there for a WebSocket, and for nothing else.
    pub fn forward(&self) -> HeaderMap {
        fields::forward(self, &self.host)
    }
}

/// Reads one head from the start of the bytes.
///
/// What was refused stays refused with more bytes after it, for the same reason. Costs a look at
/// each byte while the head is not complete, so a caller may try with each read.
pub fn read(bytes: &[u8]) -> Result<Progress, BadRequest> {
    let Some(layout) = scan(bytes)? else {
        return Ok(Progress::More);
    };
    let Layout {
        line,
        fields,
        length,
    } = layout;
    let RequestLine {
        method,
        target,
        version,
    } = line;
    let is_10 = version == Version::HTTP_10;
    // One allocation: target and values share it.
    let whole = Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default());
    let target = whole.slice(target.start..target.end);
    let (target, named) = target::read(&method, target)?;
    let seen = fields::read(&whole, fields.start, fields.count)?;
    let authority = target::agree(&target, named, seen.host, is_10)?;
    let host = HeaderValue::try_from(authority.to_string());
    let host = host.ok().ok_or(BadRequest::Host)?;
    let framing = seen.framing(&method, is_10)?;
    let connection = fields::connection(&seen.map)?;
    let expects_continue = fields::expects(&seen.map, framing, is_10)?;
    let websocket = if connection.upgrade && !is_10 {
        fields::websocket(&seen.map, &method, framing)?
    } else {
        None
    };
    let head = Head {
        method,
        target,
        authority,
        version,
        fields: seen.map,
        framing,
        expects_continue,
        keeps_alive: !connection.close && (!is_10 || connection.keep_alive),
        websocket,
        host,
    };
    Ok(Progress::Head { head, length })
}

/// Where things stand in a complete head, all offsets from its start.
struct Layout {
    line: RequestLine,
    fields: Fields,
    length: usize,
}

struct RequestLine {
    method: Method,
    target: Span,
    version: Version,
}

struct Span {
    start: usize,
    end: usize,
}

struct Fields {
    start: usize,
    count: usize,
}

/// Finds the lines, and reads the first. What is refused here is refused as soon as it can be seen,
/// in the order of the bytes: a client that waits for an answer gets it.
fn scan(bytes: &[u8]) -> Result<Option<Layout>, BadRequest> {
    let bytes = bytes.get(..LONGEST_HEAD).unwrap_or(bytes);
    // One empty line may be left over from a body (RFC 9112, section 2.2).
    let begin = if bytes.starts_with(END) { END.len() } else { 0 };
    let window = bytes.get(begin..).unwrap_or_default();
    let window = window.get(..LONGEST_LINE + END.len()).unwrap_or(window);
    let Some(length) = line_length(window)? else {
        return if window.len() < LONGEST_LINE + END.len() {
            Ok(None)
        } else {
            Err(BadRequest::TargetTooLong)
        };
    };
    if length == 0 {
        return Err(BadRequest::EmptyLines);
    }
    let line = request_line(window.get(..length).unwrap_or_default(), begin)?;
    let start = begin + length + END.len();
    let (mut at, mut count) = (start, 0);
    loop {
        let Some(length) = line_length(bytes.get(at..).unwrap_or_default())? else {
            return if bytes.len() < LONGEST_HEAD {
                Ok(None)
            } else {
                Err(BadRequest::HeadTooLong)
            };
        };
        at += length + END.len();
        if length == 0 {
            break;
        }
        count += 1;
        if count > MOST_FIELDS {
            return Err(BadRequest::TooManyFields);
        }
    }
    Ok(Some(Layout {
        line,
        fields: Fields { start, count },
        length: at,
    }))
}

/// Bytes before the next CR LF; `None` when it is not there yet.
fn line_length(bytes: &[u8]) -> Result<Option<usize>, BadRequest> {
    let Some(at) = memchr3(b'\r', b'\n', 0, bytes) else {
        return Ok(None);
    };
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at)),
        (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(_)) => Err(BadRequest::BareCr),
        (Some(b'\n'), _) => Err(BadRequest::BareLf),
        _ => Err(BadRequest::Nul),
    }
}

/// Method, target and version with one space between them; `begin` is where the line stands.
fn request_line(line: &[u8], begin: usize) -> Result<RequestLine, BadRequest> {
    let first = memchr(b' ', line).ok_or(BadRequest::RequestLine)?;
    let last = memrchr(b' ', line).ok_or(BadRequest::RequestLine)?;
    let method = line.get(..first).unwrap_or_default();
    let target = line.get(first + 1..last).ok_or(BadRequest::RequestLine)?;
    let version = line.get(last + 1..).unwrap_or_default();
    if target.is_empty() || target.contains(&b' ') {
        return Err(BadRequest::RequestLine);
    }
    if target.len() > LONGEST_TARGET {
        return Err(BadRequest::TargetTooLong);
    }
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', rest @ ..] => {
            return match rest {
                [] | [b'.', b'0'..=b'9'] => Err(BadRequest::Version),
                _ => Err(BadRequest::RequestLine),
            };
        }
        _ => return Err(BadRequest::RequestLine),
    };
    // Servers exist that read `get` as GET; nobody sends it.
    if method.len() > LONGEST_METHOD || method.iter().any(u8::is_ascii_lowercase) {
        return Err(BadRequest::Method);
    }
    let method = Method::from_bytes(method).ok().ok_or(BadRequest::Method)?;
    Ok(RequestLine {
        method,
        target: Span {
            start: begin + first + 1,
            end: begin + last,
        },
        version,
    })
}
