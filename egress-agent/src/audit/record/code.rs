//! The words that stand in records, and how the kernel's values become a record's.

use super::{Flow, Hook, Kind, Layer, Mode, Process, Verdict};

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
            Self::GuardLost => "guard-lost",
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
