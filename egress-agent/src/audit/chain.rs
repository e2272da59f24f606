//! The hash chain over the lines of the log: sealing and verifying, both pure.
//!
//! A line is one JSON object whose last two members are `prev`, the hash of the line before, and
//! `hash`, the SHA-256 of the line's own bytes up to and without `,"hash":`. Both are 64 lower-case
//! hex digits. The first line of a log has number 1 and 64 zeros as `prev`. The chain runs through
//! rotated files. Checking it needs no knowledge of the records:
//!
//! ```python
//! import hashlib, json, sys
//! prev = None
//! for line in sys.stdin.buffer:
//!     body, _, tail = line.rstrip(b"\n").rpartition(b',"hash":')
//!     record, digest = json.loads(line), hashlib.sha256(body).hexdigest()
//!     assert tail == b'"%s"}' % digest.encode(), "changed"
//!     assert prev in (None, (record["seq"] - 1, record["prev"])), "out of order"
//!     prev = record["seq"], digest
//! ```
//!
//! [`Verifier`] reads no more of a line than that needs, where the line is as the log writes it: that
//! what a right hash covers is a record is for its readers to find out.
//!
//! What is detected: any changed, missing, repeated, swapped or inserted line between the first
//! and the last one that are there. What is not: somebody who may write the file can seal it
//! anew from any line on, and cut lines off its end. For that keep a [`Head`] where they cannot
//! write; the one beside the log (`audit.jsonl.head`) only tells of a cut or an exchange that did
//! not think of it, and may lag the log by a second. Lines cut off the beginning look like
//! rotation, and show in the number of the first record.
//!
//! A crash can leave an unfinished last line. That is not tampering: at the end of a log it is
//! reported as torn, and the next start appends a record of kind `mended` that carries the torn
//! line's length and hash, so that it stays part of what is verified.

mod verify;

use std::{fmt, str::FromStr};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::record::{Before, Record, VERSION};

pub(in crate::audit) use verify::Link;
pub use verify::{Broken, Place, Point, Verified, Verifier, Why};

/// A SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

/// Where a chain has got to: number and hash of its last record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub seq: u64,
    pub hash: Hash,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a SHA-256: expected 64 lower-case hex digits")]
pub struct InvalidHash;

impl Head {
    /// Before the first record.
    pub const START: Self = Self {
        seq: 0,
        hash: Hash([0; 32]),
    };
}

/// Appends `record` to `lines` as the line after `head`, newline included, and says the new head.
/// On an error `lines` is as it was.
pub fn seal(record: &Record, head: Head, lines: &mut Vec<u8>) -> Result<Head, serde_json::Error> {
    seal_after(None, record, head, lines)
}

/// [`seal`] for the first line of a file, which says what the file `before` holds.
pub fn seal_after(
    before: Option<Before>,
    record: &Record,
    head: Head,
    lines: &mut Vec<u8>,
) -> Result<Head, serde_json::Error> {
    let start = lines.len();
    let seq = head.seq.saturating_add(1);
    let open = Open {
        v: VERSION,
        seq,
        record,
        before,
        prev: head.hash,
    };
    if let Err(error) = serde_json::to_writer(&mut *lines, &open) {
        lines.truncate(start);
        return Err(error);
    }
    // The closing brace comes after the hash.
    lines.pop();
    let hash = Hash::of(lines.get(start..).unwrap_or_default());
    lines.extend_from_slice(format!("{SEAL}{hash}{CLOSE}\n").as_bytes());
    Ok(Head { seq, hash })
}

/// Splits a line, without its newline, into what its hash covers and the hash that it claims.
fn unseal(line: &[u8]) -> Option<(&[u8], Hash)> {
    let body = line
        .len()
        .checked_sub(SEAL.len() + Hash::DIGITS + CLOSE.len())?;
    let (body, seal) = line.split_at_checked(body)?;
    let hash = seal
        .strip_prefix(SEAL.as_bytes())?
        .strip_suffix(CLOSE.as_bytes())?;
    Some((body, Hash::read(hash)?))
}

const SEAL: &str = r#","hash":""#;
const CLOSE: &str = r#""}"#;

#[derive(Serialize)]
struct Open<'a> {
    v: u32,
    seq: u64,
    #[serde(flatten)]
    record: &'a Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
    prev: Hash,
}

impl Hash {
    /// Hexadecimal digits of one.
    pub(super) const DIGITS: usize = 64;

    /// From lower-case hexadecimal digits.
    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        if digits.len() != Self::DIGITS {
            return None;
        }
        data_encoding::HEXLOWER.decode_mut(digits, &mut hash).ok()?;
        Some(Self(hash))
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        Self::read(text.as_bytes()).ok_or(InvalidHash)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Hash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A SHA-256 in hex.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

#[cfg(test)]
mod tests;
