//! What became of a question, for the audit log.

use std::{net::SocketAddr, time::Duration};

use egress_common::{Address, Client, ClientKey, Reason, RuleId};

use super::reply::Rcode;

/// One question that was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome<'a> {
    pub from: ClientKey,
    /// `None` when nobody that is guarded asked.
    pub client: Option<Client>,
    /// Empty when it could not be read.
    pub name: &'a str,
    /// The record type; 0 when it could not be read.
    pub kind: u16,
    pub decision: Decision<'a>,
    /// The policy only observes: a denial was not carried out.
    pub observed: bool,
    pub rcode: Rcode,
    /// Where the answer leads: the session's leases, when it was allowed.
    pub addresses: &'a [Address],
    /// It was in the cache.
    pub cached: bool,
    /// Who answered, and how long that took.
    pub upstream: Option<(SocketAddr, Duration)>,
}

/// The verdict about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    Allow { rules: &'a [RuleId] },
    Deny { reason: Reason, rule: RuleId },
}
