//! The guard as a reverse proxy: streamable HTTP with its streams of events, and the older
//! transport of one stream and an address for messages.
//!
//! | the client sends | the server gets it when |
//! |---|---|
//! | `POST` with a message | the message goes on; what it answers is read whole, or event by event |
//! | `GET` for a stream | always; each event is looked at before it goes on |
//! | `DELETE` | always |
//! | `GET` for a well-known place | always; the document names the guard where it named the server |
//!
//! Whoever waits is answered in the protocol: with a JSON-RPC error and status 200 where the guard
//! denies, 502 and 504 where the server fails. Bodies that cannot be read as messages are left
//! out, their status is not. Connections come from this machine, unless somebody said otherwise,
//! and from no page of a browser (DNS rebinding).

mod body;
pub mod bridge;
mod discovery;
mod documents;
mod failed;
mod headers;
mod relay;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::{Body as HttpBody, Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    service::service_fn,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use lru::LruCache;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
};

use self::{
    body::{Body, Held},
    failed::Failed,
    headers::Refused,
};
use super::{
    budget::Budget,
    gate::{Block, NO_ANSWER, Subject},
    message::{self, Framing, INVALID_REQUEST, Id, Incoming as Read, Kind},
    revision::{self, Revision},
    session::{self, Action, Guard, MOST_OPEN, Note, Session, Side, Step, error},
};

/// Connections at a time: clients open one for each call that runs, and a few streams.
const MOST_CONNECTIONS: usize = MOST_OPEN + 512;
/// Of the files that this process may open, those that are not for connections.
const OTHER_FILES: u64 = 64;
/// Bytes of messages that are in memory at a time, of all connections.
const MOST_HELD: usize = 128 << 20;
/// Conversations that are remembered.
const MOST_SESSIONS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Streams of conversations that have no id.
const MOST_STRAYS: usize = 1024;
/// For a connection to the server, and for its answer to a message that expects none.
const CONNECT: Duration = Duration::from_secs(10);
/// For a client to send a request.
const CLIENT_PATIENCE: Duration = Duration::from_secs(30);

type Answer = Response<Body>;

/// What is guarded.
pub struct Proxy {
    guard: Arc<Guard>,
    upstream: Upstream,
    net: Net,
    begun: Instant,
    /// Bytes that may still be held.
    room: Arc<Semaphore>,
    witness: Box<dyn Fn(&Note) + Send + Sync>,
    /// Names under which clients may call this listener; `None` for any.
    names: Option<Vec<String>>,
    sessions: Mutex<LruCache<String, Arc<Conversation>>>,
    /// Addresses for messages of the older transport, with their conversations.
    announced: Mutex<LruCache<String, Arc<Conversation>>>,
    /// Conversations without an id, of requests that are going on.
    strays: Mutex<VecDeque<Weak<Conversation>>>,
    /// Of those together.
    budget: Arc<Mutex<Budget>>,
    /// Where the server said that its document for clients without access is.
    metadata: Mutex<Option<url::Url>>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("guard", &self.guard)
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

/// Connections to the server, with TLS where its address says so.
enum Net {
    Plain(Client<HttpConnector, Body>),
    Tls(Client<HttpsConnector<HttpConnector>, Body>),
}

impl Net {
    fn to(upstream: &Upstream) -> Result<Self, InvalidUpstream> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .http1_max_buf_size(1 << 20);
        if upstream.url.scheme() == "http" {
            return Ok(Self::Plain(builder.build(http)));
        }
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(InvalidUpstream::Certificates)?
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self::Tls(builder.build(https)))
    }
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    url: url::Url,
}

/// Why an address is not one of a server.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUpstream {
    #[error("`{0}` is not a URL")]
    NotUrl(String),
    #[error("`{0}` is neither http nor https, or carries a user")]
    Scheme(String),
    #[error(
        "no certificate of an authority can be read ({0}): look at SSL_CERT_FILE and \
         SSL_CERT_DIR, or install the certificates of the system"
    )]
    Certificates(#[source] io::Error),
}

/// A session, and where its client listens on the older transport.
struct Conversation {
    session: Mutex<Session>,
    listener: Mutex<Option<mpsc::Sender<Bytes>>>,
}

impl Upstream {
    pub fn parse(text: &str) -> Result<Self, InvalidUpstream> {
        let not_url = |_| InvalidUpstream::NotUrl(text.to_owned());
        let mut url = url::Url::parse(text).map_err(not_url)?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        if !is_http || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUpstream::Scheme(text.to_owned()));
        }
        url.set_fragment(None);
        Ok(Self { url })
    }

    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Another address of the same server; `None` when it is of another one.
    fn sibling(&self, reference: &str) -> Option<url::Url> {
        let other = self.url.join(reference).ok()?;
        (other.origin() == self.url.origin()).then_some(other)
    }
}

/// Connections for which there are files: each has one to the client and one to the server. As
/// many files as this process may have are asked for first.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let files = limit.map_or(usize::MAX, |files| {
        usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX)
    });
    files.clamp(1, MOST_CONNECTIONS)
}

impl Proxy {
    /// `names`: the hosts under which clients may call; `None` for any.
    pub fn new(
        guard: Guard,
        upstream: Upstream,
        names: Option<Vec<String>>,
        witness: Box<dyn Fn(&Note) + Send + Sync>,
    ) -> Result<Self, InvalidUpstream> {
        let net = Net::to(&upstream)?;
        Ok(Self {
            guard: Arc::new(guard),
            upstream,
            net,
            begun: Instant::now(),
            room: Arc::new(Semaphore::new(MOST_HELD)),
            witness,
            names,
            sessions: Mutex::new(LruCache::new(MOST_SESSIONS)),
            announced: Mutex::new(LruCache::new(MOST_SESSIONS)),
            strays: Mutex::default(),
            budget: Arc::default(),
            metadata: Mutex::default(),
        })
    }

    /// Serves clients until `end` comes.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(connections()));
        let mut end = Box::pin(end);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut end => return Ok(()),
            };
            let Ok((stream, _)) = accepted else {
                // No descriptors are left, or the client is gone: others may be served again.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                // A connection that is closed is told sooner than one that waits.
                continue;
            };
            drop(stream.set_nodelay(true));
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let proxy = Arc::clone(&proxy);
                    async move { Ok::<_, std::convert::Infallible>(proxy.answer(request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(CLIENT_PATIENCE)
                    .max_buf_size(64 << 10)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                // What a client breaks off is its own.
                drop((served, permit));
            });
        }
    }

    async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Answer
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        if let Err(refused) =
            headers::check(request.headers(), request.uri(), self.names.as_deref())
        {
            return refuse(&refused);
        }
        if request.method() == Method::GET
            && let Some(wanted) = self.wanted(request.uri())
        {
            return self.discover(request.headers(), wanted).await;
        }
        let Some(target) = self.target(request.uri()) else {
            let block = Block::new(
                "no-such-path",
                "nothing is served at this path",
                "use the path of the server, or `/`",
            );
            return fail(StatusCode::NOT_FOUND, None, &block, INVALID_REQUEST);
        };
        match *request.method() {
            Method::POST => self.post(request, target).await,
            Method::GET => self.get(request, target).await,
            Method::DELETE => self.delete(request, target).await,
            _ => {
                let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = hyper::header::HeaderValue::from_static("GET, POST, DELETE");
                answer.headers_mut().insert(ALLOW, allowed);
                answer
            }
        }
    }

    /// The address at the server for one of ours.
    fn target(&self, uri: &Uri) -> Option<Target> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if let Some(conversation) = lock(&self.announced).get(path) {
            return Some(Target {
                url: self.upstream.sibling(path)?,
                conversation: Some(Arc::clone(conversation)),
            });
        }
        let mut url = self.upstream.url.clone();
        if uri.path() == url.path() && uri.query().is_some() {
            url.set_query(uri.query());
        } else if uri.path() != url.path() && path != "/" {
            return None;
        }
        Some(Target {
            url,
            conversation: None,
        })
    }

    async fn post<B>(self: Arc<Self>, request: Request<B>, target: Target) -> Answer
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let (head, incoming) = request.into_parts();
        if let Err(refused) = headers::check_body(&head.headers) {
            return refuse(&refused);
        }
        let read = tokio::time::timeout(CLIENT_PATIENCE, Held::read(incoming, &self.room)).await;
        let held = match read {
            Ok(Ok(held)) => held,
            Ok(Err(problem)) => return refuse(&problem.refused()),
            Err(_) => return refuse(&Refused::TooSlow),
        };
        let told = match message::read(held.bytes(), Framing::Body) {
            Ok(Read::One(message)) => Some(message),
            Ok(Read::Blank) => return refuse(&Refused::Empty),
            Ok(Read::Batch(_)) | Err(_) => None,
        };
        if let Some(message) = &told
            && let Err(refused) = headers::check_mirrors(&head.headers, message)
        {
            return refuse(&refused);
        }
        let revision = match headers::revision(&head.headers) {
            Ok(revision) => revision,
            Err(refused) => return refuse(&refused),
        };
        let session_id = headers::session(&head.headers);
        let id = match told.as_ref().map(|message| &message.kind) {
            Some(Kind::Request { id, .. }) => Some(id.clone()),
            Some(Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. }) | None => {
                None
            }
        };
        let answered = match told.as_ref().map(|message| &message.kind) {
            Some(Kind::Result { id } | Kind::Error { id: Some(id) }) => Some(id.clone()),
            Some(Kind::Request { .. } | Kind::Notification { .. } | Kind::Error { id: None })
            | None => None,
        };
        drop(told);
        let conversation = match &target.conversation {
            Some(conversation) => Arc::clone(conversation),
            None => self.conversation(session_id.as_deref(), answered.as_ref()),
        };
        // Without a word about it, it is the revision that came before the header.
        let revision = revision.unwrap_or(Revision::V2025_03_26);
        let mirrored = headers::mirrored(&head.headers);
        let judged = {
            let (proxy, conversation) = (Arc::clone(&self), Arc::clone(&conversation));
            let bytes = held.shared();
            let id = id.clone();
            tokio::task::spawn_blocking(move || {
                let texts = json!(mirrored).to_string();
                let block = (!mirrored.is_empty())
                    .then(|| {
                        let texts = texts.as_bytes();
                        proxy.guard.gate.inspect(Subject::ToServer, texts)
                    })
                    .flatten();
                if let Some(block) = block {
                    return vec![Action::denied(id.as_ref(), block)];
                }
                let mut session = lock(&conversation.session);
                session.assume(revision);
                session.from_client(&bytes, proxy.begun.elapsed())
            })
            .await
        };
        let Ok(actions) = judged else {
            let block = Block::new("guard-failed", "the guard itself failed", "tell its makers");
            return fail(
                StatusCode::INTERNAL_SERVER_ERROR,
                id.as_ref(),
                &block,
                NO_ANSWER,
            );
        };
        let mut onwards = None;
        for Action { step, notes } in actions {
            notes.iter().for_each(&self.witness);
            match step {
                Step::Forward => onwards = Some(held.shared()),
                Step::Replace(other) => onwards = Some(other.into()),
                Step::Reply(reply) if target.conversation.is_some() => {
                    // The older transport answers on its stream, whatever happened.
                    conversation.push(&reply).await;
                    return empty(StatusCode::ACCEPTED);
                }
                Step::Reply(reply) => return replied(id.is_some(), reply),
                Step::Drop => return empty(StatusCode::BAD_REQUEST),
            }
        }
        let Some(body) = onwards else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let exchange = relay::Exchange {
            proxy: self,
            conversation,
            called: headers::called(&head.headers, &head.uri),
            headers: headers::onwards(&head.headers),
            url: target.url,
            id,
        };
        exchange.post(body, held).await
    }

    async fn get<B>(self: Arc<Self>, request: Request<B>, target: Target) -> Answer {
        let session_id = headers::session(request.headers());
        let conversation = self.conversation(session_id.as_deref(), None);
        let exchange = relay::Exchange {
            called: headers::called(request.headers(), request.uri()),
            headers: headers::onwards(request.headers()),
            conversation,
            url: target.url,
            id: None,
            proxy: self,
        };
        exchange.get().await
    }

    async fn delete<B>(self: Arc<Self>, request: Request<B>, target: Target) -> Answer {
        let session_id = headers::session(request.headers());
        let sent = self
            .send(
                Method::DELETE,
                &target.url,
                &headers::onwards(request.headers()),
                Body::empty(),
                CONNECT,
            )
            .await;
        match sent {
            Ok(response) => {
                let status = response.status();
                let is_gone = status.is_success() || status == StatusCode::NOT_FOUND;
                if let Some(id) = session_id.filter(|_| is_gone) {
                    lock(&self.sessions).pop(&id);
                }
                let called = headers::called(request.headers(), request.uri());
                relay::without_body(status, self.back(response.headers(), called.as_ref()))
            }
            Err(failed) => self.failed(None, failed),
        }
    }

    /// Nothing of the server can be passed on: an error for the client, and a word to whoever
    /// started the guard.
    fn failed(&self, id: Option<&Id>, failed: Failed) -> Answer {
        let block = failed.block();
        let answer = fail(failed.status(), id, &block, NO_ANSWER);
        (self.witness)(&Note {
            from: Side::Client,
            method: None,
            tool: None,
            id: id.cloned(),
            block: Some(block),
        });
        answer
    }

    /// The conversation of a session; one of its own for a message without a session, but for an
    /// answer the one in which it is awaited.
    fn conversation(&self, session: Option<&str>, answers: Option<&Id>) -> Arc<Conversation> {
        if let Some(id) = session {
            let fresh = || Arc::new(self.fresh(Arc::default()));
            let mut sessions = lock(&self.sessions);
            return Arc::clone(sessions.get_or_insert(id.to_owned(), fresh));
        }
        let mut strays = lock(&self.strays);
        strays.retain(|stray| stray.strong_count() > 0);
        let awaited = answers.and_then(|id| {
            let mut living = strays.iter().filter_map(Weak::upgrade);
            living.find(|stray| lock(&stray.session).waits_back(id))
        });
        awaited.unwrap_or_else(|| {
            let fresh = Arc::new(self.fresh(Arc::clone(&self.budget)));
            if strays.len() < MOST_STRAYS {
                strays.push_back(Arc::downgrade(&fresh));
            }
            fresh
        })
    }

    fn fresh(&self, budget: Arc<Mutex<Budget>>) -> Conversation {
        Conversation {
            session: Mutex::new(Session::new(Arc::clone(&self.guard), budget, Framing::Body)),
            listener: Mutex::default(),
        }
    }

    /// Sends a request to the server, and waits for the head of its answer.
    async fn send(
        &self,
        method: Method,
        url: &url::Url,
        headers: &HeaderMap,
        body: Body,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failed> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().ok().ok_or(Failed::Unreachable)?;
        request.headers_mut().clone_from(headers);
        let sent = match &self.net {
            Net::Plain(client) => client.request(request),
            Net::Tls(client) => client.request(request),
        };
        match tokio::time::timeout(patience, sent).await {
            Err(_) => Err(Failed::TooSlow(patience)),
            Ok(Err(error)) => Err(Failed::of(&error)),
            Ok(Ok(response)) if response.status().is_redirection() => Err(Failed::Elsewhere),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

/// Where a request of the client belongs.
struct Target {
    url: url::Url,
    /// On the older transport the address says it.
    conversation: Option<Arc<Conversation>>,
}

impl Conversation {
    /// An answer of our own, on the stream of the older transport.
    async fn push(&self, message: &[u8]) {
        let listener = lock(&self.listener).clone();
        if let Some(listener) = listener {
            let event = [b"event: message\ndata: ", message, b"\n\n"].concat();
            // Nobody listens any more.
            drop(listener.send(event.into()).await);
        }
    }
}

/// A thread that panicked has left values that are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::whole(bytes.into()));
    *answer.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

fn fail(status: StatusCode, id: Option<&Id>, block: &Block, number: i64) -> Answer {
    json(status, error(id, block, number))
}

/// An error that answers a request is an answer; any other message was not accepted.
fn replied(is_request: bool, reply: Vec<u8>) -> Answer {
    let status = if is_request {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    json(status, reply)
}

fn refuse(refused: &Refused) -> Answer {
    if let Refused::Revision(requested) = refused {
        let (_, error) = revision::refusal(requested);
        return json(refused.status(), session::refusal(None, error));
    }
    let (block, number) = (refused.block(), refused.number());
    fail(refused.status(), refused.id(), &block, number)
}

/// The names of this machine to itself.
pub fn own_names(address: SocketAddr) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    names.push(match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    });
    names
}
