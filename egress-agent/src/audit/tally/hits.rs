//! How often each rule decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::record::{Record, Time, Verdict};

/// Rules that are counted apart, of all guards.
const RULES: usize = 8_192;
/// The longest name of a rule or guard that is counted. Bytes.
const NAME: usize = 512;

/// One rule, or the default of a guard where no rule decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hit {
    pub allowed: u64,
    pub denied: u64,
    /// Something was taken out, or a person was asked.
    pub other: u64,
    /// When it last decided.
    pub last: Time,
}

/// Hits by guard and rule.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    guards: BTreeMap<String, BTreeMap<Option<String>, Hit>>,
    rules: usize,
    beyond: u64,
}

impl Hits {
    pub(super) fn add(&mut self, record: &Record, verdict: Verdict) {
        let rule = record.rule.as_ref().map(|rule| rule.name.as_str());
        let guard = record.guard.as_deref().unwrap_or_default();
        let is_short = guard.len() <= NAME && rule.is_none_or(|rule| rule.len() <= NAME);
        let rule = rule.map(str::to_owned);
        let known = self
            .guards
            .get_mut(guard)
            .and_then(|rules| rules.get_mut(&rule));
        if let Some(hit) = known {
            hit.add(record, verdict);
        } else if is_short && self.rules < RULES {
            self.rules += 1;
            let mut hit = Hit {
                allowed: 0,
                denied: 0,
                other: 0,
                last: record.time,
            };
            hit.add(record, verdict);
            let rules = self.guards.entry(guard.to_owned()).or_default();
            rules.insert(rule, hit);
        } else {
            self.beyond = self.beyond.saturating_add(record.count);
        }
    }

    /// The rules of a guard that decided anything; without a name, what no rule decided.
    pub fn of(&self, guard: &str) -> impl Iterator<Item = (Option<&str>, Hit)> {
        let rules = self.guards.get(guard).into_iter().flatten();
        rules.map(|(rule, hit)| (rule.as_deref(), *hit))
    }

    /// Decisions of rules for which there was no room.
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }
}

impl Hit {
    fn add(&mut self, record: &Record, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Allow => &mut self.allowed,
            Verdict::Deny => &mut self.denied,
            Verdict::Redact | Verdict::Ask => &mut self.other,
        };
        *counter = counter.saturating_add(record.count);
        self.last = self.last.max(record.time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Rule, tests::denial};

    fn by(rule: Option<&str>, second: u32) -> Record {
        let mut record = denial(second, "192.0.2.1");
        record.guard = Some("agent.slice".to_owned());
        record.rule = rule.map(|name| Rule {
            name: name.to_owned(),
            line: None,
        });
        record
    }

    #[test]
    fn each_rule_and_the_default_have_their_numbers() {
        let mut hits = Hits::default();
        hits.add(&by(Some("forge"), 1), Verdict::Allow);
        hits.add(&by(Some("forge"), 3), Verdict::Deny);
        hits.add(&by(Some("forge"), 2), Verdict::Ask);
        hits.add(&by(None, 1), Verdict::Deny);
        let found: Vec<_> = hits.of("agent.slice").collect();
        let [(None, default), (Some("forge"), forge)] = found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((default.allowed, default.denied, default.other), (0, 1, 0));
        assert_eq!((forge.allowed, forge.denied, forge.other), (1, 1, 1));
        assert_eq!(forge.last, by(None, 3).time);
        assert_eq!(hits.of("other.slice").count(), 0);
    }

    #[test]
    fn rules_beyond_the_bound_are_counted_together() {
        let mut hits = Hits::default();
        for number in 0..RULES + 10 {
            hits.add(&by(Some(&format!("r{number}")), 1), Verdict::Allow);
        }
        hits.add(&by(Some("r1"), 1), Verdict::Allow);
        hits.add(&by(Some(&"x".repeat(NAME + 1)), 1), Verdict::Allow);
        assert_eq!(hits.of("agent.slice").count(), RULES);
        assert_eq!(hits.beyond(), 11);
    }
}
