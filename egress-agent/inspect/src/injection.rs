//! Orders to a model in texts that should only inform it: web pages, results and descriptions of
//! tools, files, issues.
//!
//! ```text
//!   text ──fold──▶ forms ──keywords──▶ windows ──patterns──▶ given, or mentioned? ──▶ Finding
//! ```
//!
//! Each detector is data in `injection/detectors.rs`. One walk looks for the keywords of all; only
//! what stands around a keyword is read by a detector's patterns, each of which takes linear time
//! and is tried only where its first signs stand. A text about such orders (a security guide, an
//! issue) holds them too: what is only mentioned (`mention`) is reported as less sure and less
//! bad.
//!
//! # Known gaps
//!
//! Orders without any usual word ("the build only passes when the key file is in the report") and
//! wordings beyond those listed: of forty-four orders written after the patterns, eighteen are
//! found. Patterns for more were written, and cost four fifths of the speed. Languages other than English, Chinese, Japanese, Korean, German, French, Spanish,
//! Portuguese, Italian and Russian.

mod detectors;
mod mention;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LazyLock, OnceLock};

use regex_automata::{
    Anchored, HalfMatch, Input,
    hybrid::dfa::{Cache, DFA},
    meta::Regex,
    nfa::thompson::{
        NFA, WhichCaptures,
        pikevm::{self, PikeVM},
    },
    util::{pool::Pool, syntax},
};

use super::fold::{self, Folded};
use super::keywords::{Begins, Keywords, literals, within_line};
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
    let mut found = read(&ENGINE, text, Kind::Injection);
    found.extend(invisible(text));
    sort(&mut found);
    found
}

/// What the detectors of `engine` find in all forms of a text.
pub(super) fn read(engine: &Engine, text: &str, kind: Kind) -> Vec<Finding> {
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
const CACHE: usize = 256 << 10;
/// Words of bits for what the patterns of a detector begin with.
const BEGINS: usize = 256;
/// No order is longer.
const REACH: usize = 1024;
/// Keywords of this many letters are parts of too many words.
const SHORT: usize = 3;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(detectors::ALL));

/// The patterns of a detector, which match only where they are asked to begin. A regex would keep
/// them a second time, backwards.
struct Automaton {
    quick: DFA,
    quick_caches: Caches<Cache>,
    /// For letters whose words the quick one does not know, and where its states are too many.
    slow: PikeVM,
    slow_caches: Caches<pikevm::Cache>,
}

type Caches<T> = Pool<T, Box<dyn Fn() -> T + Send + Sync + UnwindSafe + RefUnwindSafe>>;

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

struct Entry {
    detector: &'static Detector,
    kept: Patterns,
    /// For texts whose blanks are lost.
    lost: Patterns,
}

/// Patterns of a detector as one, compiled when a keyword first stands in a text.
type Patterns = OnceLock<Option<Compiled>>;

struct Compiled {
    begins: Begins<BEGINS>,
    /// The same where no line begins: what stands before a word is mostly a blank.
    within: Begins<BEGINS>,
    automaton: Automaton,
    /// Of each pattern, the surest first.
    confidences: Vec<Confidence>,
}

struct Found<'t> {
    text: &'t str,
    kind: Kind,
    findings: Vec<Finding>,
}

impl Engine {
    pub(super) fn new(all: &'static [Detector]) -> Self {
        let mut keywords = Vec::new();
        let mut owners = Vec::new();
        for (at, detector) in all.iter().enumerate() {
            keywords.extend(detector.keywords.iter().copied());
            owners.extend(detector.keywords.iter().map(|_| at));
        }
        let entries = all.iter().map(|detector| Entry {
            detector,
            kept: Patterns::default(),
            lost: Patterns::default(),
        });
        Self {
            keywords: Keywords::new(keywords),
            owners,
            detectors: entries.collect(),
        }
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
            |changed| near(changed, self.keywords.longest(), text.len()),
        );
        let bytes = text.as_bytes();
        let has_words = spacing == Spacing::Kept;
        for place in places {
            let may_begin = |start| !has_words || is_begin(bytes, start);
            self.keywords
                .find(bytes, place, may_begin, |keyword, range| {
                    if !has_words || is_word(bytes, range.start, range.end) {
                        hit(keyword, range);
                    }
                });
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
        for start in patterns.begins.starts(text, window.clone()) {
            let may_begin = spacing == Spacing::Lost || is_begin(text, start);
            if !may_begin || !patterns.may_begin(text, start) {
                continue;
            }
            if *count >= MOST_OF_ONE {
                return;
            }
            let end = window.end.min(start + REACH);
            let here = Input::new(text).range(start..end).anchored(Anchored::Yes);
            let Some(one) = patterns.automaton.search(&here) else {
                continue;
            };
            let confidence = patterns.confidences.get(one.pattern().as_usize());
            let confidence = confidence.copied().unwrap_or(Confidence::High);
            *count += 1;
            found.add(detector, confidence, form, start..one.offset());
        }
    }
}

impl Compiled {
    /// Whether a pattern may match from here on.
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let is_line = before.is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
        let begins = if is_line { &self.begins } else { &self.within };
        begins.may_begin(text.get(at..).unwrap_or_default())
    }
}

/// The parts in which a keyword's window may hold one of `places`.
fn near(places: &[usize], longest: usize, length: usize) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for place in places {
        let start = place.saturating_sub(AFTER + longest);
        let end = (place + BEFORE + longest).min(length);
        match parts.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            Some(_) | None => parts.push(start..end),
        }
    }
    parts
}

/// Whether a pattern or a keyword may begin here: at a sign, or at the first letter of a word.
fn is_begin(text: &[u8], at: usize) -> bool {
    let is_letter = |at: usize| text.get(at).is_some_and(|byte| is_alnum(*byte));
    !is_letter(at) || !at.checked_sub(1).is_some_and(is_letter)
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
    let mut within = Begins::default();
    let mut all = Vec::new();
    for (_, text, letters) in &written {
        // In one case of letters: it does not count.
        let exact = format!("(?m{letters}:{text})");
        let exact = syntax::parse_with(&exact, &syntax::Config::new().utf8(false)).ok()?;
        for literal in literals(&exact) {
            begins.add(&literal);
        }
        for literal in literals(&within_line(exact)) {
            within.add(&literal);
        }
        all.push(format!("(?im{letters}:{text})"));
    }
    Some(Compiled {
        begins,
        within,
        automaton: Automaton::new(&all, spacing)?,
        confidences: written.iter().map(|(confidence, ..)| *confidence).collect(),
    })
}

impl Automaton {
    fn new(texts: &[String], spacing: Spacing) -> Option<Self> {
        let config = NFA::config()
            .utf8(false)
            .which_captures(WhichCaptures::Implicit)
            .nfa_size_limit(Some(8 << 20));
        let nfa = NFA::compiler()
            .configure(config)
            .syntax(syntax::Config::new().utf8(false))
            .build_many(texts)
            .ok()?;
        let config = DFA::config()
            .unicode_word_boundary(true)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(3))
            .minimum_bytes_per_state(Some(10))
            .cache_capacity(match spacing {
                Spacing::Kept => CACHE,
                // Texts without blanks are few and short.
                Spacing::Lost => CACHE / 4,
            });
        let quick = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa.clone())
            .ok()?;
        let slow = PikeVM::new_from_nfa(nfa).ok()?;
        let (dfa, vm) = (quick.clone(), slow.clone());
        Some(Self {
            quick,
            quick_caches: Pool::new(Box::new(move || dfa.create_cache())),
            slow,
            slow_caches: Pool::new(Box::new(move || vm.create_cache())),
        })
    }

    /// The match at the beginning of the input: of which pattern, and where it ends.
    fn search(&self, input: &Input<'_>) -> Option<HalfMatch> {
        let found = self
            .quick
            .try_search_fwd(&mut self.quick_caches.get(), input);
        found.unwrap_or_else(|_| {
            let one = self.slow.find(&mut self.slow_caches.get(), input.clone())?;
            Some(HalfMatch::new(one.pattern(), one.end()))
        })
    }
}

fn pattern(texts: &[&str]) -> Option<Regex> {
    let config = Regex::config()
        .utf8_empty(false)
        .auto_prefilter(false)
        .which_captures(WhichCaptures::Implicit)
        .onepass(false)
        .backtrack(false)
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
