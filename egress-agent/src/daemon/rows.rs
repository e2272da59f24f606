//! Rows: what each session did with each host. Pure, and bounded whatever a session asks for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use crate::{
    audit::record::{Egress, Verdict},
    policy::Name,
    proxy::Traffic,
};

/// Hosts of one session that have a row of their own.
const HOSTS: usize = 1_024;
/// Where the others are counted. No name has a space.
const OTHERS: &str = "other hosts";
/// Sessions whose rows are kept when they have ended.
const ENDED: usize = 64;
/// Bytes of all their names: the rows of a session fit into one line of the log
/// ([`LONGEST_LINE`](crate::audit::file)).
const NAMES: usize = 96 << 10;

/// One thing that happened with a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    pub(super) host: &'a str,
    pub(super) verdict: Verdict,
    /// 1, or 0 when it never came to a connection.
    pub(super) connections: u64,
    /// `None` where nobody counts it.
    pub(super) traffic: Option<Traffic>,
}

/// The rows of every session, by cgroup id, and of the last that ended.
#[derive(Debug, Default)]
pub(super) struct Rows {
    running: HashMap<u64, Session>,
    /// Oldest first.
    ended: VecDeque<Ended>,
}

#[derive(Debug)]
struct Ended {
    id: u64,
    name: String,
    session: Session,
}

#[derive(Debug, Default)]
struct Session {
    hosts: BTreeMap<String, Row>,
    /// Bytes of their names.
    names: usize,
    others: Option<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    verdict: Verdict,
    connections: u64,
    traffic: Option<Traffic>,
}

impl Rows {
    /// Adds what happened in a session. `runs` says whether it does; what comes late is added to
    /// the rows of the one that ended, and what belongs to neither is not kept.
    pub(super) fn add(&mut self, session: u64, runs: bool, seen: &Seen<'_>) {
        if runs {
            self.running.entry(session).or_default().add(seen);
        } else if let Some(ended) = self.ended.iter_mut().find(|ended| ended.id == session) {
            ended.session.add(seen);
        }
    }

    /// The session has ended. Returns its rows, and keeps them for a while.
    pub(super) fn end(&mut self, id: u64, name: &str) -> Vec<Egress> {
        let session = self.running.remove(&id).unwrap_or_default();
        let rows = session.rows();
        self.ended.push_back(Ended {
            id,
            name: name.to_owned(),
            session,
        });
        if self.ended.len() > ENDED {
            self.ended.pop_front();
        }
        rows
    }

    /// Of a session that runs.
    pub(super) fn running(&self, id: u64) -> Vec<Egress> {
        self.running.get(&id).map(Session::rows).unwrap_or_default()
    }

    /// Of the last session of this name that ended, with its cgroup id. `None` for one that nobody
    /// remembers.
    pub(super) fn ended(&self, name: &str) -> Option<(u64, Vec<Egress>)> {
        let mut ended = self.ended.iter().rev();
        let found = ended.find(|ended| ended.name == name)?;
        Some((found.id, found.session.rows()))
    }
}

impl Session {
    fn add(&mut self, seen: &Seen<'_>) {
        if let Some(host) = canonical(seen.host) {
            if let Some(row) = self.hosts.get_mut(&host) {
                return row.add(seen);
            }
            let names = self.names + host.len();
            if self.hosts.len() < HOSTS && names <= NAMES {
                self.names = names;
                self.hosts.insert(host, Row::from(seen));
                return;
            }
        }
        match &mut self.others {
            Some(row) => row.add(seen),
            none => *none = Some(Row::from(seen)),
        }
    }

    fn rows(&self) -> Vec<Egress> {
        let hosts = self.hosts.iter().map(|(host, row)| row.of(host));
        let others = self.others.iter().map(|row| row.of(OTHERS));
        hosts.chain(others).collect()
    }
}

impl Row {
    fn add(&mut self, seen: &Seen<'_>) {
        if seen.verdict == Verdict::Deny {
            self.verdict = Verdict::Deny;
        }
        self.connections = self.connections.saturating_add(seen.connections);
        self.traffic = match (self.traffic, seen.traffic) {
            (Some(one), Some(other)) => Some(Traffic {
                up: one.up.saturating_add(other.up),
                down: one.down.saturating_add(other.down),
                duration: one.duration.saturating_add(other.duration),
            }),
            (one, other) => one.or(other),
        };
    }

    fn of(&self, host: &str) -> Egress {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Egress {
            host: host.to_owned(),
            verdict: self.verdict,
            connections: self.connections,
            bytes_up: self.traffic.map(|traffic| traffic.up),
            bytes_down: self.traffic.map(|traffic| traffic.down),
            duration_ms: self.traffic.map(|traffic| millis(traffic.duration)),
        }
    }
}

impl From<&Seen<'_>> for Row {
    fn from(seen: &Seen<'_>) -> Self {
        Self {
            verdict: seen.verdict,
            connections: seen.connections,
            traffic: seen.traffic,
        }
    }
}

/// `None` for what is neither a name nor an address: a client may ask for anything.
fn canonical(host: &str) -> Option<String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    Name::parse(host).ok().map(|name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(host: &str, verdict: Verdict, up: u64) -> Seen<'_> {
        Seen {
            host,
            verdict,
            connections: 1,
            traffic: Some(Traffic {
                up,
                down: up.saturating_mul(2),
                duration: Duration::from_millis(up),
            }),
        }
    }

    #[test]
    fn one_denial_marks_a_host_and_everything_adds_up() {
        let mut rows = Rows::default();
        rows.add(7, true, &flow("One.test.", Verdict::Allow, 10));
        rows.add(7, true, &flow("one.test", Verdict::Deny, 5));
        rows.add(7, true, &flow("one.test", Verdict::Allow, 1));
        rows.add(8, true, &flow("two.test", Verdict::Allow, 1));
        let expected = Egress {
            host: "one.test".to_owned(),
            verdict: Verdict::Deny,
            connections: 3,
            bytes_up: Some(16),
            bytes_down: Some(32),
            duration_ms: Some(16),
        };
        assert_eq!(rows.running(7), [expected]);
    }

    #[test]
    fn what_nobody_counted_is_left_empty() {
        let mut rows = Rows::default();
        let seen = Seen {
            host: "192.0.2.1",
            verdict: Verdict::Allow,
            connections: 1,
            traffic: None,
        };
        rows.add(7, true, &seen);
        let [row] = &rows.running(7)[..] else {
            panic!("one row");
        };
        assert_eq!(
            (row.bytes_up, row.bytes_down, row.duration_ms),
            (None, None, None)
        );
        let line = serde_json::to_string(row).unwrap();
        assert_eq!(
            line,
            r#"{"host":"192.0.2.1","verdict":"allow","connections":1}"#
        );
        rows.add(7, true, &flow("192.0.2.1", Verdict::Allow, 3));
        assert_eq!(rows.running(7)[0].bytes_up, Some(3));
    }

    #[test]
    fn hosts_beyond_the_bound_are_counted_together() {
        let mut rows = Rows::default();
        for index in 0..HOSTS + 10 {
            rows.add(
                7,
                true,
                &flow(&format!("h{index:05}.test"), Verdict::Allow, 1),
            );
        }
        rows.add(7, true, &flow("late.test", Verdict::Deny, 1));
        // One that has its row keeps it.
        rows.add(7, true, &flow("h00000.test", Verdict::Allow, 1));
        let found = rows.running(7);
        assert_eq!(found.len(), HOSTS + 1);
        assert_eq!(found[0].connections, 2);
        let others = found.last().unwrap();
        assert_eq!((others.host.as_str(), others.connections), (OTHERS, 11));
        assert_eq!(others.verdict, Verdict::Deny);
        rows.add(8, true, &flow("\u{1b}[2Jx", Verdict::Deny, 1));
        assert_eq!(rows.running(8)[0].host, OTHERS);
    }

    #[test]
    fn the_rows_of_a_session_fit_into_one_line_of_the_log() {
        let mut rows = Rows::default();
        let label = "x".repeat(60);
        for index in 0..2 * HOSTS {
            let host = format!("h{index:05}.{label}.{label}.{label}.test");
            rows.add(7, true, &flow(&host, Verdict::Allow, u64::MAX));
        }
        let line = serde_json::to_string(&rows.running(7)).unwrap();
        assert!(line.len() < 250 << 10, "{}", line.len());
        let count: u64 = rows.running(7).iter().map(|row| row.connections).sum();
        assert_eq!(count, 2 * u64::try_from(HOSTS).unwrap());
    }

    #[test]
    fn ended_sessions_are_remembered_for_a_while_and_take_what_comes_late() {
        let mut rows = Rows::default();
        rows.add(7, true, &flow("one.test", Verdict::Allow, 1));
        assert_eq!(rows.end(7, "s").len(), 1);
        rows.add(7, false, &flow("one.test", Verdict::Allow, 1));
        let (id, found) = rows.ended("s").unwrap();
        assert_eq!((id, found[0].connections), (7, 2));
        assert!(rows.running(7).is_empty());
        // A name is used again.
        rows.add(9, true, &flow("two.test", Verdict::Allow, 1));
        rows.end(9, "s");
        assert_eq!(rows.ended("s").unwrap().0, 9);
        for id in 100..100 + ENDED {
            rows.end(u64::try_from(id).unwrap(), "other");
        }
        assert!(rows.ended("s").is_none());
        rows.add(7, false, &flow("one.test", Verdict::Allow, 1));
        assert!(rows.running.is_empty());
    }
}
