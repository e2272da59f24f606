//! From records, one after the other, to a [`Report`]. Pure, in bounded memory.

mod session;

use std::collections::BTreeMap;

use super::{
    Event, Head, PolicySeen, Report, Span, Tally, Top,
    table::{Rows, clip},
    timeline::Growing,
};
use crate::audit::record::{Kind, Layer, Record};
use session::Gathered;

/// Sessions with a part of their own; the others are counted together.
const MOST_SESSIONS: usize = 2_000;
/// Rows of all tables together: some ten megabytes.
const MOST_ROWS: usize = 100_000;
/// Policies, and events of the daemon's life.
const MOST_EVENTS: usize = 1_000;
/// Lines that are no records.
const MOST_UNREADABLE: usize = 20;
/// Buckets of the timeline.
const BUCKETS: i64 = 120;

/// A report in the making.
#[derive(Debug)]
pub struct Gather {
    span: Option<Span>,
    records: u64,
    unreadable: Vec<String>,
    unreadable_more: u64,
    lost: BTreeMap<Layer, u64>,
    missing: u64,
    tally: Tally,
    timeline: Growing,
    policies: Vec<PolicySeen>,
    policies_more: u64,
    events: Vec<Event>,
    events_more: u64,
    /// A start was seen, and no stop since.
    runs: bool,
    unclean_starts: u64,
    sessions: Vec<Gathered>,
    /// The last run of each name.
    by_name: BTreeMap<String, usize>,
    outside: Option<Gathered>,
    /// Those beyond the bound.
    others: Option<Gathered>,
    /// Names among them, as far as they begin.
    others_begun: u64,
    room: usize,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            span: None,
            records: 0,
            unreadable: Vec::new(),
            unreadable_more: 0,
            lost: BTreeMap::new(),
            missing: 0,
            tally: Tally::default(),
            timeline: Growing::new(BUCKETS),
            policies: Vec::new(),
            policies_more: 0,
            events: Vec::new(),
            events_more: 0,
            runs: false,
            unclean_starts: 0,
            sessions: Vec::new(),
            by_name: BTreeMap::new(),
            outside: None,
            others: None,
            others_begun: 0,
            room: MOST_ROWS,
        }
    }
}

impl Gather {
    pub fn add(&mut self, record: &Record) {
        self.records += 1;
        self.span
            .get_or_insert(Span::of(record.time))
            .note(record.time);
        for (layer, count) in &record.lost {
            let lost = self.lost.entry(*layer).or_default();
            *lost = lost.saturating_add(*count);
        }
        match record.event {
            Kind::Flow
            | Kind::Socket
            | Kind::Question
            | Kind::ToolCall
            | Kind::Message
            | Kind::Request => self.decided(record),
            Kind::SessionBegin => self.begun(record),
            Kind::SessionEnd => self.ended(record),
            Kind::PolicyLoaded => self.loaded(record),
            Kind::Start => {
                self.unclean_starts += u64::from(self.runs);
                self.runs = true;
                self.event(record);
            }
            Kind::Stop => {
                self.runs = false;
                self.event(record);
            }
            Kind::Mended => {
                let missing = record.gap.as_ref().map_or(0, |gap| gap.missing);
                self.missing = self.missing.saturating_add(missing);
                self.event(record);
            }
            Kind::PolicyRefused
            | Kind::GuardAttached
            | Kind::GuardLost
            | Kind::GuardReleased
            | Kind::SettingChanged
            | Kind::GrantAdded
            | Kind::GrantEnded
            | Kind::Approval
            | Kind::Lost => self.event(record),
        }
    }

    /// Takes in what a line that is no record is told of as.
    pub fn unreadable(&mut self, what: &str) {
        if self.unreadable.len() < MOST_UNREADABLE {
            self.unreadable.push(clip(what).to_owned());
        } else {
            self.unreadable_more += 1;
        }
    }

    /// `most` rows of each table.
    pub fn finish(mut self, head: Head, most: usize) -> Report {
        let mut latest = BTreeMap::new();
        for (index, policy) in self.policies.iter().enumerate() {
            latest.insert(policy.guard.clone(), index);
        }
        for index in latest.into_values() {
            if let Some(policy) = self.policies.get_mut(index) {
                policy.in_force = true;
            }
        }
        let (more_sessions, uncounted) = self
            .others
            .as_ref()
            .map_or((0, 0), |others| (self.others_begun, others.records()));
        let sessions = self.sessions.into_iter().chain(self.outside);
        let mut sessions = Top::first(
            sessions.map(|session| session.finish(most)).collect(),
            most.max(MOST_SHOWN),
            uncounted,
        );
        sessions.more = sessions.more.saturating_add(more_sessions);
        let mut policies = Top::first(self.policies, most.max(MOST_SHOWN), 0);
        policies.more = policies.more.saturating_add(self.policies_more);
        let mut events = Top::first(self.events, most.max(MOST_SHOWN), 0);
        events.more = events.more.saturating_add(self.events_more);
        Report {
            head,
            span: self.span,
            records: self.records,
            unreadable: Top {
                rows: self.unreadable,
                more: self.unreadable_more,
                uncounted: 0,
            },
            lost: self.lost,
            missing: self.missing,
            tally: self.tally,
            timeline: self.timeline.finish(),
            policies,
            events,
            unclean_starts: self.unclean_starts,
            sessions,
        }
    }

    fn decided(&mut self, record: &Record) {
        self.tally.add(record.verdict, record.mode, record.count);
        self.timeline
            .at(record.time)
            .add(record.verdict, record.mode, record.count);
        let mut room = self.room;
        self.session(record).decided(record, &mut room);
        self.room = room;
    }

    fn begun(&mut self, record: &Record) {
        // A name is used again: that is another run.
        let name = record.session.as_deref().map(clip).unwrap_or_default();
        if let Some(index) = self.by_name.get(name)
            && self.sessions.get(*index).is_some_and(Gathered::is_over)
        {
            self.by_name.remove(name);
        }
        let policy = self.policy_of(record);
        let is_full = self.sessions.len() >= MOST_SESSIONS;
        let is_new = !self.by_name.contains_key(name);
        self.others_begun += u64::from(is_full && is_new);
        self.session(record).begun(record, policy);
    }

    fn ended(&mut self, record: &Record) {
        let mut room = self.room;
        self.session(record).ended(record, &mut room);
        self.room = room;
    }

    fn policy_of(&self, record: &Record) -> Option<String> {
        let guard = record.guard.as_deref()?;
        let mut loaded = self.policies.iter().rev();
        let policy = loaded.find(|policy| policy.guard == guard)?;
        Some(format!("{} ({})", policy.name, policy.digest.get(..12)?))
    }

    /// The run that a record belongs to.
    fn session(&mut self, record: &Record) -> &mut Gathered {
        let Some(name) = record.session.as_deref() else {
            return self
                .outside
                .get_or_insert_with(|| Gathered::new(None, record));
        };
        let name = clip(name);
        let index = self.by_name.get(name).copied();
        let index = match index {
            Some(index) => index,
            None if self.sessions.len() >= MOST_SESSIONS => usize::MAX,
            None => {
                self.sessions.push(Gathered::new(Some(name), record));
                let index = self.sessions.len() - 1;
                self.by_name.insert(name.to_owned(), index);
                index
            }
        };
        match self.sessions.get_mut(index) {
            Some(session) => session,
            None => self
                .others
                .get_or_insert_with(|| Gathered::new(None, record)),
        }
    }

    fn loaded(&mut self, record: &Record) {
        let Some(policy) = &record.policy else {
            return self.event(record);
        };
        if self.policies.len() >= MOST_EVENTS {
            self.policies_more += 1;
            return;
        }
        self.policies.push(PolicySeen {
            time: record.time,
            guard: clip(record.guard.as_deref().unwrap_or_default()).to_owned(),
            name: clip(&policy.name).to_owned(),
            digest: clip(&policy.digest).to_owned(),
            mode: record.mode,
            in_force: false,
        });
    }

    fn event(&mut self, record: &Record) {
        if self.events.len() >= MOST_EVENTS {
            self.events_more += 1;
            return;
        }
        self.events.push(Event {
            time: record.time,
            event: record.event,
            guard: record.guard.as_deref().map(|guard| clip(guard).to_owned()),
            message: record.message.as_deref().map(|text| clip(text).to_owned()),
        });
    }
}

/// Sessions, policies and events are shown by more than rows of a table are.
const MOST_SHOWN: usize = 200;

impl<T> Rows<T> {
    /// Gives back the room of rows that are thrown away.
    fn empty(&mut self, room: &mut usize) {
        *room += self.len();
        self.clear();
    }
}

#[cfg(test)]
mod tests;
