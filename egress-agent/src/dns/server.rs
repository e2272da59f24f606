//! The sockets of the guard resolver: bytes in, bytes out.
//!
//! Each slot is one port number on both loopback addresses, UDP and TCP; the kernel programs
//! steer to it. Everything runs on one thread; no borrow of the engine lasts across an await.

use std::{
    cell::RefCell,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    rc::Rc,
    time::Duration,
};

use egress_common::{ClientKey, Protocol, RESOLVER_SLOTS};
use rustix::net::sockopt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    Addresses, Host, NoAddress, ask,
    engine::{Engine, Step},
    held::{About, Held, Kept, One},
    leases::Leases,
    tcp::{self, Connections},
    upstream::Upstreams,
};
use crate::policy::Name;

/// Datagrams that are taken before other sockets get their turn.
const BATCH: usize = 64;
/// Longer than any question; what is cut off does not parse.
const DATAGRAM: usize = 1024;
/// A burst of questions waits here and is not lost: some 2,000.
const RECEIVE_BUFFER: usize = 2 << 20;
/// Port numbers that are tried for one slot.
const TRIES: usize = 64;

/// The bound sockets, not yet served.
#[derive(Debug)]
pub struct Sockets {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    port: u16,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("the guard resolver cannot listen on {address}: {source}")]
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("no port is free on 127.0.0.1 and ::1 for both UDP and TCP; tried {TRIES}")]
    NoPort,
}

/// Binds every slot: to its preferred port (of a previous run; 0 for none) if that is free, else to
/// one that the kernel picks. Without IPv6 in the kernel, IPv4 alone is served.
pub fn bind(preferred: [u16; RESOLVER_SLOTS]) -> Result<Sockets, BindError> {
    let mut slots = Vec::with_capacity(RESOLVER_SLOTS);
    for port in preferred {
        slots.push(bind_slot(port)?);
    }
    Ok(Sockets { slots })
}

impl Sockets {
    /// The slots' port numbers.
    pub fn ports(&self) -> [u16; RESOLVER_SLOTS] {
        let mut ports = [0; RESOLVER_SLOTS];
        for (port, slot) in ports.iter_mut().zip(&self.slots) {
            *port = slot.port;
        }
        ports
    }
}

fn bind_slot(preferred: u16) -> Result<Slot, BindError> {
    let mut candidates = (preferred != 0)
        .then_some(preferred)
        .into_iter()
        .chain([0; TRIES]);
    loop {
        let port = candidates.next().ok_or(BindError::NoPort)?;
        match try_slot(port) {
            Ok(slot) => return Ok(slot),
            Err(BindError::Address { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            }
            // A preferred port may be one that this process may not have.
            Err(BindError::Address { .. }) if port != 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// Port 0 lets the kernel pick.
fn try_slot(port: u16) -> Result<Slot, BindError> {
    let mut slot = Slot {
        port,
        udp: Vec::new(),
        tcp: Vec::new(),
    };
    for address in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ] {
        match bind_pair(address, slot.port) {
            Ok((port, udp, tcp)) => {
                slot.port = port;
                slot.udp.push(udp);
                slot.tcp.push(tcp);
            }
            Err(error) if address.is_ipv6() && is_without_ipv6(&error) => {}
            Err(source) => {
                return Err(BindError::Address {
                    address: (address, slot.port).into(),
                    source,
                });
            }
        }
    }
    Ok(slot)
}

fn bind_pair(address: IpAddr, port: u16) -> io::Result<(u16, UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind((address, port))?;
    let port = udp.local_addr()?.port();
    let tcp = TcpListener::bind((address, port))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    // Beyond net.core.rmem_max with CAP_NET_ADMIN, up to it without.
    if sockopt::set_socket_recv_buffer_size_force(&udp, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&udp, RECEIVE_BUFFER)?;
    }
    Ok((port, udp, tcp))
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let error = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    error == Some(rustix::io::Errno::ADDRNOTAVAIL) || error == Some(rustix::io::Errno::AFNOSUPPORT)
}

/// The guard resolver of one guard.
pub struct Server<H: Host> {
    shared: Rc<Shared<H>>,
}

/// What all tasks of a server see.
pub(super) struct Shared<H: Host> {
    pub(super) host: H,
    engine: RefCell<Engine<H::Names, Route>>,
    /// Questions that wait for a person.
    held: RefCell<Held<Route>>,
    upstreams: Upstreams,
    pub(super) connections: RefCell<Connections>,
}

/// Where a reply goes.
#[derive(Debug)]
pub enum Route {
    Udp(Rc<tokio::net::UdpSocket>, SocketAddr),
    Tcp(mpsc::Sender<Vec<u8>>),
    /// A task of the daemon itself asks.
    Inside(oneshot::Sender<Vec<u8>>),
}

impl<H: Host> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("upstreams", &self.shared.upstreams)
            .finish_non_exhaustive()
    }
}

impl<H: Host> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<H: Host + 'static> Server<H> {
    /// `leases` of a previous run, or none; `upstreams` in the order in which they are asked.
    pub fn new(host: H, leases: Leases, upstreams: &[SocketAddr]) -> Self {
        Self {
            shared: Rc::new(Shared {
                host,
                engine: RefCell::new(Engine::new(leases)),
                held: RefCell::default(),
                upstreams: Upstreams::new(upstreams),
                connections: RefCell::default(),
            }),
        }
    }

    /// Serves until dropped. Must run in a [`tokio::task::LocalSet`].
    pub async fn run(&self, sockets: Sockets) -> io::Result<()> {
        let mut tasks = JoinSet::new();
        for slot in sockets.slots {
            for socket in slot.udp {
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                tasks.spawn_local(serve_udp(Rc::clone(&self.shared), Rc::new(socket)));
            }
            for listener in slot.tcp {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tasks.spawn_local(tcp::serve(Rc::clone(&self.shared), listener));
            }
        }
        match tasks.join_next().await {
            Some(Err(error)) => Err(io::Error::other(error)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    pub fn host(&self) -> &H {
        &self.shared.host
    }

    /// Looks at, or changes, the engine between two questions.
    pub fn with_engine<T>(&self, look: impl FnOnce(&mut Engine<H::Names, Route>, &H) -> T) -> T {
        look(&mut self.shared.engine.borrow_mut(), &self.shared.host)
    }

    /// The addresses of a name, for a client that the kernel wrote down: judged, leased and recorded
    /// as if it had asked by itself. Must run in a [`tokio::task::LocalSet`].
    pub async fn addresses(&self, from: ClientKey, name: &Name) -> Result<Addresses, NoAddress> {
        ask::addresses(&self.shared, from, name).await
    }

    /// A person has answered, or the policy has changed: what waits for this name is asked anew.
    /// Must run in a [`tokio::task::LocalSet`].
    pub fn settle(&self, session: u64, name: &Name) {
        self.shared.settle(&(session, name.clone()), None);
    }

    /// Questions that wait for a person.
    pub fn held(&self) -> usize {
        self.shared.held.borrow().len()
    }

    /// Nobody waits in a session that is over.
    pub fn end_held(&self, session: u64) {
        self.shared.held.borrow_mut().end(session);
    }

    /// Other upstreams from the next question on.
    pub fn set_upstreams(&self, servers: &[SocketAddr]) {
        self.shared.upstreams.replace(servers);
    }

    /// Messages that reached an upstream socket and were no answer to its question.
    pub fn foreign_answers(&self) -> u64 {
        self.shared.upstreams.foreign()
    }
}

impl<H: Host + 'static> Shared<H> {
    /// Hands one message to the engine and starts what it wants.
    pub(super) fn ask(
        self: &Rc<Self>,
        from: ClientKey,
        message: &[u8],
        out: &mut Vec<u8>,
        reply_to: impl FnOnce() -> Route,
    ) -> Step {
        let mut reply_to = Some(reply_to);
        let step = self.put((from, message), out, &mut reply_to, true);
        let Step::Approve { client, name, rule } = &step else {
            return step;
        };
        let session = client.session;
        let has_room = self.held.borrow().has_room(session, message.len());
        let until = has_room
            .then(|| self.host.approval(client, name, *rule))
            .flatten();
        let Some(until) = until else {
            return self.put((from, message), out, &mut reply_to, false);
        };
        let Some(reply_to) = reply_to.take() else {
            return Step::Silent;
        };
        let about = (session, name.clone());
        let kept = self.held.borrow_mut().keep(
            about.clone(),
            One {
                from,
                message: message.to_vec(),
                reply_to: reply_to(),
            },
        );
        if let Kept::First(serial) = kept {
            let left = Duration::from_nanos(until.saturating_sub(self.host.now()));
            let shared = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(left).await;
                shared.settle(&about, Some(serial));
            });
        }
        Step::Wait
    }

    /// Asks anew what waited for a person; it waits no more.
    fn settle(self: &Rc<Self>, about: &About, serial: Option<u64>) {
        let questions = self.held.borrow_mut().take(about, serial);
        for One {
            from,
            message,
            reply_to,
        } in questions
        {
            let mut out = Vec::new();
            let mut reply_to = Some(move || reply_to);
            let step = self.put((from, &message), &mut out, &mut reply_to, false);
            if step == Step::Reply
                && let Some(reply_to) = reply_to
            {
                reply_to().send(out);
            }
        }
    }

    /// Hands one message to the engine. `reply_to` is used up where it waits for an upstream.
    fn put(
        self: &Rc<Self>,
        asked: (ClientKey, &[u8]),
        out: &mut Vec<u8>,
        reply_to: &mut Option<impl FnOnce() -> Route>,
        may_wait: bool,
    ) -> Step {
        let mut engine = self.engine.borrow_mut();
        let step = engine.ask_with(&self.host, asked, out, reply_to, may_wait);
        drop(engine);
        if let Step::Ask(lookup) = &step {
            let (shared, lookup) = (Rc::clone(self), lookup.clone());
            tokio::task::spawn_local(async move {
                let result = shared.upstreams.resolve(&lookup).await;
                let replies = shared
                    .engine
                    .borrow_mut()
                    .answered(&shared.host, &lookup, result);
                for (route, reply) in replies {
                    route.send(reply);
                }
                shared.upstreams.tidy();
            });
        }
        step
    }
}

impl Route {
    /// A reply that its client does not take is lost, as any datagram may be.
    fn send(self, reply: Vec<u8>) {
        match self {
            Self::Udp(socket, to) => {
                if let Err(error) = socket.try_send_to(&reply, to) {
                    tracing::debug!(%to, %error, "a DNS reply was not sent");
                }
            }
            Self::Tcp(replies) => {
                if replies.try_send(reply).is_err() {
                    tracing::debug!("a DNS reply was not sent: the connection is gone");
                }
            }
            // Whoever asked may have left.
            Self::Inside(reply_to) => reply_to.send(reply).unwrap_or_default(),
        }
    }
}

async fn serve_udp<H: Host + 'static>(shared: Rc<Shared<H>>, socket: Rc<tokio::net::UdpSocket>) {
    let mut buffer = [0; DATAGRAM];
    let mut out = Vec::new();
    'wait: loop {
        if let Err(error) = socket.readable().await {
            tracing::error!(%error, "a socket of the guard resolver failed; names resolve no longer there");
            return;
        }
        for _ in 0..BATCH {
            let (length, from) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue 'wait,
                // An error that an earlier reply met, reported here.
                Err(_) => continue,
            };
            let key = ClientKey::new(Protocol::UDP, from.ip().into(), from.port());
            let message = buffer.get(..length).unwrap_or_default();
            if shared.ask(key, message, &mut out, || {
                Route::Udp(Rc::clone(&socket), from)
            }) == Step::Reply
                && let Err(error) = socket.try_send_to(&out, from)
            {
                tracing::debug!(%from, %error, "a DNS reply was not sent");
            }
        }
        // There is more; the others first.
        tokio::task::yield_now().await;
    }
}
