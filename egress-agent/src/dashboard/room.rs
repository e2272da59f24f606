//! What stands behind the routes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    Question,
    answer::{self, Answer},
    events, metrics,
    policies::Shown,
    route::{Refused, Route},
    sight::Sight,
};
use crate::{
    audit::{
        record::Layer,
        sink::Sink,
        tally::{MINUTES, Tally, VERDICTS},
    },
    control::message::{Code, Failure},
};

/// Streams of events at a time.
const STREAMS: usize = 16;
/// For the files of policies to be read.
const READING: Duration = Duration::from_secs(5);

/// Answers what was let through.
#[derive(Debug)]
pub(super) struct Room {
    sight: Sight,
    sink: Sink,
    tally: Arc<Mutex<Tally>>,
    streams: Arc<Semaphore>,
    /// Files are read by one at a time.
    reading: Semaphore,
}

impl Room {
    pub(super) fn new(
        questions: mpsc::Sender<Question>,
        sink: Sink,
        tally: Arc<Mutex<Tally>>,
    ) -> Self {
        Self {
            sight: Sight::new(questions),
            sink,
            tally,
            streams: Arc::new(Semaphore::new(STREAMS)),
            reading: Semaphore::new(1),
        }
    }

    pub(super) async fn answer(&self, route: Route) -> Answer {
        let answered = match route {
            Route::Page => Ok(answer::page()),
            Route::Overview => self.sight.overview().await.map(answer::raw_json),
            Route::Why { target, session } => {
                let why = self.sight.why(target, session).await;
                why.map(|why| answer::json(&why))
            }
            Route::Policy => self.policy().await,
            Route::Timeline => Ok(answer::json(&self.counted(Timeline::of))),
            Route::Metrics => self.metrics().await,
            Route::Events(filter) => {
                let Ok(seat) = Arc::clone(&self.streams).try_acquire_owned() else {
                    return answer::refused(&Refused::Busy);
                };
                let events = events::stream(self.sink.follow(), *filter);
                Ok(answer::events(events.map(move |bytes| {
                    // The seat goes with the stream.
                    let _held = &seat;
                    bytes
                })))
            }
        };
        answered.unwrap_or_else(|failure| answer::failed(&failure))
    }

    /// Takes something from the sums. The writer of the log waits meanwhile.
    fn counted<T>(&self, take: impl FnOnce(&Tally) -> T) -> T {
        take(&self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn policy(&self) -> Result<Answer, Failure> {
        let policies = self.sight.policies().await?;
        let _one = self.reading.acquire().await;
        let hits = self.counted(|tally| tally.hits().clone());
        let read = spawn_blocking(move || -> Vec<Shown> {
            let shown = policies.into_iter().map(|policy| policy.show(&hits));
            shown.collect()
        });
        match timeout(READING, read).await {
            Ok(Ok(guards)) => Ok(answer::json(&Guards { guards })),
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                Code::Failed,
                "the files of the policy could not be read in time",
            )
            .with_help("see `egressctl status` for their names")),
        }
    }

    async fn metrics(&self) -> Result<Answer, Failure> {
        let status = self.sight.status().await?;
        let text = self.counted(|tally| metrics::text(&status, tally));
        Ok(answer::metrics(text))
    }
}

#[derive(Serialize)]
struct Guards {
    guards: Vec<Shown>,
}

/// The answer of `/api/timeline`.
#[derive(Serialize)]
struct Timeline {
    /// Minutes that are kept, counted or not.
    kept: usize,
    layers: Vec<&'static str>,
    verdicts: Vec<&'static str>,
    /// Minutes in which anything was counted, oldest first.
    minutes: Vec<Minute>,
    /// Counted for times before all of them.
    earlier: u64,
}

#[derive(Serialize)]
struct Minute {
    /// Its first second, since 1970.
    at: i64,
    /// By layer, and in each by verdict.
    counts: [[u64; VERDICTS.len()]; Layer::ALL.len()],
}

impl Timeline {
    fn of(tally: &Tally) -> Self {
        let minutes = tally.timeline().minutes();
        let counted = minutes.filter(|(_, counts)| counts.iter().flatten().any(|count| *count > 0));
        Self {
            kept: MINUTES,
            layers: Layer::ALL.map(Layer::code).to_vec(),
            verdicts: VERDICTS.map(crate::audit::record::Verdict::code).to_vec(),
            minutes: counted.map(|(at, counts)| Minute { at, counts }).collect(),
            earlier: tally.timeline().earlier(),
        }
    }
}
