//! What a rule may say about names, and which rules a name meets.
//!
//! A pattern is exact (`github.com`), covers one label (`*.github.com`: neither `github.com` nor
//! `a.b.github.com`) or one and more (`**.github.com`, not `github.com`). `*` stands only for
//! whole first labels. A look-up costs one hash for each label of the name, however many
//! patterns there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use super::{
    name::{InvalidName, Name},
    suffix::suffix,
};

/// A host pattern of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamePattern {
    Exact(Name),
    /// `*.name`
    One(Name),
    /// `**.name`
    Many(Name),
}

/// Why a text is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("an IP address is not a host")]
    Address,
    #[error("a host is a name, not a URL")]
    Url { host: Option<String> },
    #[error("a host has no port")]
    Port { host: String, port: u16 },
    #[error("`*` would allow every name")]
    EveryName,
    #[error("`*` can only be the whole first label")]
    MisplacedStar,
    #[error("a host does not begin with a dot")]
    LeadingDot { base: String },
    #[error("not a host name: {0}")]
    Name(#[from] InvalidName),
}

impl NamePattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if let Some(base) = text.strip_prefix("**.") {
            return part(base).map(Self::Many);
        }
        if let Some(base) = text.strip_prefix("*.") {
            return part(base).map(Self::One);
        }
        part(text).map(Self::Exact)
    }

    /// The name, without the stars.
    pub fn base(&self) -> &Name {
        match self {
            Self::Exact(base) | Self::One(base) | Self::Many(base) => base,
        }
    }

    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    /// Whether it covers a normalised name.
    pub fn covers(&self, name: &str) -> bool {
        let below = |base: &Name| {
            name.strip_suffix(base.as_str())
                .and_then(|name| name.strip_suffix('.'))
        };
        match self {
            Self::Exact(base) => name == base.as_str(),
            Self::One(base) => below(base).is_some_and(|label| !label.contains('.')),
            Self::Many(base) => below(base).is_some(),
        }
    }

    /// The public suffix that this pattern stands directly under: whoever can register a name
    /// there is allowed by it. `None` for exact names.
    pub fn public_suffix(&self) -> Option<&Name> {
        match self {
            Self::Exact(_) => None,
            Self::One(base) | Self::Many(base) => is_public_suffix(base.as_str()).then_some(base),
        }
    }
}

impl InvalidPattern {
    /// What to write instead.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Address => Some("write it in `cidrs`".to_owned()),
            Self::Url { host } => host.as_ref().map(|host| format!("write `{host}`")),
            Self::Port { host, port } => {
                Some(format!("write `{host}` here and `{port}/tcp` in `ports`"))
            }
            Self::EveryName => Some("name the hosts, or the domains as `*.example.com`".to_owned()),
            Self::MisplacedStar => {
                Some("`*.example.com` covers one label, `**.example.com` one or more".to_owned())
            }
            Self::LeadingDot { base } => Some(format!(
                "write `*.{base}` for one label, `**.{base}` for one or more"
            )),
            Self::Name(_) => None,
        }
    }
}

fn part(text: &str) -> Result<Name, InvalidPattern> {
    Name::parse(text).map_err(|error| diagnose(text, error))
}

/// Finds the better explanation for a text that is not a name.
fn diagnose(text: &str, error: InvalidName) -> InvalidPattern {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() || bare.parse::<ipnet::IpNet>().is_ok() {
        return InvalidPattern::Address;
    }
    if text == "*" || text == "**" {
        return InvalidPattern::EveryName;
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
        return InvalidPattern::Url {
            host: Name::parse(host).ok().map(|name| name.to_string()),
        };
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && let (Ok(host), Ok(port)) = (Name::parse(host), port.parse())
    {
        let host = host.to_string();
        return InvalidPattern::Port { host, port };
    }
    if text.contains('*') {
        return InvalidPattern::MisplacedStar;
    }
    if let Some(base) = text.strip_prefix('.')
        && let Ok(base) = Name::parse(base)
    {
        let base = base.to_string();
        return InvalidPattern::LeadingDot { base };
    }
    error.into()
}

/// Top-level names that nobody can register under (RFC 6761, RFC 8375, RFC 9476, ICANN's
/// `.internal`, and the ones in RFC 6762 appendix G): a domain of one's own may stand there.
const PRIVATE_USE: &[&str] = &[
    "alt",
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "test",
];

/// Whether strangers register what stands directly below this name.
pub(super) fn is_public_suffix(base: &str) -> bool {
    // Asked for a name below, the list also answers for entries such as `*.compute.example`,
    // which make every name under `compute.example` a suffix of its own.
    let probe = format!("0-probe.{base}");
    match suffix(&probe) {
        Some(suffix) if suffix.is_known() => suffix.as_bytes().len() >= base.len(),
        // The list's default: an unknown top-level name is a suffix.
        Some(_) | None => !base.contains('.') && !PRIVATE_USE.contains(&base),
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(base) => write!(f, "{base}"),
            Self::One(base) => write!(f, "*.{base}"),
            Self::Many(base) => write!(f, "**.{base}"),
        }
    }
}

/// Patterns and what belongs to each.
#[derive(Clone, Debug)]
pub(crate) struct PatternTable<T> {
    exact: HashMap<Name, Values<T>>,
    one: HashMap<Name, Values<T>>,
    many: HashMap<Name, Values<T>>,
}

/// At least one value. Nearly every pattern has just one, which then needs no allocation.
#[derive(Clone, Debug)]
struct Values<T> {
    first: T,
    more: Vec<T>,
}

impl<T> Default for PatternTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            one: HashMap::new(),
            many: HashMap::new(),
        }
    }
}

impl<T: Copy + PartialEq> PatternTable<T> {
    /// Adds several patterns of one value; the same pattern and value twice is one.
    pub(crate) fn extend(&mut self, patterns: &[NamePattern], value: T) {
        // Large lists are nearly always exact names.
        self.exact
            .reserve(patterns.iter().filter(|pattern| pattern.is_exact()).count());
        for pattern in patterns {
            self.insert(pattern, value);
        }
    }

    fn insert(&mut self, pattern: &NamePattern, value: T) {
        let (map, base) = match pattern {
            NamePattern::Exact(base) => (&mut self.exact, base),
            NamePattern::One(base) => (&mut self.one, base),
            NamePattern::Many(base) => (&mut self.many, base),
        };
        match map.entry(base.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Values {
                    first: value,
                    more: Vec::new(),
                });
            }
            Entry::Occupied(mut occupied) => {
                let Values { first, more } = occupied.get_mut();
                if *more.last().unwrap_or(first) != value {
                    more.push(value);
                }
            }
        }
    }

    /// The first value of exactly this pattern.
    pub(crate) fn get(&self, pattern: &NamePattern) -> Option<T> {
        let values = match pattern {
            NamePattern::Exact(base) => self.exact.get(base),
            NamePattern::One(base) => self.one.get(base),
            NamePattern::Many(base) => self.get_many(base.as_str()),
        };
        values.map(|values| values.first)
    }

    /// The first value of the `**` pattern that covers every name below `base`.
    pub(crate) fn above(&self, base: &Name) -> Option<T> {
        let mut bases = std::iter::once(base.as_str()).chain(base.parents());
        bases
            .find_map(|base| self.get_many(base))
            .map(|values| values.first)
    }

    fn get_many(&self, base: &str) -> Option<&Values<T>> {
        self.many.get(base)
    }

    /// Every pattern that covers `name`, the most specific first: exact, then the longer one,
    /// then of two equally long ones the one with a single star.
    pub(crate) fn find<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = Hit<'a, T>> {
        let hit = |kind: fn(Name) -> NamePattern| {
            move |(base, values): (&'a Name, &'a Values<T>)| Hit { kind, base, values }
        };
        let exact = self.exact.get_key_value(name).map(hit(NamePattern::Exact));
        let one = name
            .parents()
            .next()
            .and_then(|parent| self.one.get_key_value(parent))
            .map(hit(NamePattern::One));
        let many = name
            .parents()
            .filter_map(|parent| self.many.get_key_value(parent))
            .map(hit(NamePattern::Many));
        exact.into_iter().chain(one).chain(many)
    }
}

/// One pattern that covers a name.
#[derive(Debug)]
pub(crate) struct Hit<'a, T> {
    kind: fn(Name) -> NamePattern,
    base: &'a Name,
    values: &'a Values<T>,
}

impl<'a, T: Copy> Hit<'a, T> {
    pub(crate) fn pattern(&self) -> NamePattern {
        (self.kind)(self.base.clone())
    }

    /// What belongs to the pattern, in the order in which it was added.
    pub(crate) fn values(&self) -> impl Iterator<Item = T> + use<'a, T> {
        std::iter::once(self.values.first).chain(self.values.more.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, message: &str, help: &str) {
        let error = NamePattern::parse(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.help().unwrap_or_default(), help, "{text}");
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_right_spelling() {
        refused(
            "10.0.0.1",
            "an IP address is not a host",
            "write it in `cidrs`",
        );
        refused(
            "[::1]",
            "an IP address is not a host",
            "write it in `cidrs`",
        );
        refused(
            "10.0.0.0/8",
            "an IP address is not a host",
            "write it in `cidrs`",
        );
        refused(
            "https://github.com/a",
            "a host is a name, not a URL",
            "write `github.com`",
        );
        refused(
            "github.com:22",
            "a host has no port",
            "write `github.com` here and `22/tcp` in `ports`",
        );
        let stars = "`*.example.com` covers one label, `**.example.com` one or more";
        for text in ["a.*.com", "a*.com", "***.a.com", "*.*.a.com", "*a.com"] {
            refused(text, "`*` can only be the whole first label", stars);
        }
        refused(
            ".a.com",
            "a host does not begin with a dot",
            "write `*.a.com` for one label, `**.a.com` for one or more",
        );
        refused("a_b c", "not a host name: ` ` cannot stand in a name", "");
    }

    #[track_caller]
    fn suffix(text: &str, expected: bool) {
        let pattern = NamePattern::parse(text).unwrap();
        assert_eq!(pattern.public_suffix().is_some(), expected, "{text}");
    }

    #[test]
    fn patterns_under_a_public_suffix_are_known() {
        suffix("*.com", true);
        suffix("**.co.uk", true);
        suffix("*.github.io", true);
        suffix("*.s3.amazonaws.com", true);
        suffix("*.compute.amazonaws.com", true);
        suffix("*.some-new-tld", true);
        suffix("github.io", false);
        suffix("*.github.com", false);
        suffix("*.me.github.io", false);
        suffix("*.svc.cluster.local", false);
        suffix("**.internal", false);
    }

    fn label() -> impl Strategy<Value = String> {
        proptest::sample::select(vec!["a", "b", "c", "x-1", "_s"]).prop_map(str::to_owned)
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(label(), 1..5).prop_map(|labels| labels.join("."))
    }

    /// The rules of the format, label by label.
    fn covers(pattern: &str, name: &str) -> bool {
        let pattern: Vec<_> = pattern.split('.').collect();
        let name: Vec<_> = name.split('.').collect();
        match pattern[0] {
            "**" => name.len() >= pattern.len() && name.ends_with(&pattern[1..]),
            "*" => name.len() == pattern.len() && name.ends_with(&pattern[1..]),
            _ => name == pattern,
        }
    }

    fn specificity(pattern: &str) -> (bool, usize, bool) {
        let labels = pattern.split('.').count();
        (
            !pattern.starts_with('*'),
            labels,
            !pattern.starts_with("**"),
        )
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_scan_finds_in_the_same_order(
            patterns in prop::collection::vec((prop::sample::select(vec!["", "*.", "**."]), name()), 0..30),
            asked in name(),
        ) {
            let mut texts: Vec<String> = patterns.iter().map(|(star, base)| format!("{star}{base}")).collect();
            texts.sort();
            texts.dedup();
            let mut table = PatternTable::default();
            for (index, text) in texts.iter().enumerate() {
                table.extend(&[NamePattern::parse(text).unwrap()], index);
            }
            let mut expected: Vec<_> = (0..texts.len()).filter(|i| covers(&texts[*i], &asked)).collect();
            expected.sort_by_key(|i| std::cmp::Reverse(specificity(&texts[*i])));
            let asked = Name::parse(&asked).unwrap();
            let got: Vec<_> = table.find(&asked).flat_map(|hit| hit.values()).collect();
            prop_assert_eq!(&got, &expected);
            for text in &texts {
                let pattern = NamePattern::parse(text).unwrap();
                prop_assert_eq!(pattern.covers(asked.as_str()), covers(text, asked.as_str()));
            }
            for hit in table.find(&asked) {
                prop_assert_eq!(&hit.pattern().to_string(), &texts[hit.values().next().unwrap()]);
            }
        }

        #[test]
        fn no_text_panics_and_a_pattern_survives_its_own_text(text in "\\PC{0,40}|[*.a-z0-9:/_-]{0,20}") {
            if let Ok(pattern) = NamePattern::parse(&text) {
                prop_assert_eq!(NamePattern::parse(&pattern.to_string()), Ok(pattern));
            }
        }
    }
}
