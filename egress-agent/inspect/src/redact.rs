//! Takes found things out of a text, and leaves the text what it was: JSON stays JSON.
//!
//! What stands in place of a secret is never a secret to the detectors again, so redacting twice
//! changes nothing more.

use std::{collections::BTreeMap, fmt, ops::Range};

use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    finding::{Finding, Severity},
    json, secrets,
};

/// What stands in place of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// `[redacted]`
    Full,
    /// The first and last four characters of what has at least 12; otherwise as `Full`.
    Partial,
    /// `[redacted openai-key #5f1c9a70b2d4]`: the same number for the same secret in a session.
    Tokenised,
    /// The issuer's prefix and `[redacted]`, or the same shape without its letters and digits.
    TypePreserving,
}

/// Which strategy each detector gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redaction {
    /// By detector; the others get [`default_strategy`].
    pub strategies: BTreeMap<String, Strategy>,
}

/// Numbers for secrets: the same within a session, unlike in any other, whichever detector found
/// them. Keeps no secret. A secret that is coded has the number of its code.
#[derive(Clone)]
pub struct Tokens {
    mac: Hmac<Sha256>,
}

/// Signs of a number, hexadecimal.
const NUMBER: usize = 12;
/// What [`Strategy::Partial`] keeps at each end.
const KEPT: usize = 4;
const BLANK: &str = "[redacted]";

/// One place to redact: findings that overlap, under the name of the worst.
#[derive(Debug)]
struct Span<'a> {
    range: Range<usize>,
    detector: &'a str,
    severity: Severity,
}

/// Redacts any text. Ranges outside of it are left out.
pub fn redact(
    bytes: &[u8],
    findings: &[Finding],
    redaction: &Redaction,
    tokens: &Tokens,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for span in spans(bytes, findings) {
        out.extend_from_slice(bytes.get(done..span.range.start).unwrap_or_default());
        let secret = bytes.get(span.range.clone()).unwrap_or_default();
        out.extend_from_slice(&redaction.replace(span.detector, secret, tokens));
        done = span.range.end;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out
}

/// Redacts JSON: within the strings that a finding touches, a number as a whole. Names of fields
/// are redacted only where nothing else is found, and always become numbers.
pub fn redact_json(
    bytes: &[u8],
    findings: &[Finding],
    redaction: &Redaction,
    tokens: &Tokens,
) -> Vec<u8> {
    let spans = spans(bytes, findings);
    let mut writer = Writer {
        bytes,
        out: Vec::with_capacity(bytes.len()),
        done: 0,
        redaction,
        tokens,
    };
    let mut next = 0;
    for token in json::tokens(bytes) {
        while spans
            .get(next)
            .is_some_and(|span| span.range.end <= token.range.start)
        {
            next += 1;
        }
        let touching = spans.get(next..).unwrap_or_default().iter();
        let touching = touching.take_while(|span| span.range.start < token.range.end);
        match token.shape {
            json::Shape::Bare => {
                let mut within = touching.filter(|span| {
                    span.range.start >= token.range.start && span.range.end <= token.range.end
                });
                if let Some(span) = within.next() {
                    writer.bare(&token.range, span.detector);
                }
            }
            json::Shape::String { is_key, .. } => {
                let mut at = token.range.start;
                for span in touching {
                    // A span that goes on beyond a name was found in the values.
                    let is_beyond = span.range.start < token.range.start.saturating_sub(1)
                        || span.range.end > token.range.end + 1;
                    if is_key && is_beyond {
                        continue;
                    }
                    let start = span.range.start.max(token.range.start);
                    let end = span.range.end.min(token.range.end);
                    at = writer.string(&token, at, start..end, span.detector);
                }
            }
        }
    }
    writer.finish()
}

/// Where patterns fit the strings, the names and the other values of JSON within a part of it, each
/// by itself. Ranges are bytes of `json`.
pub fn located(json: &[u8], within: &Range<usize>, patterns: &[Regex]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for token in json::tokens(json) {
        if token.range.start < within.start || token.range.end > within.end {
            continue;
        }
        let (text, marks) = json::decode(json, &token.range);
        let found = patterns.iter().flat_map(|pattern| pattern.find_iter(&text));
        let found = found.filter(|found| !found.is_empty());
        ranges.extend(
            found.map(|found| {
                json::origin(&marks, found.start())..json::origin(&marks, found.end())
            }),
        );
    }
    ranges
}

/// What a detector gets when nothing else is said: tokens keep the prefix that tells their
/// issuer, cards and accounts their ends, everything else becomes a number.
pub fn default_strategy(detector: &str) -> Strategy {
    match detector {
        "payment-card" | "iban" => Strategy::Partial,
        _ if is_token(detector) => Strategy::TypePreserving,
        _ => Strategy::Tokenised,
    }
}

impl Redaction {
    fn strategy(&self, detector: &str) -> Strategy {
        let chosen = self.strategies.get(detector).copied();
        chosen.unwrap_or_else(|| default_strategy(detector))
    }

    /// What stands in place of a secret: printable ASCII without quotes and backslashes.
    fn replace(&self, detector: &str, secret: &[u8], tokens: &Tokens) -> Vec<u8> {
        if is_redacted(secret) {
            return secret.to_vec();
        }
        let text = match self.strategy(detector) {
            Strategy::Full => BLANK.to_owned(),
            Strategy::Partial => partial(secret),
            Strategy::Tokenised => return tokenised(detector, secret, tokens),
            Strategy::TypePreserving => prefix(detector, secret)
                .map_or_else(|| shape(secret), |prefix| format!("{prefix}{BLANK}")),
        };
        text.into_bytes()
    }
}

impl Tokens {
    /// `key` is random and lives as long as the session.
    pub fn new(key: [u8; 32]) -> Self {
        // HMAC fills shorter keys up with zeros (RFC 2104); a whole block cannot be refused.
        let [first, second] = [key, [0; 32]];
        let mut block = [0; 64];
        for (place, byte) in block.iter_mut().zip(first.into_iter().chain(second)) {
            *place = byte;
        }
        Self {
            mac: Hmac::new(&block.into()),
        }
    }

    fn number(&self, secret: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(secret);
        let hash = mac.finalize().into_bytes();
        let mut number = data_encoding::HEXLOWER.encode(&hash);
        number.truncate(NUMBER);
        number
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

struct Writer<'a> {
    bytes: &'a [u8],
    out: Vec<u8>,
    done: usize,
    redaction: &'a Redaction,
    tokens: &'a Tokens,
}

impl Writer<'_> {
    fn bare(&mut self, token: &Range<usize>, detector: &str) {
        let number = self.bytes.get(token.clone()).unwrap_or_default();
        let text = match self.redaction.strategy(detector) {
            Strategy::TypePreserving => b"0".to_vec(),
            Strategy::Full | Strategy::Partial | Strategy::Tokenised => {
                let text = self.redaction.replace(detector, number, self.tokens);
                [b"\"".as_slice(), &text, b"\""].concat()
            }
        };
        self.put(token.clone(), &text);
    }

    /// Redacts a part of a string; escapes before `at` are known. Gives the next `at`.
    fn string(
        &mut self,
        token: &json::Token,
        at: usize,
        range: Range<usize>,
        detector: &str,
    ) -> usize {
        let rest = at..token.range.end;
        let (range, at) = json::widen(self.bytes, &rest, range);
        if range.start >= range.end || range.start < self.done {
            return at;
        }
        let secret = self.bytes.get(range.clone()).unwrap_or_default();
        // Two names that become the same would be one field.
        let text = match token.shape {
            json::Shape::String { is_key: true, .. } => tokenised(detector, secret, self.tokens),
            json::Shape::String { .. } | json::Shape::Bare => {
                self.redaction.replace(detector, secret, self.tokens)
            }
        };
        self.put(range, &text);
        at
    }

    fn put(&mut self, range: Range<usize>, text: &[u8]) {
        self.out
            .extend_from_slice(self.bytes.get(self.done..range.start).unwrap_or_default());
        self.out.extend_from_slice(text);
        self.done = range.end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.out
            .extend_from_slice(self.bytes.get(self.done..).unwrap_or_default());
        self.out
    }
}

/// The places in order, without overlap.
fn spans<'a>(bytes: &[u8], findings: &'a [Finding]) -> Vec<Span<'a>> {
    let mut findings: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.range.start < finding.range.end)
        .filter(|finding| finding.range.end <= bytes.len())
        .collect();
    findings.sort_by_key(|finding| (finding.range.start, finding.range.end));
    let mut spans: Vec<Span<'_>> = Vec::new();
    for finding in findings {
        match spans.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                last.range.end = last.range.end.max(finding.range.end);
                if finding.severity > last.severity {
                    last.severity = finding.severity;
                    last.detector = &finding.detector;
                }
            }
            _ => spans.push(Span {
                range: finding.range.clone(),
                detector: &finding.detector,
                severity: finding.severity,
            }),
        }
    }
    spans
}

fn tokenised(detector: &str, secret: &[u8], tokens: &Tokens) -> Vec<u8> {
    if is_redacted(secret) {
        return secret.to_vec();
    }
    format!("[redacted {detector} #{}]", tokens.number(secret)).into_bytes()
}

fn partial(secret: &[u8]) -> String {
    let text = String::from_utf8_lossy(secret);
    let count = text.chars().count();
    let is_plain = |sign: char| sign.is_ascii_graphic() && sign != '"' && sign != '\\';
    if count < 3 * KEPT {
        return BLANK.to_owned();
    }
    let mut kept = String::new();
    kept.extend(text.chars().take(KEPT).filter(|sign| is_plain(*sign)));
    kept.push_str(BLANK);
    kept.extend(
        text.chars()
            .skip(count - KEPT)
            .filter(|sign| is_plain(*sign)),
    );
    kept
}

/// Whether a detector finds tokens that begin with what their issuer gave them.
fn is_token(detector: &str) -> bool {
    let mut found = secrets::detectors().filter(|found| found.id == detector);
    found.any(|found| {
        !found.is_optional && found.keywords.first().is_some_and(|first| is_prefix(first))
    })
}

/// The issuer's prefix, when the secret begins with it.
fn prefix(detector: &str, secret: &[u8]) -> Option<&'static str> {
    keywords(detector)
        .filter(|keyword| is_prefix(keyword) && secret.starts_with(keyword.as_bytes()))
        .max_by_key(|keyword| keyword.len())
}

/// Whether a keyword is the fixed beginning of a token and no name for it.
fn is_prefix(keyword: &str) -> bool {
    keyword.len() <= 12
        && (keyword.ends_with(['_', '-', '.'])
            || keyword.bytes().all(|byte| byte.is_ascii_uppercase()))
}

fn keywords(detector: &str) -> impl Iterator<Item = &'static str> {
    let found = secrets::detectors().find(|found| found.id == detector);
    found.into_iter().flat_map(|found| found.keywords).copied()
}

/// The text with its letters and digits worn off.
fn shape(secret: &[u8]) -> String {
    let worn = |sign: char| match sign {
        '0'..='9' => '0',
        'A'..='Z' => 'X',
        '"' | '\\' => '_',
        ' '..='~' if !sign.is_ascii_alphabetic() => sign,
        _ => 'x',
    };
    String::from_utf8_lossy(secret).chars().map(worn).collect()
}

/// Whether everything but the ends was redacted before: that stays.
fn is_redacted(secret: &[u8]) -> bool {
    let Some(start) = memchr::memmem::find(secret, b"[redacted") else {
        return false;
    };
    let end = memchr::memrchr(b']', secret).unwrap_or_default();
    start <= 12 && secret.len().saturating_sub(end) <= KEPT + 1
}

#[cfg(test)]
mod tests;
