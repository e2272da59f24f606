//! Services that watch, plan and draw.

use super::{Detector, Edge, Search, TOKEN, check, near};
use std::ops::Range;

use crate::finding::Severity;

pub(super) const ALL: &[Detector] = &[
    NEW_RELIC,
    NEW_RELIC_LICENCE,
    DATADOG,
    SENTRY,
    NOTION,
    FIGMA,
    POSTMAN,
];

/// *What it does*: finds keys of users, browsers and the insert API. *Why it matters*: whoever
/// holds it reads what its owner measures and writes, and often changes it. *Known gaps*: none
/// known. *Example*: `NRAK-` and 27 capital letters and digits.
const NEW_RELIC: Detector = Detector {
    id: "new-relic-key",
    what: "a New Relic key",
    severity: Severity::High,
    keywords: &["NRAK-", "NRJS-", "NRII-", "NRIQ-"],
    search: Search::Pattern(r"NR(?:AK-[A-Z0-9]{27}|JS-[a-f0-9]{19}|I[IQ]-[A-Za-z0-9_-]{32})"),
    edge: Edge::Any,
    positive: &["NRAK-<up:27>", "NRJS-<hex:19>", "NRII-<url:32>"],
    negative: &["NRAK-x"],
    ..TOKEN
};

/// *What it does*: finds licence keys, which write data. *Why it matters*: whoever holds it writes
/// data at its owner's cost. *Known gaps*: licence keys from before the ending. *Example*: 36
/// letters and digits and `NRAL`.
const NEW_RELIC_LICENCE: Detector = Detector {
    id: "new-relic-licence",
    what: "a New Relic licence key",
    severity: Severity::High,
    keywords: &["NRAL"],
    search: Search::Hand(licence),
    edge: Edge::Any,
    positive: &["<hex:36>NRAL", "NEW_RELIC_LICENSE_KEY=<hex:32>FFFFNRAL"],
    negative: &["NRAL", "SNRAL"],
    ..TOKEN
};

/// *What it does*: finds API and application keys that are given to a name with `datadog` or `DD_`
/// in it. *Why it matters*: whoever holds it reads what its owner measures and writes, and often
/// changes it. *Known gaps*: keys without the name near them. *Example*: `DD_API_KEY=` and 32
/// hexadecimal digits.
const DATADOG: Detector = Detector {
    id: "datadog-key",
    what: "a Datadog key",
    severity: Severity::High,
    keywords: &["datadog", "dd_api", "dd_app", "dd-api", "dd-app"],
    search: Search::Given(
        near!("datadog|dd[_-](?:api|app)"),
        r"(?:[0-9a-f]{40}|[0-9a-f]{32})\b",
    ),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &["DD_API_KEY=<hex:32>", "datadog_app_key: <hex:40>"],
    negative: &["datadog: on", "add_api_key = x"],
    ..TOKEN
};

/// *What it does*: finds tokens of organisations and of users. *Why it matters*: whoever holds it
/// reads what its owner measures and writes, and often changes it. *Known gaps*: older user tokens
/// (64 hexadecimal digits). *Example*: `sntrys_` and base64 of JSON, `_`, 43 signs.
const SENTRY: Detector = Detector {
    id: "sentry-token",
    what: "a Sentry token",
    severity: Severity::High,
    keywords: &["sntrys_", "sntryu_"],
    search: Search::Pattern(r"sntry(?:s_eyJ[A-Za-z0-9+/=_-]{40,}|u_[a-f0-9]{64})"),
    edge: Edge::Any,
    positive: &["sntrys_eyJ<an:130>=_<b64:43>", "sntryu_<hex:64>"],
    negative: &["sntrys_x"],
    ..TOKEN
};

/// *What it does*: finds tokens of integrations, also with the old prefix. *Why it matters*:
/// whoever holds it reads what its owner measures and writes, and often changes it. *Known gaps*:
/// none known. *Example*: `ntn_` and at least 40 letters and digits.
const NOTION: Detector = Detector {
    id: "notion-token",
    what: "a Notion token",
    severity: Severity::High,
    keywords: &["ntn_", "secret_"],
    search: Search::Pattern(r"(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}\b)"),
    check: Some(check::random),
    positive: &["ntn_<dig:11><an:35>", "secret_<an:43>"],
    negative: &["secret_key_base", "secret_<let:43>"],
    ..TOKEN
};

/// *What it does*: finds personal and OAuth tokens. *Why it matters*: whoever holds it reads what
/// its owner measures and writes, and often changes it. *Known gaps*: none known. *Example*:
/// `figd_` and 40 letters, digits, `-` and `_`.
const FIGMA: Detector = Detector {
    id: "figma-token",
    what: "a Figma token",
    severity: Severity::High,
    keywords: &["figd_", "figo_", "figu_", "figoh_", "figor_"],
    search: Search::Pattern(r"fig(?:[dou]|oh|or)_[A-Za-z0-9_-]{36,}"),
    edge: Edge::Any,
    positive: &["figd_<url:40>", "figu_<url:40>"],
    negative: &["figd_x"],
    ..TOKEN
};

/// *What it does*: finds API keys. *Why it matters*: whoever holds it reads collections, and the
/// secrets in their environments. *Known gaps*: none known. *Example*: `PMAK-`, 24 and 34
/// hexadecimal digits.
const POSTMAN: Detector = Detector {
    id: "postman-key",
    what: "a Postman key",
    severity: Severity::High,
    keywords: &["PMAK-"],
    search: Search::Pattern(r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    edge: Edge::Any,
    positive: &["PMAK-<hex:24>-<hex:34>"],
    negative: &["PMAK-x"],
    ..TOKEN
};

/// Walks back over the 36 signs before the ending.
fn licence(bytes: &[u8], end: usize) -> Option<Range<usize>> {
    let start = end.checked_sub(36)?;
    let is_sign = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'A'..=b'F');
    bytes
        .get(start..end)?
        .iter()
        .all(is_sign)
        .then_some(start..end + 4)
}
