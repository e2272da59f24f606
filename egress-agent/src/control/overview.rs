//! One look at everything: what `egressctl top` and the dashboard show. Members may be added within
//! a version.
//!
//! Every list is bounded, whatever sessions do; `…_total` says how many there are.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::status::Status;
use crate::audit::record::{Egress, Record, Time};

/// What is enforced, what runs, and what happened last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overview {
    pub time: Time,
    pub status: Status,
    /// Open ones, up to half a second old, by session. Where one session has very many, the others
    /// keep their share of the list.
    pub flows: Vec<Flow>,
    pub flows_total: u64,
    /// Why flows are missing that may be open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_missing: Option<String>,
    /// Live ones, the one that was learnt last first.
    pub leases: Vec<HeldLease>,
    pub leases_total: u64,
    /// The latest of all sessions and of guarded processes without one, latest last; equal ones
    /// are one record with a count.
    pub denials: Vec<Record>,
    /// Since the start of the daemon, for rates.
    pub denials_total: u64,
    /// The latest questions to the resolver, latest last.
    pub questions: Vec<Record>,
    /// Since the start of the daemon, for rates.
    pub questions_total: u64,
    /// Records since the start of the daemon, written or lost, for rates.
    pub events: u64,
    /// What running sessions did with each host.
    pub hosts: Vec<SessionHosts>,
}

/// A socket of a session that is connected, or about to be or to end.
///
/// The kernel is asked in the network namespace of the daemon: what a session opens in another one
/// is guarded and recorded, and not listed here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flow {
    pub session: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    pub local: SocketAddr,
    /// Where the session wanted to go, when the kernel led it to egressd; else the peer.
    pub remote: SocketAddr,
    /// What led the session to the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The part of egressd that the socket is connected to, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// As in TCP: `established`, `syn-sent` and so on.
    pub state: String,
    /// Bytes of content; absent where the kernel does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Known where the kernel led the socket to the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// Parts of egressd that sessions speak with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    Proxy,
    Resolver,
}

/// An address that a session may reach because a name led it there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldLease {
    /// Absent for guarded processes without a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    pub name: String,
    pub address: IpAddr,
    pub expires_in_ms: u64,
    pub age_ms: u64,
}

/// The rows of one session: denied hosts first, then those with the most connections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionHosts {
    pub session: String,
    pub hosts: Vec<Egress>,
    pub hosts_total: u64,
}
