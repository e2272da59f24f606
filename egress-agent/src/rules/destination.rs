//! Where a call goes: hosts by the policy's own patterns, addresses by ranges.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::policy::{Host, NamePattern, net};

/// A destination that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Name(NamePattern),
    Range(IpNet),
}

/// The destinations of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// `None` for every destination.
    pub of: Option<Vec<Pattern>>,
    pub not: Vec<Pattern>,
}

impl Pattern {
    /// A range as a policy writes it, else a host pattern. The error says what is wrong, and what
    /// to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        // Only a range has a slash, and only an IPv6 address a second colon.
        if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
            return Self::range(text);
        }
        NamePattern::parse(text)
            .map(Self::Name)
            .map_err(|error| (error.to_string(), error.help()))
    }

    pub(crate) fn range(text: &str) -> Result<Self, (String, Option<String>)> {
        use net::InvalidNetwork as Invalid;
        match net::parse(text) {
            Ok(range) => Ok(Self::Range(range)),
            // A policy has other words for these; a rule about content may name them.
            Err(
                Invalid::Loopback | Invalid::Multicast | Invalid::Unspecified | Invalid::SixToFour,
            ) => {
                let range = text.parse::<IpAddr>().map(IpNet::from);
                let range = range.or_else(|_not_an_address| text.parse::<IpNet>());
                range
                    .map(Self::Range)
                    .map_err(|error| (error.to_string(), None))
            }
            Err(
                error @ (Invalid::Shape { .. }
                | Invalid::HostBits { .. }
                | Invalid::Mapped { .. }
                | Invalid::Embedded { .. }),
            ) => Err((error.to_string(), Some(error.help()))),
        }
    }

    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(pattern), Host::Name(name)) => pattern.covers(name),
            (Self::Range(range), Host::Address(address)) => {
                // An IPv4 address goes to the same place in its IPv6 spelling.
                range.contains(&address.to_canonical())
            }
            (Self::Name(_), Host::Address(_)) | (Self::Range(_), Host::Name(_)) => false,
        }
    }
}

impl Destinations {
    pub fn covers(&self, host: &Host) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(host));
        self.of.as_deref().is_none_or(any) && !any(&self.not)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::host;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        let texts = texts.iter();
        texts.map(|text| Pattern::parse(text).unwrap()).collect()
    }

    #[track_caller]
    fn check(of: &[&str], not: &[&str], text: &str, expected: bool) {
        let destinations = Destinations {
            of: (!of.is_empty()).then(|| patterns(of)),
            not: patterns(not),
        };
        let covers = destinations.covers(&host(text).unwrap());
        assert_eq!(covers, expected, "{of:?} not {not:?}: {text}");
    }

    #[test]
    fn hosts_fit_as_in_the_policy() {
        let paste = &["pastebin.com", "**.pastebin.com"];
        check(paste, &[], "pastebin.com", true);
        check(paste, &[], "PasteBin.com.", true);
        check(paste, &[], "a.b.pastebin.com", true);
        check(paste, &[], "evilpastebin.com", false);
        check(paste, &[], "pastebin.com.evil.example", false);
        check(&["*.github.com"], &[], "a.b.github.com", false);
    }

    #[test]
    fn addresses_fit_in_any_spelling() {
        check(&["10.0.0.0/8"], &[], "10.1.2.3", true);
        check(&["10.0.0.0/8"], &[], "0x0a.1.2.3", true);
        check(&["10.0.0.0/8"], &[], "::ffff:10.1.2.3", true);
        check(&["10.0.0.0/8"], &[], "11.1.2.3", false);
        check(&["127.0.0.0/8"], &[], "127.0.0.1", true);
        check(&["github.com"], &[], "10.1.2.3", false);
    }

    #[test]
    fn negations_alone_mean_every_destination_but_these() {
        check(&[], &["github.com"], "github.com", false);
        check(&[], &["github.com"], "gitlab.com", true);
        check(&[], &["github.com", "10.0.0.0/8"], "10.1.2.3", false);
        check(
            &["**.github.com"],
            &["api.github.com"],
            "api.github.com",
            false,
        );
        check(
            &["**.github.com"],
            &["api.github.com"],
            "x.github.com",
            true,
        );
    }

    #[test]
    fn what_is_no_destination_is_refused_with_what_to_write() {
        for (text, help) in [
            ("https://github.com/x", "write `github.com`"),
            ("10.0.0.1/8", "write `10.0.0.0/8`"),
            (
                "git*.com",
                "`*.example.com` covers one label, `**.example.com` one or more",
            ),
        ] {
            let (_, told) = Pattern::parse(text).unwrap_err();
            assert_eq!(told.as_deref(), Some(help), "{text}");
        }
    }
}
