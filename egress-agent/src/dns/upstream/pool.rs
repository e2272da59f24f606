//! Sockets to the first upstream that are ready before they are needed.
//!
//! Each still serves one question only: its port is drawn by the kernel and never seen twice.
//! Opening and closing them happens after a client has its answer, not before.

use std::{cell::RefCell, io, net::SocketAddr, time::Duration};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use tokio::{net::UdpSocket, time::Instant};

const READY: usize = 4;
/// A connected socket keeps its source address; after a change of network that would be wrong.
const LIFETIME: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Pool {
    ready: RefCell<Vec<Ready>>,
    spent: RefCell<Vec<UdpSocket>>,
}

#[derive(Debug)]
struct Ready {
    server: SocketAddr,
    socket: UdpSocket,
    opened: Instant,
}

impl Pool {
    /// A socket connected to the server, from which nothing was sent.
    pub(super) fn take(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        let mut ready = self.ready.borrow_mut();
        while let Some(Ready {
            server: connected,
            socket,
            opened,
        }) = ready.pop()
        {
            if connected == server && opened.elapsed() < LIFETIME {
                return Ok(socket);
            }
        }
        open(server)
    }

    /// Puts a used socket aside, to be closed by [`Pool::tidy`].
    pub(super) fn retire(&self, socket: UdpSocket) {
        self.spent.borrow_mut().push(socket);
    }

    /// Closes what was used and opens what will be.
    pub(super) fn tidy(&self, server: Option<SocketAddr>) {
        self.spent.borrow_mut().clear();
        let mut ready = self.ready.borrow_mut();
        ready.retain(|ready| Some(ready.server) == server && ready.opened.elapsed() < LIFETIME);
        let Some(server) = server else {
            return;
        };
        while ready.len() < READY
            // A server that cannot be reached is reported when it is asked.
            && let Ok(socket) = open(server)
        {
            ready.push(Ready {
                server,
                socket,
                opened: Instant::now(),
            });
        }
    }
}

fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let family = match server {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(&socket, &server)?;
    UdpSocket::from_std(socket.into())
}
