//! A text as words of letters, digits, `-` and `_`: what codes and numbers are made of.

use std::ops::Range;

/// What bytes of a word are. A word has the bits that all its bytes have, and those that any has.
pub(in crate::inspect) const HEX: u8 = 1;
pub(in crate::inspect) const BASE32_UPPER: u8 = 1 << 1;
pub(in crate::inspect) const BASE32_LOWER: u8 = 1 << 2;
pub(in crate::inspect) const DIGIT: u8 = 1 << 3;
pub(in crate::inspect) const LOWER: u8 = 1 << 4;
pub(in crate::inspect) const UPPER: u8 = 1 << 5;
pub(in crate::inspect) const ALNUM: u8 = 1 << 6;
const WORD: u8 = 1 << 7;

const CLASSES: [u8; 256] = classes();

/// A longest run of word bytes.
#[derive(Clone, Debug)]
pub(in crate::inspect) struct Word {
    pub(in crate::inspect) range: Range<usize>,
    /// Bits that every byte has.
    pub(in crate::inspect) all: u8,
    /// Bits that some byte has.
    pub(in crate::inspect) any: u8,
}

impl Word {
    pub(in crate::inspect) fn length(&self) -> usize {
        self.range.len()
    }

    pub(in crate::inspect) fn is_all(&self, bit: u8) -> bool {
        self.all & bit != 0
    }

    pub(in crate::inspect) fn has(&self, bit: u8) -> bool {
        self.any & bit != 0
    }
}

/// The words of a text, in order.
pub(in crate::inspect) fn words(bytes: &[u8]) -> impl Iterator<Item = Word> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|byte| class(*byte) != 0)?;
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

pub(in crate::inspect) fn is_alnum(byte: u8) -> bool {
    class(byte) & ALNUM != 0
}

pub(in crate::inspect) fn class(byte: u8) -> u8 {
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
