//! Patterns of tool names and of values: literal text in which `*` stands for any text, the empty one included.
//!
//! Read once; a match costs one pass over the name for each star.

/// Longer than any tool is called.
const LONGEST: usize = 256;
const STARS: usize = 16;

/// One pattern, cut at its stars: at least one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    pieces: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    #[error("it has more than {STARS} stars")]
    TooManyStars,
    #[error("`{}` cannot stand in the name of a tool", .0.escape_debug())]
    Character(char),
    #[error("`{}` cannot stand in the value of a header", .0.escape_debug())]
    Value(char),
}

impl Glob {
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        if text.is_empty() {
            return Err(InvalidGlob::Empty);
        }
        if text.len() > LONGEST {
            return Err(InvalidGlob::TooLong);
        }
        // Signs with a meaning in other globs are refused: taken literally they would match
        // nothing, and nobody would see it.
        let is_stray = |c: &char| c.is_whitespace() || c.is_control() || "?[]{}\\!".contains(*c);
        if let Some(stray) = text.chars().find(is_stray) {
            return Err(InvalidGlob::Character(stray));
        }
        Self::cut(text)
    }

    /// A pattern of values of headers, in which every visible sign but the star is itself.
    pub fn value(text: &str) -> Result<Self, InvalidGlob> {
        if text.len() > LONGEST {
            return Err(InvalidGlob::TooLong);
        }
        let is_stray = |c: &char| !matches!(c, ' '..='~');
        if let Some(stray) = text.chars().find(is_stray) {
            return Err(InvalidGlob::Value(stray));
        }
        Self::cut(text)
    }

    fn cut(text: &str) -> Result<Self, InvalidGlob> {
        let pieces: Vec<_> = text.split('*').map(str::to_owned).collect();
        if pieces.len() > STARS + 1 {
            return Err(InvalidGlob::TooManyStars);
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_match(&self, name: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return name == first;
        };
        let inner = name
            .strip_prefix(first.as_str())
            .and_then(|name| name.strip_suffix(last.as_str()));
        let Some(mut inner) = inner else {
            return false;
        };
        for piece in middle {
            let Some((_, after)) = inner.split_once(piece.as_str()) else {
                return false;
            };
            inner = after;
        }
        true
    }
}

/// Several patterns: one that matches is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(Vec<Glob>);

impl Globs {
    /// The first pattern that matches.
    pub fn find(&self, name: &str) -> Option<&Glob> {
        self.0.iter().find(|glob| glob.is_match(name))
    }

    pub fn is_match(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

impl FromIterator<Glob> for Globs {
    fn from_iter<I: IntoIterator<Item = Glob>>(globs: I) -> Self {
        Self(globs.into_iter().collect())
    }
}

impl Extend<Glob> for Globs {
    fn extend<I: IntoIterator<Item = Glob>>(&mut self, globs: I) {
        for glob in globs {
            if !self.0.contains(&glob) {
                self.0.push(glob);
            }
        }
    }
}

impl IntoIterator for Globs {
    type Item = Glob;
    type IntoIter = std::vec::IntoIter<Glob>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: &str, name: &str, expected: bool) {
        assert_eq!(
            Glob::parse(glob).unwrap().is_match(name),
            expected,
            "{glob} on {name}"
        );
    }

    #[test]
    fn stars_stand_for_any_text_and_nothing_else_does() {
        check("mcp__github__merge", "mcp__github__merge", true);
        check("mcp__github__merge", "mcp__github__merge2", false);
        check("mcp__*fetch*", "mcp__web__fetch", true);
        check("mcp__*fetch*", "mcp__fetch", true);
        check("mcp__*fetch*", "mcp__web__get", false);
        check("*", "", true);
        check("a*b*c", "abc", true);
        check("a*b*c", "ac", false);
        check("a*bb", "ab", false);
        check("ab*ba", "aba", false);
        check("ab*ba", "abba", true);
        check("*a*a*", "a", false);
        check("mcp.x", "mcpxx", false);
    }

    #[test]
    fn what_other_globs_mean_by_a_sign_is_refused() {
        for (text, error) in [
            ("", InvalidGlob::Empty),
            ("mcp__[ab]", InvalidGlob::Character('[')),
            ("mcp__?", InvalidGlob::Character('?')),
            ("a b", InvalidGlob::Character(' ')),
        ] {
            assert_eq!(Glob::parse(text), Err(error), "{text}");
        }
        assert_eq!(Glob::parse(&"a".repeat(257)), Err(InvalidGlob::TooLong));
        assert_eq!(Glob::parse(&"*".repeat(17)), Err(InvalidGlob::TooManyStars));
    }
}
