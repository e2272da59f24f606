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
    compile::{Plan, TooLarge},
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
    #[error("the policy would no longer fit into the kernel tables: {0}")]
    TooLarge(TooLarge),
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
            let plan = Plan::new(&rules).map_err(CannotGrant::TooLarge)?;
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
mod tests {
    use egress_common::{Flow, Verdict};
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::policy::{Answer, Explainer, Target};

    fn policy(text: &Value) -> Policy {
        Policy::parse(&text.to_string(), "p").unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    fn given(policy: &Policy, rule: &Value, session: Option<u64>) -> Given {
        Given {
            rule: policy.read_rule(rule).unwrap(),
            session,
            until: 100,
        }
    }

    fn told(policy: &Policy, target: &str) -> (Answer, Option<String>) {
        let target: Target = target.parse().unwrap();
        let told = Explainer::new(policy).explain(&target);
        (told.verdict, told.rule)
    }

    #[test]
    fn a_session_alone_has_what_it_was_granted() {
        let file = policy(&json!({ "version": 1, "network": { "allow": [
            { "name": "all", "hosts": ["all.test"], "ports": ["443/tcp"] },
        ] } }));
        let one = json!({ "name": "g1", "hosts": ["one.test"], "ports": ["443/tcp"] });
        let both = json!({ "name": "g2", "hosts": ["both.test"], "ports": ["443/tcp"] });
        let granted = file
            .with_grants(&[given(&file, &one, Some(7)), given(&file, &both, None)])
            .unwrap();
        let allowed = |policy: &Policy, host: &str| told(policy, host).0 == Answer::Allow;
        let (seven, eight) = (granted.for_session(7), granted.for_session(8));
        for (host, of_seven, of_others) in [
            ("one.test:443", true, false),
            ("one.test:22", false, false),
            ("both.test:443", true, true),
            ("all.test:443", true, true),
            ("none.test:443", false, false),
        ] {
            assert_eq!(allowed(&seven, host), of_seven, "{host}");
            assert_eq!(allowed(&eight, host), of_others, "{host}");
            assert_eq!(allowed(&granted, host), of_others, "{host}");
        }
        assert_eq!(granted.sessions().collect::<Vec<_>>(), [7]);
        assert_eq!(seven.session_alone(), Some(7));
        // Rules have the same numbers for everybody, and no other policy's edition.
        assert_eq!(seven.rules(), granted.rules());
        assert_ne!(granted.edition(), file.edition());
        let NameDecision::Allow(name) = seven.decide_name(&Name::parse("one.test").unwrap()) else {
            panic!("it is granted");
        };
        assert_eq!(name.until, 100);
        let back = granted.with_grants(&[]).unwrap();
        assert!(!allowed(&back, "both.test:443") && back.edition() == file.edition());
    }

    #[test]
    fn an_address_is_granted_to_nobody_alone() {
        let file = policy(&json!({ "version": 1 }));
        let rule = json!({ "name": "g", "cidrs": ["192.0.2.1"], "ports": ["443/tcp"] });
        let refused = file.with_grants(&[given(&file, &rule, Some(7))]);
        assert_eq!(refused.unwrap_err(), CannotGrant::AddressForSession);
        let granted = file.with_grants(&[given(&file, &rule, None)]).unwrap();
        assert_eq!(told(&granted, "192.0.2.1:443").0, Answer::Allow);
        assert_eq!(told(&granted, "192.0.2.2:443").0, Answer::Deny);
        assert_eq!(told(&file, "192.0.2.1:443").0, Answer::Deny);
    }

    fn asking() -> Policy {
        policy(&json!({ "version": 1, "network": {
            "allow": [
                { "name": "web", "hosts": ["web.test"], "ports": ["443/tcp"] },
                { "name": "net", "cidrs": ["192.0.2.0/25"], "ports": ["443/tcp"] },
            ],
            "deny": [
                { "name": "never", "hosts": ["never.asked.test"], "cidrs": ["192.0.2.200"] },
                { "name": "mail", "hosts": ["**.asked.test"], "ports": ["25/tcp"] },
            ],
            "ask": [
                { "name": "perhaps", "hosts": ["**.asked.test", "web.test"], "ports": ["443/tcp", "22/tcp", "25/tcp"], "deadline": "20s" },
                { "name": "mx", "hosts": ["mx.asked2.test"], "ports": ["25/tcp"] },
                { "name": "far", "cidrs": ["192.0.2.0/24", "169.254.0.0/16", "127.0.0.0/8"], "ports": ["443/tcp"] },
            ],
        } }))
    }

    #[test]
    fn deny_beats_allow_beats_ask_beats_nothing() {
        let policy = asking();
        for (target, verdict, rule) in [
            ("a.asked.test:443", Answer::Ask, Some("perhaps")),
            ("a.asked.test:22", Answer::Ask, Some("perhaps")),
            ("a.asked.test:25", Answer::Deny, None),
            ("a.asked.test:80", Answer::Deny, None),
            ("never.asked.test:443", Answer::Deny, Some("never")),
            ("web.test:443", Answer::Allow, Some("web")),
            ("web.test:22", Answer::Ask, Some("perhaps")),
            ("other.test:443", Answer::Deny, None),
            ("192.0.2.1:443", Answer::Allow, Some("net")),
            ("192.0.2.129:443", Answer::Ask, Some("far")),
            ("192.0.2.129:80", Answer::Deny, None),
            ("192.0.2.200:443", Answer::Deny, Some("never")),
            // What no wide rule opens, no wide rule asks about.
            ("169.254.169.254:443", Answer::Deny, None),
            ("169.254.1.1:443", Answer::Ask, Some("far")),
            ("127.0.0.1:443", Answer::Deny, None),
        ] {
            let told = told(&policy, target);
            if rule.is_some() || told.0 != Answer::Deny {
                assert_eq!(told, (verdict, rule.map(str::to_owned)), "{target}");
            }
            assert_eq!(told.0, verdict, "{target}");
        }
        let perhaps = policy.rules().iter().find(|rule| rule.name == "perhaps");
        assert_eq!(
            perhaps.unwrap().deadline,
            std::time::Duration::from_secs(20)
        );
        assert!(policy.asks());
        // All ports that it asks about are denied: nobody is asked.
        let name = Name::parse("mx.asked2.test").unwrap();
        assert!(matches!(
            policy.decide_name(&name),
            NameDecision::Deny {
                reason: Reason::NeedsApproval,
                ..
            }
        ));
    }

    #[test]
    fn what_is_approved_is_what_was_asked_for_and_no_more() {
        let policy = asking();
        let id = |name: &str| {
            let mut rules = policy.rules().iter();
            rules.find(|rule| rule.name == name).unwrap().id
        };
        let host = Host::Name(Name::parse("a.asked.test").unwrap());
        let rule = policy.approvable(&host, id("perhaps")).unwrap();
        let given = Given {
            rule,
            session: Some(7),
            until: 9,
        };
        let approved = policy.with_grants(&[given]).unwrap().for_session(7);
        for (target, verdict) in [
            ("a.asked.test:443", Answer::Allow),
            ("a.asked.test:25", Answer::Deny),
            ("b.asked.test:443", Answer::Ask),
            ("192.0.2.129:443", Answer::Ask),
        ] {
            assert_eq!(told(&approved, target).0, verdict, "{target}");
        }
        let host = Host::Address("192.0.2.129".parse().unwrap());
        let rule = policy.approvable(&host, id("far")).unwrap();
        let given = Given {
            rule,
            session: None,
            until: 9,
        };
        let approved = policy.with_grants(&[given]).unwrap();
        assert_eq!(told(&approved, "192.0.2.129:443").0, Answer::Allow);
        assert_eq!(told(&approved, "192.0.2.130:443").0, Answer::Ask);
        assert!(policy.approvable(&host, id("web")).is_none());
    }

    fn host() -> impl Strategy<Value = &'static str> {
        select(vec![
            "a.test",
            "b.a.test",
            "c.b.a.test",
            "*.a.test",
            "**.a.test",
            "**.b.a.test",
            "*.b.a.test",
        ])
    }

    fn network() -> impl Strategy<Value = &'static str> {
        select(vec![
            "192.0.2.0/24",
            "192.0.2.0/25",
            "192.0.2.7",
            "169.254.169.254",
            "0.0.0.0/1",
            "2001:db8::/32",
            "127.0.0.1",
            "10.0.0.0/8",
        ])
    }

    fn rule() -> impl Strategy<Value = Value> {
        let ports = select(vec!["443/tcp", "22/tcp", "400-500/tcp", "443/udp"]);
        prop_oneof![
            (host(), ports.clone())
                .prop_map(|(host, ports)| json!({ "hosts": [host], "ports": [ports] })),
            (network(), ports).prop_map(|(net, ports)| json!({ "cidrs": [net], "ports": [ports] })),
        ]
    }

    fn named(rules: &[Value], prefix: &str) -> Vec<Value> {
        let rules = rules.iter().enumerate();
        rules
            .map(|(index, rule)| {
                let mut rule = rule.clone();
                rule["name"] = json!(format!("{prefix}{index}"));
                rule
            })
            .collect()
    }

    proptest! {
        /// Granted or written at the end of the file: the same is decided, by the same rule.
        #[test]
        fn a_grant_decides_what_a_rule_of_the_file_would(
            allow in prop::collection::vec(rule(), 0..4),
            deny in prop::collection::vec(rule(), 0..3),
            ask in prop::collection::vec(rule(), 0..3),
            grants in prop::collection::vec(rule(), 0..4),
        ) {
            let (allow, grants) = (named(&allow, "a"), named(&grants, "g"));
            let file = |allow: &[Value]| json!({ "version": 1, "network": {
                "allow": allow, "deny": named(&deny, "d"), "ask": named(&ask, "q"),
            } });
            let Ok(base) = Policy::parse(&file(&allow).to_string(), "p") else {
                return Ok(());
            };
            let both: Vec<Value> = allow.iter().chain(&grants).cloned().collect();
            let Ok(written) = Policy::parse(&file(&both).to_string(), "p") else {
                return Ok(());
            };
            let list: Vec<Given> = grants.iter().map(|rule| given(&base, rule, None)).collect();
            let granted = base.with_grants(&list).unwrap();
            for name in ["a.test", "b.a.test", "c.b.a.test", "x.b.a.test", "z.test"] {
                let name = Name::parse(name).unwrap();
                for (port, protocol) in [(443, Protocol::TCP), (443, Protocol::UDP), (22, Protocol::TCP), (80, Protocol::TCP)] {
                    let rule = |policy: &Policy| {
                        let decided = policy.decide_host(&name, protocol, port);
                        let name_of = |id| policy.rule(id).map(|rule| rule.name.clone());
                        decided.map(name_of).map_err(|(reason, id)| (reason, name_of(id)))
                    };
                    prop_assert_eq!(rule(&granted), rule(&written), "{} {}", name, port);
                }
            }
            for address in ["192.0.2.7", "192.0.2.200", "169.254.169.254", "10.1.2.3", "2001:db8::1", "127.0.0.1"] {
                let address: IpAddr = address.parse().unwrap();
                for (port, protocol) in [(443, Protocol::TCP), (443, Protocol::UDP), (22, Protocol::TCP)] {
                    let rule = |policy: &Policy| {
                        let flow = Flow::new(protocol, address.into(), port);
                        let name_of = |id| policy.rule(id).map(|rule: &Rule| rule.name.clone());
                        match policy.decide_address(&flow) {
                            Verdict::Allow(grant) => Ok(name_of(grant.rule)),
                            Verdict::Deny(reason, id) => Err((reason, name_of(id))),
                        }
                    };
                    prop_assert_eq!(rule(&granted), rule(&written), "{} {}", address, port);
                }
            }
        }
    }
}
