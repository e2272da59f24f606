//! One tool call, as a hook tells of it.

use std::path::PathBuf;

use serde_json::Value;

/// What an agent is about to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `Bash`, `WebFetch`, `mcp__github__create_issue`.
    pub tool: String,
    /// The arguments, as the agent wrote them.
    pub input: Value,
    /// Where a shell command would run.
    pub cwd: Option<PathBuf>,
}
