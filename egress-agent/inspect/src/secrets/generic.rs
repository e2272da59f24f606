//! Secrets without a form of their own, by what stands around them.

use super::{Detector, Edge, Search, TOKEN, check};
use std::ops::Range;

use crate::{
    finding::{Confidence, Severity},
    view::words::is_alnum,
};

pub(super) const ALL: &[Detector] = &[BEARER, BASIC, URL, ASSIGNMENT, ENVIRONMENT, ENTROPY];

/// *What it does*: finds tokens after `Bearer` (RFC 6750). *Why it matters*: until it ends, it
/// acts as its subject. *Known gaps*: tokens of fewer than 16 signs. *Example*: `Authorization:
/// Bearer` and a token.
const BEARER: Detector = Detector {
    id: "bearer-token",
    what: "a bearer token",
    severity: Severity::High,
    keywords: &["bearer "],
    search: Search::Pattern(r"(?i:bearer) {1,3}([A-Za-z0-9._~+/-]{16,}=*)"),
    check: Some(check::bearer),
    is_generic: true,
    positive: &[
        "Authorization: Bearer <an:32>",
        "-H 'authorization: bearer <url:64>'",
    ],
    negative: &[
        "Bearer abc",
        "Bearer $TOKEN",
        "the bearer authentication-scheme",
    ],
    ..TOKEN
};

/// *What it does*: finds names and passwords after `Basic` (RFC 7617). *Why it matters*: base64
/// hides nothing. *Known gaps*: credentials that are not UTF-8. *Example*: `Authorization: Basic`
/// and base64 of `name:password`.
const BASIC: Detector = Detector {
    id: "basic-authorization",
    what: "a name and a password",
    severity: Severity::High,
    keywords: &["basic "],
    search: Search::Pattern(r"(?i:basic) {1,3}([A-Za-z0-9+/_-]{8,}=*)"),
    check: Some(check::basic),
    is_generic: true,
    positive: &["Authorization: Basic <basic>"],
    negative: &["basic authentication", "Basic dXNlcg=="],
    ..TOKEN
};

/// *What it does*: finds the password in the address of any scheme. *Why it matters*: whoever
/// reads the address signs in. *Known gaps*: a name without a password. *Example*: `https://name:`
/// a password `@host`.
const URL: Detector = Detector {
    id: "url-credentials",
    what: "a password in an address",
    severity: Severity::High,
    keywords: &["://"],
    search: Search::Pattern(
        r#"://[^\s/?#:@"'<>\xff]{1,64}:([^\s/?#@"'<>\xff]{3,128})@[A-Za-z0-9\[]"#,
    ),
    edge: Edge::Any,
    check: Some(check::password),
    is_generic: true,
    positive: &[
        "https://bob:<an:12>@example.com/x",
        "ftp://u:<an:20>@10.0.0.1",
    ],
    negative: &[
        "https://example.com:8080/a@b",
        "https://$USER:$PASS@host",
        "http://user:password@example.com",
    ],
    ..TOKEN
};

/// *What it does*: finds values that are given to a name for secrets, in any language. *Why it
/// matters*: somebody called it a secret. *Known gaps*: values without digits or signs, and values
/// of fewer than eight signs. *Example*: `password = "` a value `"`.
const ASSIGNMENT: Detector = Detector {
    id: "secret-assignment",
    what: "the value of a secret",
    severity: Severity::High,
    confidence: Confidence::Medium,
    keywords: &[
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "api_key",
        "apikey",
        "api-key",
        "access_key",
        "accesskey",
        "auth_key",
        "authkey",
        "private_key",
        "encryption_key",
        "signing_key",
        "credential",
        "api key",
    ],
    search: Search::Given(
        r#"(?i:password|passwd|passphrase|pwd|secret|token|api[ _-]?key|access_?key|auth_?key|private_key|encryption_key|signing_key|credentials?)[A-Za-z0-9_-]{0,24}["'\]\\]{0,3}\s{0,3}(?::=|=>|[:=])\s{0,3}\\?["'`]?"#,
        r"[A-Za-z0-9+/=_.~!@#$%^&*:-]{8,128}",
    ),
    edge: Edge::Any,
    check: Some(check::value),
    is_generic: true,
    positive: &[
        r#"password = "<an:16>""#,
        "api_key: <an:32>",
        r#""client_secret": "<an:24>""#,
        "--token=<hex:40>",
        "DB_PASSWORD=<an:12>!",
    ],
    negative: &[
        "password: string",
        "token = get_token(user)",
        "secret = os.environ['X1']",
        "api_key = YOUR_API_KEY_1",
        "password=***REDACTED***",
        "const tokenTypes = 12345678",
    ],
    ..TOKEN
};

/// *What it does*: finds values that are given to a variable whose name ends in `KEY`, `PASS`,
/// `PAT` or `DSN`. *Why it matters*: somebody called it a secret. *Known gaps*: values without
/// digits or signs. *Example*: `export SERVICE_KEY=` and a value.
const ENVIRONMENT: Detector = Detector {
    id: "environment-assignment",
    what: "the value of a secret",
    severity: Severity::High,
    confidence: Confidence::Medium,
    keywords: &[
        "_KEY=",
        "_PASS=",
        "_PAT=",
        "_DSN=",
        "_PW=",
        "_AUTH=",
        "_CREDENTIALS=",
    ],
    search: Search::Given(
        r#"_(?:KEY|PASS|PAT|DSN|PW|AUTH|CREDENTIALS)=["']?"#,
        r"[A-Za-z0-9+/=_.~!@#$%^&*:-]{12,128}",
    ),
    edge: Edge::Any,
    check: Some(check::value),
    is_generic: true,
    positive: &[
        "export SERVICE_KEY=<an:24>",
        "ADMIN_PASS=<an:16>",
        "MY_PAT=<an:40>",
    ],
    negative: &[
        "SORT_KEY=name",
        "SERVICE_KEY=$VALUE",
        "FOO_KEY=/usr/share/x1/key.pem",
    ],
    ..TOKEN
};

/// *What it does*: finds words of 24 to 128 letters and digits that look random. *Why it matters*:
/// secrets without a form look so; so do many harmless things, hence the low confidence. *Known
/// gaps*: hexadecimal words (hashes), UUIDs, and pieces of longer base64. *Example*: 32 random
/// letters and digits.
const ENTROPY: Detector = Detector {
    id: "high-entropy",
    what: "random characters",
    severity: Severity::Low,
    confidence: Confidence::Low,
    keywords: &[],
    search: Search::Word(entropy),
    is_generic: true,
    positive: &["<an:40>", "x <an:32> y"],
    negative: &[
        "<hex:40>",
        "SomeVeryLongIdentifierName2Case",
        "<hex:8>-<hex:4>-<hex:4>-<hex:4>-<hex:12>",
    ],
    ..TOKEN
};

/// A word that looks random and is no part of a longer code.
fn entropy(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let text = bytes.get(word.clone())?;
    if !(24..=128).contains(&text.len()) {
        return None;
    }
    let is_code = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(|byte| b"+/=".contains(byte))
    };
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let upper = count(u8::is_ascii_uppercase);
    let lower = count(u8::is_ascii_lowercase);
    let is_mixed = digits >= 2 && upper >= 3 && lower >= 3;
    // Names change between letters and digits rarely, random words all the time.
    let changes = text
        .windows(2)
        .filter(
            |two| matches!(two, [a, b] if is_alnum(*a) && is_alnum(*b) && group(*a) != group(*b)),
        )
        .count();
    let is_random = is_mixed && changes * 3 >= text.len() && check::entropy(text) >= 3.8;
    let is_piece = is_code(word.start.checked_sub(1)) && is_code(Some(word.end));
    (is_random && !is_piece).then(|| word.clone())
}

fn group(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}
