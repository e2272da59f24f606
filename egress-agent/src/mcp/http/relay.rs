//! One request to the server, and its answer on the way back.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
};
use tokio::sync::mpsc;

use super::{
    Answer, CONNECT, Conversation, Failed, Proxy,
    body::{Body, Held, Problem, Room},
    headers, lock,
};
use crate::{
    mcp::{
        message::{Id, LONGEST_EVENT},
        session::{Action, Step},
    },
    sse::{Event, Events},
};

/// Events that wait for a client to read them.
const QUEUE: usize = 4;
/// How often a request is looked at that waits for its answer in a stream.
const TICK: Duration = Duration::from_secs(1);
/// Longer messages are read away from the connections.
const SHORT: usize = 64 << 10;

/// A request of a client that goes on.
pub(super) struct Exchange {
    pub(super) proxy: Arc<Proxy>,
    pub(super) conversation: Arc<Conversation>,
    /// The address of the guard that the client has called.
    pub(super) called: Option<url::Url>,
    /// What the server gets of the client's headers.
    pub(super) headers: HeaderMap,
    pub(super) url: url::Url,
    /// Of the request, when it is one.
    pub(super) id: Option<Id>,
}

/// The stream goes no further: the client is gone, or the server is not understood.
enum Ended {
    ClientGone,
    Server(Failed),
}

impl Exchange {
    /// `held` keeps its room until the message has been sent.
    pub(super) async fn post(self, body: Bytes, held: Held) -> Answer {
        let patience = self.proxy.guard.limits.answer;
        let (headers, body) = (&self.headers, Body::whole(body));
        let sent = self
            .proxy
            .send(Method::POST, &self.url, headers, body, patience);
        let sent = sent.await;
        drop(held);
        match sent {
            Ok(response) => self.relay(response).await,
            Err(failed) => self.failed(failed),
        }
    }

    pub(super) async fn get(self) -> Answer {
        let (headers, body) = (&self.headers, Body::empty());
        let sent = self
            .proxy
            .send(Method::GET, &self.url, headers, body, CONNECT);
        match sent.await {
            Ok(response) if headers::is_type(response.headers(), "text/event-stream") => {
                self.relay(response).await
            }
            // 405 says that there is no stream; nothing else is read here.
            Ok(response) if !response.status().is_success() => {
                let back = self.proxy.back(response.headers(), self.called.as_ref());
                without_body(response.status(), back)
            }
            Ok(_) => self.failed(Failed::Unreadable("with something that is no stream")),
            Err(failed) => self.failed(failed),
        }
    }

    /// The answer for the client, as far as it can be read.
    async fn relay(self, response: Response<Incoming>) -> Answer {
        let (head, incoming) = response.into_parts();
        if headers::is_encoded(&head.headers) {
            return self.failed(Failed::Unreadable("in an encoding that nobody asked for"));
        }
        let status = head.status;
        if let Some(id) = headers::session(&head.headers)
            && status.is_success()
        {
            self.remember(id);
        }
        let back = self.proxy.back(&head.headers, self.called.as_ref());
        if headers::is_type(&head.headers, "text/event-stream") && status.is_success() {
            let (sender, receiver) = mpsc::channel(QUEUE);
            tokio::spawn(self.stream(incoming, sender));
            return with(status, back, Body::Stream(receiver));
        }
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            return without_body(status, back);
        }
        if status == StatusCode::UNAUTHORIZED {
            // How to get in stands in the headers.
            self.forget();
            return without_body(status, back);
        }
        let patience = self.proxy.guard.limits.answer;
        let read = tokio::time::timeout(patience, Held::read(incoming, &self.proxy.room)).await;
        let held = match read {
            Err(_) => return self.failed(Failed::TooSlow(patience)),
            Ok(Err(Problem::Busy)) => return self.failed(Failed::Busy),
            Ok(Err(Problem::TooLong)) => {
                return self.failed(Failed::Unreadable("with more than a message may have"));
            }
            Ok(Err(Problem::Broken)) => return self.failed(Failed::Unreachable),
            Ok(Ok(held)) => held,
        };
        let is_json = headers::is_type(&head.headers, "application/json");
        let is_blank = held.bytes().trim_ascii().is_empty();
        if is_json && !is_blank {
            let (onwards, _) = self.judge(held.shared()).await;
            if let [one] = onwards.as_slice() {
                let body = one.clone().unwrap_or_else(|| held.shared());
                return with(status, back, Body::whole(body));
            }
        }
        if !status.is_success() {
            // What cannot be read is left out; that it failed, is told.
            self.forget();
            return without_body(status, back);
        }
        if is_blank && self.id.is_none() {
            return without_body(status, back);
        }
        self.failed(Failed::Unreadable(
            "with something that is no answer to this request",
        ))
    }

    /// What goes on of a message: `None` for the message as it came. Answers of our own are sent to
    /// the server.
    async fn judge(&self, bytes: Bytes) -> (Vec<Option<Bytes>>, Vec<Vec<u8>>) {
        let actions = if bytes.len() <= SHORT {
            self.actions(&bytes)
        } else {
            let (proxy, conversation) = (Arc::clone(&self.proxy), Arc::clone(&self.conversation));
            let judged = tokio::task::spawn_blocking(move || {
                lock(&conversation.session).from_server(&bytes, proxy.begun.elapsed())
            });
            // What could not be judged does not go on.
            judged.await.unwrap_or_default()
        };
        let (mut onwards, mut replies) = (Vec::new(), Vec::new());
        for Action { step, notes } in actions {
            notes.iter().for_each(&self.proxy.witness);
            match step {
                Step::Forward => onwards.push(None),
                Step::Replace(other) => onwards.push(Some(other.into())),
                Step::Reply(reply) => replies.push(reply),
                Step::Drop => {}
            }
        }
        (onwards, replies)
    }

    fn actions(&self, bytes: &[u8]) -> Vec<Action> {
        let now = self.proxy.begun.elapsed();
        lock(&self.conversation.session).from_server(bytes, now)
    }

    /// Passes a stream on, event by event.
    async fn stream(self, mut incoming: Incoming, to: mpsc::Sender<Bytes>) {
        let mut events = Events::new(LONGEST_EVENT);
        let mut room = Room::of(&self.proxy.room);
        let mut announced = None;
        let mut is_resumable = false;
        let mut ticks = tokio::time::interval(TICK);
        let ended = loop {
            let frame = tokio::select! {
                frame = incoming.frame() => frame,
                () = to.closed() => break Ended::ClientGone,
                _ = ticks.tick() => {
                    if self.expire(&to).await {
                        break Ended::ClientGone;
                    }
                    continue;
                }
            };
            let Some(Ok(frame)) = frame else {
                if let Some(event) = events.end()
                    && self.event(event, &to, &mut announced).await.is_err()
                {
                    break Ended::ClientGone;
                }
                break Ended::Server(Failed::Unreadable(
                    "with a stream that ended before its answer",
                ));
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let mut done = Vec::new();
            if events.take(&data, &mut done).is_err() {
                break Ended::Server(Failed::Unreadable("with more than a message may have"));
            }
            let held = events.held() + done.iter().map(|event| event.raw.len()).sum::<usize>();
            if held > SHORT && room.hold(held).is_err() {
                break Ended::Server(Failed::Busy);
            }
            let mut is_gone = false;
            for event in done {
                is_resumable |= event.id.is_some();
                if self.event(event, &to, &mut announced).await.is_err() {
                    is_gone = true;
                    break;
                }
            }
            if is_gone {
                break Ended::ClientGone;
            }
            if events.held() == 0 {
                room.release();
            }
        };
        if let Some((path, _)) = announced {
            lock(&self.proxy.announced).pop(&path);
        }
        match ended {
            // The client may come back for the answer, where the server numbers its events.
            Ended::ClientGone => {}
            Ended::Server(_) if is_resumable => {}
            Ended::Server(failed) => {
                if let Some(error) = self.unanswered(failed) {
                    // It may be gone too.
                    drop(to.send(event_of(&error)).await);
                }
            }
        }
    }

    async fn event(
        &self,
        event: Event,
        to: &mpsc::Sender<Bytes>,
        announced: &mut Option<(String, url::Url)>,
    ) -> Result<(), mpsc::error::SendError<Bytes>> {
        let data = event.data.as_deref().unwrap_or_default();
        if data.is_empty() {
            return to.send(event.raw.into()).await;
        }
        if event.kind == "endpoint" && self.id.is_none() && announced.is_none() {
            let Some((path, url)) = self.announce(data) else {
                return Ok(());
            };
            *lock(&self.conversation.listener) = Some(to.clone());
            let changed = event.with(Some(path.as_bytes()));
            *announced = Some((path, url));
            return to.send(changed.into()).await;
        }
        let (onwards, replies) = self.judge(data.to_vec().into()).await;
        for reply in replies {
            self.tell_server(reply, announced.as_ref().map(|(_, url)| url))
                .await;
        }
        if onwards.is_empty() {
            let left = event.with(None);
            return if left.is_empty() {
                Ok(())
            } else {
                to.send(left.into()).await
            };
        }
        for one in onwards {
            let bytes = match one {
                None => event.raw.clone(),
                Some(other) => event.with(Some(&other)),
            };
            to.send(bytes.into()).await?;
        }
        Ok(())
    }

    /// The address for messages of the older transport: on the same server, and reached through
    /// the guard.
    fn announce(&self, data: &[u8]) -> Option<(String, url::Url)> {
        const LONGEST: usize = 4096;
        let reference = std::str::from_utf8(data).ok()?.trim();
        if reference.len() > LONGEST {
            return None;
        }
        let url = self.proxy.upstream.sibling(reference)?;
        let query = url.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", url.path(), query.unwrap_or_default());
        let conversation = Arc::clone(&self.conversation);
        lock(&self.proxy.announced).put(path.clone(), conversation);
        Some((path, url))
    }

    /// An answer of our own to a request of the server.
    async fn tell_server(&self, reply: Vec<u8>, endpoint: Option<&url::Url>) {
        let headers = headers::of_message(&self.headers);
        let url = endpoint.unwrap_or(&self.url);
        let body = Body::whole(reply.into());
        // A server that does not take it waits for its own request, as it would without a guard.
        drop(
            self.proxy
                .send(Method::POST, url, &headers, body, CONNECT)
                .await,
        );
    }

    /// Whether the request has waited too long; its client has then been told.
    async fn expire(&self, to: &mpsc::Sender<Bytes>) -> bool {
        let Some(id) = &self.id else {
            return false;
        };
        let now = self.proxy.begun.elapsed();
        let expired = lock(&self.conversation.session).expire(id, now);
        let Some(expired) = expired else {
            return false;
        };
        (self.proxy.witness)(&expired.note);
        drop(to.send(event_of(&expired.to_client)).await);
        self.tell_server(expired.to_server, None).await;
        true
    }

    /// The session that the server has opened with this answer.
    fn remember(&self, id: String) {
        let mut sessions = lock(&self.proxy.sessions);
        if !sessions.contains(&id) {
            lock(&self.conversation.session).alone();
            sessions.put(id, Arc::clone(&self.conversation));
        }
    }

    /// The error for the request, unless it has been answered.
    fn unanswered(&self, failed: Failed) -> Option<Vec<u8>> {
        let id = self.id.as_ref()?;
        lock(&self.conversation.session).unanswered(id, &failed.block())
    }

    fn forget(&self) {
        drop(self.unanswered(Failed::Unreachable));
    }

    fn failed(&self, failed: Failed) -> Answer {
        self.forget();
        self.proxy.failed(self.id.as_ref(), failed)
    }
}

fn with(status: StatusCode, headers: HeaderMap, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// The status and the headers of an answer.
pub(super) fn without_body(status: StatusCode, mut headers: HeaderMap) -> Answer {
    headers.remove(CONTENT_TYPE);
    with(status, headers, Body::empty())
}

fn event_of(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ", message, b"\n\n"]
        .concat()
        .into()
}
