//! `{a,b}` and `{1..3}`, and values of which a run chooses one: a word that stands for several.

use super::word::{CLOSE, COMMA, EITHER, END, OPEN, OR};

/// More words than this out of one word are not read.
const MOST_WORDS: usize = 256;
const MOST_BYTES: usize = 64 * 1024;

const BRACES: [char; 3] = [OPEN, COMMA, CLOSE];
const CHOICE: [char; 3] = [EITHER, OR, END];

/// All words that a marked word stands for; `None` when there are too many.
pub(super) fn expand(word: &str) -> Option<Vec<String>> {
    let mut words = all(word, BRACES, choices)?;
    for word in &mut words {
        if word.contains([OPEN, COMMA, CLOSE]) {
            *word = plain(word);
        }
    }
    Some(words)
}

/// Braces that are nothing but text.
pub(super) fn plain(word: &str) -> String {
    word.replace(OPEN, "{")
        .replace(COMMA, ",")
        .replace(CLOSE, "}")
}

/// All texts that a text with choices may be; `None` when there are too many.
pub(super) fn alternatives(text: &str) -> Option<Vec<String>> {
    let mut texts = all(text, CHOICE, |inside| split(inside, CHOICE))?;
    // In order, each once.
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    Some(texts)
}

/// The text with the choice of this number in each group: few texts in which each choice stands.
pub(super) fn chosen(text: &str, number: usize) -> String {
    let mut out = String::new();
    let mut open: Vec<(String, Vec<String>)> = Vec::new();
    for letter in text.chars() {
        match letter {
            EITHER => open.push((std::mem::take(&mut out), Vec::new())),
            OR if !open.is_empty() => {
                if let Some((_, choices)) = open.last_mut() {
                    choices.push(std::mem::take(&mut out));
                }
            }
            END => {
                if let Some((before, mut choices)) = open.pop() {
                    choices.push(std::mem::replace(&mut out, before));
                    let at = number % choices.len();
                    out.push_str(choices.get(at).map_or("", |it| it));
                }
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Every text, with each choice of each group.
fn all(word: &str, marks: [char; 3], choices: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    let most = MOST_BYTES + 4 * word.len();
    let mut done = Vec::new();
    let mut todo = vec![word.to_owned()];
    let mut bytes = 0;
    while let Some(next) = todo.pop() {
        bytes += next.len();
        if bytes > most || done.len() + todo.len() > MOST_WORDS {
            return None;
        }
        match outermost(&next, marks) {
            None => done.push(next),
            Some((before, inside, after)) => {
                let choices = choices(inside);
                // Last first, so that they come out in order.
                for choice in choices.iter().rev() {
                    todo.push(format!("{before}{choice}{after}"));
                }
            }
        }
    }
    Some(done)
}

/// The first group that no other group holds. What is opened and not closed is no group.
fn outermost(word: &str, [open, _, close]: [char; 3]) -> Option<(&str, &str, &str)> {
    let mut starts = Vec::new();
    let mut found: Option<(usize, usize)> = None;
    for (at, letter) in word.char_indices() {
        if letter == open {
            if let (Some(_), true) = (found, starts.is_empty()) {
                break;
            }
            starts.push(at);
        } else if letter == close
            && let Some(start) = starts.pop()
            && found.is_none_or(|(first, _)| start < first)
        {
            found = Some((start, at));
            if starts.is_empty() {
                break;
            }
        }
    }
    let (start, end) = found?;
    Some((
        word.get(..start)?,
        word.get(start + open.len_utf8()..end)?,
        word.get(end + close.len_utf8()..)?,
    ))
}

/// The text between marks that stand in no group.
fn split(inside: &str, [open, parting, close]: [char; 3]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut from = 0;
    for (at, letter) in inside.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth = depth.saturating_sub(1);
        } else if letter == parting && depth == 0 {
            parts.push(inside.get(from..at).unwrap_or_default().to_owned());
            from = at + parting.len_utf8();
        }
    }
    parts.push(inside.get(from..).unwrap_or_default().to_owned());
    parts
}

fn choices(inside: &str) -> Vec<String> {
    let parts = split(inside, BRACES);
    if parts.len() > 1 {
        return parts;
    }
    if let Some(range) = range(inside) {
        return range;
    }
    vec![format!("{{{inside}}}")]
}

fn range(inside: &str) -> Option<Vec<String>> {
    let (from, to) = inside.split_once("..")?;
    let (to, step) = match to.split_once("..") {
        Some((to, step)) => (to, step.parse::<i64>().ok()?.unsigned_abs().max(1)),
        None => (to, 1),
    };
    let step = i64::try_from(step).ok()?;
    if let (Ok(first), Ok(last)) = (from.parse::<i64>(), to.parse::<i64>()) {
        let padded = |text: &str| text.trim_start_matches('-').starts_with('0');
        let width = if [from, to].iter().any(|it| padded(it) && it.len() > 1) {
            from.len().max(to.len())
        } else {
            0
        };
        return counted(first, last, step, |it| Some(format!("{it:0width$}")));
    }
    let (from, to) = (single(from)?, single(to)?);
    counted(u32::from(from).into(), u32::from(to).into(), step, |it| {
        Some(char::from_u32(u32::try_from(it).ok()?)?.to_string())
    })
}

fn counted(
    first: i64,
    last: i64,
    step: i64,
    write: impl Fn(i64) -> Option<String>,
) -> Option<Vec<String>> {
    let distance = first.checked_sub(last)?.checked_abs()?;
    if distance / step >= 256 {
        return None;
    }
    let step = if first <= last { step } else { -step };
    (0..=distance / step.abs())
        .map(|turn| write(first + turn * step))
        .collect()
}

fn single(text: &str) -> Option<char> {
    let mut letters = text.chars();
    let first = letters.next().filter(char::is_ascii_alphabetic)?;
    letters.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let marked = text
            .replace('{', &OPEN.to_string())
            .replace(',', &COMMA.to_string())
            .replace('}', &CLOSE.to_string());
        assert_eq!(expand(&marked).expect("few words"), expected);
    }

    #[test]
    fn groups_multiply_and_nest() {
        check("a{b,c}d", &["abd", "acd"]);
        check("{a,b}{1..2}", &["a1", "a2", "b1", "b2"]);
        check("{a,{b,c}}", &["a", "b", "c"]);
        check("{{h1,h2},h3}.tld", &["h1.tld", "h2.tld", "h3.tld"]);
        check("{one}", &["{one}"]);
        check("{{a,b}", &["{a", "{b"]);
        check("{{a,b}}", &["{a}", "{b}"]);
        check("{a,b}}{c,d}", &["a}c", "a}d", "b}c", "b}d"]);
    }

    #[test]
    fn ranges_go_both_ways_and_in_steps() {
        check("{3..1}", &["3", "2", "1"]);
        check("{1..9..4}", &["1", "5", "9"]);
        check("{01..03}", &["01", "02", "03"]);
        check("{c..a..1}", &["c", "b", "a"]);
        check("{-1..1}", &["-1", "0", "1"]);
        check("{1..b}", &["{1..b}"]);
    }

    #[test]
    fn too_many_words_are_refused() {
        let word = format!("{OPEN}a{COMMA}b{CLOSE}").repeat(20);
        assert_eq!(expand(&word), None);
    }
}
