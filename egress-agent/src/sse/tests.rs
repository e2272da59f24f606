use proptest::prelude::*;

use super::*;

const LONGEST: usize = 1 << 20;

fn events(bytes: &[u8], at_a_time: usize) -> Vec<Event> {
    let (mut events, mut all) = (Events::new(LONGEST), Vec::new());
    for chunk in bytes.chunks(at_a_time) {
        events.take(chunk, &mut all).unwrap();
    }
    all.extend(events.end());
    all
}

fn data(event: &Event) -> Option<&str> {
    event
        .data
        .as_deref()
        .map(|data| str::from_utf8(data).unwrap())
}

#[test]
fn events_are_read_as_the_standard_says() {
    let text = ": hello\n\nevent: message\nid: 7\ndata: {\"a\":\ndata:1}\n\nid\ndata\n\nretry: 5\n\ndata:  two\n\nid: a\0b\ndatax: no\n\nnot ended";
    for at_a_time in [1, 2, 7, 1000] {
        let events = events(text.as_bytes(), at_a_time);
        let told: Vec<_> = events.iter().map(data).collect();
        assert_eq!(
            told,
            [
                None,
                Some("{\"a\":\n1}"),
                Some(""),
                None,
                Some(" two"),
                None
            ]
        );
        assert_eq!(
            (events[1].kind.as_str(), events[1].id.as_deref()),
            ("message", Some("7"))
        );
        assert_eq!(events[2].id.as_deref(), Some(""));
        assert_eq!(events[3].retry.as_deref(), Some("5"));
        assert_eq!(events[5].id, None);
    }
}

#[test]
fn every_end_of_line_is_one_and_nothing_is_lost() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!(
            "\u{feff}data: a{end}{end}data: b{end}data: c{end}{end}\u{feff}data: d{end}{end}"
        );
        for at_a_time in [1, 3, 1000] {
            let events = events(text.as_bytes(), at_a_time);
            let found: Vec<_> = events.iter().filter_map(data).collect();
            assert_eq!(found, ["a", "b\nc"], "{end:?}: only the first mark is one");
            assert!(
                events
                    .iter()
                    .all(|event| event.raw.ends_with(end.as_bytes())),
                "{end:?} {at_a_time}"
            );
            let raw: Vec<u8> = events.into_iter().flat_map(|event| event.raw).collect();
            assert_eq!(raw, text.as_bytes());
        }
    }
}

/// An event goes with its last byte, also where a line feed could follow.
#[test]
fn nothing_waits_for_the_next_event() {
    for end in ["\n", "\r"] {
        let (mut events, mut done) = (Events::new(100), Vec::new());
        for round in 1..4 {
            events
                .take(format!("data: a{end}{end}").as_bytes(), &mut done)
                .unwrap();
            assert_eq!((done.len(), events.held()), (round, 0));
        }
    }
    let (mut events, mut done) = (Events::new(100), Vec::new());
    events
        .take(b"data: a\r\n\r\ndata: b\r\n\r", &mut done)
        .unwrap();
    assert_eq!(done.len(), 1, "the line feed is on its way");
    assert_eq!(events.end().as_ref().and_then(data), Some("b"));
    events.take(b"\ndata: c\r\n\r\n", &mut done).unwrap();
    assert_eq!((done.len(), data(&done[1])), (2, Some("c")));
}

#[test]
fn an_event_has_a_longest_length() {
    let (mut events, mut done) = (Events::new(20), Vec::new());
    events
        .take(b"data: 4567890123456\n\n", &mut done)
        .unwrap_err();
    assert_eq!(done, []);
    let mut events = Events::new(20);
    events.take(b"data: 456789012345\n\n", &mut done).unwrap();
    assert_eq!(done.len(), 1);
    let refused = events.take(b"data: a\n\n:\n:\n:\n:\n:\n:\n:\n:\n:\n:\n:\n\n", &mut done);
    assert_eq!(refused, Err(TooLong { longest: 20 }));
    assert_eq!(done.len(), 2, "what came before is told");
    assert!(events.take(b"\n", &mut done).is_err() && events.held() <= 40);
    assert_eq!(events.rest(), None);
}

#[test]
fn an_event_that_is_cut_is_told_when_asked_for() {
    let rest = |text: &str| {
        let (mut events, mut done) = (Events::new(100), Vec::new());
        events.take(text.as_bytes(), &mut done).unwrap();
        events.rest()
    };
    for (text, wanted) in [
        ("data: a\n\ndata: b", "b"),
        ("data: b\n", "b"),
        ("data: b\r", "b"),
        ("data: b\ndata", "b\n"),
    ] {
        assert_eq!(rest(text).as_ref().and_then(data), Some(wanted), "{text:?}");
    }
    assert_eq!(
        rest("data: a\r\n\r\ndata: b\r\n\r").as_ref().and_then(data),
        Some("b")
    );
    assert_eq!(rest("data: a\n\n"), None);
    assert_eq!(rest(""), None);
}

#[test]
fn another_message_takes_the_place_of_the_first() {
    let text = "event: message\nid: 7\nretry: 5\ndata: old\n\n";
    let event = events(text.as_bytes(), 100).remove(0);
    let with = |message: Option<&[u8]>| String::from_utf8(event.with(message)).unwrap();
    assert_eq!(
        with(Some(b"new")),
        "event: message\nid: 7\nretry: 5\ndata: new\n\n"
    );
    assert_eq!(
        with(Some(b"a\rid: 8")),
        "event: message\nid: 7\nretry: 5\ndata: a\ndata: id: 8\n\n"
    );
    assert_eq!(with(None), "id: 7\nretry: 5\n\n");
    assert_eq!(Event::default().with(None), b"");
}

proptest! {
    #[test]
    fn any_bytes_are_kept_in_order(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        fuzz(&bytes);
    }

    #[test]
    fn the_pieces_make_no_difference(text in "[\r\n:adit ]{0,60}(\r\n|data: x|id: 1|\n){0,9}") {
        fuzz(text.as_bytes());
    }
}
