//! What people granted beside the policy files. Pure: time is passed in.
//!
//! Grants live in memory alone: a daemon that starts anew has none.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    audit::record::Time,
    policy::{Given, Rule},
};

/// Grants that may stand at a time, in all guards together. Each is looked at for every new name.
pub(super) const MOST: usize = 256;

/// Who granted something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By {
    /// As the kernel says.
    pub(super) uid: u32,
    /// By their own word.
    pub(super) claimed: Option<String>,
    pub(super) why: Option<String>,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// Path of the guarded cgroup.
    pub(super) guard: String,
    /// Cgroup id and name of the one session that has it.
    pub(super) session: Option<(u64, String)>,
    pub(super) rule: Rule,
    /// The rule as it would be written.
    pub(super) written: Value,
    pub(super) since: Time,
    /// Boot time in nanoseconds; [`u64::MAX`] where it ends with its session.
    pub(super) until: u64,
    pub(super) by: By,
}

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MOST} grants stand already: take some back with `egressctl allow --remove ID`, or write rules into the policy"
)]
pub(super) struct Full;

/// All grants.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants {
    last: u64,
    standing: BTreeMap<u64, Granted>,
}

impl Grants {
    /// The number that the next grant gets.
    pub(super) const fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn add(&mut self, granted: Granted) -> Result<u64, Full> {
        if self.standing.len() >= MOST {
            return Err(Full);
        }
        self.last += 1;
        self.standing.insert(self.last, granted);
        Ok(self.last)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Granted> {
        self.standing.get(&id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Granted> {
        self.standing.remove(&id)
    }

    /// Takes out what has ended by now.
    pub(super) fn expired(&mut self, now: u64) -> Vec<(u64, Granted)> {
        self.take(|granted| granted.until <= now)
    }

    /// Takes out what one session alone had.
    pub(super) fn end_session(&mut self, session: u64) -> Vec<(u64, Granted)> {
        self.take(|granted| {
            granted
                .session
                .as_ref()
                .is_some_and(|(id, _)| *id == session)
        })
    }

    /// Takes out what one guard had.
    pub(super) fn end_guard(&mut self, guard: &str) -> Vec<(u64, Granted)> {
        self.take(|granted| granted.guard == guard)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Granted)> {
        self.standing.iter().map(|(id, granted)| (*id, granted))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.standing.values().map(|granted| granted.until).min()
    }

    /// What the policy of a guard is to be given, in the order in which it was granted.
    pub(super) fn given(&self, guard: &str) -> Vec<Given> {
        let of_guard = |granted: &&Granted| granted.guard == guard;
        self.standing
            .values()
            .filter(of_guard)
            .map(|granted| Given {
                rule: granted.rule.clone(),
                session: granted.session.as_ref().map(|(id, _)| *id),
                until: granted.until,
            })
            .collect()
    }

    fn take(&mut self, is_over: impl Fn(&Granted) -> bool) -> Vec<(u64, Granted)> {
        let over: Vec<u64> = self
            .standing
            .iter()
            .filter(|(_, granted)| is_over(granted))
            .map(|(id, _)| *id)
            .collect();
        over.into_iter()
            .filter_map(|id| Some((id, self.standing.remove(&id)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;

    fn granted(guard: u64, session: Option<u64>, until: u64) -> Granted {
        let written = serde_json::json!({ "name": "g", "hosts": ["a.test"], "ports": ["443/tcp"] });
        let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
        Granted {
            guard: format!("g{guard}"),
            session: session.map(|id| (id, format!("s{id}"))),
            rule: policy.read_rule(&written).unwrap(),
            written,
            since: Time::new(jiff::Timestamp::UNIX_EPOCH),
            until,
            by: By {
                uid: 0,
                claimed: None,
                why: None,
            },
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_numbers_are_never_used_twice() {
        let mut grants = Grants::default();
        for number in 1..=MOST {
            assert_eq!(grants.next(), number as u64);
            assert_eq!(grants.add(granted(1, None, 9)), Ok(number as u64));
        }
        assert_eq!(grants.add(granted(1, None, 9)), Err(Full));
        assert!(grants.remove(7).is_some() && grants.remove(7).is_none());
        assert_eq!(grants.add(granted(1, None, 9)), Ok(MOST as u64 + 1));
        assert_eq!(grants.given("g1").len(), MOST);
        assert!(grants.given("g2").is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u64, Option<u64>, u64),
        Remove(u64),
        Expire(u64),
        EndSession(u64),
        EndGuard(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_u64, prop::option::of(0..3_u64), 0..20_u64)
                .prop_map(|(guard, session, until)| Step::Add(guard, session, until)),
            (0..20_u64).prop_map(Step::Remove),
            (0..20_u64).prop_map(Step::Expire),
            (0..3_u64).prop_map(Step::EndSession),
            (0..3_u64).prop_map(Step::EndGuard),
        ]
    }

    proptest! {
        /// Whatever happens: nothing stands that has ended, and what stands has an owner.
        #[test]
        fn what_has_ended_is_given_to_nobody(steps in prop::collection::vec(step(), 0..60)) {
            let mut grants = Grants::default();
            let mut model: BTreeMap<u64, (u64, Option<u64>, u64)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Add(guard, session, until) => {
                        let id = grants.add(granted(guard, session, until)).unwrap();
                        prop_assert!(model.insert(id, (guard, session, until)).is_none());
                    }
                    Step::Remove(id) => {
                        prop_assert_eq!(grants.remove(id).is_some(), model.remove(&id).is_some());
                    }
                    Step::Expire(now) => {
                        let ended = grants.expired(now).len();
                        let before = model.len();
                        model.retain(|_, (_, _, until)| *until > now);
                        prop_assert_eq!(ended, before - model.len());
                    }
                    Step::EndSession(id) => {
                        grants.end_session(id);
                        model.retain(|_, (_, session, _)| *session != Some(id));
                    }
                    Step::EndGuard(id) => {
                        grants.end_guard(&format!("g{id}"));
                        model.retain(|_, (guard, _, _)| *guard != id);
                    }
                }
                let standing: Vec<u64> = grants.iter().map(|(id, _)| id).collect();
                prop_assert_eq!(standing, model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(grants.next_end(), model.values().map(|(_, _, until)| *until).min());
                prop_assert_eq!(grants.is_empty(), model.is_empty());
                for guard in 0..3 {
                    let given = grants.given(&format!("g{guard}"));
                    let expected: Vec<_> = model.values().filter(|one| one.0 == guard)
                        .map(|(_, session, until)| (*session, *until)).collect();
                    let given: Vec<_> = given.iter().map(|one| (one.session, one.until)).collect();
                    prop_assert_eq!(given, expected);
                }
            }
        }
    }
}
