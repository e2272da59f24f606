//! What passes here is read alike by httparse and by hyper: the same requests, no more and no
//! fewer, each with the same method, target, fields and body.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{
    HeaderMap, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Taken, cases, take};
use crate::proxy::http1::{Authority, Head, MOST_FIELDS, Target};

/// A request as a server has it.
#[derive(Clone, Debug)]
struct Served {
    method: Method,
    uri: Uri,
    version: Version,
    fields: HeaderMap,
    body: Bytes,
}

/// The requests that are read whole, and whether every byte was.
fn ours(bytes: &[u8]) -> (Vec<(usize, Taken)>, bool) {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let Ok(Some(taken)) = take(&bytes[at..], usize::MAX / 2) else {
            return (all, false);
        };
        let Some(length) = taken.length else {
            return (all, false);
        };
        let is_last = !taken.head.keeps_alive
            || taken.head.websocket.is_some()
            || taken.head.target == Target::Authority;
        all.push((at, taken));
        at += length;
        if is_last {
            break;
        }
    }
    (all, true)
}

/// Panics when another reader sees something else in the bytes. Says how many requests passed.
pub(super) fn agreed(bytes: &[u8]) -> usize {
    let (ours, is_whole) = ours(bytes);
    for (at, taken) in &ours {
        by_httparse(&bytes[*at..], &taken.head);
    }
    if ours.is_empty() {
        return 0;
    }
    let text = String::from_utf8_lossy(bytes);
    let served = by_hyper(bytes);
    assert!(
        served.len() >= ours.len(),
        "hyper saw {served:?} in {text:?}"
    );
    assert!(
        !is_whole || served.len() == ours.len(),
        "hyper saw {served:?} in {text:?}"
    );
    for ((_, taken), other) in ours.iter().zip(&served) {
        let head = &taken.head;
        same_target(head, &other.uri);
        assert_eq!(
            (&head.method, head.version),
            (&other.method, other.version),
            "{text:?}"
        );
        assert_eq!(sorted(&head.fields), sorted(&other.fields), "{text:?}");
        assert_eq!(taken.body, other.body, "{text:?}");
    }
    ours.len()
}

fn by_httparse(bytes: &[u8], head: &Head) {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let text = String::from_utf8_lossy(bytes);
    let read = request.parse(bytes);
    assert!(
        matches!(read, Ok(httparse::Status::Complete(_))),
        "{read:?}: {text:?}"
    );
    assert_eq!(request.method, Some(head.method.as_str()));
    let version = u8::from(head.version == Version::HTTP_11);
    assert_eq!(request.version, Some(version));
    same_target(head, &request.path.unwrap().parse().unwrap());
    let fields = request.headers.iter();
    let mut fields: Vec<_> = fields
        .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
        .collect();
    fields.sort();
    assert_eq!(sorted(&head.fields), fields, "{text:?}");
}

fn sorted(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let mut all: Vec<_> = map.iter().map(pair).collect();
    all.sort();
    all
}

fn same_target(head: &Head, uri: &Uri) {
    let same_authority = |authority: &Authority| {
        assert_eq!(uri.host(), Some(authority.host()));
        assert_eq!(uri.port_u16(), authority.port());
    };
    match &head.target {
        Target::Origin(path) => {
            assert_eq!((uri.path_and_query(), uri.authority()), (Some(path), None));
        }
        Target::Absolute(path) => {
            same_authority(&head.authority);
            assert_eq!(uri.scheme_str(), Some("http"));
            // A URI has no other way to say that there is no path.
            let path = if path == "*" { "/" } else { path.as_str() };
            assert_eq!(uri.path_and_query().unwrap(), path);
        }
        Target::Authority => same_authority(&head.authority),
        Target::Asterisk => assert_eq!(uri, "*"),
    }
}

/// What a server of hyper makes of a connection with these bytes.
fn by_hyper(bytes: &[u8]) -> Vec<Served> {
    let served = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let served = Arc::clone(&served);
        async move {
            let (parts, body) = request.into_parts();
            // A body that breaks off makes no request.
            if let Ok(body) = body.collect().await {
                served.lock().unwrap().push(Served {
                    method: parts.method,
                    uri: parts.uri,
                    version: parts.version,
                    fields: parts.headers,
                    body: body.to_bytes(),
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    run(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let connection = http1::Builder::new()
            .half_close(true)
            .max_headers(MOST_FIELDS)
            .serve_connection(TokioIo::new(server), service);
        let mut answers = Vec::new();
        // What hyper refuses it says in its answer; here counts what it took.
        let (_ended, _read) = tokio::join!(connection, client.read_to_end(&mut answers));
    });
    let served = served.lock().unwrap();
    served.clone()
}

/// Panics when a request that passes is another one after a client of hyper has sent it on. Says
/// how many were sent.
pub(super) fn sent_on(bytes: &[u8]) -> usize {
    let (ours, _) = ours(bytes);
    let mut sent = 0;
    for (_, taken) in ours {
        let Some(path) = taken.head.target.path() else {
            continue;
        };
        let mut request = Request::new(Full::new(Bytes::from(taken.body.clone())));
        *request.method_mut() = taken.head.method.clone();
        *request.uri_mut() = Uri::from(path.clone());
        *request.headers_mut() = taken.head.forward();
        let bytes = by_client(request);
        let text = String::from_utf8_lossy(&bytes);
        let other = take(&bytes, usize::MAX / 2).unwrap().unwrap();
        assert_eq!(other.length, Some(bytes.len()), "{text:?}");
        assert_eq!(other.body, taken.body, "{text:?}");
        let (head, other) = (taken.head, other.head);
        assert_eq!(
            (&head.method, &head.authority),
            (&other.method, &other.authority)
        );
        assert_eq!(Some(path), other.target.path());
        assert_eq!(head.websocket, other.websocket);
        let (mut one, mut other) = (head.forward(), other.fields);
        // No bytes, in any framing, are no bytes.
        if taken.body.is_empty() {
            for framing in [CONTENT_LENGTH, TRANSFER_ENCODING] {
                one.remove(&framing);
                other.remove(&framing);
            }
        }
        assert_eq!(sorted(&one), sorted(&other), "{text:?}");
        sent += 1;
    }
    sent
}

/// What a client of hyper writes.
fn by_client(request: Request<Full<Bytes>>) -> Vec<u8> {
    run(async {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let io = TokioIo::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = tokio::spawn(sender.send_request(request));
        let mut bytes = Vec::new();
        loop {
            if let Ok(Some(taken)) = take(&bytes, usize::MAX / 2)
                && taken.length.is_some()
            {
                break;
            }
            assert!(server.read_buf(&mut bytes).await.unwrap() > 0);
        }
        server
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(answer.await.unwrap().unwrap().status(), 204);
        // Whatever else it had to say it says before it ends.
        drop(sender);
        connection.await.unwrap().unwrap();
        server.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), future)
            .await
            .unwrap()
    })
}

#[test]
fn what_passes_is_sent_on_as_it_was_judged() {
    let sent: usize = cases().map(|(_, bytes, _)| sent_on(&bytes)).sum();
    assert!(sent > 50, "{sent} requests were sent on");
}

#[test]
fn the_corpus_is_read_alike_by_others() {
    let mut passed = 0;
    for (_, bytes, _) in cases() {
        passed += agreed(&bytes);
    }
    assert!(passed > 60, "{passed} requests passed");
}

#[test]
fn a_disagreement_would_be_seen() {
    // Both others read these: so a codec that let them pass would be held to what they read.
    let bare = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\n\n0\n\n";
    assert_eq!(agreed(bare), 0);
    let lenient = b"POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1\n\nx";
    assert_eq!((agreed(lenient), by_hyper(lenient).len()), (0, 1));
    // The second request is hidden from us alone when it is data, and it is for hyper too.
    let hidden = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nx";
    let served = by_hyper(hidden);
    assert_eq!((agreed(hidden), served.len()), (1, 1));
    assert_eq!(served[0].body.len(), 27);
}
