//! A server that listens, for a client that speaks over pipes: each of its lines is a request to
//! the [`Proxy`], which judges it as it judges any other, and what comes back are lines again.
//!
//! The server is taken for one of streamable HTTP. When it refuses the first message as one of
//! the older transport does, its stream is asked for, and messages go where that says.
//!
//! Not mirrored are arguments in headers (`Mcp-Param-…` of revision 2026-07-28): a server that
//! wants them says so in its error.

mod told;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{Mutex, Notify, Semaphore, mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

pub use self::told::{InvalidHeader, header};
use self::told::{Told, coded};
use super::{Answer, CONNECT, Proxy, body::Body, connections, headers, lock};
use crate::{
    mcp::{
        gate::{Block, NO_ANSWER},
        glimpse::{Glimpse, Glimpsed},
        lines::{Line, Lines},
        message::{self, Framing, Id, Incoming, Invalid, LONGEST_EVENT},
        revision::Revision,
        session::error,
    },
    sse::{Event, Events},
};

/// For answers to come after the client has said its last word.
const FAREWELL: Duration = Duration::from_secs(5);
/// For the server to take leave of its session.
const LAST_CALL: Duration = Duration::from_secs(2);
/// Before a stream that has ended is asked for again, unless the server says; then twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the answer to one request is asked for again.
const MOST_RESUMED: usize = 5;

/// A client on two pipes, and the server that it speaks to.
struct Bridge<W> {
    proxy: Arc<Proxy>,
    /// For every request, from whoever started the guard.
    headers: HeaderMap,
    output: Mutex<W>,
    known: StdMutex<Known>,
    /// Requests that wait for their answer.
    calls: StdMutex<BTreeMap<Id, AbortHandle>>,
    /// There is nobody to speak to any more.
    is_over: AtomicBool,
    over: Notify,
}

/// What was learned from the server.
#[derive(Clone, Debug)]
struct Known {
    session: Option<HeaderValue>,
    revision: Option<Revision>,
    /// Where messages go.
    endpoint: Uri,
}

/// How a stream ended.
#[derive(Debug, Default)]
struct Ended {
    is_answered: bool,
    last: Option<String>,
    pause: Option<Duration>,
    /// Whether anything came.
    had_events: bool,
}

/// Stands between a client on these pipes and the server behind `proxy` until one of them ends.
pub async fn serve(
    proxy: Arc<Proxy>,
    headers: HeaderMap,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let bridge = Arc::new(Bridge {
        proxy,
        headers,
        output: Mutex::new(output),
        known: StdMutex::new(Known {
            session: None,
            revision: None,
            endpoint: Uri::from_static("/"),
        }),
        calls: StdMutex::default(),
        is_over: AtomicBool::new(false),
        over: Notify::new(),
    });
    let most = connections();
    let room = Arc::new(Semaphore::new(most));
    let mut lines = Lines::new(input);
    while !bridge.is_over() {
        let line = tokio::select! {
            line = lines.next() => line?,
            // What was being read is for nobody.
            () = bridge.over.notified() => break,
        };
        let Some(line) = line else {
            break;
        };
        bridge.line(line, &room).await;
    }
    if !bridge.is_over() {
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        // Who has not answered by now has no client any more.
        drop(timeout(FAREWELL, room.acquire_many(all)).await);
    }
    drop(timeout(LAST_CALL, bridge.leave()).await);
    Ok(())
}

impl<W: AsyncWrite + Unpin + Send + 'static> Bridge<W> {
    async fn line(self: &Arc<Self>, line: Line, room: &Arc<Semaphore>) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(glimpsed) => {
                let invalid = Invalid::TooLong;
                let block = Block::new(invalid.code(), invalid.to_string(), invalid.hint());
                let id = match glimpsed {
                    Glimpsed::Request(id) => Some(id),
                    Glimpsed::Answer(_) | Glimpsed::Unknown => None,
                };
                return self
                    .say(&error(id.as_ref(), &block, invalid.number()))
                    .await;
            }
        };
        if line.trim_ascii().is_empty() {
            return;
        }
        let told = Told::of(&line);
        let call = told.id.clone().filter(|_| !told.is("initialize"));
        let cancels = told.cancels.clone();
        // Never closed.
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            return;
        };
        let bridge = Arc::clone(self);
        let task = tokio::spawn(async move {
            bridge.send(line.into(), &told).await;
            drop(permit);
        });
        if let Some(id) = call {
            let mut calls = lock(&self.calls);
            calls.retain(|_, call| !call.is_finished());
            calls.insert(id, task.abort_handle());
            return;
        }
        // What follows counts on it; but one that hangs holds up nobody for long.
        drop(timeout(CONNECT, task).await);
        // Nobody reads its answer any more.
        if let Some(call) = cancels.and_then(|id| lock(&self.calls).remove(&id)) {
            call.abort();
        }
    }

    async fn send(self: &Arc<Self>, line: Bytes, told: &Told) {
        let mut answer = self.post(line.clone(), told).await;
        let is_older = |status| {
            [
                StatusCode::BAD_REQUEST,
                StatusCode::NOT_FOUND,
                StatusCode::METHOD_NOT_ALLOWED,
            ]
            .contains(&status)
        };
        if told.is("initialize") && is_older(answer.status()) && self.listen_to_older().await {
            answer = self.post(line, told).await;
        }
        let (head, body) = answer.into_parts();
        if told.is("initialize") && head.status.is_success() {
            lock(&self.known).session = head.headers.get(headers::SESSION).cloned();
        }
        let has_forgotten = head.status == StatusCode::NOT_FOUND && self.has_session();
        match body {
            Body::Stream(pieces) => self.stream(pieces, told).await,
            Body::Whole(Some(message)) => {
                self.pass(&message, told).await;
            }
            Body::Whole(None) => {
                let is_on_stream = head.status == StatusCode::ACCEPTED && self.is_older();
                if let Some(id) = told.id.as_ref().filter(|_| !is_on_stream) {
                    let block = failed(head.status, has_forgotten);
                    self.say(&error(Some(id), &block, NO_ANSWER)).await;
                }
                if told.is("notifications/initialized")
                    && head.status.is_success()
                    && !self.is_older()
                {
                    tokio::spawn(Arc::clone(self).listen());
                }
            }
        }
        if has_forgotten {
            // The client cannot begin a session anew, but start this again.
            self.end();
        }
    }

    async fn post(&self, line: Bytes, told: &Told) -> Answer {
        let known = {
            let mut known = lock(&self.known);
            if told.revision.is_some() || told.is("initialize") {
                known.revision = told.revision;
            }
            known.clone()
        };
        let json = HeaderValue::from_static("application/json");
        let mut headers = self.headers_of(&known, "application/json, text/event-stream");
        headers.insert(CONTENT_TYPE, json);
        if told.is("initialize") {
            headers.remove(headers::SESSION);
        }
        if known.revision >= Some(Revision::V2026_07_28) {
            for (header, value) in [(headers::METHOD, &told.method), (headers::NAME, &told.name)] {
                if let Some(value) = value.as_deref().and_then(coded) {
                    headers.insert(header, value);
                }
            }
        }
        self.ask(Method::POST, known.endpoint, headers, Body::whole(line))
            .await
    }

    async fn get(&self, last: Option<&str>) -> Answer {
        let known = lock(&self.known).clone();
        let mut headers = self.headers_of(&known, "text/event-stream");
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert(headers::LAST_EVENT, last);
        }
        let root = Uri::from_static("/");
        self.ask(Method::GET, root, headers, Body::empty()).await
    }

    async fn ask(&self, method: Method, uri: Uri, headers: HeaderMap, body: Body) -> Answer {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Arc::clone(&self.proxy).answer(request).await
    }

    fn headers_of(&self, known: &Known, accept: &'static str) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(session) = &known.session {
            headers.insert(headers::SESSION, session.clone());
        }
        if let Some(revision) = known.revision {
            let text = HeaderValue::from_static(revision.text());
            headers.insert(headers::REVISION, text);
        }
        headers
    }

    /// Passes on what answers a request, also when the stream breaks off in between.
    async fn stream(&self, pieces: mpsc::Receiver<Bytes>, told: &Told) {
        let begun = Instant::now();
        let mut ended = self.events(pieces, told, None).await;
        let Some(id) = &told.id else {
            return;
        };
        let patience = self.proxy.guard.limits.answer;
        let mut resumed = 0;
        while !ended.is_answered && resumed < MOST_RESUMED && begun.elapsed() < patience {
            let Some(last) = ended.last.take() else {
                break;
            };
            resumed += 1;
            sleep(ended.pause.unwrap_or(PAUSE)).await;
            let Body::Stream(pieces) = self.get(Some(&last)).await.into_body() else {
                break;
            };
            ended = self.events(pieces, told, None).await;
            ended.last = ended.last.or(Some(last));
        }
        if !ended.is_answered {
            let reason = "the stream of the server ended before its answer";
            let block = Block::new(
                "no-answer",
                reason,
                "look at the server, and then try again",
            );
            self.say(&error(Some(id), &block, NO_ANSWER)).await;
        }
    }

    /// Messages of a stream as lines, to its end. `endpoint` gets the address that the stream of
    /// the older transport begins with.
    async fn events(
        &self,
        mut pieces: mpsc::Receiver<Bytes>,
        told: &Told,
        mut endpoint: Option<oneshot::Sender<Uri>>,
    ) -> Ended {
        let mut ended = Ended::default();
        let mut events = Events::new(LONGEST_EVENT);
        let mut done = Vec::new();
        loop {
            let piece = pieces.recv().await;
            match &piece {
                Some(piece) => {
                    if events.take(piece, &mut done).is_err() {
                        return ended;
                    }
                }
                None => done.extend(events.end()),
            }
            for event in done.drain(..) {
                let Event {
                    kind,
                    id,
                    retry,
                    data,
                    raw: _,
                } = event;
                ended.had_events = true;
                ended.last = id.or(ended.last);
                let pause = retry.and_then(|retry| retry.parse().ok());
                ended.pause = pause.map(Duration::from_millis).or(ended.pause);
                let data = data.unwrap_or_default();
                if kind == "endpoint" {
                    let uri = std::str::from_utf8(&data).ok();
                    let uri = uri.and_then(|uri| uri.trim().parse().ok());
                    if let Some((endpoint, uri)) = endpoint.take().zip(uri) {
                        // Whoever waits for it may have given up.
                        endpoint.send(uri).unwrap_or_default();
                    }
                } else if !data.is_empty() {
                    ended.is_answered |= self.pass(&data, told).await;
                }
            }
            if piece.is_none() || self.is_over() {
                return ended;
            }
        }
    }

    /// What the server says of itself, for as long as it does.
    async fn listen(self: Arc<Self>) {
        let (mut last, mut pause) = (None, PAUSE);
        while !self.is_over() {
            let answer = self.get(last.as_deref()).await;
            let is_gone = answer.status().is_server_error();
            match answer.into_body() {
                Body::Stream(pieces) => {
                    let ended = self.events(pieces, &Told::default(), None).await;
                    last = ended.last.or(last);
                    pause = match ended.pause {
                        Some(pause) => pause,
                        None if ended.had_events => PAUSE,
                        None => pause,
                    };
                }
                // It has no such stream, or not for this client.
                Body::Whole(_) if !is_gone => return,
                Body::Whole(_) => {}
            }
            sleep(pause.min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(2);
        }
    }

    /// Whether the server speaks the older transport; its stream is then read to its end, and
    /// with it ends the conversation.
    async fn listen_to_older(self: &Arc<Self>) -> bool {
        let Body::Stream(pieces) = self.get(None).await.into_body() else {
            return false;
        };
        let (sender, endpoint) = oneshot::channel();
        let bridge = Arc::clone(self);
        tokio::spawn(async move {
            let ended = bridge.events(pieces, &Told::default(), Some(sender)).await;
            drop(ended);
            bridge.end();
        });
        match timeout(CONNECT, endpoint).await {
            Ok(Ok(endpoint)) => {
                lock(&self.known).endpoint = endpoint;
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Passes a message on. Whether it answers the request that was told.
    async fn pass(&self, message: &[u8], told: &Told) -> bool {
        let is_answer = match (&told.id, Glimpse::of(message)) {
            (Some(asked), Glimpsed::Answer(id)) => *asked == id,
            (_, Glimpsed::Answer(_) | Glimpsed::Request(_) | Glimpsed::Unknown) => false,
        };
        if is_answer
            && told.is("initialize")
            && let Ok(Incoming::One(message)) = message::read(message, Framing::Body)
            && let Some(agreed) = message.result().get("protocolVersion")
        {
            let agreed = agreed.as_str().and_then(Revision::parse);
            lock(&self.known).revision = agreed;
        }
        self.say(message).await;
        is_answer
    }

    /// One line to the client.
    async fn say(&self, message: &[u8]) {
        // Between the values of JSON, and nowhere within, they are space.
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let mut line: Vec<u8> = message.trim_ascii().to_vec();
        line.iter_mut()
            .filter(|byte| is_end(byte))
            .for_each(|byte| *byte = b' ');
        line.push(b'\n');
        let mut output = self.output.lock().await;
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        if written.await.is_err() {
            self.end();
        }
    }

    async fn leave(&self) {
        let known = lock(&self.known).clone();
        if known.session.is_some() {
            let headers = self.headers_of(&known, "application/json");
            let root = Uri::from_static("/");
            drop(self.ask(Method::DELETE, root, headers, Body::empty()).await);
        }
    }

    fn has_session(&self) -> bool {
        lock(&self.known).session.is_some()
    }

    fn is_older(&self) -> bool {
        lock(&self.known).endpoint != Uri::from_static("/")
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.over.notify_one();
    }
}

/// Why a request has no answer but a status.
fn failed(status: StatusCode, has_forgotten: bool) -> Block {
    let code = status.as_u16();
    if has_forgotten {
        let reason = "the server has forgotten the session";
        return Block::new("session-gone", reason, "start the server again");
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Block::new(
            "no-access",
            format!("the server lets nobody in without access ({code})"),
            "give the guard its token with --header; to log in, let the agent call a guard that \
             listens (--listen)",
        ),
        _ => Block::new(
            "server-failed",
            format!("the server answered with the status {code} and nothing else"),
            "look at the server, and then try again",
        ),
    }
}
