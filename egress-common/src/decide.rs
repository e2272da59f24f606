//! The decision: one function for the connect hook, the packet hook and userspace.
//!
//! The order is part of the contract. Deny beats allow, the order of rules in the policy never
//! matters, an empty table allows nothing, and what cannot be read denies.

use crate::{Config, Flow, Lease, PortSet, Protocol, Reason, RuleId, Ruling, Verdict};

/// Value of the network table: what one prefix allows and denies.
///
/// A look-up finds only the longest prefix, so the compiler folds every wider prefix into the
/// narrower ones that it covers.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Network {
    /// [`PortSet`] of deny rules.
    pub deny: u32,
    /// [`PortSet`] of allow rules.
    pub allow: u32,
}

/// The tables of one policy generation, seen from one session.
pub trait Rules {
    /// The longest prefix that holds this address.
    fn network(&self, address: &crate::Address) -> Option<Network>;
    /// The rule by which this set holds this protocol and port.
    fn port(&self, set: PortSet, protocol: Protocol, port: u16) -> Option<RuleId>;
    /// What names led the session to this address.
    fn lease(&self, address: &crate::Address) -> Option<&Lease>;
    /// Whether a socket of the same session receives this loopback flow.
    fn session_receives(&self, flow: &Flow) -> bool;
    /// Boot time in nanoseconds. Asked only when a lease is looked at.
    fn now(&self) -> u64;
}

/// Where in its life a flow is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It begins here: a lease must be live.
    New,
    /// It was admitted before: its lease may have run out, but must not have been revoked.
    Established,
}

/// Decides about one flow.
pub fn decide(config: &Config, rules: &impl Rules, flow: &Flow, stage: Stage) -> Verdict {
    rule_on(config, rules, flow, stage).verdict()
}

/// [`decide()`], as the kernel programs call it: in line, and in a shape that the verifier takes.
#[inline(always)]
pub fn rule_on(config: &Config, rules: &impl Rules, flow: &Flow, stage: Stage) -> Ruling {
    if !flow.protocol.is_tcp_or_udp() {
        return Ruling::deny(Reason::UnsupportedProtocol);
    }
    let Ok(address) = flow.destination.canonical() else {
        return Ruling::deny(Reason::EmbeddedAddress);
    };
    if address.is_multicast() {
        return Ruling::deny(Reason::Multicast);
    }
    let is_loopback = address.is_loopback();
    if config.is_resolver(&address, flow.port) {
        return Ruling::allow(RuleId::RESOLVER, u64::MAX);
    }
    // Nobody asks the steered port by themselves: its flows were admitted when they were turned.
    let is_turned = stage == Stage::Established && config.is_steered(&address, flow.port);
    if flow.protocol == Protocol::TCP && (is_turned || config.is_proxy(&address, flow.port)) {
        return Ruling::allow(RuleId::PROXY, u64::MAX);
    }

    let mut reason = Reason::NoRule;
    if let Some(network) = rules.network(&address) {
        if network.deny != 0
            && let Some(rule) = rules.port(PortSet(network.deny), flow.protocol, flow.port)
        {
            return Ruling::deny_by(rule);
        }
        if network.allow != 0 {
            if let Some(rule) = rules.port(PortSet(network.allow), flow.protocol, flow.port) {
                return Ruling::allow(rule, u64::MAX);
            }
            reason = Reason::PortNotAllowed;
        }
    }

    if is_loopback {
        if config.session_loopback == 1 && rules.session_receives(flow) {
            return Ruling::allow(RuleId::SESSION, u64::MAX);
        }
        return Ruling::deny(Reason::Loopback);
    }

    if let Some(lease) = rules.lease(&address) {
        let now = rules.now();
        reason = Reason::PortNotAllowed;
        let mut proxied = Ruling::deny(Reason::PortNotAllowed);
        for grant in &lease.grants {
            if grant.set == 0 {
                continue;
            }
            let Some(rule) = rules.port(PortSet(grant.set), flow.protocol, flow.port) else {
                continue;
            };
            if now < grant.expires || stage == Stage::Established {
                if !rule.is_proxied() {
                    return Ruling::allow(rule, grant.expires);
                }
                // Another name may lead here that does not ask for the proxy.
                proxied = Ruling::allow(rule, grant.expires);
                continue;
            }
            reason = Reason::LeaseExpired;
        }
        if proxied.is_allow() {
            return proxied;
        }
    }
    Ruling::deny(reason)
}
