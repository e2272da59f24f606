//! A request of HTTP/2, read by the same reader as one of HTTP/1: what the two of them take for a
//! path, a host or a field cannot differ.

use bytes::{BufMut as _, BytesMut};
use http::{
    Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING},
    request::Parts,
};

use super::{BadRequest, Head, Progress, head};

impl Head {
    /// The request as HTTP/1 would say it (RFC 9113, section 8.3): `:authority` and a `Host` beside
    /// it must agree, cookies are one field, and a body without a length is chunked.
    pub fn of_http2(parts: &Parts, has_body: bool) -> Result<Self, BadRequest> {
        let text = as_http1(parts, has_body)?;
        match head::read(&text)? {
            Progress::Head { head, length } if length == text.len() => Ok(Self {
                version: Version::HTTP_2,
                keeps_alive: true,
                expects_continue: false,
                websocket: None,
                ..head
            }),
            Progress::Head { .. } | Progress::More => Err(BadRequest::RequestLine),
        }
    }
}

fn as_http1(parts: &Parts, has_body: bool) -> Result<BytesMut, BadRequest> {
    let Parts {
        method,
        uri,
        headers,
        ..
    } = parts;
    let mut text = BytesMut::with_capacity(1024);
    text.put_slice(method.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(target(method, uri)?.as_bytes());
    text.put_slice(b" HTTP/1.1\r\nHost: ");
    let authority = uri.authority().map(|named| named.as_str().as_bytes());
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(http::HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(BadRequest::HostTwice);
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(BadRequest::HostMismatch);
        }
        (Some(one), _) | (None, Some(one)) => text.put_slice(one),
        (None, None) => return Err(BadRequest::HostMissing),
    }
    text.put_slice(b"\r\n");
    let mut put = |name: &str, value: &[u8]| {
        text.put_slice(name.as_bytes());
        text.put_slice(b": ");
        text.put_slice(value);
        text.put_slice(b"\r\n");
    };
    for (name, value) in headers {
        // `TE` may only say `trailers`, and is of the connection.
        if [HOST, COOKIE, TE].contains(name) {
            continue;
        }
        // Not to be sent (section 8.2.2).
        if [CONNECTION, TRANSFER_ENCODING].contains(name) {
            return Err(BadRequest::Connection);
        }
        put(name.as_str(), value.as_bytes());
    }
    let cookies: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    if !cookies.is_empty() {
        put("cookie", &cookies.join(&b"; "[..]));
    }
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        put("transfer-encoding", b"chunked");
    }
    text.put_slice(b"\r\n");
    Ok(text)
}

fn target<'a>(method: &Method, uri: &'a Uri) -> Result<&'a str, BadRequest> {
    if uri.scheme_str() != Some("https") {
        return Err(BadRequest::Scheme);
    }
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None | Some("") => Err(BadRequest::Target),
        Some("*") if *method != Method::OPTIONS => Err(BadRequest::Target),
        Some(path) => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::proxy::http1::Framing;

    #[track_caller]
    fn read(request: http::request::Builder, has_body: bool) -> Result<Head, BadRequest> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Head::of_http2(&parts, has_body)
    }

    fn get() -> http::request::Builder {
        Request::get("https://one.example/a?b=c")
    }

    #[test]
    fn a_request_is_what_it_would_be_in_http_1() {
        let request = get().header("cookie", "a=1").header("cookie", "b=2");
        let head = read(request.header("te", "trailers"), false).unwrap();
        assert_eq!(head.authority.host(), "one.example");
        assert_eq!(head.target.path().unwrap(), "/a?b=c");
        assert_eq!(head.framing, Framing::None);
        let sent = head.forward();
        assert_eq!(sent["cookie"], "a=1; b=2");
        assert_eq!(sent["host"], "one.example");
        assert!(!sent.contains_key("te"));
        assert_eq!(read(get(), true).unwrap().framing, Framing::Chunked);
        let known = read(get().header("content-length", "7"), true).unwrap();
        assert_eq!(known.framing, Framing::Length(7));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let twice = get()
            .header("host", "one.example")
            .header("host", "two.example");
        assert_eq!(read(twice, false), Err(BadRequest::HostTwice));
        let other = get().header("host", "two.example");
        assert_eq!(read(other, false), Err(BadRequest::HostMismatch));
        let nobody = Request::get("/a");
        assert_eq!(read(nobody, false), Err(BadRequest::Scheme));
        let plain = Request::get("http://one.example/");
        assert_eq!(read(plain, false), Err(BadRequest::Scheme));
        let named = Request::get("https://user@one.example/");
        assert!(read(named, false).is_err());
        let coded = get().header("transfer-encoding", "chunked");
        assert_eq!(read(coded, true), Err(BadRequest::Connection));
        let long = get().header("content-length", "+7");
        assert_eq!(read(long, true), Err(BadRequest::ContentLength));
    }
}
