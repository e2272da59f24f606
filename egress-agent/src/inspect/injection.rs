//! Orders to a model in texts that should only inform it: web pages, results and descriptions of
//! tools, files, issues.
//!
//! ```text
//!   text ──fold──▶ forms ──keywords──▶ windows ──patterns──▶ given, or mentioned? ──▶ Finding
//! ```
//!
//! Each detector is data in `injection/detectors.rs`. One automaton looks for the keywords of all;
//! only what stands around a keyword is read by a detector's patterns, each of which takes linear
//! time. A text about such orders (a security guide, an issue) holds them too: what is only
//! mentioned ([`mention`]) is reported as less sure and less bad.
//!
//! # Known gaps
//!
//! Orders without any usual word ("the build only passes when the key file is in the report") and
//! wordings beyond those listed: of forty-four orders written after the patterns, twenty-one were
//! found. Languages other than English, Chinese, Japanese, Korean, German, French, Spanish,
//! Portuguese, Italian and Russian.

mod detectors;
mod mention;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{
    AhoCorasick, AhoCorasickKind, MatchKind, StartKind, automaton::OverlappingState,
};
use regex_automata::{Anchored, Input, meta::Regex, nfa::thompson::WhichCaptures, util::syntax};
use regex_syntax::hir::literal::Extractor;

use super::fold::{self, Folded};
use super::view::words::is_alnum;
use super::{Confidence, Finding, Kind, Severity, View};

/// One kind of order, as data.
#[derive(Debug)]
pub struct Detector {
    /// Stable, in kebab-case.
    pub id: &'static str,
    pub severity: Severity,
    /// Without one of these nearby (in any case of letters) the patterns are not tried.
    pub keywords: &'static [&'static str],
    /// Patterns and how sure each is. A blank stands for anything that parts words, a name in
    /// angle brackets for one of the lists in `injection/detectors.rs`.
    pub patterns: &'static [(Confidence, &'static str)],
    /// Texts that it finds.
    pub positive: &'static [&'static str],
    /// Texts in which it finds nothing.
    pub negative: &'static [&'static str],
}

/// All detectors of orders.
pub fn detectors() -> &'static [Detector] {
    detectors::ALL
}

/// The orders in a text, in the order in which they stand, each with its place in the text.
pub fn findings(text: &str) -> Vec<Finding> {
    let mut found = read(ENGINE.as_ref(), text, Kind::Injection);
    found.extend(invisible(text));
    sort(&mut found);
    found
}

/// What the detectors of `engine` find in all forms of a text.
pub(super) fn read(engine: Option<&Engine>, text: &str, kind: Kind) -> Vec<Finding> {
    // INVARIANT: the patterns compile; a test reads them. Without them every text is suspect.
    let Some(engine) = engine else {
        return vec![Finding {
            detector: "instruction-override".to_owned(),
            kind,
            severity: Severity::High,
            confidence: Confidence::High,
            view: View::Raw,
            range: 0..text.len(),
        }];
    };
    let mut found = Found {
        text,
        kind,
        findings: Vec::new(),
    };
    let folded = fold::fold(text);
    engine.read(&folded, None, Spacing::Kept, &mut found);
    if let Some(squeezed) = folded.squeezed() {
        engine.read(&squeezed, None, Spacing::Lost, &mut found);
    }
    if let Some((apart, blanks)) = fold::fold_apart(text) {
        engine.read(&apart, Some(&blanks), Spacing::Kept, &mut found);
    }
    if let Some(smuggled) = fold::smuggled(text) {
        engine.read(&smuggled, None, Spacing::Kept, &mut found);
    }
    sort(&mut found.findings);
    found.findings
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (a.range.start, &a.detector).cmp(&(b.range.start, &b.detector)));
}

/// Findings of one detector in one form beyond these say nothing new.
const MOST_OF_ONE: usize = 8;
/// What a pattern may see before and after a keyword.
const BEFORE: usize = 96;
const AFTER: usize = 256;
/// Bytes of states that an automaton keeps. There are many, and each reads little.
const CACHE: usize = 384 << 10;
/// No order is longer.
const REACH: usize = 1024;
/// Keywords of this many letters are parts of too many words.
const SHORT: usize = 3;

static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(|| Engine::new(detectors::ALL));

/// Whether the form still has what parts words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spacing {
    Kept,
    Lost,
}

pub(super) struct Engine {
    keywords: Keywords,
    /// The detector of each keyword.
    owners: Vec<usize>,
    detectors: Vec<Entry>,
}

struct Keywords {
    automaton: AhoCorasick,
    begins: Begins,
    longest: usize,
}

/// What literals begin with: a bit for each hash of four signs, of which the lower five bits count,
/// so that the case of letters does not.
struct Begins(Box<[u64; BEGINS]>);

const BEGINS: usize = 512;

struct Entry {
    detector: &'static Detector,
    kept: Patterns,
    /// For texts whose blanks are lost.
    lost: Patterns,
}

/// Patterns of a detector as one, compiled when a keyword first stands in a text.
type Patterns = OnceLock<Option<Compiled>>;

struct Compiled {
    begins: Begins,
    regex: Regex,
    /// Of each pattern, the surest first.
    confidences: Vec<Confidence>,
}

struct Found<'t> {
    text: &'t str,
    kind: Kind,
    findings: Vec<Finding>,
}

impl Engine {
    pub(super) fn new(all: &'static [Detector]) -> Option<Self> {
        let mut keywords = Vec::new();
        let mut owners = Vec::new();
        for (at, detector) in all.iter().enumerate() {
            keywords.extend(detector.keywords);
            owners.extend(detector.keywords.iter().map(|_| at));
        }
        let entries = all.iter().map(|detector| Entry {
            detector,
            kept: Patterns::default(),
            lost: Patterns::default(),
        });
        Some(Self {
            keywords: Keywords::new(&keywords)?,
            owners,
            detectors: entries.collect(),
        })
    }

    /// Reads a form, and once more where digits in it stand for letters.
    fn read(
        &self,
        form: &Folded<'_>,
        changed: Option<&[usize]>,
        spacing: Spacing,
        found: &mut Found<'_>,
    ) {
        self.pass(form, changed, spacing, found);
        if let Some((leet, changed)) = form.leet() {
            self.pass(&leet, Some(&changed), spacing, found);
        }
    }

    /// Reads windows around keywords; where something was changed before, only those with it.
    fn pass(
        &self,
        form: &Folded<'_>,
        changed: Option<&[usize]>,
        spacing: Spacing,
        found: &mut Found<'_>,
    ) {
        let text = form.text.as_ref();
        let mut windows: Vec<Option<Range<usize>>> = vec![None; self.detectors.len()];
        let mut counts = vec![0; self.detectors.len()];
        let mut read = |owner: usize, window: Range<usize>, found: &mut Found<'_>| {
            let is_new = changed.is_none_or(|changed| {
                let next = changed.partition_point(|at| *at < window.start);
                changed.get(next).is_some_and(|at| *at < window.end)
            });
            if is_new {
                self.window(owner, form, &window, spacing, &mut counts, found);
            }
        };
        let mut hit = |keyword: usize, range: Range<usize>| {
            let Some(&owner) = self.owners.get(keyword) else {
                return;
            };
            let window = range.start.saturating_sub(BEFORE)..(range.end + AFTER).min(text.len());
            let Some(open) = windows.get_mut(owner) else {
                return;
            };
            match open {
                Some(open) if open.end >= window.start => open.end = window.end,
                Some(_) | None => {
                    if let Some(whole) = open.replace(window) {
                        read(owner, whole, found);
                    }
                }
            }
        };
        let places = changed.map_or_else(
            || std::iter::once(0..text.len()).collect(),
            |changed| self.keywords.near(changed, text.len()),
        );
        for place in places {
            self.keywords
                .find(text.as_bytes(), place, spacing, &mut hit);
        }
        for (owner, window) in windows.into_iter().enumerate() {
            if let Some(window) = window {
                read(owner, window, found);
            }
        }
    }

    fn window(
        &self,
        owner: usize,
        form: &Folded<'_>,
        window: &Range<usize>,
        spacing: Spacing,
        counts: &mut [usize],
        found: &mut Found<'_>,
    ) {
        let (Some(entry), Some(count)) = (self.detectors.get(owner), counts.get_mut(owner)) else {
            return;
        };
        let detector = entry.detector;
        let patterns = match spacing {
            Spacing::Kept => &entry.kept,
            Spacing::Lost => &entry.lost,
        };
        let patterns = patterns.get_or_init(|| compile(detector, spacing));
        // INVARIANT: the patterns compile; a test reads them. Without them the text is suspect.
        let Some(patterns) = patterns else {
            found.add(detector, Confidence::High, form, window.clone());
            return;
        };
        let text = form.text.as_bytes();
        for start in patterns.begins.starts(text, window.clone(), spacing) {
            if *count >= MOST_OF_ONE {
                return;
            }
            let end = window.end.min(start + REACH);
            let here = Input::new(text).range(start..end).anchored(Anchored::Yes);
            let Some(one) = patterns.regex.search_half(&here) else {
                continue;
            };
            let confidence = patterns.confidences.get(one.pattern().as_usize());
            let confidence = confidence.copied().unwrap_or(Confidence::High);
            *count += 1;
            found.add(detector, confidence, form, start..one.offset());
        }
    }
}

impl Keywords {
    fn new(keywords: &[&str]) -> Option<Self> {
        let mut begins = Begins::default();
        for keyword in keywords {
            begins.add(keyword.as_bytes());
        }
        Some(Self {
            automaton: AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .start_kind(StartKind::Both)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(keywords)
                .ok()?,
            begins,
            longest: keywords.iter().map(|keyword| keyword.len()).max()?,
        })
    }

    /// The keywords that begin in a part of a text, in the order of their beginnings.
    fn find(
        &self,
        text: &[u8],
        part: Range<usize>,
        spacing: Spacing,
        hit: &mut impl FnMut(usize, Range<usize>),
    ) {
        match spacing {
            Spacing::Kept => {
                for start in self.begins.starts(text, part, spacing) {
                    let end = (start + self.longest).min(text.len());
                    let here = aho_corasick::Input::new(text).range(start..end);
                    let here = here.anchored(aho_corasick::Anchored::Yes);
                    let mut state = OverlappingState::start();
                    loop {
                        self.automaton.find_overlapping(here.clone(), &mut state);
                        let Some(one) = state.get_match() else {
                            break;
                        };
                        if one.start() == start && is_word(text, start, one.end()) {
                            hit(one.pattern().as_usize(), one.range());
                        }
                    }
                }
            }
            Spacing::Lost => {
                let here = aho_corasick::Input::new(text).range(part);
                for one in self.automaton.find_overlapping_iter(here) {
                    hit(one.pattern().as_usize(), one.range());
                }
            }
        }
    }

    /// The parts in which a keyword's window may hold one of `places`.
    fn near(&self, places: &[usize], length: usize) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        for place in places {
            let start = place.saturating_sub(AFTER + self.longest);
            let end = (place + BEFORE + self.longest).min(length);
            match parts.last_mut() {
                Some(last) if last.end >= start => last.end = end,
                Some(_) | None => parts.push(start..end),
            }
        }
        parts
    }
}

impl Begins {
    fn add(&mut self, literal: &[u8]) {
        let sign = |at: usize| literal.get(at).map_or(0..=31, |sign| sign & 31..=sign & 31);
        for one in sign(0) {
            for two in sign(1) {
                for three in sign(2) {
                    for four in sign(3) {
                        let (at, bit) = place([one, two, three, four]);
                        if let Some(bits) = self.0.get_mut(at) {
                            *bits |= bit;
                        }
                    }
                }
            }
        }
    }

    /// Where one may begin in a part of a text: at signs, and at the first letters of words.
    fn starts(
        &self,
        text: &[u8],
        part: Range<usize>,
        spacing: Spacing,
    ) -> impl Iterator<Item = usize> {
        let signs = text.get(part.start..(part.end + 3).min(text.len()));
        let signs = signs.unwrap_or_default();
        let before = part.start.checked_sub(1).and_then(|at| text.get(at));
        let has_words = spacing == Spacing::Kept;
        let mut is_inside = before.is_some_and(|byte| is_alnum(*byte));
        let may_begin = move |signs: &[u8; 4]| {
            let was_inside = std::mem::replace(&mut is_inside, is_alnum(signs[0]));
            let (at, bit) = place(*signs);
            let is_begin = self.0.get(at).is_some_and(|bits| bits & bit != 0);
            is_begin && !(has_words && was_inside && is_inside)
        };
        let starts = signs.array_windows().map(may_begin).enumerate();
        let starts = starts.filter_map(|(at, may_begin)| may_begin.then_some(at));
        // Too little follows to tell.
        let last = signs.len().saturating_sub(3)..signs.len();
        let starts = starts.chain(last).map(move |at| part.start + at);
        starts.take_while(move |start| *start < part.end)
    }
}

impl Default for Begins {
    fn default() -> Self {
        Self(Box::new([0; BEGINS]))
    }
}

fn place(signs: [u8; 4]) -> (usize, u64) {
    let hash = (u32::from_le_bytes(signs) & 0x1f1f_1f1f).wrapping_mul(0x9e37_79b1) >> 17;
    (
        usize::try_from(hash >> 6).unwrap_or_default(),
        1 << (hash & 63),
    )
}

impl Found<'_> {
    fn add(
        &mut self,
        detector: &Detector,
        confidence: Confidence,
        form: &Folded<'_>,
        range: Range<usize>,
    ) {
        // A pattern over bytes may end inside of a letter.
        let range =
            form.text.floor_char_boundary(range.start)..form.text.ceil_char_boundary(range.end);
        let place = form.original(&range);
        let as_written = self.text.get(place.clone()) == form.text.get(range.clone());
        let (severity, confidence) = if as_written && mention::is_mention(&form.text, &range) {
            (detector.severity.min(Severity::Medium), Confidence::Low)
        } else {
            (detector.severity, confidence)
        };
        let known = self.findings.iter_mut().find(|finding| {
            finding.detector == detector.id
                && finding.range.start < place.end.max(place.start + 1)
                && place.start < finding.range.end.max(finding.range.start + 1)
        });
        if let Some(known) = known {
            known.confidence = known.confidence.max(confidence);
            known.severity = known.severity.max(severity);
            return;
        }
        self.findings.push(Finding {
            detector: detector.id.to_owned(),
            kind: self.kind,
            severity,
            confidence,
            view: if as_written { View::Raw } else { View::Folded },
            range: place,
        });
    }
}

/// Whether a keyword begins a word, and is the whole of it when it is short.
fn is_word(text: &[u8], start: usize, end: usize) -> bool {
    let is_letter = |at: Option<usize>| {
        at.and_then(|at| text.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    if !is_letter(Some(start)) {
        return true;
    }
    if is_letter(start.checked_sub(1)) {
        return false;
    }
    let after = match text.get(end) {
        Some(b's' | b'S') => end + 1,
        Some(_) | None => end,
    };
    end - start > SHORT || !is_letter(Some(after))
}

/// The patterns of a detector as they are read, and the flag that says what letters are.
fn written(
    detector: &Detector,
    spacing: Spacing,
) -> impl Iterator<Item = (Confidence, String, &'static str)> {
    let between = match spacing {
        Spacing::Kept => r#"(?:[\s*_~`"'+|\\/,-]+|[.])"#,
        Spacing::Lost => r#"[\s*_~`"'+|\\/,.-]*"#,
    };
    detector.patterns.iter().map(move |(confidence, text)| {
        let mut text = (*text).to_owned();
        for (name, list) in detectors::LISTS {
            text = text.replace(name, list);
        }
        // A word's edge is lost with its blank.
        let text = match spacing {
            Spacing::Kept => text,
            Spacing::Lost => text.replace(r"\b", ""),
        };
        let letters = if text.is_ascii() { "-u" } else { "u" };
        (*confidence, text.replace(' ', between), letters)
    })
}

fn compile(detector: &Detector, spacing: Spacing) -> Option<Compiled> {
    let mut written: Vec<_> = written(detector, spacing).collect();
    // Of several patterns that match at a place the first is told.
    written.sort_by_key(|(confidence, ..)| std::cmp::Reverse(*confidence));
    let mut begins = Begins::default();
    let mut extractor = Extractor::new();
    extractor
        .limit_class(24)
        .limit_literal_len(4)
        .limit_total(4096);
    let mut all = Vec::new();
    for (_, text, letters) in &written {
        // In one case of letters: it does not count.
        let exact = format!("(?m{letters}:{text})");
        let exact = syntax::parse_with(&exact, &syntax::Config::new().utf8(false)).ok()?;
        match extractor.extract(&exact).literals() {
            Some(literals) => literals.iter().for_each(|it| begins.add(it.as_bytes())),
            None => begins.add(b""),
        }
        all.push(format!("(?im{letters}:{text})"));
    }
    Some(Compiled {
        begins,
        // Texts without blanks are few and short.
        regex: pattern(&all, spacing == Spacing::Kept)?,
        confidences: written.iter().map(|(confidence, ..)| *confidence).collect(),
    })
}

fn pattern(texts: &[impl AsRef<str>], is_often: bool) -> Option<Regex> {
    let config = Regex::config()
        .utf8_empty(false)
        .auto_prefilter(false)
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(8 << 20))
        .onepass(false)
        .backtrack(false)
        .hybrid(is_often)
        .hybrid_cache_capacity(CACHE);
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .build_many(texts)
        .ok()
}

/// # What it does
///
/// Finds characters that show nothing where no script needs them: tags, long runs of variation
/// selectors, overrides of the direction, zero-width characters within words of Latin letters.
///
/// # Why it matters
///
/// A person reads another text than the model.
///
/// # Known gaps
///
/// Zero-width characters between letters of other scripts, which some need.
///
/// # Example
///
/// `pass<U+200B>word` in a tool's description.
fn invisible(text: &str) -> Vec<Finding> {
    if text.is_ascii() {
        return Vec::new();
    }
    let mut tags = Run::default();
    let mut selectors = Run::default();
    let mut turned = Run::default();
    let mut hidden = Run::default();
    let mut before = '\0';
    let mut run = 0usize;
    let mut flag = false;
    let mut done = 0;
    for (at, letter) in fold::unusual(text) {
        let end = at + letter.len_utf8();
        let between = text.get(done..at).unwrap_or_default();
        if let Some(last) = between.chars().rfind(|letter| !fold::is_invisible(*letter)) {
            run = 0;
            before = last;
        }
        flag &= between.is_empty();
        done = end;
        let next = || text.get(end..).and_then(|rest| rest.chars().next());
        match u32::from(letter) {
            // A flag of a region is a black flag and tags.
            0x1F3F4 => flag = true,
            0xE0001..=0xE007F if flag => flag = letter != '\u{E007F}',
            0xE0001..=0xE007F => tags.add(at..end),
            0xFE00..=0xFE0F | 0xE0100..=0xE01EF => {
                run += 1;
                if run >= 3 {
                    selectors.add(at..end);
                }
            }
            0x202D | 0x202E => turned.add(at..end),
            0x200B..=0x200D | 0x2060..=0x2064 | 0xFEFF | 0x180E | 0x34F
                if before.is_ascii_alphanumeric()
                    && next().is_some_and(|next| next.is_ascii_alphanumeric()) =>
            {
                hidden.add(at..end);
            }
            _ => flag = false,
        }
        if !fold::is_invisible(letter) {
            run = 0;
            before = letter;
        }
    }
    [
        (tags, 4, Severity::High, Confidence::High),
        (selectors, 2, Severity::High, Confidence::High),
        (turned, 1, Severity::Medium, Confidence::Medium),
        (hidden, 3, Severity::Medium, Confidence::Medium),
    ]
    .into_iter()
    .filter(|(run, fewest, ..)| run.count >= *fewest)
    .map(|(run, _, severity, confidence)| Finding {
        detector: "invisible-characters".to_owned(),
        kind: Kind::Injection,
        severity,
        confidence,
        view: View::Raw,
        range: run.range,
    })
    .collect()
}

/// Characters of one kind: how many, and from where to where.
#[derive(Default)]
struct Run {
    count: usize,
    range: Range<usize>,
}

impl Run {
    fn add(&mut self, range: Range<usize>) {
        if self.count == 0 {
            self.range = range;
        } else {
            self.range.end = range.end;
        }
        self.count += 1;
    }
}
