//! New records as a stream of events: bounded in what waits and in what is sent, and whatever is
//! left out is told.

use std::time::Duration;

use futures_util::{Stream, stream::unfold};
use hyper::body::Bytes;
use tokio::time::{Instant, timeout};

use crate::audit::{
    filter::Filter,
    sink::{Followed, Follower},
};

/// Records that are sent in one second; a person reads fewer.
const MOST: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);
/// How often a stream says that it is still there.
const PULSE: Duration = Duration::from_secs(5);

/// Decides what is sent. Pure: time is passed in.
#[derive(Debug)]
struct Pace {
    /// When the current second began.
    since: Duration,
    sent: u32,
    /// Left out, and not told yet.
    missed: u64,
}

impl Pace {
    const fn new(now: Duration) -> Self {
        Self {
            since: now,
            sent: 0,
            missed: 0,
        }
    }

    /// Whether one more record may be sent now. One that may not is missed.
    fn admit(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= SECOND {
            *self = Self {
                missed: self.missed,
                ..Self::new(now)
            };
        }
        let admitted = self.sent < MOST;
        if admitted {
            self.sent += 1;
        } else {
            self.missed = self.missed.saturating_add(1);
        }
        admitted
    }

    /// What was missed since this was asked last.
    fn take_missed(&mut self) -> Option<u64> {
        let missed = std::mem::take(&mut self.missed);
        (missed > 0).then_some(missed)
    }

    /// How long to wait for a record before something else has to be said.
    const fn wait(&self) -> Duration {
        if self.missed > 0 { SECOND } else { PULSE }
    }
}

struct State {
    follower: Follower,
    filter: Filter,
    begun: Instant,
    pace: Pace,
}

/// Ends when the log is closed, which is when the daemon stops.
pub(super) fn stream(follower: Follower, filter: Filter) -> impl Stream<Item = Bytes> + Send {
    let state = State {
        follower,
        filter,
        begun: Instant::now(),
        pace: Pace::new(Duration::ZERO),
    };
    // The first words come at once: the page knows by them that it is connected.
    let hello = futures_util::stream::once(async { Bytes::from_static(b": egressd\n\n") });
    futures_util::StreamExt::chain(hello, unfold(state, next))
}

async fn next(mut state: State) -> Option<(Bytes, State)> {
    loop {
        let Ok(followed) = timeout(state.pace.wait(), state.follower.next()).await else {
            let said = state.pace.take_missed().map_or_else(
                || Bytes::from_static(b": still here\n\n"),
                |missed| event(Some(missed), None),
            );
            return Some((said, state));
        };
        match followed? {
            Followed::Missed(missed) => {
                // How many of them would have been wanted, nobody knows.
                state.pace.missed = state.pace.missed.saturating_add(missed);
            }
            Followed::Line(line) if state.filter.matches(&line.record) => {
                if state.pace.admit(state.begun.elapsed()) {
                    let missed = state.pace.take_missed();
                    return Some((event(missed, Some(&line.text)), state));
                }
            }
            Followed::Line(_) => {}
        }
    }
}

/// A line of the log has no newline in it.
fn event(missed: Option<u64>, line: Option<&str>) -> Bytes {
    let mut text = String::new();
    if let Some(missed) = missed {
        text = format!("event: missed\ndata: {missed}\n\n");
    }
    if let Some(line) = line {
        text.push_str("event: record\ndata: ");
        text.extend(line.chars().filter(|c| !matches!(c, '\n' | '\r')));
        text.push_str("\n\n");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::audit::{
        record::{Layer, tests::denial},
        sink::{Settings, Sink},
    };

    #[test]
    fn no_more_than_a_person_reads_is_sent_and_the_rest_is_told() {
        let mut pace = Pace::new(Duration::ZERO);
        let at = Duration::from_millis;
        let sent = (0..1_000).filter(|_| pace.admit(at(10))).count();
        assert_eq!(sent, 100);
        assert_eq!(pace.wait(), SECOND);
        assert!(pace.admit(at(1_000)));
        assert_eq!(pace.take_missed(), Some(900));
        assert_eq!(pace.take_missed(), None);
        assert_eq!(pace.wait(), PULSE);
    }

    #[tokio::test]
    async fn wanted_records_come_as_events_one_on_each_line() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path().join("audit.jsonl"));
        let (sink, writer) = Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap();
        let filter = Filter {
            layer: Some(Layer::Kernel),
            ..Filter::default()
        };
        let mut events = Box::pin(stream(sink.follow(), filter));
        assert_eq!(events.next().await.unwrap(), ": egressd\n\n");
        let mut other = denial(1, "192.0.2.1");
        other.layer = Layer::Dns;
        sink.record(other);
        let mut hostile = denial(2, "192.0.2.2");
        hostile.name = Some("x\n\nevent: missed\ndata: 7\r\u{2028}".to_owned());
        sink.record(hostile);
        let said = events.next().await.unwrap();
        let said = std::str::from_utf8(&said).unwrap();
        assert!(said.starts_with("event: record\ndata: {"), "{said}");
        assert!(said.ends_with("}\n\n"), "{said}");
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(!said.contains('\r'));
        writer.stop();
    }
}
