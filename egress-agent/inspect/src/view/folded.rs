//! The view without disguise: what [`fold`] changes, and what is near it.

use std::ops::Range;

use super::{Budget, Build, SEPARATOR, ViewText};
use crate::{finding::View, fold};

/// How far a secret reaches from a sign that disguises it.
const NEAR: usize = 320;
/// Shorter valid parts of a binary text hide nothing.
const SHORTEST: usize = 12;

/// Adds the folded text where it differs from the text.
pub(super) fn read(text: &ViewText<'_>, build: &mut Build, budget: &mut Budget) {
    if text.view() == View::Folded {
        return;
    }
    for part in parts(text.bytes()) {
        let mut at = part.start;
        for chunk in text.part(part).utf8_chunks() {
            let valid = chunk.valid();
            let form = (valid.len() >= SHORTEST).then(|| fold::fold(valid));
            let form = form.filter(|form| form.text != valid);
            if let Some(form) = form
                && budget.take(form.text.len())
            {
                build.separate();
                for (made, source) in form.pieces() {
                    let source = at + source.start..at + source.end;
                    match made {
                        Some(made) => build.made(made.as_bytes(), text.origin(&source)),
                        None => build.copy(text, source),
                    }
                }
            }
            at += valid.len() + chunk.invalid().len();
        }
    }
}

/// The parts of a text that are near something unusual: the rest reads as it stands.
fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let unusual = at + fold::plain(rest);
        if unusual >= bytes.len() {
            break;
        }
        at = unusual + 1;
        if bytes.get(unusual) == Some(&SEPARATOR) {
            continue;
        }
        // To whole characters.
        let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let mut start = unusual.saturating_sub(NEAR);
        while start > 0 && is_inside(start) && start + 3 > unusual.saturating_sub(NEAR) {
            start -= 1;
        }
        let mut end = bytes.len().min(unusual + NEAR);
        while is_inside(end) && end < unusual + NEAR + 3 {
            end += 1;
        }
        match parts.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => parts.push(start..end),
        }
    }
    parts
}
