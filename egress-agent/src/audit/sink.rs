//! Where every layer hands its records in, and what comes back out while the daemon runs.
//!
//! [`Sink::record`] never blocks and never fails: a record that finds the queue full, or that the
//! disk refuses, is counted by layer. As soon as writing works, a record of kind `lost` with the
//! counts goes first. One thread owns the files; it writes at once what comes
//! after a silence and in batches what follows within milliseconds, and sleeps without a timer
//! while nothing happens.
//! Nothing is synced to the device: a crash of the machine may lose the last seconds.

mod writer;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use tokio::sync::broadcast;

use super::{
    denials::Denials,
    questions::Questions,
    record::{Layer, Record, Time},
    tally::Tally,
};

pub use super::file::{OpenError, Settings};

/// Records that may wait for the writer.
const QUEUE: usize = 8_192;
/// Lines that may wait for one follower.
const FOLLOWER_QUEUE: usize = 1_024;

/// A handle to the log, one for each layer.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// The writing thread. Dropping it lets the thread end with the last [`Sink`].
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

/// A line as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub seq: u64,
    pub record: Arc<Record>,
    /// JSON, without the newline.
    pub text: Arc<str>,
}

/// Receives every line from its making on.
#[derive(Debug)]
pub struct Follower(broadcast::Receiver<Arc<Line>>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    Line(Arc<Line>),
    /// The follower was too slow for this many lines.
    Missed(u64),
}

/// How the log is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Lines written since the start of the daemon.
    pub written: u64,
    /// Records lost since the start of the daemon, by layer.
    pub lost: BTreeMap<Layer, u64>,
    /// Why the last write failed, when it did.
    pub failure: Option<String>,
}

/// What happened last, and how much happened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Latest {
    /// Latest last; equal ones of one session folded.
    pub denials: Vec<Arc<Record>>,
    pub denials_total: u64,
    /// To the resolver, latest last.
    pub questions: Vec<Arc<Record>>,
    pub questions_total: u64,
}

/// Tells the time for the records that the log itself makes.
pub type Clock = Box<dyn Fn() -> Time + Send>;

/// What the sinks and the writer have in common.
#[derive(Debug)]
struct Shared {
    lost: [AtomicU64; Layer::ALL.len()],
    written: AtomicU64,
    failure: Mutex<Option<String>>,
    denials: Mutex<Denials>,
    /// Set when somebody wants to know what the records add up to.
    tally: OnceLock<Arc<Mutex<Tally>>>,
    questions: Mutex<Questions>,
    lines: broadcast::Sender<Arc<Line>>,
}

enum Message {
    Record(Box<Record>),
    /// Answered when everything before it was written, or lost.
    Flush(SyncSender<()>),
    Stop,
}

impl Sink {
    /// Opens the log, mends its end where needed, and starts the writer.
    pub fn open(settings: Settings, clock: Clock) -> Result<(Self, Writer), OpenError> {
        Self::with_queue(settings, clock, QUEUE)
    }

    fn with_queue(
        settings: Settings,
        clock: Clock,
        length: usize,
    ) -> Result<(Self, Writer), OpenError> {
        let opened = super::file::LogFile::open(settings)?;
        let (queue, messages) = sync_channel(length);
        let shared = Arc::new(Shared {
            lost: Default::default(),
            written: AtomicU64::new(0),
            failure: Mutex::default(),
            denials: Mutex::default(),
            tally: OnceLock::new(),
            questions: Mutex::default(),
            lines: broadcast::channel(FOLLOWER_QUEUE).0,
        });
        let thread = writer::start(opened, messages, Arc::clone(&shared), clock)
            .map_err(OpenError::Thread)?;
        let sink = Self {
            queue: queue.clone(),
            shared,
        };
        Ok((sink, Writer { queue, thread }))
    }

    /// Hands a record in. Returns at once, whatever the state of the disk.
    pub fn record(&self, record: Record) {
        let layer = record.layer;
        if self
            .queue
            .try_send(Message::Record(Box::new(record)))
            .is_err()
        {
            self.shared.lose(layer, 1);
        }
    }

    /// Counts records that were lost before they reached this sink, such as kernel events that
    /// found their ring full. The next record is preceded by one that says so.
    pub fn lose(&self, layer: Layer, count: u64) {
        self.shared.lose(layer, count);
    }

    /// Waits until everything handed in before is written, or counted as lost.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let told = self.queue.send(Message::Flush(done)).is_ok();
        // An error means that the writer is gone, and with it everything that it had.
        if !told || wait.recv().is_err() {
            tracing::debug!("the audit writer has ended");
        }
    }

    pub fn follow(&self) -> Follower {
        Follower(self.shared.lines.subscribe())
    }

    /// Adds up what is written from now on. Every call gives the same sums.
    pub fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(self.shared.tally.get_or_init(Arc::default))
    }

    /// The last denials of a session, latest last; equal ones folded.
    pub fn recent_denials(&self, session: &str) -> Vec<Arc<Record>> {
        self.shared.denials().of(session)
    }

    /// What happened last, in all sessions or in one; this many denials at most. Does not wait for
    /// what the writer has not taken yet.
    pub fn latest(&self, session: Option<&str>, denials: usize) -> Latest {
        let kept = self.shared.denials();
        let (latest, denials_total) = (kept.latest(session, denials), kept.count());
        drop(kept);
        let questions = self.shared.questions();
        Latest {
            denials: latest,
            denials_total,
            questions: questions.latest(session),
            questions_total: questions.count(),
        }
    }

    pub fn health(&self) -> Health {
        let lost = Layer::ALL.into_iter().zip(self.shared.lost());
        Health {
            written: self.shared.written.load(Ordering::Relaxed),
            lost: lost.filter(|(_, count)| *count > 0).collect(),
            failure: self.shared.failure().clone(),
        }
    }
}

impl Writer {
    /// Writes what was handed in so far, saves the head of the chain and ends.
    pub fn stop(self) {
        let Self { queue, thread } = self;
        let told = queue.send(Message::Stop).is_ok();
        drop(queue);
        if thread.join().is_err() || !told {
            tracing::error!("the audit writer ended early");
        }
    }
}

impl Follower {
    /// The next line; `None` when the log was closed.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.0.recv().await {
            Ok(line) => Some(Followed::Line(line)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Followed::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Shared {
    fn lose(&self, layer: Layer, count: u64) {
        let counters = Layer::ALL.iter().zip(&self.lost);
        for (_, counter) in counters.filter(|(other, _)| **other == layer) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn lost(&self) -> [u64; Layer::ALL.len()] {
        self.lost
            .each_ref()
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    // A panic elsewhere leaves nothing half done here: the locks guard single steps.
    fn denials(&self) -> std::sync::MutexGuard<'_, Denials> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self) -> std::sync::MutexGuard<'_, Questions> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record(_) => "Record",
            Self::Flush(_) => "Flush",
            Self::Stop => "Stop",
        })
    }
}

#[cfg(test)]
mod tests;
