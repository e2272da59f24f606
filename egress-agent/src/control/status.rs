//! What the daemon tells about itself. Members may be added within a version.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::confinement::{Confinement, Held};
use crate::{
    audit::record::{Layer, Mode, Record, Time, Verdict},
    inspect::{Finding, Redaction},
    tools::Judgement,
};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    pub pid: u32,
    pub uptime_ms: u64,
    /// The weakest mode of all guards.
    pub mode: Mode,
    pub guards: Vec<Guard>,
    pub sessions: Vec<Session>,
    /// Absent for a guarded peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Where a page or a program may look, as it was asked for; empty for a guarded peer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
}

/// A place where somebody may look.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// `dashboard` or `metrics`.
    pub name: String,
    /// A URL, or the path of a socket.
    pub address: String,
    /// Why it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The way to the dashboard.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Of the page, without the token.
    pub url: String,
    pub token: String,
}

impl fmt::Debug for Link {
    /// Without the token: this may get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// One guarded cgroup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Guard {
    /// Path below the cgroup2 mount.
    pub cgroup: String,
    pub policy: Policy,
    pub mode: Mode,
    pub dns: Dns,
    pub hooks: Vec<Hook>,
    /// The second layer; absent in what an older daemon says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsm: Option<Lsm>,
    /// Absent in what an older daemon says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// By name, such as `connect-denied`.
    pub counters: BTreeMap<String, u64>,
    /// Live ones.
    pub leases: u64,
    pub sessions: u64,
    /// What was granted beside the policy file, and has not ended.
    #[serde(default)]
    pub grants: u64,
    /// What waits for a person.
    #[serde(default)]
    pub waiting: u64,
    /// Kernel events that found their ring full.
    pub lost: u64,
    /// What was asked for and is not enforced; empty for a whole guard.
    pub gaps: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub file: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dns {
    /// Every question goes to the guard resolver.
    Steer,
    /// The resolver is untouched, and its answers are watched: a first connect may be refused.
    Snoop,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hook {
    pub name: String,
    pub attached: bool,
}

/// The egress proxy of a guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proxy {
    /// Its port on 127.0.0.1 and `::1` for clients that ask it by themselves.
    pub port: u16,
    /// Flows that are open.
    pub flows: u64,
    /// The directory of the local CA, where the policy opens TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Programs where the kernel's security modules stand: families, sockets from outside, UNIX sockets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lsm {
    /// Attached ones.
    pub programs: u64,
    /// Why the layer is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// One run of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    pub id: String,
    /// The guarded cgroup that it runs below.
    pub guard: String,
    /// Of the process that entered.
    pub pid: u32,
    pub uid: u32,
    pub command: Vec<String>,
    pub started: Time,
    pub denials: u64,
    pub leases: u64,
    /// Whether its denials are only recorded, by the policy or because that was asked for.
    #[serde(default = "enforce")]
    pub mode: Mode,
    /// What it is held by besides the guard of its packets; absent for what `egressctl run` did
    /// not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// How the audit log is doing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Audit {
    pub file: String,
    /// Records since the start of the daemon.
    pub written: u64,
    /// Records that could not be kept, since the start of the daemon.
    pub lost: BTreeMap<Layer, u64>,
    /// Why it cannot be written at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How a destination is decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Why {
    pub target: String,
    pub verdict: Verdict,
    pub mode: Mode,
    /// A stable code; absent when allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words, or the `reason` that the rule gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The last ones of this destination, latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Record>,
    /// The rule that would allow it, as it would stand in `network.allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_with: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A rule and its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// An address that is allowed because a name resolved to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    pub name: String,
    pub address: std::net::IpAddr,
    /// Negative when it has expired.
    pub expires_in_ms: i64,
    pub age_ms: u64,
}

/// What was decided about a tool call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Judged {
    pub judgement: Judgement,
    /// What is to be taken out of a passage before it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Finding>,
    /// How.
    #[serde(default)]
    pub redaction: Redaction,
    /// Whether this policy ever has something taken out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacts: bool,
    /// The arguments or the passage without what must not be in them, when the asker can put them
    /// in place of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Value>,
    /// What the agent is told of a passage, whether it goes on or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// When it only observes, the call goes on whatever was decided.
    pub mode: Mode,
}

/// What the network refused while a tool call ran, and what may be reached instead.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Aftermath {
    /// Latest last; none of them when the policy only observes.
    pub denials: Vec<Record>,
    /// Names and networks of the allow rules, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// The file of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The session that a process was put into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entered {
    pub session: String,
    /// Path below the cgroup2 mount.
    pub cgroup: String,
    /// What the process has to do to itself before it becomes the command.
    pub confinement: Confinement,
    /// Where the proxy listens on loopback; absent in what an older daemon says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_port: Option<u16>,
    /// The certificates to trust, when TLS is opened with the local CA: a file in PEM that
    /// everybody may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
}

fn enforce() -> Mode {
    Mode::Enforce
}
