//! One way out, and how trying it went.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Ground, verdict::Identity};

/// One way out of a guard: a row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Stable and unique: `udp-lite-connect`. The name of its test is the same with underscores.
    pub name: &'static str,
    /// What is tried, in a few words for people.
    pub title: &'static str,
    /// Makes the attempt. Runs in a process of its own with one thread, which ends with it.
    pub run: fn(&Ground) -> Outcome,
    /// The published limit of a row that may stay open. `None` for one that must be held.
    pub limit: Option<Limit>,
}

/// Who may get out by a row, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Everyone(&'static str),
    /// Only who runs as uid 0, which `egressctl run` refuses unless it is told `--allow-root`.
    Root(&'static str),
}

impl Limit {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Everyone(reason) | Self::Root(reason) => reason,
        }
    }

    /// The reason, if it is one for `who`.
    pub fn of(self, who: Identity) -> Option<&'static str> {
        match (self, who) {
            (Self::Root(_), Identity::Agent) => None,
            (Self::Root(reason), Identity::Root | Identity::Bare) | (Self::Everyone(reason), _) => {
                Some(reason)
            }
        }
    }
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

/// The end of one call of an attempt: for `?` in the body of an attempt.
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
