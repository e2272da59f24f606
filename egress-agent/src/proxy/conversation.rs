//! HTTP/1 between a client and the hosts that it asks for: one request after the other, each
//! judged before anything of it leaves.
//!
//! The client's bytes are read by our own codec and never go on as they are; the request that was
//! judged is written anew by hyper's client. What comes back is passed on as it comes.

mod body;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use egress_common::Reason;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::server::TlsStream;

use super::{
    answer::Answer,
    dial::reset,
    door,
    exchange::{
        Exchange, Via, Way, reach,
        upstream::{LocalBody, Socket, into_socket},
    },
    flow::{Denial, Flow},
    http1::{self, BadRequest, Framing, Head, Progress, Target, write},
    requests::Judge,
    told::Outcome,
    tunnel::{self, tunnel},
};
use crate::policy::Level;
use body::{Inlet, RequestBody, Shared};

/// For a head to be complete once it has begun.
const HEAD: Duration = Duration::from_secs(10);
/// For the next request to begin.
const IDLE: Duration = Duration::from_mins(2);
/// What is read in one go.
const PIECE: usize = 8 << 10;

/// A client's stream. One that is a socket can be spliced.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    fn into_tcp(self) -> Result<TcpStream, Self>
    where
        Self: Sized;
}

impl Stream for TcpStream {
    fn into_tcp(self) -> Result<TcpStream, Self> {
        Ok(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Stream for TlsStream<S> {
    fn into_tcp(self) -> Result<TcpStream, Self> {
        Err(self)
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
    host: Socket,
    first: Bytes,
    outcome: Outcome,
    /// Reads its messages, where the level asks for it.
    judge: Option<Judge<'p>>,
}

struct Connected<'p> {
    flow: Flow<'p>,
    host: TcpStream,
    destination: SocketAddr,
    way: Way,
}

struct Conversation<'p, S> {
    exchange: Exchange<'p>,
    stream: Shared<S>,
    inlet: Rc<RefCell<Inlet<S>>>,
    out: Vec<u8>,
}

/// Serves one client until it leaves. `bytes` were read already.
pub(super) async fn hold<S: Stream>(flow: Flow<'_>, stream: S, bytes: Vec<u8>, via: Via) {
    let shared = Shared::new(stream);
    let inlet = Inlet::new(shared.clone(), &bytes);
    drop(bytes);
    let mut conversation = Conversation {
        inlet: Rc::new(RefCell::new(inlet)),
        stream: shared,
        exchange: Exchange::new(flow, via),
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
        match (&head.target, &self.exchange.via) {
            (Target::Authority, Via::Explicit { .. }) => self.connect(&head).await,
            (Target::Authority, Via::Steered { .. } | Via::Opened { .. }) => {
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
            (Target::Absolute(_), Via::Opened { .. }) => {
                let text = "this is TLS for one host; ask it for a path";
                let answer = Answer::refused(StatusCode::BAD_REQUEST, "scheme", text);
                self.answer(&answer, write::Asked::from(&head).at_last())
                    .await
            }
            (Target::Absolute(_), Via::Explicit { .. } | Via::Steered { .. })
            | (Target::Origin(_) | Target::Asterisk, Via::Steered { .. } | Via::Opened { .. }) => {
                self.pass(head).await
            }
        }
    }

    /// The next head. `None` when the client has nothing more to say.
    async fn head(&mut self) -> io::Result<Option<Result<Head, BadRequest>>> {
        // What is left of the last response; TLS may hold some of it back.
        self.stream.flush().await?;
        let mut deadline = Instant::now()
            + if self.inlet.borrow().buffer.is_empty() {
                IDLE
            } else {
                HEAD
            };
        loop {
            let was_empty = {
                let buffer = &mut self.inlet.borrow_mut().buffer;
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
                buffer.is_empty()
            };
            let inlet = &self.inlet;
            let read = poll_fn(|cx| inlet.borrow_mut().poll_fill(cx));
            match timeout_at(deadline, read).await {
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
        self.exchange.flow.denied(&denial);
        let answer = Answer::refused(bad.status(), bad.code(), &bad.to_string());
        self.answer(&answer, write::Asked::UNREADABLE).await
    }

    /// Opens a tunnel that the client asks for.
    async fn connect(&mut self, head: &Head) -> io::Result<Next<'p>> {
        let port = head.authority.port().unwrap_or(443);
        let asked = write::Asked::from(head);
        let way = match self.exchange.judge(head.authority.host(), port).await {
            Ok(way) => way,
            Err(denial) => return self.deny(&denial, head, port).await,
        };
        let mut flow = Flow::new(self.exchange.flow.place, self.exchange.flow.client, None);
        flow.host = Some(way.host.clone());
        flow.level = way.level;
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
        let port = head.authority.port();
        let port = port.unwrap_or(self.exchange.default_port());
        let judged = self.exchange.judge(head.authority.host(), port).await;
        let way = match judged {
            Ok(way) => way,
            Err(denial) => return self.deny(&denial, &head, port).await,
        };
        if head.expects_continue {
            self.stream.write_all(write::CONTINUE).await?;
            self.stream.flush().await?;
        }
        let request = match self.request(&head) {
            Ok(request) => request,
            Err(denial) => return self.deny(&denial, &head, port).await,
        };
        match self.exchange.send(&way, request).await {
            Ok(response) => self.respond(&head, &way, response).await,
            Err(denial) => {
                let bad = self.inlet.borrow().bad;
                let denial = bad.map_or(denial, |bad| {
                    let message = format!("{}: {bad}", bad.code());
                    Denial::with(Reason::UnreadableRequest, message)
                });
                self.deny(&denial, &head, port).await
            }
        }
    }

    /// The request as it goes out.
    fn request(&self, head: &Head) -> Result<Request<LocalBody>, Denial> {
        let path = head
            .target
            .path()
            .map_or_else(|| "/".to_owned(), |path| path.to_string());
        let body: LocalBody = match head.framing {
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

    /// Passes a response back as it comes.
    async fn respond(
        &mut self,
        head: &Head,
        way: &Way,
        mut response: Response<LocalBody>,
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
                self.exchange.finish();
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
        body: &mut LocalBody,
        framing: write::Body,
    ) -> io::Result<Option<String>> {
        loop {
            // A piece that is there goes out with the head; one that is not does not hold it.
            let ready = poll_fn(|cx| {
                Poll::Ready(match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(frame) => Some(frame),
                    Poll::Pending => None,
                })
            })
            .await;
            let frame = if let Some(frame) = ready {
                frame
            } else {
                if !self.out.is_empty() {
                    self.stream.write_all(&self.out).await?;
                    self.out.clear();
                }
                self.stream.flush().await?;
                let flow = self.exchange.upstream.as_ref().map(|it| it.flow.clone());
                let flow = flow.unwrap_or_else(|| self.exchange.flow.clone());
                match flow.while_allowed(body.frame()).await {
                    Ok(frame) => frame,
                    Err(denial) => {
                        self.exchange.upstream = None;
                        flow.denied(&denial);
                        return Ok(Some("the policy no longer allows the host".to_owned()));
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
                    self.exchange.finish();
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
            (self.exchange.upstream.take(), into_socket(upgraded))
        else {
            return Ok(Next::Reset);
        };
        Ok(Next::Tunnel(Box::new(Upgraded {
            outcome: upstream.outcome,
            judge: self.exchange.judge.take(),
            flow: upstream.flow,
            host,
            first,
        })))
    }

    /// Refuses a request, and says so to both sides.
    async fn deny(&mut self, denial: &Denial, head: &Head, port: u16) -> io::Result<Next<'p>> {
        let host = head.authority.host();
        let mut flow = self.exchange.flow.clone();
        flow.host = Some(host.to_owned());
        let answer = self.exchange.answer(denial, host, port, &head.fields);
        let mut asked = write::Asked::from(head);
        // Its body is not read.
        if head.framing != Framing::None {
            asked = asked.at_last();
        }
        // The client does not wait for the record to be handed over, nor the record for a client
        // that does not read.
        let mut answering = pin!(self.answer(&answer, asked));
        let answered = poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx))).await;
        flow.denied(denial);
        match answered {
            Poll::Ready(answered) => answered,
            Poll::Pending => answering.await,
        }
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
        self.exchange.finish();
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
                // One inside TLS ends without the word that it is whole.
                if let Ok(Ok(stream)) = stream.into_inner().map(Stream::into_tcp) {
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
        let Ok(Ok(stream)) = stream.into_inner().map(Stream::into_tcp) else {
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
            host,
            first,
            outcome,
            judge,
        } = self;
        if let Some(judge) = judge {
            let client = (stream, &*rest);
            return match host {
                Socket::Plain(host) => {
                    let counts = Some(&flow.counts);
                    let end = (counts, outcome);
                    Box::pin(judge.messages(&flow, client, (host, &*first), end)).await;
                }
                Socket::Tls(host) => {
                    let end = (None, outcome);
                    Box::pin(judge.messages(&flow, client, (*host, &*first), end)).await;
                }
            };
        }
        let Ok(client) = stream.into_inner() else {
            return;
        };
        match (client.into_tcp(), host) {
            (Ok(mut client), Socket::Plain(mut host)) => {
                if hand_over(&mut client, &first, &mut host, &rest).await {
                    flow.counts.add_up(rest.len());
                    tunnel(&flow, client, host, outcome).await;
                } else {
                    reset(client);
                }
            }
            (Ok(client), Socket::Tls(host)) => {
                copy_on(&flow, (client, first), (*host, rest), outcome).await;
            }
            (Err(client), Socket::Plain(host)) => {
                copy_on(&flow, (client, first), (host, rest), outcome).await;
            }
            (Err(client), Socket::Tls(host)) => {
                copy_on(&flow, (client, first), (*host, rest), outcome).await;
            }
        }
    }
}

/// Writes what each side has sent already. `false` when one of them is gone.
async fn hand_over(
    client: &mut (impl AsyncWrite + Unpin),
    first: &[u8],
    host: &mut (impl AsyncWrite + Unpin),
    rest: &[u8],
) -> bool {
    let handed: io::Result<()> = async {
        host.write_all(rest).await?;
        host.flush().await?;
        client.write_all(first).await?;
        client.flush().await
    }
    .await;
    if let Err(error) = &handed {
        tracing::debug!(%error, "a tunnel ended before it began");
    }
    handed.is_ok()
}

/// A tunnel of which one side at least is inside TLS: nothing can be spliced.
async fn copy_on(
    flow: &Flow<'_>,
    (mut client, first): (impl AsyncRead + AsyncWrite + Unpin, Bytes),
    (mut host, rest): (impl AsyncRead + AsyncWrite + Unpin, BytesMut),
    outcome: Outcome,
) {
    if hand_over(&mut client, &first, &mut host, &rest).await {
        tunnel::copy(flow, client, host, outcome).await;
    }
}
