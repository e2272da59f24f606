//! What a person granted beside a policy's file, for a time or for a session.
//!
//! A grant is a rule like those of `network.allow`, and stands behind all of them: it decides what
//! a rule at the end of the file would decide, and nothing else. The policy with grants is another
//! [`Policy`], so that whatever asks it sees them: resolver, kernel tables, proxy, hooks, `why`.
//!
//! Deny beats it. What the file allows is not changed by it. What a session alone is granted is
//! names; the kernel's table of networks is one for all sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use egress_common::{Protocol, Reason, RuleId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Host, Invalid, METADATA, Name, NameDecision, NamePattern, Policy, Rule, TableRules,
    compile::Plan,
    explain::canonical,
    hex_digit,
    portset::{self, pieces_of},
    rule::Effect,
};

/// One rule that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub rule: Rule,
    /// The one session that has it; `None` for all.
    pub session: Option<u64>,
    /// Boot time in nanoseconds; [`u64::MAX`] for one that ends with its session alone.
    pub until: u64,
}

/// Why something cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotGrant {
    #[error(
        "the kernel's table of networks is one for all sessions of a guard: an address cannot be granted to one session"
    )]
    AddressForSession,
    #[error(
        "the policy would no longer fit into the kernel tables: it has too many networks or ports"
    )]
    TooLarge,
}

/// All that was granted beside one policy.
#[derive(Debug)]
pub(crate) struct Granted {
    /// Those of the file, and behind them the granted ones.
    rules: Vec<Rule>,
    terms: BTreeMap<RuleId, Terms>,
    edition: Arc<str>,
    /// Where a network was granted.
    networks: Option<(Plan, OnceLock<TableRules>)>,
}

/// A policy as it is for the sessions that are granted more than others.
pub(crate) type Views = BTreeMap<u64, Arc<Policy>>;

#[derive(Clone, Copy, Debug)]
struct Terms {
    session: Option<u64>,
    until: u64,
}

impl Granted {
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn edition(&self) -> &Arc<str> {
        &self.edition
    }

    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.networks.as_ref().map(|(plan, _)| plan)
    }

    pub(crate) fn tables(&self) -> Option<&OnceLock<TableRules>> {
        self.networks.as_ref().map(|(_, tables)| tables)
    }
}

impl Policy {
    /// The policy of the same file with these grants and no others.
    pub fn with_grants(&self, given: &[Given]) -> Result<Arc<Self>, CannotGrant> {
        let mut policy = Self {
            granted: None,
            views: Arc::default(),
            session: None,
            ..self.clone()
        };
        if given.is_empty() {
            return Ok(Arc::new(policy));
        }
        let mut rules = policy.checked.rules.clone();
        let mut terms = BTreeMap::new();
        let mut edition = Sha256::new();
        for Given {
            rule,
            session,
            until,
        } in given
        {
            if session.is_some() && !rule.networks.is_empty() {
                return Err(CannotGrant::AddressForSession);
            }
            let id = RuleId(u32::try_from(rules.len() + 1).unwrap_or(u32::MAX));
            let rule = Rule {
                id,
                effect: Effect::Allow,
                line: 0,
                ..rule.clone()
            };
            edition.update(format!("{rule:?} {session:?} {until}"));
            terms.insert(
                id,
                Terms {
                    session: *session,
                    until: *until,
                },
            );
            rules.push(rule);
        }
        let has_networks = given.iter().any(|one| !one.rule.networks.is_empty());
        let networks = if has_networks {
            let plan = Plan::new(&rules).map_err(|_too_large| CannotGrant::TooLarge)?;
            Some((plan, OnceLock::new()))
        } else {
            None
        };
        let mut text = format!("{}+", policy.digest);
        for byte in edition.finalize() {
            text.extend([byte >> 4, byte & 15].map(hex_digit));
        }
        let sessions: BTreeSet<u64> = given.iter().filter_map(|one| one.session).collect();
        policy.granted = Some(Arc::new(Granted {
            rules,
            terms,
            edition: text.into(),
            networks,
        }));
        let view = |session| Self {
            session: Some(session),
            ..policy.clone()
        };
        let views = sessions.into_iter();
        let views: Views = views
            .map(|session| (session, Arc::new(view(session))))
            .collect();
        policy.views = Arc::new(views);
        Ok(Arc::new(policy))
    }

    /// The policy as it is for one session.
    #[must_use]
    pub fn for_session(self: &Arc<Self>, session: u64) -> Arc<Self> {
        Arc::clone(self.views.get(&session).unwrap_or(self))
    }

    /// The sessions for which it decides otherwise than for all others.
    pub fn sessions(&self) -> impl Iterator<Item = u64> {
        self.views.keys().copied()
    }

    /// Whether a rule holds for whom this policy decides: what another session was granted does not.
    pub fn speaks(&self, rule: &Rule) -> bool {
        let granted = self.granted.as_ref();
        let terms = granted.and_then(|granted| granted.terms.get(&rule.id));
        terms.is_none_or(|terms| terms.session.is_none() || terms.session == self.session)
    }

    /// Whether a person is asked about anything.
    pub fn asks(&self) -> bool {
        self.names.asks
    }

    /// The session that it is for alone.
    pub fn session_alone(&self) -> Option<u64> {
        self.session
    }

    /// Reads a rule as it would stand in `network.allow` of this policy's file.
    pub fn read_rule(&self, rule: &Value) -> Result<Rule, Invalid> {
        let text = json!({
            "version": 1,
            "proxy": { "level": self.proxy().level },
            "network": { "allow": [rule] },
        });
        let policy = Self::parse(&text.to_string(), "the rule")?;
        let no_rule = || Invalid::new("the rule", "", Vec::new());
        policy.rules().first().cloned().ok_or_else(no_rule)
    }

    /// The rule of `ask` that speaks of this connection, if nothing denies it.
    pub(crate) fn asked(&self, host: &Host, protocol: Protocol, port: u16) -> Option<RuleId> {
        let (mut ids, denials) = match host {
            Host::Name(name) => {
                if self.names.deny.find(name).next().is_some() {
                    return None;
                }
                let denials = self.names.deny_ports.find(name);
                (
                    self.asking_rules(name),
                    denials.flat_map(|hit| hit.values()).collect(),
                )
            }
            Host::Address(address) => (self.asking_networks(*address), Vec::new()),
        };
        ids.extend(denials);
        let pieces = pieces_of(Effect::Ask, self.rules(), &ids);
        let mut pieces = pieces.iter();
        pieces
            .find(|piece| piece.range.contains(protocol, port))
            .map(|piece| piece.rule)
    }

    /// What a person would be asked to approve: the rule for this host alone, that the rule of
    /// `ask` would become.
    pub fn approvable(&self, host: &Host, ask: RuleId) -> Option<Rule> {
        let rule = self.rule(ask).filter(|rule| rule.effect == Effect::Ask)?;
        let (hosts, networks) = match host {
            Host::Name(name) => (vec![NamePattern::Exact(name.clone())], Vec::new()),
            Host::Address(address) => (Vec::new(), vec![canonical(*address).into()]),
        };
        Some(Rule {
            effect: Effect::Allow,
            hosts,
            networks,
            ..rule.clone()
        })
    }

    /// The pattern that admits a name, and every allow rule for it, the most specific first.
    pub(super) fn allowing(&self, name: &Name) -> Option<(NamePattern, Vec<RuleId>)> {
        let file = self.names.allow.find(name);
        let granted = self.granted_to(name);
        if granted.is_empty() {
            let mut file = file.peekable();
            let pattern = file.peek()?.pattern();
            return Some((pattern, file.flat_map(|hit| hit.values()).collect()));
        }
        let mut all: Vec<(NamePattern, RuleId)> = file
            .flat_map(|hit| hit.values().map(move |id| (hit.pattern(), id)))
            .chain(granted)
            .collect();
        // The order of `PatternTable::find`; of equals the rules of the file stand first.
        all.sort_by_key(|(pattern, _)| {
            let labels = pattern.base().as_str().split('.').count();
            let is_many = matches!(pattern, NamePattern::Many(_));
            (!pattern.is_exact(), std::cmp::Reverse(labels), is_many)
        });
        let pattern = all.first()?.0.clone();
        Some((pattern, all.into_iter().map(|(_, id)| id).collect()))
    }

    /// What is said of a name that no rule allows; `denials` are the rules that deny it some ports.
    pub(super) fn asking(&self, name: &Name, denials: Vec<RuleId>) -> NameDecision {
        let mut ids = self.asking_rules(name);
        ids.extend(denials);
        let pieces = pieces_of(Effect::Ask, self.rules(), &ids);
        match pieces.first() {
            Some(_) => NameDecision::Deny {
                reason: Reason::NeedsApproval,
                rule: ids.first().copied().unwrap_or(RuleId::NONE),
            },
            None => NameDecision::Deny {
                reason: Reason::NameDenied,
                rule: RuleId::NONE,
            },
        }
    }

    /// When the first of these rules ends.
    pub(super) fn until(&self, rules: &[RuleId]) -> u64 {
        let Some(granted) = &self.granted else {
            return u64::MAX;
        };
        let ends = rules
            .iter()
            .filter_map(|id| granted.terms.get(id).map(|terms| terms.until));
        ends.min().unwrap_or(u64::MAX)
    }

    fn asking_rules(&self, name: &Name) -> Vec<RuleId> {
        let hits = self.names.ask.find(name);
        hits.flat_map(|hit| hit.values()).collect()
    }

    /// A metadata service is asked about only where a rule names exactly it.
    fn asking_networks(&self, address: IpAddr) -> Vec<RuleId> {
        let address = canonical(address);
        let is_metadata = METADATA.contains(&address);
        let speaks = |rule: &&Rule| {
            rule.networks.iter().any(|network| {
                network.contains(&address)
                    && (!is_metadata || network.prefix_len() == network.max_prefix_len())
            })
        };
        let rules = self.names.ask_networks.iter();
        rules
            .filter_map(|id| self.rule(*id))
            .filter(speaks)
            .map(|rule| rule.id)
            .collect()
    }

    /// The granted rules that speak of a name, for whom this policy decides.
    fn granted_to(&self, name: &Name) -> Vec<(NamePattern, RuleId)> {
        let Some(granted) = &self.granted else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (id, terms) in &granted.terms {
            if terms.session.is_some() && terms.session != self.session {
                continue;
            }
            let Some(rule) = portset::find(&granted.rules, *id) else {
                continue;
            };
            let patterns = rule.hosts.iter();
            found.extend(
                patterns
                    .filter(|pattern| pattern.covers(name.as_str()))
                    .map(|pattern| (pattern.clone(), *id)),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests;
