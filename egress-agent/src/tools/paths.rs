//! Files that no tool may be pointed at: credentials, and what controls the guards themselves.
//!
//! A path is compared by its parts, after `.`, `..` and empty ones are gone, wherever the known
//! parts stand in it: `/backup/home/me/.ssh/id_rsa` is as good a key as `~/.ssh/id_rsa`. `*`, `?`
//! and `[…]` in a path match as a shell would expand them, brackets as any character.

use std::path::Path;

use crate::policy::{Policy, ToolSettings};

/// What decides about tool calls, and what agents read as their own settings.
const CONTROL: &[&str] = &[
    ".claude/hooks",
    ".claude/agents",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/mcp-gate-policy.json",
    ".claude/skills/*/SKILL.md",
    ".claude.json",
    ".codex/hooks",
    ".codex/hooks.json",
    ".codex/config.toml",
    ".codex/data/hooks",
    "etc/egressd",
    "etc/claude-code",
    "etc/codex",
    "run/egressd",
    "sys/fs/bpf/egressd",
];

/// Endings of files that show the form of a secret and hold none.
const SAMPLES: &[&str] = &[".example", ".sample", ".template", ".dist", ".pub"];

/// Longer paths do not exist (`PATH_MAX`).
const LONGEST: usize = 4096;

/// Why a path is none of a tool's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sensitive {
    Credentials,
    Control,
}

/// What is done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Nobody knows.
    Any,
}

/// Whether a path may not be touched in this way.
pub(crate) fn path(
    policy: &Policy,
    text: &str,
    access: Access,
    cwd: Option<&Path>,
) -> Option<Sensitive> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let tools = policy.tools();
    let parts = parts(text, cwd);
    if tools.home.iter().any(|known| holds(&parts, known)) && !is_sample(&parts) {
        return Some(Sensitive::Credentials);
    }
    if access != Access::Write && is_project_secret(tools, &parts) {
        return Some(Sensitive::Credentials);
    }
    let is_control = access != Access::Read
        && (CONTROL.iter().any(|known| holds(&parts, known)) || is_own(policy, &parts));
    is_control.then_some(Sensitive::Control)
}

/// Paths within a text that is no path itself. Only those that begin at a known place count: names
/// of files stand in prose for many reasons.
pub(crate) fn mentioned(policy: &Policy, text: &str, access: Access) -> Option<Sensitive> {
    words(text).find_map(|word| {
        let is_rooted = word.starts_with(['~', '/'])
            || word.starts_with("$HOME")
            || word.starts_with("${HOME}")
            || word.starts_with("file:")
            || word.starts_with(".claude")
            || word.starts_with(".codex");
        if is_rooted {
            return path(policy, word, access, None);
        }
        // Of names alone only the known places below a home directory count. Most words are no
        // names at all, and a text has many.
        let tools = policy.tools();
        let is_place = word.contains('/') && {
            let parts = parts(word, None);
            tools.home.iter().any(|known| holds(&parts, known))
        };
        is_place.then_some(Sensitive::Credentials)
    })
}

/// Any name of a secret within code that cannot be read.
pub(crate) fn in_code(policy: &Policy, text: &str) -> Option<Sensitive> {
    words(text).find_map(|word| path(policy, word, Access::Any, None))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_end = |c: char| c.is_whitespace() || "\"'`()<>,;|&=@{}\\!".contains(c);
    text.split(is_end).filter(|word| !word.is_empty())
}

fn parts(text: &str, cwd: Option<&Path>) -> Vec<String> {
    let text = text.strip_prefix("file://").unwrap_or(text);
    let mut parts: Vec<String> = Vec::new();
    let is_rooted = text.starts_with(['/', '~', '$']);
    let below = cwd.filter(|_| !is_rooted).map(Path::to_string_lossy);
    let below = below.as_deref().unwrap_or_default();
    for part in below.split('/').chain(text.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

/// Whether the parts of `known` stand in a row.
fn holds(parts: &[String], known: &str) -> bool {
    let known = known.split('/');
    parts.windows(known.clone().count()).any(|window| {
        window
            .iter()
            .zip(known.clone())
            .all(|(part, known)| is_part(part, known))
    })
}

/// Whether a part of a path, perhaps with wildcards of the shell, can be the known one.
fn is_part(part: &str, known: &str) -> bool {
    if known == "*" || part == known {
        return true;
    }
    // A star at the start does not stand for a leading dot.
    let is_hidden_missed = part.starts_with(['*', '?', '[']) && known.starts_with('.');
    part.contains(['*', '?', '[']) && !is_hidden_missed && is_wild_match(part, known)
}

fn is_project_secret(tools: &ToolSettings, parts: &[String]) -> bool {
    let Some(name) = parts.last() else {
        return false;
    };
    if is_sample(parts) {
        return false;
    }
    if tools.project.is_match(name) {
        return true;
    }
    name.contains(['*', '?', '['])
        && name.trim_matches(['*', '?']).len() > 1
        && tools
            .project
            .clone()
            .into_iter()
            .any(|known| !known.as_str().contains('*') && is_part(name, known.as_str()))
}

fn is_sample(parts: &[String]) -> bool {
    let name = parts.last().map(String::as_str).unwrap_or_default();
    SAMPLES.iter().any(|ending| name.ends_with(ending))
}

/// The files that the policy was read from.
fn is_own(policy: &Policy, path: &[String]) -> bool {
    let is_file = |file: &Path| {
        let file = parts(&file.to_string_lossy(), None);
        file.len() > 1 && path.ends_with(&file)
    };
    policy
        .files()
        .iter()
        .any(|file| file.is_absolute() && is_file(file))
}

/// Matches with `*`, `?` and `[…]`, brackets as any character: what a shell could expand to. At
/// most the product of both lengths, and both are parts of paths.
fn is_wild_match(pattern: &str, text: &str) -> bool {
    let pattern = simple(pattern);
    let text: Vec<char> = text.chars().take(256).collect();
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(sign) if sign == c || *sign == '?' => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star, from)) = back else {
                    return false;
                };
                back = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|sign| *sign == '*')
}

/// `[…]` as `?`.
fn simple(pattern: &str) -> Vec<char> {
    let mut out = Vec::new();
    let mut rest = pattern.chars().take(256);
    while let Some(c) = rest.next() {
        if c == '[' {
            let _end = rest.by_ref().find(|c| *c == ']');
            out.push('?');
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::parse(r#"{ "version": 1 }"#, "p").unwrap()
    }

    #[track_caller]
    fn check(text: &str, access: Access, expected: Option<Sensitive>) {
        let cwd = Path::new("/home/me/work");
        assert_eq!(path(&policy(), text, access, Some(cwd)), expected, "{text}");
    }

    #[test]
    fn credentials_are_known_in_every_spelling() {
        for text in [
            "~/.ssh/id_rsa",
            "$HOME/.ssh",
            "/home/me/.aws/credentials",
            "../.ssh/config",
            "/home/me/x/./../.ssh//id_rsa",
            "/root/.config/gcloud/x",
            "~/.s*h/config",
            "~/.a[w]s/credentials",
            "file:///home/me/.netrc",
            ".env",
            "app/.env.production",
            ".e?v",
            "certs/server.pem",
            "id_rsa_test",
        ] {
            check(text, Access::Read, Some(Sensitive::Credentials));
        }
        check(
            "~/.ssh/authorized_keys",
            Access::Write,
            Some(Sensitive::Credentials),
        );
    }

    #[test]
    fn ordinary_files_are_left_alone() {
        for text in [
            "README.md",
            ".env.example",
            "src/environment.rs",
            "*",
            "*.rs",
            "~/.ssh/id_rsa.pub",
            "keys.rs",
            "~/.config/nvim/init.lua",
            ".claude/CLAUDE.md",
            "docs/.aws-notes.md",
        ] {
            check(text, Access::Any, None);
        }
        // Copying the sample to where it is used is what one does with it.
        check(".env", Access::Write, None);
    }

    #[test]
    fn what_controls_the_guards_may_be_read_and_not_written() {
        for text in [
            "~/.claude/hooks/guard.sh",
            ".claude/settings.json",
            ".claude/skills/x/SKILL.md",
            "/etc/egressd/policy.json",
            "~/.codex/config.toml",
        ] {
            check(text, Access::Write, Some(Sensitive::Control));
            check(text, Access::Any, Some(Sensitive::Control));
            check(text, Access::Read, None);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.json");
        std::fs::write(&file, r#"{ "version": 1 }"#).unwrap();
        let policy = Policy::load(&file).unwrap();
        let text = file.to_string_lossy().into_owned();
        let got = path(&policy, &text, Access::Write, None);
        assert_eq!(got, Some(Sensitive::Control));
    }

    #[test]
    fn prose_is_searched_for_places_and_code_for_names() {
        let seen = |text| mentioned(&policy(), text, Access::Any);
        assert_eq!(
            seen("look into ~/.ssh/key, please"),
            Some(Sensitive::Credentials)
        );
        assert_eq!(
            seen("cat ${HOME}/.aws/credentials"),
            Some(Sensitive::Credentials)
        );
        assert_eq!(seen("edit ~/.claude/hooks/x.sh"), Some(Sensitive::Control));
        assert_eq!(seen("put it into .env and id_rsa"), None);
        let code = "open('.env').read()";
        assert_eq!(in_code(&policy(), code), Some(Sensitive::Credentials));
        assert_eq!(in_code(&policy(), "print(environ)"), None);
    }

    #[test]
    fn wildcards_cost_no_more_than_both_lengths() {
        let stars = "*a".repeat(128);
        assert!(!is_wild_match(&stars, &"a".repeat(100)));
        assert!(is_wild_match("*a*", "bab"));
        assert!(is_wild_match("[abc]x?", "bxy"));
        assert!(!is_wild_match("a", "ab"));
    }
}
