//! The last denials of each session, in memory: what `why`, `top` and the summary of a run show.
//! Guarded processes without a session count as one.
//!
//! Equal denials are folded into one record with a count and the latest time. Everything is
//! bounded; when the bound is met, the session that was denied something longest ago is forgotten.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::record::Record;

/// Records kept for one session.
const PER_SESSION: usize = 256;
const SESSIONS: usize = 1_024;
/// Records kept in all; about 10 MB when full.
const TOTAL: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Denials {
    sessions: BTreeMap<String, Session>,
    total: usize,
    /// Counts what came in; orders sessions by it.
    turn: u64,
    /// Denials that ever came in.
    kept: u64,
}

#[derive(Debug, Default)]
struct Session {
    /// Latest last.
    records: VecDeque<Arc<Record>>,
    touched: u64,
}

impl Denials {
    /// Keeps `record` when it is a denial.
    pub(super) fn keep(&mut self, record: &Arc<Record>) {
        if !record.is_denial() {
            return;
        }
        // No session has this name.
        let session = record.session.as_deref().unwrap_or_default();
        self.kept = self.kept.saturating_add(record.count);
        self.turn = self.turn.saturating_add(1);
        let kept = self.sessions.entry(session.to_owned()).or_default();
        kept.touched = self.turn;
        let before = kept.records.len();
        kept.fold(record);
        self.total = self.total - before + kept.records.len();
        while self.sessions.len() > SESSIONS || self.total > TOTAL {
            self.forget_one();
        }
    }

    /// Latest last; empty for a session that was denied nothing, or is not known any more.
    pub(super) fn of(&self, session: &str) -> Vec<Arc<Record>> {
        self.sessions
            .get(session)
            .map(|kept| kept.records.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The latest of all sessions, or of one, latest last.
    pub(super) fn latest(&self, session: Option<&str>, most: usize) -> Vec<Arc<Record>> {
        let mut latest = match session {
            Some(session) => self.of(session),
            None => self
                .sessions
                .values()
                .flat_map(|kept| kept.records.iter().cloned())
                .collect(),
        };
        latest.sort_by_key(|record| record.time);
        latest.split_off(latest.len().saturating_sub(most))
    }

    /// Denials that ever came in.
    pub(super) const fn count(&self) -> u64 {
        self.kept
    }

    fn forget_one(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, kept)| kept.touched);
        let Some(oldest) = oldest.map(|(session, _)| session.clone()) else {
            return;
        };
        if let Some(forgotten) = self.sessions.remove(&oldest) {
            self.total -= forgotten.records.len();
        }
    }
}

impl Session {
    fn fold(&mut self, record: &Arc<Record>) {
        let equal = self.records.iter().position(|kept| is_equal(kept, record));
        let mut record = Arc::clone(record);
        if let Some(before) = equal.and_then(|index| self.records.remove(index)) {
            let record = Arc::make_mut(&mut record);
            record.count = record.count.saturating_add(before.count);
        } else if self.records.len() == PER_SESSION {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }
}

/// The same thing denied for the same reason to the same program.
fn is_equal(a: &Record, b: &Record) -> bool {
    a.flow == b.flow
        && a.socket == b.socket
        && a.name == b.name
        && a.qtype == b.qtype
        && a.event == b.event
        && a.layer == b.layer
        && a.reason == b.reason
        && a.tool == b.tool
        && a.rule == b.rule
        && comm(a) == comm(b)
}

fn comm(record: &Record) -> Option<&str> {
    record.process.as_ref().map(|process| process.comm.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Verdict, tests::denial};

    fn denied(session: &str, second: u32, address: &str) -> Arc<Record> {
        let mut record = denial(second, address);
        record.session = Some(session.to_owned());
        Arc::new(record)
    }

    #[test]
    fn equal_denials_are_one_with_a_count_and_the_latest_time() {
        let mut denials = Denials::default();
        denials.keep(&denied("a", 1, "203.0.113.1"));
        denials.keep(&denied("a", 2, "203.0.113.2"));
        denials.keep(&denied("a", 3, "203.0.113.1"));
        let kept = denials.of("a");
        let counts: Vec<_> = kept.iter().map(|record| record.count).collect();
        assert_eq!(counts, [1, 2]);
        assert_eq!(kept[1].time, denial(3, "::").time);
        assert!(denials.of("b").is_empty());
    }

    #[test]
    fn what_was_allowed_is_not_kept() {
        let mut denials = Denials::default();
        let mut record = denial(1, "203.0.113.1");
        record.verdict = Some(Verdict::Allow);
        denials.keep(&Arc::new(record));
        assert_eq!((denials.total, denials.count()), (0, 0));
    }

    #[test]
    fn the_latest_of_all_come_in_order_and_those_without_a_session_too() {
        let mut denials = Denials::default();
        denials.keep(&denied("b", 4, "203.0.113.1"));
        denials.keep(&denied("a", 1, "203.0.113.2"));
        let mut alone = denial(3, "203.0.113.3");
        alone.session = None;
        denials.keep(&Arc::new(alone));
        denials.keep(&denied("a", 2, "203.0.113.2"));
        let times = |session: Option<&str>, most: usize| -> Vec<_> {
            let latest = denials.latest(session, most);
            latest.iter().map(|record| record.time).collect()
        };
        let at = |second: u32| denial(second, "::").time;
        assert_eq!(times(None, 9), [at(2), at(3), at(4)]);
        assert_eq!(times(None, 2), [at(3), at(4)]);
        assert_eq!(times(Some("a"), 9), [at(2)]);
        assert_eq!(denials.count(), 4);
    }

    #[test]
    fn a_session_keeps_its_last_denials() {
        let mut denials = Denials::default();
        for number in 0..=PER_SESSION {
            denials.keep(&denied("a", 1, &format!("2001:db8::{number:x}")));
        }
        let kept = denials.of("a");
        assert_eq!(kept.len(), PER_SESSION);
        assert_eq!(kept[0].flow, denied("a", 1, "2001:db8::1").flow);
        assert_eq!(denials.total, PER_SESSION);
    }

    #[test]
    fn the_session_denied_longest_ago_is_forgotten() {
        let mut denials = Denials::default();
        for number in 0..=SESSIONS {
            denials.keep(&denied(&number.to_string(), 1, "203.0.113.1"));
            denials.keep(&denied("0", 1, "203.0.113.1"));
        }
        assert_eq!(denials.sessions.len(), SESSIONS);
        assert!(denials.of("1").is_empty());
        assert_eq!(denials.of("0").len(), 1);
        assert_eq!(denials.total, SESSIONS);
    }

    #[test]
    fn the_total_is_bounded() {
        let mut denials = Denials::default();
        for session in 0..=TOTAL / PER_SESSION {
            for number in 0..PER_SESSION {
                let address = format!("2001:db8::{number:x}");
                denials.keep(&denied(&session.to_string(), 1, &address));
            }
        }
        assert!(denials.total <= TOTAL);
        let counted: usize = denials
            .sessions
            .values()
            .map(|kept| kept.records.len())
            .sum();
        assert_eq!(denials.total, counted);
    }
}
