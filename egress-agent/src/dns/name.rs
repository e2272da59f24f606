//! Names as egressd compares them: lower-case A-labels, no final dot.
//!
//! A label holds letters, digits, `-` and `_` only. Other bytes are legal in DNS and in no host
//! name; refusing them means that two layers cannot read one name differently.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest name in text form (RFC 1035 2.3.4: 255 octets on the wire).
pub const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A name. Cheap to copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("the name is empty; name at least one label")]
    Empty,
    #[error("the name has more than {MAX_NAME} characters; DNS carries no longer one")]
    TooLong,
    #[error("a label is empty or has more than {MAX_LABEL} characters")]
    Label,
    #[error("`{}` cannot stand in a host name; write letters, digits, `-` and `_`, other scripts as A-labels", .0.escape_ascii())]
    Character(u8),
}

impl Name {
    /// Reads a name in any case, with or without its final dot.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        check(text)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// Says whether `text`, without a final dot, is a name in any case.
fn check(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(InvalidName::TooLong);
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(InvalidName::Label);
        }
        if let Some(byte) = label.bytes().find(|byte| !is_name_byte(*byte)) {
            return Err(InvalidName::Character(byte));
        }
    }
    Ok(())
}

/// Whether the byte may stand in a label.
pub(super) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
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
        write!(f, "`{}`", self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Result<&str, InvalidName>) {
        let got = Name::parse(text);
        assert_eq!(&got.as_deref().map_err(Clone::clone), expected, "{text:?}");
    }

    #[test]
    fn a_name_has_one_spelling() {
        check("GitHub.COM.", &Ok("github.com"));
        check(
            "_acme-challenge.a1.example",
            &Ok("_acme-challenge.a1.example"),
        );
        check("xn--bcher-kva.example", &Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        check("", &Err(InvalidName::Empty));
        check(".", &Err(InvalidName::Empty));
        check("a..b", &Err(InvalidName::Label));
        check("a.b..", &Err(InvalidName::Label));
        check(&"a".repeat(64), &Err(InvalidName::Label));
        check("a b.example", &Err(InvalidName::Character(b' ')));
        check("*.example", &Err(InvalidName::Character(b'*')));
        check("b\u{fc}cher.example", &Err(InvalidName::Character(0xc3)));
        check(
            &format!("{}x", "abc.".repeat(64)),
            &Err(InvalidName::TooLong),
        );
    }
}
