//! The words that stand in records, and how the kernel's values become a record's.

use std::borrow::Cow;

use super::{Flow, Hook, Kind, Layer, Mode, Process, Socket, Verdict};

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
            Self::GrantAdded => "grant-added",
            Self::GrantEnded => "grant-ended",
            Self::Approval => "approval",
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
            egress_common::Hook::Lsm => Self::Lsm,
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

impl Socket {
    /// A socket of this address family, with the name that it is bound to, if that is known.
    pub fn new(family: u32, name: Option<&[u8]>) -> Self {
        let path = name.filter(|name| !name.is_empty()).map(|name| {
            let (sign, text) = match name.split_first() {
                Some((0, rest)) => ("@", rest),
                _ => ("", name.split(|byte| *byte == 0).next().unwrap_or_default()),
            };
            format!("{sign}{}", String::from_utf8_lossy(text))
        });
        Self {
            family: family_name(family),
            path,
        }
    }
}

/// Linux's number of an address family in words.
fn family_name(family: u32) -> Cow<'static, str> {
    let number = i32::try_from(family).unwrap_or(i32::MAX);
    Cow::Borrowed(match number {
        libc::AF_UNIX => "unix",
        libc::AF_INET => "inet",
        libc::AF_INET6 => "inet6",
        libc::AF_KEY => "key",
        libc::AF_NETLINK => "netlink",
        libc::AF_PACKET => "packet",
        libc::AF_RDS => "rds",
        libc::AF_CAN => "can",
        libc::AF_TIPC => "tipc",
        libc::AF_BLUETOOTH => "bluetooth",
        libc::AF_ALG => "alg",
        libc::AF_VSOCK => "vsock",
        // Not in the libc crate: AF_SMC.
        43 => "smc",
        libc::AF_XDP => "xdp",
        _ => return Cow::Owned(format!("family-{family}")),
    })
}
