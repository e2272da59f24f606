//! A text as words of letters, digits, `-` and `_`: what codes and numbers are made of.
//!
//! Few words of a text are worth a look: codes and numbers are long. [`spans`] finds the long runs
//! of their bytes and reads only a part of what lies between.

use std::ops::Range;

/// What bytes of a word are. A word has the bits that all its bytes have, and those that any has.
pub(crate) const HEX: u8 = 1;
pub(crate) const BASE32_UPPER: u8 = 1 << 1;
pub(crate) const BASE32_LOWER: u8 = 1 << 2;
pub(crate) const DIGIT: u8 = 1 << 3;
pub(crate) const LOWER: u8 = 1 << 4;
pub(crate) const UPPER: u8 = 1 << 5;
pub(crate) const ALNUM: u8 = 1 << 6;
const WORD: u8 = 1 << 7;

const CLASSES: [u8; 256] = classes();

/// What a byte can be a part of: a word.
pub(crate) const IN_WORD: u8 = 1;
/// A code with what may stand inside of it, a path, a name of a host.
pub(crate) const IN_CODE: u8 = 1 << 1;
/// Bytes that are written one by one, and what parts them.
pub(crate) const IN_PAIRS: u8 = 1 << 2;
/// A number of digits and capitals in groups.
pub(crate) const IN_NUMBER: u8 = 1 << 3;

const PARTS: [u8; 256] = parts();

/// A longest run of word bytes.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) range: Range<usize>,
    /// Bits that every byte has.
    pub(crate) all: u8,
    /// Bits that some byte has.
    pub(crate) any: u8,
}

impl Word {
    pub(crate) fn length(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn is_all(&self, bit: u8) -> bool {
        self.all & bit != 0
    }

    pub(crate) fn has(&self, bit: u8) -> bool {
        self.any & bit != 0
    }
}

/// The words of a text, in order.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = Word> {
    words_in(bytes, 0..bytes.len())
}

/// The words that begin in a part of a text. What is no word there is read once, and a word to its
/// end.
pub(crate) fn words_in(bytes: &[u8], part: Range<usize>) -> impl Iterator<Item = Word> {
    let end = part.end.min(bytes.len());
    let before = part.start.checked_sub(1).and_then(|at| bytes.get(at));
    let mut at = part.start;
    if before.is_some_and(|before| class(*before) != 0) {
        let rest = bytes.get(at..end).unwrap_or_default();
        at += rest.iter().take_while(|byte| class(**byte) != 0).count();
    }
    std::iter::from_fn(move || {
        let start = at
            + bytes
                .get(at..end)?
                .iter()
                .position(|byte| class(*byte) != 0)?;
        let (mut all, mut any, mut end) = (u8::MAX, 0, start);
        for byte in bytes.get(start..)? {
            let class = class(*byte);
            if class == 0 {
                break;
            }
            all &= class;
            any |= class;
            end += 1;
        }
        at = end;
        Some(Word {
            range: start..end,
            all,
            any,
        })
    })
}

/// The longest runs of at least `least` bytes of a part, in order.
pub(crate) fn spans(bytes: &[u8], part: u8, least: usize) -> impl Iterator<Item = Range<usize>> {
    let is_out = move |byte: &u8| {
        PARTS
            .get(usize::from(*byte))
            .is_none_or(|of| of & part == 0)
    };
    spans_of(bytes, least, is_out)
}

/// The longest runs of at least `least` items none of which is out, in order.
///
/// Whether a run of that length begins at a place is asked of its last item first: one that is out
/// says so of all places up to it. No item is read twice.
pub(crate) fn spans_of<T>(
    items: &[T],
    least: usize,
    is_out: impl Fn(&T) -> bool,
) -> impl Iterator<Item = Range<usize>> {
    // A run may begin at `start`; up to `known` it goes on.
    let (mut start, mut known) = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let end = start + least;
            if let Some(out) = items.get(known..end)?.iter().rposition(&is_out) {
                start = known + out + 1;
                known = end;
                continue;
            }
            let rest = items.get(end..)?;
            let end = end + rest.iter().position(&is_out).unwrap_or(rest.len());
            let span = start..end;
            (start, known) = (end + 1, end + 1);
            return Some(span);
        }
    })
}

pub(crate) fn is_alnum(byte: u8) -> bool {
    class(byte) & ALNUM != 0
}

pub(crate) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let mut class = 0;
        if byte.is_ascii_hexdigit() {
            class |= HEX;
        }
        if byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7') {
            class |= BASE32_UPPER;
        }
        if byte.is_ascii_lowercase() || matches!(byte, b'2'..=b'7') {
            class |= BASE32_LOWER;
        }
        if byte.is_ascii_digit() {
            class |= DIGIT;
        }
        if byte.is_ascii_lowercase() {
            class |= LOWER;
        }
        if byte.is_ascii_uppercase() {
            class |= UPPER;
        }
        if byte.is_ascii_alphanumeric() {
            class |= ALNUM;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            class |= WORD;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "a byte is below 256; checked at compile time"
        )]
        {
            table[byte as usize] = class;
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn parts() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let mut parts = 0;
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if is_word {
            parts |= IN_WORD;
        }
        if is_word || matches!(byte, b'+' | b'/' | b'.') {
            parts |= IN_CODE;
        }
        if byte.is_ascii_hexdigit()
            || matches!(
                byte,
                b'x' | b'X' | b'u' | b' ' | b'\t' | b'\r' | b'\n' | b':' | b','
            )
            || matches!(byte, b';' | b'\\' | b'"' | b'\'' | b'+' | b'&' | b'#')
        {
            parts |= IN_PAIRS;
        }
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b' ' | b'-') {
            parts |= IN_NUMBER;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "a byte is below 256; checked at compile time"
        )]
        {
            table[byte as usize] = parts;
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_is_not_cut() {
        #[track_caller]
        fn check(part: Range<usize>, expected: &[&str]) {
            let text = b"one two-3 four";
            let words = words_in(text, part).map(|word| &text[word.range]);
            let expected = expected.iter().map(|word| word.as_bytes());
            assert!(words.eq(expected));
        }
        check(0..14, &["one", "two-3", "four"]);
        check(1..14, &["two-3", "four"]);
        check(4..5, &["two-3"]);
        check(5..99, &["four"]);
        check(99..100, &[]);
    }

    proptest! {
        #[test]
        fn spans_are_the_long_runs(text in "[a ]{0,60}", least in 1usize..9) {
            let mut runs = Vec::new();
            let mut at = 0;
            for run in text.split(' ') {
                if run.len() >= least {
                    runs.push(at..at + run.len());
                }
                at += run.len() + 1;
            }
            let found: Vec<_> = spans(text.as_bytes(), IN_WORD, least).collect();
            prop_assert_eq!(found, runs);
        }
    }
}
