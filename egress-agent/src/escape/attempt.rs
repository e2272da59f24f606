//! One way out, and how trying it went.

use std::io;

use serde::{Deserialize, Serialize};

use super::Ground;

/// One way out of a guard: a row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Stable and unique: `udp-lite-connect`. The name of its test is the same with underscores.
    pub name: &'static str,
    /// What is tried, in a few words for people.
    pub title: &'static str,
    /// Makes the attempt. Runs in a process of its own with one thread, which ends with it.
    pub run: fn(&Ground) -> Outcome,
    /// Why this row may stay open, where it does: the published limit. `None` for a row that must
    /// be held.
    pub limit: Option<&'static str>,
}

/// What the process that tried can tell. Whether anything arrived is for the capture to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every call succeeded, as far as one can tell from here.
    Sent,
    /// A call was refused: `connect: Operation not permitted (os error 1)`.
    Refused(String),
    /// This kernel or machine has no such way: `SCTP is not built in`. Not a refusal.
    Absent(String),
    /// What must not be reached was reached, and no packet need show it: `traced process 17`.
    Escaped(String),
}

/// The end of one call of an attempt: `?` in [`attempt`] bodies.
pub type Tried<T = ()> = Result<T, Outcome>;

impl Outcome {
    /// Reads the end of a call: refused with its name and errno.
    pub fn refused(call: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Refused(format!("{call}: {error}"))
    }

    /// The outcome of a whole body: [`Outcome::Sent`] when no call failed.
    pub fn of(tried: Tried) -> Self {
        match tried {
            Ok(()) => Self::Sent,
            Err(outcome) => outcome,
        }
    }
}
