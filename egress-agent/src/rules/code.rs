//! Policy codes: what a decision is called for machines.
//!
//! Kebab-case and stable. The codes of mcp-egress-guard are taken on import.

use std::fmt;

/// Longer than any code.
const LONGEST: usize = 64;

/// The code of a rule that gives none.
pub const DEFAULT: &str = "content-rule";

/// Codes of the other tool, and what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("EGRESS_DENY_SECRET_LEAK", "secret-leak"),
    ("EGRESS_DENY_API_KEY", "api-key"),
    ("EGRESS_DENY_PRIVATE_KEY", "private-key"),
    ("EGRESS_DENY_DB_URL", "database-url"),
    ("EGRESS_DENY_TOKEN", "token"),
    ("EGRESS_DENY_DESTRUCTIVE_CMD", "destructive-command"),
    ("EGRESS_DENY_SHELL_RISK", "shell-risk"),
    ("EGRESS_DENY_CODE_RISK", "code-risk"),
    ("EGRESS_DENY_PUBLIC_UPLOAD", "public-upload"),
    ("EGRESS_DENY_EXFIL_CHAIN", "exfiltration-chain"),
    ("EGRESS_DENY_RISKY_DESTINATION", "risky-destination"),
    ("EGRESS_DENY_POLICY_MATCH", DEFAULT),
    ("EGRESS_DENY_ENGINE_ERROR", "inspection-failed"),
    ("EGRESS_REDACT_SECRET", "secret-redacted"),
    ("EGRESS_REDACT_PAYLOAD", "payload-redacted"),
    ("EGRESS_ESCALATE_REVIEW", "review"),
    ("EGRESS_SIMULATE_SHADOW", "simulated"),
];

/// `destructive-command`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code is one to {LONGEST} small letters, digits and single `-` within")]
pub struct InvalidCode;

impl Code {
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if text.len() > LONGEST || !text.split('-').all(is_word) {
            return Err(InvalidCode);
        }
        Ok(Self(text.to_owned()))
    }

    /// The code that mcp-egress-guard calls so.
    pub fn from_foreign(text: &str) -> Option<Self> {
        let known = FOREIGN.iter().find(|(foreign, _)| *foreign == text);
        known.map(|(_, code)| Self((*code).to_owned()))
    }

    /// Every code that packs of this project use, for messages about unknown ones.
    pub fn known() -> impl Iterator<Item = &'static str> {
        FOREIGN.iter().map(|(_, code)| *code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Code {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_foreign_code_has_a_code_of_its_own() {
        let mut codes: Vec<_> = Code::known().collect();
        assert_eq!(codes.len(), 17);
        for (foreign, code) in FOREIGN {
            assert_eq!(Code::from_foreign(foreign), Code::parse(code).ok());
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 17);
        assert_eq!(Code::from_foreign("EGRESS_DENY_WEATHER"), None);
    }

    #[test]
    fn codes_are_in_kebab_case() {
        for text in ["", "A", "a--b", "-a", "a-", "a_b", "a b", &"a".repeat(65)] {
            assert_eq!(Code::parse(text), Err(InvalidCode), "{text}");
        }
        assert_eq!(Code::default().as_str(), "content-rule");
    }
}
