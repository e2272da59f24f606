//! One conversation of a client with a server, as far as it must be known to judge it. Pure but
//! for the [`Gate`]: messages and the time in, what to do with them out.
//!
//! | message | goes on when |
//! |---|---|
//! | request of the client | its id is new, its method is not refused, budgets are left, and for `tools/call` the tool is known and unchanged and the policy allows the call |
//! | answer of the server | a request of the client waits for it |
//! | request of the server | its id is new, and it asks for nothing that it must not ask for |
//! | answer of the client | a request of the server waits for it |
//! | any | nothing in its texts is found that must not pass |
//!
//! `client` and `server` say it of what each of them sends, `answers` has the guard's own words.
//!
//! A request that does not go on is answered with an error, an answer is replaced by one, a
//! notification is dropped. What goes on, goes on byte for byte.

mod answers;
mod client;
mod server;

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;

use self::answers::{action, clip, note, taken_out, unreadable};
pub use self::answers::{error, refusal};
use super::{
    budget::Budget,
    gate::{Block, DENIED, Gate, NO_ANSWER, Subject},
    glimpse::{Glimpse, Glimpsed},
    inventory::Inventory,
    message::{self, Framing, Id, Incoming, Invalid, Message},
    revision::Revision,
};

/// Requests of one side that wait for an answer.
pub const MOST_OPEN: usize = 1024;
/// Requests that wait as long as they like.
const PATIENT: &[&str] = &["subscriptions/listen", "tasks/result"];

/// What stays the same for all conversations with one server.
pub struct Guard {
    /// Its name in the configuration, as policies know it: `mcp__SERVER__TOOL`.
    pub server: String,
    pub gate: Box<dyn Gate>,
    pub inventory: Mutex<Inventory>,
    pub limits: Limits,
    /// Methods that neither side may request.
    pub refused: Vec<String>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("server", &self.server)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What a conversation may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tool calls in all.
    pub calls: Option<u64>,
    /// The same call with the same arguments.
    pub repeats: Option<u64>,
    /// Tool calls at a time; more than [`MOST_OPEN`] requests never wait.
    pub concurrent: usize,
    /// From the first message on.
    pub wall_clock: Option<Duration>,
    /// For the server to answer one request.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: None,
            repeats: None,
            concurrent: MOST_OPEN,
            wall_clock: None,
            answer: Duration::from_mins(10),
        }
    }
}

/// What happens to the bytes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// They go on as they came.
    Forward,
    /// These go on in their place.
    Replace(Vec<u8>),
    /// Nothing goes on; these go back.
    Reply(Vec<u8>),
    /// Nothing goes anywhere.
    Drop,
}

/// A step, and what is to be recorded of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub step: Step,
    pub notes: Vec<Note>,
}

impl Action {
    /// A message of the client that is denied before it is read.
    pub fn denied(id: Option<&Id>, block: Block) -> Self {
        let step = Step::Reply(error(id, &block, DENIED));
        action((
            step,
            vec![note(Side::Client, None, None, id.cloned(), Some(block))],
        ))
    }
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What a record needs: never content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub from: Side,
    /// Of the request, also where its answer is meant.
    pub method: Option<String>,
    /// The tool, by its own name.
    pub tool: Option<String>,
    pub id: Option<Id>,
    /// `None`: it went on.
    pub block: Option<Block>,
}

/// A request that nobody answered in time: an error for the client, a word to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    pub to_client: Vec<u8>,
    pub to_server: Vec<u8>,
    pub note: Note,
}

/// One conversation.
#[derive(Debug)]
pub struct Session {
    guard: Arc<Guard>,
    budget: Arc<Mutex<Budget>>,
    framing: Framing,
    revision: Option<Revision>,
    /// Requests of the client that the server has not answered.
    asked: BTreeMap<Id, Open>,
    /// Requests of the server that the client has not answered.
    asked_back: BTreeMap<Id, Open>,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Open {
    method: String,
    tool: Option<String>,
    since: Duration,
    is_first_page: bool,
    revision: Option<Revision>,
}

/// A message with the bytes that it was read from.
#[derive(Debug)]
struct Heard<'a> {
    message: &'a Message,
    bytes: &'a [u8],
}

impl<'a> Heard<'a> {
    const fn new(message: &'a Message, bytes: &'a [u8]) -> Self {
        Self { message, bytes }
    }
}

impl Deref for Heard<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.message
    }
}

/// A step for one message, before it is known whether it came alone.
type Outcome = (Step, Vec<Note>);

impl Session {
    pub fn new(guard: Arc<Guard>, budget: Arc<Mutex<Budget>>, framing: Framing) -> Self {
        Self {
            guard,
            budget,
            framing,
            revision: None,
            asked: BTreeMap::new(),
            asked_back: BTreeMap::new(),
        }
    }

    /// The revision that both sides agreed on.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Takes the revision that a transport tells, where none was agreed on.
    pub fn assume(&mut self, revision: Revision) {
        self.revision.get_or_insert(revision);
    }

    /// Whether a request of the client with this id waits for its answer.
    pub fn waits(&self, id: &Id) -> bool {
        self.asked.contains_key(id)
    }

    /// Whether a request of the server with this id waits for its answer.
    pub fn waits_back(&self, id: &Id) -> bool {
        self.asked_back.contains_key(id)
    }

    /// One line or body of the client; `now` counts from any fixed moment.
    pub fn from_client(&mut self, bytes: &[u8], now: Duration) -> Vec<Action> {
        let incoming = message::read(bytes, self.framing);
        if !is_message(&incoming) {
            return self.read_from_client(bytes, incoming, now);
        }
        let Some(rest) = self.guard.gate.redact(Subject::ToServer, bytes) else {
            return self.read_from_client(bytes, incoming, now);
        };
        let incoming = message::read(&rest, self.framing);
        let actions = self.read_from_client(&rest, incoming, now);
        taken_out(Side::Client, &rest, actions)
    }

    fn read_from_client(
        &mut self,
        bytes: &[u8],
        incoming: Result<Incoming, Invalid>,
        now: Duration,
    ) -> Vec<Action> {
        match incoming {
            Err(invalid) => {
                let glimpsed = Glimpse::of(bytes);
                vec![self.unreadable_from_client(&invalid, glimpsed)]
            }
            Ok(Incoming::Blank) => vec![action((Step::Forward, Vec::new()))],
            Ok(Incoming::One(message)) => {
                let heard = Heard::new(&message, bytes);
                vec![action(self.client_message(&heard, now))]
            }
            Ok(Incoming::Batch(parts)) => vec![action(self.client_batch(bytes, &parts, now))],
        }
    }

    /// One line or body of the server.
    pub fn from_server(&mut self, bytes: &[u8], now: Duration) -> Vec<Action> {
        let incoming = message::read(bytes, self.framing);
        if !is_message(&incoming) {
            return self.read_from_server(bytes, incoming, now);
        }
        let Some(rest) = self.guard.gate.redact(Subject::FromServer, bytes) else {
            return self.read_from_server(bytes, incoming, now);
        };
        let incoming = message::read(&rest, self.framing);
        let actions = self.read_from_server(&rest, incoming, now);
        taken_out(Side::Server, &rest, actions)
    }

    fn read_from_server(
        &mut self,
        bytes: &[u8],
        incoming: Result<Incoming, Invalid>,
        now: Duration,
    ) -> Vec<Action> {
        match incoming {
            Err(invalid) => {
                let glimpsed = Glimpse::of(bytes);
                vec![self.unreadable_from_server(&invalid, glimpsed)]
            }
            Ok(Incoming::Blank) => vec![action((Step::Forward, Vec::new()))],
            Ok(Incoming::One(message)) => {
                let heard = Heard::new(&message, bytes);
                vec![action(self.server_message(&heard, now))]
            }
            Ok(Incoming::Batch(parts)) => self.server_batch(bytes, parts, now),
        }
    }

    /// What cannot be read is not forwarded; whoever waits is told.
    pub fn unreadable_from_client(&mut self, invalid: &Invalid, glimpsed: Glimpsed) -> Action {
        let block = unreadable(invalid);
        let number = invalid.number();
        let (step, id) = match glimpsed {
            Glimpsed::Request(id) => (Step::Reply(error(Some(&id), &block, number)), Some(id)),
            Glimpsed::Answer(id) => match self.asked_back.remove(&id) {
                Some(_) => (Step::Replace(error(Some(&id), &block, DENIED)), Some(id)),
                None => (Step::Drop, Some(id)),
            },
            Glimpsed::Unknown => (Step::Reply(error(None, &block, number)), None),
        };
        action((step, vec![note(Side::Client, None, None, id, Some(block))]))
    }

    /// As [`Self::unreadable_from_client`], the other way.
    pub fn unreadable_from_server(&mut self, invalid: &Invalid, glimpsed: Glimpsed) -> Action {
        let block = unreadable(invalid);
        let (step, open, id) = match glimpsed {
            Glimpsed::Answer(id) => match self.asked.remove(&id) {
                Some(open) => {
                    let step = Step::Replace(error(Some(&id), &block, DENIED));
                    (step, Some(open), Some(id))
                }
                None => (Step::Drop, None, Some(id)),
            },
            Glimpsed::Request(id) => {
                let step = Step::Reply(error(Some(&id), &block, invalid.number()));
                (step, None, Some(id))
            }
            Glimpsed::Unknown => (Step::Drop, None, None),
        };
        let (method, tool) = open.map_or((None, None), |open| (Some(open.method), open.tool));
        action((
            step,
            vec![note(Side::Server, method, tool, id, Some(block))],
        ))
    }

    /// Requests that have waited too long.
    pub fn expired(&mut self, now: Duration) -> Vec<Expired> {
        let patience = self.guard.limits.answer;
        // Clients forget requests of a server as they like; nobody waits for those.
        self.asked_back
            .retain(|_, open| now.saturating_sub(open.since) < patience.saturating_mul(2));
        let ids: Vec<_> = self.asked.keys().cloned().collect();
        ids.into_iter()
            .filter_map(|id| self.expire(&id, now))
            .collect()
    }

    /// One request, when it has waited too long.
    pub fn expire(&mut self, id: &Id, now: Duration) -> Option<Expired> {
        let patience = self.guard.limits.answer;
        let open = self.asked.get(id)?;
        let is_late = now.saturating_sub(open.since) >= patience;
        if !is_late || PATIENT.contains(&open.method.as_str()) {
            return None;
        }
        let open = self.asked.remove(id)?;
        let block = Block::new(
            "no-answer",
            format!("the server did not answer within {} s", patience.as_secs()),
            "try something smaller, or look at what the server does",
        );
        let cancel = json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": id.to_value(), "reason": "no answer in time" },
        });
        Some(Expired {
            to_client: error(Some(id), &block, NO_ANSWER),
            to_server: cancel.to_string().into_bytes(),
            note: note(
                Side::Server,
                Some(open.method),
                open.tool,
                Some(id.clone()),
                Some(block),
            ),
        })
    }

    /// From now on it has a budget of its own.
    pub fn alone(&mut self) {
        self.budget = Arc::default();
    }

    /// The server is gone: an error for every request that waits for it.
    pub fn server_gone(&mut self, why: &str) -> Vec<Vec<u8>> {
        let block = Block::new("server-gone", why, "start the server again");
        let asked = std::mem::take(&mut self.asked);
        asked
            .keys()
            .map(|id| error(Some(id), &block, NO_ANSWER))
            .collect()
    }

    /// One request did not reach the server, or its answer did not come: the error for it.
    pub fn unanswered(&mut self, id: &Id, block: &Block) -> Option<Vec<u8>> {
        self.asked
            .remove(id)
            .map(|_| error(Some(id), block, NO_ANSWER))
    }

    fn inspect(&self, subject: Subject, message: &Heard<'_>) -> Option<Block> {
        self.guard.gate.inspect(subject, message.bytes)
    }

    fn is_refused(&self, method: &str) -> Option<Block> {
        let refused = &self.guard.refused;
        refused.iter().any(|refused| refused == method).then(|| {
            Block::new(
                "method-refused",
                format!("`{}` is refused by the guard", clip(method)),
                "do without it, or start the guard without refusing it",
            )
        })
    }

    fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.guard.inventory)
    }
}

/// A thread that panicked has left values that are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is something in which anything could be found.
fn is_message(incoming: &Result<Incoming, Invalid>) -> bool {
    matches!(incoming, Ok(Incoming::One(_) | Incoming::Batch(_)))
}

/// The request that a notification takes back.
fn cancelled(method: &str, message: &Heard<'_>) -> Option<Id> {
    (method == "notifications/cancelled")
        .then(|| message.params().get("requestId").and_then(Id::read))
        .flatten()
}

#[cfg(test)]
mod tests;
