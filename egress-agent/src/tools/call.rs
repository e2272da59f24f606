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
}
