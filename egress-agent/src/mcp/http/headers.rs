//! Headers: who may call, what a request says of itself, and what is passed on. Pure.

use data_encoding::BASE64;
use hyper::{
    HeaderMap, StatusCode, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
        EXPECT, HOST, HeaderName, HeaderValue, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use serde_json::Value;
use url::Url;

use crate::mcp::{
    gate::Block,
    message::{INVALID_REQUEST, Id, Invalid, Kind, LONGEST, Message},
    revision::Revision,
};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const PARAM: &str = "mcp-param-";
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Bytes of the id of a session.
const LONGEST_SESSION: usize = 1024;
/// `HeaderMismatch` of revision 2026-07-28.
const MISMATCH: i64 = -32020;

/// Of one connection, and not of the message (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Why a request is not even read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Host,
    Origin,
    NotJson,
    Encoded,
    TooLong,
    TooSlow,
    Busy,
    Broken,
    Empty,
    Revision(String),
    /// A header says something else than the message.
    Mismatch(Option<Id>, &'static str),
}

impl Refused {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::NotJson | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken | Self::Empty | Self::Revision(_) | Self::Mismatch(..) => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    pub(super) const fn number(&self) -> i64 {
        match self {
            Self::Mismatch(..) => MISMATCH,
            Self::Host
            | Self::Origin
            | Self::NotJson
            | Self::Encoded
            | Self::TooLong
            | Self::TooSlow
            | Self::Busy
            | Self::Broken
            | Self::Empty
            | Self::Revision(_) => INVALID_REQUEST,
        }
    }

    pub(super) const fn id(&self) -> Option<&Id> {
        match self {
            Self::Mismatch(id, _) => id.as_ref(),
            Self::Host
            | Self::Origin
            | Self::NotJson
            | Self::Encoded
            | Self::TooLong
            | Self::TooSlow
            | Self::Busy
            | Self::Broken
            | Self::Empty
            | Self::Revision(_) => None,
        }
    }

    pub(super) fn block(&self) -> Block {
        match self {
            Self::Host => Block::new(
                "foreign-host",
                "the request is for another host than this one",
                "call the guard as `localhost`",
            ),
            Self::Origin => Block::new(
                "foreign-origin",
                "the request comes from a page of another place",
                "call the guard from this machine",
            ),
            Self::NotJson => Block::new(
                "not-json",
                "the body is not `application/json`",
                "send one JSON-RPC message with that type",
            ),
            Self::Encoded => Block::new(
                "encoded",
                "the body is encoded and cannot be read",
                "send it without `Content-Encoding`",
            ),
            Self::TooLong => {
                let invalid = Invalid::TooLong;
                Block::new(invalid.code(), invalid.to_string(), invalid.hint())
            }
            Self::TooSlow => Block::new(
                "too-slow",
                "the request did not come in time",
                "send it again",
            ),
            Self::Busy => Block::new(
                "busy",
                "the guard holds too many messages",
                "send it again later",
            ),
            Self::Broken => Block::new("broken", "the request broke off", "send it again"),
            Self::Empty => Block::new("empty", "the body is empty", "send one JSON-RPC message"),
            Self::Revision(text) => Block::new(
                "unknown-revision",
                format!("the guard does not know the revision `{text}` of MCP"),
                "use a revision that it knows, or a newer egressd",
            ),
            Self::Mismatch(_, header) => Block::new(
                "header-mismatch",
                format!("the header `{header}` says something else than the message"),
                "let both say the same",
            ),
        }
    }
}

/// Whether this request may come: for a host that is this one, and not from a foreign page.
pub(super) fn check(
    headers: &HeaderMap,
    uri: &Uri,
    names: Option<&[String]>,
) -> Result<(), Refused> {
    let Some(names) = names else {
        return Ok(());
    };
    let is_own = |authority: &str| {
        let host = host(authority);
        names.iter().any(|name| name.eq_ignore_ascii_case(host))
    };
    let mut hosts = headers.get_all(HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok());
    let is_absent = uri
        .authority()
        .is_none_or(|authority| is_own(authority.as_str()));
    if !named.is_some_and(is_own) || hosts.next().is_some() || !is_absent {
        return Err(Refused::Host);
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        if !authority.is_some_and(is_own) {
            return Err(Refused::Origin);
        }
    }
    Ok(())
}

/// The address that a client has called.
pub(super) fn called(headers: &HeaderMap, uri: &Uri) -> Option<Url> {
    at(headers, Some(uri.path()))
}

/// The address of the guard with this path, as the client knows the guard.
pub(super) fn at(headers: &HeaderMap, path: Option<&str>) -> Option<Url> {
    let host = headers.get(HOST)?.to_str().ok()?;
    Url::parse(&format!("http://{host}{}", path?)).ok()
}

/// A host without its port; all of it when what follows is no port.
fn host(authority: &str) -> &str {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|end| end + 2),
        None => authority.find(':'),
    };
    let parts = end.and_then(|end| authority.split_at_checked(end));
    match parts {
        Some((host, port)) if is_port(port) => host,
        Some(_) | None => authority,
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a body can be a message.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Refused> {
    if !is_type(headers, "application/json") {
        return Err(Refused::NotJson);
    }
    if is_encoded(headers) {
        return Err(Refused::Encoded);
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > LONGEST) {
        return Err(Refused::TooLong);
    }
    Ok(())
}

/// Whether the body has this type; parameters such as `charset` aside.
pub(super) fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let first = types.next().and_then(|value| value.to_str().ok());
    let first = first.and_then(|value| value.split(';').next());
    first.is_some_and(|value| value.trim().eq_ignore_ascii_case(expected)) && types.next().is_none()
}

pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What headers of revision 2026-07-28 repeat must be what the message says: somebody on the way
/// may go by them.
pub(super) fn check_mirrors(headers: &HeaderMap, message: &Message) -> Result<(), Refused> {
    let (Kind::Request { method, .. } | Kind::Notification { method }) = &message.kind else {
        return Ok(());
    };
    let id = || match &message.kind {
        Kind::Request { id, .. } => Some(id.clone()),
        Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. } => None,
    };
    let params = message.params();
    let name = params.get("name").or_else(|| params.get("uri"));
    for (header, word, expected) in [
        (METHOD, "Mcp-Method", Some(method.as_str())),
        (NAME, "Mcp-Name", name.and_then(Value::as_str)),
    ] {
        for value in headers.get_all(header) {
            let said = value.to_str().ok().and_then(decoded);
            if said.as_deref() != expected {
                return Err(Refused::Mismatch(id(), word));
            }
        }
    }
    Ok(())
}

/// The texts of arguments that headers repeat.
pub(super) fn mirrored(headers: &HeaderMap) -> Vec<String> {
    let params = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(PARAM));
    params
        .map(|(_, value)| {
            let raw = String::from_utf8_lossy(value.as_bytes());
            decoded(&raw).unwrap_or_else(|| raw.into_owned())
        })
        .collect()
}

/// `=?base64?...?=` is how a value is written that is no plain header.
fn decoded(value: &str) -> Option<String> {
    let coded = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match coded {
        None => Some(value.to_owned()),
        Some(coded) => String::from_utf8(BASE64.decode(coded.as_bytes()).ok()?).ok(),
    }
}

/// The revision that the request says.
pub(super) fn revision(headers: &HeaderMap) -> Result<Option<Revision>, Refused> {
    let mut values = headers.get_all(REVISION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    match (Revision::parse(text), values.next()) {
        (Some(revision), None) => Ok(Some(revision)),
        (Some(_) | None, _) => Err(Refused::Revision(text.chars().take(32).collect())),
    }
}

/// The id of the session, of visible letters.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(SESSION)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= LONGEST_SESSION).then(|| id.to_owned())
}

/// Whether a header says what only the guard knows: nobody gives it to the guard.
pub(super) fn is_own(name: &HeaderName) -> bool {
    let of_body = [
        HOST,
        ACCEPT,
        ACCEPT_ENCODING,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        EXPECT,
        LAST_EVENT,
    ];
    name.as_str().starts_with("mcp-") || of_body.contains(name) || HOP_BY_HOP.contains(name)
}

/// What the server gets of a client's headers.
pub(super) fn onwards(headers: &HeaderMap) -> HeaderMap {
    let mut onwards = without_hops(headers);
    for name in [HOST, CONTENT_LENGTH, ACCEPT_ENCODING, EXPECT, ORIGIN] {
        onwards.remove(name);
    }
    // What is compressed cannot be read.
    onwards.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    onwards
}

/// What an answer of our own to the server needs.
pub(super) fn of_message(onwards: &HeaderMap) -> HeaderMap {
    let mut headers = onwards.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(ACCEPT, accept);
    for name in [METHOD, NAME, LAST_EVENT] {
        headers.remove(name);
    }
    headers
}

/// What the client gets of a server's headers.
pub(super) fn back(headers: &HeaderMap) -> HeaderMap {
    let mut back = without_hops(headers);
    back.remove(CONTENT_LENGTH);
    back.remove(CONTENT_ENCODING);
    back
}

fn without_hops(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    let named = headers.get_all(CONNECTION).iter();
    let named = named.filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|value| value.split(',')) {
        kept.remove(name.trim());
    }
    for name in HOP_BY_HOP {
        kept.remove(name);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::message::{Framing, Incoming, read};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn only_this_machine_may_call_and_no_foreign_page() {
        let names = [
            "localhost".to_owned(),
            "[::1]".to_owned(),
            "127.0.0.1".to_owned(),
        ];
        let check = |list: &[(&'static str, &str)]| {
            check(&headers(list), &"/mcp".parse().unwrap(), Some(&names))
        };
        assert_eq!(check(&[("host", "localhost:80")]), Ok(()));
        assert_eq!(check(&[("host", "[::1]:80")]), Ok(()));
        assert_eq!(
            check(&[("host", "LOCALHOST"), ("origin", "http://127.0.0.1:9")]),
            Ok(())
        );
        for host in [
            "evil.test",
            "localhost.evil.test:80",
            "[::1].evil",
            "evil.test:80@localhost",
            "localhost:80@evil.test",
            "",
        ] {
            assert_eq!(check(&[("host", host)]), Err(Refused::Host), "{host}");
        }
        assert_eq!(check(&[]), Err(Refused::Host));
        for origin in [
            "http://evil.test",
            "null",
            "file://localhost",
            "http://localhost.evil.test",
        ] {
            let found = check(&[("host", "localhost"), ("origin", origin)]);
            assert_eq!(found, Err(Refused::Origin), "{origin}");
        }
    }

    #[test]
    fn a_body_is_plain_json() {
        let check = |list: &[(&'static str, &str)]| check_body(&headers(list));
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(check(&[json]), Ok(()));
        assert_eq!(
            check(&[("content-type", "text/plain")]),
            Err(Refused::NotJson)
        );
        assert_eq!(check(&[]), Err(Refused::NotJson));
        assert_eq!(
            check(&[json, ("content-encoding", "gzip")]),
            Err(Refused::Encoded)
        );
        let long = (LONGEST + 1).to_string();
        assert_eq!(
            check(&[json, ("content-length", &long)]),
            Err(Refused::TooLong)
        );
    }

    #[test]
    fn headers_that_repeat_the_message_must_say_the_same() {
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u00e4"}}"#;
        let Ok(Incoming::One(message)) = read(text, Framing::Body) else {
            panic!("no message");
        };
        let check = |list: &[(&'static str, &str)]| check_mirrors(&headers(list), &message);
        let coded = format!("=?base64?{}?=", BASE64.encode("\u{e4}".as_bytes()));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(
            check(&[("mcp-method", "tools/call"), ("mcp-name", &coded)]),
            Ok(())
        );
        for wrong in [
            ("mcp-method", "ping"),
            ("mcp-name", "a"),
            ("mcp-name", "=?base64?!?="),
        ] {
            assert!(
                matches!(check(&[wrong]), Err(Refused::Mismatch(Some(_), _))),
                "{wrong:?}"
            );
        }
        let both = [("mcp-method", "tools/call"), ("mcp-method", "ping")];
        let mut twice = HeaderMap::new();
        for (name, value) in both {
            twice.append(name, HeaderValue::from_static(value));
        }
        assert!(check_mirrors(&twice, &message).is_err());
        let params = headers(&[
            ("mcp-param-a", &coded),
            ("mcp-param-b", "plain"),
            ("x", "y"),
        ]);
        assert_eq!(mirrored(&params), ["\u{e4}", "plain"]);
    }

    #[test]
    fn what_belongs_to_one_connection_is_not_passed_on() {
        let sent = headers(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("host", "localhost"),
            ("accept-encoding", "gzip"),
            ("authorization", "Bearer x"),
            ("mcp-session-id", "s"),
            ("last-event-id", "7"),
        ]);
        let mut names: Vec<_> = onwards(&sent)
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "accept-encoding",
                "authorization",
                "last-event-id",
                "mcp-session-id"
            ]
        );
        assert_eq!(onwards(&sent)["accept-encoding"], "identity");
        assert!(!of_message(&onwards(&sent)).contains_key("last-event-id"));
    }

    #[test]
    fn a_revision_is_one_that_is_known() {
        let found = |list: &[(&'static str, &str)]| revision(&headers(list));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(
            found(&[("mcp-protocol-version", "2025-06-18")]),
            Ok(Some(Revision::V2025_06_18))
        );
        assert!(found(&[("mcp-protocol-version", "2031-01-01")]).is_err());
    }
}
