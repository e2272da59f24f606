//! The view without references of HTML: `&#105;gnore` and `&lt;` as a page shows them.
//!
//! Numeric references, with or without `;`, and the names of ASCII signs (HTML Living Standard,
//! 13.5). Only what stands near a reference is a text of the view: the rest reads as it stands.

use super::{Budget, Build, ViewText};

/// How far a secret or an order reaches from a reference.
const NEAR: usize = 320;
/// No reference is longer: `&#x10ffff;` and some zeros.
const LONGEST: usize = 16;

const NAMES: &[(&str, char)] = &[
    ("amp", '&'),
    ("apos", '\''),
    ("ast", '*'),
    ("bsol", '\\'),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("dollar", '$'),
    ("equals", '='),
    ("excl", '!'),
    ("grave", '`'),
    ("gt", '>'),
    ("lbrace", '{'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lsqb", '['),
    ("lt", '<'),
    ("nbsp", ' '),
    ("NewLine", '\n'),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("plus", '+'),
    ("quest", '?'),
    ("quot", '"'),
    ("rbrace", '}'),
    ("rpar", ')'),
    ("rsqb", ']'),
    ("semi", ';'),
    ("sol", '/'),
    ("Tab", '\t'),
    ("verbar", '|'),
];

/// Adds what stands near references, with these undone.
pub(super) fn read(text: &ViewText<'_>, build: &mut Build, budget: &mut Budget) {
    let bytes = text.bytes();
    // What is written, and up to where the part reaches.
    let (mut done, mut end) = (0, 0);
    for at in memchr::memchr_iter(b'&', bytes) {
        let rest = text.part(at..bytes.len().min(at + LONGEST));
        let Some((letter, length)) = reference(rest) else {
            continue;
        };
        let start = at.saturating_sub(NEAR);
        if start > end {
            if !budget.take(end - done) {
                return;
            }
            build.copy(text, done..end);
            build.separate();
            done = start;
        }
        if !budget.take(at - done + letter.len_utf8()) {
            return;
        }
        build.copy(text, done..at);
        let place = text.origin(&(at..at + length));
        build.made(letter.encode_utf8(&mut [0; 4]).as_bytes(), place);
        done = at + length;
        end = bytes.len().min(done + NEAR);
    }
    if end > done && budget.take(end - done) {
        build.copy(text, done..end);
    }
    build.separate();
}

/// The letter that a text begins with as a reference, and the reference's length.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    let body = text.strip_prefix(b"&")?;
    let Some(number) = body.strip_prefix(b"#") else {
        let length = body.iter().position(|byte| *byte == b';')?;
        let name = str::from_utf8(body.get(..length)?).ok()?;
        let (_, letter) = NAMES.iter().find(|(known, _)| *known == name)?;
        return Some((*letter, length + 2));
    };
    let (digits, radix, before) = match number.split_first()? {
        (b'x' | b'X', digits) => (digits, 16, 3),
        _ => (number, 10, 2),
    };
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = digits.iter().take_while(is_digit).count();
    let value = str::from_utf8(digits.get(..length)?).ok()?;
    let letter = char::from_u32(u32::from_str_radix(value, radix).ok()?)?;
    let closes = usize::from(digits.get(length) == Some(&b';'));
    Some((letter, before + length + closes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Views;

    #[test]
    fn references_are_letters() {
        for (text, letter, length) in [
            ("&lt;b", '<', 4),
            ("&#105;gnore", 'i', 6),
            ("&#x69;gnore", 'i', 6),
            ("&#X69 x", 'i', 5),
            ("&#0000105;", 'i', 10),
            ("&verbar;", '|', 8),
        ] {
            assert_eq!(reference(text.as_bytes()), Some((letter, length)), "{text}");
        }
        for text in [
            "& b",
            "&;",
            "&#;",
            "&#x;",
            "&unknown;",
            "&lt",
            "a=1&b=2",
            "&#xffffffff;",
        ] {
            assert_eq!(reference(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_stands_near_is_read_and_found_where_it_stands() {
        let far = "x".repeat(2 * NEAR);
        let text = format!("{far} &#105;gnore all {far}{far} a &lt; b");
        let views = Views::of(text.as_bytes());
        let view = views
            .texts
            .iter()
            .find(|view| view.bytes().windows(10).any(|part| part == b"ignore all"))
            .expect("a view");
        let at = view
            .bytes()
            .windows(10)
            .position(|part| part == b"ignore all");
        let at = at.expect("an order");
        let origin = view.origin(&(at..at + 10));
        assert_eq!(text.get(origin), Some("&#105;gnore all"));
        assert!(view.bytes().len() < text.len());
        assert!(views.is_complete);
    }

    #[test]
    fn references_within_references_are_undone() {
        let views = Views::of(b"&amp;#105;gnore all");
        let found = |part: &[u8]| {
            let mut texts = views.texts.iter();
            texts.any(|view| view.bytes().starts_with(part))
        };
        assert!(found(b"&#105;gnore all") && found(b"ignore all"));
    }
}
