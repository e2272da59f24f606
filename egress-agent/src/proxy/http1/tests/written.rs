//! Responses as they are written, and as a client reads them.

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use crate::proxy::http1::{
    BadResponse, Progress,
    body::{LAST_CHUNK, chunk, chunk_start},
    read,
    write::{Asked, Body, Delivery, Response, Source, Then, head, splits},
};

/// What a request with this first line and these fields asks for.
fn asked(line: &str, fields: &str) -> Asked {
    let text = format!("{line}\r\nHost: a:80\r\n{fields}\r\n");
    match read(text.as_bytes()) {
        Ok(Progress::Head { head, .. }) => Asked::from(&head),
        other => panic!("{text}: {other:?}"),
    }
}

fn get() -> Asked {
    asked("GET / HTTP/1.1", "")
}

fn old(fields: &str) -> Asked {
    asked("GET / HTTP/1.0", fields)
}

fn map(lines: &[&str]) -> HeaderMap {
    let pair = |line: &&str| {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in lines.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn written(
    status: u16,
    fields: &[&str],
    length: Option<u64>,
    asked: Asked,
) -> Result<(String, Delivery), BadResponse> {
    let mut out = b"before".to_vec();
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        fields: &map(fields),
        length,
        source: Source::Server,
    };
    let delivery = head(&response, asked, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap().to_owned();
    match delivery {
        Ok(delivery) => Ok((text, delivery)),
        Err(bad) => {
            assert_eq!(text, "");
            Err(bad)
        }
    }
}

#[test]
fn the_end_of_a_body_is_decided_by_who_asked() {
    use Body::{Chunked, Length, UntilClose};
    use Then::{Close, Request};
    let last = asked("GET / HTTP/1.1", "Connection: close\r\n");
    let keep = old("Connection: keep-alive\r\n");
    let lies = &["Content-Length: 9", "Transfer-Encoding: chunked"][..];
    for (asked, length, lines, body, then) in [
        (get(), Some(3), "content-length: 3\r\n", Length(3), Request),
        (get(), Some(0), "content-length: 0\r\n", Length(0), Request),
        (
            get(),
            None,
            "transfer-encoding: chunked\r\n",
            Chunked,
            Request,
        ),
        (
            last,
            Some(3),
            "content-length: 3\r\nconnection: close\r\n",
            Length(3),
            Close,
        ),
        (
            last,
            None,
            "transfer-encoding: chunked\r\nconnection: close\r\n",
            Chunked,
            Close,
        ),
        (
            get().at_last(),
            Some(3),
            "content-length: 3\r\nconnection: close\r\n",
            Length(3),
            Close,
        ),
        (
            old(""),
            Some(3),
            "content-length: 3\r\nconnection: close\r\n",
            Length(3),
            Close,
        ),
        (old(""), None, "connection: close\r\n", UntilClose, Close),
        (
            keep,
            Some(3),
            "content-length: 3\r\nconnection: keep-alive\r\n",
            Length(3),
            Request,
        ),
        (keep, None, "connection: close\r\n", UntilClose, Close),
        (
            Asked::UNREADABLE,
            Some(3),
            "content-length: 3\r\nconnection: close\r\n",
            Length(3),
            Close,
        ),
    ] {
        for fields in [&[][..], lies] {
            let expected = (
                format!("HTTP/1.1 200 OK\r\n{lines}\r\n"),
                Delivery { body, then },
            );
            assert_eq!(written(200, fields, length, asked), Ok(expected));
        }
    }
}

#[test]
fn some_responses_have_no_body() {
    let none = |then| Delivery {
        body: Body::None,
        then,
    };
    let of_head = asked("HEAD / HTTP/1.1", "");
    let connect = asked("CONNECT a:80 HTTP/1.1", "");
    let length = &["content-length: 7"][..];
    for (status, asked, fields, expected) in [
        (
            200,
            of_head,
            length,
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
        ),
        (200, of_head, &[][..], "HTTP/1.1 200 OK\r\n\r\n"),
        (
            200,
            of_head,
            &["transfer-encoding: chunked"],
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        (
            200,
            of_head,
            &["content-length: +7"],
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        (
            200,
            of_head,
            &["content-length: 7", "content-length: 7"],
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        (204, get(), length, "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            304,
            get(),
            length,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
        ),
    ] {
        for length in [None, Some(5)] {
            let expected = (expected.to_owned(), none(Then::Request));
            assert_eq!(written(status, fields, length, asked), Ok(expected));
        }
    }
    let tunnel = ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), none(Then::Tunnel));
    assert_eq!(written(200, length, Some(0), connect), Ok(tunnel.clone()));
    assert_eq!(written(200, length, None, connect.at_last()), Ok(tunnel));
    let denied = written(403, length, Some(2), connect).unwrap();
    assert_eq!(
        denied.0,
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n"
    );
    assert_eq!(
        denied.1,
        Delivery {
            body: Body::Length(2),
            then: Then::Request
        }
    );
    let empty = written(204, length, None, of_head);
    let text = "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
    assert_eq!(empty, Ok((text, none(Then::Request))));
    let hint = written(103, length, None, of_head);
    let text = "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned();
    assert_eq!(hint, Ok((text, none(Then::Response))));
    let last = written(304, length, None, get().at_last());
    let text = "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\nconnection: close\r\n\r\n";
    assert_eq!(last, Ok((text.to_owned(), none(Then::Close))));
    let hint = written(103, &["Link: </a>", "Content-Length: 3"], Some(0), get());
    let text = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_owned();
    assert_eq!(hint, Ok((text, none(Then::Response))));
    assert_eq!(written(103, &[], None, old("")), Err(BadResponse::Interim));
}

#[test]
fn protocols_are_switched_for_a_websocket_alone() {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n";
    let websocket = asked("GET / HTTP/1.1", fields);
    let answer = &[
        "Upgrade: WebSocket",
        "Connection: upgrade, x",
        "X: 1",
        "Sec-WebSocket-Accept: y",
    ];
    let (text, delivery) = written(101, answer, None, websocket).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: y\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    assert_eq!(
        delivery,
        Delivery {
            body: Body::None,
            then: Then::Tunnel
        }
    );
    for (asked, answer) in [
        (get(), &answer[..]),
        (websocket, &["Upgrade: h2c"]),
        (websocket, &["Upgrade: websocket", "Upgrade: h2c"]),
        (websocket, &[]),
    ] {
        assert_eq!(written(101, answer, None, asked), Err(BadResponse::Upgrade));
    }
}

#[test]
fn nothing_of_the_other_connection_comes_through() {
    let fields = map(&[
        "Connection: close, x-hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=1",
        "Proxy-Connection: close",
        "Proxy-Authenticate: Basic",
        "Trailer: X",
        "Upgrade: h2c",
        "Set-Cookie: a",
        "Server: s",
        "Set-Cookie: b",
    ]);
    for (source, own) in [
        (Source::Server, ""),
        (Source::Proxy, "proxy-authenticate: Basic\r\n"),
    ] {
        let response = Response {
            status: StatusCode::from_u16(299).unwrap(),
            fields: &fields,
            length: Some(1),
            source,
        };
        let mut out = Vec::new();
        head(&response, get(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "HTTP/1.1 299 \r\nset-cookie: a\r\nset-cookie: b\r\nserver: s\r\n{own}content-length: 1\r\n\r\n"
            )
        );
    }
}

#[test]
fn a_value_that_would_split_is_seen() {
    for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\0", "a\r"] {
        assert!(splits(value.as_bytes()), "{value:?}");
        assert!(HeaderValue::from_str(value).is_err());
    }
    assert!(!splits(b"a b\t\xfc"));
}

#[test]
fn an_empty_chunk_is_none() {
    let mut out = Vec::new();
    chunk(b"", &mut out);
    chunk_start(0, &mut out);
    assert_eq!(out, b"");
    chunk(&[b'a'; 26], &mut out);
    assert_eq!(out, b"1a\r\naaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
}

/// The body that a client of hyper reads, with status and fields.
fn by_hyper(method: &str, bytes: &[u8]) -> (StatusCode, HeaderMap, Bytes) {
    let run = async {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let client = TokioIo::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(client).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "a");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let write = async {
            // hyper takes no answer to what it has not sent.
            let mut sent = [0; 1024];
            tokio::io::AsyncReadExt::read(&mut server, &mut sent)
                .await
                .unwrap();
            server.write_all(bytes).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let (answer, ()) = tokio::join!(answer, write);
        let (parts, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        (parts.status, parts.headers, body)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_client_reads_what_was_written(
        data in prop::collection::vec(any::<u8>(), 0..300),
        size in 1..40_usize,
        known in any::<bool>(),
        is_old in any::<bool>(),
        method in prop::sample::select(vec!["GET", "HEAD", "POST"]),
        status in prop::sample::select(vec![200_u16, 204, 304, 403, 500]),
        value in "[ -~]{0,20}",
    ) {
        let version = if is_old { "1.0" } else { "1.1" };
        let asked = asked(&format!("{method} / HTTP/{version}"), "");
        let value = value.trim();
        let fields = map(&["Connection: x-hop", "X-Hop: 1", &format!("X-Own: {value}")]);
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            fields: &fields,
            length: known.then_some(data.len() as u64),
            source: Source::Server,
        };
        let mut out = Vec::new();
        let delivery = head(&response, asked, &mut out).unwrap();
        match delivery.body {
            Body::None => {}
            Body::Length(_) | Body::UntilClose => out.extend_from_slice(&data),
            Body::Chunked => {
                for piece in data.chunks(size) {
                    chunk(piece, &mut out);
                }
                out.extend_from_slice(LAST_CHUNK);
            }
        }
        let (got, headers, body) = by_hyper(method, &out);
        prop_assert_eq!(got.as_u16(), status);
        prop_assert_eq!(headers.get("x-own").unwrap(), value);
        prop_assert!(!headers.contains_key("x-hop"));
        let has_none = delivery.body == Body::None;
        prop_assert_eq!(has_none, method == "HEAD" || status == 204 || status == 304);
        prop_assert_eq!(&body[..], if has_none { &[][..] } else { &data[..] });
    }
}
