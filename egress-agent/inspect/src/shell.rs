//! What a shell command can be seen to reach.
//!
//! ```text
//!   text ──read──▶ commands, words ──run──▶ wrappers, scripts ──programs──▶ Reach
//!            ▲                                    │
//!            └────────── text within text ────────┘   (eval, sh -c, here-documents, ssh)
//! ```
//!
//! The reader goes once from left to right and never backs out of what it has read: whatever
//! follows a command cannot take back what the command was seen to reach. Where bash would refuse
//! the text, it reads on.
//!
//! A grammar of a library does not stand here for three measured reasons: tree-sitter-bash 0.25 and
//! brush-parser 0.4 take 150 to 270 ms for 1 MB of short words, where 50 ms are asked for; the one
//! repairs what is broken by leaving commands out, the other reads nothing of a text with a fault.
//!
//! Instead, tests compare it with both: with every command that bash itself runs of scripts made
//! from a grammar (`tests/bash.rs`), and with what tree-sitter-bash finds (`tests/grammar.rs`).
//!
//! # Known gaps
//!
//! What sums make of the values of variables (`X='a[$(curl evil.tld)]'; (( X ))`), patterns longer
//! than 64 bytes, and values beyond the budget of a command are unclear or not seen. Names that are
//! built at run time, files that are executed, programs that are not in a table
//! and take a host in another form than a URL: the kernel decides about them.

mod brace;
mod glob;
mod notes;
mod options;
mod place;
mod programs;
mod read;
mod run;
mod scope;
#[cfg(test)]
mod tests;
mod word;

use std::{ops::Range, path::Path};

use self::{programs::git::Repository, run::Shell};

/// A network place that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// As written, unquoted: a host name, an address without brackets, or a URL's authority host.
    pub host: String,
    pub port: Option<u16>,
    /// The program that would go there: `curl`, `git`, `bash` for /dev/tcp.
    pub program: String,
    /// Whether it sends more than a request: push, upload, POST.
    pub writes: bool,
    /// The owner on a git host, when the place names one.
    pub owner: Option<String>,
}

/// A remote of a repository that stands as a name in a command: the repository knows its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `origin`; empty where git would choose.
    pub name: String,
    pub writes: bool,
    /// Where git runs, when the command says so; the home directory as `~`.
    pub directory: Option<String>,
}

impl Remote {
    /// What a write to this remote contacts, when the repository says that it leads to `url`.
    pub fn contacts(&self, url: &str) -> Vec<Contact> {
        let contact = |host, port, owner| Contact {
            host,
            port,
            program: "git".to_owned(),
            writes: self.writes,
            owner,
        };
        match Repository::read(url) {
            Repository::Places(places) => places
                .into_iter()
                .map(|place::Place { host, port, owner }| contact(host, port, owner))
                .collect(),
            Repository::Command(command) => reach(&command, None).contacts,
            Repository::Local => Vec::new(),
        }
    }
}

/// A command that runs, as its program gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its words, unquoted; what is not known before it runs stands as `*`.
    pub words: Vec<String>,
    /// What flows into it, where the text tells.
    pub input: Option<String>,
}

/// Code that an interpreter gets on its command line or through a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// `python3`, `node`; `interpreter` where only a here-document is known.
    pub program: String,
    pub text: String,
}

/// All that was read from a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub contacts: Vec<Contact>,
    /// Remotes that are named, not written out.
    pub remotes: Vec<Remote>,
    /// Something downloaded is executed: why it looks so.
    pub executes_download: Option<String>,
    /// A function that starts itself more than once, or in the background: a fork bomb.
    pub multiplies: Option<String>,
    /// Files that the command reads, unquoted, `~` and `$HOME` written as `~`. Patterns stay
    /// patterns, and what is not known before it runs stands as `*`.
    pub reads: Vec<String>,
    /// Files that it writes, in the same form.
    pub writes: Vec<String>,
    /// It prints or passes on the environment.
    pub reads_environment: bool,
    /// Merges into a protected branch, releases, and other acts that need a person.
    pub acts: Vec<String>,
    /// What cannot be told from the text: built at run time, an interpreter's code, a script.
    pub unclear: Vec<String>,
    /// The commands that run, wrappers before what they wrap.
    pub commands: Vec<Command>,
    /// Code within them.
    pub code: Vec<Code>,
    /// There were more of both than are kept.
    pub is_cut: bool,
}

/// Where the simple commands of a text stand, those in substitutions with what they stand in: bytes
/// of it, in order, and not more than `MOST_PLACES`.
pub fn places(command: &str, cwd: Option<&Path>) -> Vec<Range<usize>> {
    let mut shell = Shell::new(cwd, command.len());
    shell.read(command);
    shell.places
}

/// Simple commands of one text that are told apart.
pub(crate) const MOST_PLACES: usize = 64;

/// Reads a command of bash. Never fails: what cannot be read is unclear.
pub fn reach(command: &str, cwd: Option<&Path>) -> Reach {
    let mut shell = Shell::new(cwd, command.len());
    shell.read(command);
    shell.finish()
}
