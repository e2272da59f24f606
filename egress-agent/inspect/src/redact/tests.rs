#![expect(
    clippy::string_slice,
    clippy::format_collect,
    reason = "a test may panic, and is short rather than quick"
)]

use super::*;
use crate::{Confidence, Inspector, Kind, Options, View, secrets::sample::Random};

fn finding(detector: &str, range: Range<usize>) -> Finding {
    Finding {
        detector: detector.to_owned(),
        kind: Kind::Secret,
        severity: Severity::High,
        confidence: Confidence::High,
        view: View::Raw,
        range,
    }
}

fn all(strategy: Strategy) -> Redaction {
    let strategies = secrets::detectors().map(|detector| (detector.id.to_owned(), strategy));
    Redaction {
        strategies: strategies.collect(),
    }
}

#[track_caller]
fn check(redaction: &Redaction, text: &str, detector: &str, expected: &str) {
    let start = text.find('‹').unwrap();
    let plain = text.replacen('‹', "", 1);
    let end = plain.find('›').unwrap();
    let plain = plain.replacen('›', "", 1);
    let redacted = redact(
        plain.as_bytes(),
        &[finding(detector, start..end)],
        redaction,
        &Tokens::new([1; 32]),
    );
    assert_eq!(String::from_utf8(redacted).unwrap(), expected);
}

#[test]
fn each_strategy_leaves_what_it_says() {
    let token = Random(1).sample("ghp_<crc:30>");
    let last = &token[token.len() - 4..];
    let text = format!("use ‹{token}›!");
    check(
        &all(Strategy::Full),
        &text,
        "github-token",
        "use [redacted]!",
    );
    check(
        &all(Strategy::Partial),
        &text,
        "github-token",
        &format!("use ghp_[redacted]{last}!"),
    );
    check(
        &all(Strategy::TypePreserving),
        &text,
        "github-token",
        "use ghp_[redacted]!",
    );
    check(
        &all(Strategy::TypePreserving),
        "ssn ‹123-45-6789›",
        "us-ssn",
        "ssn 000-00-0000",
    );
    check(
        &all(Strategy::Partial),
        "p=‹short›",
        "secret-assignment",
        "p=[redacted]",
    );
    check(
        &Redaction::default(),
        &text,
        "github-token",
        "use ghp_[redacted]!",
    );
    check(
        &Redaction::default(),
        "‹4111 1111 1111 1111›",
        "payment-card",
        "4111[redacted]1111",
    );
}

#[test]
fn a_secret_has_one_number_in_a_session() {
    let redaction = all(Strategy::Tokenised);
    let text = b"a SECRETSECRET b SECRETSECRET c OTHERSECRETS";
    let findings = [(2..14), (17..29), (32..44)].map(|range| finding("known-secret", range));
    let redacted = |key| {
        let out = redact(text, &findings, &redaction, &Tokens::new([key; 32]));
        String::from_utf8(out).unwrap()
    };
    let one = redacted(1);
    let numbers: Vec<&str> = one.split('#').skip(1).map(|part| &part[..NUMBER]).collect();
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[0], numbers[2]);
    assert_eq!(one, redacted(1));
    assert_ne!(one, redacted(2));
    assert!(!format!("{:?}", Tokens::new([1; 32])).contains('1'));
}

#[test]
fn overlapping_findings_are_one_place() {
    let findings = [
        finding("a-b", 2..6),
        finding("c-d", 4..9),
        finding("e-f", 20..30),
    ];
    let out = redact(
        b"0123456789",
        &findings,
        &all(Strategy::Full),
        &Tokens::new([0; 32]),
    );
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("01[redacted a-b #") && out.ends_with("]9"),
        "{out}"
    );
}

#[test]
fn json_stays_json() {
    let inspector = Inspector::new(Options::default()).unwrap();
    let tokens = Tokens::new([3; 32]);
    let token = Random(2).sample("ghp_<crc:30>");
    let (first, second) = token.split_at(15);
    let escaped: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let card = Random(2).sample("<card:4>");
    let cases = [
        (
            format!(r#"{{"a": "x {token}\n", "n": 1}}"#),
            r#"{"a": "x ghp_[redacted]\n", "n": 1}"#.to_owned(),
        ),
        // Cut over two fields, with a name and a number between.
        (
            format!(r#"{{"a":"{first}","n":12,"key":["{second}"]}}"#),
            format!(
                r#"{{"a":"ghp_[redacted]","n":12,"key":["{}"]}}"#,
                shape(second.as_bytes())
            ),
        ),
        (
            format!(r#"{{"a":"{escaped}"}}"#),
            format!(r#"{{"a":"{}"}}"#, shape(escaped.as_bytes())),
        ),
        (
            format!(r#"{{"{token}":null}}"#),
            format!(
                r#"{{"{}":null}}"#,
                String::from_utf8(tokenised("github-token", token.as_bytes(), &tokens)).unwrap()
            ),
        ),
        (
            format!(r#"{{"card": {card}}}"#),
            format!(r#"{{"card": "{}[redacted]{}"}}"#, &card[..4], &card[12..]),
        ),
    ];
    for (json, expected) in cases {
        let report = inspector.inspect_json(json.as_bytes());
        let out = redact_json(
            json.as_bytes(),
            &report.findings,
            &Redaction::default(),
            &tokens,
        );
        let out = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
        assert_eq!(out, expected, "{json}");
    }
}

#[test]
fn patterns_are_located_where_they_stand_in_the_json() {
    let json = r#"{"a":"say \"Jo\u00e9\" to Jo\u00e9","b":["none",42],"Joe":1,"c":"Jo"}"#;
    let pattern = |text| Regex::new(text).unwrap();
    let check = |within: Range<usize>, patterns: &[Regex], expected: &[&str]| {
        let ranges = located(json.as_bytes(), &within, patterns);
        let found: Vec<_> = ranges
            .into_iter()
            .map(|range| json.get(range).unwrap())
            .collect();
        assert_eq!(found, expected);
    };
    let all = 0..json.len();
    check(
        all.clone(),
        &[pattern("Jo\u{e9}")],
        &[r"Jo\u00e9", r"Jo\u00e9"],
    );
    check(all.clone(), &[pattern("\"Jo.\"")], &[r#"\"Jo\u00e9\""#]);
    check(
        all.clone(),
        &[pattern("^Jo"), pattern("4")],
        &["4", "Jo", "Jo"],
    );
    check(
        all.clone(),
        &[pattern("say.*Jo")],
        &[r#"say \"Jo\u00e9\" to Jo"#],
    );
    check(0..10, &[pattern("Jo")], &[]);
    check(all, &[pattern("x*")], &[]);
}
