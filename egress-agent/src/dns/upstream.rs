//! Asks the machine's own resolvers.
//!
//! Every question has its own socket, connected to the server, with a port that the kernel draws
//! and an id that the kernel's generator draws. A server that is silent for 800 ms is joined by
//! the next one, and still listened to; one that fails is replaced at once. After 4 s the client
//! gets its answer: SERVFAIL.

mod pool;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use hickory_proto::op::{Message, ResponseCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use self::pool::Pool;
use super::{
    engine::{Lookup, Upstream},
    query::{Query, Response},
};

const PATIENCE: Duration = Duration::from_millis(800);
const DEADLINE: Duration = Duration::from_secs(4);
/// Questions on their way at a time; each has a descriptor or two.
const MAX_QUERIES: usize = 384;
const MAX_ATTEMPTS: usize = 6;
/// An answer over UDP is at most as long as we said that we take; some servers forget.
const DATAGRAM: usize = 4096;

/// The trusted servers, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Upstreams {
    servers: RefCell<Rc<[SocketAddr]>>,
    ids: RefCell<Ids>,
    permits: Semaphore,
    foreign: Cell<u64>,
    pool: Pool,
}

/// Why nobody answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("no upstream resolver is known; set dns.upstreams or fill /etc/resolv.conf")]
    None,
    #[error("no upstream resolver answered within {} s; check {servers}", DEADLINE.as_secs())]
    Silent { servers: String },
    #[error("{server} answered with code {code}; look at its log")]
    Code { server: SocketAddr, code: u16 },
    #[error("{server} sent an answer that cannot be read; look at its log")]
    Unreadable { server: SocketAddr },
    #[error("{server} cannot be asked: {source}")]
    Io {
        server: SocketAddr,
        source: io::Error,
    },
}

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Upstream, UpstreamError>> + 'a>>;

impl Upstreams {
    pub(super) fn new(servers: &[SocketAddr]) -> Self {
        Self {
            servers: RefCell::new(servers.into()),
            ids: RefCell::default(),
            permits: Semaphore::new(MAX_QUERIES),
            foreign: Cell::new(0),
            pool: Pool::default(),
        }
    }

    pub(super) fn replace(&self, servers: &[SocketAddr]) {
        self.servers.replace(servers.into());
    }

    /// Messages that reached a question's socket and were no answer to it.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign.get()
    }

    /// Work that can wait until the client has its answer.
    pub(super) fn tidy(&self) {
        let first = self.servers.borrow().first().copied();
        self.pool.tidy(first);
    }

    pub(super) async fn resolve(&self, lookup: &Lookup) -> Result<Upstream, UpstreamError> {
        let servers = Rc::clone(&self.servers.borrow());
        let deadline = Instant::now() + DEADLINE;
        let silent = || UpstreamError::Silent {
            servers: list(&servers),
        };
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(silent());
        };
        let mut attempts: Vec<Attempt<'_>> = Vec::new();
        // Every server once; then, only when time passes without a word, all over again.
        let mut untried = servers.iter();
        let mut again = servers.iter().cycle().take(MAX_ATTEMPTS);
        let mut last_error = None;
        let mut next = untried.next();
        loop {
            if let Some(server) = next {
                attempts.push(Box::pin(self.attempt(*server, lookup)));
            }
            let wake = deadline.min(Instant::now() + PATIENCE);
            next = match timeout_at(wake, finished(&mut attempts)).await {
                Ok(Some(Ok(upstream))) => return Ok(upstream),
                Ok(Some(Err(error))) => {
                    last_error = Some(error);
                    untried.next()
                }
                Ok(None) => return Err(last_error.unwrap_or(UpstreamError::None)),
                Err(_elapsed) if Instant::now() >= deadline => {
                    return Err(last_error.unwrap_or_else(silent));
                }
                Err(_elapsed) => untried.next().or_else(|| again.next()),
            };
        }
    }

    /// Asks one server, over TCP too when it says so.
    async fn attempt(
        &self,
        server: SocketAddr,
        lookup: &Lookup,
    ) -> Result<Upstream, UpstreamError> {
        let began = Instant::now();
        let query = Query::new(self.id(server)?, &lookup.name, lookup.kind);
        let io = |source| UpstreamError::Io { server, source };
        let message = match self.over_udp(server, &query).await.map_err(io)? {
            Some(response) => response,
            None => self.over_tcp(server, &query).await.map_err(io)?,
        };
        let message = message.ok_or(UpstreamError::Unreadable { server })?;
        let code = message.metadata.response_code;
        if code != ResponseCode::NoError && code != ResponseCode::NXDomain {
            return Err(UpstreamError::Code {
                server,
                code: code.into(),
            });
        }
        Ok(Upstream {
            message,
            server,
            latency: began.elapsed(),
        })
    }

    /// `None` asks for TCP; `Some(None)` is an answer that cannot be read.
    async fn over_udp(
        &self,
        server: SocketAddr,
        query: &Query,
    ) -> io::Result<Option<Option<Box<Message>>>> {
        let socket = self.pool.take(server)?;
        socket.send(query.bytes()).await?;
        let mut buffer = [0; DATAGRAM];
        let answer = loop {
            let length = socket.recv(&mut buffer).await?;
            match query.judge(buffer.get(..length).unwrap_or_default()) {
                Response::Foreign => self.foreign.set(self.foreign.get() + 1),
                Response::Truncated => break None,
                Response::Unreadable => break Some(None),
                Response::Answer(message) => break Some(Some(message)),
            }
        };
        self.pool.retire(socket);
        Ok(answer)
    }

    async fn over_tcp(
        &self,
        server: SocketAddr,
        query: &Query,
    ) -> io::Result<Option<Box<Message>>> {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&query.framed()).await?;
        let mut buffer = Vec::new();
        loop {
            let length = stream.read_u16().await?;
            buffer.resize(usize::from(length), 0);
            stream.read_exact(&mut buffer).await?;
            match query.judge(&buffer) {
                Response::Foreign => self.foreign.set(self.foreign.get() + 1),
                // Over TCP there is nowhere else to go.
                Response::Truncated | Response::Unreadable => return Ok(None),
                Response::Answer(message) => return Ok(Some(message)),
            }
        }
    }

    fn id(&self, server: SocketAddr) -> Result<u16, UpstreamError> {
        self.ids
            .borrow_mut()
            .next()
            .map_err(|source| UpstreamError::Io { server, source })
    }
}

/// The next attempt that ends, taken out of the others; `None` when there is none.
async fn finished(attempts: &mut Vec<Attempt<'_>>) -> Option<Result<Upstream, UpstreamError>> {
    poll_fn(|context| {
        if attempts.is_empty() {
            return Poll::Ready(None);
        }
        let mut result = None;
        attempts.retain_mut(|attempt| {
            if result.is_none()
                && let Poll::Ready(ended) = attempt.as_mut().poll(context)
            {
                result = Some(ended);
                return false;
            }
            true
        });
        result.map_or(Poll::Pending, |ended| Poll::Ready(Some(ended)))
    })
    .await
}

fn list(servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}

/// Ids from the kernel's generator, fetched by the hundred.
#[derive(Debug, Default)]
struct Ids {
    bytes: Vec<u8>,
}

impl Ids {
    const FETCH: usize = 512;

    fn next(&mut self) -> io::Result<u16> {
        if self.bytes.len() < 2 {
            self.bytes.resize(Self::FETCH, 0);
            getrandom::fill(&mut self.bytes).map_err(io::Error::other)?;
        }
        let (Some(high), Some(low)) = (self.bytes.pop(), self.bytes.pop()) else {
            return Err(io::Error::other("the kernel gave no random bytes"));
        };
        Ok(u16::from_be_bytes([high, low]))
    }
}
