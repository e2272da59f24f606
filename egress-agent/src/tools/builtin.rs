//! The tools that Claude Code and Codex bring along, by name.
//!
//! What is not in the table is unknown, and judged by what it carries.

/// What a tool of an agent's own does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs a command that stands under one of these keys.
    Shell(&'static [&'static str]),
    /// Fetches the URL in its arguments.
    Url,
    /// Reads files that these keys name.
    Read(&'static [&'static str]),
    /// Writes files that these keys name; other keys hold their content.
    Write(&'static [&'static str]),
    /// Reads and writes the file that these keys name.
    Edit(&'static [&'static str]),
    /// Writes the files that a patch under one of these keys names.
    Patch(&'static [&'static str]),
    /// Touches neither network nor files by itself.
    Quiet,
}

const COMMAND: &[&str] = &["command", "cmd", "chars"];
const FILE: &[&str] = &["file_path", "path", "notebook_path"];
const SEARCH: &[&str] = &["path", "glob", "pattern", "file_path", "dir_path"];

/// What a tool is, if the agents bring it along.
pub fn kind(tool: &str) -> Option<Kind> {
    Some(match tool {
        // Claude Code.
        "Bash" => Kind::Shell(COMMAND),
        "WebFetch" => Kind::Url,
        "Read" | "NotebookRead" => Kind::Read(FILE),
        "Glob" | "LS" => Kind::Read(SEARCH),
        // The pattern is a text to look for, not a file.
        "Grep" => Kind::Read(&["path", "glob"]),
        "Write" => Kind::Write(FILE),
        "Edit" | "MultiEdit" | "NotebookEdit" => Kind::Edit(FILE),
        "WebSearch"
        | "BashOutput"
        | "KillBash"
        | "KillShell"
        | "TaskOutput"
        | "TaskStop"
        | "TaskCreate"
        | "TaskGet"
        | "TaskList"
        | "TaskUpdate"
        | "Task"
        | "Agent"
        | "TodoWrite"
        | "TodoRead"
        | "ExitPlanMode"
        | "EnterPlanMode"
        | "AskUserQuestion"
        | "SlashCommand"
        | "Skill"
        | "ToolSearch"
        | "ListMcpResourcesTool"
        | "LSP" => Kind::Quiet,
        // Codex.
        "shell" | "local_shell" | "shell_command" | "exec_command" | "unified_exec"
        | "container.exec" | "write_stdin" => Kind::Shell(COMMAND),
        "apply_patch" => Kind::Patch(&["command", "input", "patch"]),
        "view_image" | "read_file" | "list_dir" => Kind::Read(SEARCH),
        "grep_files" => Kind::Read(&["path", "include"]),
        "web_search" | "update_plan" | "request_user_input" | "spawn_agent" | "send_input"
        | "wait" | "close_agent" | "list_mcp_resources" => Kind::Quiet,
        _ => return None,
    })
}
