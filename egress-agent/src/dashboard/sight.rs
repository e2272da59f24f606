//! Asks the one task that owns the guards, seldom: what several pages ask within a moment is asked
//! once, and a question waits for the one before.

use std::time::Duration;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{Question, Reply, policies::InForce};
use crate::control::{
    message::{Code, Failure},
    overview::Overview,
    status::{Status, Why},
};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_millis(900);
/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions of `why`, each of which is another one.
const PAUSE: Duration = Duration::from_millis(20);

/// The way to the daemon.
#[derive(Debug)]
pub(super) struct Sight {
    questions: mpsc::Sender<Question>,
    overview: Kept<Bytes>,
    status: Kept<Box<Status>>,
    why: Mutex<Option<Instant>>,
}

/// An answer that is kept for a moment. Who asks meanwhile waits for it.
#[derive(Debug)]
struct Kept<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl Sight {
    pub(super) fn new(questions: mpsc::Sender<Question>) -> Self {
        Self {
            questions,
            overview: Kept::default(),
            status: Kept::default(),
            why: Mutex::default(),
        }
    }

    /// As JSON, which is made once for all that ask.
    pub(super) async fn overview(&self) -> Result<Bytes, Failure> {
        let ask = async || {
            let overview: Box<Overview> = self.ask(Question::Overview).await?;
            written(&overview)
        };
        self.overview.get(ask).await
    }

    pub(super) async fn status(&self) -> Result<Box<Status>, Failure> {
        self.status
            .get(async || self.ask(Question::Status).await)
            .await
    }

    pub(super) async fn why(
        &self,
        target: String,
        session: Option<String>,
    ) -> Result<Box<Why>, Failure> {
        let mut last = self.why.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + PAUSE).await;
        }
        let question = |answer| Question::Why {
            target,
            session,
            answer,
        };
        let told = self.ask(question).await;
        *last = Some(Instant::now());
        told
    }

    pub(super) async fn policies(&self) -> Result<Vec<InForce>, Failure> {
        self.ask(Question::Policies).await
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Failure> {
        let (answer, wait) = oneshot::channel();
        let asked = async {
            self.questions
                .send(question(answer))
                .await
                .map_err(|_not_sent| stopping())?;
            wait.await.map_err(|_no_answer| stopping())?
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            Err(
                Failure::new(Code::TooSlow, "egressd is busy and did not answer in time")
                    .with_help("decisions go on; ask again"),
            )
        })
    }
}

impl<T: Clone> Kept<T> {
    async fn get(&self, ask: impl AsyncFnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut kept = self.0.lock().await;
        if let Some((since, value)) = &*kept
            && since.elapsed() < FRESH
        {
            return Ok(value.clone());
        }
        let value = ask().await?;
        *kept = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

fn stopping() -> Failure {
    Failure::new(Code::Failed, "egressd is stopping").with_help("ask again when it has started")
}

fn written(value: &impl Serialize) -> Result<Bytes, Failure> {
    let written = serde_json::to_vec(value).map_err(|error| {
        Failure::new(
            Code::Failed,
            format!("the answer cannot be written: {error}"),
        )
    });
    written.map(Bytes::from)
}
