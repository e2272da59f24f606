//! The record: what one line of the audit log says.
//!
//! One schema for every layer. A caller builds a [`Record`] from values, the time included; the
//! log adds number and chain when it seals it ([`Sealed`]). Absent members are left out, members
//! keep the order of the fields below. Members may be added within a version; a member that
//! changes its meaning makes a new one.
//!
//! A record holds what was decided and by whom, never content: no request bodies, no arguments of
//! tools, and of a finding only where it was.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::chain::Hash;

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
    /// `hash` of the line before; 64 zeros in the first line of a log.
    pub prev: Hash,
    /// SHA-256 of this line up to and without `,"hash":`.
    pub hash: Hash,
}

/// UTC to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(Timestamp);

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
    GuardReleased,
    /// A setting of the daemon was changed through the control socket.
    SettingChanged,
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
            name: None,
            qtype: None,
            answers: Vec::new(),
            hook: None,
            tool: None,
            findings: Vec::new(),
            rule: None,
            policy: None,
            allow_with: None,
            message: None,
            count: 1,
            lost: BTreeMap::new(),
            gap: None,
        }
    }

    pub fn is_denial(&self) -> bool {
        self.verdict == Some(Verdict::Deny)
    }
}

impl Time {
    /// Cuts off what is below a microsecond.
    pub fn new(time: Timestamp) -> Self {
        let micros = Timestamp::from_microsecond(time.as_microsecond());
        Self(micros.unwrap_or(time))
    }

    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Time {
    /// RFC 3339, always six digits after the second, always `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        f.write_str(&PRINTER.timestamp_to_string(&self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self::new).map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "UTC to the microsecond (RFC 3339).",
            "type": "string",
            "format": "date-time",
        })
    }
}

impl Layer {
    pub const ALL: [Self; 6] = [
        Self::Kernel,
        Self::Dns,
        Self::Hook,
        Self::Mcp,
        Self::Proxy,
        Self::Daemon,
    ];

    pub const fn code(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Dns => "dns",
            Self::Hook => "hook",
            Self::Mcp => "mcp",
            Self::Proxy => "proxy",
            Self::Daemon => "daemon",
        }
    }
}

impl Kind {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Socket => "socket",
            Self::Question => "question",
            Self::ToolCall => "tool-call",
            Self::Message => "message",
            Self::Request => "request",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::PolicyLoaded => "policy-loaded",
            Self::PolicyRefused => "policy-refused",
            Self::SessionBegin => "session-begin",
            Self::SessionEnd => "session-end",
            Self::GuardAttached => "guard-attached",
            Self::GuardReleased => "guard-released",
            Self::SettingChanged => "setting-changed",
            Self::Lost => "lost",
            Self::Mended => "mended",
        }
    }
}

impl Verdict {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Redact => "redact",
            Self::Ask => "ask",
        }
    }
}

impl From<egress_common::Mode> for Mode {
    fn from(mode: egress_common::Mode) -> Self {
        match mode {
            egress_common::Mode::Enforce => Self::Enforce,
            egress_common::Mode::Observe => Self::Observe,
        }
    }
}

impl From<egress_common::Hook> for Hook {
    fn from(hook: egress_common::Hook) -> Self {
        match hook {
            egress_common::Hook::Connect => Self::Connect,
            egress_common::Hook::Sendmsg => Self::Sendmsg,
            egress_common::Hook::Egress => Self::Packet,
            egress_common::Hook::SockCreate => Self::Socket,
        }
    }
}

impl From<egress_common::Process> for Process {
    /// Bytes of the command name that are not UTF-8 become U+FFFD.
    fn from(process: egress_common::Process) -> Self {
        let comm = process.comm.split(|byte| *byte == 0).next();
        Self {
            pid: process.pid,
            uid: process.uid,
            comm: String::from_utf8_lossy(comm.unwrap_or_default()).into_owned(),
        }
    }
}

impl From<egress_common::Flow> for Flow {
    fn from(flow: egress_common::Flow) -> Self {
        Self {
            protocol: match flow.protocol {
                egress_common::Protocol::TCP => "tcp".into(),
                egress_common::Protocol::UDP => "udp".into(),
                other => other.to_string().into(),
            },
            address: flow.destination.into(),
            port: flow.port,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_one(number: &u64) -> bool {
    *number == 1
}

fn one() -> u64 {
    1
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A denial as the kernel layer would write it, `second`s into a fixed minute.
    pub(crate) fn denial(second: u32, address: &str) -> Record {
        let time = format!("2026-03-01T10:20:{second:02}.000250Z");
        let mut record = Record::new(
            Time::new(time.parse().unwrap()),
            Layer::Kernel,
            Kind::Flow,
        );
        record.verdict = Some(Verdict::Deny);
        record.mode = Some(Mode::Enforce);
        record.reason = Some(egress_common::Reason::NoRule.code().into());
        record.session = Some("s1".to_owned());
        record.process = Some(Process {
            pid: 4242,
            uid: 1000,
            comm: "curl".to_owned(),
        });
        record.flow = Some(Flow {
            protocol: "tcp".into(),
            address: address.parse().unwrap(),
            port: 443,
        });
        record
    }

    #[test]
    fn members_keep_their_order_and_absent_ones_are_left_out() {
        assert_eq!(
            serde_json::to_string(&denial(5, "203.0.113.7")).unwrap(),
            concat!(
                r#"{"time":"2026-03-01T10:20:05.000250Z","layer":"kernel","event":"flow","#,
                r#""verdict":"deny","mode":"enforce","reason":"no-rule","session":"s1","#,
                r#""process":{"pid":4242,"uid":1000,"comm":"curl"},"#,
                r#""flow":{"protocol":"tcp","address":"203.0.113.7","port":443}}"#,
            )
        );
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut record = denial(5, "2001:db8::7");
        record.boot_ns = Some(u64::MAX);
        record.name = Some("example.com".to_owned());
        record.answers = vec!["203.0.113.1".parse().unwrap()];
        record.count = 3;
        record.lost = BTreeMap::from([(Layer::Dns, 2), (Layer::Kernel, 9)]);
        record.allow_with = Some(serde_json::json!({"hosts": ["example.com"]}));
        record.rule = Some(Rule {
            name: "gists".to_owned(),
            line: Some(9),
        });
        record.findings = vec![Finding {
            detector: "aws-key".to_owned(),
            offset: 3,
            length: 20,
        }];
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn codes_are_what_serde_writes() {
        for layer in Layer::ALL {
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.code());
        }
        for kind in [Kind::ToolCall, Kind::PolicyRefused, Kind::Lost] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.code());
        }
    }

    #[test]
    fn time_is_cut_to_the_microsecond_and_always_has_six_digits() {
        let time = |text: &str| Time::new(text.parse().unwrap()).to_string();
        assert_eq!(time("2026-03-01T10:20:30.1234569Z"), "2026-03-01T10:20:30.123456Z");
        assert_eq!(time("2026-03-01T11:20:30+01:00"), "2026-03-01T10:20:30.000000Z");
    }

    #[test]
    fn kernel_values_become_record_values() {
        let process = Process::from(egress_common::Process {
            pid: 7,
            uid: 0,
            comm: *b"\xffgit\0garbage\0\0\0\0",
        });
        assert_eq!(process.comm, "\u{fffd}git");
        let flow = Flow::from(egress_common::Flow::new(
            egress_common::Protocol(132),
            egress_common::Address::from_v4([203, 0, 113, 9]),
            0,
        ));
        assert_eq!(flow.protocol, "sctp");
        assert_eq!(flow.address.to_string(), "203.0.113.9");
    }
}
