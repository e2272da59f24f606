//! Paths of requests: one way to read them, for those that come and for the patterns of a policy.
//!
//! Servers read paths differently: some resolve `..` behind a coded slash, some take `\` for `/`,
//! some decode twice. A path that two of them could take for two places is refused with the reason,
//! so that what is matched is what is served (RFC 3986 section 6; RFC 9110 section 4.2.3).
//!
//! Of a path that is read, every segment is decoded. A coded slash stays what it is: it never ends
//! a segment here, and no star within a segment of a pattern stands for it (`**` stands for any segments).

use std::fmt;

/// Longer than any pattern must be.
const LONGEST: usize = 1024;
const STARS: usize = 16;
/// A coded slash in a segment that was decoded. A coded zero is refused.
const SLASH: char = '\0';

/// A path, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath {
    segments: Vec<String>,
}

/// A pattern of paths: `/repos/acme/*/issues`, `/v1/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Any number of segments, none too.
    Any,
    /// Text cut at its stars: at least one piece.
    Pieces(Vec<String>),
}

/// Why a path has no one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("it does not begin with `/`")]
    Start,
    #[error("it has a `%` without two hexadecimal digits")]
    Escape,
    #[error("it is encoded twice")]
    Twice,
    #[error("it has a control character")]
    Control,
    #[error("it has a backslash, which some servers take for `/`")]
    Backslash,
    #[error("it is not UTF-8 when it is decoded")]
    Utf8,
    #[error("it has a segment `.` or `..`, which some servers resolve and some do not")]
    Dots,
    #[error("it has an empty segment (`//`), which some servers leave out")]
    Empty,
    #[error("it has a character that must be percent-encoded")]
    Bare,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPathPattern {
    #[error(transparent)]
    Path(#[from] InvalidPath),
    #[error("it has a `{0}`: a pattern is for the path alone")]
    Beyond(char),
    #[error("`**` stands for whole segments, and something else stands beside it")]
    Stars,
    #[error("it is longer than {LONGEST} bytes or has more than {STARS} stars")]
    TooLong,
}

impl RequestPath {
    /// Reads the path of a request, without its query.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        let segments = split(text)?.map(decode).collect::<Result<Vec<_>, _>>()?;
        check(&segments)?;
        Ok(Self { segments })
    }

    /// The path as a pattern that matches it and nothing else.
    pub fn pattern(&self) -> String {
        let mut text = String::new();
        for segment in &self.segments {
            text.push('/');
            for sign in segment.chars() {
                encode(sign, &mut text);
            }
        }
        text
    }
}

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPathPattern> {
        if let Some(sign) = text.chars().find(|sign| matches!(sign, '?' | '#')) {
            return Err(InvalidPathPattern::Beyond(sign));
        }
        if text.len() > LONGEST || text.matches('*').count() > STARS {
            return Err(InvalidPathPattern::TooLong);
        }
        let mut segments = Vec::new();
        let mut plain = Vec::new();
        for part in split(text)? {
            if part == "**" {
                segments.push(Segment::Any);
                plain.push("*".to_owned());
                continue;
            }
            if part.contains("**") {
                return Err(InvalidPathPattern::Stars);
            }
            let pieces: Vec<_> = part.split('*').map(decode).collect::<Result<_, _>>()?;
            plain.push(pieces.join("*"));
            segments.push(Segment::Pieces(pieces));
        }
        check(&plain)?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_match(&self, path: &RequestPath) -> bool {
        // For each segment of the pattern, whether the path up to here may end before it: bounded
        // by the product of both lengths, whatever the stars are.
        let mut reached = vec![false; self.segments.len() + 1];
        set(&mut reached, 0);
        self.close(&mut reached);
        for text in &path.segments {
            let mut next = vec![false; reached.len()];
            for (index, segment) in self.segments.iter().enumerate() {
                if reached.get(index) != Some(&true) {
                    continue;
                }
                match segment {
                    Segment::Any => set(&mut next, index),
                    Segment::Pieces(pieces) if fits(pieces, text) => set(&mut next, index + 1),
                    Segment::Pieces(_) => {}
                }
            }
            self.close(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// `**` may stand for nothing.
    fn close(&self, reached: &mut [bool]) {
        for (index, segment) in self.segments.iter().enumerate() {
            if *segment == Segment::Any && reached.get(index) == Some(&true) {
                set(reached, index + 1);
            }
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn set(reached: &mut [bool], index: usize) {
    if let Some(one) = reached.get_mut(index) {
        *one = true;
    }
}

/// The segments of a path, as they are written.
fn split(text: &str) -> Result<std::str::Split<'_, char>, InvalidPath> {
    let rest = text.strip_prefix('/').ok_or(InvalidPath::Start)?;
    Ok(rest.split('/'))
}

/// Undoes percent-encoding, of all but a slash.
fn decode(text: &str) -> Result<String, InvalidPath> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => match (rest.next().and_then(digit), rest.next().and_then(digit)) {
                (Some(high), Some(low)) => match high << 4 | low {
                    b'/' => {
                        bytes.push(0);
                        continue;
                    }
                    byte => byte,
                },
                _ => return Err(InvalidPath::Escape),
            },
            b' ' | 0x80.. => return Err(InvalidPath::Bare),
            byte => byte,
        };
        match byte {
            b'\\' => return Err(InvalidPath::Backslash),
            0..0x20 | 0x7f => return Err(InvalidPath::Control),
            byte => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_utf8| InvalidPath::Utf8)?;
    let is_escape = |at: usize| {
        let mut digits = text.bytes().skip(at + 1).map(digit);
        matches!(
            (digits.next(), digits.next()),
            (Some(Some(_)), Some(Some(_)))
        )
    };
    if text.match_indices('%').any(|(at, _)| is_escape(at)) {
        return Err(InvalidPath::Twice);
    }
    Ok(text)
}

/// What holds for a path as a whole.
fn check(segments: &[String]) -> Result<(), InvalidPath> {
    // Parameters of a segment are left out by some servers.
    let is_dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    if segments.iter().any(|it| it.split(SLASH).any(is_dots)) {
        return Err(InvalidPath::Dots);
    }
    let without_last = segments.split_last().map_or(segments, |(_, rest)| rest);
    if without_last.iter().any(String::is_empty) {
        return Err(InvalidPath::Empty);
    }
    Ok(())
}

/// Whether the pieces stand in the segment in their order, with any text but a slash between.
fn fits(pieces: &[String], text: &str) -> bool {
    let slashes = |text: &str| text.matches(SLASH).count();
    if pieces.iter().map(|piece| slashes(piece)).sum::<usize>() != slashes(text) {
        return false;
    }
    let Some((first, rest)) = pieces.split_first() else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return text == first;
    };
    let inner = text.strip_prefix(first.as_str());
    let Some(mut inner) = inner.and_then(|text| text.strip_suffix(last.as_str())) else {
        return false;
    };
    middle.iter().all(|piece| {
        inner
            .split_once(piece.as_str())
            .map(|(_, after)| inner = after)
            .is_some()
    })
}

fn encode(sign: char, text: &mut String) {
    use fmt::Write as _;
    match sign {
        SLASH => text.push_str("%2F"),
        sign if sign.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@".contains(sign) => {
            text.push(sign);
        }
        sign => {
            for byte in sign.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                write!(text, "%{byte:02X}").unwrap_or_default();
            }
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(one: &str, other: &str) {
        assert_eq!(RequestPath::parse(one), RequestPath::parse(other));
        assert!(RequestPath::parse(one).is_ok(), "{one}");
    }

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        let pattern = PathPattern::parse(pattern).unwrap();
        let read = RequestPath::parse(path).unwrap();
        assert_eq!(pattern.is_match(&read), expected, "{pattern} on {path}");
    }

    #[test]
    fn spellings_of_one_path_are_one() {
        same("/a/b", "/%61/%62");
        same("/%7euser", "/~user");
        same("/a%3Ab", "/a:b");
        same("/caf%C3%A9", "/caf%c3%a9");
        same("/a%2Fb", "/a%2fb");
        assert_ne!(RequestPath::parse("/a%2Fb"), RequestPath::parse("/a/b"));
        assert_ne!(RequestPath::parse("/a/"), RequestPath::parse("/a"));
        for path in ["/", "/a/", "/a%2Fb/c%25", "/x%2A", "/caf%C3%A9/ok"] {
            let read = RequestPath::parse(path).unwrap();
            assert_eq!(read.pattern(), path);
            assert!(PathPattern::parse(&read.pattern()).unwrap().is_match(&read));
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (path, why) in [
            ("", InvalidPath::Start),
            ("a/b", InvalidPath::Start),
            ("http://x/", InvalidPath::Start),
            ("/a%", InvalidPath::Escape),
            ("/a%2", InvalidPath::Escape),
            ("/a%zz", InvalidPath::Escape),
            ("/%u002e", InvalidPath::Escape),
            ("/a%252fb", InvalidPath::Twice),
            ("/%252e%252e/x", InvalidPath::Twice),
            ("/a%00b", InvalidPath::Control),
            ("/a%0d%0ab", InvalidPath::Control),
            ("/a%7f", InvalidPath::Control),
            ("/a\\b", InvalidPath::Backslash),
            ("/a%5Cb", InvalidPath::Backslash),
            ("/%c0%af", InvalidPath::Utf8),
            ("/%e0%80%af", InvalidPath::Utf8),
            ("/%ff", InvalidPath::Utf8),
            ("/..", InvalidPath::Dots),
            ("/a/../b", InvalidPath::Dots),
            ("/a/./b", InvalidPath::Dots),
            ("/a/%2e%2e/b", InvalidPath::Dots),
            ("/a/.%2E/b", InvalidPath::Dots),
            ("/a/..;x=1/b", InvalidPath::Dots),
            ("/a%2F..%2Fb", InvalidPath::Dots),
            ("/a/..%2fb", InvalidPath::Dots),
            ("//a", InvalidPath::Empty),
            ("/a//b", InvalidPath::Empty),
            ("/a b", InvalidPath::Bare),
            ("/é", InvalidPath::Bare),
        ] {
            assert_eq!(RequestPath::parse(path), Err(why), "{path}");
        }
        for path in ["/...", "/a..b/c", "/.well-known/x", "/a;b=c", "/100%25"] {
            assert!(RequestPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        check("/repos/acme/*", "/repos/acme/tool", true);
        check("/repos/acme/*", "/repos/acme/tool/issues", false);
        check("/repos/acme/*", "/repos/acme", false);
        check("/repos/acme/**", "/repos/acme/tool/issues/1", true);
        check("/repos/acme/**", "/repos/acme", true);
        check("/repos/acme/**", "/repos/acmex/tool", false);
        check("/repos/acme/**", "/repos/Acme/tool", false);
        check("/**", "/", true);
        check("/**", "/a/b/", true);
        check("/", "/", true);
        check("/", "/a", false);
        check("/v*/users", "/v2/users", true);
        check("/v*/users", "/v2/x/users", false);
        check("/**/issues/*", "/a/b/issues/7", true);
        check("/**/issues/**/x", "/a/issues/x/issues/y/x", true);
        check("/a/**/b", "/a/b", true);
        check("/a*b*c", "/abc", true);
        check("/a*b*c", "/acb", false);
        check("/x%2A", "/x*", true);
        check("/x%2A", "/xy", false);
    }

    /// A server that decodes it sees another path.
    #[test]
    fn no_star_within_a_segment_stands_for_a_coded_slash() {
        check("/repos/*", "/repos/acme%2Ftool", false);
        check("/**", "/repos%2Facme", true);
        check("/@acme%2F*", "/@acme%2fpkg", true);
        check("/@acme%2F*", "/@acme%2Fpkg%2Fx", false);
        check("/@acme*", "/@acme%2Fpkg", false);
        check("/*2Fx", "/a%2Fx", false);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, why) in [
            ("repos/*", InvalidPathPattern::Path(InvalidPath::Start)),
            ("/a/../b", InvalidPathPattern::Path(InvalidPath::Dots)),
            ("/a//b", InvalidPathPattern::Path(InvalidPath::Empty)),
            ("/a%2", InvalidPathPattern::Path(InvalidPath::Escape)),
            ("/a?b=c", InvalidPathPattern::Beyond('?')),
            ("/a**", InvalidPathPattern::Stars),
            ("/***", InvalidPathPattern::Stars),
        ] {
            assert_eq!(PathPattern::parse(text), Err(why), "{text}");
        }
        let long = format!("/{}", "a".repeat(1024));
        assert_eq!(PathPattern::parse(&long), Err(InvalidPathPattern::TooLong));
        let stars = "/*".repeat(17);
        assert_eq!(PathPattern::parse(&stars), Err(InvalidPathPattern::TooLong));
    }
}
