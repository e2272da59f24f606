//! Where in a JSON text something stands, in words for people: the member, and the line of its
//! text. Names of members are foreign: one that is not a plain word is told as `*`.

use crate::inspect::Finding;

/// Members that are named, from the outermost on.
const LEVELS: usize = 4;
/// Bytes of a name that is told.
const LONGEST: usize = 32;

/// ` (line 3 of stdout)` for the first finding; nothing without one.
pub(super) fn of_first(json: &[u8], findings: &[Finding]) -> String {
    let first = findings.iter().map(|finding| finding.range.start).min();
    first.map_or_else(String::new, |at| {
        let (path, line) = of(json, at);
        match path.as_str() {
            "" => format!(" (line {line})"),
            path => format!(" (line {line} of {path})"),
        }
    })
}

/// The path of the member that byte `at` stands in, and the line of its text, from 1.
fn of(json: &[u8], at: usize) -> (String, usize) {
    // What each open list or object is at: a name, or `*`.
    let mut path: Vec<String> = Vec::new();
    let mut line = 1;
    let mut key = String::new();
    let mut bytes = json.iter().enumerate().take(at).peekable();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'{' | b'[' => path.push(std::mem::take(&mut key)),
            b'}' | b']' => drop(path.pop()),
            b'"' => {
                line = 1;
                let mut end = index + 1;
                while let Some((next, byte)) = bytes.next() {
                    end = next;
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            if bytes.next().is_some_and(|(_, byte)| *byte == b'n') {
                                line += 1;
                            }
                        }
                        _ => {}
                    }
                }
                let text = json.get(index + 1..end).unwrap_or_default();
                let after = json.get(end + 1..).unwrap_or_default();
                let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
                if next == Some(&b':') && bytes.peek().is_some() {
                    key = name(text);
                }
            }
            b',' => key.clear(),
            _ => {}
        }
    }
    path.push(key);
    let path: Vec<_> = path.into_iter().filter(|name| !name.is_empty()).collect();
    let told = path.get(..LEVELS).unwrap_or(&path);
    (told.join("."), line)
}

fn name(text: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match str::from_utf8(text) {
        Ok(text) if text.len() <= LONGEST && text.bytes().all(|byte| is_plain(&byte)) => {
            text.to_owned()
        }
        _ => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, needle: &str, expected: (&str, usize)) {
        let at = json.find(needle).unwrap();
        let (path, line) = of(json.as_bytes(), at);
        assert_eq!((path.as_str(), line), expected, "{json}");
    }

    #[test]
    fn a_place_is_a_member_and_a_line_of_its_text() {
        check(r#""one\ntwo X""#, "X", ("", 2));
        check(r#"{"stdout":"a\nb\\n\nX","stderr":""}"#, "X", ("stdout", 3));
        check(
            r#"{"a":["p","q"],"file":{"content":"X"}}"#,
            "X",
            ("file.content", 1),
        );
        check(
            r#"[{"type":"text","text":"a\n"},{"text":"X"}]"#,
            "X",
            ("text", 1),
        );
        check(r#"{"do this now":{"a":"X"}}"#, "X", ("*.a", 1));
        check(r#"{"a":1,"X":2}"#, "X", ("", 1));
    }

    #[test]
    fn any_bytes_have_a_place() {
        for text in ["", "\"", "\"\\", "}}]]", "{\"a", "[[[[[[[[\""] {
            for at in 0..=text.len() + 1 {
                of(text.as_bytes(), at);
            }
        }
    }
}
