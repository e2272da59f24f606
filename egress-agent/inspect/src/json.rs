//! The strings of a JSON text and where they stand.
//!
//! Hand-written: parsers give strings, not the bytes that each character was written with. It
//! refuses nothing, so that a text that is nearly JSON is read as well as it goes.

use std::ops::Range;

use super::view::Build;

/// A string (without its quotes) or another value that is not a list or an object.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    String {
        is_key: bool,
        has_escapes: bool,
    },
    /// A number, `true`, `false` or `null`.
    Bare,
}

/// The tokens of a text, in order.
pub(super) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Token> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let is_gap = |byte: &u8| byte.is_ascii_whitespace() || b"{}[],:".contains(byte);
        let start = at + bytes.get(at..)?.iter().position(|byte| !is_gap(byte))?;
        if bytes.get(start) != Some(&b'"') {
            let is_end = |byte: &u8| is_gap(byte) || *byte == b'"';
            let rest = bytes.get(start..)?;
            at = start + rest.iter().position(is_end).unwrap_or(rest.len());
            return Some(Token {
                range: start..at,
                shape: Shape::Bare,
            });
        }
        let (end, has_escapes) = end(bytes, start + 1);
        at = end + 1;
        let after = bytes.get(at..).unwrap_or_default();
        let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
        Some(Token {
            range: start + 1..end,
            shape: Shape::String {
                is_key: next == Some(&b':'),
                has_escapes,
            },
        })
    })
}

/// Where a string ends, and whether it has escapes.
fn end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut has_escapes = false;
    while let Some(step) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += step;
        if bytes.get(at) == Some(&b'"') {
            return (at, has_escapes);
        }
        has_escapes = true;
        at += 2;
    }
    (bytes.len(), has_escapes)
}

/// Adds the string that stands in `range`, its escapes undone (RFC 8259, section 7).
pub(super) fn unescape(bytes: &[u8], range: Range<usize>, build: &mut Build) {
    let mut at = range.start;
    let text = bytes.get(..range.end).unwrap_or_default();
    while let Some(rest) = text.get(at..)
        && !rest.is_empty()
    {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        build.exact(rest.get(..plain).unwrap_or_default(), at);
        at += plain;
        let Some(escape) = text.get(at..).filter(|escape| !escape.is_empty()) else {
            return;
        };
        let (character, length) = character(escape);
        let mut buffer = [0; 4];
        let source = at..(at + length).min(range.end);
        build.made(character.encode_utf8(&mut buffer).as_bytes(), source);
        at += length;
    }
}

/// A string with its escapes undone, and where its parts are: offsets in it and in the input. What
/// is no UTF-8 is empty.
pub(super) fn decode(bytes: &[u8], range: &Range<usize>) -> (String, Vec<(usize, usize)>) {
    let mut decoded = String::new();
    let mut marks = Vec::new();
    let text = bytes.get(..range.end).unwrap_or_default();
    let mut at = range.start;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        marks.push((decoded.len(), at));
        match str::from_utf8(rest.get(..plain).unwrap_or_default()) {
            Ok(text) => decoded.push_str(text),
            Err(_) => return (String::new(), Vec::new()),
        }
        at += plain;
        if let Some(escape) = text.get(at..).filter(|escape| !escape.is_empty()) {
            let (character, length) = character(escape);
            marks.push((decoded.len(), at));
            decoded.push(character);
            at += length;
        }
    }
    marks.push((decoded.len(), range.end));
    (decoded, marks)
}

/// Where in the input a place of a decoded string is.
pub(super) fn origin(marks: &[(usize, usize)], at: usize) -> usize {
    let after = marks.partition_point(|(decoded, _)| *decoded <= at);
    let mark = after.checked_sub(1).and_then(|index| marks.get(index));
    mark.map_or(0, |(decoded, origin)| origin + (at - decoded))
}

/// Widens a range of a string so that no end of it stands inside an escape. `rest` is the string
/// from an escape or a plain sign on; also gives where that is for the next range.
pub(super) fn widen(
    bytes: &[u8],
    rest: &Range<usize>,
    range: Range<usize>,
) -> (Range<usize>, usize) {
    let mut wide = range.clone();
    let mut at = rest.start;
    let text = bytes.get(..rest.end).unwrap_or_default();
    let mut known = at;
    while at < range.end
        && let Some(step) = text
            .get(at..range.end)
            .and_then(|text| memchr::memchr(b'\\', text))
    {
        at += step;
        let (_, length) = character(text.get(at..).unwrap_or_default());
        let end = (at + length).min(rest.end);
        if at < wide.start && wide.start < end {
            wide.start = at;
        }
        if at < wide.end && wide.end < end {
            wide.end = end;
        }
        at = end;
        known = end;
    }
    let known = known.max(wide.end);
    (wide, known)
}

/// The character of an escape and how many bytes wrote it. What is no escape is itself.
fn character(escape: &[u8]) -> (char, usize) {
    let simple = match escape.get(1) {
        Some(b'u') => return unicode(escape),
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte) if byte.is_ascii() => char::from(*byte),
        Some(_) | None => return ('\\', 1),
    };
    (simple, 2)
}

fn unicode(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = str::from_utf8(escape.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(2) else {
        return ('u', 2);
    };
    if let 0xd800..0xdc00 = first
        && escape.get(6..8) == Some(br"\u")
        && let Some(second @ 0xdc00..0xe000) = unit(8)
    {
        let point = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (
            char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER),
            12,
        );
    }
    (
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}
