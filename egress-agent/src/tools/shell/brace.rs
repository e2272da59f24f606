//! `{a,b}` and `{1..3}`: one word that stands for several.

use super::word::{CLOSE, COMMA, OPEN};

/// More words or text than this out of one word is not read.
const MOST_WORDS: usize = 256;
const MOST_BYTES: usize = 64 * 1024;

/// All words that a marked word stands for; `None` when there are too many.
pub(super) fn expand(word: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut todo = vec![word.to_owned()];
    let mut bytes = 0;
    while let Some(next) = todo.pop() {
        bytes += next.len();
        if bytes > MOST_BYTES || done.len() + todo.len() > MOST_WORDS {
            return None;
        }
        match innermost(&next) {
            None => done.push(
                next.replace(OPEN, "{")
                    .replace(COMMA, ",")
                    .replace(CLOSE, "}"),
            ),
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

/// The first group that holds no other group.
fn innermost(word: &str) -> Option<(&str, &str, &str)> {
    let close = word.find(CLOSE)?;
    let open = word.get(..close)?.rfind(OPEN)?;
    Some((
        word.get(..open)?,
        word.get(open + OPEN.len_utf8()..close)?,
        word.get(close + CLOSE.len_utf8()..)?,
    ))
}

fn choices(inside: &str) -> Vec<String> {
    if inside.contains(COMMA) {
        return inside.split(COMMA).map(str::to_owned).collect();
    }
    if let Some(range) = range(inside) {
        return range;
    }
    vec![format!("{{{inside}}}")]
}

fn range(inside: &str) -> Option<Vec<String>> {
    let (from, to) = inside.split_once("..")?;
    let to = to.split_once("..").map_or(to, |(to, _)| to);
    if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
        let (low, high) = (from.min(to), from.max(to));
        return (high.checked_sub(low)? < 256)
            .then(|| (low..=high).map(|number| number.to_string()).collect());
    }
    let (from, to) = (single(from)?, single(to)?);
    Some(
        (from.min(to)..=from.max(to))
            .take(256)
            .map(|letter| letter.to_string())
            .collect(),
    )
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
        check("{a,{b,c}}", &["a", "b", "a", "c"]);
        check("{one}", &["{one}"]);
    }

    #[test]
    fn too_many_words_are_refused() {
        let word = format!("{OPEN}a{COMMA}b{CLOSE}").repeat(20);
        assert_eq!(expand(&word), None);
    }
}
