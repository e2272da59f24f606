//! What arrives on the far side: every frame of the veth, whatever its kind.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
        sockopt,
    },
    sys::time::TimeVal,
};

use super::{
    frame::{Frame, read},
    side::Side,
};

#[derive(Debug)]
pub(super) struct Capture {
    seen: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    frames: Vec<String>,
    latest: Option<Instant>,
    marker: u64,
}

/// How often the thread looks whether it is over.
const PATIENCE: TimeVal = TimeVal::new(0, 50_000);
/// A burst of an attempt must not be lost for want of room.
const BUFFER: usize = 8 << 20;

impl Capture {
    pub(super) fn start(far: &Side, device: &'static str) -> anyhow::Result<Self> {
        let seen = Arc::<Shared>::default();
        let shared = Arc::clone(&seen);
        let thread = far.run(move || -> io::Result<JoinHandle<()>> {
            let index = usize::try_from(if_nametoindex(device)?).map_err(io::Error::other)?;
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )?;
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
            thread::Builder::new()
                .name("capture".to_owned())
                .spawn(move || collect(&socket, index, &shared))
        })??;
        Ok(Self {
            seen,
            thread: Some(thread),
        })
    }

    /// Since the last frame that counted.
    pub(super) fn silence(&self) -> Duration {
        let latest = self.seen.lock().latest;
        latest.map_or(Duration::MAX, |latest| latest.elapsed())
    }

    /// Whether nothing that counts has arrived since the last [`Self::take`].
    pub(super) fn is_empty(&self) -> bool {
        self.seen.lock().frames.is_empty()
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().frames)
    }

    pub(super) fn wait_for_marker(&self, marker: u64, limit: Duration) -> bool {
        let guard = self.seen.lock();
        let waited = self
            .seen
            .changed
            .wait_timeout_while(guard, limit, |seen| seen.marker < marker);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn collect(socket: &OwnedFd, index: usize, shared: &Shared) {
    let mut buffer = vec![0; 1 << 16];
    while !shared.is_over.load(Ordering::Relaxed) {
        let received = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer);
        let (length, from) = match received.map_err(io::Error::from) {
            Ok(received) => received,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            // No marker will be seen any more, and that is an error of the whole run.
            Err(_) => return,
        };
        let came_in = from
            .is_some_and(|from| from.ifindex() == index && from.pkttype() != libc::PACKET_OUTGOING);
        if !came_in {
            continue;
        }
        let frame = read(buffer.get(..length).unwrap_or_default());
        let mut seen = shared.lock();
        match frame {
            Frame::Noise => {}
            Frame::Marker(number) => {
                seen.marker = number;
                shared.changed.notify_all();
            }
            Frame::Counted(line) => {
                seen.frames.push(line);
                seen.latest = Some(Instant::now());
            }
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}
