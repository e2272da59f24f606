use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_invalid(text: &[u8], expected: &str) {
    let error = match read(text, Framing::Line) {
        Err(error) => error,
        Ok(incoming) => panic!("{incoming:?}"),
    };
    assert_eq!(error.code(), expected, "{error}");
}

#[track_caller]
fn one(text: &str) -> Message {
    match read(text.as_bytes(), Framing::Line) {
        Ok(Incoming::One(message)) => message,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_four_kinds_are_told_apart() {
    let number = || Id::Number(1);
    for (text, kind) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            Kind::Request {
                id: number(),
                method: "ping".to_owned(),
            },
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}"#,
            Kind::Notification {
                method: "notifications/initialized".to_owned(),
            },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            Kind::Result { id: number() },
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m"}}"#,
            Kind::Error {
                id: Some(Id::Text("a".to_owned())),
            },
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
            Kind::Error { id: None },
        ),
    ] {
        assert_eq!(one(text).kind, kind, "{text}");
        assert_eq!(
            one(&format!(" {text}\t\r\n")).kind,
            kind,
            "with white space"
        );
    }
    assert!(matches!(read(b" \r\n", Framing::Line), Ok(Incoming::Blank)));
}

#[test]
fn ids_are_integers_or_short_texts() {
    for (id, expected) in [
        ("0", Some(Id::Number(0))),
        ("-7", Some(Id::Number(-7))),
        ("18446744073709551615", Some(Id::Number(u64::MAX.into()))),
        (r#""1""#, Some(Id::Text("1".to_owned()))),
        ("1.0", None),
        ("1e3", None),
        ("18446744073709551616", None),
        ("true", None),
        ("[1]", None),
    ] {
        let value: Value = serde_json::from_str(id).unwrap();
        assert_eq!(Id::read(&value), expected, "{id}");
        if let Some(id) = expected {
            assert_eq!(Id::read(&id.to_value()), Some(id), "and back");
        }
    }
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#,
        "x".repeat(LONGEST_ID + 1)
    );
    check_invalid(long.as_bytes(), "not-a-message");
}

#[test]
fn what_is_not_a_message_is_refused_with_its_reason() {
    for (text, expected) in [
        ("nonsense", "not-json"),
        ("{\"jsonrpc\":\"2.0\"", "not-json"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"} {}"#, "not-json"),
        ("\u{feff}{}", "not-json"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}"#,
            "not-json",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1e999}}"#,
            "not-json",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, "not-json"),
        ("7", "not-a-message"),
        ("null", "not-a-message"),
        ("{}", "not-a-message"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "not-a-message"),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            "not-a-message",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "not-a-message"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#,
            "not-a-message",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#,
            "not-a-message",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            "not-a-message",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"error":"e"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "not-a-message"),
        (
            r#"{"jsonrpc":"2.0","id":1,"Method":"y","method":"x"}"#,
            "ambiguous-key",
        ),
        (
            r#"{"j\u017fonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"x"}"#,
            "ambiguous-key",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            "duplicate-key",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":[{"b":1,"\u0062":2}]}}"#,
            "duplicate-key",
        ),
        ("[]", "batch-size"),
    ] {
        check_invalid(text.as_bytes(), expected);
    }
    check_invalid(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
        "not-utf8",
    );
    check_invalid(&vec![b' '; LONGEST + 1], "too-long");
}

/// Python reads its standard input with universal newlines: the inner object would be a message.
#[test]
fn a_carriage_return_inside_a_line_hides_another_message() {
    let inner = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#;
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{{\"a\":\r{inner}\r}}}}"
    );
    check_invalid(text.as_bytes(), "carriage-return");
    assert!(matches!(
        read(text.as_bytes(), Framing::Body),
        Ok(Incoming::One(_))
    ));
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{open}{close}}}}}"#)
    };
    one(&nested(DEEPEST - 2));
    check_invalid(nested(DEEPEST - 1).as_bytes(), "too-deep");
    check_invalid(nested(10_000).as_bytes(), "too-deep");
    check_invalid("[".repeat(10_000).as_bytes(), "too-deep");
    let wide = |values: usize| {
        let list = vec!["0"; values].join(",");
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":[{list}]}}}}"#)
    };
    one(&wide(MOST_VALUES - 6));
    check_invalid(wide(MOST_VALUES).as_bytes(), "too-many-values");
}

#[test]
fn the_elements_of_a_batch_are_found_in_the_bytes() {
    let texts = [
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":"],[\"","y":[1,[2]]}}"#,
        r#"{"jsonrpc" : "2.0" , "method":"b"}"#,
        "7",
    ];
    let batch = format!(" [ {} ,{},\t{} ] \n", texts[0], texts[1], texts[2]);
    let Ok(Incoming::Batch(parts)) = read(batch.as_bytes(), Framing::Line) else {
        panic!("no batch");
    };
    let found: Vec<_> = parts
        .iter()
        .map(|(place, _)| batch.get(place.clone()).unwrap())
        .collect();
    assert_eq!(found, texts);
    assert!(parts[0].1.is_ok() && parts[1].1.is_ok());
    assert_eq!(parts[2].1.as_ref().unwrap_err().code(), "not-a-message");
    let many = format!("[{}]", vec!["7"; MOST_IN_BATCH + 1].join(","));
    check_invalid(many.as_bytes(), "batch-size");
}

#[test]
fn time_is_linear() {
    let deep = |size: usize| "[".repeat(size);
    let wide = |size: usize| {
        let keys: Vec<_> = (0..size / 11)
            .map(|key| format!("\"{key:06}\":0"))
            .collect();
        format!("{{{}}}", keys.join(","))
    };
    let escapes = |size: usize| format!("\"{}\"", "\\u0041".repeat(size / 6));
    let spent = |text: &str| {
        let before = processor_time();
        assert!(read(text.as_bytes(), Framing::Line).is_err());
        processor_time() - before
    };
    for make in [&deep as &dyn Fn(usize) -> String, &wide, &escapes] {
        let (one, four) = (spent(&make(1 << 20)), spent(&make(4 << 20)));
        assert!(four < one * 12 + 50_000_000, "{one} ns and then {four} ns");
    }
}

/// Nanoseconds of this thread: other programs make no difference.
fn processor_time() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// JSON values that are not deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\[\\]{},:\"\\\\ a-c]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Incoming::One(message)) = read(&bytes, Framing::Body) {
            let again: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(again.as_object(), Some(message.document()));
        }
    }

    #[test]
    fn nearly_json_has_a_verdict(text in "[\\[\\]{}\",:0-9a-e\\\\ \r\n]{0,60}") {
        drop(read(text.as_bytes(), Framing::Line));
        if let Ok(value) = parse(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn what_serde_writes_is_read_as_it_was(value in values()) {
        for text in [value.to_string(), format!("{value:#}")] {
            prop_assert_eq!(parse(&text).unwrap(), value.clone());
        }
    }

    #[test]
    fn the_places_of_elements_hold_the_elements(list in prop::collection::vec(values(), 1..6)) {
        for text in [Value::from(list.clone()).to_string(), format!("{:#}", Value::from(list.clone()))] {
            let found: Vec<Value> = places(text.as_bytes())
                .into_iter()
                .map(|place| serde_json::from_str(text.get(place).unwrap()).unwrap())
                .collect();
            prop_assert_eq!(&found, &list);
        }
    }
}
