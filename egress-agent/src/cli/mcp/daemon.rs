//! The gate that asks the daemon, as the hook does: it judges, and it records.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    audit::record::Mode,
    cli::hook::ask::ask,
    control::{
        message::{Reply, Request},
        status::Judged,
    },
    mcp::{
        gate::{Block, Gate, Inspect, Subject},
        ruling,
    },
    tools::Call,
};

/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct DaemonGate {
    pub(super) socket: PathBuf,
    pub(super) inspect: Box<dyn Inspect>,
}

impl Gate for DaemonGate {
    fn call(&self, tool: &str, arguments: &Value, id: &str) -> Option<Block> {
        let request = Request::Judge {
            call: Call::new(tool, arguments.clone()),
            id: Some(id.to_owned()),
            session: None,
            mcp: true,
            passage: None,
        };
        let hint = "ask the person to look at egressd; nothing was called";
        match ask(&self.socket, &request, PATIENCE) {
            Ok(Reply::Judged(judged)) => {
                let Judged {
                    judgement,
                    redacted: _,
                    mode,
                } = *judged;
                match mode {
                    Mode::Enforce => ruling::block(tool, judgement),
                    Mode::Observe => None,
                }
            }
            Ok(_) => {
                let reason = "egressd answered something else than was asked for";
                Some(Block::new("no-judgement", reason, hint))
            }
            Err(error) => Some(Block::new("no-judgement", error.to_string(), hint)),
        }
    }
}

impl Inspect for DaemonGate {
    fn inspect(&self, subject: Subject, texts: &[Cow<'_, str>]) -> Option<Block> {
        self.inspect.inspect(subject, texts)
    }
}
