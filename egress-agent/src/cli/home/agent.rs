//! The agents that are known: what shows that one is used, its profile, its hook. Data only.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::cli::hook::install;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Agent {
    #[value(alias = "claude")]
    ClaudeCode,
    Codex,
    Cursor,
    #[value(alias = "gemini")]
    GeminiCli,
}

impl Agent {
    pub(in crate::cli) const ALL: [Self; 4] =
        [Self::ClaudeCode, Self::Codex, Self::Cursor, Self::GeminiCli];

    pub(in crate::cli) const fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::Cursor => "Cursor",
            Self::GeminiCli => "Gemini CLI",
        }
    }

    /// The profile with what it needs to work.
    pub(in crate::cli) const fn profile(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
            Self::GeminiCli => "gemini-cli",
        }
    }

    /// Its directory of settings in a home.
    pub(in crate::cli) const fn directory(self) -> &'static str {
        match self {
            Self::ClaudeCode => ".claude",
            Self::Codex => ".codex",
            Self::Cursor => ".cursor",
            Self::GeminiCli => ".gemini",
        }
    }

    pub(in crate::cli) const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeCode => &["claude"],
            Self::Codex => &["codex"],
            Self::Cursor => &["cursor", "cursor-agent"],
            Self::GeminiCli => &["gemini"],
        }
    }

    /// Whose settings take the hook of egressd.
    pub(in crate::cli) const fn hook(self) -> Option<install::Agent> {
        match self {
            Self::ClaudeCode => Some(install::Agent::Claude),
            Self::Codex => Some(install::Agent::Codex),
            Self::Cursor | Self::GeminiCli => None,
        }
    }

    /// As `egressctl hook install` takes it.
    pub(in crate::cli) fn hook_word(self) -> Option<&'static str> {
        self.hook().map(install::Agent::word)
    }
}
