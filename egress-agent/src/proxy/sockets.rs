//! The listening sockets of one guard's proxy.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt,
};

use super::dial::ready;

/// Connections that may wait to be taken; the kernel's own bound is `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Where a port is looked for first: those that only root may take (ip(7),
/// `ip_unprivileged_port_start`), so that nobody else answers there while the daemon is away.
/// Services that have a name keep to the lower ones.
const ROOTS: RangeInclusive<u16> = 1001..=1023;
/// Port numbers that are tried beyond them.
const TRIES: usize = 64;

/// Where the proxy listens, on 127.0.0.1 and `::1`. 0 for nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// For clients that ask it by themselves.
    pub explicit: u16,
    /// For flows that the kernel leads here.
    pub steered: u16,
}

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Sockets {
    pub ports: Ports,
    pub explicit: Vec<TcpListener>,
    pub steered: Vec<TcpListener>,
}

/// Why the proxy cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("the proxy cannot listen on {address}: {source}")]
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("no port is free on 127.0.0.1 and ::1 for the proxy; tried {TRIES}")]
    NoPort,
}

impl Sockets {
    /// Binds both doors: to the preferred ports (of a previous run; 0 for none) where they are
    /// free, else to ones of root's, else to ones that the kernel picks. Without IPv6 in the kernel, IPv4 alone is served.
    pub fn bind(preferred: Ports) -> Result<Self, BindError> {
        let (explicit_port, explicit) = door(preferred.explicit)?;
        let (steered_port, steered) = door(preferred.steered)?;
        Ok(Self {
            ports: Ports {
                explicit: explicit_port,
                steered: steered_port,
            },
            explicit,
            steered,
        })
    }
}

fn door(preferred: u16) -> Result<(u16, Vec<TcpListener>), BindError> {
    let first = (preferred != 0).then_some(preferred);
    for port in first.into_iter().chain(ROOTS.rev()).chain([0; TRIES]) {
        match pair(port) {
            Ok(bound) => return Ok(bound),
            Err(BindError::Address { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            }
            // A port may be one that this process may not have.
            Err(BindError::Address { .. }) if port != 0 => {}
            Err(error) => return Err(error),
        }
    }
    Err(BindError::NoPort)
}

/// The same port number on both addresses.
fn pair(port: u16) -> Result<(u16, Vec<TcpListener>), BindError> {
    let failed = |address| move |source| BindError::Address { address, source };
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let first = listener(v4).map_err(failed(v4))?;
    let port = first.local_addr().map_err(failed(v4))?.port();
    let mut listeners = vec![first];
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    match listener(v6) {
        Ok(second) => listeners.push(second),
        Err(error) if is_without_ipv6(&error) => {}
        Err(error) => return Err(failed(v6)(error)),
    }
    Ok((port, listeners))
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // A restarted daemon finds its old connections in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // What is accepted has the same settings (net/ipv4/tcp_minisocks.c: a child is a copy).
    ready(&socket)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let error = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    error == Some(rustix::io::Errno::ADDRNOTAVAIL) || error == Some(rustix::io::Errno::AFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn what_is_accepted_says_small_things_at_once_and_notices_a_peer_that_is_gone() {
        let sockets = Sockets::bind(Ports::default()).unwrap();
        let listener = sockets.steered.first().unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(sockopt::tcp_nodelay(&accepted).unwrap());
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        let silent = sockopt::tcp_keepidle(&accepted).unwrap();
        assert_eq!(silent.as_secs(), 60);
    }

    /// The tests run as root.
    #[test]
    fn ports_are_roots_and_stay_where_they_were() {
        let first = Sockets::bind(Ports::default()).unwrap();
        let Ports { explicit, steered } = first.ports;
        assert!(ROOTS.contains(&explicit) && ROOTS.contains(&steered));
        assert_ne!(explicit, steered);
        // They are taken, so another guard gets others.
        let second = Sockets::bind(first.ports).unwrap();
        assert_ne!(second.ports.explicit, explicit);
        let ports = first.ports;
        drop(first);
        assert_eq!(Sockets::bind(ports).unwrap().ports, ports);
    }
}
