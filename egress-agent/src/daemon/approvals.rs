//! What waits for a person to approve it. Pure: time is passed in.
//!
//! There is one entry for a session and a host under one rule, however often it is asked for. What
//! finds no room is denied at once, and so is for a while what a person refused.

use std::collections::BTreeMap;

use egress_common::Protocol;

use crate::{
    audit::record::{Process, Time},
    policy::Host,
};

/// Entries of one session that may wait at a time.
pub(super) const PER_SESSION: usize = 16;
/// Entries of all sessions.
pub(super) const TOTAL: usize = 256;
/// For so long a session is not asked about again what a person refused it. Nanoseconds.
const REFUSED: u64 = 10 * 60 * 1_000_000_000;
/// Refusals that are remembered; of more the earliest is forgotten.
const REFUSALS: usize = 1024;

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Path of the guarded cgroup.
    pub(super) guard: String,
    /// Cgroup id and name.
    pub(super) session: (u64, String),
    pub(super) host: Host,
    /// Where it is known.
    pub(super) port: Option<(Protocol, u16)>,
    /// Name of the rule that asks.
    pub(super) rule: String,
    pub(super) process: Option<Process>,
    pub(super) since: Time,
    /// Boot time in nanoseconds.
    pub(super) until: u64,
    pub(super) count: u64,
}

/// What happens to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It waits, until this boot time in nanoseconds.
    Waits { until: u64, is_new: bool },
    /// A person said no, not long ago.
    Refused,
    /// So much waits already.
    Full,
}

/// What one entry is about: session, host, rule.
type Key = (u64, String, String);

/// All that waits, and what was refused not long ago.
#[derive(Clone, Debug, Default)]
pub(super) struct Approvals {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    by_key: BTreeMap<Key, u64>,
    /// Until when, in boot time.
    refused: BTreeMap<Key, u64>,
}

impl Approvals {
    /// Takes in a question; joins the entry that is there. `made` has no more than its own first
    /// asker and the deadline of its own.
    pub(super) fn ask(&mut self, made: Waiting, now: u64) -> Asked {
        let key = key(&made);
        if self.refused.get(&key).is_some_and(|until| now < *until) {
            return Asked::Refused;
        }
        if let Some(id) = self.by_key.get(&key)
            && let Some(waiting) = self.waiting.get_mut(id)
            && now < waiting.until
        {
            waiting.count += 1;
            waiting.port = waiting.port.or(made.port);
            return Asked::Waits {
                until: waiting.until,
                is_new: false,
            };
        }
        let (session, _) = made.session;
        let of_session = self.waiting.values().filter(|one| one.session.0 == session);
        if of_session.count() >= PER_SESSION || self.waiting.len() >= TOTAL {
            return Asked::Full;
        }
        self.last += 1;
        let until = made.until;
        self.by_key.insert(key, self.last);
        self.waiting.insert(self.last, made);
        Asked::Waits {
            until,
            is_new: true,
        }
    }

    /// What waits under this number and has not run out.
    pub(super) fn get(&self, id: u64, now: u64) -> Option<&Waiting> {
        self.waiting.get(&id).filter(|one| now < one.until)
    }

    /// The number of the entry for this host, where there is one.
    pub(super) fn find(&self, session: u64, host: &Host, rule: &str) -> Option<u64> {
        let key = (session, host.to_string(), rule.to_owned());
        self.by_key.get(&key).copied()
    }

    /// A person has answered: it waits no longer.
    pub(super) fn settle(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        let key = key(&waiting);
        if self.by_key.get(&key) == Some(&id) {
            self.by_key.remove(&key);
        }
        Some(waiting)
    }

    /// A person said no.
    pub(super) fn refuse(&mut self, id: u64, now: u64) -> Option<Waiting> {
        let waiting = self.settle(id)?;
        self.refused.retain(|_, until| now < *until);
        while self.refused.len() >= REFUSALS {
            let first = self.refused.iter().min_by_key(|(_, until)| **until);
            let Some(key) = first.map(|(key, _)| key.clone()) else {
                break;
            };
            self.refused.remove(&key);
        }
        self.refused
            .insert(key(&waiting), now.saturating_add(REFUSED));
        Some(waiting)
    }

    /// A person has changed their mind about what they refused: it may be asked about again.
    pub(super) fn forgive(&mut self, session: Option<u64>) {
        self.refused
            .retain(|(of, _, _), _| session.is_some_and(|session| session != *of));
    }

    /// Takes out what has run out.
    pub(super) fn expired(&mut self, now: u64) -> Vec<(u64, Waiting)> {
        self.take(|one| one.until <= now)
    }

    /// Takes out what a session that is over was waiting for.
    pub(super) fn end_session(&mut self, session: u64) -> Vec<(u64, Waiting)> {
        self.refused.retain(|(of, _, _), _| *of != session);
        self.take(|one| one.session.0 == session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.waiting.iter().map(|(id, waiting)| (*id, waiting))
    }

    /// When the next entry runs out.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.waiting.values().map(|one| one.until).min()
    }

    fn take(&mut self, is_over: impl Fn(&Waiting) -> bool) -> Vec<(u64, Waiting)> {
        let over: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, one)| is_over(one))
            .map(|(id, _)| *id)
            .collect();
        over.into_iter()
            .filter_map(|id| Some((id, self.settle(id)?)))
            .collect()
    }
}

fn key(waiting: &Waiting) -> Key {
    (
        waiting.session.0,
        waiting.host.to_string(),
        waiting.rule.clone(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Name;

    fn waiting(session: u64, host: u64, until: u64) -> Waiting {
        Waiting {
            guard: "agent".to_owned(),
            session: (session, format!("s{session}")),
            host: Host::Name(Name::parse(&format!("h{host}.test")).unwrap()),
            port: None,
            rule: "asked".to_owned(),
            process: None,
            since: Time::new(jiff::Timestamp::UNIX_EPOCH),
            until,
            count: 1,
        }
    }

    #[test]
    fn one_host_of_one_session_waits_once() {
        let mut approvals = Approvals::default();
        let new = |until| Asked::Waits {
            until,
            is_new: true,
        };
        assert_eq!(approvals.ask(waiting(1, 1, 30), 0), new(30));
        let again = Asked::Waits {
            until: 30,
            is_new: false,
        };
        assert_eq!(approvals.ask(waiting(1, 1, 40), 10), again);
        assert_eq!(approvals.ask(waiting(2, 1, 40), 10), new(40));
        assert_eq!(approvals.get(1, 29).map(|one| one.count), Some(2));
        // What has run out is approved by nobody, and asked about anew.
        assert!(approvals.get(1, 30).is_none() && approvals.get(9, 0).is_none());
        assert_eq!(approvals.ask(waiting(1, 1, 60), 30), new(60));
        assert_eq!(approvals.expired(30).len(), 1);
        assert_eq!(approvals.find(1, &waiting(1, 1, 0).host, "asked"), Some(3));
    }

    #[test]
    fn a_flood_finds_no_room() {
        let mut approvals = Approvals::default();
        for host in 0..10_000 {
            let asked = approvals.ask(waiting(1, host, 30), 0);
            assert_eq!(asked == Asked::Full, host >= PER_SESSION as u64, "{host}");
        }
        // Nobody else is kept from asking, until there are too many in all.
        for session in 2..10_000 {
            let asked = approvals.ask(waiting(session, 1, 30), 0);
            let has_room = session - 2 < (TOTAL - PER_SESSION) as u64;
            assert_eq!(asked != Asked::Full, has_room, "{session}");
        }
        assert_eq!(approvals.iter().count(), TOTAL);
        assert_eq!(approvals.end_session(1).len(), PER_SESSION);
        assert_eq!(approvals.expired(30).len(), TOTAL - PER_SESSION);
        assert!(approvals.next_end().is_none() && approvals.by_key.is_empty());
    }

    #[test]
    fn a_no_holds_for_a_while_and_for_the_session_that_asked() {
        let mut approvals = Approvals::default();
        approvals.ask(waiting(1, 1, 30), 0);
        assert!(approvals.refuse(1, 5).is_some() && approvals.refuse(1, 5).is_none());
        assert_eq!(approvals.ask(waiting(1, 1, 40), 10), Asked::Refused);
        assert_ne!(approvals.ask(waiting(2, 1, 40), 10), Asked::Refused);
        assert_ne!(approvals.ask(waiting(1, 2, 40), 10), Asked::Refused);
        let later = 5 + REFUSED;
        assert_ne!(
            approvals.ask(waiting(1, 1, later + 30), later),
            Asked::Refused
        );
        for host in 0..2 * REFUSALS as u64 {
            approvals.ask(waiting(9, 100 + host, u64::MAX), later);
            let id = approvals.last;
            approvals.refuse(id, later + host);
        }
        assert!(approvals.refused.len() <= REFUSALS);
        approvals.end_session(9);
        assert!(
            approvals
                .refused
                .keys()
                .all(|(session, _, _)| *session != 9)
        );
        approvals.forgive(None);
        assert!(approvals.refused.is_empty());
    }

    proptest! {
        /// However it is used, an entry is found by its number as long as by its host.
        #[test]
        fn numbers_and_hosts_agree(
            steps in prop::collection::vec((0..6_u8, 0..3_u64, 0..5_u64, 0..50_u64), 0..200),
        ) {
            let mut approvals = Approvals::default();
            let mut now = 0;
            for (kind, session, host, number) in steps {
                match kind {
                    0..=2 => {
                        approvals.ask(waiting(session, host, now + number), now);
                    }
                    3 => {
                        approvals.settle(number);
                    }
                    4 => {
                        approvals.refuse(number, now);
                    }
                    _ => {
                        now += number;
                        for (_, one) in approvals.expired(now) {
                            prop_assert!(one.until <= now);
                        }
                    }
                }
                prop_assert_eq!(approvals.waiting.len(), approvals.by_key.len());
                for (id, one) in approvals.iter() {
                    let found = approvals.find(one.session.0, &one.host, &one.rule);
                    prop_assert_eq!(found, Some(id));
                }
            }
        }
    }
}
