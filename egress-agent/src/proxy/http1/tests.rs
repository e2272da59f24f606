//! A corpus of requests with which proxies and servers have been made to disagree, and what else
//! must hold of the codec.

#[rustfmt::skip]
mod bodies;
mod differential;
#[rustfmt::skip]
mod heads;
mod meaning;
mod properties;
mod written;

use std::collections::BTreeSet;

use super::{BadBody, BadRequest, Decoder, Framing, Head, Piece, Progress, read};

/// A name, the bytes, and what they are.
type Case = (&'static str, &'static [u8], Expected);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The head, with this code.
    Refused(&'static str),
    /// A head that passes, and a body that is refused with this code.
    BadBody(&'static str),
    Passes {
        framing: Framing,
        body: &'static [u8],
        /// What comes after the body; `None` when the body is not complete.
        rest: Option<&'static [u8]>,
    },
}

/// No body, and nothing after it.
const fn none() -> Expected {
    ends(Framing::None, b"", b"")
}

const fn ends(framing: Framing, body: &'static [u8], rest: &'static [u8]) -> Expected {
    let rest = Some(rest);
    Expected::Passes {
        framing,
        body,
        rest,
    }
}

const fn more(framing: Framing, body: &'static [u8]) -> Expected {
    let rest = None;
    Expected::Passes {
        framing,
        body,
        rest,
    }
}

const BEFORE_CHUNKS: &[u8] =
    b"POST /c HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The whole corpus.
fn cases() -> impl Iterator<Item = (&'static str, Vec<u8>, Expected)> {
    let whole = [
        heads::LINES,
        heads::REQUEST_LINES,
        heads::TARGETS,
        heads::HOSTS,
        heads::CONNECTIONS,
        bodies::FRAMINGS,
        bodies::PIPELINES,
    ];
    let whole = whole.into_iter().flatten();
    let whole = whole.map(|(name, bytes, expected)| (*name, bytes.to_vec(), *expected));
    let chunks = bodies::CHUNKS.iter();
    let chunks = chunks.map(|(name, bytes, expected)| {
        let bytes = [BEFORE_CHUNKS, bytes].concat();
        (*name, bytes, *expected)
    });
    whole.chain(chunks)
}

/// A request that was read whole, or as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    head: Head,
    body: Vec<u8>,
    /// Bytes of head and body; `None` when the body is not complete.
    length: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Head(BadRequest),
    Body(BadBody),
}

/// The first request of the bytes; `None` when its head is not complete.
fn take(bytes: &[u8], at_a_time: usize) -> Result<Option<Taken>, Bad> {
    let Progress::Head { head, length } = read(bytes).map_err(Bad::Head)? else {
        return Ok(None);
    };
    let mut decoder = Decoder::new(head.framing);
    let (mut body, mut at) = (Vec::new(), length);
    loop {
        let end = bytes.len().min(at + at_a_time);
        let (taken, piece) = decoder.decode(&bytes[at..end]).map_err(Bad::Body)?;
        at += taken;
        match piece {
            Piece::Data(data) => body.extend_from_slice(data),
            Piece::More if at < bytes.len() => {}
            Piece::More | Piece::End => break,
        }
    }
    let length = decoder.is_complete().then_some(at);
    Ok(Some(Taken { head, body, length }))
}

#[track_caller]
fn check(name: &str, bytes: &[u8], expected: Expected) {
    let got = take(bytes, usize::MAX / 2);
    match (expected, &got) {
        (Expected::Refused(code), Err(Bad::Head(bad))) => assert_eq!(bad.code(), code, "{name}"),
        (Expected::BadBody(code), Err(Bad::Body(bad))) => assert_eq!(bad.code(), code, "{name}"),
        (
            Expected::Passes {
                framing,
                body,
                rest,
            },
            Ok(Some(taken)),
        ) => {
            assert_eq!(taken.head.framing, framing, "{name}");
            assert_eq!(taken.body, body, "{name}");
            let left = taken.length.map(|length| &bytes[length..]);
            assert_eq!(left, rest, "{name}");
        }
        _ => panic!("{name}: {got:?}, and not {expected:?}"),
    }
}

#[test]
fn the_corpus_is_read_as_it_says() {
    let mut names = BTreeSet::new();
    for (name, bytes, expected) in cases() {
        assert!(names.insert(name), "two cases are called {name}");
        check(name, &bytes, expected);
    }
    assert!(names.len() >= 120, "{} cases", names.len());
}

#[test]
fn every_reason_is_in_the_corpus_or_made_here() {
    let field = |count: usize| "X: 1\r\n".repeat(count);
    let request = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").into_bytes()
    };
    let chunked = |body: String| [BEFORE_CHUNKS, body.as_bytes()].concat();
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    let refused = |code| Expected::Refused(code);
    let made = [
        ("most fields", request("/", &field(127)), none()),
        (
            "too many fields",
            request("/", &field(128)),
            refused("too-many-fields"),
        ),
        ("longest target", request(&path(16384), ""), none()),
        (
            "target too long",
            request(&path(16385), ""),
            refused("target-too-long"),
        ),
        (
            "line too long",
            request(&path(60000), ""),
            refused("target-too-long"),
        ),
        (
            "longest method",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(32)).into_bytes(),
            none(),
        ),
        (
            "method too long",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33)).into_bytes(),
            refused("method"),
        ),
        (
            "longest head",
            request("/", &format!("X: {}\r\n", "a".repeat(65536 - 40))),
            none(),
        ),
        (
            "head too long",
            request("/", &format!("X: {}\r\n", "a".repeat(65536 - 39))),
            refused("head-too-long"),
        ),
        (
            "head without an end",
            b"GET / HTTP/1.1\r\nX: "
                .iter()
                .copied()
                .chain(std::iter::repeat_n(b'a', 65536))
                .collect(),
            refused("head-too-long"),
        ),
        (
            "longest host",
            format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(254)).into_bytes(),
            none(),
        ),
        (
            "host too long",
            format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(255)).into_bytes(),
            refused("host"),
        ),
        (
            "most trailers",
            chunked(format!("0\r\n{}\r\n", field(32))),
            ends(Framing::Chunked, b"", b""),
        ),
        (
            "too many trailers",
            chunked(format!("0\r\n{}\r\n", field(33))),
            Expected::BadBody("too-many-trailers"),
        ),
        (
            "trailers too long",
            chunked(format!("0\r\nX: {}\r\n\r\n", "a".repeat(8192))),
            Expected::BadBody("too-many-trailers"),
        ),
        (
            "flood of extensions",
            chunked(format!("3{}\r\nabc\r\n0\r\n\r\n", ";a=b".repeat(50_000))),
            Expected::BadBody("chunk-extension"),
        ),
    ];
    for (name, bytes, expected) in &made {
        check(name, bytes, *expected);
    }
    let seen: BTreeSet<_> = cases()
        .map(|(_, _, expected)| expected)
        .chain(made.iter().map(|(_, _, expected)| *expected))
        .filter_map(|expected| match expected {
            Expected::Refused(code) | Expected::BadBody(code) => Some(code),
            Expected::Passes { .. } => None,
        })
        .collect();
    let heads = BadRequest::ALL.map(BadRequest::code);
    let all: BTreeSet<_> = heads
        .into_iter()
        .chain(BadBody::ALL.map(BadBody::code))
        .collect();
    assert_eq!(all.len(), BadRequest::ALL.len() + BadBody::ALL.len());
    assert_eq!(seen, all);
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_a_status() {
    let heads = BadRequest::ALL.map(|bad| (bad.to_string(), bad.status()));
    let bodies = BadBody::ALL.map(|bad| (bad.to_string(), bad.status()));
    let mut statuses = BTreeSet::new();
    for (text, status) in heads.into_iter().chain(bodies) {
        assert!(text.contains("; ") && !text.contains('\n'), "{text}");
        statuses.insert(status.as_u16());
    }
    assert_eq!(statuses, [400, 413, 414, 417, 431, 501, 505].into());
}
