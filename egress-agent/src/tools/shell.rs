//! What a shell command can be seen to reach.

use std::path::Path;

/// A network place that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// As written, unquoted: a host name, an address, or a URL's authority host.
    pub host: String,
    pub port: Option<u16>,
    /// The program that would go there: `curl`, `git`, `bash` for /dev/tcp.
    pub program: String,
    /// Whether it sends more than a request: push, upload, POST.
    pub writes: bool,
    /// The owner on a git host, when the place names one.
    pub owner: Option<String>,
}

/// All that was read from a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub contacts: Vec<Contact>,
    /// Something downloaded is executed: why it looks so.
    pub executes_download: Option<String>,
    /// Files that the command reads, unquoted, `~` and `$HOME` written as `~`.
    pub reads: Vec<String>,
    /// Files that it writes.
    pub writes: Vec<String>,
    /// It prints or passes on the environment.
    pub reads_environment: bool,
    /// Merges into a protected branch, releases, and other acts that need a person.
    pub acts: Vec<String>,
    /// What cannot be told from the text: built at run time, an interpreter's code, a script.
    pub unclear: Vec<String>,
}

/// Reads a command of bash. Never fails: what cannot be read is unclear.
pub fn reach(_command: &str, _cwd: Option<&Path>) -> Reach {
    Reach {
        unclear: vec!["commands are not read yet".to_owned()],
        ..Reach::default()
    }
}
