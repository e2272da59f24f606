//! The control socket's handler: it stands on the network side and hands every request to the
//! one task that owns the guards.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::calls::Hearing;
use crate::{
    control::{
        authorise::Standing,
        message::{Code, Failure, Request},
        peer::Peer,
        server::{Handler, Response},
    },
    kernel::cgroup,
};

/// A request that was let through, and where its answer goes.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) peer: Peer,
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the one task gives back.
#[derive(Debug)]
pub(super) enum Answer {
    Now(Response),
    /// When something has come about that the one task does not wait for.
    Later(oneshot::Receiver<Response>),
    /// A tool call with the policy that it is under: judged here, so that names and events do not
    /// wait for it.
    Judge(Box<Hearing>),
}

/// A tool call with more text than this is judged on a thread of its own. Bytes.
const LONG: usize = 32 << 10;

/// What the handler knows without asking.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Paths of the guarded cgroups.
    pub(super) guards: Vec<String>,
    /// Who entered which session.
    pub(super) owners: BTreeMap<String, u32>,
}

/// The handler.
#[derive(Debug)]
pub(super) struct Door {
    errands: mpsc::Sender<Errand>,
    known: Arc<Mutex<Known>>,
}

impl Door {
    pub(super) fn new(errands: mpsc::Sender<Errand>, known: Arc<Mutex<Known>>) -> Self {
        Self { errands, known }
    }
}

impl Handler for Door {
    fn standing(&self, path: &str) -> Standing {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path.trim_start_matches('/');
        let Some(guard) = known.guards.iter().find(|guard| cgroup::holds(guard, path)) else {
            return Standing::Outside;
        };
        let below = path.get(guard.len() + 1..).unwrap_or_default();
        let session = below.split('/').next().filter(|name| !name.is_empty());
        Standing::Guarded {
            session: session.map(str::to_owned),
        }
    }

    fn owner(&self, session: &str) -> Option<u32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.owners.get(session).copied()
    }

    async fn handle(&self, peer: Peer, request: Request) -> Response {
        let (answer, wait) = oneshot::channel();
        let errand = Errand {
            peer,
            request,
            answer,
        };
        let stopping = || {
            Failure::new(Code::Failed, "egressd is stopping")
                .with_help("ask again when it has started")
        };
        if self.errands.send(errand).await.is_err() {
            return Response::Failed(stopping());
        }
        match wait.await {
            Ok(Answer::Now(response)) => response,
            Ok(Answer::Later(answer)) => answer
                .await
                .unwrap_or_else(|_| Response::Failed(stopping())),
            Ok(Answer::Judge(hearing)) if hearing.length() <= LONG => hearing.judge(),
            Ok(Answer::Judge(hearing)) => {
                let judged = spawn_blocking(move || hearing.judge()).await;
                judged.unwrap_or_else(|error| {
                    Response::Failed(Failure::new(
                        Code::Failed,
                        format!("the tool call was not judged: {error}"),
                    ))
                })
            }
            Err(_) => Response::Failed(stopping()),
        }
    }
}
