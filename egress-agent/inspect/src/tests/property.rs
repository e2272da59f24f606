//! What holds for any input.

use proptest::prelude::*;

use super::{CODINGS, Random, inspector};
use crate::{Redaction, Tokens, detectors, redact};

fn tokens() -> Tokens {
    Tokens::new([7; 32])
}

/// Text around secrets: letters, quotes, escapes, codes.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\\n]{0,40}",
        "\\PC{0,20}",
        "[A-Za-z0-9+/=_-]{0,60}",
        "(%[0-9a-f]{2}){0,10}",
        "([0-9a-f]{2}[: ]){0,20}",
        Just("password=\"".to_owned()),
        Just("https://user:".to_owned()),
        Just("Bearer ".to_owned()),
        Just("\u{200b}\u{feff}\\u00".to_owned()),
    ]
}

/// A text with secrets in it, some coded.
fn text() -> impl Strategy<Value = String> {
    let templates: Vec<&'static str> = detectors()
        .flat_map(|detector| detector.positive)
        .copied()
        .collect();
    let secret = (
        proptest::sample::select(templates),
        any::<u64>(),
        0..CODINGS.len() * 2,
    )
        .prop_map(|(template, seed, coding)| {
            let secret = Random(seed).sample(template);
            CODINGS
                .get(coding)
                .map_or(secret.clone(), |(_, coding)| coding(&secret))
        });
    proptest::collection::vec(prop_oneof![noise(), secret], 0..6).prop_map(|parts| parts.join(" "))
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        text().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::json!(4_111_111_111_111_111_u64)),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn redactions() -> impl Strategy<Value = Redaction> {
    let every = prop_oneof![
        Just(None),
        Just(Some(redact::Strategy::Full)),
        Just(Some(redact::Strategy::Partial)),
        Just(Some(redact::Strategy::Tokenised)),
        Just(Some(redact::Strategy::TypePreserving)),
    ];
    every.prop_map(|strategy| Redaction {
        strategies: strategy
            .into_iter()
            .flat_map(|strategy| detectors().map(move |found| (found.id.to_owned(), strategy)))
            .collect(),
    })
}

/// The same values, strings aside.
fn shape(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(list) => {
            format!("[{}]", list.iter().map(shape).collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Object(fields) => {
            format!(
                "{{{}}}",
                fields.values().map(shape).collect::<Vec<_>>().join(",")
            )
        }
        serde_json::Value::String(_) | serde_json::Value::Number(_) => "leaf".to_owned(),
        serde_json::Value::Null | serde_json::Value::Bool(_) => value.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_read_and_ranges_lie_within(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let inspector = inspector();
        for report in [inspector.inspect(&bytes), inspector.inspect_json(&bytes)] {
            for finding in &report.findings {
                prop_assert!(finding.range.start < finding.range.end);
                prop_assert!(finding.range.end <= bytes.len());
            }
            let tokens = tokens();
            let redaction = Redaction::default();
            redact::redact(&bytes, &report.findings, &redaction, &tokens);
            redact::redact_json(&bytes, &report.findings, &redaction, &tokens);
        }
    }

    #[test]
    fn ranges_stand_between_characters(text in text()) {
        let report = inspector().inspect(text.as_bytes());
        for finding in &report.findings {
            prop_assert!(text.get(finding.range.clone()).is_some_and(|part| !part.is_empty()), "{finding:?}");
        }
    }

    #[test]
    fn what_is_redacted_is_gone_and_stays_so(text in text(), redaction in redactions()) {
        let inspector = inspector();
        let tokens = tokens();
        let report = inspector.inspect(text.as_bytes());
        let once = redact::redact(text.as_bytes(), &report.findings, &redaction, &tokens);
        let again = inspector.inspect(&once);
        for finding in &again.findings {
            let place = &once[finding.range.clone()];
            let is_same = report.findings.iter().any(|before| {
                before.detector == finding.detector
                    && text.as_bytes().get(before.range.clone()) == Some(place)
            });
            let is_marked = memchr::memmem::find(place, b"[redacted").is_some();
            let once = String::from_utf8_lossy(&once);
            prop_assert!(!is_same && !is_marked, "{finding:?} after {:?}\n{text}\n{once}", report.findings);
        }
        let twice = redact::redact(&once, &again.findings, &redaction, &tokens);
        let thrice = redact::redact(&twice, &inspector.inspect(&twice).findings, &redaction, &tokens);
        prop_assert_eq!(String::from_utf8_lossy(&thrice), String::from_utf8_lossy(&twice));
    }

    #[test]
    fn redacted_json_is_json_of_the_same_shape(value in json(), redaction in redactions()) {
        let inspector = inspector();
        let json = value.to_string();
        let report = inspector.inspect_json(json.as_bytes());
        for finding in &report.findings {
            prop_assert!(json.get(finding.range.clone()).is_some(), "{finding:?}");
        }
        let redacted = redact::redact_json(json.as_bytes(), &report.findings, &redaction, &tokens());
        let after: Result<serde_json::Value, _> = serde_json::from_slice(&redacted);
        prop_assert!(after.is_ok(), "{json}\n{}", String::from_utf8_lossy(&redacted));
        prop_assert_eq!(shape(&after.unwrap()), shape(&value));
    }
}
