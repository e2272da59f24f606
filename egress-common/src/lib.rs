//! What crosses the boundary between egressd and its kernel programs, and the decision itself.
//!
//! Everything here is plain bytes or a pure function. [`decide()`] is compiled twice: into the BPF
//! programs, where [`Rules`] reads maps, and into userspace, where it reads whatever a caller
//! brings. No type that stands in a map holds a Rust enum, `bool`, `Option` or padding that is
//! not written out: the kernel side of a map may hold any bytes.

#![cfg_attr(not(feature = "user"), no_std)]
#![expect(
    clippy::inline_always,
    reason = "the verifier judges one program at a time, and calls cost on every packet"
)]
#![expect(
    clippy::many_single_char_names,
    reason = "the octets of an address have no better names"
)]

mod address;
mod config;
mod decide;
mod event;
mod flow;
mod key;
mod layout;
mod packet;
#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "aya::Pod is an unsafe trait")]
mod pod;
mod verdict;

pub use address::Address;
pub use config::{Config, DnsMode, Mode, RESOLVER_SLOTS};
pub use decide::{Network, Rules, Stage, decide, rule_on};
pub use event::{Client, Counter, Event, Hook, Process, UnixEvent};
pub use flow::{Flow, Protocol};
pub use key::{
    ClientKey, JournalEntry, JournalKey, Lease, LeaseGrant, LeaseKey, NetworkKey, Original,
    PortKey, UNIX_PATH_BYTES, UnixKey,
};
pub use layout::Layout;
pub use packet::{Headers, Packet, is_jumbogram, parse};
pub use verdict::{Grant, PortSet, Reason, RuleId, Ruling, Verdict};

/// Version of every shape in this crate. Bumped with any change to one; `egressd` refuses pinned
/// maps of another version.
pub const ABI_VERSION: u32 = 3;

/// Sizes that both sides must agree on.
pub mod limits {
    /// Allowed and denied address prefixes of all live policy generations.
    pub const NETWORKS: u32 = 1 << 19;
    /// Port prefixes of all port sets. A port range takes at most 30 of them.
    pub const PORTS: u32 = 1 << 18;
    /// Leased addresses over all sessions and live policy generations.
    pub const LEASES: u32 = 1 << 18;
    /// DNS clients whose question is on its way.
    pub const CLIENTS: u32 = 1 << 15;
    /// Flows that were turned to the proxy; the oldest give way, and their peers' addresses show as
    /// the proxy's.
    pub const ORIGINALS: u32 = 1 << 15;
    /// Listed UNIX sockets over all sessions and live policy generations.
    pub const UNIX_PATHS: u32 = 1 << 13;
    /// Sessions at a time that are observed under a policy that enforces.
    pub const OBSERVED: u32 = 1 << 12;
    /// Bytes of the event ring.
    pub const EVENT_BYTES: u32 = 1 << 20;
    /// Different port sets that one leased address can stand for at a time.
    pub const LEASE_GRANTS: usize = 4;
    /// An unconnected UDP flow that sent nothing for this long needs a live lease again, in
    /// nanoseconds. Linux's own conntrack forgets a UDP stream after 120 s.
    pub const UDP_IDLE_NS: u64 = 60 * 1_000_000_000;
}
