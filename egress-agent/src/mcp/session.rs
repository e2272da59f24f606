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
//! A request that does not go on is answered with an error, an answer is replaced by one, a
//! notification is dropped. What goes on, goes on byte for byte.

use std::{
    collections::BTreeMap,
    ops::{Deref, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    budget::Budget,
    gate::{Block, DENIED, Gate, NO_ANSWER, Subject},
    glimpse::{Glimpse, Glimpsed},
    inventory::Inventory,
    message::{
        self, Framing, INVALID_REQUEST, Id, Incoming, Invalid, Kind, Message, refuse_variants,
    },
    revision::{self, Revision},
};

/// Requests of one side that wait for an answer.
pub const MOST_OPEN: usize = 1024;
/// Members of the parameters of a call, and of what it may carry along.
const CALL: &[&str] = &[
    "name",
    "arguments",
    "uri",
    "task",
    "_meta",
    "inputResponses",
    "requestState",
];
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

    fn client_message(&mut self, message: &Heard<'_>, now: Duration) -> Outcome {
        match &message.kind {
            Kind::Request { id, method } => self.client_request(id, method, message, now),
            Kind::Notification { method } => {
                let from = Side::Client;
                if let Some(block) = self.inspect(Subject::ToServer, message) {
                    let note = note(from, Some(method.clone()), None, None, Some(block));
                    return (Step::Drop, vec![note]);
                }
                if let Some(id) = cancelled(method, message) {
                    self.asked.remove(&id);
                }
                (Step::Forward, Vec::new())
            }
            Kind::Result { id } | Kind::Error { id: Some(id) } => {
                let Some(open) = self.asked_back.remove(id) else {
                    return unknown_answer(Side::Client, id);
                };
                match self.inspect(Subject::ToServer, message) {
                    Some(block) => {
                        let step = Step::Replace(error(Some(id), &block, DENIED));
                        let id = Some(id.clone());
                        let note = note(Side::Client, Some(open.method), None, id, Some(block));
                        (step, vec![note])
                    }
                    None => (Step::Forward, Vec::new()),
                }
            }
            Kind::Error { id: None } => match self.inspect(Subject::ToServer, message) {
                Some(block) => drop_with(Side::Client, block),
                None => (Step::Forward, Vec::new()),
            },
        }
    }

    fn client_request(
        &mut self,
        id: &Id,
        method: &str,
        message: &Heard<'_>,
        now: Duration,
    ) -> Outcome {
        let params = message.params();
        let tool = (method == "tools/call")
            .then(|| params.get("name").and_then(Value::as_str))
            .flatten()
            .map(str::to_owned);
        let noted = |block| {
            note(
                Side::Client,
                Some(method.to_owned()),
                tool.clone(),
                Some(id.clone()),
                block,
            )
        };
        if self.asked.contains_key(id) {
            let block = Block::new(
                "duplicate-id",
                format!("a request with the id `{id}` still waits for its answer"),
                "give every request its own id",
            );
            // An error with this id would be taken for the answer of the other request.
            let step = Step::Reply(error(None, &block, INVALID_REQUEST));
            return (step, vec![noted(Some(block))]);
        }
        let revision = match revision::of_request(params) {
            Ok(revision) => revision,
            Err(requested) => {
                let (block, told) = revision::refusal(&requested);
                let step = Step::Reply(answer(Some(id), "error", told));
                return (step, vec![noted(Some(block))]);
            }
        };
        if let Err((block, number)) = self.may_request(id, method, message, now) {
            let step = Step::Reply(error(Some(id), &block, number));
            return (step, vec![noted(Some(block))]);
        }
        let notes = tool.is_some().then(|| noted(None)).into_iter().collect();
        self.asked.insert(
            id.clone(),
            Open {
                method: method.to_owned(),
                tool,
                since: now,
                is_first_page: params.get("cursor").is_none_or(Value::is_null),
                revision: revision.or(self.revision),
            },
        );
        (Step::Forward, notes)
    }

    fn may_request(
        &self,
        id: &Id,
        method: &str,
        message: &Heard<'_>,
        now: Duration,
    ) -> Result<(), (Block, i64)> {
        let denied = |block: Block| (block, DENIED);
        if self.asked.len() >= MOST_OPEN {
            return Err(denied(Block::new(
                "too-many-open",
                format!("{MOST_OPEN} requests wait for an answer"),
                "wait for some of them",
            )));
        }
        self.is_refused(method)
            .map_or(Ok(()), Err)
            .map_err(denied)?;
        let params = message.params();
        if let Some(params) = params.as_object() {
            refuse_variants(params, CALL)
                .map_err(|invalid| (unreadable(&invalid), invalid.number()))?;
        }
        match method {
            "tools/call" => self.may_call(id, params, now)?,
            "resources/read" | "resources/subscribe" => {
                if let Some(uri) = params.get("uri").and_then(Value::as_str)
                    && leaves(uri)
                {
                    let tool = format!("mcp__{}__resources_read", self.guard.server);
                    let arguments = json!({ "uri": uri });
                    let block = self.guard.gate.call(&tool, &arguments, &id.to_string());
                    block.map_or(Ok(()), Err).map_err(denied)?;
                }
            }
            _ => {}
        }
        self.inspect(Subject::ToServer, message)
            .map_or(Ok(()), Err)
            .map_err(denied)
    }

    fn may_call(&self, id: &Id, params: &Value, now: Duration) -> Result<(), (Block, i64)> {
        const INVALID_PARAMS: i64 = -32602;
        let denied = |block: Block| (block, DENIED);
        let malformed = |what: &'static str| {
            let hint = "name the tool in `name` and give its arguments as an object";
            (Block::new("malformed-call", what, hint), INVALID_PARAMS)
        };
        let name = params.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| malformed("the call names no tool"))?;
        let none = json!({});
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &none,
            Some(arguments @ Value::Object(_)) => arguments,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(malformed("the arguments are not an object"));
            }
        };
        let block = self.inventory().may_call(name);
        block.map_or(Ok(()), Err).map_err(denied)?;
        let running = self.asked.values().filter(|open| open.tool.is_some());
        if running.count() >= self.guard.limits.concurrent {
            return Err(denied(Block::new(
                "budget-concurrency",
                format!("{} calls are running", self.guard.limits.concurrent),
                "wait for one of them to end",
            )));
        }
        let block = lock(&self.budget).spend(&self.guard.limits, name, arguments, now);
        block.map_or(Ok(()), Err).map_err(denied)?;
        let tool = format!("mcp__{}__{name}", self.guard.server);
        let block = self.guard.gate.call(&tool, arguments, &id.to_string());
        block.map_or(Ok(()), Err).map_err(denied)
    }

    fn server_message(&mut self, message: &Heard<'_>, now: Duration) -> Outcome {
        match message.kind.clone() {
            Kind::Request { id, method } => self.server_request(&id, &method, message, now),
            Kind::Notification { method } => {
                if let Some(block) = self.inspect(Subject::FromServer, message) {
                    let note = note(Side::Server, Some(method), None, None, Some(block));
                    return (Step::Drop, vec![note]);
                }
                if let Some(id) = cancelled(&method, message) {
                    self.asked_back.remove(&id);
                }
                (Step::Forward, Vec::new())
            }
            Kind::Result { id } => match self.asked.remove(&id) {
                Some(open) => self.result(&id, open, message),
                None => unknown_answer(Side::Server, &id),
            },
            Kind::Error { id: Some(id) } => match self.asked.remove(&id) {
                Some(open) => match self.inspect(Subject::FromServer, message) {
                    Some(block) => replaced(&id, open, block),
                    None => (Step::Forward, Vec::new()),
                },
                None => unknown_answer(Side::Server, &id),
            },
            Kind::Error { id: None } => match self.inspect(Subject::FromServer, message) {
                Some(block) => drop_with(Side::Server, block),
                None => (Step::Forward, Vec::new()),
            },
        }
    }

    fn server_request(
        &mut self,
        id: &Id,
        method: &str,
        message: &Heard<'_>,
        now: Duration,
    ) -> Outcome {
        let is_known = self.asked_back.contains_key(id);
        let block = if is_known {
            Some(Block::new(
                "duplicate-id",
                format!("a request with the id `{id}` still waits for its answer"),
                "give every request its own id",
            ))
        } else if self.asked_back.len() >= MOST_OPEN {
            Some(Block::new(
                "too-many-open",
                format!("{MOST_OPEN} requests wait for an answer"),
                "wait for some of them",
            ))
        } else {
            self.may_ask_back(method, message.params())
                .or_else(|| self.inspect(Subject::FromServer, message))
        };
        if let Some(block) = block {
            let step = Step::Reply(error((!is_known).then_some(id), &block, DENIED));
            let (method, id) = (Some(method.to_owned()), Some(id.clone()));
            return (
                step,
                vec![note(Side::Server, method, None, id, Some(block))],
            );
        }
        self.asked_back.insert(
            id.clone(),
            Open {
                method: method.to_owned(),
                tool: None,
                since: now,
                is_first_page: false,
                revision: self.revision,
            },
        );
        (Step::Forward, Vec::new())
    }

    /// What a server may ask of a client, in a request or inside a result.
    fn may_ask_back(&self, method: &str, params: &Value) -> Option<Block> {
        if let Some(block) = self.is_refused(method) {
            return Some(block);
        }
        let asked = params
            .get("requestedSchema")?
            .get("properties")?
            .as_object();
        let secret = asked?.keys().find(|key| sounds_secret(key))?;
        Some(Block::new(
            "elicits-secret",
            format!(
                "the server asks for `{}`, and a server must not ask for secrets in a form",
                clip(secret)
            ),
            "give the server its credentials in its configuration",
        ))
    }

    /// The answer to a request of the client.
    fn result(&mut self, id: &Id, open: Open, message: &Heard<'_>) -> Outcome {
        match open.method.as_str() {
            "initialize" => self.initialized(id, open, message),
            "server/discover" => self.described(id, open, message),
            "tools/list" => self.listed(id, open, message, "tools"),
            "prompts/list" => self.listed(id, open, message, "prompts"),
            "resources/list" => self.listed(id, open, message, "resources"),
            "resources/templates/list" => self.listed(id, open, message, "resourceTemplates"),
            _ => {
                let asks = message.result().get("inputRequests");
                let asks = asks.and_then(Value::as_object).into_iter().flatten();
                let block = asks.into_iter().find_map(|(_, request)| {
                    let method = request.get("method").and_then(Value::as_str);
                    let params = request.get("params").unwrap_or(&Value::Null);
                    self.may_ask_back(method.unwrap_or_default(), params)
                });
                let block = block.or_else(|| self.inspect(Subject::FromServer, message));
                match block {
                    Some(block) => replaced(id, open, block),
                    None => (Step::Forward, Vec::new()),
                }
            }
        }
    }

    fn initialized(&mut self, id: &Id, open: Open, message: &Heard<'_>) -> Outcome {
        let agreed = message.result().get("protocolVersion");
        let agreed = agreed.and_then(Value::as_str).unwrap_or_default();
        match Revision::parse(agreed) {
            Some(revision) => {
                self.revision = Some(revision);
                self.described(id, open, message)
            }
            None => replaced(id, open, revision::refusal(agreed).0),
        }
    }

    /// What a server says of itself goes to the model: what must not, is taken out.
    fn described(&self, id: &Id, open: Open, message: &Heard<'_>) -> Outcome {
        let Some(block) = self.inspect(Subject::Description, message) else {
            return (Step::Forward, Vec::new());
        };
        let mut result = message.result().clone();
        let had = result
            .as_object_mut()
            .and_then(|result| result.remove("instructions"));
        if had.is_none() || self.guard.gate.describe(&result).is_some() {
            return replaced(id, open, block);
        }
        let step = Step::Replace(answer(Some(id), "result", result));
        let note = note(
            Side::Server,
            Some(open.method),
            None,
            Some(id.clone()),
            Some(block),
        );
        (step, vec![note])
    }

    /// A list for the model: entries that must not reach it are left out.
    fn listed(&self, id: &Id, open: Open, message: &Heard<'_>, key: &str) -> Outcome {
        let mut result = message.result().clone();
        let list = result
            .as_object_mut()
            .and_then(|result| result.get_mut(key))
            .map(Value::take);
        let Some(Value::Array(list)) = list else {
            let hint = "look at what the server sends";
            let block = Block::new("malformed-list", format!("the list has no `{key}`"), hint);
            return replaced(id, open, block);
        };
        // The rest of the message, without the list.
        if let Some(block) = self.guard.gate.describe(&result) {
            return replaced(id, open, block);
        }
        let is_last = result.get("nextCursor").is_none_or(Value::is_null);
        let length = list.len();
        let mut notes = Vec::new();
        let mut hide = |name: &str, block: Block| {
            let (method, name) = (Some(open.method.clone()), Some(clip(name)));
            notes.push(note(
                Side::Server,
                method,
                name,
                Some(id.clone()),
                Some(block),
            ));
        };
        let inspect = |entry: &Value| self.guard.gate.describe(entry);
        let kept: Vec<Value> = if key == "tools" {
            let mut inventory = self.inventory();
            inventory.begin(open.is_first_page);
            let kept = list
                .into_iter()
                .filter(|tool| match inventory.see(tool, inspect(tool)) {
                    Ok(()) => true,
                    Err((name, block)) => {
                        hide(&name, block);
                        false
                    }
                })
                .collect();
            if let Err(why) = inventory.end(is_last) {
                let hint = "mend it: what changes now will not be known later";
                hide("", Block::new("state-not-kept", why, hint));
            }
            kept
        } else {
            list.into_iter()
                .filter(|entry| match inspect(entry) {
                    None => true,
                    Some(block) => {
                        let name = entry.get("name").and_then(Value::as_str);
                        hide(name.unwrap_or_default(), block);
                        false
                    }
                })
                .collect()
        };
        // Whatever else stands beside the result has been read by nobody.
        let outside = message
            .document()
            .iter()
            .filter(|(key, _)| *key != "result");
        for (key, value) in outside {
            if let Some(block) = self.guard.gate.describe(&json!([key, value])) {
                return replaced(id, open, block);
            }
        }
        if kept.len() == length {
            return (Step::Forward, notes);
        }
        if let Some(result) = result.as_object_mut() {
            result.insert(key.to_owned(), Value::Array(kept));
        }
        (Step::Replace(answer(Some(id), "result", result)), notes)
    }

    fn client_batch(
        &mut self,
        bytes: &[u8],
        parts: &[(Range<usize>, Result<Message, Invalid>)],
        now: Duration,
    ) -> Outcome {
        let requests: Vec<Id> = parts
            .iter()
            .filter_map(|(_, part)| part.as_ref().ok())
            .filter_map(|message| match &message.kind {
                Kind::Request { id, .. } => Some(id.clone()),
                Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. } => None,
            })
            .collect();
        if !self.revision.is_some_and(Revision::has_batches) {
            return refuse_batch(&requests, no_batches(self.revision), Vec::new());
        }
        // All of it or nothing: half a batch is what nobody asked for.
        let (asked, asked_back) = (self.asked.clone(), self.asked_back.clone());
        let mut notes = Vec::new();
        let mut blocked = None;
        for (place, part) in parts {
            let element = bytes.get(place.clone()).unwrap_or_default();
            let (step, noted) = match part {
                Ok(message) => self.client_message(&Heard::new(message, element), now),
                Err(invalid) => {
                    blocked.get_or_insert(unreadable(invalid));
                    continue;
                }
            };
            let block = noted.iter().find_map(|note| note.block.clone());
            notes.extend(noted);
            if step != Step::Forward {
                blocked = blocked.or(block);
            }
        }
        match blocked {
            None => (Step::Forward, notes),
            Some(block) => {
                (self.asked, self.asked_back) = (asked, asked_back);
                refuse_batch(&requests, block, notes)
            }
        }
    }

    fn server_batch(
        &mut self,
        bytes: &[u8],
        parts: Vec<(Range<usize>, Result<Message, Invalid>)>,
        now: Duration,
    ) -> Vec<Action> {
        let has_batches = self.revision.is_some_and(Revision::has_batches);
        let mut actions = Vec::new();
        let (mut onwards, mut notes): (Vec<Vec<u8>>, Vec<Note>) = (Vec::new(), Vec::new());
        let mut is_whole = true;
        for (place, part) in parts {
            let element = bytes.get(place).unwrap_or_default();
            let (step, noted) = match part {
                Ok(message) if has_batches => {
                    self.server_message(&Heard::new(&message, element), now)
                }
                Ok(_) => {
                    let invalid =
                        Invalid::NotMessage("it came in a batch, which this revision has not");
                    let Action { step, notes } =
                        self.unreadable_from_server(&invalid, Glimpse::of(element));
                    (step, notes)
                }
                Err(invalid) => {
                    let Action { step, notes } =
                        self.unreadable_from_server(&invalid, Glimpse::of(element));
                    (step, notes)
                }
            };
            notes.extend(noted);
            is_whole &= step == Step::Forward;
            match step {
                Step::Forward => onwards.push(element.to_vec()),
                Step::Replace(other) => onwards.push(other),
                Step::Reply(_) => actions.push(action((step, Vec::new()))),
                Step::Drop => {}
            }
        }
        if is_whole {
            actions.push(action((Step::Forward, notes)));
        } else if onwards.is_empty() {
            actions.push(action((Step::Drop, notes)));
        } else if has_batches {
            let joined = [b"[".as_slice(), &onwards.join(&b','), b"]"].concat();
            actions.push(action((Step::Replace(joined), notes)));
        } else {
            let ones = onwards.into_iter().map(Step::Replace);
            actions.extend(ones.map(|step| action((step, Vec::new()))));
            actions.push(action((Step::Drop, notes)));
        }
        actions
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

fn action((step, notes): Outcome) -> Action {
    Action { step, notes }
}

fn note(
    from: Side,
    method: Option<String>,
    tool: Option<String>,
    id: Option<Id>,
    block: Option<Block>,
) -> Note {
    Note {
        from,
        method,
        tool,
        id,
        block,
    }
}

/// An answer with the one member that it has.
fn answer(id: Option<&Id>, member: &str, value: Value) -> Vec<u8> {
    let id = id.map_or(Value::Null, Id::to_value);
    let mut message = serde_json::Map::new();
    message.insert("jsonrpc".to_owned(), "2.0".into());
    message.insert("id".to_owned(), id);
    message.insert(member.to_owned(), value);
    Value::Object(message).to_string().into_bytes()
}

/// An error that has been made elsewhere, as an answer.
pub fn refusal(id: Option<&Id>, error: Value) -> Vec<u8> {
    answer(id, "error", error)
}

/// The error that answers a request; without an id when nobody can tell which.
pub fn error(id: Option<&Id>, block: &Block, number: i64) -> Vec<u8> {
    answer(id, "error", block.error(number))
}

/// What stands in the place of an answer.
fn replaced(id: &Id, open: Open, block: Block) -> Outcome {
    let bytes = if open.tool.is_some() {
        let mut result = block.tool_result();
        if open.revision.is_some_and(Revision::has_result_types)
            && let Some(result) = result.as_object_mut()
        {
            result.insert("resultType".to_owned(), "complete".into());
        }
        answer(Some(id), "result", result)
    } else {
        error(Some(id), &block, DENIED)
    };
    let note = note(
        Side::Server,
        Some(open.method),
        open.tool,
        Some(id.clone()),
        Some(block),
    );
    (Step::Replace(bytes), vec![note])
}

fn refuse_batch(requests: &[Id], block: Block, mut notes: Vec<Note>) -> Outcome {
    let errors: Vec<_> = requests
        .iter()
        .map(|id| error(Some(id), &block, INVALID_REQUEST))
        .collect();
    let step = if errors.is_empty() {
        Step::Reply(error(None, &block, INVALID_REQUEST))
    } else {
        Step::Reply([b"[".as_slice(), &errors.join(&b','), b"]"].concat())
    };
    notes.push(note(Side::Client, None, None, None, Some(block)));
    (step, notes)
}

fn no_batches(revision: Option<Revision>) -> Block {
    let revision = revision.map_or("a conversation without a revision", Revision::text);
    Block::new(
        "batch",
        format!("{revision} has no batches"),
        "send messages one by one",
    )
}

fn unknown_answer(from: Side, id: &Id) -> Outcome {
    let block = Block::new(
        "unknown-id",
        format!(
            "nobody waits for an answer with the id `{}`",
            clip(&id.to_string())
        ),
        "answer every request once",
    );
    let note = note(from, None, None, Some(id.clone()), Some(block));
    (Step::Drop, vec![note])
}

fn drop_with(from: Side, block: Block) -> Outcome {
    (Step::Drop, vec![note(from, None, None, None, Some(block))])
}

/// Of a message a part was taken out: what goes on is the rest.
fn taken_out(side: Side, rest: &[u8], mut actions: Vec<Action>) -> Vec<Action> {
    for action in &mut actions {
        if action.step == Step::Forward {
            // It came with the end of its line, and gets one again.
            action.step = Step::Replace(rest.trim_ascii_end().to_vec());
        }
    }
    if let Some(last) = actions.last_mut() {
        let block = Some(Block::redacted());
        last.notes.push(note(side, None, None, None, block));
    }
    actions
}

/// Whether there is something in which anything could be found.
fn is_message(incoming: &Result<Incoming, Invalid>) -> bool {
    matches!(incoming, Ok(Incoming::One(_) | Incoming::Batch(_)))
}

fn unreadable(invalid: &Invalid) -> Block {
    Block::new(invalid.code(), invalid.to_string(), invalid.hint())
}

/// The request that a notification takes back.
fn cancelled(method: &str, message: &Heard<'_>) -> Option<Id> {
    (method == "notifications/cancelled")
        .then(|| message.params().get("requestId").and_then(Id::read))
        .flatten()
}

/// Whether reading a resource goes to the network or to the files of this machine.
fn leaves(uri: &str) -> bool {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        ["http", "https", "ws", "wss", "ftp", "ftps", "sftp", "file"]
            .iter()
            .any(|known| scheme.trim().eq_ignore_ascii_case(known))
    })
}

/// Names of fields in which people write what only they should know.
fn sounds_secret(key: &str) -> bool {
    const PARTS: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "apikey",
        "privatekey",
        "accesstoken",
        "authtoken",
        "bearertoken",
        "refreshtoken",
        "credential",
        "seedphrase",
        "cvv",
    ];
    let key: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|char| char.to_ascii_lowercase())
        .collect();
    ["token", "pin", "ssn"].contains(&key.as_str()) || PARTS.iter().any(|part| key.contains(part))
}

fn clip(text: &str) -> String {
    let end = text.floor_char_boundary(128);
    let text = text.get(..end).unwrap_or_default();
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

#[cfg(test)]
mod tests;
