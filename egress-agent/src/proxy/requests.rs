//! What may be said, at level `http`: every request is judged as a whole before anything of it
//! leaves, and every answer before the client can act on it.
//!
//! ```text
//!   head ──rules──▶ body, whole ──▶ decoded ──▶ secrets, also across requests ──▶ budget
//!        ──▶ credential ──▶ the host ──▶ answer: orders, event by event where it is a stream
//! ```
//!
//! One policy holds from the head of a request to the end of its answer. Whatever carried the
//! request here hands it to [`Judge`] and passes on what that returns. A request is refused or goes
//! on as it came: nothing is ever taken out of it, as the host would get what nobody wrote.
//!
//! # Known gaps
//!
//! Archives and files that are compressed within a body; orders that a model writes itself, word
//! by word, in a stream of events; text that is encrypted, or coded in a way that section
//! `inspect` does not undo.

mod answers;
mod budget;
mod fragments;
mod look;
mod messages;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use egress_common::{Protocol, Reason, RuleId};
use http::{
    HeaderMap, HeaderValue, Request,
    header::{
        ACCEPT_ENCODING, CONTENT_LENGTH, SEC_WEBSOCKET_EXTENSIONS, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tokio::task::spawn_blocking;

use self::{
    budget::{Exceeded, Spending, Use},
    fragments::Fragments,
    look::{Found, Looked, Spot},
};
use super::{
    exchange::upstream::LocalBody,
    flow::{Denial, Flow},
};
use crate::{
    content::{Content, Form},
    inspect::{Finding, Tokens},
    policy::{CredentialPlace, Http, Name, OfAnswer, OfRequest, Policy, RequestPath, Rule, Secret},
};

/// What is longer is looked at on another thread: the flows of others go on meanwhile.
const LONG: usize = 32 << 10;
/// Found things that a record tells of; more say nothing new.
const MOST_FINDINGS: usize = 16;

/// What the proxy remembers of requests.
#[derive(Debug)]
pub(super) struct Memory {
    spending: Spending,
    fragments: Fragments,
    /// For the marks in place of orders.
    tokens: Tokens,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            spending: Spending::default(),
            fragments: Fragments::default(),
            // What it numbers is no secret: the order came from outside.
            tokens: Tokens::new([0; 32]),
        }
    }
}

/// Judges one request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Judge<'p> {
    /// The client's, for the host of the request.
    flow: Flow<'p>,
    policy: Arc<Policy>,
    rule: RuleId,
    http: Arc<Http>,
    host: String,
}

impl<'p> Judge<'p> {
    /// By the policy that runs now. The host was judged already.
    pub(super) fn new(flow: &Flow<'p>, host: &str, port: u16) -> Result<Self, Denial> {
        let policy = flow.gate().policy_for(flow.client.session);
        let name = Name::parse(host).map_err(|_invalid| Denial::new(Reason::NameDenied))?;
        let rule = policy.decide_host(&name, Protocol::TCP, port)?;
        let http = policy.rule(rule).map(|rule| Arc::clone(&rule.http));
        let mut flow = flow.clone();
        flow.host = Some(host.to_owned());
        Ok(Self {
            flow,
            rule,
            http: http.unwrap_or_default(),
            host: host.to_owned(),
            policy,
        })
    }

    /// The request as it may leave.
    pub(super) async fn request(
        &self,
        request: Request<LocalBody>,
    ) -> Result<Request<LocalBody>, Denial> {
        let (mut parts, body) = request.into_parts();
        self.hold(self.rules(&parts))?;
        let body = match self.whole(&parts.headers, body).await? {
            Whole::Body(body) => body,
            Whole::Beyond(body) => return Ok(Request::from_parts(parts, body)),
        };
        let looked = self.look(&parts, &body).await;
        self.hold(looked.and_then(|looked| self.weigh(looked)))?;
        self.hold(self.misplaced_in(|word| holds(&parts, &body, word)))?;
        let up = size(&parts) + u64::try_from(body.len()).unwrap_or(u64::MAX);
        self.spend(Use {
            requests: 1,
            up,
            down: 0,
        })?;
        self.add_credential(&mut parts.headers)?;
        let is_framed = [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| parts.headers.contains_key(name));
        parts.headers.remove(TRANSFER_ENCODING);
        if is_framed || !body.is_empty() {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        if parts.headers.contains_key(UPGRADE) {
            // Messages are read, and must not be compressed.
            parts.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        }
        if self.reads_answers() {
            let identity = HeaderValue::from_static("identity");
            parts.headers.insert(ACCEPT_ENCODING, identity);
        }
        let body: LocalBody = Box::pin(Full::new(body).map_err(|never| match never {}));
        Ok(Request::from_parts(parts, body))
    }

    /// Whether the rule has an entry for this request.
    fn rules(&self, parts: &Parts) -> Result<(), Denial> {
        let Some(rules) = &self.http.requests else {
            return Ok(());
        };
        let why = self.named(|rule| rule.reason.clone());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let denied = |message: String| {
            Denial::by(Reason::RequestDenied, self.rule, format!("{message}{why}"))
        };
        let path = RequestPath::parse(parts.uri.path()).map_err(|invalid| {
            denied(format!(
                "the path of the request has no one meaning: {invalid}; write it without"
            ))
        })?;
        let (method, fields) = (&parts.method, &parts.headers);
        if rules
            .iter()
            .any(|rule| rule.is_match(method, &path, fields))
        {
            return Ok(());
        }
        let name = self.named(|rule| rule.name.clone());
        let but_headers = rules.iter().find(|rule| {
            let mut rule = (*rule).clone();
            rule.headers.clear();
            rule.is_match(method, &path, fields)
        });
        if let Some(rule) = but_headers {
            let wanted: Vec<_> = rule.headers.iter().map(|(name, _)| name.as_str()).collect();
            return Err(denied(format!(
                "rule `{name}` allows {method} on this path only with its own values of the headers: {}",
                wanted.join(", ")
            )));
        }
        // A path that holds a secret is told to nobody.
        let is_clean = look::head(self.content(), &self.host, parts)
            .found
            .is_empty();
        let entry = json!({ "methods": [method.as_str()], "paths": [path.pattern()] });
        let message = format!("rule `{name}` has no entry in `requests` for {method} on this path");
        Err(denied(message).allowed_with(is_clean.then_some(entry)))
    }

    /// The whole body of a request.
    async fn whole(&self, fields: &HeaderMap, mut body: LocalBody) -> Result<Whole, Denial> {
        let longest = self.http.longest_body;
        let too_long = || {
            let name = self.named(|rule| rule.name.clone());
            let message = format!(
                "the body has more than {longest} bytes, and is not sent before it was judged as a whole; raise `max_body` of rule `{name}` if that is meant"
            );
            Denial::by(Reason::BodyTooLarge, self.rule, message)
        };
        let length = fields
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        let length = length.and_then(|value| value.parse::<u64>().ok());
        if length.is_some_and(|length| length > longest) {
            self.hold(Err(too_long()))?;
            return Ok(Whole::Beyond(body));
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let message = format!("the body did not come whole: {error}");
                Denial::with(Reason::UnreadableRequest, message)
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            whole.extend_from_slice(&data);
            if u64::try_from(whole.len()).map_or(true, |length| length > longest) {
                self.hold(Err(too_long()))?;
                let first = Some(whole.freeze());
                return Ok(Whole::Beyond(Box::pin(Chained { first, body })));
            }
        }
        Ok(Whole::Body(whole.freeze()))
    }

    /// Everything that is found in a request, and together with those before it.
    async fn look(&self, parts: &Parts, body: &Bytes) -> Result<Looked, Denial> {
        if !self.reads_requests() {
            return Ok(Looked::NOTHING);
        }
        let mut looked = look::head(self.content(), &self.host, parts);
        let unreadable = |error: look::Unreadable| {
            let message = format!("the body cannot be judged: {error}; send it as it is");
            Denial::by(Reason::ContentDenied, self.rule, message)
        };
        let decoded = if body.is_empty() {
            Vec::new()
        } else {
            let (policy, fields) = (Arc::clone(&self.policy), parts.headers.clone());
            let (longest, body) = (self.http.longest_body, body.clone());
            let length = body.len();
            let work = move || {
                let decoded = look::decode(&fields, &body, longest)?;
                let looked = look::body(policy.content(), &fields, &decoded)?;
                Ok((decoded, looked))
            };
            let (decoded, seen) = aside(length, work).await?.map_err(unreadable)?;
            looked.is_complete &= seen.is_complete;
            looked.found.extend(seen.found);
            decoded
        };
        self.join(
            look::pieces(parts, &decoded, &self.http.login_headers),
            &mut looked,
        );
        Ok(looked)
    }

    /// Looks at pieces together with those of the requests before.
    fn join(&self, pieces: Vec<fragments::Piece>, looked: &mut Looked) {
        let pair = (self.flow.client.session, self.host.clone());
        let now = Instant::now();
        for piece in pieces {
            let seam = {
                let mut memory = self.flow.place.memory.borrow_mut();
                memory.fragments.add(&pair, &piece, now)
            };
            let Some(seam) = seam else { continue };
            let mut seen = self.content().leaves(Form::Text, &seam.text);
            // What is whole on one side was judged there; what is not read to its end too.
            seen.is_complete = true;
            seen.findings
                .retain(|finding| finding.range.start < seam.at && finding.range.end > seam.at);
            looked.add(seen, |_| Spot::Several(piece.place.clone()));
        }
    }

    /// What is done about secrets.
    fn weigh(&self, looked: Looked) -> Result<(), Denial> {
        let Looked {
            mut found,
            is_complete,
        } = looked;
        if !is_complete {
            let message =
                "codings within codings lie deeper than they are read; send it without them";
            return Err(Denial::by(Reason::ContentDenied, self.rule, message));
        }
        found.retain(|one| !self.is_login(one));
        let Some(first) = found.first() else {
            return Ok(());
        };
        let (spot, detector) = (first.spot.clone(), first.finding.detector.clone());
        let findings: Vec<Finding> = found
            .into_iter()
            .map(|one| one.finding)
            .take(MOST_FINDINGS)
            .collect();
        let what = format!("{spot} holds a secret (`{detector}`)");
        match self.policy.proxy().requests {
            OfRequest::Allow => Ok(()),
            OfRequest::Warn => {
                self.flow.witness().noted(self.rule, what, findings);
                Ok(())
            }
            OfRequest::Deny => {
                let hint = match spot {
                    Spot::Header(name) => format!(
                        "where clients log in with it, name `{name}` in `login_headers` of rule `{}`",
                        self.named(|rule| rule.name.clone())
                    ),
                    Spot::Host
                    | Spot::Path
                    | Spot::Query
                    | Spot::Body
                    | Spot::Part(_)
                    | Spot::Several(_)
                    | Spot::Message => "leave it out, and replace it if it is real".to_owned(),
                };
                let denial =
                    Denial::by(Reason::ContentDenied, self.rule, format!("{what}; {hint}"));
                Err(denial.finding(findings))
            }
        }
    }

    /// Whether a client tells the host a secret where it may. What exists only to be seen where it
    /// should not be is no login.
    fn is_login(&self, found: &Found) -> bool {
        const NEVER: [&str; 2] = ["canary-token", "organisation-fingerprint"];
        matches!(&found.spot, Spot::Header(name) if self.http.login_headers.contains(name))
            && !NEVER.contains(&found.finding.detector.as_str())
    }

    /// Secrets of the proxy and what stands for them, where they do not belong.
    fn misplaced_in(&self, holds: impl Fn(&[u8]) -> bool) -> Result<(), Denial> {
        for rule in self.policy.rules() {
            let Some(credential) = &rule.http.credential else {
                continue;
            };
            let secret = self.policy.secrets().get(rule.id);
            if secret.is_some_and(|secret| holds(secret.as_bytes())) {
                let message = format!(
                    "the request holds the secret of rule `{}`, which no agent should have; replace it",
                    rule.name
                );
                return Err(Denial::by(Reason::ContentDenied, self.rule, message));
            }
            if let CredentialPlace::Placeholder(word) = &credential.place
                && rule.id != self.rule
                && holds(word.as_bytes())
            {
                let message = format!(
                    "`{word}` stands for a secret of the hosts of rule `{}`, and this is another host",
                    rule.name
                );
                return Err(Denial::by(Reason::CredentialMisplaced, self.rule, message));
            }
        }
        Ok(())
    }

    /// Takes something from the budget of the host.
    fn spend(&self, more: Use) -> Result<(), Denial> {
        let Some(budget) = &self.http.budget else {
            return Ok(());
        };
        let pair = (self.flow.client.session, self.host.clone());
        let taken = {
            let mut memory = self.flow.place.memory.borrow_mut();
            memory.spending.take(&pair, budget, more, Instant::now())
        };
        self.hold(taken.map_err(|Exceeded { what, again }| {
            let of = budget.per.map_or_else(
                || "this session".to_owned(),
                |per| format!("{} s", per.as_secs()),
            );
            let name = self.named(|rule| rule.name.clone());
            let message = format!("the budget of rule `{name}` for {of} ends at {what}");
            Denial::by(Reason::HostBudget, self.rule, message).again_after(again)
        }))
    }

    /// Puts the secret of the rule where it belongs.
    fn add_credential(&self, fields: &mut HeaderMap) -> Result<(), Denial> {
        let Some(credential) = &self.http.credential else {
            return Ok(());
        };
        let unusable = || {
            let name = self.named(|rule| rule.name.clone());
            let message = format!(
                "the credential of rule `{name}` was not read, or is no value of a header; reload the policy"
            );
            Denial::by(Reason::NotConfigured, self.rule, message)
        };
        let secret = self.secret().ok_or_else(unusable)?;
        match &credential.place {
            CredentialPlace::Header { .. } => {
                let (name, value) = credential.header(secret).ok_or_else(unusable)?;
                fields.insert(name, value);
            }
            CredentialPlace::Placeholder(word) => {
                for value in fields.values_mut() {
                    if let Ok(text) = value.to_str()
                        && text.contains(word)
                    {
                        *value = secret.fill(text, word).ok_or_else(unusable)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// In a policy that observes, a denial is recorded and the request goes on.
    fn hold(&self, judged: Result<(), Denial>) -> Result<(), Denial> {
        match judged {
            Err(denial) if self.flow.observes() => {
                self.flow.denied(&denial);
                Ok(())
            }
            judged => judged,
        }
    }

    fn reads_requests(&self) -> bool {
        self.policy.proxy().requests != OfRequest::Allow
    }

    fn reads_answers(&self) -> bool {
        self.policy.proxy().responses != OfAnswer::Allow || self.secret().is_some()
    }

    fn secret(&self) -> Option<&Secret> {
        self.policy.secrets().get(self.rule)
    }

    fn content(&self) -> &Content {
        self.policy.content()
    }

    fn named<T: Default>(&self, of: impl Fn(&Rule) -> T) -> T {
        self.policy.rule(self.rule).map(of).unwrap_or_default()
    }
}

/// A body that was read.
enum Whole {
    Body(Bytes),
    /// It is longer than can be judged, and the policy observes: it goes on as it comes.
    Beyond(LocalBody),
}

/// A body of which the first bytes were read already.
struct Chained {
    first: Option<Bytes>,
    body: LocalBody,
}

impl Body for Chained {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => self.body.as_mut().poll_frame(cx),
        }
    }
}

/// Runs work that may take long where it keeps nobody waiting. `length` is that of its input.
async fn aside<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denial> {
    if length <= LONG {
        return Ok(work());
    }
    spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "an inspection broke off");
        Denial::with(
            Reason::ContentDenied,
            "the inspection of the body broke off",
        )
    })
}

/// Whether a text stands anywhere in a request, as it is written.
fn holds(parts: &Parts, body: &[u8], text: &[u8]) -> bool {
    let is_in = |place: &[u8]| memchr::memmem::find(place, text).is_some();
    let target = parts.uri.path_and_query().map_or("", |it| it.as_str());
    is_in(target.as_bytes())
        || parts.headers.values().any(|value| is_in(value.as_bytes()))
        || is_in(body)
}

/// Bytes of a head, as HTTP/1 would write it.
fn size(parts: &Parts) -> u64 {
    let fields = parts.headers.iter();
    let fields: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let target = parts.uri.path_and_query().map_or(1, |it| it.as_str().len());
    u64::try_from(fields + target + parts.method.as_str().len() + 13).unwrap_or(u64::MAX)
}
