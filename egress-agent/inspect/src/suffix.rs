//! The public suffix list, asked from one place.
//!
//! The list is code, not data: each kind of iterator that walks through it costs the program 600 kB.

use psl::Suffix;

/// The suffix below which names like this one are registered, or `None` for a name that is none.
///
/// The list's default holds for an unknown top-level name: it is a suffix, and not a known one.
#[inline(never)]
pub fn suffix(name: &str) -> Option<Suffix<'_>> {
    psl::suffix(name.as_bytes())
}

/// The domain that one party has registered: one label and the suffix.
pub fn domain(name: &str) -> Option<&str> {
    let suffix = suffix(name)?.as_bytes().len();
    let below = name.get(..name.len().checked_sub(suffix + 1)?)?;
    let start = below.rfind('.').map_or(0, |dot| dot + 1);
    name.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_what_one_party_has_registered() {
        for name in [
            "example.com",
            "a.b.example.com",
            "someone.github.io",
            "a.someone.github.io",
            "github.io",
            "a.b.co.uk",
            "co.uk",
            "com",
            "host.unknown-top",
            "a.host.unknown-top",
            "www.city.kawasaki.jp",
            "a.b.kawasaki.jp",
            "",
        ] {
            assert_eq!(domain(name), psl::domain_str(name), "{name}");
        }
    }
}
