//! The view without disguise: compatibility forms, marks, look-alikes and invisible characters.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{Budget, Build, SEPARATOR, ViewText};
use crate::inspect::finding::View;

/// How far a secret reaches from a sign that disguises it.
const NEAR: usize = 320;
/// Shorter valid parts of a binary text hide nothing.
const SHORTEST: usize = 12;

/// Adds the folded text where it differs from the text.
pub(super) fn read(text: &ViewText<'_>, build: &mut Build, budget: &mut Budget) {
    if text.view() == View::Folded || !text.bytes().iter().any(|byte| is_unusual(*byte)) {
        return;
    }
    let mut at = 0;
    for chunk in text.bytes().utf8_chunks() {
        let valid = chunk.valid();
        for part in parts(valid) {
            let Some(near) = valid
                .get(part.clone())
                .filter(|near| near.len() >= SHORTEST)
            else {
                continue;
            };
            if budget.take(near.len()) {
                build.separate();
                fold(text, at + part.start, near, build);
            }
        }
        at += valid.len() + chunk.invalid().len();
    }
}

/// The parts of a text that are near something unusual: the rest reads as it stands.
fn parts(valid: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let bytes = valid.as_bytes();
    let mut at = 0;
    while let Some(step) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| is_unusual(*byte)))
    {
        let unusual = at + step;
        let start = unusual
            .saturating_sub(NEAR)
            .max(parts.last().map_or(0, |last| last.end));
        let end = bytes.len().min(unusual + NEAR);
        let start = valid.floor_char_boundary(start);
        let end = valid.ceil_char_boundary(end);
        match parts.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => parts.push(start..end),
        }
        at = unusual + 1;
    }
    parts
}

fn is_unusual(byte: u8) -> bool {
    byte != SEPARATOR && (byte >= 0x7f || (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')))
}

fn fold(text: &ViewText<'_>, at: usize, valid: &str, build: &mut Build) {
    let mut same = at;
    for (offset, character) in valid.char_indices() {
        let start = at + offset;
        if is_plain(character) {
            continue;
        }
        let end = start + character.len_utf8();
        build.copy(text, same..start);
        same = end;
        if is_invisible(character) {
            continue;
        }
        let mut made = String::new();
        let parts = std::iter::once(character).nfkd();
        let parts = parts.filter(|part| !is_combining_mark(*part) && !is_invisible(*part));
        made.extend(parts.map(look_alike));
        build.made(made.as_bytes(), text.origin(&(start..end)));
    }
    build.copy(text, same..at + valid.len());
}

/// Printable ASCII and line ends, and letters of scripts that imitate no Latin ones.
fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~' | '\t' | '\n' | '\r' | '\u{3041}'..='\u{9fff}')
}

/// Characters without a shape: controls, and those that Unicode calls default ignorable.
fn is_invisible(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The Latin letter that a letter of another script is mistaken for (Unicode TS 39).
fn look_alike(character: char) -> char {
    match character {
        'а' | 'α' => 'a',
        'в' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ҽ' => 'e',
        'ɡ' => 'g',
        'һ' => 'h',
        'і' | 'ι' => 'i',
        'ј' => 'j',
        'κ' | 'к' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'ո' => 'n',
        'о' | 'ο' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ѡ' | 'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' | 'Ϲ' => 'C',
        'Е' | 'Ε' => 'E',
        'Ԍ' => 'G',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' | 'Ӏ' => 'I',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Ѵ' => 'V',
        'Ԝ' => 'W',
        'Х' | 'Χ' => 'X',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
        other => other,
    }
}
