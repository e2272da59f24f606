use proptest::prelude::*;

use super::*;
use crate::audit::{
    chain::{Head, Link, seal},
    record::{Kind, Layer, Record, Sealed, tests::denial},
};

fn line(record: &Record) -> Vec<u8> {
    let mut lines = Vec::new();
    seal(record, Head::START, &mut lines).unwrap();
    lines.pop();
    lines
}

/// What reading all of it finds.
fn is_wanted(line: &[u8], filter: &Filter) -> bool {
    let sealed = Sealed::read(&String::from_utf8_lossy(line));
    sealed.is_ok_and(|sealed| filter.matches(&sealed.record))
}

#[track_caller]
fn check(line: &[u8], filter: &Filter) {
    assert!(
        !(Sieve::new(filter).is_out(line) && is_wanted(line, filter)),
        "lost {} to {filter:?}",
        String::from_utf8_lossy(line)
    );
}

fn of_session(session: &str) -> Filter {
    Filter {
        session: Some(session.to_owned()),
        ..Filter::default()
    }
}

#[test]
fn a_line_of_the_log_says_number_and_time() {
    let line = line(&denial(5, "203.0.113.7"));
    let front = Front::of(&line).unwrap();
    assert_eq!(front.seq, 1);
    assert_eq!(front.time(), Some(denial(5, "::").time));
    for (what, other) in [
        (r#""v":1"#, r#""v": 1"#),
        (r#""seq":1,"#, r#""seq":01,"#),
        (r#""seq":1,"#, r#""seq":99999999999999999999,"#),
        (r#""seq":1,"#, r#""seq":-1,"#),
        ("T10", "T24"),
        ("T10", "t10"),
        (".000250Z", ".00025Z"),
        (".000250Z", "+01:00"),
    ] {
        let text = String::from_utf8(line.clone())
            .unwrap()
            .replacen(what, other, 1);
        assert_eq!(Front::of(text.as_bytes()), None, "{text}");
    }
    for end in 0..55 {
        assert!(
            Front::of(&line[..end]).is_none_or(|front| front.seq == 1),
            "{end}"
        );
    }
}

#[test]
fn what_is_not_wanted_is_left_out_unread() {
    let line = line(&denial(5, "203.0.113.7"));
    let at = |second| Some(denial(second, "::").time);
    let left_out = |filter: Filter| Sieve::new(&filter).is_out(&line);
    let any = Filter::default;
    assert!(left_out(Filter {
        since: at(6),
        ..any()
    }));
    assert!(left_out(Filter {
        until: at(4),
        ..any()
    }));
    assert!(!left_out(Filter {
        since: at(5),
        until: at(5),
        ..any()
    }));
    assert!(left_out(of_session("s2")) && !left_out(of_session("s1")));
    assert!(left_out(Filter {
        layer: Some(Layer::Dns),
        ..any()
    }));
    let mut allowed = denial(5, "203.0.113.7");
    allowed.verdict = Some(Verdict::Allow);
    let sieve = Sieve::new(&Filter {
        denied: true,
        ..any()
    });
    assert!(sieve.is_out(&self::line(&allowed)) && !sieve.is_out(&line));
}

/// A line that somebody else wrote in another way is still read.
#[test]
fn another_way_to_write_the_same_is_no_way_out() {
    let text = String::from_utf8(line(&denial(5, "203.0.113.7"))).unwrap();
    for (what, other) in [
        (r#""session":"s1""#, r#""session" : "s1""#),
        (r#""session":"s1""#, r#""session":"\u00731""#),
        (r#""session":"s1""#, r#""\u0073ession":"s1""#),
        (r#""verdict":"deny""#, r#""verdict":"d\u0065ny""#),
        (r#""verdict":"deny""#, r#""verdict":{"deny":null}"#),
        (r#"{"v":1"#, r#"{ "v":1"#),
        (
            "T10:20",
            "T11:20:05.000250+01:00\", \"count\":1, \"x\": \"10:20",
        ),
    ] {
        let text = text.replacen(what, other, 1);
        check(
            text.as_bytes(),
            &Filter {
                denied: true,
                since: Some(denial(5, "::").time),
                ..of_session("s1")
            },
        );
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("s1".to_owned()),
        Just("deny".to_owned()),
        Just("kernel".to_owned()),
        Just("\u{fffd}".to_owned()),
        ".{0,4}",
        r#"[s1"\\\n\u{0}]{0,4}"#,
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (
        0..60_u32,
        prop::option::of(word()),
        prop::option::of(word()),
        0..4_usize,
        0..6_usize,
    )
        .prop_map(|(second, session, name, verdict, layer)| {
            let mut record = denial(second, "203.0.113.7");
            record.session = session;
            record.name.clone_from(&name);
            record.message = name;
            record.verdict = [
                Some(Verdict::Allow),
                Some(Verdict::Deny),
                Some(Verdict::Ask),
                None,
            ][verdict];
            record.layer = Layer::ALL[layer];
            record.event = Kind::Message;
            record
        })
}

#[test]
fn a_line_as_the_log_writes_it_has_a_frame() {
    let plain = line(&denial(5, "203.0.113.7"));
    assert_eq!(
        Link::in_frame(&plain),
        Link::whole(&plain, Link::in_frame(&plain).unwrap().head.hash).ok()
    );
    let mut told = denial(5, "203.0.113.7");
    told.lost.insert(Layer::Dns, 2);
    assert_eq!(Link::in_frame(&line(&told)), None);
}

/// A member of the chain, once more.
fn member() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#","seq":7"#,
        r#","\u0073eq":7"#,
        r#","v":2"#,
        r#","before":{"seq":1,"latest":"2026-03-01T10:20:05.000250Z"}"#,
        r#","lost":{"dns":2}"#,
        r#","l\u006fst":{"dns":2}"#,
        r#","gap":{"missing":1}"#,
        r#","time":"2026-03-01T10:20:05.000250Z""#,
        r#","hash":"0""#,
        r#","prev":"00""#,
    ])
    .prop_map(str::to_owned)
}

fn filter() -> impl Strategy<Value = Filter> {
    let time = || prop::option::of((0..60_u32).prop_map(|second| denial(second, "::").time));
    (
        any::<bool>(),
        prop::option::of(word()),
        time(),
        time(),
        prop::option::of((0..6_usize).prop_map(|layer| Layer::ALL[layer])),
    )
        .prop_map(|(denied, session, since, until, layer)| Filter {
            denied,
            session,
            host: None,
            since,
            until,
            layer,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_wanted_record_is_left_out(record in record(), filter in filter()) {
        check(&line(&record), &filter);
    }

    /// Of lines that were changed anyhow, none that still reads as a wanted record is left out.
    #[test]
    fn no_wanted_record_is_left_out_of_changed_lines(
        record in record(),
        filter in filter(),
        at in any::<prop::sample::Index>(),
        cut in 0..4_usize,
        put in prop_oneof![
            r#"[ ",:{}\\0-9TZ.a-z-]{0,3}"#.prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..3),
            Just(br#""session":"s1","#.to_vec()),
            Just(br#""time":"2026-03-01T10:20:59.000000Z","#.to_vec()),
        ],
    ) {
        let mut line = line(&record);
        let at = at.index(line.len());
        let end = (at + cut).min(line.len());
        line.splice(at..end, put);
        check(&line, &filter);
    }

    /// Both ways of reading a line find the same.
    #[test]
    fn a_line_reads_as_the_derived_reader_reads_it(
        record in record(),
        at in any::<prop::sample::Index>(),
        cut in 0..3_usize,
        put in prop_oneof![
            r#"[ ",:{}\\0-9a-z\[\]-]{0,3}"#,
            member(),
        ],
    ) {
        let whole = line(&record);
        let text = str::from_utf8(&whole).unwrap();
        prop_assert_eq!(Sealed::read(text).ok(), serde_json::from_str(text).ok());
        let mut changed = whole.clone();
        let at = at.index(changed.len());
        let end = (at + cut).min(changed.len());
        changed.splice(at..end, put.into_bytes());
        let text = String::from_utf8_lossy(&changed);
        prop_assert_eq!(Sealed::read(&text).ok(), serde_json::from_str(&text).ok());
    }

    /// Where reading the whole line finds a link of the chain, its frame says the same or nothing.
    #[test]
    fn a_frame_says_what_the_whole_line_says(
        record in record(),
        at in any::<prop::sample::Index>(),
        put in prop_oneof![Just(String::new()), member(), r#"[ ",:{}\\0-9a-z\[\]-]{0,3}"#],
    ) {
        let hash = Hash::of(b"");
        let mut changed = line(&record);
        let at = at.index(changed.len());
        changed.splice(at..at, put.into_bytes());
        if let (Some(link), Ok(whole)) = (Link::in_frame(&changed), Link::whole(&changed, hash)) {
            prop_assert_eq!(link.but_hash(hash), whole);
        }
    }
}
