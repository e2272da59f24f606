//! The guard resolver: names become addresses only here.
//!
//! A question of a guarded session is judged by its name before anything leaves the machine. What
//! is allowed is asked anew, with our own id and nothing of the client's but name and type; the
//! answer is filtered, written anew, and its addresses stand in the kernel as leases before the
//! client sees it. What is denied is refused at once, with the reason.
//!
//! ```text
//!   datagram ─question─▶ engine ──(cache, judged name)──────────▶ leases ─▶ Host::install ─▶ reply
//!                          │ miss                                   ▲
//!                          ▼                                        │
//!                       upstream ─query, answer─▶ filter ───────────┘
//! ```
//!
//! [`Engine`] decides, with time passed in and the world behind [`Host`]; [`Server`] moves bytes.
//! It knows nothing about policies but [`Names`] and nothing about kernel maps but [`Changes`].

mod answer;
mod ask;
mod budget;
mod cache;
mod engine;
#[cfg(test)]
mod fake;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod held;
pub mod leases;
#[cfg(test)]
mod live;
mod local;
mod outcome;
mod query;
mod question;
mod reply;
mod resolv;
mod server;
pub mod snoop;
mod special;
mod suspicion;
mod tcp;
mod upstream;
mod wire;

use std::{io, sync::Arc};

use egress_common::{Address, Client, ClientKey, PortSet, Reason, RuleId};

use crate::policy::Name;

pub use ask::{Addresses, NoAddress};
pub use engine::{Engine, Lookup, Step, Upstream};
pub use leases::{Changes, Leases, Terms};
pub use outcome::{Decision, Outcome};
pub use reply::Rcode;
pub use resolv::resolv_conf;
pub use server::{BindError, Server, Sockets, bind};
pub use snoop::{Seen, Snoop};
pub use special::is_special;
pub use suspicion::suspicious_label;

/// What the policy says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameVerdict {
    Allow {
        rules: Vec<RuleId>,
        /// The winning pattern, when it is a wildcard.
        wildcard: Option<String>,
        /// Boot time in nanoseconds at which one of the rules ends; [`u64::MAX`] for never.
        until: u64,
    },
    /// With [`Reason::NeedsApproval`] a person can still allow it.
    Deny { reason: Reason, rule: RuleId },
}

/// The policy's settings for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub terms: Terms,
    /// Distinct names that a session may ask for under one wildcard.
    pub wildcard_names: usize,
    /// Record types that are answered besides those that every policy has.
    pub extra_types: Vec<u16>,
    /// A denied name does not exist, instead of being refused.
    pub refuse_with_nxdomain: bool,
    /// Everything is decided and recorded, nothing is refused for the policy's sake.
    pub observe: bool,
    /// The one session that has more than others: what it is answered is for nobody else.
    pub alone: Option<u64>,
}

/// The policy as far as names go. One value never changes its mind.
pub trait Names {
    /// `name` in lower case, without a final dot; empty for the root.
    fn decide_name(&self, name: &str) -> NameVerdict;
    /// Whether the name may lead into private space.
    fn is_private_allowed(&self, name: &str) -> bool;
    /// Whether a cloud's instance metadata lives there.
    fn is_metadata(&self, address: &Address) -> bool;
    fn settings(&self) -> &Settings;
    /// What the policy's author says to those whom this rule denies.
    fn denial_text(&self, rule: RuleId) -> Option<String>;
}

/// The world of one guard.
pub trait Host {
    type Names: Names;

    /// Who asks; `None` for nobody that is guarded.
    fn client(&self, key: &ClientKey) -> Option<Client>;
    /// Boot time in nanoseconds (`CLOCK_BOOTTIME`).
    fn now(&self) -> u64;
    /// The running policy. Another policy is another `Arc`.
    fn names(&self) -> Arc<Self::Names>;
    /// The policy as it is for this session; the running one, if it is nothing special. Replaced
    /// together with that.
    fn names_for(&self, _session: u64) -> Arc<Self::Names> {
        self.names()
    }

    /// The set of ports that these rules open, known to the kernel.
    fn port_set(&self, rules: &[RuleId]) -> io::Result<PortSet>;
    /// Brings the kernel's lease table up to date, deleting before writing. When this returns, the
    /// kernel decides by it. After an error the caller takes back what it wanted to write.
    fn install(&self, changes: &Changes) -> io::Result<()>;
    /// A person is asked to approve the name for this client. Until when the question may wait, in
    /// boot time; `None` where it may not.
    fn approval(&self, _client: &Client, _name: &Name, _rule: RuleId) -> Option<u64> {
        None
    }

    /// Called once for every question that got an answer.
    fn record(&self, outcome: &Outcome<'_>);
}
