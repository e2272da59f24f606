//! What a tool does, as far as its name tells.
//!
//! *What it does*: reads the words of a name (`run_shell`, `runShell`, `mcp__box__run-shell`).
//! *Why it matters*: rules speak of what tools do, and servers invent names. *Known gaps*: a name
//! that says nothing, or another thing. *Example*: `mcp__github__create_file` is `git` and
//! `filesystem`.

use serde::Serialize;

/// A tool has every category that its name speaks of, and at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Shell,
    Filesystem,
    Git,
    Http,
    Upload,
    Network,
    Database,
    Messaging,
    /// None of the others.
    Other,
}

/// Whole words.
const WORDS: &[(&str, Category)] = &[
    ("sh", Category::Shell),
    ("zsh", Category::Shell),
    ("cmd", Category::Shell),
    ("fs", Category::Filesystem),
    ("file", Category::Filesystem),
    ("files", Category::Filesystem),
    ("dir", Category::Filesystem),
    ("read", Category::Filesystem),
    ("write", Category::Filesystem),
    ("edit", Category::Filesystem),
    ("multiedit", Category::Filesystem),
    ("ls", Category::Filesystem),
    ("glob", Category::Filesystem),
    ("grep", Category::Filesystem),
    ("git", Category::Git),
    ("web", Category::Http),
    ("url", Category::Http),
    ("post", Category::Upload),
    ("put", Category::Upload),
    ("send", Category::Network),
    ("tcp", Category::Network),
    ("udp", Category::Network),
    ("db", Category::Database),
    ("mail", Category::Messaging),
    ("sms", Category::Messaging),
];

/// Beginnings of words.
const BEGINNINGS: &[(&str, Category)] = &[
    ("file", Category::Filesystem),
    ("directory", Category::Filesystem),
    ("git", Category::Git),
    ("mail", Category::Messaging),
    ("telegram", Category::Messaging),
];

/// Stand anywhere in a word: long enough to mean nothing else.
const PARTS: &[(&str, Category)] = &[
    ("shell", Category::Shell),
    ("bash", Category::Shell),
    ("exec", Category::Shell),
    ("terminal", Category::Shell),
    ("command", Category::Shell),
    ("filesystem", Category::Filesystem),
    ("github", Category::Git),
    ("gitlab", Category::Git),
    ("http", Category::Http),
    ("fetch", Category::Http),
    ("request", Category::Http),
    ("navigate", Category::Http),
    ("upload", Category::Upload),
    ("socket", Category::Network),
    ("connect", Category::Network),
    ("network", Category::Network),
    ("sql", Category::Database),
    ("query", Category::Database),
    ("database", Category::Database),
    ("postgres", Category::Database),
    ("mongo", Category::Database),
    ("redis", Category::Database),
    ("slack", Category::Messaging),
    ("discord", Category::Messaging),
    ("email", Category::Messaging),
    ("message", Category::Messaging),
];

/// A longer name is no name; bounds the work on hostile text.
const LONGEST: usize = 1024;

impl Category {
    pub const ALL: [Self; 9] = [
        Self::Shell,
        Self::Filesystem,
        Self::Git,
        Self::Http,
        Self::Upload,
        Self::Network,
        Self::Database,
        Self::Messaging,
        Self::Other,
    ];

    pub const fn code(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Filesystem => "filesystem",
            Self::Git => "git",
            Self::Http => "http",
            Self::Upload => "upload",
            Self::Network => "network",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::Other => "other",
        }
    }

    /// Every category of a tool, in order; never empty.
    pub fn of(tool: &str) -> Vec<Self> {
        // A name that is too long to read could be anything: it is everything.
        if tool.len() > LONGEST {
            return Self::ALL.to_vec();
        }
        let words = words(tool);
        let has = |category: Self| {
            let any = |list: &[(&str, Self)], fits: fn(&str, &str) -> bool| {
                let mut mine = list.iter().filter(|(_, other)| *other == category);
                mine.any(|(part, _)| words.iter().any(|word| fits(word, part)))
            };
            any(WORDS, |word, whole| word == whole)
                || any(BEGINNINGS, |word, start| word.starts_with(start))
                || any(PARTS, |word, part| word.contains(part))
        };
        let found: Vec<_> = Self::ALL.into_iter().filter(|one| has(*one)).collect();
        if found.is_empty() {
            vec![Self::Other]
        } else {
            found
        }
    }
}

/// The words of a name, in lower case: cut at signs, and before a capital that follows a small
/// letter.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_small = false;
    for c in name.chars() {
        let is_cut = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_small);
        if is_cut && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tool: &str, expected: &[Category]) {
        assert_eq!(Category::of(tool), expected, "{tool}");
    }

    #[test]
    fn the_words_of_a_name_tell_what_a_tool_does() {
        check("Bash", &[Category::Shell]);
        check("shell_exec", &[Category::Shell]);
        check("runShell", &[Category::Shell]);
        check("mcp__box__run-terminal", &[Category::Shell]);
        check("Read", &[Category::Filesystem]);
        check("MultiEdit", &[Category::Filesystem]);
        check("NotebookEdit", &[Category::Filesystem]);
        check("WebFetch", &[Category::Http]);
        check("http_post", &[Category::Http, Category::Upload]);
        check("upload_file", &[Category::Filesystem, Category::Upload]);
        check(
            "mcp__github__create_file",
            &[Category::Filesystem, Category::Git],
        );
        check("mcp__db__query", &[Category::Database]);
        check(
            "mcp__slack__send",
            &[Category::Network, Category::Messaging],
        );
        check("gitPush", &[Category::Git]);
    }

    #[test]
    fn a_word_within_another_is_not_it() {
        check("get_thread", &[Category::Other]);
        check("postgres_dump", &[Category::Database]);
        check("offset", &[Category::Other]);
        check("user_profile", &[Category::Other]);
        check("digital", &[Category::Other]);
        check("", &[Category::Other]);
    }

    #[test]
    fn a_name_that_is_too_long_could_be_anything() {
        check(&"a".repeat(2000), &Category::ALL);
    }
}
