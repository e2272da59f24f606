//! What happens, a line each, in plain words: for screen readers, pipes and logs. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use jiff::tz::TimeZone;

use super::{
    model::{Counts, Rates},
    rows::{denial_key, flow_key, lease_key, process, what},
    words::{bounded, short},
};
use crate::{
    audit::record::{Mode, Record, Time},
    control::overview::{Flow, HeldLease, Overview, Through},
};

/// Lines about one kind of thing at a time; the rest is counted.
const MOST: usize = 20;

/// Compares each overview with the one before.
#[derive(Debug)]
pub(super) struct Plain {
    zone: TimeZone,
    /// Between two summaries.
    interval: Duration,
    before: Option<Before>,
    summed: Option<(Duration, Counts)>,
    is_gone: bool,
}

/// What was there.
#[derive(Debug, Default)]
struct Before {
    /// The daemon.
    pid: u32,
    /// With what each runs.
    sessions: BTreeMap<String, String>,
    flows: HashSet<String>,
    leases: HashSet<String>,
    /// How often each was denied.
    denials: HashMap<String, u64>,
}

impl Plain {
    pub(super) fn new(zone: TimeZone, interval: Duration) -> Self {
        Self {
            zone,
            interval,
            before: None,
            summed: None,
            is_gone: false,
        }
    }

    /// What happened since the last overview. `now` is any clock that only goes on. What was there
    /// before the first one is only summed up.
    pub(super) fn lines(&mut self, overview: &Overview, now: Duration) -> Vec<String> {
        let time = self.time(overview.time);
        let mut lines = Vec::new();
        if std::mem::take(&mut self.is_gone) {
            lines.push("egressd answers again".to_owned());
        }
        let after = Before::new(overview);
        if let Some(before) = &self.before {
            lines.extend(sessions(before, &after));
            lines.extend(denials(before, overview));
            let new = overview
                .flows
                .iter()
                .filter(|flow| !before.flows.contains(&flow_key(flow)));
            lines.extend(few(new.map(flow), "new flows"));
            let new = overview
                .leases
                .iter()
                .filter(|lease| !before.leases.contains(&lease_key(lease)));
            lines.extend(few(new.map(lease), "new leases"));
        }
        self.before = Some(after);
        let counts = Counts::new(overview, now);
        let is_due = self
            .summed
            .is_none_or(|(then, _)| now.saturating_sub(then) >= self.interval);
        if is_due {
            let rates = self.summed.map(|(_, before)| counts.since(before));
            lines.push(summary(overview, rates.unwrap_or_default()));
            self.summed = Some((now, counts));
        }
        lines
            .into_iter()
            .map(|line| format!("{time} {line}"))
            .collect()
    }

    /// The daemon does not answer. It is said once.
    pub(super) fn gone(&mut self, why: &str, now: Time) -> Option<String> {
        if std::mem::replace(&mut self.is_gone, true) {
            return None;
        }
        let why = bounded(why, 300);
        Some(format!(
            "{} {}; trying again ({why})",
            self.time(now),
            super::draw::GONE
        ))
    }

    fn time(&self, time: Time) -> String {
        let local = time.timestamp().to_zoned(self.zone.clone());
        local.strftime("%H:%M:%S").to_string()
    }
}

impl Before {
    fn new(overview: &Overview) -> Self {
        let sessions = overview.status.sessions.iter();
        Self {
            pid: overview.status.pid,
            sessions: sessions
                .map(|one| {
                    let command = one.command.join(" ");
                    let text = format!("uid {}: {}", one.uid, bounded(&command, 200));
                    (one.id.clone(), text)
                })
                .collect(),
            flows: overview.flows.iter().map(flow_key).collect(),
            leases: overview.leases.iter().map(lease_key).collect(),
            denials: overview
                .denials
                .iter()
                .map(|record| (denial_key(record), record.count))
                .collect(),
        }
    }
}

fn sessions(before: &Before, after: &Before) -> Vec<String> {
    let began = after
        .sessions
        .iter()
        .filter(|(id, _)| !before.sessions.contains_key(*id))
        .map(|(id, text)| format!("session {} began, {text}", bounded(id, 100)));
    let ended = before
        .sessions
        .keys()
        .filter(|id| !after.sessions.contains_key(*id))
        .map(|id| format!("session {} ended", bounded(id, 100)));
    let mut lines = few(began, "sessions that began");
    lines.extend(few(ended, "sessions that ended"));
    lines
}

fn denials(before: &Before, overview: &Overview) -> Vec<String> {
    // Another daemon counts anew.
    let is_same = before.pid == overview.status.pid;
    let new = overview.denials.iter().filter_map(|record| {
        let known = before.denials.get(&denial_key(record)).copied();
        let known = known.filter(|_| is_same).unwrap_or(0);
        let times = record.count.saturating_sub(known);
        (times > 0).then(|| denial(record, times))
    });
    few(new, "other denials")
}

fn denial(record: &Record, times: u64) -> String {
    let who = match &record.session {
        Some(session) => format!("session {}", bounded(session, 100)),
        None => "a process without a session".to_owned(),
    };
    let process = process(record);
    let process = if process.is_empty() {
        process
    } else {
        format!(" {}", bounded(&process, 60))
    };
    let word = if record.mode == Some(Mode::Observe) {
        "would be denied"
    } else {
        "denied"
    };
    let reason = record.reason.as_deref().unwrap_or("no reason given");
    let times = if times > 1 {
        format!(", {times} times")
    } else {
        String::new()
    };
    format!(
        "{word}: {who}{process} to {}, {}{times}",
        bounded(&what(record), 300),
        bounded(reason, 60),
    )
}

fn flow(flow: &Flow) -> String {
    let via = match flow.through {
        None => "",
        Some(Through::Proxy) => " through the proxy",
        Some(Through::Resolver) => " to the guard resolver",
    };
    let name = flow
        .name
        .as_deref()
        .map_or_else(String::new, |name| format!(", {}", bounded(name, 300)));
    format!(
        "new flow: session {} to {} {}{name}{via}",
        bounded(&flow.session, 100),
        flow.remote,
        bounded(&flow.protocol, 20),
    )
}

fn lease(lease: &HeldLease) -> String {
    let who = match &lease.session {
        Some(session) => format!("session {}", bounded(session, 100)),
        None => "processes without a session".to_owned(),
    };
    format!(
        "new lease: {who} may reach {} as {} for {}",
        lease.address,
        bounded(&lease.name, 300),
        short(Duration::from_millis(lease.expires_in_ms)),
    )
}

fn summary(overview: &Overview, rates: Rates) -> String {
    let status = &overview.status;
    let mode = match status.mode {
        Mode::Enforce => "enforcing",
        Mode::Observe => "observing, nothing is refused",
    };
    let gaps: usize = status.guards.iter().map(|guard| guard.gaps.len()).sum();
    let gaps = match gaps {
        0 => "no gap".to_owned(),
        gaps => format!("gaps: {gaps}, see egressctl status"),
    };
    let rate =
        |rate: Option<f64>| rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{rate:.1}"));
    let mut text = format!(
        "summary: {mode}, {gaps}; sessions {}, flows {}, leases {}; each second: denials {}, questions {}, records {}",
        status.sessions.len(),
        overview.flows_total,
        overview.leases_total,
        rate(rates.denials),
        rate(rates.questions),
        rate(rates.events),
    );
    if let Some(missing) = &overview.flows_missing {
        text = format!("{text}; flows are missing: {}", bounded(missing, 200));
    }
    text
}

/// The first of them, and how many more there were.
fn few(lines: impl Iterator<Item = String>, kind: &str) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    let rest = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if rest > 0 {
        lines.push(format!("and {rest} {kind} that are not shown"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::tests::{at, denied, overview};

    fn plain() -> Plain {
        Plain::new(TimeZone::UTC, Duration::from_mins(1))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_there_is_summed_up_and_what_happens_is_said() {
        let mut plain = plain();
        let first = overview();
        let lines = plain.lines(&first, seconds(0));
        assert_eq!(
            lines,
            [
                "10:21:00 summary: enforcing, gaps: 1, see egressctl status; sessions 2, flows 4, leases 2; each second: denials unknown, questions unknown, records unknown"
            ]
        );
        assert!(plain.lines(&first, seconds(1)).is_empty());

        let mut next = overview();
        next.time = at(2);
        next.status.sessions.remove(0);
        next.flows[0].local.set_port(50_999);
        next.leases[0].name = "new.test".to_owned();
        next.denials[0].count += 3;
        let mut fresh = denied("s2", "198.51.100.9");
        fresh.process.as_mut().unwrap().comm = "x\u{1b}[2J\n".to_owned();
        next.denials.push(fresh);
        let lines = plain.lines(&next, seconds(2));
        assert_eq!(
            lines,
            [
                "10:21:02 session claude-1 ended",
                "10:21:02 denied: session claude-1 curl[4242] to 203.0.113.7:443, no-rule, 3 times",
                r"10:21:02 denied: session s2 x\u{1b}[2J\n[4242] to 198.51.100.9:443, no-rule",
                "10:21:02 new flow: session claude-1 to 198.51.100.4:443 tcp, api.example.test through the proxy",
                "10:21:02 new lease: session claude-1 may reach 198.51.100.4 as new.test for 4m",
            ]
        );
    }

    #[test]
    fn summaries_come_at_their_interval_with_rates() {
        let mut plain = plain();
        let mut now = overview();
        plain.lines(&now, seconds(0));
        now.denials_total += 120;
        now.events += 600;
        let lines = plain.lines(&now, seconds(60));
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].ends_with("each second: denials 2.0, questions 0.0, records 10.0"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_daemon_that_is_gone_is_told_once_and_so_is_its_return() {
        let mut plain = plain();
        plain.lines(&overview(), seconds(0));
        let gone = plain.gone("no\nsocket", at(1)).unwrap();
        assert_eq!(
            gone,
            r"10:21:01 egressd does not answer: what is pinned goes on denying; trying again (no\nsocket)"
        );
        assert_eq!(plain.gone("no socket", at(2)), None);
        let mut other = overview();
        other.status.pid += 1;
        other.denials.clear();
        other.time = at(3);
        let lines = plain.lines(&other, seconds(3));
        assert_eq!(lines, ["10:21:03 egressd answers again"]);
    }

    #[test]
    fn many_at_once_are_counted() {
        let mut plain = plain();
        plain.lines(&overview(), seconds(0));
        let mut next = overview();
        let flow = next.flows[0].clone();
        for port in 0..50 {
            let mut flow = flow.clone();
            flow.local.set_port(10_000 + port);
            next.flows.push(flow);
        }
        let lines = plain.lines(&next, seconds(1));
        assert_eq!(lines.len(), MOST + 1);
        assert!(lines[MOST].ends_with("and 30 new flows that are not shown"));
    }
}
