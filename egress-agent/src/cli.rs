//! `egressctl`: one file for each verb. A verb takes its parsed arguments and a [`Screen`], and
//! says how it ended with an [`Exit`]; only `main` prints errors and leaves.

pub mod admin;
pub mod allow;
pub mod approve;
pub mod attempt;
pub mod ca;
pub mod classify;
pub mod confirm;
pub mod dashboard;
pub mod doctor;
pub mod export;
pub mod home;
pub mod hook;
pub mod init;
pub mod journal;
pub mod log;
pub mod mcp;
pub mod policy;
pub mod profiles;
mod remotes;
pub mod replay;
pub mod report;
mod rows;
pub mod rules;
pub mod run;
pub mod scan;
pub mod selftest;
pub mod session;
pub mod status;
pub mod suggest;
pub mod table;
pub mod top;
pub mod uninstall;
pub mod why;
pub mod wrap;

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
};

/// How a command ends. The numbers are part of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done, or "yes".
    Ok,
    /// Denied, or "no".
    No,
    /// Wrong usage, or the command failed.
    Failure,
    /// The policy is not valid.
    InvalidPolicy,
    /// What the guarded command returned (`run` only).
    Child(u8),
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::No => 1,
            Exit::Failure => 2,
            Exit::InvalidPolicy => 3,
            Exit::Child(code) => code,
        })
    }
}

/// Where a verb writes: tables and colour for people on a terminal, JSON for machines.
pub struct Screen {
    out: Box<dyn Write>,
    json: bool,
    color: bool,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("json", &self.json)
            .field("color", &self.color)
            .finish_non_exhaustive()
    }
}

impl Screen {
    /// Standard output. Colour only on a terminal and only without `NO_COLOR` (no-color.org).
    pub fn stdout(json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = !json && !no_color && io::stdout().is_terminal();
        // Not locked for good: a panic in another thread of `top` gives the terminal back.
        Self::new(Box::new(Output(io::stdout())), json, color)
    }

    pub fn new(out: Box<dyn Write>, json: bool, color: bool) -> Self {
        Self { out, json, color }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn has_color(&self) -> bool {
        self.color
    }

    /// One value, as one line of JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    pub fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// For what writes by itself: whole lines of another format.
    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// `text` in a colour, when there is colour.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Allow => "32",
            Paint::Deny => "1;31",
            Paint::Warn => "33",
            Paint::Dim => "2",
            Paint::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Standard output, which says that it is what failed.
struct Output(io::Stdout);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| unwritten(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| unwritten(&error))
    }
}

/// Of the same kind: a reader that went away is no failure.
fn unwritten(error: &io::Error) -> io::Error {
    let says = format!("cannot write to standard output: {error}");
    io::Error::new(error.kind(), says)
}

/// What a colour means; never only the colour says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    Allow,
    Deny,
    Warn,
    Dim,
    Strong,
}

/// Where guards are pinned.
pub const PIN_DIR: &str = "/sys/fs/bpf/egressd";
/// Where the control socket and the session files are.
pub const RUNTIME_DIR: &str = "/run/egressd";

/// One line to standard error.
#[expect(
    clippy::print_stderr,
    reason = "this is where a command says that it failed"
)]
pub fn complain(line: &str) {
    eprintln!("{line}");
}

/// A duration in its two largest units: `2h 13m`, `45s`, `350ms`.
pub fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{}ms", duration.as_millis()),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, _, _) => format!("{days}d {hours}h"),
    }
}

/// Whether a command ended because nobody reads its output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
