//! The client's bytes, shared between the conversation and the body that it streams to a host.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::proxy::http1::{BadBody, Decoder, Framing, Piece};

/// For the next bytes of a body.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is read of a body in one go.
const PIECE: usize = 64 << 10;

/// One stream in several hands of one thread. No borrow lasts across an await.
#[derive(Debug)]
pub(super) struct Shared<S>(Rc<RefCell<S>>);

/// What comes from the client, as far as it has been read.
#[derive(Debug)]
pub(super) struct Inlet<S> {
    pub(super) stream: Shared<S>,
    pub(super) buffer: BytesMut,
    /// The body that is being read.
    pub(super) decoder: Decoder,
    /// Which of the client's bodies that is.
    number: u64,
    /// Why it cannot be.
    pub(super) bad: Option<BadBody>,
}

/// The body of one request, on its way to the host.
pub(super) struct RequestBody<S> {
    inlet: Rc<RefCell<Inlet<S>>>,
    number: u64,
    length: Option<u64>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Shared<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Rc::new(RefCell::new(stream)))
    }

    /// The stream itself, when nobody else holds it.
    pub(super) fn into_inner(self) -> Result<S, Self> {
        Rc::try_unwrap(self.0)
            .map(RefCell::into_inner)
            .map_err(Self)
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

impl<S> Inlet<S> {
    pub(super) fn new(stream: Shared<S>, bytes: &[u8]) -> Self {
        Self {
            stream,
            buffer: BytesMut::from(bytes),
            decoder: Decoder::new(Framing::None),
            number: 0,
            bad: None,
        }
    }
}

impl<S> RequestBody<S> {
    /// Begins to read a body that is framed like this.
    pub(super) fn new(inlet: &Rc<RefCell<Inlet<S>>>, framing: Framing) -> Self {
        let mut open = inlet.borrow_mut();
        open.decoder = Decoder::new(framing);
        open.bad = None;
        open.number += 1;
        let number = open.number;
        drop(open);
        Self {
            inlet: Rc::clone(inlet),
            number,
            length: match framing {
                Framing::None => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Chunked => None,
            },
            timer: Box::pin(sleep(PATIENCE)),
        }
    }
}

impl<S: AsyncRead + Unpin> Body for RequestBody<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        // Whoever sends a body may ask once more after its end, when the next head is being read.
        let Ok(mut inlet) = this.inlet.try_borrow_mut() else {
            return Poll::Ready(None);
        };
        if inlet.number != this.number {
            return Poll::Ready(None);
        }
        let Inlet {
            stream,
            buffer,
            decoder,
            number: _,
            bad,
        } = &mut *inlet;
        loop {
            let (used, data) = match decoder.decode(buffer) {
                Ok((used, Piece::Data(data))) => (used, Some(Bytes::copy_from_slice(data))),
                Ok((used, Piece::End)) => {
                    buffer.advance(used);
                    return Poll::Ready(None);
                }
                Ok((used, Piece::More)) => (used, None),
                Err(error) => {
                    *bad = Some(error);
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
            };
            buffer.advance(used);
            if let Some(data) = data {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let read = match poll_fill(stream, buffer, cx) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    ready!(this.timer.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
            };
            if read == 0 {
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            this.timer.as_mut().reset(Instant::now() + PATIENCE);
        }
    }

    fn is_end_stream(&self) -> bool {
        let inlet = self.inlet.try_borrow();
        inlet.map_or(true, |inlet| {
            inlet.number != self.number || inlet.decoder.is_complete()
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl<S: AsyncRead + Unpin> Inlet<S> {
    /// Reads once into the buffer; gives how many bytes.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_fill(&mut self.stream, &mut self.buffer, cx)
    }
}

/// Reads once into the buffer.
fn poll_fill<S: AsyncRead + Unpin>(
    stream: &mut Shared<S>,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    buffer.reserve(PIECE);
    let before = buffer.len();
    let read = poll_read_buf(stream, buffer, cx);
    match read {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.len() - before)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}

fn poll_read_buf<S: AsyncRead + Unpin>(
    stream: &mut Shared<S>,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    // What `AsyncReadExt::read_buf` does in one poll.
    let future = tokio::io::AsyncReadExt::read_buf(stream, buffer);
    let mut future = std::pin::pin!(future);
    future.as_mut().poll(cx).map_ok(|_| ())
}
