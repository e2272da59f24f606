//! Secrets in the arguments of a tool: tokens whose form their issuers publish.
//!
//! *What it does*: finds keys by their fixed beginnings and lengths, also behind one layer of
//! base64. *Why it matters*: an argument leaves the machine as surely as a packet. *Known gaps*:
//! secrets without a form of their own (passwords), several layers of encoding, and secrets cut
//! in pieces. *Example*: `ghp_` and 36 letters and digits.

use std::sync::LazyLock;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use regex::bytes::{RegexSet, RegexSetBuilder};
use serde_json::Value;

/// What is found, and its form.
const FORMS: &[(&str, &str)] = &[
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "an Anthropic API key",
        r"\bsk-ant-[a-z]+[0-9]*-[A-Za-z0-9_-]{20,}",
    ),
    (
        "an OpenAI API key",
        r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}",
    ),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36}"),
    ("a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{60,}"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20}"),
    ("a Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}"),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
];

/// AWS uses keys that end in this in its documents.
const EXAMPLE: &[u8] = b"EXAMPLE";
/// Shorter runs hold no token.
const SHORTEST_CODED: usize = 24;

static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    // Borders of words in ASCII: for others the set leaves its fast engine where bytes are none.
    let forms = FORMS.iter().map(|(_, form)| form);
    RegexSetBuilder::new(forms).unicode(false).build().ok()
});

/// What the first secret in the arguments is.
pub(crate) fn secret(input: &Value) -> Option<&'static str> {
    super::strings(input).find_map(|(_, text)| find(text))
}

/// What the first secret in a text is.
pub fn find(text: &str) -> Option<&'static str> {
    plain(text.as_bytes()).or_else(|| coded(text))
}

fn plain(text: &[u8]) -> Option<&'static str> {
    // INVARIANT: the forms compile; a test reads them. Without them everything is a secret.
    let Some(set) = SET.as_ref() else {
        return Some("a secret");
    };
    let index = set.matches(text).iter().next()?;
    let (what, form) = FORMS.get(index)?;
    if form.contains("AKIA") && is_only_example(text) {
        return None;
    }
    Some(what)
}

fn is_only_example(text: &[u8]) -> bool {
    let keys = text.windows(20).filter(|key| {
        (key.starts_with(b"AKIA") || key.starts_with(b"ASIA"))
            && key.iter().all(u8::is_ascii_alphanumeric)
    });
    let mut keys = keys.peekable();
    keys.peek().is_some() && keys.all(|key| key.ends_with(EXAMPLE))
}

/// Looks behind base64, standard and for URLs, padded or not.
fn coded(text: &str) -> Option<&'static str> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config);
    let is_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    text.split(|c: char| !is_code(c))
        .filter(|run| run.len() >= SHORTEST_CODED)
        .find_map(|run| {
            let run = run.replace('-', "+").replace('_', "/");
            // A length of 4n+1 is no base64; the last sign cannot matter.
            let whole = run.len() - usize::from(run.len() % 4 == 1);
            let bytes = standard.decode(run.get(..whole)?).ok()?;
            plain(&bytes)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_compile() {
        assert_eq!(SET.as_ref().map(RegexSet::len), Some(FORMS.len()));
    }

    #[test]
    fn tokens_are_found_plain_and_behind_base64() {
        let github = format!("ghp_{}", "a1".repeat(18));
        assert_eq!(find(&format!("use {github}.")), Some("a GitHub token"));
        assert_eq!(find("key=AKIAABCDEFGHIJKLMNOP"), Some("an AWS access key"));
        assert_eq!(
            find("-----BEGIN RSA PRIVATE KEY-----"),
            Some("a private key")
        );
        let engine = base64::engine::general_purpose::STANDARD;
        let coded = engine.encode(format!("id: {github}\n"));
        assert_eq!(find(&format!("data:{coded}")), Some("a GitHub token"));
        assert_eq!(find(coded.trim_end_matches('=')), Some("a GitHub token"));
        let nested = serde_json::json!({ "a": [{ "b": github }] });
        assert_eq!(secret(&nested), Some("a GitHub token"));
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        for text in [
            "ghp_short",
            "the key AKIAIOSFODNN7EXAMPLE of the documents",
            "task-ant-farm",
            "npm_config_registry",
            "-----BEGIN PUBLIC KEY-----",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        assert!(find("AKIAIOSFODNN7EXAMPLE AKIAABCDEFGHIJKLMNOP").is_some());
    }
}
