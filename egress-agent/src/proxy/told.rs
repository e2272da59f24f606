//! What the proxy tells the daemon, which makes records and rows of it.

use std::{net::SocketAddr, time::Duration};

use egress_common::{Process, Reason, RuleId};

use crate::inspect::Finding;

/// One flow: when it was refused, or when it ended.
#[derive(Clone, Debug)]
pub struct Told {
    /// The cgroup id of the session.
    pub session: u64,
    pub process: Process,
    pub destination: Option<SocketAddr>,
    /// The host that the client asked for, as far as it could be read.
    pub host: Option<String>,
    pub outcome: Outcome,
    /// The policy observes: what was denied went on.
    pub observed: bool,
    pub traffic: Traffic,
    /// What happened, for people; the reason alone says it where there is none.
    pub message: Option<String>,
    /// Where something was found in it, and never what.
    pub findings: Vec<Finding>,
    /// The entry of `requests` that would allow it.
    pub allow_with: Option<serde_json::Value>,
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed(RuleId),
    /// It went on, and what was found in it is recorded.
    Noted(RuleId),
    Denied(Reason, RuleId),
}

/// What passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the session to the host.
    pub up: u64,
    /// Bytes from the host to the session.
    pub down: u64,
    pub duration: Duration,
}
