//! What is said over the control socket: one request or reply on each line.
//!
//! A line of another version, an unknown operation or member, or anything that is not the JSON
//! it should be, is answered with a [`Failure`]; nothing is guessed.

use serde::{Deserialize, Serialize};

use super::{
    confinement::Held,
    grants::{Act, Grant, Opening, Pending, Settlement, Wish},
    overview::Overview,
    status::{Aftermath, Entered, Judged, Link, Session, Status, Why},
};
use crate::{
    audit::{
        feed::Told,
        filter::Filter,
        record::{Egress, Record},
    },
    content::Passage,
    policy::Places,
    tools::Call,
};

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
    /// What a session did with each host, up to now or, for a while, up to its end: then the answer
    /// waits for what its last flows carried.
    Egress {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// One look at everything that runs and happened last; at one session, or at all.
    Overview {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// Judge a tool call before it runs, and record it.
    Judge {
        call: Call,
        /// The agent's own number of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// The MCP guard asks, not a hook.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mcp: bool,
        /// Only look at this message, which belongs to the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passage: Option<Passage>,
        /// The asker can put other arguments, or another passage, in place of the ones that must
        /// not stay: say which.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rewrites: bool,
    },
    /// What the network refused to a session since a tool call was judged; without the number of
    /// the call, since the latest one.
    Aftermath {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
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
        /// The name of the session; the daemon makes one up when it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// What it is about to run, for the record.
        #[serde(default)]
        command: Vec<String>,
        /// Where the caller's environment says that sockets are.
        #[serde(default, skip_serializing_if = "is_default")]
        places: Places,
        /// Record denials in it, and refuse nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        observe: bool,
    },
    /// What the process that entered on this connection is held by. Accepted once, and nowhere
    /// else.
    Confined {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        held: Held,
    },
    /// Where the dashboard is, and the token that it wants.
    Dashboard {},
    /// End a session.
    End { session: String },
    /// Change what the daemon's diagnostic log says (`tracing` filter syntax).
    Verbosity { filter: String },
    /// Open a destination, or say what that would open.
    Allow {
        wish: Wish,
        act: Act,
        /// Who asks, by their own word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claimed: Option<String>,
    },
    /// What was granted and has not ended.
    Grants {},
    /// Take a grant back.
    Revoke {
        id: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claimed: Option<String>,
    },
    /// What waits for a person.
    Pending {},
    /// Settle something that waits for a person.
    Approve {
        settlement: Settlement,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claimed: Option<String>,
    },
}

/// What the daemon says when it did what was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Status(Box<Status>),
    Sessions(Vec<Session>),
    Why(Box<Why>),
    Denials(Vec<Record>),
    Egress(Vec<Egress>),
    Overview(Box<Overview>),
    Judged(Box<Judged>),
    Aftermath(Box<Aftermath>),
    Entered(Entered),
    Opening(Box<Opening>),
    Grants(Vec<Grant>),
    Pending(Vec<Pending>),
    Dashboard(Link),
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

    /// How every line of a tool call begins: such a line may be long.
    pub const JUDGE: &[u8] = br#"{"v":1,"op":"judge","#;

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

fn is_default(places: &Places) -> bool {
    *places == Places::default()
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

impl Reply {
    /// What `enter` is answered with.
    pub fn into_entered(self) -> Option<Entered> {
        match self {
            Self::Entered(entered) => Some(entered),
            Self::Status(_)
            | Self::Sessions(_)
            | Self::Why(_)
            | Self::Denials(_)
            | Self::Egress(_)
            | Self::Overview(_)
            | Self::Judged(_)
            | Self::Aftermath(_)
            | Self::Opening(_)
            | Self::Grants(_)
            | Self::Pending(_)
            | Self::Dashboard(_)
            | Self::Line(_)
            | Self::Missed(_)
            | Self::Unreadable(_)
            | Self::Done(_) => None,
        }
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requests() -> Vec<(Request, &'static str)> {
        vec![
            (
                Request::Status { session: None },
                r#"{"v":1,"op":"status"}"#,
            ),
            (Request::Sessions {}, r#"{"v":1,"op":"sessions"}"#),
            (
                Request::Why {
                    target: "github.com:443".to_owned(),
                    session: Some("s1".to_owned()),
                },
                r#"{"v":1,"op":"why","target":"github.com:443","session":"s1"}"#,
            ),
            (
                Request::Log {
                    filter: Filter {
                        denied: true,
                        ..Filter::default()
                    },
                    last: Some(0),
                    follow: true,
                },
                r#"{"v":1,"op":"log","filter":{"denied":true},"last":0,"follow":true}"#,
            ),
            (
                Request::Enter {
                    guard: None,
                    session: None,
                    command: vec!["claude".to_owned()],
                    places: Places::default(),
                    observe: false,
                },
                r#"{"v":1,"op":"enter","command":["claude"]}"#,
            ),
            (
                Request::Enter {
                    guard: None,
                    session: None,
                    command: vec!["aws".to_owned()],
                    places: Places::default(),
                    observe: true,
                },
                r#"{"v":1,"op":"enter","command":["aws"],"observe":true}"#,
            ),
            (
                Request::Egress {
                    session: Some("s1".to_owned()),
                },
                r#"{"v":1,"op":"egress","session":"s1"}"#,
            ),
            (
                Request::Overview { session: None },
                r#"{"v":1,"op":"overview"}"#,
            ),
            (
                Request::Judge {
                    call: Call {
                        tool: "Bash".to_owned(),
                        input: serde_json::json!({ "command": "ls" }),
                        cwd: Some("/src".into()),
                        remotes: Vec::new(),
                    },
                    id: Some("t1".to_owned()),
                    session: None,
                    mcp: false,
                    passage: None,
                    rewrites: false,
                },
                r#"{"v":1,"op":"judge","call":{"tool":"Bash","input":{"command":"ls"},"cwd":"/src"},"id":"t1"}"#,
            ),
            (
                Request::Aftermath {
                    id: Some("t1".to_owned()),
                    session: None,
                },
                r#"{"v":1,"op":"aftermath","id":"t1"}"#,
            ),
            (
                Request::End {
                    session: "s1".to_owned(),
                },
                r#"{"v":1,"op":"end","session":"s1"}"#,
            ),
            (
                Request::Allow {
                    wish: Wish {
                        target: "github.com".to_owned(),
                        session: Some("s1".to_owned()),
                        seconds: Some(3600),
                        ..Wish::default()
                    },
                    act: Act::Grant,
                    claimed: None,
                },
                r#"{"v":1,"op":"allow","wish":{"target":"github.com","session":"s1","seconds":3600},"act":"grant"}"#,
            ),
            (Request::Pending {}, r#"{"v":1,"op":"pending"}"#),
            (
                Request::Approve {
                    settlement: Settlement {
                        id: 3,
                        verdict: crate::audit::record::Verdict::Deny,
                        seconds: None,
                        for_all: false,
                        why: None,
                    },
                    claimed: Some("dorian".to_owned()),
                },
                r#"{"v":1,"op":"approve","settlement":{"id":3,"verdict":"deny"},"claimed":"dorian"}"#,
            ),
        ]
    }

    #[test]
    fn requests_have_the_documented_lines() {
        for (request, text) in requests() {
            let line = request.line().unwrap();
            assert_eq!(
                line.starts_with(Request::JUDGE),
                matches!(request, Request::Judge { .. })
            );
            assert_eq!(String::from_utf8(line).unwrap(), format!("{text}\n"));
            assert_eq!(Request::parse(text.as_bytes()), Ok(request));
        }
    }

    #[track_caller]
    fn check_bad(line: &str, code: Code, message: &str) {
        let failure = Request::parse(line.as_bytes()).unwrap_err();
        assert_eq!(failure.code, code, "{line}: {failure}");
        assert!(failure.message.contains(message), "{line}: {failure}");
    }

    #[test]
    fn what_is_not_a_request_is_refused_with_a_reason() {
        check_bad("", Code::BadRequest, "cannot be read");
        check_bad("[]", Code::BadRequest, "cannot be read");
        check_bad("{\"v\":1", Code::BadRequest, "cannot be read");
        check_bad(r#"{"op":"status"}"#, Code::BadRequest, "no version");
        check_bad(r#"{"v":"1","op":"status"}"#, Code::BadRequest, "no version");
        check_bad(
            r#"{"v":2,"op":"status"}"#,
            Code::WrongVersion,
            "version 2, and this side speaks version 1",
        );
        check_bad(r#"{"v":1,"op":"destroy"}"#, Code::BadRequest, "destroy");
        check_bad(
            r#"{"v":1,"op":"status","sesion":"x"}"#,
            Code::BadRequest,
            "sesion",
        );
        check_bad(
            r#"{"v":1,"op":"sessions","all":true}"#,
            Code::BadRequest,
            "all",
        );
        check_bad(r#"{"v":1,"op":"end"}"#, Code::BadRequest, "session");
        check_bad(&"[".repeat(60_000), Code::BadRequest, "cannot be read");
    }

    #[test]
    fn replies_and_failures_read_back() {
        for reply in [
            Reply::Sessions(Vec::new()),
            Reply::Line(r#"{"v":1}"#.to_owned()),
            Reply::Missed(3),
            Reply::Done(String::new()),
        ] {
            let line = reply_line(Ok(&reply)).unwrap();
            assert_eq!(parse_reply(&line), Ok(Ok(reply)));
        }
        let failure = Failure::new(Code::NotFound, "no session `x`")
            .with_help("see `egressctl session list`");
        let line = reply_line(Err(&failure)).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&line),
            concat!(
                r#"{"v":1,"error":{"code":"not-found","message":"no session `x`","#,
                r#""help":"see `egressctl session list`"}}"#,
                "\n"
            )
        );
        assert_eq!(parse_reply(&line), Ok(Err(failure)));
        let newer = parse_reply(br#"{"v":9,"ok":"whatever"}"#).unwrap_err();
        assert_eq!(newer.code, Code::WrongVersion);
        assert!(parse_reply(br#"{"v":1}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Request::parse(&line).is_err());
            prop_assert!(parse_reply(&line).is_err());
        }

        #[test]
        fn any_change_of_a_request_is_read_or_refused(
            which in 0..14_usize,
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut line = requests()[which].1.as_bytes().to_vec();
            let at = at.index(line.len());
            line[at] = byte;
            if let Ok(request) = Request::parse(&line) {
                let again = request.line().unwrap();
                prop_assert_eq!(Request::parse(again.trim_ascii_end()), Ok(request));
            }
        }
    }
}
