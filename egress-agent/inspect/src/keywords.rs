//! Keywords in a text, and where patterns may begin: both by their first four signs.
//!
//! A bit for each hash of four signs says whether something begins so. The bits of 64 places are
//! looked up without a branch; what is there is compared only where the bit is set. An automaton
//! for all keywords takes a look-up that waits for the one before for each byte, and a megabyte.

use std::ops::Range;

use regex_syntax::hir::{Hir, HirKind, Look, literal::Extractor};

/// What literals begin with, in any case of letters. `N` words of 64 bits, a power of two.
#[derive(Debug)]
pub(super) struct Begins<const N: usize> {
    /// A bit for each hash of four signs.
    bits: Box<[u64; N]>,
    /// For each byte a bit for each of the first four places that it can stand at.
    places: Box<[u8; 256]>,
}

/// Keywords, in any case of letters.
#[derive(Debug)]
pub(super) struct Keywords {
    begins: Begins<512>,
    all: Vec<Vec<u8>>,
    /// For each hash, where its keywords begin in `of_slots`, and the end of all.
    slots: Vec<u32>,
    of_slots: Vec<Slot>,
    longest: usize,
}

/// The first four signs of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    hash: u16,
    signs: u32,
    keyword: u16,
}

/// Places that are looked up at once.
const BLOCK: usize = 64;
/// Bits of the hash that tell keywords apart.
const SLOTS: u32 = 12;

/// The first signs of all that a pattern matches; one empty literal where they are too many.
pub(super) fn literals(pattern: &Hir) -> Vec<Vec<u8>> {
    let mut extractor = Extractor::new();
    extractor
        .limit_class(24)
        .limit_literal_len(4)
        .limit_total(4000);
    match extractor.extract(pattern).literals() {
        Some(literals) => literals.iter().map(|it| it.as_bytes().to_vec()).collect(),
        None => vec![Vec::new()],
    }
}

/// A pattern as it is where no line begins.
pub(super) fn within_line(pattern: Hir) -> Hir {
    let all = |patterns: Vec<Hir>| patterns.into_iter().map(within_line).collect();
    match pattern.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => Hir::fail(),
        HirKind::Look(look) => Hir::look(look),
        // What may be left out begins nothing for certain.
        HirKind::Repetition(repetition) => Hir::repetition(repetition),
        HirKind::Capture(capture) => within_line(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
    }
}

impl Keywords {
    /// At most 65,535; one with fewer than four signs counts as often as a fourth may follow.
    pub(super) fn new(keywords: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let all: Vec<Vec<u8>> = keywords.into_iter().map(Into::into).collect();
        let mut begins = Begins::default();
        let mut of_slots = Vec::new();
        for (keyword, signs) in (0..=u16::MAX).zip(&all) {
            begins.add(signs);
            each(signs, |signs| {
                of_slots.push(Slot {
                    hash: slot(signs),
                    signs: folded(signs),
                    keyword,
                });
            });
        }
        of_slots.sort_unstable();
        let slots = (0..=1 << SLOTS).map(|hash: u16| {
            let first = of_slots.partition_point(|slot| slot.hash < hash);
            // A keyword of one sign takes 32,768 slots.
            u32::try_from(first).unwrap_or(u32::MAX)
        });
        Self {
            begins,
            slots: slots.collect(),
            longest: all.iter().map(Vec::len).max().unwrap_or(0),
            of_slots,
            all,
        }
    }

    /// Signs of the longest.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Those that begin in a part of a text at places that `may_begin`, in the order of their
    /// beginnings: which, and where.
    pub(super) fn find(
        &self,
        text: &[u8],
        part: Range<usize>,
        may_begin: impl Fn(usize) -> bool,
        mut hit: impl FnMut(usize, Range<usize>),
    ) {
        for start in self.begins.starts(text, part) {
            if !may_begin(start) {
                continue;
            }
            let rest = text.get(start..).unwrap_or_default();
            // What is shorter than four signs begins with nothing longer: any sign may follow it.
            let mut signs = [0; 4];
            for (sign, byte) in signs.iter_mut().zip(rest) {
                *sign = *byte;
            }
            let slot = usize::from(slot(signs));
            let slots = self.slots.get(slot..slot + 2);
            let Some([from, to]) = slots else { continue };
            let at = |slot: u32| usize::try_from(slot).unwrap_or(usize::MAX);
            let slots = self.of_slots.get(at(*from)..at(*to));
            for slot in slots.unwrap_or_default() {
                let id = usize::from(slot.keyword);
                let Some(keyword) = self.all.get(id).filter(|_| slot.signs == folded(signs)) else {
                    continue;
                };
                let here = rest.get(..keyword.len());
                if here.is_some_and(|here| here.eq_ignore_ascii_case(keyword)) {
                    hit(id, start..start + keyword.len());
                }
            }
        }
    }
}

impl<const N: usize> Begins<N> {
    const SHIFT: u32 = 32 - (N * 64).ilog2();

    /// Adds a literal, or, where it has fewer than four signs, all that begin with it.
    pub(super) fn add(&mut self, literal: &[u8]) {
        for at in 0..4 {
            match literal.get(at) {
                Some(sign) => {
                    for sign in [sign.to_ascii_lowercase(), sign.to_ascii_uppercase()] {
                        if let Some(places) = self.places.get_mut(usize::from(sign)) {
                            *places |= 1 << at;
                        }
                    }
                }
                None => self.places.iter_mut().for_each(|places| *places |= 1 << at),
            }
        }
        if literal.is_empty() {
            self.bits.fill(u64::MAX);
            return;
        }
        each(literal, |signs| {
            let (at, bit) = Self::place(signs);
            if let Some(bits) = self.bits.get_mut(at) {
                *bits |= 1 << bit;
            }
        });
    }

    /// Whether one may begin a text.
    pub(super) fn may_begin(&self, text: &[u8]) -> bool {
        let is_at = |(at, byte): (usize, &u8)| {
            let places = self.places.get(usize::from(*byte));
            places.is_some_and(|places| places >> at & 1 == 1)
        };
        // What is too short to tell may.
        let signs = text.first_chunk();
        signs.is_none_or(|signs| self.has(*signs) != 0)
            && text.iter().take(4).enumerate().all(is_at)
    }

    /// Where one may begin in a part of a text.
    pub(super) fn starts(&self, text: &[u8], part: Range<usize>) -> impl Iterator<Item = usize> {
        let end = part.end.min(text.len());
        let (mut block, mut next, mut mask) = (part.start, part.start, 0_u64);
        std::iter::from_fn(move || {
            while mask == 0 {
                if next >= end {
                    return None;
                }
                block = next;
                let rest = text.get(block..).unwrap_or_default();
                let length = BLOCK.min(end - block);
                mask = match rest.first_chunk::<{ BLOCK + 3 }>() {
                    Some(signs) => self.mask(signs),
                    None => (0..length).fold(0, |mask, at| {
                        let signs = rest.get(at..).and_then(|rest| rest.first_chunk());
                        mask | signs.map_or(1, |signs| self.has(*signs)) << at
                    }),
                };
                mask &= u64::MAX >> (BLOCK - length);
                next += length;
            }
            let at = mask.trailing_zeros();
            mask &= mask - 1;
            Some(block + usize::try_from(at).unwrap_or_default())
        })
    }

    /// A bit for each of the first places.
    fn mask(&self, signs: &[u8; BLOCK + 3]) -> u64 {
        let mut mask = 0;
        for (at, signs) in signs.array_windows().enumerate() {
            mask |= self.has(*signs) << at;
        }
        mask
    }

    fn has(&self, signs: [u8; 4]) -> u64 {
        let (at, bit) = Self::place(signs);
        self.bits.get(at).map_or(0, |bits| bits >> bit & 1)
    }

    fn place(signs: [u8; 4]) -> (usize, u32) {
        let hash = hash(signs) >> Self::SHIFT;
        (usize::try_from(hash >> 6).unwrap_or_default(), hash & 63)
    }
}

impl<const N: usize> Default for Begins<N> {
    fn default() -> Self {
        Self {
            bits: Box::new([0; N]),
            places: Box::new([0; 256]),
        }
    }
}

/// The first four signs of all texts that begin with a literal.
fn each(literal: &[u8], mut give: impl FnMut([u8; 4])) {
    let sign = |at: usize| literal.get(at).map_or(0..=31, |sign| sign & 31..=sign & 31);
    for one in sign(0) {
        for two in sign(1) {
            for three in sign(2) {
                for four in sign(3) {
                    give([one, two, three, four]);
                }
            }
        }
    }
}

/// The lower five bits of each sign: the case of letters is lost.
fn folded(signs: [u8; 4]) -> u32 {
    u32::from_le_bytes(signs) & 0x1f1f_1f1f
}

fn hash(signs: [u8; 4]) -> u32 {
    folded(signs).wrapping_mul(0x9e37_79b1)
}

fn slot(signs: [u8; 4]) -> u16 {
    u16::try_from(hash(signs) >> (32 - SLOTS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &[&str] = &["a", "ab", "abcd", "bcda-b", "//", "dd a", "/", "-", "d"];

    proptest! {
        #[test]
        fn keywords_are_found_wherever_they_stand(
            text in "[abcdABCD/ -]{0,90}",
            from in 0usize..40,
            to in 30usize..90,
        ) {
            let part = from.min(to)..to.min(text.len());
            let lower = text.to_ascii_lowercase();
            let mut expected = Vec::new();
            for at in part.clone() {
                for (id, keyword) in ALL.iter().enumerate() {
                    if lower.as_bytes()[at..].starts_with(keyword.as_bytes()) {
                        expected.push((id, at..at + keyword.len()));
                    }
                }
            }
            let mut found = Vec::new();
            let hit = |id, range| found.push((id, range));
            Keywords::new(ALL.iter().copied()).find(text.as_bytes(), part, |_| true, hit);
            found.sort_by_key(|(id, range)| (range.start, *id));
            prop_assert_eq!(found, expected);
        }
    }
}
