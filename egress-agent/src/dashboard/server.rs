//! The dashboard's thread: takes connections until it is told to stop.

use std::{
    fmt, io,
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Builder,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::sleep,
};

use super::{
    Address, Question,
    answer::{self, Answer},
    patience::Patient,
    room::Room,
    route::{Gate, Refused, check_metrics},
    token::Token,
};
use crate::{
    audit::{sink::Sink, tally::Tally},
    control::authorise::Standing,
    control::{peer::Peer, server::Handler},
    daemon::privileges,
};

/// Connections at a time, of each listener; one carries one request.
const CONNECTIONS: usize = 64;
/// For the head of a request to arrive.
const HEAD: Duration = Duration::from_secs(5);
/// For a client to take what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a head, and its headers.
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// After a connection could not be taken, mostly because no descriptor was free.
const PAUSE: Duration = Duration::from_millis(50);

/// Where it listens.
#[derive(Debug, Default)]
pub struct Listeners {
    pub page: Option<(Address, TcpListener)>,
    pub metrics: Option<UnixListener>,
}

/// What it is started with.
pub struct Start<H> {
    pub listeners: Listeners,
    pub token: Token,
    pub questions: mpsc::Sender<Question>,
    pub sink: Sink,
    /// Sums of the records.
    pub tally: Arc<Mutex<Tally>>,
    /// Knows where a process stands.
    pub handler: Arc<H>,
}

impl<H> fmt::Debug for Start<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// A running dashboard. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    /// Serves on a thread of its own.
    pub fn start<H: Handler>(start: Start<H>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        // Made here, so that a failure is told to whoever starts it.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || {
                if let Err(error) = privileges::keep_none() {
                    tracing::error!(%error, "the dashboard does not run: its capabilities cannot be dropped");
                    return;
                }
                let served = runtime.block_on(serve(start, stopped));
                if let Err(error) = served {
                    tracing::error!(%error, "the dashboard failed; decisions go on");
                }
                // Files that are being read are waited for no longer than this.
                runtime.shutdown_timeout(Duration::from_millis(100));
            })?;
        Ok(Self {
            thread: Some(thread),
            stop: Some(stop),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that has ended needs no word.
            stop.send(()).unwrap_or_default();
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the dashboard's thread ended with a panic");
        }
    }
}

async fn serve<H: Handler>(start: Start<H>, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let Start {
        listeners,
        token,
        questions,
        sink,
        tally,
        handler,
    } = start;
    let room = Arc::new(Room::new(questions, sink, tally));
    if let Some((address, listener)) = listeners.page {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let gate = Arc::new(Gate::new(address, token.check()));
        tokio::spawn(take_pages(listener, gate, Arc::clone(&room)));
    }
    if let Some(listener) = listeners.metrics {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        tokio::spawn(take_metrics(listener, handler, room));
    }
    drop(token);
    // Dropped without a word: the daemon is gone.
    drop(stopped.await);
    Ok(())
}

async fn take_pages(listener: tokio::net::TcpListener, gate: Arc<Gate>, room: Arc<Room>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        // Who is closed at once is told sooner than who waits.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            continue;
        };
        let (gate, room) = (Arc::clone(&gate), Arc::clone(&room));
        tokio::spawn(talk(stream, seat, move |request| {
            let route = gate.check(&request.into_parts().0);
            let room = Arc::clone(&room);
            async move {
                match route {
                    Ok(route) => room.answer(route).await,
                    Err(refused) => answer::refused(&refused),
                }
            }
        }));
    }
}

async fn take_metrics<H: Handler>(
    listener: tokio::net::UnixListener,
    handler: Arc<H>,
    room: Arc<Room>,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            continue;
        };
        let is_guarded = is_guarded(&stream, &*handler);
        let room = Arc::clone(&room);
        tokio::spawn(talk(stream, seat, move |request| {
            let route = if is_guarded {
                Err(Refused::Guarded)
            } else {
                check_metrics(&request.into_parts().0)
            };
            let room = Arc::clone(&room);
            async move {
                match route {
                    Ok(route) => room.answer(route).await,
                    Err(refused) => answer::refused(&refused),
                }
            }
        }));
    }
}

/// Who cannot be looked at is guarded.
fn is_guarded<H: Handler>(stream: &tokio::net::UnixStream, handler: &H) -> bool {
    let cgroup = Peer::of(stream).ok().and_then(|peer| peer.cgroup);
    cgroup.is_none_or(|cgroup| handler.standing(&cgroup) != Standing::Outside)
}

/// One request and its answer.
async fn talk<S, F, A>(stream: S, seat: OwnedSemaphorePermit, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), service)
        .await;
    if let Err(error) = served {
        // Never with what was sent: it may hold the token.
        tracing::debug!(%error, "a connection to the dashboard broke");
    }
    drop(seat);
}

async fn pause(error: &io::Error) {
    tracing::debug!(%error, "the dashboard could not take a connection");
    sleep(PAUSE).await;
}
