//! Runs of a text that may be coded, found among its long runs of the signs of codes.

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use memchr::memchr_iter;

use super::{
    Budget, Build, Level, SEPARATOR, ViewText,
    words::{
        ALNUM, BASE32_LOWER, BASE32_UPPER, DIGIT, HEX, IN_CODE, IN_PAIRS, LOWER, UPPER, Word,
        class, spans, words, words_in,
    },
};

/// Shorter runs hold no secret worth the name, in signs of the code.
const SHORTEST_BASE64: usize = 20;
const SHORTEST_BASE32: usize = 24;
const SHORTEST_HEX: usize = 24;
/// Bytes written one by one (`41:42`) that make a text.
const SHORTEST_PAIRS: usize = 12;
/// The shortest sequence of them: two signs each, and one between.
const SHORTEST_PAIRS_TEXT: usize = 3 * SHORTEST_PAIRS - 1;
/// Lines of wrapped code are at least this long, and all but the last equally long.
const SHORTEST_LINE: usize = 40;
const SHORTEST_JOINED: usize = 16;
/// Labels of a host name that are worth joining.
const LEAST_LABELS: usize = 3;
/// The shortest run that may hold a code or labels, the dots between them counted.
const SHORTEST_SPAN: usize = SHORTEST_JOINED + LEAST_LABELS - 1;
/// Times that percent-encoding is undone at one place.
const ROUNDS: usize = 8;
/// Signs that tell whether base64 gives text.
const PROBE: usize = 32;

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes what is coded in a text.
pub(super) fn read(text: &ViewText<'_>, next: &mut Level, budget: &mut Budget) {
    let mut reader = Reader {
        text,
        next,
        budget,
        buffer: Vec::new(),
    };
    reader.codes();
    reader.bytes();
    reader.percent();
    if !text.is_joined() {
        reader.queries();
    }
}

/// Whether a text still holds a run that decodes to text.
pub(super) fn is_coded(text: &ViewText<'_>) -> bool {
    let bytes = text.bytes();
    words(bytes).any(|word| {
        let run = bytes.get(word.range.clone()).unwrap_or_default();
        if word.length() < SHORTEST_BASE64 {
            return false;
        }
        if word.is_all(HEX) {
            let probe = run.get(..run.len().min(PROBE) & !1).unwrap_or_default();
            return HEXLOWER_PERMISSIVE
                .decode(probe)
                .is_ok_and(|bytes| is_text(&bytes));
        }
        is_mixed(&word) && is_base64_of_text(run)
    })
}

/// Several words that may be one run of base64.
#[derive(Debug)]
struct Chain {
    range: Range<usize>,
    all: u8,
    any: u8,
    /// Where the line began, and how long the lines before were.
    line: usize,
    width: Option<usize>,
    has_slashes: bool,
}

/// Bytes written one by one.
#[derive(Debug)]
struct Pairs {
    range: Range<usize>,
    bytes: Vec<u8>,
}

/// Labels with dots between them.
#[derive(Debug)]
struct Labels {
    end: usize,
    words: Vec<Range<usize>>,
    length: usize,
}

struct Reader<'a, 'b> {
    text: &'a ViewText<'b>,
    next: &'a mut Level,
    budget: &'a mut Budget,
    buffer: Vec<u8>,
}

impl Reader<'_, '_> {
    fn codes(&mut self) {
        let bytes = self.text.bytes();
        let mut chain: Option<Chain> = None;
        let mut labels = Labels {
            end: 0,
            words: Vec::new(),
            length: 0,
        };
        let mut done = 0;
        for span in spans(bytes, IN_CODE, SHORTEST_SPAN) {
            if span.end <= done {
                continue;
            }
            for word in words_in(bytes, span.start.max(done)..bytes.len()) {
                let is_taken = chain
                    .as_mut()
                    .is_some_and(|chain| chain.takes(bytes, &word));
                // A wrapped code goes on where the span does not.
                if !is_taken && word.range.start >= span.end {
                    break;
                }
                done = word.range.end;
                if !is_taken && let Some(chain) = chain.replace(Chain::new(bytes, &word)) {
                    self.chain(&chain);
                }
                self.dashed(&word);
                if !self.text.is_joined() {
                    self.label(&mut labels, &word);
                }
            }
        }
        if let Some(chain) = chain {
            self.chain(&chain);
        }
        self.labels(&mut labels);
    }

    /// Undoes what is written byte by byte.
    fn bytes(&mut self) {
        let bytes = self.text.bytes();
        let mut pairs = Pairs {
            range: 0..0,
            bytes: Vec::new(),
        };
        for span in spans(bytes, IN_PAIRS, SHORTEST_PAIRS_TEXT) {
            for word in words_in(bytes, span) {
                self.pair(&mut pairs, &word);
            }
            self.pairs(&mut pairs);
        }
    }

    fn chain(&mut self, chain: &Chain) {
        // Nearly every word ends here.
        if chain.range.len() < SHORTEST_BASE64 {
            return;
        }
        let whole = chain.range.clone();
        let run = clean(self.text, &whole, chain.width.is_some());
        let is_all = |bit| chain.all & bit != 0;
        if is_all(HEX) {
            // Base64 of text has more signs than these.
            self.hex(&run, whole);
            return;
        }
        if is_uuid(&run) {
            return;
        }
        let is_base32 = is_all(BASE32_UPPER) || is_all(BASE32_LOWER);
        let has_digit = chain.any & DIGIT != 0;
        if is_base32 && (has_digit || run.len() >= 32) && self.base32(&run, whole.clone()) {
            return;
        }
        let is_text = self.base64(&run, whole.clone());
        if is_text || !chain.has_slashes && chain.all & ALNUM != 0 {
            return;
        }
        // A path or a name made of several words: each may be coded.
        let text = self.text;
        let parts = text
            .part(whole.clone())
            .split(|byte| !byte.is_ascii_alphanumeric());
        let mut at = whole.start;
        for part in parts {
            let range = at..at + part.len();
            at = range.end + 1;
            let (all, any) = part
                .iter()
                .map(|byte| class(*byte))
                .fold((u8::MAX, 0), |(all, any), class| (all & class, any | class));
            let word = Word {
                range: range.clone(),
                all,
                any,
            };
            if word.is_all(HEX) {
                self.hex(part, range);
            } else if part.len() >= SHORTEST_BASE64 && is_mixed(&word) && is_base64_of_text(part) {
                self.base64(part, range);
            }
        }
    }

    /// Undoes base64 of any alphabet; says whether it gave text.
    fn base64(&mut self, run: &[u8], source: Range<usize>) -> bool {
        if run.len() < SHORTEST_BASE64 || self.is_outside(&source) {
            return false;
        }
        // What stands before it may look like its first signs.
        let shift = (0..4)
            .find(|shift| is_base64_of_text(run.get(*shift..).unwrap_or_default()))
            .unwrap_or_default();
        let run = run.get(shift..).unwrap_or_default();
        if !self.budget.take(run.len() / 4 * 3 + 3) {
            return false;
        }
        self.buffer.clear();
        let signs: Vec<u8> = whole_base64(run)
            .iter()
            .map(|byte| standard_sign(*byte))
            .collect();
        if STANDARD.decode_vec(signs, &mut self.buffer).is_err() {
            return false;
        }
        let is_text = is_text(&self.buffer);
        let source = self.text.origin(&source);
        add(&mut self.next.base64, &self.buffer, source);
        is_text
    }

    fn hex(&mut self, run: &[u8], source: Range<usize>) {
        if run.len() < SHORTEST_HEX || self.is_outside(&source) {
            return;
        }
        let run = run.get(..run.len() & !1).unwrap_or_default();
        if !self.budget.take(run.len() / 2) {
            return;
        }
        if let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(run) {
            add(&mut self.next.hex, &bytes, self.text.origin(&source));
        }
    }

    /// Undoes base32 (RFC 4648); says whether it gave text.
    fn base32(&mut self, run: &[u8], source: Range<usize>) -> bool {
        if run.len() < SHORTEST_BASE32 || self.is_outside(&source) {
            return false;
        }
        // Lengths that no bytes are coded with lose their last signs.
        let lost = match run.len() % 8 {
            1 | 3 | 6 => 1,
            _ => 0,
        };
        let mut run = run
            .get(..run.len() - lost)
            .unwrap_or_default()
            .to_ascii_uppercase();
        trim_base32(&mut run);
        if !self.budget.take(run.len() / 8 * 5 + 5) {
            return false;
        }
        let Ok(bytes) = BASE32_NOPAD.decode(&run) else {
            return false;
        };
        add(&mut self.next.base32, &bytes, self.text.origin(&source));
        is_text(&bytes)
    }

    /// Undoes a word of bytes with dashes between them.
    fn dashed(&mut self, word: &Word) {
        let run = self.text.part(word.range.clone());
        let is_dashed = run.len() >= SHORTEST_PAIRS_TEXT && run.get(2) == Some(&b'-');
        if is_dashed
            && let Some(bytes) = dashed(run)
            && self.budget.take(bytes.len())
        {
            add(&mut self.next.hex, &bytes, self.text.origin(&word.range));
        }
    }

    /// Takes a word that writes one byte, with what stands between it and the word before.
    fn pair(&mut self, pairs: &mut Pairs, word: &Word) {
        let text = self.text;
        let run = text.part(word.range.clone());
        let digits = match run {
            [_, _] => run,
            [b'x' | b'X', digits @ ..] if digits.len() == 2 => digits,
            [b'0', b'x' | b'X', digits @ ..] if digits.len() == 2 => digits,
            [b'u', b'0', b'0', digits @ ..] if digits.len() == 2 => digits,
            _ => {
                self.pairs(pairs);
                return;
            }
        };
        let Some(byte) = byte(digits) else {
            self.pairs(pairs);
            return;
        };
        let gap = text.part(pairs.range.end..word.range.start);
        let is_next = gap.len() <= 5 && gap.iter().all(|byte| b" \t\r\n:,;\\\"'+&#".contains(byte));
        if !pairs.bytes.is_empty() && is_next {
            pairs.range.end = word.range.end;
        } else {
            self.pairs(pairs);
            pairs.range = word.range.clone();
        }
        pairs.bytes.push(byte);
    }

    fn pairs(&mut self, pairs: &mut Pairs) {
        if pairs.bytes.len() >= SHORTEST_PAIRS && self.budget.take(pairs.bytes.len()) {
            add(
                &mut self.next.hex,
                &pairs.bytes,
                self.text.origin(&pairs.range),
            );
        }
        pairs.bytes.clear();
    }

    fn label(&mut self, labels: &mut Labels, word: &Word) {
        let gap = self.text.part(labels.end..word.range.start);
        if gap != b"." || labels.words.is_empty() {
            self.labels(labels);
        }
        labels.words.push(word.range.clone());
        labels.length += word.length();
        labels.end = word.range.end;
    }

    fn labels(&mut self, labels: &mut Labels) {
        if labels.words.len() >= LEAST_LABELS
            && labels.length >= SHORTEST_JOINED
            && self.budget.take(labels.length)
        {
            self.next.labels.separate();
            for label in &labels.words {
                self.next.labels.copy(self.text, label.clone());
            }
        }
        labels.words.clear();
        labels.length = 0;
    }

    /// Undoes percent-encoding (RFC 3986, 2.1), as often as it was done.
    fn percent(&mut self) {
        let text = self.text;
        let bytes = text.bytes();
        let mut done = 0;
        for at in memchr_iter(b'%', bytes) {
            if at < done || byte(text.part(at + 1..at + 3)).is_none() {
                continue;
            }
            let before = text
                .part(done..at)
                .iter()
                .rposition(|byte| is_delimiter(*byte));
            let start = before.map_or(done, |before| done + before + 1);
            let after = bytes.get(at..).unwrap_or_default();
            let end = after.iter().position(|byte| is_delimiter(*byte));
            done = end.map_or(bytes.len(), |end| at + end);
            let source = start..done;
            if self.is_outside(&source) {
                continue;
            }
            let mut now = text.part(source.clone()).to_vec();
            for _ in 0..ROUNDS {
                if !self.budget.take(now.len()) {
                    return;
                }
                let decoded: Vec<u8> = percent_encoding::percent_decode(&now).collect();
                if decoded.len() == now.len() {
                    break;
                }
                now = decoded;
            }
            add(&mut self.next.url, &now, text.origin(&source));
        }
    }

    /// Joins the values of each query.
    fn queries(&mut self) {
        let text = self.text;
        let bytes = text.bytes();
        let mut done = 0;
        for at in memchr_iter(b'?', bytes) {
            if at < done {
                continue;
            }
            let after = bytes.get(at + 1..).unwrap_or_default();
            let is_end = |byte: &u8| is_delimiter(*byte) || matches!(byte, b'#' | b'?');
            let end = after.iter().position(is_end).unwrap_or(after.len());
            let query = after.get(..end).unwrap_or_default();
            done = at + 1 + end;
            let mut start = at + 1;
            let mut values = Vec::new();
            for pair in query.split(|byte| matches!(byte, b'&' | b';')) {
                if let Some(sign) = memchr::memchr(b'=', pair) {
                    values.push(start + sign + 1..start + pair.len());
                }
                start += pair.len() + 1;
            }
            let length = values.iter().map(Range::len).sum();
            if values.len() < 2 || length < SHORTEST_JOINED || !self.budget.take(length) {
                continue;
            }
            self.next.query.separate();
            for value in values {
                self.next.query.copy(text, value);
            }
        }
    }

    /// Whether another text has it already: a joined text matters where it was joined.
    fn is_outside(&self, range: &Range<usize>) -> bool {
        self.text.is_joined() && !self.text.is_across(range)
    }
}

impl Chain {
    fn new(bytes: &[u8], word: &Word) -> Self {
        // Slashes before it may be its first signs; a path begins with one, too.
        let before = bytes.get(..word.range.start).unwrap_or_default();
        let signs = before
            .iter()
            .rev()
            .take(4)
            .take_while(|byte| is_sign(**byte))
            .count();
        Self {
            range: word.range.start - signs..word.range.end,
            all: if signs > 0 { 0 } else { word.all },
            any: word.any,
            line: word.range.start - signs,
            width: None,
            has_slashes: signs > 0,
        }
    }

    /// Takes the next word when it continues the run.
    fn takes(&mut self, bytes: &[u8], word: &Word) -> bool {
        let gap = bytes
            .get(self.range.end..word.range.start)
            .unwrap_or_default();
        if gap.iter().all(|byte| is_sign(*byte)) {
            self.all = 0;
            self.has_slashes = true;
        } else {
            let width = self.range.end - self.line;
            let signs = gap.iter().take_while(|byte| is_sign(**byte)).count();
            let Some(rest) = gap.get(signs..) else {
                return false;
            };
            let width = width + signs;
            let more = rest.iter().rev().take_while(|byte| is_sign(**byte)).count();
            let end = rest.get(..rest.len() - more).unwrap_or_default();
            let is_wrap = width >= SHORTEST_LINE
                && width.is_multiple_of(4)
                && self.width.is_none_or(|before| before == width)
                && is_line_end(end);
            if !is_wrap {
                return false;
            }
            if signs + more > 0 {
                self.all = 0;
                self.has_slashes = true;
            }
            self.width = Some(width);
            self.line = word.range.start - more;
        }
        self.range.end = word.range.end;
        self.all &= word.all;
        self.any |= word.any;
        true
    }
}

/// The run as one word, without line ends.
fn clean<'a>(text: &'a ViewText<'_>, range: &Range<usize>, is_wrapped: bool) -> Cow<'a, [u8]> {
    let run = text.part(range.clone());
    if is_wrapped {
        let signs = run
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace());
        Cow::Owned(signs.collect())
    } else {
        Cow::Borrowed(run)
    }
}

/// A line end, and what the next line is indented with.
fn is_line_end(gap: &[u8]) -> bool {
    let rest = gap.strip_prefix(b"\r").unwrap_or(gap);
    rest.strip_prefix(b"\n")
        .is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b' ' | b'\t')))
}

fn is_sign(byte: u8) -> bool {
    matches!(byte, b'+' | b'/')
}

fn is_delimiter(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | SEPARATOR)
}

/// Whether base64 of text could look like it: one case and no digits is a word.
fn is_mixed(word: &Word) -> bool {
    word.has(UPPER) && word.has(LOWER) || word.has(DIGIT)
}

fn is_base64_of_text(run: &[u8]) -> bool {
    let probe = whole_base64(run.get(..run.len().min(PROBE)).unwrap_or_default());
    let mut signs = [0; PROBE];
    for (sign, byte) in signs.iter_mut().zip(probe) {
        *sign = standard_sign(*byte);
    }
    let signs = signs.get(..probe.len()).unwrap_or_default();
    let mut buffer = [0; PROBE];
    let length = STANDARD.decode_slice(signs, &mut buffer);
    length.is_ok_and(|length| length > 8 && is_text(buffer.get(..length).unwrap_or_default()))
}

/// The run without its last sign where no bytes have such a length (4n+1).
fn whole_base64(run: &[u8]) -> &[u8] {
    let length = run.len() - usize::from(run.len() % 4 == 1);
    run.get(..length).unwrap_or_default()
}

/// The sign of the standard alphabet for one of the alphabet for URLs.
fn standard_sign(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    }
}

/// Whether a run is a UUID: the most usual word of this length, and no text.
fn is_uuid(run: &[u8]) -> bool {
    let dashes = [8, 13, 18, 23];
    run.len() == 36
        && dashes.iter().all(|at| run.get(*at) == Some(&b'-'))
        && run
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Clears the bits after the last byte, which decoders refuse.
fn trim_base32(run: &mut [u8]) {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let spare = match run.len() % 8 {
        2 => 2,
        4 => 4,
        5 => 1,
        7 => 3,
        _ => return,
    };
    if let Some(last) = run.last_mut()
        && let Some(value) = ALPHABET.iter().position(|sign| sign == last)
    {
        *last = ALPHABET
            .get(value >> spare << spare)
            .copied()
            .unwrap_or(*last);
    }
}

fn dashed(run: &[u8]) -> Option<Vec<u8>> {
    run.split(|byte| *byte == b'-').map(byte).collect()
}

fn byte(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else {
        return None;
    };
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(value(*high)? << 4 | value(*low)?)
}

/// Whether the first bytes are nearly all printable.
fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let is_printable = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let printable = start.iter().filter(is_printable).count();
    printable * 20 >= start.len() * 17 && !start.is_empty()
}

fn add(build: &mut Build, bytes: &[u8], source: Range<usize>) {
    build.separate();
    build.made(bytes, source);
}
