//! Values that somebody named: they are found wherever they stand, whatever they look like.

use std::{fmt, ops::Range};

use aho_corasick::{AhoCorasick, MatchKind};

use super::{
    finding::{Confidence, Finding, Kind, Severity},
    secrets::check::entropy,
    view::{ViewText, words::is_alnum},
};

/// Shorter values stand in texts by chance.
pub const SHORTEST_VALUE: usize = 16;
/// Bits in each byte: below it are words and repetitions.
pub const LEAST_ENTROPY: f64 = 3.0;
/// Canary tokens and fingerprints are chosen to be unlike anything else.
pub const SHORTEST_MARK: usize = 6;

/// The names of what is found.
pub(super) const IDS: [&str; 5] = [
    Sort::Environment.detector(),
    Sort::Secret.detector(),
    Sort::Canary.detector(),
    Sort::Fingerprint.detector(),
    Sort::Domain.detector(),
];

/// A value and the name to speak of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub value: String,
}

/// Why a value cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    #[error(
        "`{name}`: {length} characters are too few to tell it from other text; it takes {SHORTEST_VALUE}"
    )]
    Short { name: String, length: usize },
    #[error("`{name}`: too regular to tell it from other text; use a random value")]
    Regular { name: String },
    #[error("`{name}`: {length} characters are too few for a mark; it takes {SHORTEST_MARK}")]
    ShortMark { name: String, length: usize },
    #[error("`{0}` is no domain; write it like `corp.example.com`")]
    Domain(String),
}

/// What is looked for.
pub(super) struct Known {
    /// Letter by letter.
    exact: Option<AhoCorasick>,
    exact_kinds: Vec<Sort>,
    /// In any case of letters.
    folded: Option<AhoCorasick>,
    folded_kinds: Vec<Sort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Environment,
    Secret,
    Canary,
    Fingerprint,
    Domain,
}

/// What a caller knows.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    pub(super) environment: &'a [Named],
    pub(super) secrets: &'a [Named],
    pub(super) canaries: &'a [String],
    pub(super) fingerprints: &'a [String],
    pub(super) domains: &'a [String],
}

/// Reads a file of secrets: one a line, as `NAME=value` or the value alone; `#` begins a comment.
/// A line's name is `line N` where it has none.
pub fn parse_secrets(text: &str) -> Vec<Named> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let is_name = |name: &str| {
                let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                !name.is_empty()
                    && name.bytes().all(is_sign)
                    && !name.starts_with(|first: char| first.is_ascii_digit())
            };
            let line = line.strip_prefix("export ").unwrap_or(line);
            // Base64 may end in `=`: what is left of it is then no value.
            match line.split_once('=') {
                Some((name, value)) if is_name(name) && !value.trim_matches('=').is_empty() => {
                    let value = value.trim().trim_matches(['"', '\'']);
                    Named {
                        name: name.to_owned(),
                        value: value.to_owned(),
                    }
                }
                _ => Named {
                    name: format!("line {number}"),
                    value: line.to_owned(),
                },
            }
        })
        .collect()
}

impl Known {
    pub(super) fn new(values: &Values<'_>) -> Result<Self, Vec<InvalidValue>> {
        let mut wrong = Vec::new();
        let mut exact = Vec::new();
        let mut folded = Vec::new();
        for (sort, named) in [
            (Sort::Environment, values.environment),
            (Sort::Secret, values.secrets),
        ] {
            for named in named {
                match check_value(named) {
                    Ok(()) => exact.push((sort, named.value.clone())),
                    Err(error) => wrong.push(error),
                }
            }
        }
        for (sort, marks) in [
            (Sort::Canary, values.canaries),
            (Sort::Fingerprint, values.fingerprints),
        ] {
            for (index, mark) in marks.iter().enumerate() {
                let length = mark.trim().chars().count();
                if length < SHORTEST_MARK {
                    let name = format!("{} {}", sort.detector(), index + 1);
                    wrong.push(InvalidValue::ShortMark { name, length });
                } else {
                    folded.push((sort, mark.trim().to_owned()));
                }
            }
        }
        for domain in values.domains {
            let name = domain
                .strip_prefix("*.")
                .unwrap_or(domain)
                .trim_matches('.');
            let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if name.len() >= 3 && name.bytes().all(is_sign) {
                folded.push((Sort::Domain, name.to_ascii_lowercase()));
            } else {
                wrong.push(InvalidValue::Domain(domain.clone()));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (exact, exact_kinds) = automaton(exact, false);
        let (folded, folded_kinds) = automaton(folded, true);
        Ok(Self {
            exact,
            exact_kinds,
            folded,
            folded_kinds,
        })
    }

    /// Adds what stands in a text.
    pub(super) fn find(&self, text: &ViewText<'_>, findings: &mut Vec<Finding>) {
        for (automaton, sorts) in [
            (&self.exact, &self.exact_kinds),
            (&self.folded, &self.folded_kinds),
        ] {
            let Some(automaton) = automaton else {
                continue;
            };
            for hit in automaton.find_iter(text.bytes()) {
                let Some(sort) = sorts.get(hit.pattern().as_usize()) else {
                    continue;
                };
                let Some(range) = sort.range(text, hit.range()) else {
                    continue;
                };
                findings.push(Finding {
                    detector: sort.detector().to_owned(),
                    kind: sort.kind(),
                    severity: sort.severity(),
                    confidence: Confidence::High,
                    view: text.view(),
                    range: text.origin(&range),
                });
            }
        }
    }
}

impl Sort {
    const fn detector(self) -> &'static str {
        match self {
            Self::Environment => "known-environment-value",
            Self::Secret => "known-secret",
            Self::Canary => "canary-token",
            Self::Fingerprint => "organisation-fingerprint",
            Self::Domain => "internal-domain",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Environment | Self::Secret | Self::Canary | Self::Fingerprint => Kind::Secret,
            Self::Domain => Kind::Personal,
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::Environment | Self::Secret | Self::Canary => Severity::Critical,
            Self::Fingerprint => Severity::High,
            Self::Domain => Severity::Medium,
        }
    }

    /// The place in whole: a domain with the labels before it, or nothing when it is part of
    /// another name.
    fn range(self, text: &ViewText<'_>, range: Range<usize>) -> Option<Range<usize>> {
        match self {
            Self::Environment | Self::Secret | Self::Canary | Self::Fingerprint => Some(range),
            Self::Domain => {
                let after = text.part(range.end..range.end + 2);
                let is_end = match after {
                    [b'.', next] => !is_alnum(*next),
                    [next, ..] => !is_alnum(*next) && *next != b'-',
                    [] => true,
                };
                let is_label = |byte: &&u8| is_alnum(**byte) || b"-_.".contains(byte);
                let before = text.part(range.start.saturating_sub(253)..range.start);
                let labels = before.iter().rev().take_while(is_label).count();
                let is_start = labels == 0 || before.last() == Some(&b'.');
                (is_start && is_end).then(|| range.start - labels..range.end)
            }
        }
    }
}

fn check_value(named: &Named) -> Result<(), InvalidValue> {
    let Named { name, value } = named;
    let length = value.chars().count();
    if length < SHORTEST_VALUE {
        return Err(InvalidValue::Short {
            name: name.clone(),
            length,
        });
    }
    if entropy(value.as_bytes()) < LEAST_ENTROPY {
        return Err(InvalidValue::Regular { name: name.clone() });
    }
    Ok(())
}

fn automaton(values: Vec<(Sort, String)>, is_folded: bool) -> (Option<AhoCorasick>, Vec<Sort>) {
    if values.is_empty() {
        return (None, Vec::new());
    }
    let (sorts, values): (Vec<Sort>, Vec<String>) = values.into_iter().unzip();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(is_folded)
        .match_kind(MatchKind::LeftmostLongest)
        .build(values);
    (automaton.ok(), sorts)
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.exact_kinds.len() + self.folded_kinds.len();
        f.debug_struct("Known")
            .field("values", &count)
            .finish_non_exhaustive()
    }
}
