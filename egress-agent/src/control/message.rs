//! What is said over the control socket: one request or reply on each line.
//!
//! A line of another version, an unknown operation or member, or anything that is not the JSON
//! it should be, is answered with a [`Failure`]; nothing is guessed.

use serde::{Deserialize, Serialize};

use super::status::{Entered, Session, Status, Why};
use crate::audit::{feed::Told, filter::Filter, record::Record};

/// Version of requests and replies, member `v` of every line.
pub const VERSION: u64 = 1;

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What is enforced; of one session, or of everything.
    Status {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// The sessions that run.
    Sessions {},
    /// How `HOST:PORT[/PROTO]` is decided now, and why.
    Why {
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// Records, oldest first.
    Log {
        #[serde(default)]
        filter: Filter,
        /// Only this many of the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
        /// Go on with what is recorded from now on.
        #[serde(default)]
        follow: bool,
    },
    /// The last denials of a session.
    Denials {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// Read the policy again; of one guarded cgroup, or of all.
    Reload {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<String>,
    },
    /// Take the guard off.
    Release {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<String>,
    },
    /// Put the asking process into a new session.
    Enter {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<String>,
        /// What it is about to run, for the record.
        #[serde(default)]
        command: Vec<String>,
    },
    /// End a session.
    End { session: String },
    /// Change what the daemon's diagnostic log says (`tracing` filter syntax).
    Verbosity { filter: String },
}

/// What the daemon says when it did what was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Status(Box<Status>),
    Sessions(Vec<Session>),
    Why(Box<Why>),
    Denials(Vec<Record>),
    Entered(Entered),
    /// One line of the log, exactly as it stands there.
    Line(String),
    /// The client read too slowly for this many records.
    Missed(u64),
    /// Something in the log could not be read.
    Unreadable(String),
    /// Done, or the end of a log that is not followed. May carry a word for people.
    Done(String),
}

/// What the daemon says when it did not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: Code,
    /// What happened, and why.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The kinds of failure that a program may want to tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Not a request.
    BadRequest,
    WrongVersion,
    /// The request is longer than the daemon reads.
    TooLarge,
    /// The request did not arrive in time.
    TooSlow,
    /// Too many connections.
    Busy,
    Forbidden,
    /// No such session or guard.
    NotFound,
    /// The new policy is not valid, and the old one stays.
    InvalidPolicy,
    /// The daemon could not do it.
    Failed,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
        }
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn wrong_version(found: u64) -> Self {
        Self::new(
            Code::WrongVersion,
            format!("the line has version {found}, and this side speaks version {VERSION}"),
        )
        .with_help(
            "use egressctl and egressd of the same release, and restart egressd after an update",
        )
    }
}

impl Request {
    /// Reads one line, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, Failure> {
        let bad = |error: serde_json::Error| {
            Failure::new(
                Code::BadRequest,
                format!("the request cannot be read: {error}"),
            )
            .with_help(r#"send one JSON object on a line, such as {"v":1,"op":"status"}"#)
        };
        let mut members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(line).map_err(bad)?;
        match members.remove("v") {
            Some(version) if version == VERSION => {}
            Some(version) if version.is_u64() => {
                return Err(Failure::wrong_version(version.as_u64().unwrap_or_default()));
            }
            Some(_) | None => {
                let message = format!("the request has no version: `v` must be {VERSION}");
                return Err(Failure::new(Code::BadRequest, message));
            }
        }
        serde_json::from_value(members.into()).map_err(bad)
    }

    /// One line, newline included.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            v: u64,
            #[serde(flatten)]
            request: &'a Request,
        }
        line(&Line {
            v: VERSION,
            request: self,
        })
    }
}

/// Reads one line of a reply, without its newline.
pub fn parse_reply(line: &[u8]) -> Result<Result<Reply, Failure>, Failure> {
    let bad = |message: String| Failure::new(Code::BadRequest, message);
    let Version { v } = serde_json::from_slice(line)
        .map_err(|error| bad(format!("the reply cannot be read: {error}")))?;
    if v != VERSION {
        return Err(Failure::wrong_version(v));
    }
    let Members { ok, error } = serde_json::from_slice(line)
        .map_err(|error| bad(format!("the reply cannot be read: {error}")))?;
    match (ok, error) {
        (Some(reply), None) => Ok(Ok(reply)),
        (None, Some(failure)) => Ok(Err(failure)),
        _ => Err(bad(
            "the reply says neither `ok` nor `error`, or both".to_owned()
        )),
    }
}

/// One line of a reply, newline included.
pub fn reply_line(reply: Result<&Reply, &Failure>) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        v: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ok: Option<&'a Reply>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Failure>,
    }
    line(&Line {
        v: VERSION,
        ok: reply.ok(),
        error: reply.err(),
    })
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
struct Members {
    ok: Option<Reply>,
    error: Option<Failure>,
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

impl From<Told> for Reply {
    fn from(told: Told) -> Self {
        match told {
            Told::Line(text) => Self::Line(text),
            Told::Missed(missed) => Self::Missed(missed),
            Told::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

#[cfg(test)]
mod tests;
