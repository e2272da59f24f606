//! One tool call, as a hook tells of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an agent is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// `Bash`, `WebFetch`, `mcp__github__create_issue`.
    pub tool: String,
    /// The arguments, as the agent wrote them.
    pub input: Value,
    /// Where a shell command would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Where remotes lead that a shell command only names, as whoever can look has found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<KnownRemote>,
}

impl Call {
    /// A call of which nothing is known but its words.
    pub fn new(tool: impl Into<String>, input: Value) -> Self {
        Self {
            tool: tool.into(),
            input,
            cwd: None,
            remotes: Vec::new(),
        }
    }
}

/// What a repository says of a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownRemote {
    /// As the command names it; empty for the one that git chooses.
    pub name: String,
    /// The repository, as the command names it; `None` where the command starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Where git writes to: `git remote get-url --push --all`.
    pub urls: Vec<String>,
}
