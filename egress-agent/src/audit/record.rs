//! The record: what one line of the audit log says.
//!
//! One schema for every layer. A caller builds a [`Record`] from values, the time included; the
//! log adds number and chain when it seals it ([`Sealed`]). Absent members are left out, members
//! keep the order of the fields below. Members may be added within a version; a member that
//! changes its meaning makes a new one.
//!
//! A record holds what was decided and by whom, never content: no request bodies, no arguments of
//! tools, and of a finding only where it was.

mod code;
mod time;

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{chain::Hash, front::Frame};

pub use time::Time;

/// Version of the schema, member `v` of every line.
pub const VERSION: u32 = 1;

/// What happened, before it has a place in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub time: Time,
    /// `CLOCK_BOOTTIME` in nanoseconds, where the kernel reported the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ns: Option<u64>,
    pub layer: Layer,
    pub event: Kind,
    /// Absent in records of the daemon's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// A stable code such as `no-rule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// Path of the guarded cgroup, below the cgroup2 mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// The socket, where there is no flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Socket>,
    /// The name that was asked for, or that the address was resolved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Type of a DNS question, such as `AAAA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qtype: Option<String>,
    /// Addresses in the answer to a DNS question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<IpAddr>,
    /// Where in the kernel a flow was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
    /// Every host that a tool call was seen to name, canonical.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The rule that decided; absent when the default did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// The rule that would allow what was denied, as it would stand in `network.allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_with: Option<serde_json::Value>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// At the end of a session: what it did with each host, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Egress>,
    /// How many identical events this record stands for; left out when it is one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// Records that were lost before this one, by layer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<Layer, u64>,
    /// What `mended` found at the end of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// One line of the log: a record with its number and its links.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sealed {
    /// Version of the schema.
    pub v: u32,
    /// Counts up by one from 1, over rotations and restarts.
    pub seq: u64,
    #[serde(flatten)]
    pub record: Record,
    /// In the first line of a file that was begun by rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// `hash` of the line before; 64 zeros in the first line of a log.
    pub prev: Hash,
    /// SHA-256 of this line up to and without `,"hash":`.
    pub hash: Hash,
}

/// What the file before holds: where everything in it is older than what somebody looks for, it
/// need not be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// Number of its first record.
    pub first: u64,
    /// The latest time in it. Clocks are set back, so it need not be that of its last record.
    pub latest: Time,
}

/// Who made the record.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    Kernel,
    Dns,
    Hook,
    Mcp,
    Proxy,
    Daemon,
}

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A connection or a packet.
    Flow,
    /// A socket that may not exist.
    Socket,
    /// A DNS question.
    Question,
    /// A tool call, before it runs.
    ToolCall,
    /// An MCP message.
    Message,
    /// A request seen by the proxy.
    Request,
    Start,
    Stop,
    PolicyLoaded,
    PolicyRefused,
    SessionBegin,
    SessionEnd,
    GuardAttached,
    /// The guarded cgroup was removed, or was entered before it was guarded again.
    GuardLost,
    GuardReleased,
    /// A setting of the daemon was changed through the control socket.
    SettingChanged,
    /// A person opened a destination, for a time or in the policy file.
    GrantAdded,
    /// What was opened for a time is closed again.
    GrantEnded,
    /// Something waits for a person (`ask`), or was settled.
    Approval,
    /// Records were lost: `lost` says how many.
    Lost,
    /// The log did not end as it should when it was opened: `gap` says how.
    Mended,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Allow,
    Deny,
    Redact,
    Ask,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Enforce,
    /// The verdict was recorded and not carried out.
    Observe,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Connect,
    Sendmsg,
    Packet,
    Socket,
    /// The second layer.
    Lsm,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// In the initial PID namespace.
    pub pid: u32,
    pub uid: u32,
    /// Command name as the kernel keeps it, at most 15 bytes. The process chooses it.
    pub comm: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// `tcp`, `udp`, another protocol's name, or `ip-protocol-N`.
    pub protocol: Cow<'static, str>,
    /// Destination.
    pub address: IpAddr,
    /// Destination; 0 where the protocol has none.
    pub port: u16,
}

/// A socket that was refused for what it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Socket {
    /// `unix`, `vsock` and so on, or `family-N`.
    pub family: Cow<'static, str>,
    /// What the UNIX socket at the other end is bound to, as its owner wrote it; an abstract name
    /// begins with `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A tool call or an MCP message.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    pub name: String,
    /// What kind of call it was judged to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The agent's own number of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// Where content inspection found something; never what.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub detector: String,
    /// Bytes from the start of the inspected text.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl From<&crate::inspect::Finding> for Finding {
    fn from(finding: &crate::inspect::Finding) -> Self {
        let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            detector: finding.detector.clone(),
            offset: bytes(finding.range.start),
            length: bytes(finding.range.len()),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    pub name: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
}

/// What one session did with one host.
///
/// Bytes and time are those of flows that the proxy carried. The kernel does not count them: a host
/// that was reached at the level `address` alone has none.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Egress {
    /// A name in lower case, an address where no name is known, or `other hosts`.
    pub host: String,
    /// `deny` when anything was denied for this host.
    pub verdict: Verdict,
    /// Connections that ended, and attempts that were refused; 0 when the name did not resolve.
    pub connections: u64,
    /// From the session to the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_up: Option<u64>,
    /// From the host to the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_down: Option<u64>,
    /// Of all connections together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// What was wrong with the end of a log.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Length of the unfinished line that stands before this record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub torn_bytes: u64,
    /// SHA-256 of that line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn_hash: Option<Hash>,
    /// Records that had been written and are not there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

impl Sealed {
    /// Reads a line, without its newline: what the derived deserializer finds, in less than half
    /// the time, because `flatten` keeps everything twice.
    pub fn read(line: &str) -> Result<Self, serde_json::Error> {
        if let Some(Frame { front, prev, hash }) = Frame::of(line.as_bytes()) {
            return Ok(Self {
                v: VERSION,
                seq: front.seq,
                record: serde_json::from_str(line)?,
                before: None,
                prev,
                hash,
            });
        }
        let Seal {
            v,
            seq,
            before,
            prev,
            hash,
        } = serde_json::from_str(line)?;
        Ok(Self {
            v,
            seq,
            record: serde_json::from_str(line)?,
            before,
            prev,
            hash,
        })
    }
}

/// What a line has besides its record.
#[derive(Deserialize)]
struct Seal {
    v: u32,
    seq: u64,
    #[serde(default)]
    before: Option<Before>,
    prev: Hash,
    hash: Hash,
}

impl Record {
    pub fn new(time: Time, layer: Layer, event: Kind) -> Self {
        Self {
            time,
            boot_ns: None,
            layer,
            event,
            verdict: None,
            mode: None,
            reason: None,
            guard: None,
            session: None,
            process: None,
            flow: None,
            socket: None,
            name: None,
            qtype: None,
            answers: Vec::new(),
            hook: None,
            tool: None,
            hosts: Vec::new(),
            findings: Vec::new(),
            rule: None,
            policy: None,
            allow_with: None,
            message: None,
            egress: Vec::new(),
            count: 1,
            lost: BTreeMap::new(),
            gap: None,
        }
    }

    pub fn is_denial(&self) -> bool {
        self.verdict == Some(Verdict::Deny)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_one(number: &u64) -> bool {
    *number == 1
}

fn one() -> u64 {
    1
}

#[cfg(test)]
pub(crate) mod tests;
