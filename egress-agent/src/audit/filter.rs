//! Which records somebody wants to see: the same question for a file and for a live log.

use std::{net::IpAddr, str::FromStr};

use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{Layer, Record, Time};

/// All that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Denials only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// At or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// At or before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
}

/// A destination: an address, a name, or with a leading dot every name below one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    Address(IpAddr),
    /// Lower case, no final dot.
    Name(String),
    /// Lower case, with its leading dot.
    Below(String),
}

/// A point in the past: `10m`, `2h`, `3d` ago, or a time in RFC 3339.
#[derive(Clone, Copy, Debug)]
pub enum Since {
    Ago(Span),
    At(Timestamp),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidFilter {
    #[error("`{0}` is not a host: write an address, a name, or `.name` for every name below it")]
    Host(String),
    #[error(
        "`{0}` is not a time: write how long ago (`10m`, `2h`, `3d`) or `2026-03-01T10:20:30Z`"
    )]
    Since(String),
}

impl Filter {
    pub fn matches(&self, record: &Record) -> bool {
        let Self {
            denied,
            session,
            host,
            since,
            until,
            layer,
        } = self;
        (!denied || record.is_denial())
            && session
                .as_ref()
                .is_none_or(|session| record.session.as_ref() == Some(session))
            && host.as_ref().is_none_or(|host| host.matches(record))
            && since.is_none_or(|since| record.time >= since)
            && until.is_none_or(|until| record.time <= until)
            && layer.is_none_or(|layer| record.layer == layer)
    }
}

impl Host {
    fn matches(&self, record: &Record) -> bool {
        let name = record.name.as_deref().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        match self {
            Self::Address(address) => {
                record
                    .flow
                    .as_ref()
                    .is_some_and(|flow| flow.address == *address)
                    || record.answers.contains(address)
            }
            Self::Name(wanted) => name.eq_ignore_ascii_case(wanted.as_bytes()),
            Self::Below(suffix) => name
                .split_at_checked(name.len().saturating_sub(suffix.len()))
                .is_some_and(|(front, end)| {
                    !front.is_empty() && end.eq_ignore_ascii_case(suffix.as_bytes())
                }),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels = name.strip_prefix('.');
        let is_label = |label: &str| {
            !label.is_empty() && !label.contains(|c: char| c.is_whitespace() || "/:*@".contains(c))
        };
        if !labels.unwrap_or(&name).split('.').all(is_label) {
            return Err(InvalidFilter::Host(text.to_owned()));
        }
        Ok(if labels.is_some() {
            Self::Below(name)
        } else {
            Self::Name(name)
        })
    }
}

impl TryFrom<String> for Host {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, InvalidFilter> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        match host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) | Host::Below(name) => name,
        }
    }
}

impl Since {
    /// The time meant; the beginning of time for a span that reaches beyond it.
    pub fn before(self, now: Timestamp) -> Time {
        Time::new(match self {
            Self::At(time) => time,
            Self::Ago(span) => span
                .to_duration(SpanRelativeTo::days_are_24_hours())
                .and_then(|duration| now.checked_sub(duration))
                .unwrap_or(Timestamp::MIN),
        })
    }
}

impl FromStr for Since {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let span = text.parse::<Span>().ok().filter(|span| {
            let is_calendar = span.get_years() != 0 || span.get_months() != 0;
            !span.is_negative() && !is_calendar && text.starts_with(|c: char| c.is_ascii_digit())
        });
        span.map(Self::Ago)
            .ok_or_else(|| InvalidFilter::Since(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Verdict, tests::denial};

    fn named(name: &str) -> Record {
        let mut record = denial(5, "203.0.113.7");
        record.name = Some(name.to_owned());
        record
    }

    #[track_caller]
    fn check_host(host: &str, record: &Record, expected: bool) {
        let filter = Filter {
            host: Some(host.parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(filter.matches(record), expected, "{host} {:?}", record.name);
    }

    #[test]
    fn hosts_match_by_address_name_and_suffix() {
        let record = named("api.GitHub.com.");
        check_host("203.0.113.7", &record, true);
        check_host("::ffff:203.0.113.7", &record, true);
        check_host("203.0.113.70", &record, false);
        check_host("api.github.com", &record, true);
        check_host("API.github.com.", &record, true);
        check_host("github.com", &record, false);
        check_host(".github.com", &record, true);
        check_host(".hub.com", &record, false);
        check_host(".com", &record, true);
        check_host(".github.com", &named("github.com"), false);
        check_host(".github.com", &denial(1, "203.0.113.7"), false);
        let mut answered = denial(1, "203.0.113.9");
        answered.answers = vec!["2001:db8::1".parse().unwrap()];
        check_host("[2001:db8::1]", &answered, true);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            "*.github.com",
            "github.com:443",
            "a b",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let mut filter = Filter {
            denied: true,
            session: Some("s1".to_owned()),
            layer: Some(Layer::Kernel),
            since: Some(denial(5, "::").time),
            until: Some(denial(5, "::").time),
            host: None,
        };
        assert!(filter.matches(&denial(5, "203.0.113.7")));
        assert!(!filter.matches(&denial(4, "203.0.113.7")));
        assert!(!filter.matches(&denial(6, "203.0.113.7")));
        let mut allowed = denial(5, "203.0.113.7");
        allowed.verdict = Some(Verdict::Allow);
        assert!(!filter.matches(&allowed));
        filter.layer = Some(Layer::Dns);
        assert!(!filter.matches(&denial(5, "203.0.113.7")));
        filter.layer = None;
        filter.session = Some("s2".to_owned());
        assert!(!filter.matches(&denial(5, "203.0.113.7")));
    }

    #[test]
    fn times_are_spans_or_points() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let since = |text: &str| {
            text.parse::<Since>()
                .map(|since| since.before(now).to_string())
        };
        assert_eq!(since("10m").unwrap(), "2026-03-02T09:50:00.000000Z");
        assert_eq!(since("2h").unwrap(), "2026-03-02T08:00:00.000000Z");
        assert_eq!(since("1d").unwrap(), "2026-03-01T10:00:00.000000Z");
        assert_eq!(since("1h 30m").unwrap(), "2026-03-02T08:30:00.000000Z");
        assert_eq!(
            since("2026-03-01T00:00:00+01:00").unwrap(),
            "2026-02-28T23:00:00.000000Z"
        );
        for text in ["", "10", "-10m", "10m ago", "yesterday", "2 months", "P1Y"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_travels_as_json() {
        let filter = Filter {
            host: Some(Host::Below(".github.com".to_owned())),
            denied: true,
            ..Filter::default()
        };
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(text, r#"{"denied":true,"host":".github.com"}"#);
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
        assert!(serde_json::from_str::<Filter>(r#"{"hosts":"x"}"#).is_err());
    }
}
