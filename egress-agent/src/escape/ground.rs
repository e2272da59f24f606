//! Where attempts are made: a near side with the agent, and a far side that listens.
//!
//! ```text
//!   near (192.0.2.2, 2001:db8::2) ── veth ── far: every address below; a capture on its end
//! ```
//!
//! The policy of the guarded run allows [`ALLOWED_V4`] and [`ALLOWED_V6`] on 443/tcp and 443/udp, the name
//! [`ALLOWED_NAME`] with these addresses, and [`WILDCARD`]. Every other packet on the far side is
//! an escape, but for the guard resolver's own questions about allowed names to [`RESOLVER_V4`].

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

pub const NEAR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const NEAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// What no rule allows. Answers UDP and TCP echo on every port that an attempt may choose.
pub const BAIT_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub const BAIT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x10);
/// What the policy allows, on [`ALLOWED_PORT`] only.
pub const ALLOWED_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
pub const ALLOWED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x20);
pub const ALLOWED_PORT: u16 = 443;
/// Resolves to the two allowed addresses.
pub const ALLOWED_NAME: &str = "allowed.example";
/// The policy's wildcard rule. Any name below it resolves to the allowed addresses.
pub const WILDCARD: &str = "*.wild.example";
/// Resolves to the bait addresses, if anyone asks.
pub const DENIED_NAME: &str = "secret.bait.example";
/// The upstream of the guard resolver, and a public-looking one that no one configured.
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
pub const OTHER_RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 54);
pub const OTHER_RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x54);
/// The far side's address on the link itself.
pub const FAR_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xf0);
/// Port of the near side that the far side calls all the time, over TCP and both families.
pub const CALLED_PORT: u16 = 7777;
/// In every payload that must not arrive: the capture counts a frame with it, in either case of
/// its letters, wherever it goes.
pub const MARK: &[u8] = b"ESCAPE";
/// Port of the bait that attempts use where none is better.
pub const BAIT_PORT: u16 = 4433;

/// What an attempt is given besides the addresses, as JSON in its environment.
///
/// The helper is a process of the agent's own user outside the guard, as a terminal multiplexer
/// or a container engine would be: it does what it is asked for over [`Ground::helper_socket`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The interface of the near side that leads to the far side.
    pub device: String,
    /// A place where the attempt's user may make files.
    pub scratch: PathBuf,
    /// The helper's process id, as the attempt sees it.
    pub helper_pid: u32,
    /// A UNIX stream socket in the file system: an engine's socket, as it were.
    pub helper_socket: PathBuf,
    /// The same service on an abstract address, without the leading zero byte.
    pub helper_abstract: String,
    /// The same service as a TCP proxy, on loopback and the machine's own addresses.
    pub helper_port: u16,
    /// Where the guarded cgroup is: the directory in the cgroup2 mount.
    pub cgroup: PathBuf,
    /// Whether this run is guarded; the control run is not.
    pub guarded: bool,
    /// Descriptor of a UDP socket that was made outside and left open on purpose, if it survived.
    pub inherited: Option<i32>,
    /// What the guard itself stands on. The control run needs it too: it shows what is there to
    /// be broken.
    #[serde(default)]
    pub guard: Guard,
}

/// The guard's own things, which an attempt tries to change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guard {
    /// The daemon's control socket.
    pub control: Option<PathBuf>,
    /// The daemon's process id.
    pub daemon: Option<i32>,
    /// The directory of its pins, on a BPF file system.
    pub pins: Option<PathBuf>,
    /// Its policy, runtime directory, audit file: files and directories that nothing inside may
    /// write.
    pub files: Vec<PathBuf>,
}
