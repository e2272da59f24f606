//! One connection to a host, spoken to by hyper.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use egress_common::Reason;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::spawn_local,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::proxy::{
    dial::DIAL,
    flow::{Counts, Denial, Flow},
    http1::LONGEST_HEAD,
    open::{Opener, is_http2},
    told::Outcome,
};

/// A body of this thread.
pub(in crate::proxy) type LocalBody =
    Pin<Box<dyn http_body::Body<Data = Bytes, Error = io::Error>>>;

/// A connection, and the flow that it is counted for.
#[derive(Debug)]
pub(in crate::proxy) struct Upstream<'p> {
    pub(in crate::proxy) flow: Flow<'p>,
    /// What is told of it at its end.
    pub(in crate::proxy) outcome: Outcome,
    sender: Sender,
    /// Of several hands on one connection, one tells.
    tells: bool,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<LocalBody>),
    Http2(http2::SendRequest<LocalBody>),
}

/// What TLS is spoken with, and whether the host may choose HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secure<'a> {
    pub(super) opener: &'a Opener,
    pub(super) is_http2_welcome: bool,
}

/// The connection of what left HTTP.
#[derive(Debug)]
pub(in crate::proxy) enum Socket {
    Plain(TcpStream),
    /// Counts by itself.
    Tls(Box<TlsStream<Counted>>),
}

/// A socket whose bytes are counted.
#[derive(Debug)]
pub(in crate::proxy) struct Counted {
    stream: TcpStream,
    counts: Counts,
}

/// Why a request got no response.
pub(super) enum Unanswered {
    /// Nothing of it was sent: another connection may take it.
    Unsent(Box<Request<LocalBody>>),
    Failed(hyper::Error),
}

/// Runs what a connection wants to be run, on this thread.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        drop(spawn_local(future));
    }
}

impl<'p> Upstream<'p> {
    pub(super) async fn begin(
        stream: TcpStream,
        flow: Flow<'p>,
        outcome: Outcome,
        secure: Option<Secure<'_>>,
    ) -> Result<Self, Denial> {
        let host = flow.host.clone().unwrap_or_default();
        let counted = Counted {
            stream,
            counts: flow.counts.clone(),
        };
        let broken = |error: hyper::Error| {
            Denial::with(
                Reason::DialFailed,
                format!("{host} speaks no HTTP: {error}"),
            )
        };
        let sender = match secure {
            None => Sender::Http1(speak_http1(counted).await.map_err(broken)?),
            Some(Secure {
                opener,
                is_http2_welcome,
            }) => {
                let connecting = opener.connect(&host, is_http2_welcome, counted);
                let stream = timeout(DIAL, connecting).await.map_err(|_elapsed| {
                    let seconds = DIAL.as_secs();
                    let message = format!("{host} did not finish TLS within {seconds} s");
                    Denial::with(Reason::TooSlow, message)
                })??;
                if is_http2(stream.get_ref().1.alpn_protocol()) {
                    Sender::Http2(speak_http2(stream).await.map_err(broken)?)
                } else {
                    Sender::Http1(speak_http1(stream).await.map_err(broken)?)
                }
            }
        };
        Ok(Self {
            flow,
            outcome,
            sender,
            tells: true,
        })
    }

    /// Whether it is this host's, and still takes requests.
    pub(super) async fn serves(&mut self, host: &str) -> bool {
        self.flow.host.as_deref() == Some(host)
            && match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await.is_ok(),
                Sender::Http2(sender) => sender.ready().await.is_ok(),
            }
    }

    /// Whether it takes a request for this host at once.
    pub(in crate::proxy) fn is_free(&self, host: &str) -> bool {
        self.flow.host.as_deref() == Some(host)
            && match &self.sender {
                Sender::Http1(sender) => sender.is_ready(),
                Sender::Http2(sender) => !sender.is_closed(),
            }
    }

    pub(in crate::proxy) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Another hand on the same connection, where it takes several requests at a time.
    pub(in crate::proxy) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                flow: self.flow.clone(),
                outcome: self.outcome,
                sender: Sender::Http2(sender.clone()),
                tells: false,
            }),
        }
    }

    /// Whether this hand is the one that tells.
    pub(in crate::proxy) const fn tells(&self) -> bool {
        self.tells
    }

    /// Tells what passed on it.
    pub(in crate::proxy) fn tell(&self) {
        if self.tells {
            self.flow.told(self.outcome, None);
        }
    }

    /// Sends a request in the form of HTTP/1: a path for a target, and `Host`.
    pub(super) async fn send(
        &mut self,
        request: Request<LocalBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let answered = match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(for_http1(request)).await,
            Sender::Http2(sender) => sender.try_send_request(for_http2(request)).await,
        };
        answered.map_err(|mut error| match error.take_message() {
            Some(request) => Unanswered::Unsent(Box::new(request)),
            None => Unanswered::Failed(error.into_error()),
        })
    }
}

async fn speak_http1<S>(stream: S) -> Result<http1::SendRequest<LocalBody>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a host broke");
        }
    });
    Ok(sender)
}

async fn speak_http2<S>(stream: S) -> Result<http2::SendRequest<LocalBody>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let longest = u32::try_from(LONGEST_HEAD).unwrap_or(u32::MAX);
    let begun = http2::Builder::new(Here)
        .max_header_list_size(longest)
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = begun?;
    spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a host broke");
        }
    });
    Ok(sender)
}

/// The same request without `TE`, which is of one connection and not said on this one. One that was
/// made for HTTP/2, and not sent, is as it was.
fn for_http1(mut request: Request<LocalBody>) -> Request<LocalBody> {
    request.headers_mut().remove(TE);
    let authority = request.uri().authority().cloned();
    let host = authority.and_then(|named| HeaderValue::try_from(named.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = http::Version::HTTP_11;
    }
    request
}

/// The same request with a whole address, and without what HTTP/2 has no fields for (RFC 9113,
/// sections 8.2.2 and 8.3.1). One that was made so before is as it was.
fn for_http2(mut request: Request<LocalBody>) -> Request<LocalBody> {
    let fields = request.headers_mut();
    let authority = fields
        .remove(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    for name in [CONNECTION, TRANSFER_ENCODING] {
        fields.remove(name);
    }
    if let Some(authority) = authority {
        let path = request.uri().path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(authority);
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// The socket of a connection that left HTTP, and what came on it already.
pub(in crate::proxy) fn into_socket(upgraded: Upgraded) -> Option<(Socket, Bytes)> {
    match upgraded.downcast::<TokioIo<Counted>>() {
        Ok(parts) => {
            let socket = Socket::Plain(parts.io.into_inner().stream);
            Some((socket, parts.read_buf))
        }
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<Counted>>>().ok()?;
            let socket = Socket::Tls(Box::new(parts.io.into_inner()));
            Some((socket, parts.read_buf))
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.counts.add_down(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            self.counts.add_up(*length);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            self.counts.add_up(*length);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
