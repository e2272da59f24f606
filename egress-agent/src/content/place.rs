//! Where in a JSON text something stands, in words for people: the member, and the line of its
//! text. Names of members are foreign: one that is not a plain word is told as `*`.

use std::ops::Range;

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
                        // What follows belongs to it, a quote too.
                        b'\\' => line += usize::from(matches!(bytes.next(), Some((_, b'n')))),
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

/// The bytes of a member of nested objects. Nothing when it is not there, or a name on the way to
/// it is written with escapes.
pub(super) fn member(json: &[u8], path: &[&str]) -> Option<Range<usize>> {
    let mut at = gap(json, 0);
    if path.is_empty() {
        return Some(0..json.len());
    }
    for name in path {
        if json.get(at) != Some(&b'{') {
            return None;
        }
        at = gap(json, at + 1);
        loop {
            let end = value(json, at)?;
            let key = json.get(at..end)?;
            at = gap(json, end);
            if json.get(at) != Some(&b':') {
                return None;
            }
            at = gap(json, at + 1);
            let is_it = key
                .strip_prefix(b"\"")
                .and_then(|key| key.strip_suffix(b"\""));
            if is_it == Some(name.as_bytes()) {
                break;
            }
            at = gap(json, value(json, at)?);
            if json.get(at) != Some(&b',') {
                return None;
            }
            at = gap(json, at + 1);
        }
    }
    Some(at..value(json, at)?)
}

fn gap(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    let gap = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at + gap.count()
}

/// Where the value ends that begins at `at`.
fn value(json: &[u8], at: usize) -> Option<usize> {
    let mut level = 0_usize;
    let mut bytes = json.iter().enumerate().skip(at);
    while let Some((index, byte)) = bytes.next() {
        let is_end = match byte {
            b'{' | b'[' => {
                level += 1;
                false
            }
            b'}' | b']' => {
                // The end of what a bare value stands in.
                if level == 0 {
                    return Some(index);
                }
                level -= 1;
                level == 0
            }
            b'"' => {
                loop {
                    match bytes.next()? {
                        (end, b'"') if level == 0 => return Some(end + 1),
                        (_, b'"') => break,
                        (_, b'\\') => drop(bytes.next()),
                        _ => {}
                    }
                }
                false
            }
            b',' | b':' => {
                if level == 0 {
                    return Some(index);
                }
                false
            }
            byte => level == 0 && byte.is_ascii_whitespace(),
        };
        if is_end {
            return Some(index + usize::from(!byte.is_ascii_whitespace()));
        }
    }
    (level == 0).then_some(json.len())
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

    #[track_caller]
    fn check_member(json: &str, path: &[&str], expected: Option<&str>) {
        let found = member(json.as_bytes(), path);
        let found = found.map(|range| json.get(range).unwrap());
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn a_member_is_found_through_all_that_stands_before_it() {
        let call = r#" { "id" : 1, "params":{"name":"a\"}b","_meta":{"x":[1,{"arguments":2}]}, "arguments" : {"a":"}"} } }"#;
        check_member(call, &["params", "arguments"], Some(r#"{"a":"}"}"#));
        check_member(call, &["params", "name"], Some(r#""a\"}b""#));
        check_member(call, &["id"], Some("1"));
        check_member(call, &["params", "more"], None);
        check_member(call, &["id", "more"], None);
        check_member(r#"{"p":{}}"#, &["p", "a"], None);
        check_member(r#"{"p":true}"#, &["p"], Some("true"));
        check_member("[]", &["p"], None);
        check_member(r#"{"p":{"a":[1,2"#, &["p", "a"], None);
    }

    #[test]
    fn any_bytes_have_a_place() {
        for text in ["", "{", "{\"", "{\"a\"", "{\"a\":", "{}", "{]", "{\"a\":]"] {
            member(text.as_bytes(), &["a", "b"]);
        }
        for text in ["", "\"", "\"\\", "}}]]", "{\"a", "[[[[[[[[\""] {
            for at in 0..=text.len() + 1 {
                of(text.as_bytes(), at);
            }
        }
    }
}
