//! Private keys and signed tokens.

use super::{Detector, Edge, Search, TOKEN, check};
use std::ops::Range;

use memchr::memmem;

use crate::{finding::Severity, view::words::is_alnum};

pub(super) const ALL: &[Detector] = &[PRIVATE_KEY, PUTTY, AGE, JWT];

/// *What it does*: finds PEM of every kind of private key (RFC 7468): PKCS#1, PKCS#8, SEC1, DSA,
/// OpenSSH, encrypted, PGP. *Why it matters*: whoever holds it is its owner: for servers,
/// signatures or letters. *Known gaps*: keys in DER. *Example*: `-----BEGIN OPENSSH PRIVATE
/// KEY-----`.
const PRIVATE_KEY: Detector = Detector {
    id: "private-key",
    what: "a private key",
    keywords: &["-----BEGIN "],
    search: Search::Hand(pem),
    edge: Edge::Any,
    positive: &[
        r"-----BEGIN RSA PRIVATE KEY-----\n<b64:64>\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    ],
    negative: &["-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----"],
    ..TOKEN
};

/// *What it does*: finds key files of `PuTTY`. *Why it matters*: whoever holds it is its owner: for
/// servers, signatures or letters. *Known gaps*: none known. *Example*: `PuTTY-User-Key-File-3:
/// ssh-ed25519`.
const PUTTY: Detector = Detector {
    id: "putty-key",
    what: "a private key",
    keywords: &["PuTTY-User-Key-File-"],
    search: Search::Pattern(r"PuTTY-User-Key-File-[0-9]: [a-z0-9-]{3,40}"),
    edge: Edge::Any,
    positive: &[
        "PuTTY-User-Key-File-3: ssh-ed25519",
        "PuTTY-User-Key-File-2: ssh-rsa",
    ],
    negative: &["PuTTY-User-Key-File-x"],
    ..TOKEN
};

/// *What it does*: finds identities of age (Bech32 in capitals). *Why it matters*: whoever holds
/// it reads what was encrypted to it. *Known gaps*: none known. *Example*: `AGE-SECRET-KEY-1` and
/// 58 signs.
const AGE: Detector = Detector {
    id: "age-secret-key",
    what: "an age secret key",
    keywords: &["AGE-SECRET-KEY-"],
    search: Search::Pattern(r"AGE-SECRET-KEY-(?:PQ-)?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58,}"),
    edge: Edge::Any,
    positive: &["AGE-SECRET-KEY-1<age:58>"],
    negative: &["AGE-SECRET-KEY-1X"],
    ..TOKEN
};

/// *What it does*: finds signed tokens whose header names an algorithm. *Why it matters*: until it
/// ends, it acts as its subject. *Known gaps*: encrypted tokens (five parts) are found, opaque
/// ones are not. *Example*: base64 of `{"alg":"HS256"}`, `.`, base64 of the claims, `.`, the
/// signature.
const JWT: Detector = Detector {
    id: "json-web-token",
    what: "a JSON web token",
    severity: Severity::High,
    keywords: &["eyJ"],
    search: Search::Hand(jwt),
    check: Some(check::jwt),
    positive: &["<jwt>", "token: <jwt>;"],
    negative: &["eyJhbGciOiJIUzI1NiJ9", "eyJ<an:20>.eyJ<an:20>.<an:20>"],
    ..TOKEN
};

/// From the first line to the last, or to the end of what stands there.
fn pem(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    const DASHES: &[u8] = b"-----";
    let label = start + b"-----BEGIN ".len();
    let line = bytes.get(label..bytes.len().min(label + 64))?;
    let length = memmem::find(line, DASHES)?;
    let name = line.get(..length)?;
    let is_name = name
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || b" 0123456789".contains(byte));
    if !is_name || memmem::find(name, b"PRIVATE KEY").is_none() {
        return None;
    }
    let body = label + length + DASHES.len();
    let rest = bytes.get(body..)?;
    // The next dashes are those of the last line, or of another key.
    let Some(end) = memmem::find(rest, DASHES) else {
        let is_body = |byte: &&u8| is_alnum(**byte) || b"+/= \r\n\t\\:,-".contains(byte);
        return Some(start..body + rest.iter().take_while(is_body).count());
    };
    let end = body + end;
    if !bytes.get(end..)?.starts_with(b"-----END ") {
        return Some(start..end);
    }
    let tail = bytes.get(end + 9..bytes.len().min(end + 80))?;
    let tail = memmem::find(tail, DASHES).map_or(9, |tail| 9 + tail + DASHES.len());
    Some(start..end + tail)
}

/// Three parts or five of base64 for URLs.
fn jwt(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let is_sign = |byte: &&u8| is_alnum(**byte) || matches!(byte, b'-' | b'_');
    if start
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .is_some_and(|byte| is_sign(&byte))
    {
        return None;
    }
    let mut end = start;
    let mut parts = 0;
    for part in 0..5 {
        if part > 0 {
            if bytes.get(end) != Some(&b'.') {
                break;
            }
            end += 1;
        }
        end += bytes.get(end..)?.iter().take_while(is_sign).count();
        parts = part + 1;
    }
    let is_token = parts >= 3 && end - start >= 40;
    is_token.then_some(start..end)
}
