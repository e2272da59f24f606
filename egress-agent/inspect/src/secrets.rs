//! Secrets and personal numbers: formats that their issuers publish, and what looks like them.
//!
//! One walk over a text finds keywords; the pattern of a detector is tried only where one of its
//! keywords stands, anchored, in a window of fixed length. What has no keyword is long: cards and
//! keys are looked for in long runs of their signs, and three words in forty bytes tell whether a
//! seed phrase may stand around them. Checksums come after.
//!
//! One lazy automaton of all patterns was measured instead: over clean text it takes as long as the
//! walk for keywords (490 to 550 MB/s, the walk 580), but over keywords with random signs behind
//! them its states multiply (0.6 MB/s, all of this 13), and it tells one of several matches.
//!
//! A pattern is compiled when its keyword is first met: a process that judges one call pays for
//! what stands in that call.
//!
//! # Known gaps
//!
//! Those of each detector. A secret without a format is found by its name only; a refused value of
//! more than a hundred signs without a blank is not looked into again at each of them.

mod ai;
mod chat;
pub(super) mod check;
mod cloud;
mod coin;
mod data;
mod forge;
mod generic;
mod infra;
mod keys;
mod payment;
mod personal;
mod places;
mod registry;
mod saas;
#[cfg(test)]
pub(super) mod sample;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::OnceLock,
};

use regex_automata::{Anchored, Input, meta::Regex, util::syntax};
use regex_syntax::hir::Hir;

use super::{
    finding::{Confidence, Finding, Kind, Severity},
    keywords::{Begins, Keywords, literals},
    view::{
        ViewText,
        words::{DIGIT, IN_NUMBER, IN_WORD, Word, is_alnum, spans, words_in},
    },
};

/// One kind of secret.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// Stable, in kebab-case.
    pub id: &'static str,
    /// With its article, to go on after "holds": `a GitHub token`.
    pub what: &'static str,
    pub kind: Kind,
    pub severity: Severity,
    /// Where `check` does not say it.
    pub confidence: Confidence,
    /// What it begins with, in any case of letters; none for detectors that look at every word.
    pub keywords: &'static [&'static str],
    pub search: Search,
    /// Whether a letter or digit may stand right before it.
    pub edge: Edge,
    /// Says what a match is worth, or that it is none.
    pub check: Option<Check>,
    /// Gives way to a detector that knows the place by its format.
    pub is_generic: bool,
    /// Off unless it is asked for.
    pub is_optional: bool,
    /// Samples with a secret; `<class:length>` stands for random signs, see the tests.
    pub positive: &'static [&'static str],
    /// Samples without one.
    pub negative: &'static [&'static str],
}

/// What a match is worth; none when it is no secret.
pub type Check = fn(&[u8]) -> Option<Confidence>;

/// How a detector finds the place of a secret.
#[derive(Clone, Copy, Debug)]
pub enum Search {
    /// A pattern that begins with a keyword; its first group, if any, is the secret.
    Pattern(&'static str),
    /// A name, which begins with a keyword, with what stands after it, and the value that follows.
    /// Two patterns, because telling groups apart takes longer than finding them.
    Given(&'static str, &'static str),
    /// By hand from where a keyword begins.
    Hand(fn(&[u8], usize) -> Option<Range<usize>>),
    /// At each word with a digit that has `SHORTEST_CODE` signs, or begins `SHORTEST_NUMBER`
    /// signs of a number: the text, the word.
    Word(fn(&[u8], &Range<usize>) -> Option<Range<usize>>),
    /// Words in a row from a list.
    Phrase,
}

/// What may stand before a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Any,
    /// No letter and no digit.
    Word,
}

impl Detector {
    /// A keyword; where it has two letters, with those that its pattern goes on with: too many
    /// words begin so.
    fn begins(&self, keyword: &str) -> Vec<Vec<u8>> {
        let is_short = keyword.len() < 3;
        if let Search::Pattern(pattern) = self.search
            && let Some(pattern) = parse(pattern).filter(|_| is_short)
        {
            let begins: BTreeSet<Vec<u8>> = literals(&pattern).into_iter().collect();
            let is_one = |begin: &Vec<u8>| begin.starts_with(keyword.as_bytes());
            return begins.into_iter().filter(is_one).collect();
        }
        vec![keyword.into()]
    }
}

/// What most tokens have in common.
const TOKEN: Detector = Detector {
    id: "",
    what: "",
    kind: Kind::Secret,
    severity: Severity::Critical,
    confidence: Confidence::High,
    keywords: &[],
    search: Search::Phrase,
    edge: Edge::Word,
    check: None,
    is_generic: false,
    is_optional: false,
    positive: &[],
    negative: &[],
};

/// Signs from a keyword on that a pattern may see.
const WINDOW: usize = 320;

/// Signs of the shortest number without a keyword, with the blanks and dashes in it: of those that
/// are found, one of social security.
const SHORTEST_NUMBER: usize = 11;
/// Signs of the shortest code without a keyword: the first part of a Discord token.
const SHORTEST_CODE: usize = 20;

/// Bytes of states that an automaton keeps.
const CACHE: usize = 64 << 10;

/// Words of bits for what a pattern begins with.
const BEGINS: usize = 64;
/// And for what may stand inside of a word.
const ANYWHERE: usize = 128;

/// A match of so many signs that is no secret holds none at its beginning.
const LONG: usize = 100;

/// What stands between the name of a secret and its value.
macro_rules! near {
    ($name:literal) => {
        concat!(
            "(?i:",
            $name,
            r#")[A-Za-z0-9_. -]{0,40}["'\]\)]{0,2}\s{0,4}(?::=|=>|[=:,])\s{0,4}["'`]{0,2}"#
        )
    };
}
use near;

/// Whether a finding is a secret with a form of its own, or a value that somebody named, which
/// opens something. An address with a password is how a local database is reached: rules weigh it.
pub fn is_certain(finding: &Finding) -> bool {
    if finding.kind != Kind::Secret
        || finding.severity < Severity::High
        || finding.confidence < Confidence::Medium
    {
        return false;
    }
    let detector = detectors().find(|detector| detector.id == finding.detector);
    detector.is_none_or(|detector| {
        !detector.is_generic && !matches!(detector.id, "database-url" | "connection-string")
    })
}

/// All detectors, by family.
pub fn detectors() -> impl Iterator<Item = &'static Detector> {
    [
        cloud::ALL,
        ai::ALL,
        forge::ALL,
        registry::ALL,
        chat::ALL,
        payment::ALL,
        saas::ALL,
        infra::ALL,
        data::ALL,
        keys::ALL,
        coin::ALL,
        personal::ALL,
        places::ALL,
        generic::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Detectors made ready.
#[derive(Debug)]
pub(super) struct Engine {
    entries: Vec<Entry>,
    keywords: Keywords,
    /// Those that may stand inside of a word.
    anywhere: Begins<ANYWHERE>,
    /// For each keyword, the entries that begin with it.
    begins: Vec<Vec<usize>>,
    by_word: Vec<usize>,
    by_phrase: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    detector: &'static Detector,
    pattern: OnceLock<Option<Compiled>>,
    /// Of the value, where that is a pattern of its own.
    value: OnceLock<Option<Compiled>>,
}

/// A pattern made ready.
#[derive(Debug)]
struct Compiled {
    /// What it begins with: some keywords are two letters long.
    begins: Begins<BEGINS>,
    regex: Regex,
}

impl Engine {
    /// Makes the detectors ready that `is_wanted`.
    pub(super) fn new(is_wanted: impl Fn(&Detector) -> bool) -> Self {
        let entries: Vec<Entry> = detectors()
            .filter(|detector| is_wanted(detector))
            .map(|detector| Entry {
                detector,
                pattern: OnceLock::new(),
                value: OnceLock::new(),
            })
            .collect();
        let mut begins: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut anywhere = Begins::default();
        let mut by_word = Vec::new();
        let mut by_phrase = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match entry.detector.search {
                Search::Word(_) => by_word.push(index),
                Search::Phrase => by_phrase.push(index),
                Search::Pattern(_) | Search::Given(..) | Search::Hand(_) => {}
            }
            for keyword in entry.detector.keywords {
                if entry.detector.edge == Edge::Any {
                    anywhere.add(keyword.as_bytes());
                }
                for begin in entry.detector.begins(keyword) {
                    begins.entry(begin).or_default().push(index);
                }
            }
        }
        Self {
            entries,
            anywhere,
            keywords: Keywords::new(begins.keys().map(Vec::as_slice)),
            begins: begins.into_values().collect(),
            by_word,
            by_phrase,
        }
    }

    /// Adds what stands in a text.
    pub(super) fn find(&self, text: &ViewText<'_>, findings: &mut Vec<Finding>) {
        self.by_keyword(text, findings);
        if !text.is_joined() {
            self.by_word(text, findings);
            self.by_phrase(text, findings);
        }
    }

    fn by_keyword(&self, text: &ViewText<'_>, findings: &mut Vec<Finding>) {
        let bytes = text.bytes();
        // A match is not looked into again by the same detector.
        let mut done = vec![0; self.entries.len()];
        let is_edge = |start: usize| {
            let before = start.checked_sub(1).and_then(|at| bytes.get(at));
            before.is_none_or(|byte| !is_alnum(*byte)) || text.is_start(start)
        };
        let hit = |keyword: usize, range: Range<usize>| {
            let start = range.start;
            for index in self.begins.get(keyword).into_iter().flatten() {
                let (Some(entry), Some(done)) = (self.entries.get(*index), done.get_mut(*index))
                else {
                    continue;
                };
                if start < *done || entry.detector.edge == Edge::Word && !is_edge(start) {
                    continue;
                }
                let Some((range, end)) = entry.at(bytes, start) else {
                    continue;
                };
                let is_long = range.len() > LONG;
                match entry.add(text, range, findings) {
                    Some(whole) => *done = whole.max(end),
                    // Its ends would be refused one by one, at the cost of the whole each time.
                    None if is_long => *done = end - LONG / 4,
                    None => {}
                }
            }
        };
        let may_begin = |start: usize| {
            let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| is_alnum(*byte));
            !start.checked_sub(1).is_some_and(is_inside)
                || self
                    .anywhere
                    .may_begin(bytes.get(start..).unwrap_or_default())
                || text.is_start(start)
        };
        self.keywords.find(bytes, 0..bytes.len(), may_begin, hit);
    }

    fn by_word(&self, text: &ViewText<'_>, findings: &mut Vec<Finding>) {
        let bytes = text.bytes();
        let numbers = spans(bytes, IN_NUMBER, SHORTEST_NUMBER);
        let numbers = numbers.flat_map(|span| words_in(bytes, span));
        self.words(text, numbers, findings);
        let long = spans(bytes, IN_WORD, SHORTEST_CODE);
        let long = long.flat_map(|span| words_in(bytes, span));
        self.words(text, long, findings);
    }

    fn words(
        &self,
        text: &ViewText<'_>,
        words: impl Iterator<Item = Word>,
        findings: &mut Vec<Finding>,
    ) {
        let mut done = 0;
        for word in words {
            if !word.has(DIGIT) || word.range.start < done {
                continue;
            }
            for index in &self.by_word {
                let Some(entry) = self.entries.get(*index) else {
                    continue;
                };
                let Search::Word(find) = entry.detector.search else {
                    continue;
                };
                if let Some(range) = find(text.bytes(), &word.range) {
                    done = done.max(entry.add(text, range, findings).unwrap_or_default());
                }
            }
        }
    }

    fn by_phrase(&self, text: &ViewText<'_>, findings: &mut Vec<Finding>) {
        for index in &self.by_phrase {
            let Some(entry) = self.entries.get(*index) else {
                continue;
            };
            coin::seed_phrases(text.bytes(), |phrase| {
                entry.add(text, phrase, findings);
            });
        }
    }
}

impl Entry {
    /// The secret that begins with the keyword at `start`, and where the match ends.
    fn at(&self, bytes: &[u8], start: usize) -> Option<(Range<usize>, usize)> {
        let pattern = match self.detector.search {
            Search::Pattern(pattern) => pattern,
            Search::Given(name, value) => {
                let name = self.pattern.get_or_init(|| compile(name)).as_ref()?;
                let value = self.value.get_or_init(|| compile(value)).as_ref()?;
                let start = name.search(bytes, start)?.end;
                let range = value.search(bytes, start)?;
                let end = range.end;
                return Some((range, end));
            }
            Search::Hand(find) => {
                let range = find(bytes, start)?;
                let end = range.end;
                return Some((range, end));
            }
            Search::Word(_) | Search::Phrase => return None,
        };
        let pattern = self.pattern.get_or_init(|| compile(pattern)).as_ref()?;
        let whole = pattern.search(bytes, start)?;
        if pattern.regex.captures_len() == 1 {
            let end = whole.end;
            return Some((whole, end));
        }
        let mut captures = pattern.regex.create_captures();
        let input = Input::new(bytes).range(whole).anchored(Anchored::Yes);
        pattern.regex.search_captures(&input, &mut captures);
        let whole = captures.get_match()?.range();
        let range = captures
            .get_group(1)
            .map_or(whole.clone(), |group| group.start..group.end);
        Some((range, whole.end))
    }

    /// Adds a match that is one; gives the end of the secret.
    fn add(
        &self,
        text: &ViewText<'_>,
        range: Range<usize>,
        findings: &mut Vec<Finding>,
    ) -> Option<usize> {
        let detector = self.detector;
        if check::is_worn(text.part(range.clone())) {
            return None;
        }
        let confidence = match detector.check {
            Some(check) => check(text.part(range.clone()))?,
            None => detector.confidence,
        };
        // A join makes words that nobody wrote: only a format of its own counts there.
        if text.is_joined() && (!text.is_across(&range) || confidence < Confidence::High) {
            return None;
        }
        let range = whole(text, detector, range);
        findings.push(Finding {
            detector: detector.id.to_owned(),
            kind: detector.kind,
            severity: detector.severity,
            confidence,
            view: text.view(),
            range: text.origin(&range),
        });
        Some(range.end)
    }
}

impl Compiled {
    /// The match that begins at a place.
    fn search(&self, bytes: &[u8], start: usize) -> Option<Range<usize>> {
        let end = start.saturating_add(WINDOW).min(bytes.len());
        let window = bytes.get(start..end)?;
        if !self.begins.may_begin(window) {
            return None;
        }
        let input = Input::new(bytes).range(start..end).anchored(Anchored::Yes);
        Some(start..self.regex.search_half(&input)?.offset())
    }
}

/// A token to its end: a pattern that saw only its window leaves the rest.
fn whole(text: &ViewText<'_>, detector: &Detector, range: Range<usize>) -> Range<usize> {
    if range.len() < WINDOW / 2 || !matches!(detector.search, Search::Pattern(_)) {
        return range;
    }
    let rest = text.bytes().get(range.end..).unwrap_or_default();
    let is_token = |byte: &&u8| is_alnum(**byte) || b"-_.+/=".contains(byte);
    range.start..range.end + rest.iter().take_while(is_token).count()
}

fn parse(pattern: &str) -> Option<Hir> {
    let config = syntax::Config::new().unicode(false).utf8(false);
    syntax::parse_with(pattern, &config).ok()
}

fn compile(pattern: &str) -> Option<Compiled> {
    // INVARIANT: the patterns compile; a test reads them all.
    let parsed = parse(pattern)?;
    let mut begins = Begins::default();
    for literal in literals(&parsed) {
        begins.add(&literal);
    }
    let regex = Regex::builder()
        .configure(
            Regex::config()
                .utf8_empty(false)
                .auto_prefilter(false)
                .backtrack(false)
                .onepass_size_limit(Some(CACHE))
                .hybrid_cache_capacity(CACHE),
        )
        .build_from_hir(&parsed)
        .ok()?;
    Some(Compiled { begins, regex })
}

#[cfg(test)]
mod tests;
