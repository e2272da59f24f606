//! The log as a stream for one reader: what is in the files, then what is written from now on,
//! without a gap and without a line twice.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use tokio::sync::mpsc;

use super::{
    filter::Filter,
    reader::{Entry, ReadError, Records},
    sink::{Followed, Follower, Sink},
};

/// What a reader asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    pub filter: Filter,
    /// Only this many of the latest matching records from the files; all when absent.
    pub last: Option<u64>,
    /// Go on with what is written from now on.
    pub follow: bool,
}

/// One thing that a reader is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// JSON, without the newline.
    Line(String),
    /// The reader was too slow for this many records.
    Missed(u64),
    /// Something in the files could not be read.
    Unreadable(String),
}

/// More than this is not kept back to find the last ones.
const MOST_LAST: u64 = 100_000;
const QUEUE: usize = 256;

/// Starts to feed. Ends when the reader drops the receiver, and without `follow` at the end of
/// the files.
pub fn feed(path: PathBuf, wanted: Wanted, sink: &Sink) -> mpsc::Receiver<Told> {
    let (teller, told) = mpsc::channel(QUEUE);
    // Subscribed before the files are read: what is written meanwhile waits there.
    let follower = wanted.follow.then(|| sink.follow());
    tokio::spawn(run(path, wanted, follower, teller));
    told
}

async fn run(
    path: PathBuf,
    wanted: Wanted,
    follower: Option<Follower>,
    teller: mpsc::Sender<Told>,
) {
    let filter = wanted.filter.clone();
    let history = teller.clone();
    let read = move || replay(&path, &wanted, &history);
    let Ok(Ok(last)) = tokio::task::spawn_blocking(read).await else {
        return;
    };
    if let Some(follower) = follower {
        follow(follower, &filter, last, &teller).await;
    }
}

/// The reader has gone.
struct Deaf;

impl From<mpsc::error::SendError<Told>> for Deaf {
    fn from(_: mpsc::error::SendError<Told>) -> Self {
        Self
    }
}

/// Tells what is in the files, and says the number of the last record in them, when there is one;
/// an error when nobody listens any more.
fn replay(path: &Path, wanted: &Wanted, teller: &mpsc::Sender<Told>) -> Result<Option<u64>, Deaf> {
    let tell = |told| teller.blocking_send(told).map_err(Deaf::from);
    let most = wanted.last.map(|last| last.min(MOST_LAST));
    let mut kept = VecDeque::new();
    let mut records = match Records::matching(path, &wanted.filter) {
        Ok(records) => records,
        Err(error) => {
            tell(Told::Unreadable(explain(error)))?;
            return Ok(None);
        }
    };
    for entry in &mut records {
        let Entry { sealed: _, text } = match entry {
            Ok(entry) => entry,
            Err(error) => {
                tell(Told::Unreadable(explain(error)))?;
                continue;
            }
        };
        let Some(most) = most else {
            tell(Told::Line(text))?;
            continue;
        };
        kept.push_back(text);
        if kept.len() as u64 > most {
            kept.pop_front();
        }
    }
    kept.into_iter()
        .try_for_each(|text| tell(Told::Line(text)))?;
    Ok(records.last_seq())
}

/// `last` is what the files ended with: lines up to it were told, a jump beyond it was missed.
async fn follow(
    mut follower: Follower,
    filter: &Filter,
    mut last: Option<u64>,
    teller: &mpsc::Sender<Told>,
) -> Option<()> {
    loop {
        let followed = tokio::select! {
            () = teller.closed() => return None,
            followed = follower.next() => followed?,
        };
        // The number of the line that comes next says exactly what was missed.
        let Followed::Line(line) = followed else {
            continue;
        };
        let expected = last.map_or(line.seq, |last| last.saturating_add(1));
        if line.seq < expected {
            continue;
        }
        last = Some(line.seq);
        if line.seq > expected {
            teller.send(Told::Missed(line.seq - expected)).await.ok()?;
        }
        if filter.matches(&line.record) {
            teller.send(Told::Line(line.text.to_string())).await.ok()?;
        }
    }
}

fn explain(error: ReadError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{
        record::{Layer, Sealed, tests::denial},
        sink::Settings,
    };

    fn number(told: &Told) -> u64 {
        let Told::Line(text) = told else {
            panic!("{told:?}");
        };
        serde_json::from_str::<Sealed>(text).unwrap().seq
    }

    #[tokio::test]
    async fn history_and_live_lines_join_without_gap_and_without_repetition() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let mut settings = Settings::new(&path);
        settings.rotate_bytes = 20_000;
        settings.keep = 30;
        let (sink, writer) = Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap();
        let recorder = std::thread::spawn({
            let sink = sink.clone();
            move || {
                for second in 0..600 {
                    sink.record(denial(second % 60, "203.0.113.7"));
                    if second % 7 == 0 {
                        sink.flush();
                    }
                }
            }
        });
        while sink.health().written < 50 {
            tokio::task::yield_now().await;
        }
        let wanted = Wanted {
            follow: true,
            ..Wanted::default()
        };
        let mut told = feed(path, wanted, &sink);
        for expected in 1..=600 {
            assert_eq!(number(&told.recv().await.unwrap()), expected);
        }
        recorder.join().unwrap();
        drop(told);
        writer.stop();
    }

    #[tokio::test]
    async fn only_the_last_matching_records_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let settings = Settings::new(&path);
        let (sink, writer) = Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap();
        for second in 0..10 {
            let mut record = denial(second, "203.0.113.7");
            if second % 2 == 1 {
                record.layer = Layer::Dns;
            }
            sink.record(record);
        }
        writer.stop();
        let wanted = Wanted {
            filter: Filter {
                layer: Some(Layer::Dns),
                ..Filter::default()
            },
            last: Some(2),
            follow: false,
        };
        let mut told = feed(path, wanted, &sink);
        assert_eq!(number(&told.recv().await.unwrap()), 8);
        assert_eq!(number(&told.recv().await.unwrap()), 10);
        assert_eq!(told.recv().await, None);
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path().join("audit.jsonl"));
        let (sink, _writer) = Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap();
        let mut told = feed("/nowhere/audit.jsonl".into(), Wanted::default(), &sink);
        assert!(matches!(told.recv().await, Some(Told::Unreadable(_))));
        assert_eq!(told.recv().await, None);
    }
}
