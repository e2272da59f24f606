//! The gate that asks the daemon, as the hook does: it judges, and it records.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    audit::record::Mode,
    cli::hook::ask::ask,
    content::Passage,
    control::{
        message::{Reply, Request},
        status::Judged,
    },
    inspect::{Tokens, redact::redact_json},
    mcp::{
        gate::{Block, Gate, Inspect, Latest, Subject},
        ruling::{Asked, block, passage_block},
    },
    tools::{Call, Verdict},
};

/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// Asks about every message, so that a policy holds from the moment at which it is loaded.
pub(super) struct DaemonGate {
    socket: PathBuf,
    /// As policies know the server: `mcp__SERVER`.
    server: String,
    asked: Asked,
    tokens: Tokens,
    latest: Latest,
}

impl DaemonGate {
    /// `key` is random: the numbers that stand for what was taken out are made with it.
    pub(super) fn new(socket: PathBuf, server: &str, key: [u8; 32]) -> Self {
        Self {
            socket,
            server: format!("mcp__{server}"),
            asked: Asked::default(),
            tokens: Tokens::new(key),
            latest: Latest::default(),
        }
    }

    fn judged(
        &self,
        call: Call,
        id: Option<String>,
        passage: Option<Passage>,
    ) -> Result<Judged, Block> {
        let request = Request::Judge {
            call,
            id,
            session: None,
            mcp: true,
            passage,
            rewrites: false,
        };
        let hint = "ask the person to look at egressd; nothing went on";
        match ask(&self.socket, &request, PATIENCE) {
            Ok(Reply::Judged(judged)) => Ok(*judged),
            Ok(_) => {
                let reason = "egressd answered something else than was asked for";
                Err(Block::new("no-judgement", reason, hint))
            }
            Err(error) => Err(Block::new("no-judgement", error.to_string(), hint)),
        }
    }

    fn look(&self, subject: Subject, json: &[u8]) -> Result<Judged, Block> {
        let source = subject.source();
        // What is no text is no message, and nobody asks about it.
        let text = String::from_utf8_lossy(json).into_owned();
        let passage = Passage { source, text };
        let ask = |tool: &str| {
            let call = Call::new(tool, Value::Null);
            self.judged(call, None, Some(passage.clone()))
        };
        let tools = self.asked.tools(&self.server, subject, json);
        let mut strictest = None;
        for tool in &tools {
            let judged = ask(tool)?;
            let weight = |judged: &Judged| {
                let verdict = match judged.judgement.verdict {
                    Verdict::Allow => 0,
                    Verdict::Ask => 1,
                    Verdict::Deny => 2,
                };
                (verdict, judged.redacted.len())
            };
            if strictest
                .as_ref()
                .is_none_or(|other| weight(&judged) > weight(other))
            {
                strictest = Some(judged);
            }
        }
        match strictest {
            Some(judged) => Ok(judged),
            None => ask(&self.server),
        }
    }
}

impl Gate for DaemonGate {
    fn call(&self, tool: &str, arguments: &Value, id: &str) -> Option<Block> {
        self.asked.note(id, tool);
        let call = Call::new(tool, arguments.clone());
        match self.judged(call, Some(id.to_owned()), None) {
            Ok(judged) => match judged.mode {
                Mode::Enforce => block(tool, judged.judgement),
                Mode::Observe => None,
            },
            Err(block) => Some(block),
        }
    }
}

impl Inspect for DaemonGate {
    fn inspect(&self, subject: Subject, json: &[u8]) -> Option<Block> {
        self.latest
            .or_look(subject, json, || passed(self.look(subject, json)))
    }

    fn redact(&self, subject: Subject, message: &[u8]) -> Option<Vec<u8>> {
        match self.look(subject, message) {
            Ok(judged) if judged.mode == Mode::Enforce && !judged.redacted.is_empty() => {
                let (redacted, redaction) = (&judged.redacted, &judged.redaction);
                Some(redact_json(message, redacted, redaction, &self.tokens))
            }
            judged => {
                self.latest.put(subject, message, passed(judged));
                None
            }
        }
    }
}

fn passed(judged: Result<Judged, Block>) -> Option<Block> {
    match judged {
        Ok(judged) => match judged.mode {
            Mode::Enforce => passage_block(judged.judgement, &judged.redacted),
            Mode::Observe => None,
        },
        Err(block) => Some(block),
    }
}
