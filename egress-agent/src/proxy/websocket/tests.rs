use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

use super::*;

const LONGEST: usize = 70_000;

/// A frame with any first byte.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let is_masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(is_masked | u8::try_from(short).unwrap()),
        middle @ 126..=0xffff => {
            frame.push(is_masked | 0x7e);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            frame.push(is_masked | 0x7f);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

const MASK: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

fn feed(from: Sender, bytes: &[u8], size: usize) -> (Vec<Event>, Result<(), InvalidFrame>) {
    let (mut frames, mut events) = (Frames::new(from, LONGEST), Vec::new());
    let fed = bytes
        .chunks(size)
        .try_for_each(|piece| frames.feed(piece, &mut events));
    (events, fed)
}

fn said(from: Sender, bytes: &[u8]) -> Vec<Said> {
    let (events, fed) = feed(from, bytes, 5);
    assert_eq!(fed, Ok(()));
    events.into_iter().map(|event| event.said).collect()
}

/// Reads what was sent, and forgets what is written.
struct Sent(Cursor<Vec<u8>>);

impl Read for Sent {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite reads up to its first mistake.
fn tungstenite_reads(from: Sender, bytes: &[u8]) -> Vec<Said> {
    let role = match from {
        Sender::Client => Role::Server,
        Sender::Server => Role::Client,
    };
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST));
    let mut socket =
        WebSocket::from_raw_socket(Sent(Cursor::new(bytes.to_vec())), role, Some(config));
    let mut all = Vec::new();
    while let Ok(message) = socket.read() {
        all.push(match message {
            Message::Text(text) => Said::Text(text.to_string()),
            Message::Binary(bytes) => Said::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Said::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Said::Pong(bytes.to_vec()),
            Message::Close(frame) => {
                Said::Close(frame.map(|frame| (frame.code.into(), frame.reason.to_string())))
            }
            Message::Frame(frame) => panic!("{frame}"),
        });
    }
    all
}

#[test]
fn messages_are_told_when_they_are_whole() {
    // The examples of RFC 6455 section 5.7.
    let hello = || Said::Text("Hello".to_owned());
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(said(Sender::Client, &masked), [hello()]);
    assert_eq!(said(Sender::Server, b"\x81\x05Hello"), [hello()]);
    assert_eq!(said(Sender::Server, b"\x01\x03Hel\x80\x02lo"), [hello()]);
    assert_eq!(
        said(Sender::Server, b"\x89\x05Hello"),
        [Said::Ping(b"Hello".to_vec())]
    );
    for length in [0, 125, 126, 256, 65535, 65536, LONGEST] {
        let payload = vec![b'x'; length];
        for (from, mask) in [(Sender::Client, MASK), (Sender::Server, None)] {
            let bytes = frame(0x82, &payload, mask);
            let (events, fed) = feed(from, &bytes, 4096);
            assert_eq!(fed, Ok(()));
            let said = Said::Binary(payload.clone());
            assert!(events == [Event { said, raw: bytes }], "{length}");
        }
    }
}

/// A secret that is split over fragments is whole before the first of them has gone out.
#[test]
fn fragments_wait_for_their_message_and_pings_do_not() {
    let (one, two) = (frame(0x01, b"sk-ant-", MASK), frame(0x00, b"api03-", MASK));
    let (ping, three) = (frame(0x89, b"?", MASK), frame(0x80, b"rest", MASK));
    let (mut frames, mut events) = (Frames::new(Sender::Client, 100), Vec::new());
    frames.feed(&one, &mut events).unwrap();
    frames.feed(&two, &mut events).unwrap();
    assert_eq!((events.len(), frames.held()), (0, one.len() + two.len()));
    frames
        .feed(&[&ping[..], &three[..3]].concat(), &mut events)
        .unwrap();
    let event = events.pop().unwrap();
    assert_eq!((event.said, event.raw), (Said::Ping(b"?".to_vec()), ping));
    frames.feed(&three[3..], &mut events).unwrap();
    let event = events.pop().unwrap();
    assert_eq!(event.said, Said::Text("sk-ant-api03-rest".to_owned()));
    assert_eq!(event.raw, [one, two, three].concat());
    assert_eq!((events.len(), frames.held()), (0, 0));
}

#[test]
fn a_message_that_cannot_be_held_is_refused_at_its_header() {
    let mut frames = Frames::new(Sender::Server, 10);
    let mut events = Vec::new();
    frames
        .feed(&frame(0x02, b"123456", None), &mut events)
        .unwrap();
    assert_eq!(
        frames.feed(b"\x80\x05", &mut events),
        Err(InvalidFrame::TooLong(10))
    );
    assert_eq!(
        frames.feed(b"", &mut events),
        Err(InvalidFrame::TooLong(10)),
        "it stays so"
    );
    // Fragments without payload are not free.
    let mut frames = Frames::new(Sender::Server, 10);
    frames.feed(b"\x01\x00", &mut events).unwrap();
    let empty = b"\x00\x00".repeat(MOST_HEADERS);
    assert_eq!(empty.len(), 2 * MOST_HEADERS);
    assert_eq!(
        frames.feed(&empty, &mut events),
        Err(InvalidFrame::Fragments)
    );
    assert!(frames.held() <= MOST_HEADERS + 4 && events.is_empty());
}

#[test]
fn frames_that_break_a_rule_are_refused() {
    use InvalidFrame as No;
    use Sender::{Client, Server};
    let long = frame(0x89, &[0; 126], None);
    let close = |payload: &[u8]| frame(0x88, payload, None);
    let cases: Vec<(&str, Sender, Vec<u8>, No)> = vec![
        ("the first reserved bit", Server, vec![0xc1], No::Reserved),
        ("the second", Server, vec![0xa1], No::Reserved),
        ("the third", Server, vec![0x91], No::Reserved),
        ("a reserved bit of a ping", Server, vec![0xc9], No::Reserved),
        ("opcode 3", Server, vec![0x83], No::Opcode(3)),
        ("opcode 7", Client, vec![0x87], No::Opcode(7)),
        ("opcode 11", Server, vec![0x8b], No::Opcode(11)),
        ("opcode 15", Client, vec![0x8f], No::Opcode(15)),
        ("no mask", Client, vec![0x81, 0x05], No::NotMasked),
        ("no mask of a close", Client, vec![0x88, 0], No::NotMasked),
        ("a mask of a server", Server, vec![0x81, 0x85], No::Masked),
        (
            "125 in two bytes",
            Server,
            vec![0x82, 126, 0, 125],
            No::Length,
        ),
        ("0 in two bytes", Client, vec![0x82, 0xfe, 0, 0], No::Length),
        (
            "65535 in eight",
            Server,
            [&[0x82, 127][..], &65535_u64.to_be_bytes()].concat(),
            No::Length,
        ),
        (
            "a high bit",
            Server,
            [&[0x82, 127][..], &(1_u64 << 63).to_be_bytes()].concat(),
            No::Length,
        ),
        (
            "all bits",
            Server,
            [&[0x82, 127][..], &[0xff; 8]].concat(),
            No::Length,
        ),
        (
            "the most that is a length",
            Server,
            [&[0x82, 127, 0x7f][..], &[0xff; 7]].concat(),
            No::TooLong(LONGEST),
        ),
        (
            "one too many",
            Server,
            [&[0x82, 127][..], &(LONGEST as u64 + 1).to_be_bytes()].concat(),
            No::TooLong(LONGEST),
        ),
        (
            "a long ping",
            Server,
            long[..2].to_vec(),
            No::ControlTooLong,
        ),
        (
            "a ping of 64 bits",
            Server,
            vec![0x89, 127],
            No::ControlTooLong,
        ),
        ("a ping in parts", Server, vec![0x09], No::ControlFragmented),
        (
            "a close in parts",
            Client,
            vec![0x08],
            No::ControlFragmented,
        ),
        (
            "a fragment of nothing",
            Server,
            vec![0x80],
            No::Continuation,
        ),
        (
            "a fragment after the last",
            Server,
            b"\x81\x01a\x80".to_vec(),
            No::Continuation,
        ),
        (
            "a text in a text",
            Server,
            b"\x01\x01a\x81".to_vec(),
            No::Interrupted,
        ),
        (
            "a binary in a text",
            Server,
            b"\x01\x01a\x02".to_vec(),
            No::Interrupted,
        ),
        ("no UTF-8", Server, b"\x81\x01\xff".to_vec(), No::Utf8),
        ("half a letter", Server, b"\x81\x01\xc3".to_vec(), No::Utf8),
        (
            "half a letter at the last end",
            Server,
            b"\x01\x01\xc3\x80\x00".to_vec(),
            No::Utf8,
        ),
        (
            "a surrogate",
            Server,
            b"\x81\x03\xed\xa0\x80".to_vec(),
            No::Utf8,
        ),
        (
            "a slash in two bytes",
            Server,
            b"\x81\x02\xc0\xaf".to_vec(),
            No::Utf8,
        ),
        ("a close of one byte", Server, close(&[3]), No::CloseLength),
        ("code 0", Server, close(&[0, 0]), No::CloseCode(0)),
        (
            "code 999",
            Server,
            close(&999_u16.to_be_bytes()),
            No::CloseCode(999),
        ),
        (
            "code 1005",
            Server,
            close(&1005_u16.to_be_bytes()),
            No::CloseCode(1005),
        ),
        (
            "code 1006",
            Server,
            close(&1006_u16.to_be_bytes()),
            No::CloseCode(1006),
        ),
        (
            "code 1015",
            Server,
            close(&1015_u16.to_be_bytes()),
            No::CloseCode(1015),
        ),
        (
            "code 2999",
            Server,
            close(&2999_u16.to_be_bytes()),
            No::CloseCode(2999),
        ),
        (
            "code 5000",
            Server,
            close(&5000_u16.to_be_bytes()),
            No::CloseCode(5000),
        ),
        (
            "a reason that is no text",
            Server,
            close(&[3, 0xe8, 0xff]),
            No::Utf8,
        ),
        (
            "a byte after a close",
            Server,
            [close(b""), vec![0x81]].concat(),
            No::AfterClose,
        ),
        (
            "a second close",
            Server,
            [close(b""), vec![0x88]].concat(),
            No::AfterClose,
        ),
    ];
    for (what, from, bytes, wanted) in cases {
        for size in [1, 3, 100] {
            assert_eq!(feed(from, &bytes, size).1, Err(wanted), "{what}");
        }
        let (_, fed) = feed(from, &bytes[..bytes.len() - 1], 100);
        assert_eq!(fed, Ok(()), "{what} is said too early");
        assert!(matches!(wanted.close_code(), 1002 | 1007 | 1009));
    }
}

#[test]
fn letters_may_be_split_over_fragments() {
    let text = "ü€𝄞";
    let bytes: Vec<u8> = text
        .bytes()
        .enumerate()
        .flat_map(|(at, byte)| {
            let first = u8::from(at == 0) | if at + 1 == text.len() { 0x80 } else { 0 };
            frame(first, &[byte], MASK)
        })
        .collect();
    assert_eq!(said(Sender::Client, &bytes), [Said::Text(text.to_owned())]);
}

#[test]
fn closes_that_are_built_are_read() {
    let long = "ä".repeat(100);
    for (from, mask) in [(Sender::Client, MASK), (Sender::Server, None)] {
        for (code, reason) in [
            (POLICY_VIOLATION, "a secret"),
            (TOO_BIG, ""),
            (PROTOCOL_ERROR, &long),
        ] {
            let bytes = close(code, reason, mask);
            assert!(bytes.len() <= 131);
            let read = tungstenite_reads(from, &bytes);
            let [Said::Close(Some((number, sent)))] = &said(from, &bytes)[..] else {
                panic!("{bytes:?}");
            };
            assert_eq!((*number, reason.starts_with(sent.as_str())), (code, true));
            assert_eq!(sent.len(), reason.len().min(122));
            assert_eq!(read, said(from, &bytes));
        }
    }
}

#[derive(Clone, Debug)]
struct Part {
    first: u8,
    payload: Vec<u8>,
    mask: [u8; 4],
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x00, 0x80, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zü€]{0,8}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..5),
        1 => (120..140_usize).prop_map(|length| vec![b'x'; length]),
        1 => Just(vec![3, 0xe8, b'a']),
    ];
    let part = (first, payload, any::<[u8; 4]>()).prop_map(|(first, payload, mask)| Part {
        first,
        payload,
        mask,
    });
    prop::collection::vec(part, 0..8)
}

fn bytes_of(from: Sender, parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| {
            frame(
                part.first,
                &part.payload,
                (from == Sender::Client).then_some(part.mask),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_told_is_what_tungstenite_reads(parts in parts(), is_client: bool) {
        let from = if is_client { Sender::Client } else { Sender::Server };
        let bytes = bytes_of(from, &parts);
        let (mut frames, mut events) = (Frames::new(from, LONGEST), Vec::new());
        let fed = frames.feed(&bytes, &mut events);
        let mut ours: Vec<Said> = events.into_iter().map(|event| event.said).collect();
        let mut theirs = tungstenite_reads(from, &bytes);
        if fed.is_err() || frames.held() > 0 {
            // Theirs ends at the first letter that is none, ours with the message that it stands in.
            let is_whole = |said: &Said| matches!(said, Said::Text(_) | Said::Binary(_));
            ours.retain(is_whole);
            theirs.retain(is_whole);
            prop_assert!(theirs.starts_with(&ours), "{ours:?} {theirs:?}");
        } else {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn pieces_make_no_difference(parts in parts(), is_client: bool, cut in any::<prop::sample::Index>(), change: Option<u8>) {
        let from = if is_client { Sender::Client } else { Sender::Server };
        let mut bytes = vec![u8::from(!is_client)];
        bytes.extend(bytes_of(from, &parts));
        if let Some(change) = change {
            let at = cut.index(bytes.len());
            bytes[at] = change;
        }
        fuzz(&bytes);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        fuzz(&bytes);
    }
}

#[test]
fn the_comparison_compares() {
    let parts = [
        (0x81, "a"),
        (0x01, "b"),
        (0x89, "c"),
        (0x80, "d"),
        (0x8a, ""),
        (0x02, "e"),
        (0x80, "f"),
    ];
    let parts = parts.map(|(first, payload)| Part {
        first,
        payload: payload.into(),
        mask: [1, 2, 3, 4],
    });
    for from in [Sender::Client, Sender::Server] {
        let theirs = tungstenite_reads(from, &bytes_of(from, &parts));
        assert_eq!(theirs.len(), 5);
        assert_eq!(theirs, said(from, &bytes_of(from, &parts)));
    }
}
