//! What holds for any bytes, and what it costs.

use std::time::{Duration, Instant};

use proptest::{prelude::*, sample::select};

use super::{
    BEFORE_CHUNKS, cases,
    differential::{agreed, sent_on},
    take,
};
use crate::proxy::http1::{Decoder, Framing, Piece, Progress, fuzz, read};

#[test]
fn the_corpus_is_the_same_however_it_comes() {
    for (name, bytes, _) in cases() {
        fuzz::request(&bytes);
        let whole = read(&bytes);
        for at in 0..bytes.len() {
            let part = read(&bytes[..at]);
            assert!(
                part == Ok(Progress::More) || part == whole,
                "{name}, cut at {at}: {part:?}, and not {whole:?}"
            );
        }
        let whole = take(&bytes, usize::MAX / 2);
        for at_a_time in 1..bytes.len().min(64) {
            assert_eq!(
                take(&bytes, at_a_time),
                whole,
                "{name}, {at_a_time} at a time"
            );
        }
    }
}

/// One of the first, and now and then one of the others.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    good: Vec<T>,
    other: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![12 => select(good), 1 => select(other)]
}

/// Parts of requests, most of them good.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = mostly(
        vec![
            "GET / HTTP/1.1",
            "POST /a?b HTTP/1.1",
            "PUT http://a.example/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "POST /c HTTP/1.0",
        ],
        vec![
            "CONNECT a.example:80 HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /#a HTTP/1.1",
            "GET http://u@a.example/ HTTP/1.1",
            "GET / HTTP/1.2",
        ],
    );
    let host = mostly(
        vec!["Host: a.example", "host:a.example:80"],
        vec!["Host: b.example", "Host : a.example", "X: 1"],
    );
    let field = mostly(
        vec![
            "Accept: */*",
            "X-A:\t b \t",
            "X-B:",
            "Connection: keep-alive, x-a",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: Upgrade",
            "TE: trailers",
        ],
        vec![
            "Connection: close",
            "Connection: host",
            "Content-Length: 3",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Upgrade: websocket",
            " folded",
            "X\u{b}: 1",
        ],
    );
    // A field that says where the body ends, and the body.
    let framed = mostly(
        vec![
            ("X: 1", ""),
            ("Content-Length: 3", "abc"),
            ("content-length:0", ""),
            ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
            (
                "transfer-encoding:chunked",
                "5\r\nhello\r\n02\r\n\r\n\r\n0\r\nX: 1\r\n\r\n",
            ),
        ],
        vec![
            ("X: 1", "abc"),
            ("Content-Length: 5", "abc"),
            ("Content-Length: 3", "hello"),
            ("Content-Length: +3", "abc"),
            ("Content-Length: 3, 3", "abc"),
            ("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
            ("Transfer-Encoding: Chunked", "0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3;x\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "ffffffffffffffff\r\n"),
        ],
    );
    let end = || prop_oneof![80 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n")];
    let fields = prop::collection::vec((field, end()), 0..4);
    let parts = (line, end(), host, end(), fields, framed, end(), end());
    parts.prop_map(|(line, a, host, b, fields, (framing, body), c, d)| {
        let fields = fields.into_iter().flat_map(|(field, end)| [field, end]);
        let fields: String = fields.collect();
        let request = [line, a, host, b, &fields, framing, c, d, body];
        request.concat().into_bytes()
    })
}

/// A case of the corpus with a few bytes changed, or two of them in one.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let corpus: Vec<Vec<u8>> = cases().map(|(_, bytes, _)| bytes).collect();
    let evil = prop_oneof![
        any::<u8>(),
        select(b"\r\n\0 \t\x0b:;,/@#\\%0123456789".to_vec())
    ];
    let change = (any::<prop::sample::Index>(), 0..4_u8, evil);
    (
        select(corpus.clone()),
        select(corpus),
        prop::collection::vec(change, 0..4),
    )
        .prop_map(|(mut bytes, other, changes)| {
            for (at, kind, byte) in changes {
                let at = at
                    .index(bytes.len().max(1))
                    .min(bytes.len().saturating_sub(1));
                match kind {
                    _ if bytes.is_empty() => {}
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => {
                        bytes.truncate(at);
                        bytes.extend_from_slice(&other[other.len() / 2..]);
                    }
                }
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn requests_made_of_parts_are_read_alike(requests in prop::collection::vec(request(), 1..4)) {
        let bytes = requests.concat();
        fuzz::request(&bytes);
        agreed(&bytes);
        sent_on(&bytes);
    }

    #[test]
    fn changed_cases_are_read_alike(bytes in mutated()) {
        fuzz::request(&bytes);
        agreed(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::request(&bytes);
        fuzz::chunks(&bytes);
        fuzz::request(&[BEFORE_CHUNKS, &bytes].concat());
    }

    #[test]
    fn chunks_made_of_parts_are_the_same_in_pieces(text in "(0|3|a|\r\n|\n|abc|;|X: 1|\r){0,24}") {
        fuzz::chunks(text.as_bytes());
    }
}

/// The shortest of some runs, for what else the machine does in between.
fn time(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let before = Instant::now();
        run();
        before.elapsed()
    };
    (0..9).map(once).min().unwrap()
}

#[test]
fn hostile_shapes_cost_linear_time() {
    type Shape = (&'static str, Framing, fn(usize) -> Vec<u8>);
    let of_head = |bytes: &[u8], _| drop(read(bytes));
    let of_body = |bytes: &[u8], framing| {
        let mut decoder = Decoder::new(framing);
        let mut rest = bytes;
        while let Ok((taken, Piece::Data(_))) = decoder.decode(rest) {
            rest = &rest[taken..];
        }
    };
    let shapes: [Shape; 9] = [
        ("long value", Framing::None, |n| {
            shape(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", n)
        }),
        ("long name", Framing::None, |n| {
            shape(b"GET / HTTP/1.1\r\nHost: a\r\n", b"a_", n)
        }),
        ("white space", Framing::None, |n| {
            shape(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b" \t", n)
        }),
        ("options", Framing::None, |n| {
            shape(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: ", b",", n)
        }),
        ("colons", Framing::None, |n| {
            shape(b"GET / HTTP/1.1\r\nHost: a\r\nX", b":", n)
        }),
        ("no end", Framing::None, |n| {
            b"GET / HTTP/1.1\r\nX: "
                .iter()
                .copied()
                .chain([b'a'].into_iter().cycle().take(n))
                .collect()
        }),
        ("one byte a chunk", Framing::Chunked, |n| {
            b"1\r\na\r\n".repeat(n / 6)
        }),
        ("one chunk", Framing::Chunked, |n| {
            shape(b"ffffff\r\n", b"a", n)
        }),
        ("zeros", Framing::Length(u64::MAX / 2), |n| vec![0; n]),
    ];
    for (name, framing, shape) in shapes {
        let measure = |n: usize| {
            let bytes = shape(n);
            time(|| match framing {
                Framing::None => of_head(&bytes, framing),
                Framing::Length(_) | Framing::Chunked => of_body(&bytes, framing),
            })
        };
        let (small, large) = (measure(1 << 13), measure(60 << 10));
        // Seven and a half times the bytes; the constant is for clocks and caches.
        let bound = 16 * small + Duration::from_millis(1);
        assert!(large < bound, "{name}: {small:?}, and {large:?}");
    }
}

/// A start, a part again and again, and the end of a head.
fn shape(start: &[u8], part: &[u8], length: usize) -> Vec<u8> {
    let part = part.iter().copied().cycle().take(length);
    let start = start.iter().copied();
    start.chain(part).chain(*b"\r\n\r\n").collect()
}

/// `cargo test --release … -- --ignored --nocapture http1`
#[test]
#[ignore = "prints figures, which a debug build does not have"]
fn what_reading_costs() {
    let typical = b"GET /repos/rust-lang/rust/issues?state=open&per_page=100 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: agent/1.4 (linux; x86_64) client/2.31.0\r\nAccept: application/json, text/plain;q=0.9, */*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\nCookie: session=0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n\r\n";
    let Ok(Progress::Head { head, .. }) = read(typical) else {
        panic!("it is refused");
    };
    let body = b"400\r\n"
        .iter()
        .copied()
        .chain([b'x'; 1024])
        .chain(*b"\r\n");
    let body: Vec<u8> = body.collect::<Vec<_>>().repeat(1024);
    let each = |count: u32, run: &mut dyn FnMut()| {
        let whole = time(|| (0..count).for_each(|_| run()));
        whole.as_nanos() / u128::from(count)
    };
    let read_ns = each(10_000, &mut || drop(std::hint::black_box(read(typical))));
    let part = &typical[..typical.len() - 2];
    let part_ns = each(10_000, &mut || drop(std::hint::black_box(read(part))));
    let forward_ns = each(10_000, &mut || drop(std::hint::black_box(head.forward())));
    let body_ns = each(1, &mut || {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut rest = &body[..];
        while let Ok((taken, Piece::Data(_))) = decoder.decode(rest) {
            rest = &rest[taken..];
        }
    });
    println!(
        "a head of {} bytes: {read_ns} ns; its start: {part_ns} ns; forward: {forward_ns} ns",
        typical.len()
    );
    println!("1 MiB in chunks of 1 KiB: {} us", body_ns / 1000);
}
