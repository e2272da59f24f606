//! HTTP/1 between a client and the hosts that it asks for: one request after the other, each
//! judged before anything of it leaves.
//!
//! The client's bytes are read by our own codec and never go on as they are; the request that was
//! judged is written anew by hyper's client. What comes back is passed on as it comes.

mod body;
mod upstream;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use egress_common::Reason;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    answer::Answer,
    dial::{dial, reset},
    door,
    flow::{Denial, Flow},
    http1::{self, BadRequest, Framing, Head, Progress, Target, write},
    told::Outcome,
    tunnel::tunnel,
};
use crate::policy::{Level, Name};
use body::{Inlet, RequestBody, Shared};
use upstream::Upstream;

/// For a head to be complete once it has begun.
const HEAD: Duration = Duration::from_secs(10);
/// For the next request to begin.
const IDLE: Duration = Duration::from_secs(120);
/// For a host to answer. Models think for minutes before the first byte.
const ANSWER: Duration = Duration::from_secs(15 * 60);
/// What is read in one go.
const PIECE: usize = 8 << 10;

/// How the client came.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// By itself, from this address.
    Explicit { peer: SocketAddr },
    /// Led here on its way to this destination; after a CONNECT, for this host.
    Steered {
        destination: SocketAddr,
        named: Option<String>,
    },
}

/// A client's stream. One that is a socket can be spliced.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    fn into_tcp(self) -> Option<TcpStream>;
}

impl Stream for TcpStream {
    fn into_tcp(self) -> Option<TcpStream> {
        Some(self)
    }
}

/// What happens after a request.
enum Next<'p> {
    Request,
    Close,
    /// The connection broke, or must not look complete.
    Reset,
    /// The rest belongs to another protocol; what the host has said of it already.
    Tunnel(Box<Upgraded<'p>>),
    /// The rest is a tunnel that the client asked the proxy for.
    Connected(Box<Connected<'p>>),
}

struct Upgraded<'p> {
    flow: Flow<'p>,
    host: TcpStream,
    first: Bytes,
    outcome: Outcome,
}

struct Connected<'p> {
    flow: Flow<'p>,
    host: TcpStream,
    destination: SocketAddr,
    way: Way,
}

/// Where one request goes.
#[derive(Clone, Debug)]
struct Way {
    host: String,
    port: u16,
    level: Level,
    /// What is dialled: the first that answers.
    addresses: Vec<IpAddr>,
    outcome: Outcome,
}

struct Conversation<'p, S> {
    flow: Flow<'p>,
    via: Via,
    stream: Shared<S>,
    inlet: Rc<RefCell<Inlet<S>>>,
    upstream: Option<Upstream<'p>>,
    out: Vec<u8>,
}

/// Serves one client until it leaves. `bytes` were read already.
pub(super) async fn hold<S: Stream>(flow: Flow<'_>, stream: S, bytes: Vec<u8>, via: Via) {
    let shared = Shared::new(stream);
    let mut conversation = Conversation {
        inlet: Rc::new(RefCell::new(Inlet::new(shared.clone(), bytes))),
        stream: shared,
        flow,
        via,
        upstream: None,
        out: Vec::new(),
    };
    let last = loop {
        match conversation.turn().await {
            Ok(Next::Request) => {}
            Ok(last) => break last,
            Err(error) => {
                tracing::debug!(%error, "a client left");
                break Next::Reset;
            }
        }
    };
    conversation.end(last).await;
}

impl<'p, S: Stream> Conversation<'p, S> {
    /// One request and its response.
    async fn turn(&mut self) -> io::Result<Next<'p>> {
        let head = match self.head().await? {
            Some(Ok(head)) => head,
            Some(Err(bad)) => return self.unreadable(bad).await,
            None => return Ok(Next::Close),
        };
        match (&head.target, &self.via) {
            (Target::Authority, Via::Explicit { peer }) => {
                let peer = *peer;
                self.connect(&head, peer).await
            }
            (Target::Authority, Via::Steered { .. }) => {
                let text = "this is no proxy that was asked for; connect to the host itself";
                let answer = Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "no-proxy", text);
                self.answer(&answer, write::Asked::from(&head).at_last())
                    .await
            }
            (Target::Origin(_) | Target::Asterisk, Via::Explicit { .. }) => {
                let text = "this is a proxy; ask it for `CONNECT host:port` or `GET http://host/`";
                let answer = Answer::refused(StatusCode::BAD_REQUEST, "proxy", text);
                self.answer(&answer, write::Asked::from(&head).at_last())
                    .await
            }
            _ => self.pass(head).await,
        }
    }

    /// The next head. `None` when the client has nothing more to say.
    async fn head(&mut self) -> io::Result<Option<Result<Head, BadRequest>>> {
        let mut inlet = self.inlet.borrow_mut();
        let Inlet { stream, buffer, .. } = &mut *inlet;
        let mut deadline = Instant::now() + if buffer.is_empty() { IDLE } else { HEAD };
        loop {
            if !buffer.is_empty() {
                match http1::read(buffer) {
                    Ok(Progress::Head { head, length }) => {
                        buffer.advance(length);
                        return Ok(Some(Ok(head)));
                    }
                    Ok(Progress::More) => {}
                    Err(bad) => return Ok(Some(Err(bad))),
                }
            }
            let was_empty = buffer.is_empty();
            buffer.reserve(PIECE);
            match timeout_at(deadline, stream.read_buf(buffer)).await {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
            if was_empty {
                deadline = Instant::now() + HEAD;
            }
        }
    }

    async fn unreadable(&mut self, bad: BadRequest) -> io::Result<Next<'p>> {
        let denial = Denial::with(Reason::UnreadableRequest, format!("{}: {bad}", bad.code()));
        self.flow.denied(&denial);
        let answer = Answer::refused(bad.status(), bad.code(), &bad.to_string());
        self.answer(&answer, write::Asked::UNREADABLE).await
    }

    /// Opens a tunnel that the client asks for.
    async fn connect(&mut self, head: &Head, peer: SocketAddr) -> io::Result<Next<'p>> {
        let port = head.authority.port().unwrap_or(443);
        let asked = write::Asked::from(head);
        let way = match self.way(head.authority.host(), port, peer).await {
            Ok(way) => way,
            Err(denial) => return self.deny(&denial, head, port).await,
        };
        let mut flow = Flow::new(self.flow.place, self.flow.client, None);
        flow.host = Some(way.host.clone());
        let (host, destination) = match reach(&way).await {
            Ok(reached) => reached,
            Err(denial) => return self.deny(&denial, head, port).await,
        };
        flow.destination = Some(destination);
        let fields = http::HeaderMap::new();
        let response = write::Response {
            status: StatusCode::OK,
            fields: &fields,
            length: None,
            source: write::Source::Proxy,
        };
        self.out.clear();
        write::head(&response, asked, &mut self.out).map_err(io::Error::other)?;
        self.stream.write_all(&self.out).await?;
        Ok(Next::Connected(Box::new(Connected {
            flow,
            host,
            destination,
            way,
        })))
    }

    /// Judges a request, and passes it on.
    async fn pass(&mut self, head: Head) -> io::Result<Next<'p>> {
        let default = match &self.via {
            Via::Explicit { .. } => 80,
            Via::Steered { destination, .. } => destination.port(),
        };
        let port = head.authority.port().unwrap_or(default);
        let host = head.authority.host();
        let judged = match &self.via {
            Via::Explicit { peer } => {
                let peer = *peer;
                self.way(host, port, peer).await
            }
            Via::Steered { destination, named } => {
                self.steered(host, port, *destination, named.as_deref())
            }
        };
        let way = match judged {
            Ok(way) => way,
            Err(denial) => return self.deny(&denial, &head, port).await,
        };
        match self.exchange(&head, &way).await {
            Ok(next) => next,
            Err(denial) => self.deny(&denial, &head, port).await,
        }
    }

    /// A request on a flow that was led here.
    fn steered(
        &self,
        host: &str,
        port: u16,
        destination: SocketAddr,
        named: Option<&str>,
    ) -> Result<Way, Denial> {
        let mut flow = self.flow.clone();
        flow.host = Some(host.to_owned());
        let judged = if port == destination.port() {
            door::judge_name(&flow, destination, host, named)
        } else {
            let message = format!(
                "the request is for port {port}, on a connection to port {}",
                destination.port()
            );
            Err(Denial::with(Reason::NameMismatch, message))
        };
        let (level, outcome) = match judged {
            Ok(way) => (way.level, Outcome::Allowed(way.rule)),
            Err(denial) if self.flow.gate().observes() => {
                (Level::Name, Outcome::Denied(denial.reason, denial.rule))
            }
            Err(denial) => return Err(denial),
        };
        Ok(Way {
            host: host.to_ascii_lowercase(),
            port,
            level,
            addresses: vec![destination.ip()],
            outcome,
        })
    }

    /// A request of a client that came by itself: the guard resolver says where its host is.
    async fn way(&self, host: &str, port: u16, peer: SocketAddr) -> Result<Way, Denial> {
        let gate = self.flow.gate();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            let decided = gate.allowed_address(SocketAddr::new(address, port));
            let outcome = match decided {
                Ok(rule) => Outcome::Allowed(rule),
                Err((reason, rule)) if gate.observes() => Outcome::Denied(reason, rule),
                Err(denied) => return Err(denied.into()),
            };
            return Ok(Way {
                host: host.to_owned(),
                port,
                level: Level::Address,
                addresses: vec![address],
                outcome,
            });
        }
        let (name, level, outcome) = match gate.allowed(host, port) {
            Ok(way) => (way.name, way.level, Outcome::Allowed(way.rule)),
            Err((reason, rule)) => match Name::parse(host) {
                Ok(name) if gate.observes() => (name, Level::Name, Outcome::Denied(reason, rule)),
                Ok(_) | Err(_) => return Err((reason, rule).into()),
            },
        };
        let addresses = gate.resolve(peer, name.clone()).await.map_err(|no| {
            let reason = if no.is_denial {
                Reason::NameDenied
            } else {
                Reason::UpstreamFailed
            };
            Denial::with(reason, no.message)
        })?;
        Ok(Way {
            host: name.as_str().to_owned(),
            port,
            level,
            addresses,
            outcome,
        })
    }

    /// Sends the request that was judged, and passes the response back.
    async fn exchange(&mut self, head: &Head, way: &Way) -> Result<io::Result<Next<'p>>, Denial> {
        let mut request = self.request(head)?;
        if head.expects_continue
            && let Err(error) = self.stream.write_all(write::CONTINUE).await
        {
            return Ok(Err(error));
        }
        // A connection that was kept may have ended; nothing of the request is lost then.
        let mut is_fresh = false;
        let response = loop {
            if !is_fresh && !self.has_upstream(way).await {
                is_fresh = true;
                self.begin(way).await?;
            }
            let Some(upstream) = &mut self.upstream else {
                return Err(Denial::new(Reason::DialFailed));
            };
            let sent = timeout(ANSWER, upstream.send(request)).await;
            match sent {
                Ok(Ok(response)) => break response,
                Ok(Err(upstream::Unanswered::Unsent(unsent))) if !is_fresh => {
                    self.finish();
                    request = *unsent;
                }
                Ok(Err(upstream::Unanswered::Unsent(_))) => {
                    self.upstream = None;
                    let message = format!("{} takes no requests", way.host);
                    return Err(Denial::with(Reason::DialFailed, message));
                }
                Ok(Err(upstream::Unanswered::Failed(error))) => {
                    return Err(self.unanswered(way, &error));
                }
                Err(_elapsed) => {
                    self.upstream = None;
                    let message =
                        format!("{} did not answer within {} s", way.host, ANSWER.as_secs());
                    return Err(Denial::with(Reason::TooSlow, message));
                }
            }
        };
        Ok(self.respond(head, way, response).await)
    }

    /// The request as it goes out.
    fn request(&self, head: &Head) -> Result<Request<upstream::LocalBody>, Denial> {
        let path = head
            .target
            .path()
            .map_or_else(|| "/".to_owned(), |path| path.to_string());
        let body: upstream::LocalBody = match head.framing {
            Framing::None => Box::pin(http_body_util::Empty::new().map_err(|never| match never {})),
            framing @ (Framing::Length(_) | Framing::Chunked) => {
                Box::pin(RequestBody::new(&self.inlet, framing))
            }
        };
        let mut request = Request::builder()
            .method(head.method.clone())
            .uri(path)
            .body(body)
            .map_err(|error| Denial::with(Reason::UnreadableRequest, error.to_string()))?;
        *request.headers_mut() = head.forward();
        Ok(request)
    }

    async fn has_upstream(&mut self, way: &Way) -> bool {
        let destinations = way
            .addresses
            .iter()
            .map(|address| SocketAddr::new(*address, way.port));
        let destinations: Vec<_> = destinations.collect();
        let Some(upstream) = &mut self.upstream else {
            return false;
        };
        let Some(destination) = upstream.flow.destination else {
            return false;
        };
        destinations.contains(&destination) && upstream.serves(destination, &way.host).await
    }

    /// A new connection for this way.
    async fn begin(&mut self, way: &Way) -> Result<(), Denial> {
        self.finish();
        let (stream, destination) = reach(way).await?;
        let mut flow = Flow::new(self.flow.place, self.flow.client, Some(destination));
        flow.host = Some(way.host.clone());
        let begun = Upstream::begin(stream, flow, way.outcome).await;
        let upstream = begun
            .map_err(|error| Denial::with(Reason::DialFailed, format!("{destination}: {error}")))?;
        self.upstream = Some(upstream);
        Ok(())
    }

    /// Tells what passed on the connection to a host, and lets go of it.
    fn finish(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.flow.told(upstream.outcome, None);
        }
    }

    /// Why a request that was sent got no response.
    fn unanswered(&mut self, way: &Way, error: &hyper::Error) -> Denial {
        self.finish();
        if let Some(bad) = self.inlet.borrow().bad {
            return Denial::with(Reason::UnreadableRequest, format!("{}: {bad}", bad.code()));
        }
        let message = format!(
            "{} ended the connection without an answer: {error}",
            way.host
        );
        Denial::with(Reason::DialFailed, message)
    }

    /// Passes a response back as it comes.
    async fn respond(
        &mut self,
        head: &Head,
        way: &Way,
        mut response: Response<Incoming>,
    ) -> io::Result<Next<'p>> {
        let mut asked = write::Asked::from(head);
        // A body that the host did not want is not read to its end.
        if !self.inlet.borrow().decoder.is_complete() {
            asked = asked.at_last();
        }
        let upgrade = (response.status() == StatusCode::SWITCHING_PROTOCOLS)
            .then(|| hyper::upgrade::on(&mut response));
        let (parts, mut body) = response.into_parts();
        let told = write::Response {
            status: parts.status,
            fields: &parts.headers,
            length: body.size_hint().exact(),
            source: write::Source::Server,
        };
        self.out.clear();
        let delivery = match write::head(&told, asked, &mut self.out) {
            Ok(delivery) => delivery,
            Err(bad) => {
                self.finish();
                let message = format!(
                    "{} answered with what cannot be passed on: {}",
                    way.host,
                    bad.code()
                );
                let denial = Denial::with(Reason::DialFailed, message);
                return self.deny(&denial, head, way.port).await;
            }
        };
        if let Some(upgrade) = upgrade {
            self.stream.write_all(&self.out).await?;
            return self.upgraded(upgrade).await;
        }
        if delivery.body != write::Body::None
            && let Some(broken) = self.stream_body(&mut body, delivery.body).await?
        {
            tracing::debug!(error = broken, "a response broke off");
            return Ok(Next::Reset);
        }
        if delivery.body == write::Body::None {
            self.stream.write_all(&self.out).await?;
        }
        Ok(match delivery.then {
            write::Then::Request => Next::Request,
            write::Then::Close | write::Then::Response | write::Then::Tunnel => Next::Close,
        })
    }

    /// Writes head and body, each piece as it comes. `Some` says why the body is not whole.
    async fn stream_body(
        &mut self,
        body: &mut Incoming,
        framing: write::Body,
    ) -> io::Result<Option<String>> {
        let mut policies = self.flow.gate().watch();
        policies.mark_unchanged();
        loop {
            // A piece that is there goes out with the head; one that is not does not hold it.
            let ready = poll_fn(|cx| {
                Poll::Ready(match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(frame) => Some(frame),
                    Poll::Pending => None,
                })
            })
            .await;
            let frame = match ready {
                Some(frame) => frame,
                None => {
                    if !self.out.is_empty() {
                        self.stream.write_all(&self.out).await?;
                        self.out.clear();
                    }
                    tokio::select! {
                        frame = body.frame() => frame,
                        _changed = policies.changed() => {
                            let upstream = self.upstream.as_ref();
                            if let Some(Err(denial)) = upstream.map(|it| it.flow.still_allowed()) {
                                if let Some(upstream) = self.upstream.take() {
                                    upstream.flow.denied(&denial);
                                }
                                return Ok(Some("the policy no longer allows the host".to_owned()));
                            }
                            continue;
                        }
                    }
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if framing == write::Body::Chunked {
                        http1::body::chunk_start(data.len(), &mut self.out);
                        self.push(&data).await?;
                        self.out.extend_from_slice(http1::body::CHUNK_END);
                    } else {
                        self.push(&data).await?;
                    }
                }
                Some(Err(error)) => {
                    self.finish();
                    return Ok(Some(error.to_string()));
                }
                None => {
                    if framing == write::Body::Chunked {
                        self.out.extend_from_slice(http1::body::LAST_CHUNK);
                    }
                    self.stream.write_all(&self.out).await?;
                    self.out.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Adds to what is to be written; much of it is not copied.
    async fn push(&mut self, data: &[u8]) -> io::Result<()> {
        if data.len() < PIECE && self.out.len() < PIECE {
            self.out.extend_from_slice(data);
            return Ok(());
        }
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        self.stream.write_all(data).await
    }

    async fn upgraded(&mut self, upgrade: hyper::upgrade::OnUpgrade) -> io::Result<Next<'p>> {
        let upgraded = upgrade.await.map_err(io::Error::other)?;
        let (Some(upstream), Some((host, first))) =
            (self.upstream.take(), upstream::into_socket(upgraded))
        else {
            return Ok(Next::Reset);
        };
        Ok(Next::Tunnel(Box::new(Upgraded {
            outcome: upstream.outcome,
            flow: upstream.flow,
            host,
            first,
        })))
    }

    /// Refuses a request, and says so to both sides.
    async fn deny(&mut self, denial: &Denial, head: &Head, port: u16) -> io::Result<Next<'p>> {
        let host = head.authority.host();
        let mut flow = self.flow.clone();
        flow.host = Some(host.to_owned());
        flow.denied(denial);
        let policy = flow.gate().policy();
        let answer = Answer::denied(denial, &policy, (Some(host), port), Some(&head.fields));
        let mut asked = write::Asked::from(head);
        // Its body is not read.
        if head.framing != Framing::None {
            asked = asked.at_last();
        }
        self.answer(&answer, asked).await
    }

    async fn answer(&mut self, answer: &Answer, asked: write::Asked) -> io::Result<Next<'p>> {
        let response = write::Response {
            status: answer.status,
            fields: &answer.fields,
            length: u64::try_from(answer.body.len()).ok(),
            source: write::Source::Proxy,
        };
        self.out.clear();
        let delivery = write::head(&response, asked, &mut self.out).map_err(io::Error::other)?;
        if delivery.body != write::Body::None {
            self.out.extend_from_slice(answer.body.as_bytes());
        }
        self.stream.write_all(&self.out).await?;
        Ok(match delivery.then {
            write::Then::Request => Next::Request,
            write::Then::Close | write::Then::Response | write::Then::Tunnel => Next::Close,
        })
    }

    /// What comes after the last request.
    async fn end(mut self, last: Next<'p>) {
        self.finish();
        let Self {
            mut stream, inlet, ..
        } = self;
        let rest = inlet.borrow_mut().buffer.split();
        drop(inlet);
        match last {
            Next::Request | Next::Close => {
                if let Err(error) = door::end(&mut stream).await {
                    tracing::debug!(%error, "a client was gone before its connection was ended");
                }
            }
            Next::Reset => {
                if let Some(stream) = stream.into_inner().ok().and_then(Stream::into_tcp) {
                    reset(stream);
                }
            }
            Next::Connected(connected) => connected.go_on(stream, rest).await,
            Next::Tunnel(upgraded) => upgraded.go_on(stream, rest).await,
        }
    }
}

impl Connected<'_> {
    async fn go_on<S: Stream>(self, stream: Shared<S>, rest: BytesMut) {
        let Self {
            flow,
            mut host,
            destination,
            way,
        } = self;
        let Some(stream) = stream.into_inner().ok().and_then(Stream::into_tcp) else {
            return;
        };
        if way.level == Level::Address {
            flow.counts.add_up(rest.len());
            if let Err(error) = host.write_all(&rest).await {
                flow.denied(&Denial::dial(destination, &error));
                return reset(stream);
            }
            return tunnel(&flow, stream, host, way.outcome).await;
        }
        let asked = Some((way.host, host));
        // Boxed: what stands in the tunnel may be a conversation again.
        Box::pin(door::open(flow, destination, stream, rest.to_vec(), asked)).await;
    }
}

impl Upgraded<'_> {
    async fn go_on<S: Stream>(self, stream: Shared<S>, rest: BytesMut) {
        let Self {
            flow,
            mut host,
            first,
            outcome,
        } = self;
        let Some(mut client) = stream.into_inner().ok().and_then(Stream::into_tcp) else {
            return;
        };
        let handed: io::Result<()> = async {
            host.write_all(&rest).await?;
            client.write_all(&first).await
        }
        .await;
        if let Err(error) = handed {
            tracing::debug!(%error, "a tunnel ended before it began");
            return reset(client);
        }
        flow.counts.add_up(rest.len());
        tunnel(&flow, client, host, outcome).await;
    }
}

/// The first of the addresses that answers.
async fn reach(way: &Way) -> Result<(TcpStream, SocketAddr), Denial> {
    let mut failed = Denial::new(Reason::DialFailed);
    for address in &way.addresses {
        let destination = SocketAddr::new(*address, way.port);
        match dial(destination).await {
            Ok(stream) => return Ok((stream, destination)),
            Err(error) => failed = Denial::dial(destination, &error),
        }
    }
    Err(failed)
}
