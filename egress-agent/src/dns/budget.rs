//! How many distinct names each session may ask for under each wildcard.
//!
//! Every name counts that is asked, whether it exists or not: the question alone carries data.

use std::collections::{HashMap, HashSet};

use crate::policy::Name;

/// What was asked so far.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    sessions: HashMap<u64, HashMap<Box<str>, HashSet<Name>>>,
}

impl Budgets {
    /// Whether `session` may ask for `name`, which `pattern` admitted. It counts once.
    pub fn admit(&mut self, session: u64, pattern: &str, name: &Name, limit: usize) -> bool {
        let patterns = self.sessions.entry(session).or_default();
        let Some(names) = patterns.get_mut(pattern) else {
            if limit == 0 {
                return false;
            }
            patterns.insert(pattern.into(), HashSet::from([name.clone()]));
            return true;
        };
        if names.contains(name) {
            return true;
        }
        names.len() < limit && names.insert(name.clone())
    }

    /// Whether the name counts among those that the session asked under the pattern.
    pub fn counts(&self, session: u64, pattern: &str, name: &str) -> bool {
        let patterns = self.sessions.get(&session);
        patterns
            .and_then(|patterns| patterns.get(pattern))
            .is_some_and(|names| names.contains(name))
    }

    /// Distinct names asked under a pattern.
    pub fn used(&self, session: u64, pattern: &str) -> usize {
        self.sessions
            .get(&session)
            .and_then(|patterns| patterns.get(pattern))
            .map_or(0, HashSet::len)
    }

    pub fn end(&mut self, session: u64) {
        self.sessions.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_counts_distinct_names_of_one_session_and_pattern() {
        let mut budgets = Budgets::default();
        let name = |number: u32| Name::parse(&format!("n{number}.example")).unwrap();
        for number in [1, 2, 1, 2, 3] {
            assert!(budgets.admit(1, "*.example", &name(number), 3));
        }
        assert!(!budgets.admit(1, "*.example", &name(4), 3));
        assert!(
            budgets.admit(1, "*.example", &name(1), 3),
            "a known name stays known"
        );
        assert!(
            budgets.admit(1, "*.example", &name(4), 4),
            "a new policy may give more"
        );
        assert!(budgets.admit(1, "*.other", &name(9), 3));
        assert!(budgets.admit(2, "*.example", &name(9), 3));
        assert_eq!(budgets.used(1, "*.example"), 4);
        budgets.end(1);
        assert_eq!(budgets.used(1, "*.example"), 0);
        assert!(!budgets.admit(1, "*.example", &name(1), 0));
    }
}
