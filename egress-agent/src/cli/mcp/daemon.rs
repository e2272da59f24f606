//! The gate that asks the daemon, as the hook does: it judges, and it records.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    audit::record::Mode,
    cli::hook::ask::ask,
    content::{Passage, Source},
    control::{
        message::{Reply, Request},
        status::Judged,
    },
    inspect::{Tokens, redact::redact_json},
    mcp::{
        gate::{Block, Gate, Inspect, Subject},
        ruling::{block, passage_block},
    },
    tools::Call,
};

/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is known of the daemon's policy: whether it has things taken out of messages.
const UNKNOWN: u8 = 0;
const NEVER: u8 = 1;
const SOMETIMES: u8 = 2;

pub(super) struct DaemonGate {
    socket: PathBuf,
    /// As policies know the server: `mcp__SERVER`.
    server: String,
    tokens: Tokens,
    redacts: AtomicU8,
}

impl DaemonGate {
    /// `key` is random: the numbers that stand for what was taken out are made with it.
    pub(super) fn new(socket: PathBuf, server: &str, key: [u8; 32]) -> Self {
        Self {
            socket,
            server: format!("mcp__{server}"),
            tokens: Tokens::new(key),
            redacts: AtomicU8::new(UNKNOWN),
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
        };
        let hint = "ask the person to look at egressd; nothing went on";
        let judged = match ask(&self.socket, &request, PATIENCE) {
            Ok(Reply::Judged(judged)) => *judged,
            Ok(_) => {
                let reason = "egressd answered something else than was asked for";
                return Err(Block::new("no-judgement", reason, hint));
            }
            Err(error) => return Err(Block::new("no-judgement", error.to_string(), hint)),
        };
        let redacts = if judged.redacts { SOMETIMES } else { NEVER };
        self.redacts.store(redacts, Ordering::Relaxed);
        Ok(judged)
    }

    fn look(&self, source: Source, text: String) -> Result<Judged, Block> {
        let call = Call::new(self.server.as_str(), Value::Null);
        self.judged(call, None, Some(Passage { source, text }))
    }
}

impl Gate for DaemonGate {
    fn call(&self, tool: &str, arguments: &Value, id: &str) -> Option<Block> {
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
    fn inspect(&self, subject: Subject, texts: &[Cow<'_, str>]) -> Option<Block> {
        passed(self.look(subject.source(), json!(texts).to_string()))
    }

    fn describe(&self, tool: &Value) -> Option<Block> {
        passed(self.look(Source::Description, tool.to_string()))
    }

    fn redact(&self, subject: Subject, message: &[u8]) -> Option<Vec<u8>> {
        if self.redacts.load(Ordering::Relaxed) == NEVER {
            return None;
        }
        // What is no text is refused when it is read.
        let text = std::str::from_utf8(message).ok()?;
        // Without an answer nothing is taken out, and then nothing goes on: it is asked again.
        let judged = self.look(subject.source(), text.to_owned()).ok()?;
        let Judged {
            judgement: _,
            redacted,
            redaction,
            redacts: _,
            mode,
        } = judged;
        (mode == Mode::Enforce && !redacted.is_empty())
            .then(|| redact_json(message, &redacted, &redaction, &self.tokens))
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
