//! What a head that passes says.

use http::{HeaderMap, Version};

use crate::proxy::http1::{
    Authority, BadBody, Decoder, Framing, Head, Piece, Progress, Target, read,
};

fn head(bytes: &[u8]) -> Head {
    match read(bytes) {
        Ok(Progress::Head { head, length }) if length == bytes.len() => head,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A request of HTTP/1.1 with these fields, one a line.
fn with(method: &str, fields: &[&str]) -> Head {
    let fields: String = fields.iter().flat_map(|field| [*field, "\r\n"]).collect();
    head(format!("{method} / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes())
}

fn lines(map: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (_, &http::HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    map.iter().map(line).collect()
}

#[test]
fn a_target_says_what_is_asked_for_and_from_whom() {
    let origin = |path: &'static str| Target::Origin(path.parse().unwrap());
    let absolute = |path: &'static str| Target::Absolute(path.parse().unwrap());
    for (line, fields, target, host, port) in [
        (
            "GET /a?b HTTP/1.1",
            "Host: A.example:81",
            origin("/a?b"),
            "A.example",
            Some(81),
        ),
        ("GET / HTTP/1.0", "Host: [::1]", origin("/"), "[::1]", None),
        (
            "GET http://A.example:81/a?b HTTP/1.1",
            "Host: a.example:81",
            absolute("/a?b"),
            "A.example",
            Some(81),
        ),
        (
            "GET http://a.example HTTP/1.0",
            "X: 1",
            absolute("/"),
            "a.example",
            None,
        ),
        (
            "OPTIONS http://a.example HTTP/1.1",
            "Host: a.example:80",
            absolute("*"),
            "a.example",
            None,
        ),
        (
            "OPTIONS http://a.example/ HTTP/1.1",
            "Host: a.example",
            absolute("/"),
            "a.example",
            None,
        ),
        (
            "OPTIONS * HTTP/1.1",
            "Host: a.example",
            Target::Asterisk,
            "a.example",
            None,
        ),
        (
            "CONNECT a.example:443 HTTP/1.1",
            "Host: a.example",
            Target::Authority,
            "a.example",
            Some(443),
        ),
        (
            "CONNECT [::1]:443 HTTP/1.0",
            "X: 1",
            Target::Authority,
            "[::1]",
            Some(443),
        ),
    ] {
        let head = head(format!("{line}\r\n{fields}\r\n\r\n").as_bytes());
        assert_eq!(head.target, target, "{line}");
        assert_eq!(
            (head.authority.host(), head.authority.port()),
            (host, port),
            "{line}"
        );
        let version = if line.ends_with('1') {
            Version::HTTP_11
        } else {
            Version::HTTP_10
        };
        assert_eq!(head.version, version, "{line}");
    }
    let path = |text: &str| {
        head(text.as_bytes())
            .target
            .path()
            .map(|path| path.to_string())
    };
    assert_eq!(
        path("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(),
        Some("*")
    );
    assert_eq!(
        path("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(),
        Some("/b")
    );
    assert_eq!(path("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), None);
}

#[test]
fn a_port_has_one_notation() {
    let parse = |text: &str| Authority::parse(text.as_bytes()).map(|it| it.to_string());
    for text in [
        "a",
        "a:1",
        "a:65535",
        "1.2.3.4:80",
        "[2001:db8::1]:80",
        "[::ffff:1.2.3.4]",
        "a.",
    ] {
        assert_eq!(parse(text).as_deref(), Some(text));
    }
    for text in [
        "", ":", "a:", "a:0", "a:00", "a:01", "a:65536", "a:1 ", "a: 1", "[]", "[::1", "[::1]1",
        "[::1]:", "a~b", "a,b", "a b", "a\u{fc}",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn what_goes_on_is_of_the_message() {
    let head = with(
        "POST",
        &[
            "Connection: keep-alive, x-hop",
            "Connection: X-Other",
            "X-Hop: 1",
            "x-other: 2",
            "Accept: a",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eDp5",
            "Proxy-Authentication-Info: x",
            "Proxy-Authenticate: Basic",
            "TE: trailers",
            "Trailer: X-Sum",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABk",
            "Expect: 100-continue",
            "Content-Length: 7",
            "Cookie: b",
            "accept: c",
            "Via: 1.1 somebody",
        ],
    );
    assert_eq!(
        lines(&head.forward()),
        [
            "host: a.example",
            "accept: a",
            "accept: c",
            "cookie: b",
            "via: 1.1 somebody",
            "content-length: 7",
        ]
    );
    // What the client sent is there to be judged, all of it.
    assert_eq!(head.fields.len(), 20);
    let chunked = with("GET", &["Transfer-Encoding: chunked", "X: \t1 "]);
    assert_eq!(
        lines(&chunked.forward()),
        ["host: a.example", "x: 1", "transfer-encoding: chunked"]
    );
    assert_eq!(lines(&with("POST", &[]).forward()), ["host: a.example"]);
}

#[test]
fn credentials_do_not_show() {
    let fields = [
        "Authorization: s3cret",
        "Cookie: s3cret",
        "Proxy-Authorization: s3cret",
    ];
    let head = with("GET", &fields);
    assert!(!format!("{head:?}{:?}", head.forward()).contains("s3cret"));
    assert_eq!(head.forward().get("cookie").unwrap(), "s3cret");
}

#[test]
fn host_is_what_was_judged() {
    let forward = |text: &str| lines(&head(text.as_bytes()).forward());
    let one = forward("GET http://a.example:80/ HTTP/1.1\r\nHost: A.EXAMPLE\r\n\r\n");
    assert_eq!(one, ["host: a.example:80"]);
    let other = forward("GET http://a.example/ HTTP/1.0\r\n\r\n");
    assert_eq!(other, ["host: a.example"]);
}

#[test]
fn a_websocket_goes_on_and_no_other_upgrade_does() {
    let key = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==";
    let version = "Sec-WebSocket-Version: 13";
    let head = with(
        "GET",
        &[
            "Connection: Upgrade",
            "Upgrade: WebSocket",
            key,
            version,
            "Sec-WebSocket-Protocol: x",
        ],
    );
    assert_eq!(
        head.websocket.as_ref().unwrap().key,
        "MDEyMzQ1Njc4OWFiY2RlZg=="
    );
    assert_eq!(
        lines(&head.forward()),
        [
            "host: a.example",
            "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==",
            "sec-websocket-version: 13",
            "sec-websocket-protocol: x",
            "connection: Upgrade",
            "upgrade: websocket",
        ]
    );
    for upgrade in [
        &["Upgrade: websocket", key, version][..],
        &["Connection: Upgrade", "Upgrade: h2c", key, version],
        &["Connection: Upgrade", key, version],
        &["Connection: Upgrade", "Upgrade: websocket/13", key, version],
    ] {
        let head = with("GET", upgrade);
        assert_eq!(head.websocket, None, "{upgrade:?}");
        let forward = head.forward();
        assert!(!forward.contains_key("upgrade") && !forward.contains_key("connection"));
    }
}

#[test]
fn a_client_that_waits_is_known() {
    let expect = "Expect: 100-Continue";
    assert!(with("POST", &[expect, "Content-Length: 1"]).expects_continue);
    assert!(with("POST", &[expect, "Transfer-Encoding: chunked"]).expects_continue);
    assert!(!with("POST", &[expect, "Content-Length: 0"]).expects_continue);
    assert!(!with("POST", &[expect]).expects_continue);
    assert!(!with("POST", &["Content-Length: 1"]).expects_continue);
    let old = b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert!(!head(old).expects_continue);
}

#[test]
fn a_connection_lives_on_when_both_versions_say_so() {
    for (version, connection, expected) in [
        ("1.1", "x", true),
        ("1.1", "keep-alive", true),
        ("1.1", "Close", false),
        ("1.1", "close, keep-alive", false),
        ("1.1", "keep-alive\r\nConnection: close", false),
        ("1.0", "x", false),
        ("1.0", "Keep-Alive", true),
        ("1.0", "keep-alive, close", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        assert_eq!(head(text.as_bytes()).keeps_alive, expected, "{text}");
    }
}

#[test]
fn a_decoder_says_how_it_stands() {
    let mut decoder = Decoder::new(Framing::Length(3));
    assert_eq!(decoder.decode(b""), Ok((0, Piece::More)));
    assert_eq!(decoder.decode(b"ab"), Ok((2, Piece::Data(b"ab"))));
    assert!(!decoder.is_complete());
    assert_eq!(decoder.decode(b"cd"), Ok((1, Piece::Data(b"c"))));
    assert!(decoder.is_complete());
    assert_eq!(decoder.decode(b"d"), Ok((0, Piece::End)));

    let mut decoder = Decoder::new(Framing::Chunked);
    assert_eq!(decoder.decode(b"2\r\nab\r\n"), Ok((5, Piece::Data(b"ab"))));
    assert_eq!(
        decoder.decode(b"\r\n0\r\nX: 1\r\nY: 2\r\n"),
        Ok((17, Piece::More))
    );
    assert!(!decoder.is_complete());
    assert_eq!(decoder.decode(b"\r\nGET"), Ok((2, Piece::End)));
    assert_eq!((decoder.is_complete(), decoder.trailers()), (true, 2));

    let mut decoder = Decoder::new(Framing::Chunked);
    assert_eq!(decoder.decode(b"x"), Err(BadBody::Size));
    assert_eq!(
        decoder.decode(b"0\r\n\r\n"),
        Err(BadBody::Size),
        "it stays refused"
    );
    assert_eq!(decoder.decode(b""), Err(BadBody::Size));
    assert!(!decoder.is_complete());
    assert!(Decoder::new(Framing::None).is_complete());
}

#[test]
fn names_are_tokens_and_values_are_text() {
    for byte in 0..=255_u8 {
        let read = |before: &[u8], after: &[u8]| {
            read(&[b"GET / HTTP/1.1\r\nHost: a\r\n", before, &[byte], after].concat())
        };
        let is_head = |read: Result<Progress, _>| matches!(read, Ok(Progress::Head { .. }));
        // RFC 9110, section 5.6.2.
        let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let got = is_head(read(b"a", b"z: 1\r\n\r\n"));
        // A colon ends the name, and what follows is its value.
        assert_eq!(got, is_token || byte == b':', "name with {byte}");
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(
            is_head(read(b"X: a", b"z\r\n\r\n")),
            is_text,
            "value with {byte}"
        );
    }
}
