//! What the server sends.

use std::{ops::Range, time::Duration};

use serde_json::{Value, json};

use super::{
    Action, Heard, MOST_OPEN, Note, Open, Outcome, Session, Side, Step,
    answers::{action, answer, clip, drop_with, error, note, replaced, unknown_answer},
    cancelled,
};
use crate::mcp::{
    gate::{Block, DENIED, Subject},
    glimpse::Glimpse,
    message::{Id, Invalid, Kind, Message},
    revision::{self, Revision},
};

impl Session {
    pub(super) fn server_message(&mut self, message: &Heard<'_>, now: Duration) -> Outcome {
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

    pub(super) fn server_batch(
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
