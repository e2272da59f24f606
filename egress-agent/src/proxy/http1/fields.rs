//! Fields of a head: what they say of the body and of the connection, and which of them go on.

use std::collections::HashSet;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use memchr::memchr;

use super::{error::BadRequest, head::Head};

/// Options in `Connection`.
pub const MOST_OPTIONS: usize = 16;
/// Bytes of a body: what every counter of a file or a stream holds.
pub const LONGEST_BODY: u64 = i64::MAX.unsigned_abs();

/// Where the body of a request ends (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, and no field that says so.
    None,
    /// Bytes: 0 to [`LONGEST_BODY`].
    Length(u64),
    Chunked,
}

/// A proper request for a WebSocket (RFC 6455, section 4.2.1), version 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// 16 bytes in base 64, for who checks `Sec-WebSocket-Accept`.
    pub key: HeaderValue,
}

/// What `Connection` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// The fields, and those that may stand only once, raw.
pub(super) struct Seen<'a> {
    pub(super) map: HeaderMap,
    /// Without white space around it.
    pub(super) host: Option<&'a [u8]>,
    /// What stands after the colon, white space included.
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
}

/// `count` lines of `head`, from `start`.
pub(super) fn read(head: &Bytes, start: usize, count: usize) -> Result<Seen<'_>, BadRequest> {
    let mut seen = Seen {
        map: HeaderMap::with_capacity(count),
        host: None,
        content_length: None,
        transfer_encoding: None,
    };
    let mut rest = head.get(start..).unwrap_or_default();
    for _ in 0..count {
        let end = memchr(b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(2..).unwrap_or_default();
        let (name, raw) = self::line(line)?;
        let value = trim(raw);
        match name {
            HOST if seen.host.replace(value).is_some() => return Err(BadRequest::HostTwice),
            CONTENT_LENGTH if seen.content_length.replace(raw).is_some() => {
                return Err(BadRequest::LengthTwice);
            }
            TRANSFER_ENCODING if seen.transfer_encoding.replace(raw).is_some() => {
                return Err(BadRequest::LengthTwice);
            }
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value));
        let mut value = value.ok().ok_or(BadRequest::FieldValue)?;
        value.set_sensitive(matches!(name, AUTHORIZATION | COOKIE | PROXY_AUTHORIZATION));
        seen.map.append(name, value);
    }
    Ok(seen)
}

/// A name, and what stands after its colon. Of a head as of trailers.
pub(super) fn line(line: &[u8]) -> Result<(HeaderName, &[u8]), BadRequest> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(BadRequest::Folded);
    }
    let colon = memchr(b':', line).ok_or(BadRequest::FieldName)?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    // CGI and WSGI know no difference between `_` and `-`.
    let is_alike = |field: HeaderName| {
        let other = name.iter().map(|byte| match byte {
            b'_' => b'-',
            byte => byte.to_ascii_lowercase(),
        });
        other.eq(field.as_str().bytes())
    };
    if memchr(b'_', name).is_some() && (is_alike(CONTENT_LENGTH) || is_alike(TRANSFER_ENCODING)) {
        return Err(BadRequest::LookAlike);
    }
    let name = HeaderName::from_bytes(name).ok();
    let name = name.ok_or(BadRequest::FieldName)?;
    Ok((name, value.get(1..).unwrap_or_default()))
}

/// Without the optional white space around a value: spaces and tabs, and nothing else.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

impl Seen<'_> {
    /// One field at most, in one notation: where readers differ, nothing is read.
    pub(super) fn framing(&self, method: &Method, is_10: bool) -> Result<Framing, BadRequest> {
        let framing = match (self.content_length, self.transfer_encoding) {
            (None, None) => return Ok(Framing::None),
            (Some(_), Some(_)) => return Err(BadRequest::TwoLengths),
            (None, Some(_)) if is_10 => return Err(BadRequest::TransferCodingIn10),
            (None, Some(coding)) => match coding.strip_prefix(b" ").unwrap_or(coding) {
                b"chunked" => Framing::Chunked,
                _ => return Err(BadRequest::TransferCoding),
            },
            (Some(length), None) => Framing::Length(content_length(length)?),
        };
        if *method == Method::CONNECT || *method == Method::TRACE {
            Err(BadRequest::BodyNotAllowed)
        } else {
            Ok(framing)
        }
    }
}

/// Digits without a leading zero, after at most one space.
pub(super) fn content_length(raw: &[u8]) -> Result<u64, BadRequest> {
    let digits = raw.strip_prefix(b" ").unwrap_or(raw);
    let is_plain = match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_plain {
        return Err(BadRequest::ContentLength);
    }
    let length = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    length
        .filter(|length| *length <= LONGEST_BODY)
        .ok_or(BadRequest::BodyTooLong)
}

/// Fields without which the server reads another message than the one that was judged.
const KEPT: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
];

/// Whether a message would be read otherwise with this field: it is none for a trailer (RFC 9110,
/// section 6.5.1).
pub(super) fn decides(name: &HeaderName) -> bool {
    KEPT.contains(name) || is_of_connection(name)
}

/// What the client says of this connection. Names of fields in it are looked at here, and obeyed
/// in [`forward`].
pub(super) fn connection(map: &HeaderMap) -> Result<Connection, BadRequest> {
    let mut connection = Connection::default();
    for (count, option) in options(map).enumerate() {
        let option = option.filter(|_| count < MOST_OPTIONS);
        let option = option.ok_or(BadRequest::Connection)?;
        match option.as_str() {
            "close" => connection.close = true,
            "keep-alive" => connection.keep_alive = true,
            "upgrade" => connection.upgrade = true,
            _ if KEPT.contains(&option) => return Err(BadRequest::ConnectionNames),
            _ => {}
        }
    }
    Ok(connection)
}

/// The options of `Connection`, lower case; `None` for one that is no token.
fn options(map: &HeaderMap) -> impl Iterator<Item = Option<HeaderName>> {
    let elements = map.get_all(CONNECTION).into_iter().flat_map(elements);
    elements.map(|option| HeaderName::from_bytes(option).ok())
}

/// Elements of a list; empty ones are none (RFC 9110, section 5.6.1).
fn elements(list: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = list.as_bytes().split(|byte| *byte == b',');
    elements.map(trim).filter(|element| !element.is_empty())
}

/// Whether the client waits before it sends its body. One of HTTP/1.0 does not (RFC 9110, section
/// 10.1.1), and one without a body has nothing to wait for.
pub(super) fn expects(map: &HeaderMap, framing: Framing, is_10: bool) -> Result<bool, BadRequest> {
    let mut values = map.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Ok(!is_10 && !matches!(framing, Framing::None | Framing::Length(0)))
        }
        _ => Err(BadRequest::Expectation),
    }
}

/// Asked when `Connection` asks for an upgrade. Any other protocol is as if nobody had asked: a
/// server need not switch (RFC 9110, section 7.8), and curl and Java ask for `h2c` by themselves.
/// A WebSocket is asked for properly or not at all.
pub(super) fn websocket(
    map: &HeaderMap,
    method: &Method,
    framing: Framing,
) -> Result<Option<WebSocket>, BadRequest> {
    let protocols = || map.get_all(UPGRADE).into_iter().flat_map(elements);
    if !protocols().any(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
        return Ok(None);
    }
    let has_body = framing != Framing::None;
    if protocols().count() > 1 || *method != Method::GET || has_body {
        return Err(BadRequest::WebSocket);
    }
    let version = only(map, &SEC_WEBSOCKET_VERSION).ok_or(BadRequest::WebSocket)?;
    if version.as_bytes() != b"13" {
        return Err(BadRequest::WebSocketVersion);
    }
    let is_key = |key: &&HeaderValue| {
        let nonce = BASE64.decode(key.as_bytes());
        nonce.is_ok_and(|nonce| nonce.len() == 16)
    };
    let key = only(map, &SEC_WEBSOCKET_KEY).filter(is_key);
    let key = key.ok_or(BadRequest::WebSocket)?.clone();
    Ok(Some(WebSocket { key }))
}

/// The value of a field that is there once.
pub(super) fn only<'a>(map: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = map.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// See [`Head::forward`].
pub(super) fn forward(head: &Head, host: &HeaderValue) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(head.fields.len() + 3);
    map.insert(HOST, host.clone());
    for (name, value) in of_message(&head.fields) {
        if *name != HOST && *name != EXPECT {
            map.append(name, value.clone());
        }
    }
    match head.framing {
        Framing::None => {}
        Framing::Length(length) => {
            map.insert(CONTENT_LENGTH, length.into());
        }
        Framing::Chunked => {
            map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    if head.websocket.is_some() {
        map.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        map.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    map
}

/// The fields that are of the message, of a request as of a response: neither of the connection
/// nor named by `Connection`, nor those of the framing, which each connection has its own of.
pub fn of_message(map: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named: HashSet<HeaderName> = options(map).flatten().collect();
    map.iter()
        .filter(move |(name, _)| !is_of_connection(name) && !named.contains(*name))
}

/// Of one connection (RFC 9110, section 7.6.1), or of the framing.
pub(super) fn is_of_connection(name: &HeaderName) -> bool {
    const OTHER: [&str; 4] = [
        "keep-alive",
        "proxy-connection",
        "proxy-authentication-info",
        "http2-settings",
    ];
    match *name {
        CONNECTION | CONTENT_LENGTH | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRAILER
        | TRANSFER_ENCODING | UPGRADE => true,
        _ => OTHER.contains(&name.as_str()),
    }
}
