//! The proxy's thread: takes connections at both doors until it is told to stop.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::oneshot,
    task::{JoinSet, LocalSet, spawn_local},
    time::{sleep, timeout},
};

use super::{Gate, Sockets, door, flow::Place};
use crate::daemon::privileges;

/// After a connection could not be taken, mostly because no descriptor was free.
const PAUSE: Duration = Duration::from_millis(50);

/// A running proxy. Dropping it ends the flows at once.
#[derive(Debug)]
pub struct Server {
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<Duration>>,
}

impl Server {
    /// Serves the sockets on a thread of its own.
    pub fn start(gate: Arc<Gate>, sockets: Sockets) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        // Made here, so that a failure is told to whoever starts the guard.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                if let Err(error) = privileges::keep_bpf_alone() {
                    tracing::error!(%error, "the proxy does not run: its capabilities cannot be dropped");
                    return;
                }
                let local = LocalSet::new();
                // A local set polls what it blocks on whenever one of its tasks wakes.
                let served = local.block_on(&runtime, async move {
                    spawn_local(serve(gate, sockets, stopped)).await
                });
                if let Ok(Err(error)) = served {
                    tracing::error!(%error, "the proxy failed: what it has to look at is refused");
                }
            })?;
        Ok(Self {
            thread: Some(thread),
            stop: Some(stop),
        })
    }

    /// Takes no more connections, lets the flows that are open end by themselves for this long, and
    /// ends the rest.
    pub fn stop(mut self, patience: Duration) {
        if let Some(stop) = self.stop.take() {
            // A thread that has ended needs no word.
            stop.send(patience).unwrap_or_default();
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the proxy's thread ended with a panic");
        }
    }
}

async fn serve(
    gate: Arc<Gate>,
    sockets: Sockets,
    stopped: oneshot::Receiver<Duration>,
) -> io::Result<()> {
    let Sockets {
        ports: _,
        explicit,
        steered,
    } = sockets;
    let place = Rc::new(Place::new(Arc::clone(&gate)));
    let mut doors = JoinSet::new();
    for listener in steered {
        doors.spawn_local(take(Rc::clone(&place), from_std(listener)?, Door::Steered));
    }
    for listener in explicit {
        doors.spawn_local(take(Rc::clone(&place), from_std(listener)?, Door::Explicit));
    }
    // Dropped without a word: the guard is gone.
    let patience = stopped.await.unwrap_or(Duration::ZERO);
    drop(doors);
    let empty = async {
        while gate.open() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(patience, empty).await.is_err() && gate.open() > 0 {
        tracing::info!(
            flows = gate.open(),
            "the proxy stops, and ends flows that are still open"
        );
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Door {
    Explicit,
    Steered,
}

async fn take(place: Rc<Place>, listener: tokio::net::TcpListener, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = Rc::clone(&place);
                spawn_local(pass(place, stream, peer, door));
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy could not take a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn pass(place: Rc<Place>, stream: TcpStream, peer: SocketAddr, door: Door) {
    match door {
        Door::Steered => door::steered(&place, stream, peer).await,
        Door::Explicit => door::explicit(&place, stream, peer).await,
    }
}

fn from_std(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
