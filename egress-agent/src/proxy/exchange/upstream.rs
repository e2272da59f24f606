//! One connection to a host, spoken to by hyper.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::spawn_local,
};

use crate::proxy::{
    flow::{Counts, Flow},
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
    sender: SendRequest<LocalBody>,
}

/// A socket whose bytes are counted.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    counts: Counts,
}

/// Why a request got no response.
pub(super) enum Unanswered {
    /// Nothing of it was sent: another connection may take it.
    Unsent(Box<Request<LocalBody>>),
    Failed(hyper::Error),
}

impl<'p> Upstream<'p> {
    pub(super) async fn begin(
        stream: TcpStream,
        flow: Flow<'p>,
        outcome: Outcome,
    ) -> Result<Self, hyper::Error> {
        let counted = Counted {
            stream,
            counts: flow.counts.clone(),
        };
        let (sender, connection) = handshake(TokioIo::new(counted)).await?;
        spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a host broke");
            }
        });
        Ok(Self {
            flow,
            outcome,
            sender,
        })
    }

    /// Whether it is this host's, and still takes requests.
    pub(super) async fn serves(&mut self, host: &str) -> bool {
        self.flow.host.as_deref() == Some(host) && self.sender.ready().await.is_ok()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<LocalBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request)),
                None => Unanswered::Failed(error.into_error()),
            }),
        }
    }
}

/// The socket of a connection that left HTTP, and what came on it already.
pub(in crate::proxy) fn into_socket(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Counted>>().ok()?;
    Some((parts.io.into_inner().stream, parts.read_buf))
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
