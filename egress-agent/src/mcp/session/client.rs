//! What the client sends.

use std::{ops::Range, time::Duration};

use serde_json::{Value, json};

use super::{
    Heard, MOST_OPEN, Open, Outcome, Session, Side, Step,
    answers::{
        answer, drop_with, error, no_batches, note, refuse_batch, unknown_answer, unreadable,
    },
    cancelled, lock,
};
use crate::mcp::{
    gate::{Block, DENIED, Subject},
    message::{INVALID_REQUEST, Id, Invalid, Kind, Message, refuse_variants},
    revision::{self, Revision},
};

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
impl Session {
    pub(super) fn client_message(&mut self, message: &Heard<'_>, now: Duration) -> Outcome {
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

    pub(super) fn client_batch(
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
