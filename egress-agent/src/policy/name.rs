//! Names of hosts, in the one spelling that every layer compares.
//!
//! A name is what the DNS carries after normalisation: lower-case A-labels (RFC 5890), no final
//! dot, letters, digits, `-` and `_` only. It refuses what a C library would take for an address
//! (`10.1`, `0x7f.1`), because such text never reaches a resolver.
//!
//! ```
//! use egress_agent::policy::Name;
//! assert_eq!(Name::parse("GitHub.com.").unwrap().as_str(), "github.com");
//! assert_eq!(Name::parse("bücher.example").unwrap().as_str(), "xn--bcher-kva.example");
//! assert!(Name::parse("10.1").is_err());
//! ```

use std::{
    borrow::{Borrow, Cow},
    fmt,
    ops::Deref,
    sync::Arc,
};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Octets of a name as text without its final dot (RFC 1035 section 3.1 less length octets).
pub const MAX_NAME: usize = 253;
/// Octets of one label (RFC 1035 section 3.1).
const MAX_LABEL: usize = 63;
/// No spelling of a valid name is longer; bounds the work on hostile text.
const MAX_TEXT: usize = 4 * MAX_NAME;

/// A DNS name: lower-case A-labels without the final dot. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_NAME} characters")]
    TooLong,
    #[error("it has an empty label (two dots in a row, or one at the start)")]
    EmptyLabel,
    #[error("one of its labels is longer than {MAX_LABEL} characters")]
    LabelTooLong,
    #[error("`{}` cannot stand in a name", .0.escape_debug())]
    Character(char),
    #[error("it ends in a number, so programs read it as an IP address")]
    Number,
    #[error("it has no valid international form (IDNA)")]
    Idna,
}

impl Name {
    /// Reads a name in any case, with or without the final dot, in Unicode or as A-labels.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.len() > MAX_TEXT {
            return Err(InvalidName::TooLong);
        }
        let ascii = to_ascii(text)?;
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
        check(ascii)?;
        Ok(Self(ascii.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names above this one, nearest first: `b.c`, then `c`, for `a.b.c`.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(parent(&self.0), |name| parent(name))
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

fn to_ascii(text: &str) -> Result<Cow<'_, str>, InvalidName> {
    // A-labels go through IDNA too: it refuses the ones that stand for nothing.
    let has_a_label = || text.split('.').any(|label| label.starts_with("xn--"));
    let is_plain = |b: u8| b.is_ascii() && !b.is_ascii_uppercase();
    if text.bytes().all(is_plain) && !has_a_label() {
        return Ok(Cow::Borrowed(text));
    }
    Uts46::new()
        .to_ascii(
            text.as_bytes(),
            AsciiDenyList::EMPTY,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .map_err(|idna::Errors { .. }| InvalidName::Idna)
}

fn check(ascii: &str) -> Result<(), InvalidName> {
    if ascii.is_empty() {
        return Err(InvalidName::Empty);
    }
    let mut last = "";
    for label in ascii.split('.') {
        if label.is_empty() {
            return Err(InvalidName::EmptyLabel);
        }
        let stray = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
        if let Some(stray) = label.chars().find(stray) {
            return Err(InvalidName::Character(stray));
        }
        if label.len() > MAX_LABEL {
            return Err(InvalidName::LabelTooLong);
        }
        last = label;
    }
    if ascii.len() > MAX_NAME {
        return Err(InvalidName::TooLong);
    }
    // inet_aton(3) reads decimal, octal and 0x numbers.
    let digits = last.strip_prefix("0x").unwrap_or(last);
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || (digits.len() < last.len() && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number {
        return Err(InvalidName::Number);
    }
    Ok(())
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, InvalidName>) {
        let got = Name::parse(text);
        assert_eq!(got.as_ref().map(Name::as_str), expected.as_ref().copied());
    }

    #[test]
    fn every_spelling_of_a_name_becomes_one() {
        check("github.com", Ok("github.com"));
        check("GitHub.COM.", Ok("github.com"));
        check("BÜCHER.example", Ok("xn--bcher-kva.example"));
        check("xn--bcher-kva.example", Ok("xn--bcher-kva.example"));
        check("XN--BCHER-KVA.example", Ok("xn--bcher-kva.example"));
        check("example\u{3002}com", Ok("example.com"));
        check("_dmarc.example", Ok("_dmarc.example"));
        check("r3---sn-a5m.example", Ok("r3---sn-a5m.example"));
        check("localhost", Ok("localhost"));
        check("4.3.2.1.in-addr.arpa", Ok("4.3.2.1.in-addr.arpa"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        check("", Err(InvalidName::Empty));
        check(".", Err(InvalidName::Empty));
        check("a..b", Err(InvalidName::EmptyLabel));
        check(".a", Err(InvalidName::EmptyLabel));
        check("a.b..", Err(InvalidName::EmptyLabel));
        check("*.a", Err(InvalidName::Character('*')));
        check("a b", Err(InvalidName::Character(' ')));
        check("a\0b", Err(InvalidName::Character('\0')));
        check("https://a", Err(InvalidName::Character(':')));
        check("10.0.0.1", Err(InvalidName::Number));
        check("127.1", Err(InvalidName::Number));
        check("a.0x7f", Err(InvalidName::Number));
        check("xn--a.example", Err(InvalidName::Idna));
        check(&"a".repeat(64), Err(InvalidName::LabelTooLong));
        let longest = format!("{}a", "a.".repeat(126));
        check(&longest, Ok(&longest));
        check(&format!("{longest}a"), Err(InvalidName::TooLong));
        check(&"a.".repeat(128), Err(InvalidName::TooLong));
        check(&"a".repeat(100_000), Err(InvalidName::TooLong));
    }

    #[test]
    fn parents_go_from_near_to_far() {
        let name = Name::parse("a.b.c").unwrap();
        assert_eq!(name.parents().collect::<Vec<_>>(), ["b.c", "c"]);
    }
}
