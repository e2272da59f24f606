//! Bodies: read whole within bounds, and sent whole or as a stream.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::headers::Refused;
use crate::mcp::message::LONGEST;

/// What is sent.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Body {
    pub(super) const fn empty() -> Self {
        Self::Whole(None)
    }

    pub(super) const fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    TooLong,
    Busy,
    Broken,
}

impl Problem {
    pub(super) const fn refused(self) -> Refused {
        match self {
            Self::TooLong => Refused::TooLong,
            Self::Busy => Refused::Busy,
            Self::Broken => Refused::Broken,
        }
    }
}

/// Room for bytes, of what all connections share.
#[derive(Debug)]
pub(super) struct Room {
    of: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn of(of: &Arc<Semaphore>) -> Self {
        Self {
            of: Arc::clone(of),
            taken: None,
        }
    }

    /// Has room for this many bytes, or says that there is none.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let taken = self
            .taken
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = bytes.checked_sub(taken).filter(|more| *more > 0) else {
            return Ok(());
        };
        let more = u32::try_from(more).ok().ok_or(Problem::TooLong)?;
        let more = Arc::clone(&self.of)
            .try_acquire_many_owned(more)
            .ok()
            .ok_or(Problem::Busy)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }

    pub(super) fn release(&mut self) {
        self.taken = None;
    }
}

/// A body that has been read.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    _room: Room,
}

impl Held {
    /// Reads a body to its end.
    pub(super) async fn read(
        mut incoming: impl HttpBody<Data = Bytes> + Unpin,
        room: &Arc<Semaphore>,
    ) -> Result<Self, Problem> {
        let mut room = Room::of(room);
        let mut bytes = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame.ok().ok_or(Problem::Broken)?.into_data() else {
                continue;
            };
            let length = bytes.len() + data.len();
            if length > LONGEST {
                return Err(Problem::TooLong);
            }
            room.hold(length)?;
            bytes.extend_from_slice(&data);
        }
        Ok(Self {
            bytes: bytes.into(),
            _room: room,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_given_back() {
        let all = Arc::new(Semaphore::new(10));
        let (mut one, mut other) = (Room::of(&all), Room::of(&all));
        assert_eq!(one.hold(4), Ok(()));
        assert_eq!(one.hold(3), Ok(()), "that much it has");
        assert_eq!(other.hold(7), Err(Problem::Busy));
        assert_eq!(other.hold(6), Ok(()));
        assert_eq!(one.hold(5), Err(Problem::Busy));
        drop(other);
        assert_eq!(one.hold(10), Ok(()));
        one.release();
        assert_eq!(all.available_permits(), 10);
    }
}
