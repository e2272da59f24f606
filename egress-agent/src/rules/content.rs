//! What stands in the arguments, by regular expressions.
//!
//! The engine knows no back-references and no look-around, so that it is linear in the text
//! whatever the pattern and the text are; the size of the compiled pattern is bounded.

use std::{borrow::Cow, sync::OnceLock};

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde_json::Value;

use super::argument::scalar;

/// Bytes of one compiled pattern.
const SIZE: usize = 256 << 10;
/// Bytes of the patterns of one rule, compiled together.
const SET_SIZE: usize = 4 << 20;
/// Levels of groups.
const NESTED: u32 = 64;

/// The patterns of a rule: one that fits is enough.
#[derive(Clone, Debug)]
pub struct Content {
    set: RegexSet,
    /// Each by itself, made when somebody asks where they fit.
    each: OnceLock<Vec<Regex>>,
}

impl Content {
    /// Compiles patterns, at most so large as all of them may be one by one.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        RegexSetBuilder::new(patterns)
            .size_limit(SET_SIZE.min(SIZE.saturating_mul(patterns.len())))
            .nest_limit(NESTED)
            .build()
            .map(|set| Self {
                set,
                each: OnceLock::new(),
            })
            .map_err(|error| one_line(&error))
    }

    /// The patterns that fit every text, because they fit the empty one, by index.
    pub(crate) fn void(&self) -> Vec<usize> {
        self.set.matches("").into_iter().collect()
    }

    /// Whether one pattern compiles; the error is one line.
    pub(crate) fn check(pattern: &str) -> Result<Regex, String> {
        RegexBuilder::new(pattern)
            .size_limit(SIZE)
            .nest_limit(NESTED)
            .build()
            .map_err(|error| one_line(&error))
    }

    pub fn is_in(&self, texts: &Texts<'_>) -> bool {
        self.set.is_match(&texts.joined) || texts.each.iter().any(|text| self.set.is_match(text))
    }

    pub fn patterns(&self) -> &[String] {
        self.set.patterns()
    }

    /// The patterns one by one, to find where they fit.
    pub fn each(&self) -> &[Regex] {
        // INVARIANT: what compiles together compiles alone.
        let compiled = || self.patterns().iter().filter_map(|it| Self::check(it).ok());
        self.each.get_or_init(|| compiled().collect())
    }
}

/// Two patterns are the same when they are written the same.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.set.patterns() == other.set.patterns()
    }
}

/// Everything that can be read in the arguments.
#[derive(Debug, Default)]
pub struct Texts<'v> {
    /// Keys, texts and other values, each by itself.
    each: Vec<Cow<'v, str>>,
    /// The values in the order of the text, with spaces between them.
    joined: String,
}

impl<'v> Texts<'v> {
    pub fn new(arguments: &'v Value) -> Self {
        let mut texts = Self::default();
        // Foreign JSON is walked with a list: its depth is not ours.
        let mut open = vec![arguments];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(list) => open.extend(list.iter().rev()),
                Value::Object(members) => {
                    let keys = members.keys().map(|key| Cow::Borrowed(key.as_str()));
                    texts.each.extend(keys);
                    open.extend(members.values().rev());
                }
                Value::Null => {}
                Value::String(_) | Value::Bool(_) | Value::Number(_) => {
                    let Some(text) = scalar(value) else {
                        continue;
                    };
                    if !texts.joined.is_empty() {
                        texts.joined.push(' ');
                    }
                    texts.joined.push_str(&text);
                    texts.each.push(text);
                }
            }
        }
        texts
    }

    /// Every text in a line of its own, keys before the values under them.
    pub(super) fn lines(&self) -> String {
        self.each.join("\n")
    }
}

/// The parser draws the pattern over several lines; the last says what is wrong.
fn one_line(error: &regex::Error) -> String {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the engine's own list of errors, which may grow"
    )]
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("it needs more than {} KiB when it is compiled", limit >> 10)
        }
        error => {
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, arguments: &Value, expected: bool) {
        let content = Content::new(&[pattern.to_owned()]).unwrap();
        assert_eq!(content.is_in(&Texts::new(arguments)), expected, "{pattern}");
    }

    #[test]
    fn every_text_is_read_alone_and_joined() {
        let arguments =
            json!({ "command": "rm", "args": ["-rf", "/"], "n": 3, "deep": { "key-1": true } });
        check(r"rm -rf / 3 true", &arguments, true);
        check(r"^-rf$", &arguments, true);
        check(r"^key-1$", &arguments, true);
        check(r"^3$", &arguments, true);
        check(r"command rm", &arguments, false);
        check(r"null", &json!({ "a": null }), false);
    }

    #[test]
    fn deep_arguments_are_read() {
        let mut arguments = json!("needle");
        for _ in 0..10_000 {
            arguments = Value::Array(vec![arguments]);
        }
        check("needle", &arguments, true);
        // Its own drop would overflow the stack.
        std::mem::forget(arguments);
    }

    #[test]
    fn what_cannot_be_compiled_is_told_in_one_line() {
        for (pattern, expected) in [
            ("(", "unclosed group"),
            (r"(?=a)b", "look-around"),
            (r"(a)\1", "backreferences are not supported"),
            (r"(?:a{1000}){1000}", "256 KiB"),
        ] {
            let told = Content::check(pattern).unwrap_err();
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn no_pattern_makes_the_search_more_than_linear() {
        let content = Content::new(&["(a+)+b".to_owned(), "(a|a)*c".to_owned()]).unwrap();
        let arguments = json!({ "a": "a".repeat(1 << 20) });
        assert!(!content.is_in(&Texts::new(&arguments)));
    }
}
