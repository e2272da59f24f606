//! What agents did, for a reviewer or after an incident: records in, a [`Report`] out. Pure.
//!
//! ```text
//! records ─▶ Gather ─▶ Report ─▶ page ─▶ text, Markdown, HTML
//!                         └────▶ JSON
//! ```
//!
//! Everything is bounded: a table keeps so many rows, and says how much it does not show. Names,
//! commands and everything else that an agent chose is foreign text, and stays that up to the
//! renderers, which write it so that it can do nothing.

mod gather;
mod html;
mod markdown;
mod page;
mod table;
mod timeline;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::audit::record::{Kind, Layer, Mode, Time, Verdict};

pub use gather::Gather;
pub use html::html;
pub use markdown::markdown;
pub use page::{Block, Cell, Tone, described, page};
pub use table::Top;
pub use timeline::{Bucket, Timeline};

/// What agents did in a span of the log.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub head: Head,
    /// Of the first and the last record, as their times say.
    pub span: Option<Span>,
    /// Lines of the log that were taken in.
    pub records: u64,
    /// Lines that are no records, as far as they were told of.
    pub unreadable: Top<String>,
    /// Records that were lost before they were written, by layer, as the log itself says.
    pub lost: BTreeMap<Layer, u64>,
    /// Records that had been written and were gone at a later start, as the log itself says.
    pub missing: u64,
    pub tally: Tally,
    pub timeline: Timeline,
    /// Every policy that was loaded, the last one of each guard being in force.
    pub policies: Top<PolicySeen>,
    /// The daemon's life: starts, stops, guards, refused policies, gaps.
    pub events: Top<Event>,
    /// Starts that no stop stands before.
    pub unclean_starts: u64,
    /// In the order in which they were first seen.
    pub sessions: Top<Session>,
}

/// What is known before anything is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Head {
    pub made: Time,
    pub machine: String,
    pub log: String,
    pub since: Option<Time>,
    pub until: Option<Time>,
    /// Only this one.
    pub session: Option<String>,
    pub chain: Chain,
}

/// Whether the log is whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Chain {
    Whole { records: u64 },
    Broken { why: String },
    NotChecked { why: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    pub first: Time,
    pub last: Time,
}

/// Decisions by how they ended. What was only observed counts there alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    pub allowed: u64,
    pub denied: u64,
    pub asked: u64,
    pub redacted: u64,
    /// Would have been denied, asked for or redacted.
    pub observed: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PolicySeen {
    pub time: Time,
    pub guard: String,
    pub name: String,
    pub digest: String,
    pub mode: Option<Mode>,
    /// No later one was loaded for this guard.
    pub in_force: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    pub time: Time,
    pub event: Kind,
    pub guard: Option<String>,
    pub message: Option<String>,
}

/// One run of a session, or what was done outside of every session.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Session {
    pub name: Option<String>,
    pub guard: Option<String>,
    /// Absent when it began or ended outside of what was read.
    pub begun: Option<Time>,
    pub ended: Option<Time>,
    pub span: Span,
    /// Who, and the program without its arguments, as the daemon recorded them.
    pub command: Option<String>,
    /// Nothing was refused, only recorded.
    pub observed: bool,
    /// The policy that was loaded last before it began.
    pub policy: Option<String>,
    pub records: u64,
    pub tally: Tally,
    /// The daemon's own count at the session's end; else what single records say.
    pub hosts_are_counted: bool,
    pub hosts: Top<HostRow>,
    pub denials: Top<DenialRow>,
    pub tools: Top<ToolRow>,
    pub findings: Top<FindingRow>,
    pub names: Top<NameRow>,
    pub timeline: Timeline,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HostRow {
    pub host: String,
    pub verdict: Verdict,
    pub connections: u64,
    pub bytes_up: Option<u64>,
    pub bytes_down: Option<u64>,
    pub duration_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DenialRow {
    pub what: String,
    pub layer: Layer,
    pub reason: String,
    pub rule: Option<String>,
    pub count: u64,
    /// Of them: recorded and not refused.
    pub observed: u64,
    pub first: Time,
    pub last: Time,
    pub allow_with: Option<Value>,
    pub message: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToolRow {
    pub tool: String,
    pub class: Option<String>,
    #[serde(flatten)]
    pub tally: Tally,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FindingRow {
    pub detector: String,
    pub layer: Layer,
    pub count: u64,
    pub first: Time,
    pub last: Time,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NameRow {
    pub name: String,
    #[serde(flatten)]
    pub tally: Tally,
}

impl Span {
    fn of(time: Time) -> Self {
        Self {
            first: time,
            last: time,
        }
    }

    /// Clocks are set back: the last record need not have the latest time.
    fn note(&mut self, time: Time) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

impl Tally {
    fn add(&mut self, verdict: Option<Verdict>, mode: Option<Mode>, count: u64) {
        let counter = match (verdict, mode) {
            (None, _) => return,
            (Some(Verdict::Allow), _) => &mut self.allowed,
            (Some(_), Some(Mode::Observe)) => &mut self.observed,
            (Some(Verdict::Deny), _) => &mut self.denied,
            (Some(Verdict::Ask), _) => &mut self.asked,
            (Some(Verdict::Redact), _) => &mut self.redacted,
        };
        *counter = counter.saturating_add(count);
    }

    pub fn total(&self) -> u64 {
        let Self {
            allowed,
            denied,
            asked,
            redacted,
            observed,
        } = self;
        [allowed, denied, asked, redacted, observed]
            .into_iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}
