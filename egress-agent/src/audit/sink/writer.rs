//! The thread that owns the files of the log.

use std::{
    io,
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Clock, Line, Message, Shared};
use crate::audit::{
    chain::{self, Head},
    file::{LONGEST_LINE, LogFile, Opened},
    record::{Before, Gap, Kind, Layer, Record},
};

/// The head file lags the log by at most this, and a failing write is tried again this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Records that are written with one system call.
const BATCH: usize = 128;
/// The pause after a write. What comes meanwhile is written together, and wakes nobody: a wake-up
/// for each record costs its sender more than the record.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) fn start(
    opened: Opened,
    messages: Receiver<Message>,
    shared: Arc<Shared>,
    clock: Clock,
) -> io::Result<JoinHandle<()>> {
    let Opened { log, head, gap } = opened;
    let mut writer = Writer {
        log,
        head,
        saved: None,
        saved_at: Instant::now(),
        recorded: [0; Layer::ALL.len()],
        gap: gap.map(|gap| (explain(&gap), gap)),
        shared,
        clock,
    };
    thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || writer.run(&messages))
}

struct Writer {
    log: LogFile,
    head: Head,
    /// What the head file says.
    saved: Option<Head>,
    saved_at: Instant,
    /// How many of [`Shared::lost`] stand in the log.
    recorded: [u64; Layer::ALL.len()],
    /// What is wrong with the end of the log, until a record says so.
    gap: Option<(String, Gap)>,
    shared: Arc<Shared>,
    clock: Clock,
}

/// A line on its way to the file.
struct Pending {
    record: Arc<Record>,
    head: Head,
    /// Where it ends among the lines of its batch.
    end: usize,
    /// Losses that are recorded once this line is written.
    recorded: Option<[u64; Layer::ALL.len()]>,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        self.write(Vec::new());
        loop {
            let first = match self.wait(messages) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    self.write(Vec::new());
                    self.look_after();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (batch, end) = collect(first, messages);
            let is_full = batch.len() == BATCH;
            self.write(batch);
            if self.saved_at.elapsed() >= INTERVAL {
                self.look_after();
            }
            match end {
                None => {}
                Some(End::Flush(done)) => drop(done.send(())),
                Some(End::Stop) => break,
            }
            if !is_full {
                thread::sleep(PAUSE);
            }
        }
        self.write(Vec::new());
        self.look_after();
    }

    /// Sleeps until there is something to do; without a timer when nothing is left over.
    fn wait(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        if self.saved == Some(self.head) && !self.has_losses() && self.gap.is_none() {
            return messages.recv().map_err(RecvTimeoutError::from);
        }
        messages.recv_timeout(INTERVAL)
    }

    fn has_losses(&self) -> bool {
        self.recorded != self.shared.lost()
    }

    fn write(&mut self, batch: Vec<Arc<Record>>) {
        let mut lines = Vec::new();
        let mut pending = Vec::new();
        for (record, recorded) in self.own_records() {
            self.seal(Arc::new(record), recorded, &mut lines, &mut pending);
        }
        for record in batch {
            self.shared.denials().keep(&record);
            self.shared.questions().keep(&record);
            self.seal(record, None, &mut lines, &mut pending);
        }
        if lines.is_empty() {
            return;
        }
        if self.log.wants_rotation(lines.len())
            && let Some(before) = self.rotate()
        {
            self.seal_again(before, &mut lines, &mut pending);
        }
        let whole = match self.log.append(&lines) {
            Ok(()) => {
                *self.shared.failure() = None;
                lines.len()
            }
            Err(cut) => {
                self.fail(&cut.source);
                cut.whole
            }
        };
        self.settle(&lines, pending, whole);
    }

    /// What the log itself has to say before anything else.
    fn own_records(&self) -> Vec<(Record, Option<[u64; Layer::ALL.len()]>)> {
        let new = |kind| Record::new((self.clock)(), Layer::Daemon, kind);
        let mut records = Vec::new();
        if let Some((message, gap)) = &self.gap {
            let mut record = new(Kind::Mended);
            record.message = Some(message.clone());
            record.gap = Some(gap.clone());
            records.push((record, None));
        }
        let lost = self.shared.lost();
        if lost != self.recorded {
            let mut record = new(Kind::Lost);
            let since = lost
                .iter()
                .zip(&self.recorded)
                .map(|(lost, old)| lost.saturating_sub(*old));
            let by_layer = Layer::ALL.into_iter().zip(since);
            record.lost = by_layer.filter(|(_, count)| *count > 0).collect();
            record.message = Some("records could not be kept".to_owned());
            records.push((record, Some(lost)));
        }
        records
    }

    fn seal(
        &self,
        record: Arc<Record>,
        recorded: Option<[u64; Layer::ALL.len()]>,
        lines: &mut Vec<u8>,
        pending: &mut Vec<Pending>,
    ) {
        let start = lines.len();
        let before = pending.last().map_or(self.head, |line: &Pending| line.head);
        match chain::seal(&record, before, lines) {
            Ok(head) if lines.len() - start <= LONGEST_LINE => pending.push(Pending {
                record,
                head,
                end: lines.len(),
                recorded,
            }),
            Ok(_) => {
                lines.truncate(start);
                tracing::warn!(layer = record.layer.code(), "a record was too long to keep");
                self.shared.lose(record.layer, 1);
            }
            Err(error) => {
                tracing::warn!(%error, layer = record.layer.code(), "a record cannot be written");
                self.shared.lose(record.layer, 1);
            }
        }
    }

    /// Puts what the file before holds into the first line. Nothing changes where that does not
    /// fit: then nobody can tell, and reads that file.
    fn seal_again(&self, before: Before, lines: &mut Vec<u8>, pending: &mut [Pending]) {
        let mut again = Vec::new();
        let mut ends = Vec::new();
        let (mut head, mut before) = (self.head, Some(before));
        for line in &*pending {
            let start = again.len();
            match chain::seal_after(before.take(), &line.record, head, &mut again) {
                Ok(next) if again.len() - start <= LONGEST_LINE => head = next,
                Ok(_) | Err(_) => return,
            }
            ends.push((head, again.len()));
        }
        for (line, (head, end)) in pending.iter_mut().zip(ends) {
            line.head = head;
            line.end = end;
        }
        *lines = again;
    }

    /// Takes over what was written, up to byte `whole` of `lines`, and counts the rest as lost.
    fn settle(&mut self, lines: &[u8], pending: Vec<Pending>, whole: usize) {
        let mut start = 0;
        for line in pending {
            let Pending {
                record,
                head,
                end,
                recorded,
            } = line;
            let text = lines.get(start..end.saturating_sub(1)).unwrap_or_default();
            start = end;
            if end > whole {
                if !matches!(record.event, Kind::Lost | Kind::Mended) {
                    self.shared.lose(record.layer, 1);
                }
                continue;
            }
            self.head = head;
            self.log.note(head.seq, record.time);
            self.shared.written.fetch_add(1, Ordering::Relaxed);
            if let Some(recorded) = recorded {
                self.recorded = recorded;
            }
            if record.event == Kind::Mended {
                self.gap = None;
            }
            if let Some(tally) = self.shared.tally.get() {
                // A panic elsewhere leaves sums that are sums.
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(&record, text.len() + 1);
            }
            self.publish(head.seq, record, text);
        }
    }

    fn publish(&self, seq: u64, record: Arc<Record>, text: &[u8]) {
        if self.shared.lines.receiver_count() == 0 {
            return;
        }
        let line = Line {
            seq,
            record,
            text: String::from_utf8_lossy(text).into(),
        };
        // An error means that the last follower has just left.
        drop(self.shared.lines.send(Arc::new(line)));
    }

    /// Says what the file before holds, where a new one was begun and that is known.
    fn rotate(&mut self) -> Option<Before> {
        self.save_head();
        self.log.rotate().unwrap_or_else(|error| {
            tracing::warn!(%error, "the audit log cannot be rotated and grows on");
            if !self.log.is_in_place() {
                self.begin_again();
            }
            None
        })
    }

    /// Saves the head, and begins a new file when somebody took the old one away.
    fn look_after(&mut self) {
        self.saved_at = Instant::now();
        if !self.log.is_in_place() {
            self.begin_again();
        }
        self.save_head();
    }

    fn begin_again(&mut self) {
        match self.log.begin() {
            Ok(()) => {
                let message = "the log was moved or removed while it was written".to_owned();
                self.gap = Some((message, Gap::default()));
            }
            Err(error) => self.fail(&error),
        }
    }

    fn save_head(&mut self) {
        if self.saved == Some(self.head) {
            return;
        }
        match self.log.save_head(self.head) {
            Ok(()) => self.saved = Some(self.head),
            Err(error) => tracing::debug!(%error, "the head of the audit log cannot be saved"),
        }
    }

    fn fail(&self, error: &io::Error) {
        let mut failure = self.shared.failure();
        if failure.is_none() {
            tracing::error!(%error, "the audit log cannot be written; losses are counted");
        }
        *failure = Some(error.to_string());
    }
}

/// What ended a batch besides its length.
enum End {
    Flush(SyncSender<()>),
    Stop,
}

fn collect(first: Message, messages: &Receiver<Message>) -> (Vec<Arc<Record>>, Option<End>) {
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Record(record) => batch.push(Arc::from(record)),
            Message::Flush(done) => return (batch, Some(End::Flush(done))),
            Message::Stop => return (batch, Some(End::Stop)),
        }
        next = (batch.len() < BATCH)
            .then(|| messages.try_recv().ok())
            .flatten();
    }
    (batch, None)
}

fn explain(gap: &Gap) -> String {
    match (gap.torn_hash.is_some(), gap.missing) {
        (true, 0) => format!("the line before is unfinished: {} bytes", gap.torn_bytes),
        (true, missing) => format!(
            "the line before is unfinished: {} bytes, and {missing} records are missing",
            gap.torn_bytes
        ),
        (false, missing) => format!("{missing} records are missing at the end of the log"),
    }
}
