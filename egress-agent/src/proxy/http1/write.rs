//! The head of a response, for the client that asked.
//!
//! How the body ends is decided here, by what the client can read, and never copied from the server.

use std::io::Write as _;

use http::{
    HeaderMap, HeaderName, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, PROXY_AUTHENTICATE, UPGRADE},
};
use memchr::memchr3;

use super::{
    error::BadResponse,
    fields::{content_length, of_message, only},
    head::Head,
};

/// For a client that waits with its body (see [`Head::expects_continue`]).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a response depends on of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    is_10: bool,
    is_head: bool,
    is_connect: bool,
    is_websocket: bool,
    keeps_alive: bool,
}

impl Asked {
    /// Of a request that could not be read: its connection ends.
    pub const UNREADABLE: Self = Self {
        is_10: false,
        is_head: false,
        is_connect: false,
        is_websocket: false,
        keeps_alive: false,
    };

    /// The same, on a connection that ends after the response: because the proxy stops, or because
    /// the body of the request was not read to its end.
    #[must_use]
    pub const fn at_last(self) -> Self {
        Self {
            keeps_alive: false,
            ..self
        }
    }
}

impl From<&Head> for Asked {
    fn from(head: &Head) -> Self {
        Self {
            is_10: head.version == Version::HTTP_10,
            is_head: head.method == Method::HEAD,
            is_connect: head.method == Method::CONNECT,
            is_websocket: head.websocket.is_some(),
            keeps_alive: head.keeps_alive,
        }
    }
}

/// Whose response this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing that it says of its own connection reaches the client.
    Server,
    /// May ask the client who it is (`Proxy-Authenticate`).
    Proxy,
}

/// A response without its body.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub status: StatusCode,
    pub fields: &'a HeaderMap,
    /// Bytes of the body, when they are known.
    pub length: Option<u64>,
    pub source: Source,
}

/// How the body must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Not at all, whatever the server sent.
    None,
    /// As it is; these bytes, no fewer and no more.
    Length(u64),
    /// As [`super::body::chunk`], and [`super::body::LAST_CHUNK`].
    Chunked,
    /// As it is; the end of the connection is its end. After a body that broke off the connection
    /// must be reset, so that it does not look complete.
    UntilClose,
}

/// What comes on the connection after the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The final response to the same request.
    Response,
    /// The next request.
    Request,
    /// Nothing.
    Close,
    /// Bytes of another protocol, both ways.
    Tunnel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub body: Body,
    pub then: Then,
}

impl Delivery {
    /// Whether the length is that of a body which is left out: never of an interim response, a
    /// tunnel or a 204, which could have none (RFC 9110, section 8.6).
    fn says_length(self, status: StatusCode, asked: Asked) -> bool {
        let is_final = matches!(self.then, Then::Request | Then::Close);
        let is_head = asked.is_head && status != StatusCode::NO_CONTENT;
        is_final && (is_head || status == StatusCode::NOT_MODIFIED)
    }
}

/// Appends the head; nothing when it cannot be written.
pub fn head(
    response: &Response<'_>,
    asked: Asked,
    out: &mut Vec<u8>,
) -> Result<Delivery, BadResponse> {
    let Response {
        status,
        fields,
        length: _,
        source,
    } = response;
    let delivery = delivery(response, asked)?;
    if fields.values().any(|value| splits(value.as_bytes())) {
        return Err(BadResponse::Split);
    }
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing to a vector cannot fail, here and below.
    write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_str()).unwrap_or_default();
    for (name, value) in of_message(fields) {
        field(name, value.as_bytes(), out);
    }
    if *source == Source::Proxy {
        for value in fields.get_all(PROXY_AUTHENTICATE) {
            field(&PROXY_AUTHENTICATE, value.as_bytes(), out);
        }
    }
    match delivery.body {
        Body::Length(length) => {
            write!(out, "content-length: {length}\r\n").unwrap_or_default();
        }
        Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Body::None if delivery.says_length(*status, asked) => {
            let length = only(fields, &CONTENT_LENGTH);
            if let Some(length) = length.filter(|length| content_length(length.as_bytes()).is_ok())
            {
                field(&CONTENT_LENGTH, length.as_bytes(), out);
            }
        }
        Body::None | Body::UntilClose => {}
    }
    out.extend_from_slice(match delivery.then {
        Then::Close => b"connection: close\r\n",
        Then::Request if asked.is_10 => b"connection: keep-alive\r\n",
        Then::Tunnel if *status == StatusCode::SWITCHING_PROTOCOLS => {
            b"connection: Upgrade\r\nupgrade: websocket\r\n"
        }
        Then::Request | Then::Tunnel | Then::Response => b"",
    });
    out.extend_from_slice(b"\r\n");
    Ok(delivery)
}

/// RFC 9112, section 6.3, from the other side.
fn delivery(response: &Response<'_>, asked: Asked) -> Result<Delivery, BadResponse> {
    let status = response.status;
    let none = |then| {
        Ok(Delivery {
            body: Body::None,
            then,
        })
    };
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let protocol = only(response.fields, &UPGRADE);
        let is_expected = asked.is_websocket
            && protocol.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
        return if is_expected {
            none(Then::Tunnel)
        } else {
            Err(BadResponse::Upgrade)
        };
    }
    if status.is_informational() {
        return if asked.is_10 {
            Err(BadResponse::Interim)
        } else {
            none(Then::Response)
        };
    }
    if asked.is_connect && status.is_success() {
        return none(Then::Tunnel);
    }
    let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match response.length {
        _ if has_none || asked.is_head => Body::None,
        Some(length) => Body::Length(length),
        None if asked.is_10 => Body::UntilClose,
        None => Body::Chunked,
    };
    let then = if asked.keeps_alive && body != Body::UntilClose {
        Then::Request
    } else {
        Then::Close
    };
    Ok(Delivery { body, then })
}

/// Whether what comes after the value could be taken for another field. A value is made without
/// such bytes, unless somebody made one unchecked.
pub(super) fn splits(value: &[u8]) -> bool {
    memchr3(b'\r', b'\n', 0, value).is_some()
}

fn field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
