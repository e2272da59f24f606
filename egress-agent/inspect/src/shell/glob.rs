//! Patterns with `*`, `?` and `[…]`, as `${name#pattern}` and its like use them.

/// Longer values and patterns are not followed: every start of the one is tried with the other.
const MOST_VALUE: usize = 256;
const MOST_PATTERN: usize = 64;

/// A pattern's parts.
enum Part {
    Any,
    One,
    Letter(char),
    Set(bool, Vec<(char, char)>),
}

/// `None` for a pattern, or a value, that is not followed.
fn parts(value: &str, pattern: &str) -> Option<Vec<Part>> {
    if pattern.len() > MOST_PATTERN {
        return None;
    }
    if value.len() > MOST_VALUE && pattern.contains(['*', '?', '[']) {
        return None;
    }
    let mut parts = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '*' => Part::Any,
            '?' => Part::One,
            // What extended patterns would take for their own.
            '(' | ')' => return None,
            '[' => {
                let (inside, rest) = letters.as_str().split_once(']')?;
                letters = rest.chars();
                set(inside)?
            }
            letter => Part::Letter(letter),
        });
    }
    Some(parts)
}

fn set(inside: &str) -> Option<Part> {
    let not = inside.starts_with(['!', '^']);
    let letters: Vec<char> = inside.chars().skip(usize::from(not)).collect();
    if letters.is_empty() || letters.contains(&'[') {
        return None;
    }
    let mut ranges = Vec::new();
    let mut rest = letters.as_slice();
    while let [first, after @ ..] = rest {
        if let ['-', last, after @ ..] = after {
            ranges.push((*first, *last));
            rest = after;
        } else {
            ranges.push((*first, *first));
            rest = after;
        }
    }
    Some(Part::Set(not, ranges))
}

fn matches(parts: &[Part], text: &[char]) -> bool {
    let (mut at, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        let letter = text.get(at).copied().unwrap_or_default();
        let fits = match parts.get(part) {
            Some(Part::Any) => {
                retry = Some((part + 1, at));
                part += 1;
                continue;
            }
            Some(Part::One) => true,
            Some(Part::Letter(wanted)) => *wanted == letter,
            Some(Part::Set(not, ranges)) => {
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&letter))
                    != *not
            }
            None => false,
        };
        if fits {
            at += 1;
            part += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            part = after;
            at = from + 1;
        } else {
            return false;
        }
    }
    parts
        .get(part..)
        .unwrap_or_default()
        .iter()
        .all(|part| matches!(part, Part::Any))
}

/// The value without its shortest or longest start that the pattern matches.
pub(super) fn without_start(value: &str, pattern: &str, longest: bool) -> Option<String> {
    let parts = parts(value, pattern)?;
    if let Some(literal) = literal(&parts) {
        return Some(value.strip_prefix(&literal).unwrap_or(value).to_owned());
    }
    let letters: Vec<char> = value.chars().collect();
    let mut ends = 0..=letters.len();
    let fits = |end: &usize| matches(&parts, letters.get(..*end).unwrap_or_default());
    let end = if longest {
        ends.rfind(fits)
    } else {
        ends.find(fits)
    };
    Some(letters.get(end.unwrap_or(0)..)?.iter().collect())
}

/// The value without its shortest or longest end that the pattern matches.
pub(super) fn without_end(value: &str, pattern: &str, longest: bool) -> Option<String> {
    let parts = parts(value, pattern)?;
    if let Some(literal) = literal(&parts) {
        return Some(value.strip_suffix(&literal).unwrap_or(value).to_owned());
    }
    let letters: Vec<char> = value.chars().collect();
    let mut starts = 0..=letters.len();
    let fits = |start: &usize| matches(&parts, letters.get(*start..).unwrap_or_default());
    let start = if longest {
        starts.find(fits)
    } else {
        starts.rfind(fits)
    };
    Some(
        letters
            .get(..start.unwrap_or(letters.len()))?
            .iter()
            .collect(),
    )
}

/// `${value/from/to}`; `mode` is `/` for all places, `#` for the start, `%` for the end.
pub(super) fn replace(value: &str, from: &str, to: &str, mode: char) -> Option<String> {
    let parts = parts(value, from)?;
    // An `&` in the replacement is what was found.
    if from.is_empty() || to.contains('&') {
        return from.is_empty().then(|| value.to_owned());
    }
    if let Some(literal) = literal(&parts) {
        return Some(match mode {
            '/' => value.replace(&literal, to),
            '#' => value
                .strip_prefix(&literal)
                .map_or(value.to_owned(), |it| format!("{to}{it}")),
            '%' => value
                .strip_suffix(&literal)
                .map_or(value.to_owned(), |it| format!("{it}{to}")),
            _ => value.replacen(&literal, to, 1),
        });
    }
    let letters: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut done = false;
    while at < letters.len() {
        let mut ends = at + 1..=letters.len();
        let found = ends
            .rfind(|end| matches(&parts, letters.get(at..*end).unwrap_or_default()))
            .filter(|end| {
                !done && (mode != '#' || at == 0) && (mode != '%' || *end == letters.len())
            });
        if let Some(end) = found {
            out.push_str(to);
            at = end;
            done = mode != '/';
        } else {
            out.extend(letters.get(at));
            at += 1;
        }
    }
    Some(out)
}

/// The text of a pattern that matches nothing else.
fn literal(parts: &[Part]) -> Option<String> {
    parts
        .iter()
        .map(|part| match part {
            Part::Letter(letter) => Some(*letter),
            Part::Any | Part::One | Part::Set(..) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_and_ends_are_taken_short_or_long() {
        let value = "a.b.c";
        assert_eq!(without_start(value, "*.", false).as_deref(), Some("b.c"));
        assert_eq!(without_start(value, "*.", true).as_deref(), Some("c"));
        assert_eq!(without_end(value, ".*", false).as_deref(), Some("a.b"));
        assert_eq!(without_end(value, ".*", true).as_deref(), Some("a"));
        assert_eq!(without_start(value, "x", true).as_deref(), Some(value));
        assert_eq!(
            without_start(value, "[a-c]", false).as_deref(),
            Some(".b.c")
        );
        assert_eq!(without_start(value, "@(a)", false), None);
    }

    #[test]
    fn the_first_or_every_place_is_replaced() {
        assert_eq!(replace("abab", "b", "x", ' ').as_deref(), Some("axab"));
        assert_eq!(replace("abab", "b", "x", '/').as_deref(), Some("axax"));
        assert_eq!(replace("abab", "?b", "x", '%').as_deref(), Some("abx"));
        assert_eq!(
            replace("h1.tld", "[0-9]", "7", '/').as_deref(),
            Some("h7.tld")
        );
    }
}
