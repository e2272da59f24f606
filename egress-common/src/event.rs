//! What the programs tell userspace.

use crate::{Flow, UNIX_PATH_BYTES};

/// Who did it: the task in whose name a system call ran.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// Thread group id in the initial PID namespace; 0 when unknown.
    pub pid: u32,
    pub uid: u32,
    /// `task_struct.comm`, NUL-padded.
    pub comm: [u8; 16],
}

/// Value of the client table: the session and process behind a DNS question.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Client {
    pub session: u64,
    pub cookie: u64,
    pub process: Process,
}

/// Where an event was made.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    Connect = 1,
    Sendmsg = 2,
    Egress = 3,
    SockCreate = 4,
    /// The second layer.
    Lsm = 5,
}

impl Hook {
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Connect),
            2 => Some(Self::Sendmsg),
            3 => Some(Self::Egress),
            4 => Some(Self::SockCreate),
            5 => Some(Self::Lsm),
            _ => None,
        }
    }

    pub const fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Sendmsg => "sendmsg",
            Self::Egress => "packet",
            Self::SockCreate => "socket",
            Self::Lsm => "lsm",
        }
    }
}

/// One decision, as it stands in the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Cgroup id of the session.
    pub session: u64,
    /// Socket cookie; 0 when there is no socket.
    pub cookie: u64,
    pub process: Process,
    pub flow: Flow,
    /// [`crate::RuleId`].
    pub rule: u32,
    /// The policy generation that decided.
    pub generation: u32,
    /// [`Hook`].
    pub hook: u8,
    /// 1 for allow.
    pub allowed: u8,
    /// [`crate::Reason`]; 0 for allow.
    pub reason: u8,
    /// 1 when the policy observes: the flow went on whatever was decided.
    pub observed: u8,
    /// What the second layer judged: a socket of this address family (`AF_*`). 0 elsewhere.
    pub family: u32,
    /// Written out, so that no stray kernel byte crosses.
    pub reserved: u32,
}

impl Event {
    pub const BYTES: usize = size_of::<Self>();

    pub const NONE: Self = Self {
        time: 0,
        session: 0,
        cookie: 0,
        process: Process {
            pid: 0,
            uid: 0,
            comm: [0; 16],
        },
        flow: Flow::NONE,
        rule: 0,
        generation: 0,
        hook: 0,
        allowed: 0,
        reason: 0,
        observed: 0,
        family: 0,
        reserved: 0,
    };
}

/// A decision about a UNIX socket, as it stands in the same ring: known by its length.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnixEvent {
    pub event: Event,
    /// Bytes of `path` in use; 0 for a socket without a name.
    pub length: u32,
    /// What the socket at the other end is bound to. A leading NUL marks an abstract name.
    pub path: [u8; UNIX_PATH_BYTES],
}

const _: () = assert!(size_of::<Event>() == 88);
const _: () = assert!(size_of::<UnixEvent>() == 200);
const _: () = assert!(size_of::<Client>() == 40);

/// Indexes of the per-CPU counters.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    ConnectAllowed = 0,
    ConnectDenied = 1,
    SendAllowed = 2,
    SendDenied = 3,
    PacketDenied = 4,
    SocketDenied = 5,
    /// Events that found the ring full.
    EventLost = 6,
    /// DNS packets and connections turned to the guard resolver.
    Steered = 7,
    /// Packets of a flow whose denial is already reported.
    PacketDeniedAgain = 8,
    /// Sockets refused by the second layer.
    LsmDenied = 9,
    /// Connections turned to the proxy.
    Proxied = 10,
}

impl Counter {
    pub const COUNT: u32 = 11;
}
