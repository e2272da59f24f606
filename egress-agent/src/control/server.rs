//! Serves the control socket: bounded connections, bounded requests, bounded time.
//!
//! What a request does is the [`Handler`]'s; this side only lets through what [`authorise`]
//! allows. A peer that sends garbage, half a request, too much or nothing is told so where it
//! can be, and costs nobody else anything.

use std::{
    io,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use super::{
    authorise::{Standing, authorise},
    message::{Code, Failure, Reply, Request, reply_line},
    peer::Peer,
    seats::{Holder, Seats},
};
use crate::audit::feed::Told;

/// Bytes of one request, newline included.
pub const LONGEST_REQUEST: usize = 64 << 10;
/// Bytes of one tool call, newline included: what a hook reads from its agent, and the envelope.
pub const LONGEST_CALL: usize = (10 << 20) + LONGEST_REQUEST;
/// Long tool calls that are held in memory at once.
const LONG_CALLS: usize = 4;
/// For the rest of a long tool call to arrive: nobody else's call waits longer.
const LONG_PATIENCE: Duration = Duration::from_secs(1);
/// For a whole request to arrive, and for a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// For answers that are on their way when the server is told to stop.
const DRAIN: Duration = Duration::from_millis(500);

/// What the daemon does with requests.
pub trait Handler: Send + Sync + 'static {
    /// Where a cgroup stands. A path is below the cgroup2 root, as in `/proc/PID/cgroup`.
    fn standing(&self, cgroup: &str) -> Standing;

    /// The uid that entered a session; `None` when there is no such session.
    fn owner(&self, session: &str) -> Option<u32>;

    /// Carries out what `peer` may ask.
    fn handle(&self, peer: Peer, request: Request) -> impl Future<Output = Response> + Send;
}

/// What a handler answers.
#[derive(Debug)]
pub enum Response {
    One(Reply),
    Failed(Failure),
    /// Lines until the sender is dropped, or the client leaves.
    Log(mpsc::Receiver<Told>),
}

/// Serves until `shutdown` resolves. Connections that are open then may finish their answers, and
/// are closed after half a second.
pub async fn serve<H: Handler>(
    listener: UnixListener,
    handler: Arc<H>,
    shutdown: impl Future<Output = ()>,
) {
    serve_with(PATIENCE, listener, handler, shutdown).await;
}

async fn serve_with<H: Handler>(
    patience: Duration,
    listener: UnixListener,
    handler: Arc<H>,
    shutdown: impl Future<Output = ()>,
) {
    let seats = Arc::new(Mutex::new(Seats::default()));
    let room = Arc::new(Semaphore::new(LONG_CALLS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a control connection was cut off");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Some((connection, seat)) = admit(stream, patience, &*handler, &seats, &room)
                {
                    let handler = Arc::clone(&handler);
                    connections.spawn(async move {
                        connection.talk(&*handler).await;
                        drop(seat);
                    });
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: let some connections end.
                tracing::warn!(%error, "a control connection cannot be accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Whoever asked for the end is told that it came.
    let drained = timeout(DRAIN, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}

/// Finds out who connects, and gives them a seat or the reason why not.
fn admit<H: Handler>(
    stream: UnixStream,
    patience: Duration,
    handler: &H,
    seats: &Arc<Mutex<Seats>>,
    room: &Arc<Semaphore>,
) -> Option<(Connection, Seat)> {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::debug!(%error, "nobody knows who connected");
            return None;
        }
    };
    let standing = standing(&peer, handler);
    let Some(seat) = Seat::take(seats, Holder::new(peer.uid, &standing)) else {
        tracing::debug!(
            pid = peer.pid,
            uid = peer.uid,
            "too many control connections"
        );
        refuse(&stream);
        return None;
    };
    let (reader, writer) = stream.into_split();
    let connection = Connection {
        peer,
        patience,
        entered: None,
        room: Arc::clone(room),
        reader: BufReader::new(reader),
        writer,
    };
    Some((connection, seat))
}

fn standing<H: Handler>(peer: &Peer, handler: &H) -> Standing {
    match &peer.cgroup {
        Some(cgroup) => handler.standing(cgroup),
        None => Standing::Guarded { session: None },
    }
}

/// Tells without waiting: the buffer of a new connection has room.
fn refuse(stream: &UnixStream) {
    let failure = Failure::new(Code::Busy, "too many connections to egressd are open")
        .with_help("close some and try again");
    let told = reply_line(Err(&failure))
        .map_err(io::Error::from)
        .and_then(|line| stream.try_write(&line));
    if let Err(error) = told {
        tracing::debug!(%error, "a refused peer was not told");
    }
}

struct Connection {
    peer: Peer,
    patience: Duration,
    /// The session that the peer entered, until it has told what holds it.
    entered: Option<String>,
    /// For long tool calls.
    room: Arc<Semaphore>,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// What came before the end of a line.
enum Line {
    Whole(Vec<u8>),
    /// A long tool call, and the room that it takes until it is answered.
    Long(Vec<u8>, OwnedSemaphorePermit),
    TooLong,
    /// The peer ended, with or without half a line.
    End {
        half: bool,
    },
}

impl Connection {
    async fn talk<H: Handler>(mut self, handler: &H) {
        while let Some(request) = self.next().await {
            let response = match request {
                Ok((request, _room)) => self.answer(handler, request).await,
                Err(failure) => Response::Failed(failure),
            };
            let sent = match response {
                Response::One(reply) => self.send(Ok(&reply)).await,
                Response::Failed(failure) => self.send(Err(&failure)).await,
                Response::Log(told) => self.stream(told).await,
            };
            if let Err(error) = sent {
                tracing::debug!(%error, pid = self.peer.pid, "a control connection broke");
                return;
            }
        }
    }

    /// The next request, or what is wrong with it; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Result<(Request, Option<OwnedSemaphorePermit>), Failure>> {
        let line = read_line(&mut self.reader, &self.room);
        let failure = match timeout(self.patience, line).await {
            Ok(Ok(Line::Whole(line))) => {
                return Some(Request::parse(&line).map(|request| (request, None)));
            }
            Ok(Ok(Line::Long(line, room))) => {
                // Others have their turn meanwhile.
                let parsed = spawn_blocking(move || Request::parse(&line)).await;
                let parsed = parsed.unwrap_or_else(|error| {
                    Err(Failure::new(
                        Code::Failed,
                        format!("the tool call was not read: {error}"),
                    ))
                });
                return Some(parsed.map(|request| (request, Some(room))));
            }
            Ok(Ok(Line::End { half: false }) | Err(_)) => return None,
            Ok(Ok(Line::End { half: true })) => Failure::new(
                Code::BadRequest,
                "the connection ended in the middle of a request",
            ),
            Ok(Ok(Line::TooLong)) => Failure::new(
                Code::TooLarge,
                format!("a request has at most {LONGEST_REQUEST} bytes"),
            ),
            Err(_) => Failure::new(
                Code::TooSlow,
                format!("no request came within {} s", self.patience.as_secs()),
            ),
        };
        // The connection ends with this: what would follow has no beginning.
        if let Err(error) = self.send(Err(&failure)).await {
            tracing::debug!(%error, pid = self.peer.pid, "a failing peer was not told");
        }
        None
    }

    async fn answer<H: Handler>(&mut self, handler: &H, request: Request) -> Response {
        // It may have entered a guard since it connected.
        let peer = self.peer.clone().look_again();
        let owner = |session: &str| handler.owner(session);
        let entered = match &request {
            Request::Confined { .. } => self.entered.take(),
            Request::Status { .. }
            | Request::Sessions {}
            | Request::Why { .. }
            | Request::Log { .. }
            | Request::Denials { .. }
            | Request::Egress { .. }
            | Request::Overview { .. }
            | Request::Judge { .. }
            | Request::Aftermath { .. }
            | Request::Dashboard {}
            | Request::Reload { .. }
            | Request::Release { .. }
            | Request::Enter { .. }
            | Request::End { .. }
            | Request::Verbosity { .. }
            | Request::Allow { .. }
            | Request::Grants {}
            | Request::Revoke { .. }
            | Request::Pending {}
            | Request::Approve { .. } => None,
        };
        let standing = standing(&peer, handler);
        match authorise(&peer, &standing, entered.as_deref(), owner, request) {
            Ok(request) => {
                let response = handler.handle(peer, request).await;
                if let Response::One(Reply::Entered(entered)) = &response {
                    self.entered = Some(entered.session.clone());
                }
                response
            }
            Err(failure) => {
                tracing::info!(pid = self.peer.pid, uid = self.peer.uid, %failure, "refused");
                Response::Failed(failure)
            }
        }
    }

    async fn stream(&mut self, mut told: mpsc::Receiver<Told>) -> io::Result<()> {
        loop {
            let next = tokio::select! {
                next = told.recv() => next,
                // Nothing is expected any more: the peer has left.
                _ = self.reader.read_u8() => return Err(io::ErrorKind::ConnectionAborted.into()),
            };
            match next {
                Some(told) => {
                    let line = reply_line(Ok(&told.into()))?;
                    self.writer.write_all(&line).await?;
                }
                None => return self.send(Ok(&Reply::Done(String::new()))).await,
            }
        }
    }

    async fn send(&mut self, reply: Result<&Reply, &Failure>) -> io::Result<()> {
        let line = reply_line(reply)?;
        timeout(self.patience, self.writer.write_all(&line)).await?
    }
}

/// Reads up to a newline, and never more than [`LONGEST_REQUEST`] of one line, or than
/// [`LONGEST_CALL`] of a tool call.
async fn read_line(
    reader: &mut BufReader<OwnedReadHalf>,
    room: &Arc<Semaphore>,
) -> io::Result<Line> {
    let mut line = Vec::new();
    reader
        .take(LONGEST_REQUEST as u64)
        .read_until(b'\n', &mut line)
        .await?;
    let is_long = line.len() == LONGEST_REQUEST && !line.ends_with(b"\n");
    if is_long && line.starts_with(Request::JUDGE) {
        let room = Arc::clone(room)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let mut rest = reader.take((LONGEST_CALL - LONGEST_REQUEST) as u64);
        timeout(LONG_PATIENCE, rest.read_until(b'\n', &mut line)).await??;
        return Ok(match line.pop() {
            Some(b'\n') => Line::Long(line, room),
            _ if line.len() + 1 == LONGEST_CALL => Line::TooLong,
            _ => Line::End { half: true },
        });
    }
    Ok(match line.pop() {
        Some(b'\n') => Line::Whole(line),
        Some(_) if line.len() + 1 == LONGEST_REQUEST => Line::TooLong,
        last => Line::End {
            half: last.is_some(),
        },
    })
}

/// Given back when the connection ends, however it ends.
struct Seat {
    seats: Arc<Mutex<Seats>>,
    holder: Holder,
}

impl Seat {
    fn take(seats: &Arc<Mutex<Seats>>, holder: Holder) -> Option<Self> {
        seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(holder)
            .ok()
            .map(|()| Self {
                seats: Arc::clone(seats),
                holder,
            })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.leave(self.holder);
    }
}

#[cfg(test)]
mod tests;
