//! From what a session could not have to a question to a person.

use std::net::IpAddr;

use egress_common::{Protocol, Reason, RuleId, Verdict as Decision};

use super::{
    approvals::{Asked, Waiting},
    host::World,
    records,
};
use crate::{
    audit::record::{Process, Verdict},
    dns::Leases,
    kernel::{boot, events::Decided},
    policy::{Host, Name, NameDecision},
    proxy::{Told, told::Outcome},
};

/// What a session needs a person for.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) session: u64,
    pub(super) host: Host,
    pub(super) port: Option<(Protocol, u16)>,
    pub(super) process: Option<Process>,
    /// The rule that asks.
    pub(super) rule: RuleId,
}

impl World {
    /// Asks a person, or joins the question that is open.
    pub(super) fn need(&self, need: Need) -> Asked {
        let Need {
            session,
            host,
            port,
            process,
            rule,
        } = need;
        let now = boot::now();
        let policy = self.policy_for(session);
        let name = self.sessions.borrow().name_of(session);
        let (Some(rule), Some(name)) = (policy.rule(rule), name) else {
            return Asked::Full;
        };
        self.forget_expired(now);
        let deadline = u64::try_from(rule.deadline.as_nanos()).unwrap_or(0);
        let waiting = Waiting {
            guard: self.cgroup.clone(),
            session: (session, name),
            host,
            port,
            rule: rule.name.clone(),
            process,
            since: records::now(),
            until: now.saturating_add(deadline),
            count: 1,
        };
        let asked = self.approvals.borrow_mut().ask(waiting.clone(), now);
        if let Asked::Waits { is_new: true, .. } = asked {
            let message = format!("waits for a person, for {} s", rule.deadline.as_secs());
            self.records.approval(&waiting, Verdict::Ask, Some(message));
        }
        asked
    }

    /// What has run out is denied, and that is recorded.
    pub(super) fn forget_expired(&self, now: u64) {
        let expired = self.approvals.borrow_mut().expired(now);
        for (_, waiting) in expired {
            let message = "nobody answered in time".to_owned();
            self.records
                .approval(&waiting, Verdict::Deny, Some(message));
        }
    }
}

/// What the kernel has denied and a person could allow. A name that could be had, on a port that
/// needs a person, is denied by the kernel as well.
pub(super) fn need(world: &World, leases: &Leases, decided: &Decided) -> Option<Need> {
    let event = &decided.event;
    let policy = world.policy();
    if !policy.asks() || event.allowed == 1 || event.observed == 1 {
        return None;
    }
    let reason = Reason::from_number(event.reason)?;
    if !matches!(
        reason,
        Reason::NoRule | Reason::PortNotAllowed | Reason::LeaseExpired
    ) {
        return None;
    }
    let policy = policy.for_session(event.session);
    let flow = &event.flow;
    let named = leases
        .name(event.session, flow.destination)
        .and_then(|held| Name::parse(held.name).ok());
    let by_name =
        named.and_then(
            |name| match policy.decide_host(&name, flow.protocol, flow.port) {
                Err((Reason::NeedsApproval, rule)) => Some((Host::Name(name), rule)),
                Ok(_) | Err(_) => None,
            },
        );
    let (host, rule) = by_name.or_else(|| match policy.decide_address(flow) {
        Decision::Deny(Reason::NeedsApproval, rule) => {
            Some((Host::Address(IpAddr::from(flow.destination)), rule))
        }
        Decision::Deny(..) | Decision::Allow(_) => None,
    })?;
    Some(Need {
        session: event.session,
        host,
        port: Some((flow.protocol, flow.port)),
        process: Some(event.process.into()),
        rule,
    })
}

/// The same of the proxy. What the guard resolver asks about is asked about there.
pub(super) fn need_of_proxy(world: &World, told: &Told) -> Option<Need> {
    let Outcome::Denied(Reason::NeedsApproval, rule) = told.outcome else {
        return None;
    };
    let policy = world.policy_for(told.session);
    let destination = told.destination?;
    let host = match told.host.as_deref().map(Name::parse) {
        Some(Ok(name)) => match policy.decide_name(&name) {
            NameDecision::Allow(_) => Host::Name(name),
            NameDecision::Deny { .. } => return None,
        },
        Some(Err(_)) | None => Host::Address(destination.ip()),
    };
    (!told.observed).then(|| Need {
        session: told.session,
        host,
        port: Some((Protocol::TCP, destination.port())),
        process: Some(told.process.into()),
        rule,
    })
}
