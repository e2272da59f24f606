//! The world of one guard, as its resolver sees it: policy, kernel tables, audit log.

use std::{cell::RefCell, collections::BTreeMap, io, net::IpAddr, rc::Rc, sync::Arc};

use egress_common::{Address, Client, ClientKey, PortSet, Reason, RuleId};

use super::{
    approvals::{Approvals, Asked},
    asking::Need,
    journal::Journal,
    records::Records,
    sessions::Sessions,
};
use crate::{
    dns::{Changes, Decision, Host, NameVerdict, Names, Outcome, Settings, Terms},
    kernel::{KernelError, Tables, boot},
    policy::{Host as HostOf, METADATA, Name, NameDecision, Policy, PortSets, Rule},
};

/// A policy as far as names go.
#[derive(Debug)]
pub struct PolicyNames {
    pub policy: Arc<Policy>,
    settings: Settings,
}

impl PolicyNames {
    /// As the policy says, and as it is for sessions that are observed.
    pub fn pair(policy: &Arc<Policy>) -> [Arc<Self>; 2] {
        let running = Self::new(Arc::clone(policy));
        let mut observing = Self::new(Arc::clone(policy));
        observing.settings.observe = true;
        [Arc::new(running), Arc::new(observing)]
    }

    pub fn new(policy: Arc<Policy>) -> Self {
        let dns = policy.dns();
        let settings = Settings {
            terms: Terms {
                ttl_min: dns.ttl_min,
                ttl_max: dns.ttl_max,
                grace: dns.grace,
                addresses_per_name: dns.addresses_per_name,
            },
            wildcard_names: usize::try_from(dns.wildcard_names).unwrap_or(usize::MAX),
            extra_types: dns.types.iter().map(|kind| u16::from(*kind)).collect(),
            refuse_with_nxdomain: dns.refuse_with_nxdomain,
            observe: policy.mode() == egress_common::Mode::Observe,
            alone: policy.session_alone(),
        };
        Self { policy, settings }
    }
}

impl Names for PolicyNames {
    fn decide_name(&self, name: &str) -> NameVerdict {
        let Ok(name) = Name::parse(name) else {
            return NameVerdict::Deny {
                reason: Reason::NameDenied,
                rule: RuleId::NONE,
            };
        };
        match self.policy.decide_name(&name) {
            NameDecision::Allow(grant) => NameVerdict::Allow {
                rules: grant.rules,
                wildcard: grant.wildcard.map(|pattern| pattern.to_string()),
                until: grant.until,
            },
            NameDecision::Deny { reason, rule } => NameVerdict::Deny { reason, rule },
        }
    }

    fn is_private_allowed(&self, name: &str) -> bool {
        Name::parse(name).is_ok_and(|name| self.policy.is_private_allowed(&name))
    }

    fn is_metadata(&self, address: &Address) -> bool {
        METADATA.contains(&IpAddr::from(*address))
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn denial_text(&self, rule: RuleId) -> Option<String> {
        let rule: &Rule = self.policy.rule(rule)?;
        let reason = rule.reason.as_deref();
        Some(match reason {
            Some(reason) => format!("{}: {reason}", rule.name),
            None => format!("rule {} denies it", rule.name),
        })
    }
}

/// The names of the running policy, for everybody.
pub struct InForce {
    /// As [`PolicyNames::pair`] makes them.
    shared: [Arc<PolicyNames>; 2],
    /// For the sessions that alone were granted something.
    alone: BTreeMap<u64, [Arc<PolicyNames>; 2]>,
}

impl InForce {
    pub fn new(policy: &Arc<Policy>) -> Self {
        let of = |session| (session, PolicyNames::pair(&policy.for_session(session)));
        Self {
            shared: PolicyNames::pair(policy),
            alone: policy.sessions().map(of).collect(),
        }
    }
}

/// What changes while a guard runs. Borrowed for one step at a time, never across an await.
pub struct World {
    pub tables: RefCell<Tables>,
    pub sets: RefCell<PortSets>,
    /// Replaced together.
    pub names: RefCell<InForce>,
    /// Of all guards.
    pub approvals: Rc<RefCell<Approvals>>,
    pub journal: RefCell<Journal>,
    pub sessions: RefCell<Sessions>,
    pub records: Rc<Records>,
    /// Path of the guarded cgroup, for records.
    pub cgroup: String,
}

impl World {
    pub fn policy(&self) -> Arc<Policy> {
        let [running, _] = &self.names.borrow().shared;
        Arc::clone(&running.policy)
    }

    /// The policy as it is for one session.
    pub fn policy_for(&self, session: u64) -> Arc<Policy> {
        self.policy().for_session(session)
    }

    /// Whether denials of this session are only recorded, whatever the policy says.
    pub fn observes(&self, session: u64) -> bool {
        self.sessions.borrow().observes(session)
    }
}

impl Host for World {
    type Names = PolicyNames;

    fn client(&self, key: &ClientKey) -> Option<Client> {
        self.tables.borrow().client(key)
    }

    fn now(&self) -> u64 {
        boot::now()
    }

    fn names(&self) -> Arc<PolicyNames> {
        let [running, _] = &self.names.borrow().shared;
        Arc::clone(running)
    }

    fn names_for(&self, session: u64) -> Arc<PolicyNames> {
        let names = self.names.borrow();
        let [running, observing] = names.alone.get(&session).unwrap_or(&names.shared);
        Arc::clone(if self.observes(session) {
            observing
        } else {
            running
        })
    }

    fn port_set(&self, rules: &[RuleId]) -> io::Result<PortSet> {
        let policy = self.policy();
        let (set, entries) = self.sets.borrow_mut().for_rules(&policy, rules);
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| (entry.key, entry.bits, entry.rule))
            .collect();
        self.tables
            .borrow_mut()
            .install_ports(&entries)
            .map_err(io::Error::other)?;
        Ok(set)
    }

    fn install(&self, changes: &Changes) -> io::Result<()> {
        let mut tables = self.tables.borrow_mut();
        let mut journal = self.journal.borrow_mut();
        let mut write = || -> Result<(), KernelError> {
            for (session, address) in &changes.remove {
                tables.unlease(*session, *address)?;
                journal.forget(&mut tables, *session, *address)?;
            }
            for (session, address, lease) in &changes.write {
                tables.lease(*session, *address, lease)?;
            }
            Ok(())
        };
        write().map_err(io::Error::other)
    }

    fn approval(&self, client: &Client, name: &Name, rule: RuleId) -> Option<u64> {
        let need = Need {
            session: client.session,
            host: HostOf::Name(name.clone()),
            port: None,
            process: Some(client.process.into()),
            rule,
        };
        match self.need(need) {
            Asked::Waits { until, .. } => Some(until),
            Asked::Refused | Asked::Full => None,
        }
    }

    fn record(&self, outcome: &Outcome<'_>) {
        let mut is_new = outcome.addresses.is_empty() || !outcome.cached;
        if let Some(client) = outcome.client {
            let mut tables = self.tables.borrow_mut();
            let mut journal = self.journal.borrow_mut();
            for address in outcome.addresses {
                let noted = journal.note(
                    &mut tables,
                    client.session,
                    *address,
                    outcome.name,
                    boot::now(),
                );
                match noted {
                    Ok(new) => is_new |= new,
                    Err(error) => {
                        is_new = true;
                        tracing::warn!(name = outcome.name, %error, "a restarted daemon will not know this lease's name");
                    }
                }
            }
        }
        // A name that the session was told before, and that nobody was asked about again, is no
        // news; a record of it would cost more than the answer.
        if is_new
            || matches!(outcome.decision, Decision::Deny { .. })
            || self.policy().audit().allowed
        {
            self.records.question(self, outcome);
        }
    }
}
