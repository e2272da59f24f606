//! Commands that destroy, hide or open something, judged on what the shell would run.
//!
//! ```text
//!   command ──tools::shell──▶ Reach (commands, files, contacts) ──detectors──▶ Finding
//! ```
//!
//! The shell's reader has undone quotes, variables, `eval`, wrappers and scripts within scripts.
//! Text that is only mentioned (`echo "rm -rf /"`) is no command.
//!
//! # Known gaps
//!
//! What a script or a program that is not a shell does; files are judged by their names; a name
//! that is made at run time is taken for any file, but a program's is not taken for any program.

mod detectors;
mod sql;
#[cfg(test)]
mod tests;
mod words;

pub(super) use self::detectors::{is_credential, is_started_later};
use self::words::Call;
use super::{Confidence, Finding, Kind, Severity, View};
use crate::shell::Reach;

/// One kind of act, as data.
#[derive(Debug)]
pub struct Detector {
    /// Stable, in kebab-case.
    pub id: &'static str,
    /// Commands with it.
    pub positive: &'static [&'static str],
    /// Commands without it.
    pub negative: &'static [&'static str],
    judge: fn(&Facts<'_>) -> Option<Level>,
}

/// How bad, and how sure.
type Level = (Severity, Confidence);

/// What the detectors look at.
struct Facts<'r> {
    reach: &'r Reach,
    /// The commands by program and options.
    calls: Vec<Call<'r>>,
}

/// All detectors of commands.
pub fn detectors() -> &'static [Detector] {
    detectors::ALL
}

/// What is wrong with a command of `length` bytes that was read as `reach`.
///
/// The range of each finding is the whole command: where quotes are undone, no part of the text
/// is the command that runs.
pub fn findings(length: usize, reach: &Reach) -> Vec<Finding> {
    let facts = Facts {
        reach,
        calls: reach.commands.iter().filter_map(Call::new).collect(),
    };
    detectors::ALL
        .iter()
        .filter_map(|detector| {
            let (severity, confidence) = (detector.judge)(&facts)?;
            Some(Finding {
                detector: detector.id.to_owned(),
                kind: Kind::Destructive,
                severity,
                confidence,
                view: View::Shell,
                range: 0..length,
            })
        })
        .collect()
}

impl<'r> Facts<'r> {
    /// The worst of what `judge` says of each command.
    fn worst(&self, judge: impl Fn(&Call<'r>) -> Option<Level>) -> Option<Level> {
        self.calls.iter().filter_map(judge).max()
    }
}
