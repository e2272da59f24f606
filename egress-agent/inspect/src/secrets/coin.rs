//! Keys to coins.

use super::{Detector, Edge, Search, TOKEN, check, near};
use std::{ops::Range, sync::LazyLock};

use bip39::Language;
use sha2::{Digest as _, Sha256};

use crate::{
    finding::{Confidence, Kind, Severity},
    view::words::{ALNUM, DIGIT, Word, words_in},
};

pub(super) const ALL: &[Detector] = &[
    WIF,
    EXTENDED,
    ETHEREUM,
    SEED,
    BITCOIN,
    SEGWIT,
    ETHEREUM_ADDRESS,
];

/// *What it does*: finds private keys in wallet import format; base58check makes it certain. *Why
/// it matters*: whoever reads it takes the coins. *Known gaps*: none known. *Example*: `K`, `L` or
/// `5` and 50 or 51 signs of base 58.
const WIF: Detector = Detector {
    id: "bitcoin-wif",
    what: "a Bitcoin key",
    keywords: &[],
    search: Search::Word(wif),
    check: Some(check::wif),
    positive: &["<wif>", "key <wif>"],
    negative: &["K<an:51>"],
    ..TOKEN
};

/// *What it does*: finds extended private keys (BIP 32, SLIP 132); base58check makes it certain.
/// *Why it matters*: whoever reads it takes the coins of every key below it. *Known gaps*: none
/// known. *Example*: `xprv` and 107 signs of base 58.
const EXTENDED: Detector = Detector {
    id: "extended-private-key",
    what: "an extended private key",
    keywords: &["xprv", "yprv", "zprv", "tprv", "uprv", "vprv"],
    search: Search::Pattern(r"[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{105,109}\b"),
    edge: Edge::Any,
    check: Some(check::base58),
    positive: &["<xprv>"],
    negative: &["xprv<an:107>"],
    ..TOKEN
};

/// *What it does*: finds 64 hexadecimal digits that are given to a name such as `private_key`.
/// *Why it matters*: whoever reads it takes the coins. *Known gaps*: keys without such a name near
/// them look like any hash. *Example*: `PRIVATE_KEY=0x` and 64 hexadecimal digits.
const ETHEREUM: Detector = Detector {
    id: "ethereum-key",
    what: "an Ethereum key",
    keywords: &[
        "private",
        "privkey",
        "priv_key",
        "eth_key",
        "wallet_key",
        "deployer",
        "signer",
    ],
    search: Search::Given(
        near!("private[_ -]?key|priv_?key|eth_key|wallet_key|deployer|signer"),
        r"(?:0x)?[0-9a-fA-F]{64}\b",
    ),
    edge: Edge::Any,
    check: Some(check::curve_key),
    positive: &[
        "PRIVATE_KEY=0x<hex:64>",
        r#""privateKey": "<hex:64>""#,
        "deployer_key: 0x<hex:64>",
    ],
    negative: &["private_key: &Path", "0x<hex:64>"],
    ..TOKEN
};

/// *What it does*: finds 12, 15, 18, 21 or 24 English words of BIP 39 in a row; their checksum
/// makes it likely. *Why it matters*: whoever reads it takes every coin of the wallet. *Known
/// gaps*: other languages; words in disorder. *Example*: twelve words of the list.
const SEED: Detector = Detector {
    id: "seed-phrase",
    what: "a seed phrase",
    keywords: &[],
    search: Search::Phrase,
    positive: &[
        "<seed:12>",
        "my words: <seed:24>.",
        "<seed:15>",
        "<seed:18>",
        "<seed:21>",
    ],
    negative: &["the quick brown fox jumps over the lazy dog and then some more words follow it"],
    ..TOKEN
};

/// *What it does*: finds addresses of Bitcoin in base58check. *Why it matters*: an address is no
/// secret; a swapped one takes the money. *Known gaps*: segregated-witness addresses are
/// `bitcoin-segwit-address`. *Example*: `1` or `3` and 25 to 34 signs.
const BITCOIN: Detector = Detector {
    id: "bitcoin-address",
    what: "a Bitcoin address",
    kind: Kind::Personal,
    severity: Severity::Info,
    keywords: &[],
    search: Search::Word(address),
    check: Some(check::base58),
    is_optional: true,
    positive: &["<p2pkh>"],
    negative: &["1<an:30>"],
    ..TOKEN
};

/// *What it does*: finds addresses of Bitcoin in Bech32; the checksum is not looked at. *Why it
/// matters*: an address is no secret; a swapped one takes the money. *Known gaps*: a mistyped
/// address counts. *Example*: `bc1` and 39 or 59 signs.
const SEGWIT: Detector = Detector {
    id: "bitcoin-segwit-address",
    what: "a Bitcoin address",
    kind: Kind::Personal,
    severity: Severity::Info,
    confidence: Confidence::Medium,
    keywords: &["bc1", "tb1"],
    search: Search::Pattern(r"(?:bc|tb)1[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{38,59}\b"),
    is_optional: true,
    positive: &["bc1<bech:39>", "bc1<bech:59>"],
    negative: &["bc1x"],
    ..TOKEN
};

/// *What it does*: finds addresses of Ethereum; the checksum in the case of letters is not looked
/// at. *Why it matters*: an address is no secret; a swapped one takes the money. *Known gaps*:
/// other numbers of 20 bytes. *Example*: `0x` and 40 hexadecimal digits.
const ETHEREUM_ADDRESS: Detector = Detector {
    id: "ethereum-address",
    what: "an Ethereum address",
    kind: Kind::Personal,
    severity: Severity::Info,
    confidence: Confidence::Medium,
    keywords: &["0x"],
    search: Search::Pattern(r"0x[0-9a-fA-F]{40}\b"),
    is_optional: true,
    positive: &["0x<hex:40>"],
    negative: &["0xff", "0x<hex:64>"],
    ..TOKEN
};

fn wif(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let key = bytes.get(word.clone())?;
    let is_key = matches!(key.len(), 51 | 52) && b"5KL9c".contains(key.first()?);
    is_key.then(|| word.clone())
}

fn address(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let address = bytes.get(word.clone())?;
    let is_address = (26..=35).contains(&address.len()) && b"13".contains(address.first()?);
    is_address.then(|| word.clone())
}

/// The least number of words in a phrase.
const LEAST_WORDS: usize = 12;
/// What may stand between two words.
const LONGEST_GAP: usize = 6;
/// Words of the list in a row that make it worth to look for more around them.
const TELLING: usize = 3;
/// Every so many bytes the next words are looked at. A word and what parts it from the next are
/// four bytes at least: wherever a phrase begins, so many of its words come after such a place.
const STRIDE: usize = 4 * (LEAST_WORDS - TELLING) + 1;

/// Words in a row that may be of the list.
#[derive(Debug, Default)]
struct Row {
    words: Vec<Range<usize>>,
    end: usize,
}

impl Row {
    /// Whether a word continues the row, or a number between two words.
    fn takes(&mut self, bytes: &[u8], word: &Word) -> bool {
        let is_listed = may_be_listed(bytes, word);
        let is_close = || {
            let gap = bytes.get(self.end..word.range.start).unwrap_or_default();
            gap.len() <= LONGEST_GAP && gap.iter().all(|byte| b" \t\r\n,;.\"'\\()".contains(byte))
        };
        if !(is_listed || is_number(word)) || !self.words.is_empty() && !is_close() {
            return false;
        }
        if is_listed {
            self.words.push(word.range.clone());
        }
        self.end = word.range.end;
        true
    }

    /// The phrases in it: words of the list whose checksum is right.
    fn phrases(&self, bytes: &[u8], found: &mut impl FnMut(Range<usize>)) {
        if self.words.len() < LEAST_WORDS {
            return;
        }
        let index = |range: &Range<usize>| {
            let word = str::from_utf8(bytes.get(range.clone())?).ok()?;
            Language::English.find_word(&word.to_ascii_lowercase())
        };
        let indices: Vec<Option<u16>> = self.words.iter().map(index).collect();
        let mut at = 0;
        for listed in indices.split(Option::is_none) {
            let ranges = self.words.get(at..at + listed.len()).unwrap_or_default();
            at += listed.len() + 1;
            let listed: Vec<u16> = listed.iter().copied().flatten().collect();
            let mut next = 0;
            while next + LEAST_WORDS <= listed.len() {
                let length = listed.get(next..).and_then(longest_phrase);
                if let (Some(length), Some(first)) = (length, ranges.get(next))
                    && let Some(last) = ranges.get(next + length - 1)
                {
                    found(first.start..last.end);
                }
                next += length.unwrap_or(1);
            }
        }
    }
}

/// The numbers of a list.
fn is_number(word: &Word) -> bool {
    word.is_all(DIGIT) && word.length() <= 2
}

/// The phrases in a text.
pub(super) fn seed_phrases(bytes: &[u8], mut found: impl FnMut(Range<usize>)) {
    // No row reaches from before `safe` to `at`.
    let (mut safe, mut at) = (0, 0);
    let mut row = Row::default();
    loop {
        let words = words_in(bytes, at..bytes.len()).filter(|word| !is_number(word));
        let mut last = None;
        let mut other = None;
        let mut count = 0;
        for word in words.take(TELLING) {
            if !may_be_listed(bytes, &word) {
                other = Some(word.range.end);
                break;
            }
            last = Some(word.range.start);
            count += 1;
        }
        if let Some(other) = other {
            safe = other;
            at = safe.max(at + STRIDE);
            continue;
        }
        let Some(last) = last.filter(|_| count == TELLING) else {
            return;
        };
        row.words.clear();
        let mut next = bytes.len();
        for word in words_in(bytes, safe..bytes.len()) {
            if row.takes(bytes, &word) {
                continue;
            }
            row.phrases(bytes, &mut found);
            row.words.clear();
            if word.range.start > last {
                next = word.range.start;
                break;
            }
            row.takes(bytes, &word);
        }
        row.phrases(bytes, &mut found);
        (safe, at) = (next, next);
    }
}

/// Whether a word may stand in the list (BIP 39), whose words differ in their first four letters.
fn may_be_listed(bytes: &[u8], word: &Word) -> bool {
    let is_word = (3..=8).contains(&word.length()) && word.is_all(ALNUM) && !word.has(DIGIT);
    let letters = bytes.get(word.range.clone()).filter(|_| is_word);
    letters.is_some_and(|letters| {
        let (place, bit) = place(letters);
        LISTED.get(place).is_some_and(|bits| bits & bit != 0)
    })
}

/// A bit for each hash that the first four letters of a word of the list have.
static LISTED: LazyLock<[u64; 1024]> = LazyLock::new(|| {
    let mut bits = [0; 1024];
    for word in Language::English.word_list() {
        let (place, bit) = place(word.as_bytes());
        if let Some(place) = bits.get_mut(place) {
            *place |= bit;
        }
    }
    bits
});

fn place(letters: &[u8]) -> (usize, u64) {
    let first = letters.iter().take(4);
    let first = first.fold(0u32, |all, letter| all << 5 | u32::from(letter & 31));
    let hash = first.wrapping_mul(0x9e37_79b1) >> 16;
    (
        usize::try_from(hash >> 6).unwrap_or_default(),
        1 << (hash & 63),
    )
}

/// How many of the first words are a phrase: 11 bits for each, the last of which are the first
/// bits of the SHA-256 of those before (BIP 39).
fn longest_phrase(words: &[u16]) -> Option<usize> {
    let words = words.get(..24).unwrap_or(words);
    let mut bits: Vec<u8> = Vec::with_capacity(33);
    let (mut rest, mut count) = (0u32, 0);
    for word in words {
        rest = rest << 11 | u32::from(*word);
        count += 11;
        while count >= 8 {
            count -= 8;
            bits.push(low_byte(rest >> count));
            rest &= (1 << count) - 1;
        }
    }
    bits.push(low_byte(rest << (8 - count)));
    [24, 21, 18, 15, 12].into_iter().find(|length| {
        let size = length / 3 * 4;
        // The list itself is in order, a phrase never.
        words.get(..*length).is_some_and(|words| !words.is_sorted())
            && bits.get(..size).is_some_and(|entropy| {
                let sum = Sha256::digest(entropy);
                let both = sum.first().zip(bits.get(size));
                both.is_some_and(|(sum, check)| (sum ^ check) >> (8 - length / 3) == 0)
            })
    })
}

fn low_byte(bits: u32) -> u8 {
    let [.., low] = bits.to_be_bytes();
    low
}
