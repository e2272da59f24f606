//! Secrets in the arguments of a tool: what content inspection is sure of.
//!
//! *What it does*: asks [`crate::inspect`] and takes the secrets that have a format of their own. *Why it matters*: an argument leaves the machine as surely as a packet. *Known
//! gaps*: those of the detectors; passwords and other secrets without a form are left to the
//! inspection of whole calls. *Example*: `ghp_` and 36 letters and digits, also behind base64.

use std::sync::LazyLock;

use serde_json::Value;

use crate::inspect::{Inspector, Options, detectors, secrets::is_certain};

static INSPECTOR: LazyLock<Option<Inspector>> =
    LazyLock::new(|| Inspector::new(Options::default()).ok());

/// What is said when nothing better is known.
const SOMETHING: &str = "a secret";

/// What the first secret in the arguments is.
pub(crate) fn secret(input: &Value) -> Option<&'static str> {
    super::strings(input).find_map(|(_, text)| find(text))
}

/// What the first secret in a text is.
pub fn find(text: &str) -> Option<&'static str> {
    // INVARIANT: the default options are valid; a test makes the inspector. Without it everything
    // is a secret.
    let Some(inspector) = INSPECTOR.as_ref() else {
        return Some(SOMETHING);
    };
    let report = inspector.inspect(text.as_bytes());
    let mut found = report.findings.iter().filter_map(|finding| {
        let detector = detectors().find(|detector| detector.id == finding.detector)?;
        is_certain(finding).then_some(detector.what)
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inspector_is_made() {
        assert!(INSPECTOR.is_some());
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
        let coded = base64::Engine::encode(&engine, format!("id: {github}\n"));
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
        let address = format!("psql postgres://app:{}@localhost/main", "h7".repeat(6));
        assert_eq!(find(&address), None);
    }
}
